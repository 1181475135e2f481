"""A run folder is whole or not there, is verified by name, and takes nothing that is not its own."""

import json
import os
import subprocess
import sys
import textwrap
import tomllib

import numpy as np
import pytest

import wellposed
from wellposed.elliptic import generate
from wellposed.training import folder as module
from wellposed.training.folder import recover, verify_run, write_run
from wellposed_check import check


@pytest.fixture(scope="module")
def content():
    problem = generate("smooth", 16, 1)
    answer = problem.solve()
    return {"config": {"demo": {"tol": 0.05, "seed": None}}, "certificate": wellposed.certify(problem, answer, 0.5),
            "history": [{"cycle": 0, "relative": None}, {"cycle": np.int64(1), "relative": np.float64(0.1)}],
            "report": "<p>η</p>", "card": "# a run\n", "problem": {"coefficient": problem.coefficient, "source": problem.source},
            "answer": {"potential": answer}}


def names(path):
    return {p.name for p in path.iterdir()}


def test_what_is_written_can_be_read_and_checked(tmp_path, content):
    run = write_run(tmp_path / "runs" / "demo", **content)
    listed = verify_run(run)
    assert set(listed) | {"manifest.json"} == names(run)
    assert names(run.parent) == {"demo"}
    assert tomllib.loads((run / "config.toml").read_text()) == {"demo": {"tol": 0.05}}
    assert [json.loads(row) for row in (run / "history.jsonl").read_text().splitlines()][1] == {"cycle": 1, "relative": 0.1}
    report = check(run, problem=run / "problem.npz", answer=run / "answer.npz")
    assert report.exit_code == 0
    assert report.presented is not None
    assert not report.presented.missing
    assert wellposed.load(run).verdict is True


def test_the_same_run_gives_the_same_bytes(tmp_path, content):
    one, two = (verify_run(write_run(tmp_path / name, **content)) for name in ("a", "b"))
    assert one == two


@pytest.mark.parametrize("name", ["certificate.json", "witness.safetensors", "report.html", "answer.npz", "config.toml"])
def test_tampering_is_named(tmp_path, content, name):
    run = write_run(tmp_path / "demo", **content)
    data = bytearray((run / name).read_bytes())
    data[len(data) // 2] ^= 1
    (run / name).write_bytes(data)
    with pytest.raises(ValueError, match=f"{name} differs"):
        verify_run(run)
    (run / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        verify_run(run)


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"format":"other","files":{}}',
                                  '{\n "files": 3,\n "format": "wellposed-run/1"\n}\n',
                                  '{\n "files": {\n  "../x": "0"\n },\n "format": "wellposed-run/1"\n}\n'])
def test_a_damaged_or_foreign_manifest(tmp_path, content, text):
    run = write_run(tmp_path / "demo", **content)
    (run / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match="not a run folder"):
        verify_run(run)
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    with pytest.raises(ValueError, match="not a run folder"):
        write_run(run, **content)
    assert before == {p.name: p.read_bytes() for p in run.iterdir()}
    assert names(tmp_path) == {"demo"}


def test_nothing_that_is_not_a_run_is_replaced(tmp_path, content):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years")
    (tmp_path / "file").write_text("kept")
    for name in ("mine", "file"):
        with pytest.raises(ValueError, match="nothing was written"):
            write_run(tmp_path / name, **content)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years"
    assert (tmp_path / "file").read_text() == "kept"
    assert names(tmp_path) == {"mine", "file"}
    with pytest.raises(ValueError, match="not a run folder"):
        verify_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    verify_run(write_run(tmp_path / "empty", **content))


