"""What `train` does, where it is not stopped: it learns, judges, reports, and leaves the world as it found it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import Convolutions, Endless, convolutions, images, perceptron, same_weights, vectors
from torch import nn

import wellposed
from wellposed.training import Objective, Settings, load_weights, verify_run
from wellposed.training.data import Arrays
from wellposed.training.losses import relative_l2
from wellposed.training.objectives import pairs
from wellposed.training.plan import plan
from wellposed.training.progress import duration
from wellposed.training.schedule import indices, learning_rate

QUIET = {"quiet": True}


def test_it_learns_a_linear_map(tmp_path):
    x = torch.randn(64, 3)
    run = wellposed.train(nn.Linear(3, 2), (x, x @ torch.randn(3, 2) + 1), epochs=60, lr=0.05, validation=0.2, folder=tmp_path / "run", **QUIET)
    assert run.best["validation_loss"] < 1e-3
    assert run.history[0]["train_loss"] > 100 * run.history[-1]["train_loss"]
    assert not run.model.training
    assert f"{run.steps} steps" in str(run)


def test_the_folder_has_all_that_was_asked_and_found(tmp_path):
    model = convolutions()
    run = wellposed.train(model, images(), epochs=3, batch=4, validation=images(5), folder=tmp_path / "run", **QUIET)
    assert {*verify_run(run.folder)} == {"README.md", "config.toml", "history.jsonl", "last.safetensors", "weights.safetensors"}
    assert run.config["model"] == {"name": "Convolutions", "width": 4, "sizes": [3, 3]}
    assert run.config["settings"]["batch"] == 4
    assert run.config["environment"]["threads"] == 1
    assert run.config["data"] | {"sha256": 0, "validation": 0} == {
        "kind": "Arrays", "loss": "relative_l2", "criterion": "loss", "samples": 22, "sha256": 0, "validation": 0}
    again = convolutions(seed=5)
    again.load_state_dict(load_weights(run.folder))
    assert same_weights(again, run.model)
    assert run.model is model
    assert [row["step"] for row in run.history] == [6, 12, 18]
    assert [json.loads(line) for line in (run.folder / "history.jsonl").read_text().splitlines()] == run.history


def test_a_finished_run_is_returned_as_it_is(tmp_path, capsys):
    def call(**options):
        return wellposed.train(perceptron(), vectors(), epochs=2, folder=tmp_path / "run", **options)

    first = call()
    before = {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")}
    capsys.readouterr()
    second = call()
    assert "finished" in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in first.folder.rglob("*")} == before
    assert same_weights(first.model, second.model)
    assert (second.history, second.best, second.steps, second.seconds) == (first.history, first.best, first.steps, first.seconds)
    third = wellposed.train(second.model, vectors(), epochs=2, folder=tmp_path / "run", **QUIET)  # a cell that is run again
    assert same_weights(third.model, first.model)
    (first.folder / "notes.txt").write_text("kept")
    fourth = call(resume=False, quiet=True)
    assert same_weights(fourth.model, first.model)
    assert (first.folder / "notes.txt").read_text() == "kept"
    assert fourth.seconds != first.seconds


@pytest.mark.parametrize(("change", "said"), [
    ({"lr": 0.1}, r"settings.lr = 0.1, but the run in .* has 0.001"),
    ({"average": 0.5}, r"settings.average = 0.5, but the run in .* has none"),
    ({"epochs": None, "steps": 8}, r"settings.epochs = none, but .* has 2"),
    ({"loss": "mse"}, r"data.loss = 'mse'"),
    ({"data": vectors(29)}, r"data.samples = 29, .* has 30"),
    ({"data": (vectors()[0], vectors()[1] + 1)}, "received other data"),
    ({"model": perceptron(1)}, r"other weights .* torch.manual_seed"),
    ({"model": nn.Linear(3, 2)}, r"model.name = 'Linear'"),
])
def test_another_run_in_the_folder_is_named_by_its_first_difference(tmp_path, change, said):
    def call(model=None, data=None, **options):
        return wellposed.train(model or perceptron(), data or vectors(), folder=tmp_path / "run", **{"epochs": 2, **QUIET, **options})

    call()
    before = verify_run(tmp_path / "run")
    with pytest.raises(ValueError, match=said) as error:
        call(**change)
    assert "resume=False" in str(error.value)
    assert verify_run(tmp_path / "run") == before
    assert call(**change, resume=False).steps == 8
    call(**{"threads": 1, "device": "cpu", "checkpoint_every": 3, **change})  # these may change


def test_folders_that_are_not_of_training_are_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    from wellposed.training import write_run

    write_run(tmp_path / "demo", config={"demo": 1}, history=[], card="# demo")
    for name, said in (("mine", "not a run folder"), ("demo", "not one of training")):
        with pytest.raises(ValueError, match=said):
            wellposed.train(perceptron(), vectors(), steps=2, folder=tmp_path / name, **QUIET)
    with pytest.raises(ValueError, match="not a run folder"):
        wellposed.train(perceptron(), vectors(), steps=2, folder=tmp_path / "mine", resume=False, **QUIET)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"
    run = wellposed.train(perceptron(), vectors(), steps=2, folder=tmp_path / "run", **QUIET)
    (run.folder / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="differs from what was written"):
        wellposed.train(perceptron(), vectors(), steps=2, folder=run.folder, **QUIET)


def test_patience_ends_training_and_the_best_weights_stay(tmp_path):
    class Worse:
        """It judges the weights of step 15 the best."""

        def __call__(self, model, data):
            self.step = getattr(self, "step", 0) + 5
            return {"badness": abs(self.step - 15) + 1.0}

    asked = replace(pairs(Arrays(vectors())), validation=Arrays(vectors(6)), metrics=Worse(), criterion="badness")
    run = wellposed.train(perceptron(), asked, steps=500, report_every=5, patience=4, folder=tmp_path / "run", **QUIET)
    assert (run.status, run.steps, run.best["step"], run.best["badness"]) == ("patience", 35, 15, 1.0)
    assert {"weights.safetensors", "last.safetensors"} <= set(verify_run(run.folder))
    whole = wellposed.train(perceptron(), replace(asked, metrics=Worse()), steps=500, report_every=5, patience=4, folder=tmp_path / "two", **QUIET)
    assert same_weights(run.model, whole.model)
    last = load_weights(run.folder / "last.safetensors")
    assert not torch.equal(last["0.weight"], run.model.state_dict()["0.weight"])
    assert "patience" in str(run)


def test_without_validation_the_last_weights_count(tmp_path):
    run = wellposed.train(perceptron(), vectors(), steps=9, folder=tmp_path / "run", **QUIET)
    assert run.best["step"] == 9
    assert "validation_loss" not in run.best


def test_a_loss_that_is_not_finite_is_one_clear_error(tmp_path):
    def explode(prediction, target):
        explode.calls += 1
        return (prediction - target).square().mean() * (float("nan") if explode.calls == 8 else 1)

    explode.calls = 0
    model = perceptron()
    with pytest.raises(FloatingPointError, match=r"the loss \(nan\) was not finite in step 8 at a learning rate of .* try lr=") as error:
        wellposed.train(model, vectors(), loss=explode, steps=30, checkpoint_every=3, folder=tmp_path / "run", **QUIET)
    assert str(tmp_path / "run") in str(error.value)
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["3", "6"]
    assert same_weights(model, perceptron())
    with pytest.raises(FloatingPointError, match="the gradient was not finite in step 1"):
        wellposed.train(perceptron(), vectors(), loss=lambda p, t: (p - p.detach()).square().sum().sqrt(), steps=3, folder=tmp_path / "two", **QUIET)


def test_the_learning_rate_rises_and_falls():
    s = Settings(steps=100, lr=2.0, warmup=0.1, final_lr=0.25)
    rates = [learning_rate(k, 100, s) for k in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (k + 1) for k in range(10)])
    assert max(rates) == rates[10] == 2.0
    assert rates[55] == pytest.approx(2 * (0.25 + 0.75 / 2))
    assert rates[100] == pytest.approx(0.5)
    assert learning_rate(0, 1, Settings(steps=1, warmup=1.0)) == 1e-3


def test_each_epoch_has_every_sample_once():
    s = Settings(steps=1, batch=4, seed=3)
    for epoch in range(3):
        chosen = [i for k in range(6) for i in indices(6 * epoch + k, 22, s)]
        assert sorted(chosen) == list(range(22))
        assert chosen != sorted(chosen)
    assert indices(0, 22, s) != indices(6, 22, s)
    shares = [indices(5, 22, s, rank, 4) for rank in range(4)]
    assert [len(share) for share in shares] == [1, 1, 1, 1]
    assert {i for share in shares for i in share} >= set(indices(5, 22, s))


def test_reports_and_lengths(tmp_path):
    from wellposed.training.learner import accelerator

    def planned(objective=None, **options):
        s = Settings(**options)
        return plan(perceptron(), objective or pairs(Arrays(vectors(32))), s, accelerator(s), 0.1)

    assert (planned(epochs=7).steps, planned(epochs=7).report_every, planned(epochs=7).epoch) == (28, 4, 4)
    assert planned(epochs=1000).report_every == 20  # 200 reports, whole epochs
    assert planned(steps=3).report_every == 3
    assert planned(Endless().objective(), steps=1000).report_every == 5
    assert planned(steps=50, report_every=7).report_every == 7
    timed = planned(seconds=0.2)
    assert timed.steps > 0
    assert timed.checkpoint_every is not None
    with pytest.raises(ValueError, match="no end"):
        planned(Endless().objective(), epochs=1)


def test_what_is_global_comes_back(tmp_path):
    torch.manual_seed(7), np.random.seed(7), random.seed(7)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate(), torch.get_num_threads()  # noqa: NPY002
    wellposed.train(convolutions(), images(), validation=0.3, seconds=0.3, threads=1, folder=tmp_path / "run", **QUIET)
    torch.manual_seed(7)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate(), torch.get_num_threads()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_the_result_depends_on_the_seed_alone(tmp_path):
    def run(name, **options):
        return wellposed.train(convolutions(), images(), steps=9, folder=tmp_path / name, **QUIET, **options)

    torch.manual_seed(1)
    one = run("one")
    torch.manual_seed(2)
    assert same_weights(one.model, run("two").model)
    assert not same_weights(one.model, run("three", seed=1).model)


def test_bfloat16_keeps_the_weights_as_they_are(tmp_path):
    model = convolutions()
    run = wellposed.train(model, images(), steps=5, precision="bf16", folder=tmp_path / "run", **QUIET)
    assert all(x.dtype in (torch.float32, torch.complex64, torch.int64) for x in run.model.state_dict().values())
    assert type(run.model).forward is Convolutions.forward
    assert "forward" not in vars(run.model)
    wellposed.train(convolutions(), images(), steps=5, folder=tmp_path / "other", **QUIET)  # one process, another precision


def test_the_average_is_judged_and_saved(tmp_path):
    x, y = vectors(32)
    run = wellposed.train(perceptron(), (x, y), validation=(x, y), steps=12, batch=32, average=0.5, folder=tmp_path / "run", **QUIET)
    assert run.history[-1]["validation_loss"] == pytest.approx(relative_l2(run.model(x), y).item(), rel=1e-6)
    raw = wellposed.train(perceptron(), (x, y), steps=12, batch=32, folder=tmp_path / "raw", **QUIET)
    assert not same_weights(run.model, raw.model)


def test_groups_of_parameters(tmp_path):
    class Grouped(nn.Linear):
        def parameter_groups(self):
            return [{"params": [self.weight], "lr_factor": 0.0}, {"params": [self.bias], "weight_decay": 0.1}]

    torch.manual_seed(0)
    model = Grouped(3, 2)
    start = model.weight.detach().clone()
    run = wellposed.train(model, vectors(), steps=5, folder=tmp_path / "run", **QUIET)
    assert torch.equal(run.model.weight, start)
    Grouped.parameter_groups = lambda self: [{"params": [self.weight]}]
    with pytest.raises(ValueError, match="with 1 parameters, expected each of the 2"):
        wellposed.train(model, vectors(), steps=5, folder=tmp_path / "two", **QUIET)


def test_lines_and_bars(tmp_path, capsys, monkeypatch):
    wellposed.train(perceptron(), vectors(), epochs=2, folder=tmp_path / "one")
    lines = capsys.readouterr().err.splitlines()
    assert sum("epoch" in line for line in lines) == 2
    monkeypatch.setenv("FORCE_COLOR", "1")
    wellposed.train(perceptron(), vectors(), epochs=2, folder=tmp_path / "two")
    assert "8/8" in capsys.readouterr().err
    monkeypatch.setattr("wellposed.training.progress.FIRST", 0.0)
    wellposed.train(perceptron(), vectors(), epochs=2, folder=tmp_path / "three")
    assert "will take" in capsys.readouterr().err
    wellposed.train(perceptron(), vectors(), epochs=2, folder=tmp_path / "four", quiet=True)
    assert capsys.readouterr().err == ""
    assert [duration(x) for x in (0.0123, 3.456, 12.3, 125, 3900)] == ["12 ms", "3.5 s", "12 s", "2 min 5 s", "1 h 5 min"]


def test_a_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert wellposed.train(perceptron(), vectors(), steps=1, **QUIET).folder == Path("runs/sequential")


@pytest.mark.parametrize(("options", "said"), [
    ({}, "received no length, expected exactly one of steps, epochs and seconds"),
    ({"steps": 1, "epochs": 2}, "received steps and epochs"),
    ({"steps": 0}, "steps=0, expected a whole number of at least 1"), ({"steps": 1.5}, "steps=1.5"), ({"steps": True}, "steps=True"),
    ({"steps": 1, "lr": -1.0}, "lr=-1.0, expected a positive number"), ({"steps": 1, "lr": float("nan")}, "lr=nan"),
    ({"steps": 1, "betas": (0.9,)}, "two numbers"), ({"steps": 1, "precision": "fp16"}, "'float32' or 'bf16'"),
    ({"steps": 1, "average": 1.0}, "from 0 to below 1 or None"), ({"steps": 1, "device": "tpu"}, "'cpu', 'cuda' or None"),
    ({"steps": 1, "learning_rate": 1.0}, "received learning_rate=1.0, expected settings"),
    ({"steps": 1, "bacth": 4}, "perhaps batch is meant"),
    ({"steps": 1, "validation": 1.5}, "a part between 0 and 1"), ({"steps": 1, "loss": "l3"}, "expected one of relative_l2"),
])
def test_bad_settings(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        wellposed.train(perceptron(), vectors(), folder=tmp_path / "run", **QUIET, **options)
    assert list(tmp_path.iterdir()) == []


def test_settings_may_be_given_as_a_whole(tmp_path):
    run = wellposed.train(perceptron(), vectors(), settings=Settings(epochs=5, batch=4), steps=3, folder=tmp_path / "run", **QUIET)
    assert (run.steps, run.config["settings"]["batch"]) == (3, 4)


@pytest.mark.parametrize(("loss", "said"), [
    (lambda p, t: p - t, r"of shape \(8, 2\), expected one number"),
    (lambda p, t: (p - t).sum().item(), "of the type float"),
    (lambda p, t: torch.zeros(()), "does not depend on the parameters"),
])
def test_bad_losses(tmp_path, loss, said):
    with pytest.raises(ValueError, match=said):
        wellposed.train(perceptron(), vectors(), loss=loss, steps=2, folder=tmp_path / "run", **QUIET)


def test_bad_objectives_and_models(tmp_path):
    call = {"steps": 2, "folder": tmp_path / "run", **QUIET}
    with pytest.raises(ValueError, match="neither of data and sample_on_the_fly"):
        Objective(lambda m, b: m(b))
    with pytest.raises(ValueError, match="expected the loss inside it"):
        wellposed.train(perceptron(), Endless().objective(), loss="mse", **call)
    with pytest.raises(ValueError, match="drawn on the fly, expected data of their own"):
        wellposed.train(perceptron(), Endless().objective(), validation=0.1, **call)
    with pytest.raises(ValueError, match="criterion='energy'"):
        wellposed.train(perceptron(), replace(Endless().objective(), criterion="energy"), **call)
    with pytest.raises(ValueError, match="without parameters"):
        wellposed.train(nn.Tanh(), (torch.ones(9, 2), torch.ones(9, 2)), **{**call, "folder": tmp_path / "tanh"})
    model = perceptron()
    model.config = {"act": torch.tanh}
    with pytest.raises(ValueError, match="config with act of the type builtin_function"):
        wellposed.train(model, vectors(), **call)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="finds no GPU"):
            wellposed.train(perceptron(), vectors(), device="cuda", **call)


RANKS = """
    import os, sys
    sys.path.insert(0, sys.argv[2])
    import torch, wellposed
    from small import perceptron, vectors
    torch.set_num_threads(1)
    pids = []
    for rank in range(2):
        if (pid := os.fork()) == 0:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
                           "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": sys.argv[3], "ACCELERATE_USE_CPU": "true"}
            run = wellposed.train(perceptron(), vectors(30), validation=vectors(6), folder=sys.argv[1], epochs=3, batch=4, quiet=True)
            os._exit(0 if len(run.history) == 3 else 1)
        pids.append(pid)
    sys.exit(sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 for pid in pids))
"""


def test_two_processes_train_as_one_does(tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-c", textwrap.dedent(RANKS), str(tmp_path / "two"), str(Path(__file__).parent), port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    two = load_weights(tmp_path / "two")
    one = wellposed.train(perceptron(), vectors(30), epochs=3, batch=4, folder=tmp_path / "one", **QUIET)
    for name, x in one.model.state_dict().items():
        torch.testing.assert_close(two[name], x, rtol=1e-4, atol=1e-5)


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = ("import sys; import wellposed, wellposed.training, wellposed.training.folder, wellposed.training.config, wellposed.testing; "
            "wellposed.training.write_run; wellposed.training.load_model_config; wellposed.training.Settings; "
            "sys.exit('torch' in sys.modules or 'accelerate' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    import wellposed.training as room

    assert set(room.__all__) == set(dir(room))
    assert all(getattr(room, name) is not None for name in room.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        room.fit  # noqa: B018
