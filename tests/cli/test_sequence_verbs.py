"""``wellposed certify bank|matrix|model`` and ``wellposed train sequence``, with settings so small that nothing good is learned."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from wellposed.cli.main import main
from wellposed.sequence import damped_hippo, legs
from wellposed_check import check


def run(line: str) -> int:
    return main(shlex.split(line))


def printed_commands(text: str) -> list[str]:
    return re.findall(r"^  \S*wellposed (.*)$", text, re.M)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """S4D, a damped system, one that is unstable, and one without eigenvectors, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, theta in (("s4d", 1.0), ("damped", 0.2)):
        bank = damped_hippo(12, theta)
        np.savez(f"{name}.npz", Lambda=bank.eigenvalues, V=bank.eigenvectors, B=bank.B)
    bank = damped_hippo(12, 1.0)
    np.savez("grows.npz", Lambda=bank.eigenvalues + 1, V=bank.eigenvectors, B=bank.B)
    np.savez("alone.npz", Lambda=bank.eigenvalues[bank.eigenvalues.imag > 0])
    np.save("a.npy", legs(12).matrix())
    return tmp_path


@pytest.mark.parametrize(("line", "code", "word"), [
    ("bank --file s4d.npz", 1, "a system that is zero is nearer"),
    ("bank --file damped.npz", 0, "not above"),
    ("bank --file damped.npz --tol 1e-5 --out here", 1, "--tol"),
    ("bank --file grows.npz", 1, "unstable"),
    ("bank --file alone.npz --eigenvectors normal", 1, "assumed: the eigenvectors"),
    ("bank --file damped.npz --reference lagt --tol 1", 1, "lagt"),
    ("matrix --file a.npy", 0, "perturbed by"),
    ("matrix --file a.npy --tol 1e-3", 0, "holds"),
    ("matrix --file a.npy --tol 1e-3 --delta 0.1", 1, "fails"),
])
def test_certify_exits_by_the_verdict_and_prints_a_true_command(here, capsys, line, code, word):
    assert run(f"certify {line}") == code
    said = capsys.readouterr().out
    assert word in said
    commands = printed_commands(said)
    assert len(commands) == 1
    assert run(commands[0]) == code
    assert "subject presented" in capsys.readouterr().out


def test_another_system_is_refused(here):
    assert run("certify bank --file s4d.npz") == 1
    assert run("certify bank --file damped.npz") == 0
    assert check("runs/damped-bank", answer="runs/s4d-bank/answer.npz").exit_code == 4


def test_what_was_written_can_be_read_again(here, capsys):
    assert run("certify bank --file damped.npz") == 0
    capsys.readouterr()
    assert run("certify bank --file runs/damped-bank/answer.npz --out again") == 0
    assert "read:" not in capsys.readouterr().out
    assert check("again", problem="runs/damped-bank/problem.npz", answer="runs/damped-bank/answer.npz").exit_code == 0


@pytest.mark.parametrize(("line", "words"), [
    ("certify bank --file alone.npz", ["--eigenvectors normal"]),
    ("certify bank --file a.npy", ["certify matrix"]),
    ("certify bank --file missing.npz", ["there is no file missing.npz"]),
    ("certify bank --file s4d.npz --out a.npy", ["a.npy", "folder"]),
    ("certify bank --file s4d.npz --tol -1", ["tol"]),
    ("certify matrix --file s4d.npz", ["expected A or matrix"]),
    ("certify matrix --file s4d.npz:B", ["square matrix"]),
    ("certify matrix --file a.npy --delta small", ["--delta", "auto"]),
    ("certify model --run missing", ["missing"]),
    ("certify frog", ["frog", "darcy, flow, image, prox, prior, bank, matrix, model"]),
    ("certify", ["certify PROBLEM", "bank --file FILE"]),
    ("refine bank", ["expected one of darcy"]),
    ("train", ["elliptic", "sequence"]),
])
def test_bad_calls_get_one_clear_error_and_change_nothing(here, capsys, line, words):
    before = sorted((p, p.stat().st_mtime_ns) for p in here.rglob("*"))
    assert run(line) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert sorted((p, p.stat().st_mtime_ns) for p in here.rglob("*")) == before


