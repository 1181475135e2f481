"""The trusted base: short, numpy and the standard library alone, and independent of what it checks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import wellposed_check

PACKAGE = Path(wellposed_check.__file__).parent
PROBE = """
import sys
before = set(sys.modules)
import numpy
allowed = set(sys.modules)
import wellposed_check
from wellposed_check.verify import CLAIMS
import importlib
from wellposed_check.__main__ import main
status = main([sys.argv[1]])
for name in CLAIMS.values():
    importlib.import_module(name)
roots = {name.split(".")[0] for name in set(sys.modules) - allowed}
print(status, *sorted(root for root in roots if root not in sys.stdlib_module_names and root not in ("numpy", "wellposed_check")))
"""


def test_a_check_imports_numpy_and_the_standard_library_alone(folder: Path):
    done = subprocess.run([sys.executable, "-c", PROBE, str(folder)], capture_output=True, text=True, check=True)
    *_, last = done.stdout.strip().splitlines()
    assert last == "0"


ALONE = {Path("proximal/coverage.py")}  # shares nothing with the rest of its room, and no certificate has it beside another claim


def test_what_an_expert_reads_for_one_certificate_is_at_most_1500_lines():
    """The shared base and the room of the certificate."""
    lines = {path.relative_to(PACKAGE): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    shared = sum(count for path, count in lines.items() if len(path.parts) == 1)
    rooms = {path.parts[0] for path in lines if len(path.parts) > 1}
    assert {"elliptic", "sequence"} <= rooms
    for room in rooms:
        assert shared + sum(count for path, count in lines.items() if path.parts[0] == room and path not in ALONE) <= 1500, (room, lines)
    assert all("wellposed_check.proximal" not in (PACKAGE / path).read_text() for path in ALONE)


def test_source_names_no_other_package():
    for path in PACKAGE.rglob("*.py"):
        for line in path.read_text().splitlines():
            if line.strip().startswith(("import ", "from ")):
                root = line.split()[1].split(".")[0]
                assert root in sys.stdlib_module_names | {"numpy", "wellposed_check"}, f"{path}: {line}"
