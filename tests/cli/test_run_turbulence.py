"""``wellposed run`` with a recipe of flows: a small network, all that is promised."""

import json

import pytest

from wellposed.cli import turbulence
from wellposed.cli.main import main
from wellposed.cli.recipe import of_sequences
from wellposed.cli.turbulence_recipe import SHIPPED, of_flows, read_turbulence_recipe
from wellposed_check import check

RECIPE = """
flow = "decaying"
steps = 6
viscosity = 2e-2
resolution = 16
samples = 3
span = 0.22
horizon = 0.22
frames = 3
tol = 1e-4
unseen = 2
singles = 1
modes = 3
channels = 3
layers = 1

[[outside]]
name = "other grid"
resolution = 20
samples = 1
speed = 0.5
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the recipe, as the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(RECIPE)
    return tmp_path


@pytest.mark.parametrize("name", SHIPPED)
def test_recipes_that_ship_can_be_read(name):
    recipe = read_turbulence_recipe(name)
    assert of_flows(name)
    assert not of_sequences(name)
    assert recipe.out.parts[0] == "runs"
    assert recipe.outside
    assert recipe.settings["seconds"]


def test_a_run_is_stopped_goes_on_certifies_and_is_found_again(here, monkeypatch, capsys):
    def stopped(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(turbulence, "_exam", stopped)
        assert main(["run", "mine.toml"]) == 130
    capsys.readouterr()
    assert main(["run", "mine.toml"]) == 0
    printed = capsys.readouterr()
    assert "holds this run, finished" in printed.err  # the flows were generated alike, and the training was not done again
    for word in ("decaying *", "other grid", "held field", "coarse solver", "met", "done in"):
        assert word in printed.out
    folder = here / "runs/mine"
    assert check(folder, folder / "problem.npz", folder / "answer.npz").status is True
    assert check(folder / "prediction", folder / "problem.npz", folder / "prediction/answer.npz").status is False
    results = json.loads((folder / "results.json").read_text())
    assert [r["met"] for r in results["families"]] == [2, 1]
    assert len(results["losses"]) == 5
    assert all(len(rows) == 4 for rows in results["guards"].values())
    page = (folder / "report.html").read_text()
    assert page.count("<svg") == 11

    monkeypatch.setattr(turbulence, "_made", stopped)
    assert main(["run", "mine.toml"]) == 0
    assert "nothing was computed again" in capsys.readouterr().out
    assert main(["run", "mine.toml", "--tol", "1e-3"]) == 130  # another question is another exam


@pytest.mark.parametrize(("text", "said"), [
    ("viscosity = -1.0", "--viscosity: received -1.0"), ("samplez = 3", "samplez"), ("samples = 3.5", "a whole number"),
    ("viscosity = true", "viscosity"), ("span = 0.01", "--span"), ("resolution = 15", "even"), ("outside = 3", "[[outside]]"),
    ('[[outside]]\nname = "x"\nstart = "no"', "mcwilliams"), ('[[outside]]\nnames = "x"', "names"), ('[[outside]]\nresolution = 9', "9")])
def test_bad_recipes_are_named(tmp_path, monkeypatch, capsys, text, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.toml").write_text(f'flow = "decaying"\n{text}')
    assert main(["run", "bad.toml"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_unknown_flow_and_another_folder_are_named(here, capsys):
    (here / "bad.toml").write_text('flow = "no"')
    assert main(["run", "bad.toml"]) == 2
    assert "decaying, forced, kolmogorov" in capsys.readouterr().err
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("mine")
    assert main(["run", "mine.toml", "--out", "mine"]) == 2
    assert "not a run folder" in capsys.readouterr().err
    assert [p.name for p in (here / "mine").iterdir()] == ["notes.txt"]
