"""``wellposed run`` with a recipe of sequences: small networks, all that is promised."""

import dataclasses
import json

import pytest

from wellposed.cli.main import main
from wellposed.cli.recipe import of_sequences
from wellposed.cli.sequence_recipe import SHIPPED, SIZES, read_sequence_recipe
from wellposed.sequence import SequenceModel, tasks
from wellposed.sequence.split import Split
from wellposed_check import check

RECIPE = """
task = "uci-digits"
inits = ["s4d", "damped"]
tones = true

[desk]
features = 3
layers = 1
state = 8
steps = 2
"""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", SHIPPED)
def test_recipes_that_ship_can_be_read(name, size):
    recipe = read_sequence_recipe(name, size)
    assert of_sequences(name)
    assert recipe.size == size
    assert recipe.task
    assert recipe.out.parts[0] == "runs"
    assert (recipe.steps is None) != (recipe.epochs is None)
    small = recipe.model | {"features": 2, "layers": 1}
    for init in recipe.inits:
        assert SequenceModel(1, 2, init=init, **small)


def test_a_run_certifies_trains_tests_and_is_found_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    task = tasks.load("uci-digits")
    few = {name: Split(*(x[:40] for x in getattr(task, name))) for name in ("train", "validation", "test")}
    monkeypatch.setattr(tasks, "load", lambda *a, **k: dataclasses.replace(task, **few))
    (tmp_path / "mine.toml").write_text(RECIPE)
    assert main(["run", "mine.toml", "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    for word in ("fails (2 proved", "holds (2 proved", "tone at S4D's peak", "stable after training", "done in"):
        assert word in printed
    for init, status in (("s4d", False), ("ptd", True)):
        folder = tmp_path / "runs/mine" / init
        assert check(folder, folder / "problem.npz", folder / "answer.npz").status is status
        results = json.loads((folder / "results.json").read_text())
        assert {"accuracy", "gap", "trained_gap", "toned", "worst", "search", "streamed", "gain"} <= set(results)
        assert results["streamed"]["difference"] < 1e-3
    page = (tmp_path / "runs/mine/report.html").read_text()
    assert page.count("<svg") == 5
    assert main(["run", "mine.toml", "--threads", "1"]) == 0
    assert "holds this run, finished" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "said"), [
    ('task = "uci-digits"\nstepz = 3', "stepz"), ('task = "uci-digits"\n[desk]\nsteps = "many"', "steps"),
    ('task = "uci-digits"\n[desk]\nepochs = 1\nsteps = 1', "steps and epochs"), ('task = "no"\n[desk]\nsteps = 1', "task")])
def test_bad_recipes_are_named(tmp_path, monkeypatch, capsys, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text(text)
    assert main(["run", "bad.toml"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
