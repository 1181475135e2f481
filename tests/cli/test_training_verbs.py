"""``wellposed run`` and ``wellposed train``, with settings so small that nothing good is learned."""

from __future__ import annotations

import numpy as np
import pytest

from wellposed.cli.main import main
from wellposed.elliptic import Darcy, MgNO, generate
from wellposed_check import check


def test_train_elliptic_then_load(tmp_path, capsys):
    data = tmp_path / "a.npy"
    np.save(data, np.asarray(generate("lognormal", 16, 6, seed=3).coefficient))
    out = tmp_path / "run"
    call = ["train", "elliptic", "--data", str(data), "--steps", "4", "--channels", "4", "--out", str(out)]
    assert main(call) == 0
    model = MgNO.load(out)
    potential, stream = model(Darcy(np.load(data)))
    assert potential.shape == stream.shape == (6, 17, 17)
    assert main(call) == 0  # finished: nothing is trained again
    assert "finished" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--loss", "bound", "--labels", "u.npy"], ["--boundary", "periodic"], ["--steps", "0"]])
def test_train_elliptic_says_what_is_wrong(tmp_path, capsys, more):
    data = tmp_path / "a.npy"
    np.save(data, np.ones((2, 16, 16)))
    assert main(["train", "elliptic", "--data", str(data), "--out", str(tmp_path / "run"), *more]) == 2
    assert "received" in capsys.readouterr().err


def test_a_trained_network_answers_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.asarray(generate("lognormal", 16, 6, seed=3).coefficient))
    drop = ["--source", "0", "--top", "neumann", "--bottom", "neumann", "--dirichlet", "left=1"]
    assert main(["train", "elliptic", "--data", "a.npy", "--steps", "4", "--channels", "4", *drop]) == 0
    said = capsys.readouterr().out
    assert "proved to be at most" in said
    assert "--model runs/trained --bottom neumann --top neumann --dirichlet left=1" in said
    assert main(["certify", "darcy", "--coefficient", "a.npy", "--model", "runs/trained", "--tol", "1e-9", *drop]) == 1
    assert "refine darcy --coefficient a.npy --source 0 --model runs/trained" in capsys.readouterr().out
    assert main(["refine", "darcy", "--coefficient", "a.npy", "--model", "runs/trained", "--tol", "0.5", *drop]) == 0
    assert check("runs/a-refined").exit_code == 0
    assert main(["certify", "darcy", "--coefficient", "a.npy", "--model", "runs/trained", "--answer", "u.npy"]) == 2
    assert "--model with --answer" in capsys.readouterr().err


def test_what_cannot_be_trained_is_said_with_options(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.ones((2, 16, 16)))
    assert main(["train", "elliptic", "--data", "a.npy", "--source", "0"]) == 2
    assert "its solution is zero" in capsys.readouterr().err
    assert main(["train", "elliptic", "--data", "a.npy", "--lr", "1e9", "--steps", "9", "--channels", "4"]) == 2
    said = capsys.readouterr().err
    assert "try --lr 1e+08" in said
    assert "resume" not in said


def test_run_darcy_leaves_a_certificate_that_checks(tmp_path):
    out = tmp_path / "darcy"
    call = ["run", "darcy", "--steps", "3", "--resolution", "16", "--channels", "4", "--layers", "2", "--unseen", "2", "--references", "1",
            "--singles", "1", "--out", str(out)]
    assert main(call) == 0
    assert check(out, problem=out / "problem.npz", answer=out / "answer.npz").exit_code in (0, 3)
    assert (out / "report.html").stat().st_size > 10_000
    assert main(call) == 0


def test_recipes_and_families_know_the_same_names():
    from wellposed.cli import recipe
    from wellposed.elliptic import families

    assert set(recipe.FIELDS) == set(families.NAMES)
    assert recipe.SOURCES == families.SOURCES


def test_a_misspelt_family_is_said_before_training(tmp_path):
    from wellposed.cli.recipe import read_recipe

    file = tmp_path / "my.toml"
    file.write_text('[[train]]\nname = "a"\nfield = "two-phase"\nsamples = 4\n[[outside]]\nname = "b"\nfield = "smoth"\nsamples = 4\n')
    with pytest.raises(ValueError, match="smoth"):
        read_recipe(str(file))
