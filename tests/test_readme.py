"""The README is true."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_python_runs_and_prints_the_certificate_shown(tmp_path):
    blocks = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    program = next(text for language, text in blocks if language == "python")
    shown = next(text for language, text in blocks if not language and "elliptic.energy_error/1" in text)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    printed = [line.rstrip() for line in run.stdout.splitlines() if line.strip()]
    expected = [line.rstrip() for line in shown.splitlines() if line.strip()]
    assert printed[: len(expected)] == expected


def test_the_other_python_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    for program in blocks[1:]:
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        assert "/1 (theorem, margin)" in run.stdout


def test_every_file_it_links_to_is_there():
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
