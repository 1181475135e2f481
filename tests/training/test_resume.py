"""Stopped anywhere and begun again, training ends in the same bits."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from small import Endless, Random, Stop, StopAt, convolutions, images, perceptron, same_weights, stop_before, untimed, vectors
from torch import nn

import wellposed
from wellposed.training import checkpoints, folder, verify_run
from wellposed.training.config import read_config
from wellposed.training.standing import held

SETTINGS = {"batch": 4, "epochs": 4, "checkpoint_every": 5, "patience": 30, "quiet": True}  # 6 steps an epoch
FILES = ("weights.safetensors", "history.jsonl")


def train(place: Path, stop: int | None = None, **options):
    return wellposed.train(convolutions(), images(), validation=images(5), folder=place, loss=StopAt(stop),
                           **{**SETTINGS, "average": 0.9, **options})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """An undisturbed run; each step calls the loss once, and each report twice more."""
    return train(tmp_path_factory.mktemp("runs") / "whole")


def assert_same(run, whole):
    assert same_weights(run.model, whole.model)
    assert untimed(run.history) == untimed(whole.history)
    assert untimed([run.best]) == untimed([whole.best])
    listed, other = verify_run(run.folder), verify_run(whole.folder)
    assert {k: v for k, v in listed.items() if k.endswith("safetensors")} == {k: v for k, v in other.items() if k.endswith("safetensors")}


@pytest.mark.parametrize("stops", [[1], [4], [7], [8], [9], [14], [30, 3, 4], [3, 3, 12, 12, 2]])
def test_stopped_at_any_step(tmp_path, undisturbed, stops):
    for stop in stops:
        with pytest.raises(Stop):
            train(tmp_path / "run", stop)
    with pytest.raises(ValueError, match="has not finished"):
        verify_run(tmp_path / "run")
    assert_same(train(tmp_path / "run"), undisturbed)


@pytest.mark.parametrize("setting", [{"average": None}, {"channels_last": False}, {"precision": "bf16"}, {"clip": None},
                                     {"report_every": 4}, {"checkpoint_every": 1}])
def test_with_other_settings(tmp_path, setting):
    whole = train(tmp_path / "whole", **setting)
    with pytest.raises(Stop):
        train(tmp_path / "run", 20, **setting)
    assert_same(train(tmp_path / "run", **setting), whole)


@pytest.mark.parametrize("kind", ["endless", "random samples", "double"])
def test_with_other_data(tmp_path, kind, monkeypatch):
    def run(place):
        if kind == "double":
            return wellposed.train(perceptron(dtype=torch.float64), vectors(22), validation=0.2, folder=place, **SETTINGS)
        if kind == "random samples":
            return wellposed.train(perceptron(), Random(), validation=vectors(4), folder=place, **SETTINGS)
        return wellposed.train(perceptron(), Endless().objective(), folder=place, **{**SETTINGS, "epochs": None, "steps": 24})

    whole = run(tmp_path / "whole")
    stop_before(13, monkeypatch)
    with pytest.raises(Stop):
        run(tmp_path / "run")
    monkeypatch.undo()
    assert checkpoints.steps(tmp_path / "run") == [10, 5]
    torch.manual_seed(99), np.random.seed(99), random.seed(99)  # noqa: NPY002
    assert_same(run(tmp_path / "run"), whole)


def test_the_model_is_unharmed_by_a_stop(tmp_path):
    model = convolutions().train()
    model.norm.eval()
    with pytest.raises(Stop):
        wellposed.train(model, images(), folder=tmp_path / "run", loss=StopAt(9), precision="bf16", **{**SETTINGS, "patience": None})
    assert same_weights(model, convolutions())
    assert model.training
    assert not model.norm.training
    assert set(vars(model)) == set(vars(convolutions()))


@pytest.mark.parametrize(("damage", "file"), [
    ("flip", "weights.safetensors"), ("flip", "state.json"), ("cut", "optimizer.safetensors"), ("missing", "random.safetensors"),
    ("manifest", ""), ("empty", ""), ("half", "")])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, undisturbed, damage, file):
    with pytest.raises(Stop):
        train(tmp_path / "run", 22)
    newest, before = checkpoints.steps(tmp_path / "run")
    place = tmp_path / "run" / "checkpoints" / str(newest)
    data = bytearray((place / file).read_bytes() if file else b"")
    if damage == "flip":
        data[len(data) // 2] ^= 1
        (place / file).write_bytes(data)
    elif damage == "cut":
        (place / file).write_bytes(data[:-3])
    elif damage == "missing":
        (place / file).unlink()
    elif damage == "manifest":
        (place / "manifest.json").write_text("{}")
    elif damage == "empty":
        shutil.rmtree(place)
        place.mkdir()
    else:  # what a kill leaves is not even looked at
        os.rename(place, place.with_name(f".{newest}.999999999.new"))
        assert checkpoints.newest(tmp_path / "run")[0] == before
        assert_same(train(tmp_path / "run"), undisturbed)
        return
    with pytest.warns(UserWarning, match="passed over"):
        assert checkpoints.newest(tmp_path / "run")[0] == before
    with pytest.warns(UserWarning, match="passed over"):
        run = train(tmp_path / "run")
    assert_same(run, undisturbed)


def test_all_checkpoints_and_the_history_damaged(tmp_path, undisturbed):
    with pytest.raises(Stop):
        train(tmp_path / "run", 22)
    for path in (tmp_path / "run" / "checkpoints").rglob("*.safetensors"):
        path.write_bytes(b"nothing")
    with pytest.warns(UserWarning, match="passed over"):
        run = train(tmp_path / "run")
    assert_same(run, undisturbed)


def test_a_line_that_a_kill_has_cut(tmp_path, undisturbed):
    with pytest.raises(Stop):
        train(tmp_path / "run", 22)
    with open(tmp_path / "run" / "history.jsonl", "a") as file:
        file.write('{"step": 12, "tra')
    assert_same(train(tmp_path / "run"), undisturbed)


def test_two_checkpoints_are_kept_and_leftovers_go(tmp_path, undisturbed):
    with pytest.raises(Stop):
        train(tmp_path / "run", 22)
    left = tmp_path / "run" / "checkpoints" / ".7.999999999.new"
    left.mkdir()
    (tmp_path / "run" / ".config.toml.999999999.tmp").write_text("half")
    run = train(tmp_path / "run")
    assert {p.name for p in (run.folder / "checkpoints").iterdir()} == {"20", "24"}
    assert {p.name for p in run.folder.iterdir()} == {p.name for p in undisturbed.folder.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_a_checkpoint_of_its_step(tmp_path, undisturbed, number, capsys):
    class Interrupting(StopAt):
        def __call__(self, prediction, target):
            if self.calls == 9:
                os.kill(os.getpid(), number)
            return super().__call__(prediction, target)

    Interrupting.__module__, Interrupting.__qualname__ = StopAt.__module__, StopAt.__qualname__
    before = signal.getsignal(number)
    model = convolutions()
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
        wellposed.train(model, images(), validation=images(5), folder=tmp_path / "run", loss=Interrupting(), average=0.9,
                        **{**SETTINGS, "quiet": False})
    said = capsys.readouterr().err
    assert "give the same command again" in said
    assert signal.getsignal(number) is before
    assert checkpoints.steps(tmp_path / "run")[0] == 8  # two of the calls were the validation's
    assert_same(wellposed.train(model, images(), validation=images(5), folder=tmp_path / "run", loss=StopAt(), average=0.9, **SETTINGS),
                undisturbed)


def test_a_time_is_measured_once(tmp_path, monkeypatch):
    def run():
        return wellposed.train(convolutions(), images(), validation=0.2, folder=tmp_path / "run", seconds=0.5, batch=4, checkpoint_every=2,
                               quiet=True)

    measured = importlib.import_module("wellposed.training.plan")  # the package has a function of this name
    monkeypatch.setattr(measured, "measure", lambda *_: (0.01, 0.02))
    with monkeypatch.context() as stopped:
        stop_before(5, stopped)
        with pytest.raises(Stop):
            run()
    monkeypatch.setattr(measured, "measure", lambda *_: pytest.fail("measured again"))
    plan = read_config(tmp_path / "run")["plan"]
    finished = run()
    assert finished.config["plan"] == plan
    assert finished.steps == plan["steps"] > 5
    assert finished.config["settings"]["seconds"] == 0.5


def test_an_unfinished_run_goes_on_whatever_weights_the_model_has(tmp_path, undisturbed):
    with pytest.raises(Stop):
        train(tmp_path / "run", 22)
    torch.manual_seed(5)
    model = convolutions()
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    with pytest.warns(UserWarning, match="goes on from its checkpoint"):
        run = wellposed.train(model, images(), validation=images(5), folder=tmp_path / "run", loss=StopAt(), average=0.9, **SETTINGS)
    assert_same(run, undisturbed)


def test_a_run_without_a_checkpoint_gives_way(tmp_path, undisturbed):
    with pytest.raises(Stop):
        train(tmp_path / "run", 2, lr=0.1)
    assert_same(train(tmp_path / "run"), undisturbed)


def _power(prediction, target, q=2):
    return (prediction - target).abs().pow(q).mean()


@pytest.mark.parametrize(("one", "other", "said"), [
    ({"model": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))},
     {"model": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))}, "built otherwise"),
    ({"freeze": True}, {"freeze": False}, "built otherwise"), ({"freeze": False}, {"freeze": True}, "built otherwise"),
    ({"loss": partial(_power, q=2)}, {"loss": partial(_power, q=4)}, "data.loss"),
    ({"loss": lambda p, y: ((p - y) ** 2).mean()}, {"loss": lambda p, y: ((p - y) ** 4).mean()}, "data.loss")])
@pytest.mark.parametrize("finished", [True, False])
def test_another_question_is_refused(tmp_path, monkeypatch, one, other, said, finished):
    def run(model=lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), freeze=False, **options):
        torch.manual_seed(0)
        built = model()
        next(built.parameters()).requires_grad_(not freeze)
        return wellposed.train(built, vectors(22), folder=tmp_path / "run", steps=12, checkpoint_every=2, batch=4, quiet=True, **options)

    if finished:
        run(**one)
    else:
        with monkeypatch.context() as stopped:
            stop_before(5, stopped)
            with pytest.raises(Stop):
                run(**one)
    with pytest.raises(ValueError, match=said):
        run(**other)


def test_another_number_of_threads_is_said(tmp_path):
    with pytest.raises(Stop):
        train(tmp_path / "run", 22)
    with pytest.warns(UserWarning, match=r"began with threads 1 \(now 2\)"):
        train(tmp_path / "run", threads=2)
    assert torch.get_num_threads() == 1


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    with pytest.raises(Stop):
        train(tmp_path / "run", 22)
    with held(tmp_path / "run"), pytest.raises(ValueError, match="another process is training"):
        train(tmp_path / "run")
    train(tmp_path / "run")


def test_a_kill_while_the_finished_files_move_in(tmp_path, undisturbed, monkeypatch):
    rename = os.rename

    def die(source, target):
        if Path(target).name == "run":
            raise Stop
        rename(source, target)

    monkeypatch.setattr(folder.os, "rename", die)
    monkeypatch.setattr(folder, "recover", lambda place: None)
    with pytest.raises(Stop):
        train(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    assert_same(train(tmp_path / "run"), undisturbed)
    assert {p.name for p in tmp_path.iterdir()} == {"run"}


KILLED = """
    import os, sys, time
    sys.path.insert(0, sys.argv[2])
    import torch
    torch.set_num_threads(1)
    import test_resume
    from pathlib import Path
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            test_resume.train(Path(sys.argv[1]), epochs=30, checkpoint_every=7)
            os._exit(0)
        if line.strip() != "end":
            time.sleep(float(line))
            os.kill(pid, 9)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def test_killed_at_random_moments(tmp_path):
    whole = train(tmp_path / "whole", epochs=30)
    rng, place = np.random.default_rng(), tmp_path / "run"
    moments = [f"{t:.3f}" for t in rng.uniform(0.05, 1.2 * whole.seconds, 8)]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(place), str(Path(__file__).parent)]
    done = subprocess.run(command, input="\n".join([*moments, "end", ""]), capture_output=True, text=True, timeout=120)
    codes = [int(code) for code in done.stdout.split()]
    assert codes[-1] == 0, done.stderr
    assert set(codes) <= {0, -9}
    run = train(place, epochs=30, checkpoint_every=7)
    assert_same(run, whole)