def test_what_a_user_put_there_is_kept(tmp_path, content):
    run = write_run(tmp_path / "demo", **content)
    (run / "checkpoints" / "10").mkdir(parents=True)
    (run / "checkpoints" / "10" / "w").write_text("w")
    (run / "notes.txt").write_text("n")
    write_run(run, **{**content, "card": "# another\n"})
    verify_run(run)
    assert (run / "notes.txt").read_text() == "n"
    assert (run / "checkpoints" / "10" / "w").read_text() == "w"
    (run / "arrays.npz").write_text("mine")
    with pytest.raises(ValueError, match=r"arrays.npz is in the way"):
        write_run(run, **content, arrays={"x": np.ones(2)})
    assert (run / "arrays.npz").read_text() == "mine"
    assert (run / "README.md").read_text() == "# another\n"
    assert names(tmp_path) == {"demo"}


@pytest.mark.parametrize("bad", [{"history": [{"x": float("nan")}]}, {"arrays": {"x": np.array([None])}}])
def test_bad_content_changes_nothing(tmp_path, content, bad):
    run = write_run(tmp_path / "demo", **content)
    before = verify_run(run)
    with pytest.raises(ValueError, match=r"expected numbers|not finite"):
        write_run(run, **{**content, "card": "new", **bad})
    assert verify_run(run) == before
    assert names(tmp_path) == {"demo"}


KILLED = """
    import os, shutil, signal, sys
    import wellposed
    from pathlib import Path
    from wellposed.elliptic import generate
    from wellposed.training.folder import write_run
    place, countdown = Path(sys.argv[1]), [int(sys.argv[2])]
    problem = generate("smooth", 16, 1)
    certificate = wellposed.certify(problem, problem.solve())

    def deadly(f):
        def call(*args, **kwargs):
            countdown[0] -= 1
            if countdown[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return f(*args, **kwargs)
        return call

    for name in ("open", "replace", "rename", "fsync", "unlink", "rmdir"):
        setattr(os, name, deadly(getattr(os, name)))
    while True:
        pid = os.fork()
        if pid == 0:
            write_run(place, config={}, certificate=certificate, history=[], report="new", card="new")
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(countdown[0], os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, flush=True)
        if sys.stdin.readline().strip() != "again":
            break
        countdown[0] = int(sys.stdin.readline())
"""


def test_a_kill_at_any_step_leaves_the_old_run_or_the_new(tmp_path, content):
    place, left = tmp_path / "demo", set()
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), str(place), "1"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    write_run(place, **{**content, "card": "old"})
    for step in range(2, 400):
        _, died = map(int, process.stdout.readline().split())
        verify_run(place)
        left.add((place / "README.md").read_text())
        write_run(place, **{**content, "card": "old"})
        assert names(tmp_path) == {"demo"}
        assert verify_run(place)
        if not died:
            break
        process.stdin.write(f"again\n{step}\n")
        process.stdin.flush()
    process.communicate("stop\n")
    assert step > 20
    assert died == 0
    assert left == {"old", "new"}


def test_a_kill_between_the_two_renames_is_mended(tmp_path, content, monkeypatch):
    run = write_run(tmp_path / "demo", **{**content, "card": "old"})
    rename = os.rename

    def die_on_second(source, target):
        if target == run:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", die_on_second)
    monkeypatch.setattr(module, "recover", lambda place: None)
    with pytest.raises(KeyboardInterrupt):
        write_run(run, **{**content, "card": "new"})
    monkeypatch.undo()
    assert not run.exists()
    verify_run(run)
    assert (run / "README.md").read_text() == "old"
    assert names(tmp_path) == {"demo"}


def test_half_deleted_leftovers_go(tmp_path, content):
    run = write_run(tmp_path / "demo", **content)
    (tmp_path / ".demo.wellposed-old").mkdir()
    (tmp_path / ".demo.wellposed-old" / "report.html").write_text("half")
    (tmp_path / ".demo.999999999.new").mkdir()
    (tmp_path / f".demo.{os.getppid()}.new").mkdir()
    (tmp_path / ".demo.other.new").mkdir()
    recover(run)
    assert names(tmp_path) == {"demo", f".demo.{os.getppid()}.new", ".demo.other.new"}
    verify_run(run)