@pytest.mark.parametrize("line", ["certify bank --help", "train sequence --help"])
def test_help_imports_no_torch(line):
    code = f"import sys\nfrom wellposed.cli.main import main\ntry:\n    main({line.split()!r})\nexcept SystemExit:\n    pass\n"
    assert subprocess.run([sys.executable, "-c", f"{code}sys.exit('torch' in sys.modules)"], stdout=subprocess.DEVNULL).returncode == 0


def data(kind: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    y, t = rng.integers(0, 3, 40), np.arange(20)
    x = np.sin(t * (0.3 + 0.3 * y[:, None]))[..., None]
    return {
        "classes": {"x": x, "y": y}, "columns": {"x": x, "y": y[:, None]},
        "tokens": {"x": np.where(t < rng.integers(5, 21, 40)[:, None], rng.integers(1, 6, (40, 20)), 0), "y": y},
        "lengths": {"x": x, "y": y, "lengths": rng.integers(5, 21, 40)},
        "numbers": {"x": x, "y": rng.standard_normal((40, 2))},
        "steps": {"x": x, "y": np.cumsum(x, 1)},
        "classes of steps": {"x": x, "y": (x[..., 0] > 0).astype(int), "lengths": rng.integers(5, 21, 40)},
        "own validation": {"x": x, "y": y, "x_validation": x[:9, :10], "y_validation": y[:9]},
    }[kind]


SMALL = "--steps 2 --features 4 --state 4 --layers 1 --batch 8"


@pytest.mark.parametrize(("kind", "more", "shape"), [
    ("classes", "", (3,)), ("columns", "--layer s5 --blocks 2 --init s5", (3,)), ("tokens", "--head last", (3,)), ("lengths", "--mixing glu", (3,)),
    ("numbers", "--norm layer", (2,)), ("steps", "--bidirectional", (20, 1)), ("classes of steps", "", (20, 2)), ("own validation", "", (3,))])
def test_train_sequence_then_load_check_and_certify(tmp_path, monkeypatch, capsys, kind, more, shape):
    import torch

    from wellposed.sequence import SequenceModel

    monkeypatch.chdir(tmp_path)
    arrays = data(kind)
    np.savez("d.npz", **arrays)
    assert run(f"train sequence --data d.npz {SMALL} {more}") == 0
    said = capsys.readouterr().out
    assert "accuracy" in said if arrays["y"].dtype.kind == "i" else "root mean square error" in said
    assert ("model.step" in said) == ("--bidirectional" not in more)
    x = torch.from_numpy(arrays["x"])
    assert SequenceModel.load("runs/sequence")(x.float() if x.is_floating_point() else x).shape[1:] == shape
    for command in printed_commands(said):
        assert run(command) == 0
        assert all(run(again) == 0 for again in printed_commands(capsys.readouterr().out))
    if kind == "classes":
        assert run(f"train sequence --data d.npz {SMALL}") == 0  # finished: nothing is trained again
        assert "finished" in capsys.readouterr().err
        assert run("certify model --run runs/sequence") == 2
        assert "--length STEPS" in capsys.readouterr().err
        assert run("certify bank --file runs/sequence --feature 1") == 0
    if kind == "tokens":
        assert run("certify model --run runs/sequence") == 2
        assert "--no-gain" in capsys.readouterr().err
        assert run("certify model --run runs/sequence --no-gain") == 0


def bad(**changes) -> dict[str, np.ndarray]:
    return {k: v for k, v in (data("classes") | changes).items() if v is not None}


NAN = np.where(np.arange(40)[:, None, None] == 3, np.nan, np.ones((40, 20, 1)))


@pytest.mark.parametrize(("arrays", "words"), [
    (bad(y=None), "expected x and y"),
    (bad(x=np.ones((40, 20))), r"x\[..., None\]"),
    (bad(x=np.ones((40, 20, 1), int)), "astype"),
    (bad(x=NAN), "x with numbers that are not finite, first in sample 3"),
    (bad(x=np.ones((40, 20, 1))), "same number everywhere"),
    (bad(y=np.full((40, 2), np.nan)), "y with numbers that are not finite"),
    (bad(y=data("classes")["y"][:30]), r"received x \(40, 20, 1\) and y \(30,\)"),
    (bad(y=data("classes")["y"] + 1), "from 1 to 3"),
    (bad(y=data("classes")["y"] * 100), "return_inverse"),
    (bad(y=np.zeros(40, int)), "at least two"),
    (bad(y=data("classes")["y"] * 1.0), "y.astype"),
    (bad(y=np.ones((40, 7), int)), "received y"),
    (bad(y=np.array(["a"] * 40)), "received y"),
    (bad(lengths=np.full(40, 21)), "from 1 to 20"),
    (bad(lengths=np.full(39, 5)), "for each of the 40"),
    (bad(x=-np.ones((40, 20), int)), "tokens"),
    (bad(x=np.eye(40, 20, dtype=int)), "nothing but padding, sample 20"),
    (bad(x_validation=np.ones((4, 20, 1))), "both or neither"),
    (bad(x_validation=np.random.default_rng(0).random((4, 20, 2)), y_validation=np.arange(4) % 3), "make both in the same way"),
])
def test_bad_arrays_get_one_clear_error(tmp_path, monkeypatch, capsys, arrays, words):
    monkeypatch.chdir(tmp_path)
    np.savez("d.npz", **arrays)
    assert run("train sequence --data d.npz") == 2
    said = capsys.readouterr().err
    assert re.search(words, said), said
    assert "d.npz: " in said
    assert not (tmp_path / "runs").exists()


def test_what_is_doubtful_is_told(tmp_path, monkeypatch, capsys):
    from wellposed.sequence.examples import examples

    arrays = data("classes")
    assert "standard deviations" in examples(arrays["x"] * 50, arrays["y"]).notes[0]
    assert "no example of the classes 1" in examples(arrays["x"], np.where(arrays["y"] == 1, 2, arrays["y"])).notes[0]
    assert "--head mean" in examples(arrays["x"], arrays["x"][..., 0]).notes[-1]
    assert "whole numbers" in examples(arrays["x"], arrays["y"][:, None] * 1.0).notes[-1]
    assert "padding" in examples(np.where(np.arange(20) == 3, 0, 1) * np.ones((40, 1), int), arrays["y"]).notes[0]
    assert examples(arrays["x"], arrays["y"]).notes == ()


def test_steps_after_the_end_do_not_count():
    import torch

    from wellposed.sequence.examples import cross_entropy_of_steps, mse_of_steps

    x, lengths = torch.randn(3, 5, 2), torch.tensor([5, 2, 1])

    def model(x, lengths):
        return 2 * x

    for loss, y in ((mse_of_steps, torch.randn(3, 5, 2)), (cross_entropy_of_steps, torch.randint(0, 2, (3, 5)))):
        value, other = loss(model, (x, lengths, y)), y.clone()
        other[1, 2:] = 1 - other[1, 2:]
        assert torch.equal(value, loss(model, (x, lengths, other)))
        other[1, :2] = 1 - other[1, :2]
        assert not torch.equal(value, loss(model, (x, lengths, other)))


def test_the_second_act_of_the_demo(tmp_path, monkeypatch, capsys):
    from wellposed.cli.console import console
    from wellposed.cli.demo_audit import audit

    monkeypatch.chdir(tmp_path)
    audit(console(), tmp_path / "demo-audit")
    said = capsys.readouterr().out
    assert "exit 1, fails" in said
    assert "exit 0, holds" in said
    commands = printed_commands(said)
    assert [run(command) for command in commands[:2]] == [1, 0]
