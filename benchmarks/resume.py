"""Is a run that was killed as good as one that was not? kill -9 at random moments, the same command again, the same bits at the end.

    python benchmarks/resume.py [--kills 20] [--steps 1500]

A small convolutional network with dropout, batch statistics and an average of its weights is trained in a process of its own, which is
killed again and again; where a run gets to its end before all kills are spent, another begins. Exits 1 if a weight differs in a bit, or if
fewer than a third of the kills came after a checkpoint.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from wellposed.training import Run, verify_run
from wellposed.training import train as begin
from wellposed.training.checkpoints import steps as checkpoints

WEIGHTS = ("weights.safetensors", "last.safetensors")


def train(folder: Path, steps: int) -> Run:
    """The run under test; nothing in it but the folder changes from call to call."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.GELU(), nn.Dropout(0.1), nn.Conv2d(8, 1, 3, padding=1))
    x = torch.randn(100, 1, 12, 12)
    return begin(model, (x, x.cumsum(-1)), steps=steps, validation=0.2, average=0.99, folder=folder, checkpoint_every=40,
                 report_every=100, quiet=True)


def life(folder: Path, steps: int, seconds: float) -> bool:
    """One process on the run, killed after `seconds` of training; whether it came to the end before."""
    process = subprocess.Popen([sys.executable, __file__, "--child", str(folder), "--steps", str(steps)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # it has imported all, and begins
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return False


def same(folder: Path, whole: dict[str, str]) -> bool:
    """Whether the files of weights have the SHA-256 of the undisturbed run's; the files themselves are verified too."""
    listed = verify_run(folder)
    return all(listed.get(name) == whole.get(name) for name in WEIGHTS)


def measure(place: Path, kills: int, steps: int) -> tuple[list[tuple[str, str, str, str]], bool, int]:
    """Rows of the table, whether all weights are the same, and how many kills came after a checkpoint."""
    run = train(place / "whole", steps)
    whole, rng = verify_run(run.folder), np.random.default_rng()
    rows, good, number, later = [], True, 1, 0
    for _ in track(range(kills), description="killing", transient=True):
        moment = float(rng.uniform(0, 4 * run.seconds / kills + 0.1))
        while life(place / str(number), steps, moment):
            good &= _ended(rows, number, same(place / str(number), whole))
            number += 1
        found = checkpoints(place / str(number))
        later += bool(found)
        rows.append((str(number), f"{moment:.2f} s", f"step {found[0]}" if found else "the beginning", ""))
    train(place / str(number), steps)
    good &= _ended(rows, number, same(place / str(number), whole))
    return rows, good, later


def _ended(rows: list[tuple[str, str, str, str]], number: int, good: bool) -> bool:
    rows.append((str(number), "-", "-", "the same" if good else "NOT the same"))
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        with tempfile.TemporaryDirectory() as elsewhere:
            train(Path(elsewhere) / "warm", 1)  # torch imports more when it first takes a step
        print("begun", flush=True)
        train(options.child, options.steps)
        return
    with tempfile.TemporaryDirectory() as place:
        rows, good, later = measure(Path(place), options.kills, options.steps)
    table = Table("run", "killed after", "went on from", "weights at the end", title="kill -9 while training")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    print(f"{options.kills} kills, {later} of them after a checkpoint, over {rows[-1][0]} runs of {options.steps} steps; weights, bit for "
          f"bit beside an undisturbed run: {'the same' if good else 'NOT the same'}")
    sys.exit(not good or later < options.kills // 3)


if __name__ == "__main__":
    main()
