"""The commands, as a user types them."""

import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from wellposed.cli.main import main
from wellposed.elliptic import generate


@pytest.fixture
def case(tmp_path, monkeypatch):
    """A folder with a coefficient, a source and a solver's answer, as the current folder."""
    monkeypatch.chdir(tmp_path)
    problem = generate("lognormal", 16, 1)
    np.save("a.npy", problem.coefficient.numpy())
    np.savez("problem.npz", coefficient=problem.coefficient.numpy(), source=problem.source.numpy())
    np.save("u.npy", problem.solve())
    return tmp_path


def run(line: str) -> int:
    return main(shlex.split(line))


def printed_commands(text: str) -> list[str]:
    return re.findall(r"^  \S*wellposed (.*)$", text, re.M)


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["check", "--help"]])
def test_light_commands_do_not_import_heavy_packages(arguments):
    code = f"import sys\nfrom wellposed.cli.main import main\ntry:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
    code += "sys.exit('torch' in sys.modules or 'scipy' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(("tol", "code"), [("", 0), ("--tol 0.2", 0), ("--tol 0.1", 3), ("--tol 0.01", 1)])
def test_certify_exits_by_the_verdict_and_prints_true_commands(case, capsys, tol, code):
    assert run(f"certify darcy --coefficient a.npy --answer u.npy {tol}") == code
    commands = printed_commands(capsys.readouterr().out)
    assert commands
    assert run(commands[0]) == code
    for command in commands[1:]:
        assert run(command) in (0, 3)


def test_refine_reaches_the_tolerance_on_a_finer_mesh(case, capsys):
    assert run("refine darcy --coefficient problem.npz --source problem.npz --answer u.npy --tol 0.05 --mesh auto") == 0
    for command in printed_commands(capsys.readouterr().out):
        assert run(command) == 0
    assert (np.load("runs/u-refined/answer.npz")["potential"].shape[1] - 1) % 32 == 0


def test_refine_starts_from_zero_without_an_answer(case):
    assert run("refine darcy --coefficient a.npy --tol 0.2 --out zero") == 0


def test_check_refuses_another_answer(case, capsys):
    assert run("certify darcy --coefficient a.npy --answer u.npy --tol 0.2") == 0
    np.save("other.npy", np.load("u.npy") * 1.001)
    assert run("check runs/u --problem a.npy --answer other.npy") == 4
    assert "refused" in capsys.readouterr().out


def test_sides_are_named_on_the_command_line(case, capsys):
    sides = {"bottom": "neumann", "right": "dirichlet", "top": "neumann", "left": "dirichlet"}
    from wellposed.elliptic import Darcy

    a = np.load("a.npy")
    np.save("v.npy", Darcy(a, 0.0, sides, dirichlet={"left": 1.0}, neumann={"top": 0.1}).solve())
    line = "--coefficient a.npy --source 0 --answer v.npy --bottom neumann --top neumann --dirichlet left=1 --neumann top=0.1 --tol 0.01"
    assert run(f"certify darcy {line}") in (1, 3)
    refine = printed_commands(capsys.readouterr().out)[1]
    assert "--top neumann" in refine
    assert run(refine) in (0, 3)


@pytest.mark.parametrize(("line", "words"), [
    ("certify darcy --coefficient missing.npy --answer u.npy", ["there is no file missing.npy"]),
    ("certify darcy --coefficient a.npy", ["--answer", "refine darcy"]),
    ("certify darcy --coefficient u.npy --answer u.npy", ["coefficient", "positive"]),
    ("certify darcy --coefficient a.npy --answer a.npy", ["potential", "(1, 17, 17)", "nodes"]),
    ("certify darcy --coefficient broken.npy --answer u.npy", ["broken.npy", "not a .npy"]),
    ("certify darcy --coefficient notes.txt --answer u.npy", ["notes.txt", ".npz"]),
    ("certify darcy --coefficient problem.npz:nothing --answer u.npy", ["nothing", "coefficient"]),
    ("certify darcy --coefficient a.npy --answer u.npy --dirichlet north=1", ["north=1", "SIDE=NUMBER"]),
    ("certify darcy --coefficient a.npy --answer raised.npy", ["wellposed.elliptic.clamp"]),
    ("certify darcy --coefficient a.npy --answer u.npy --boundary neumann", ["do not balance"]),
    ("refine darcy --coefficient a.npy --answer u.npy --tol -1", ["tol"]),
    ("nothing", ["nothing", "certify"]),
    ("check missing", ["there is no file"]),
])
def test_bad_input_gets_one_clear_error_and_changes_nothing(case, capsys, line, words):
    (case / "broken.npy").write_bytes(b"not an array")
    (case / "notes.txt").write_text("1 2 3")
    np.save("raised.npy", np.load("u.npy") + 1.0)
    before = sorted((p, p.stat().st_mtime_ns) for p in case.rglob("*"))
    assert run(line) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert sorted((p, p.stat().st_mtime_ns) for p in case.rglob("*")) == before


def test_clamp_writes_the_boundary_values(case):
    np.save("raised.npy", np.load("u.npy") + 1e-3)
    assert run("certify darcy --coefficient a.npy --answer raised.npy --clamp") == 0


@pytest.mark.parametrize("suffix", ["h5", "zarr", "mat"])
def test_other_formats_are_read(case, suffix):
    a, u = np.load("a.npy")[0], np.load("u.npy")[0]
    if suffix == "h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File("field.h5", "w") as file:
            file["data/coefficient"], file["u"] = a, u
        name = "field.h5:data/coefficient"
    elif suffix == "zarr":
        zarr = pytest.importorskip("zarr")
        group = zarr.open_group("field.zarr", mode="w")
        group["coefficient"], group["u"] = a, u
        name = "field.zarr"
    else:
        from scipy.io import savemat

        savemat("field.mat", {"coefficient": a, "u": u})
        name = "field.mat"
    assert run(f"certify darcy --coefficient {name} --answer field.{suffix} --tol 0.2") == 0
