"""CPU seconds of the commands that must be quick: ``wellposed --help``, ``list``, ``check``.

    python benchmarks/startup.py [--repeats 9]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import wellposed

SHIPPED = Path(wellposed.__file__).parent / "elliptic" / "data" / "certificate"


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one run."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    program = [sys.executable, "-m", "wellposed.cli.main"]
    for arguments in (["--help"], ["list"], ["check", str(SHIPPED)]):
        times = [cpu_seconds(program + arguments) for _ in range(options.repeats)]
        print(f"wellposed {arguments[0]:<8}{np.median(times):>7.3f} s of CPU, median of {options.repeats}")


if __name__ == "__main__":
    main()
