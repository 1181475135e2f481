"""Does the trained network earn its place? Guaranteed answers per second from its answers, from zero, from the classical solver.

    python benchmarks/guarded_network.py [--run FOLDER] [--count 1000] [--tol 0.05 0.1 0.2]

The network of `wellposed run darcy` (from a run folder, or trained here, in runs/benchmarks/darcy, 60 s on one thread) guards unseen fields
of 64 x 64 cells: of the family that it was trained on; and of all seven families of the recipe, mixed as benchmarks/unsolved_bounds.py asks
them (four tenths of the first, one tenth of each other). At batch 1 and at batch 64, each tolerance by itself. The three starts take turns
batch by batch (32 fields at batch 1), in rotating order; rates are medians over these turns, beside the rate of all answers by the clock
and by the process's CPU time. The time of the network's answers is counted, that of its training is not. Resumable: turns are kept in
runs/benchmarks. Exit status 1 if an answer is refused; whether the network wins is printed, not required.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from unsolved_bounds import families, trained

from wellposed import guarded
from wellposed.cli.recipe import read_recipe
from wellposed.elliptic import Darcy, MgNO
from wellposed.elliptic.families import join
from wellposed.guarded import OUTCOMES, guard
from wellposed.report.earned import GuardRow, judgement

FOLDER = Path("runs/benchmarks")
TURN, LARGE = 32, 64
SECONDS = {1: 0.05, LARGE: 0.015}  # an answer, about; 3.5 times that where most need a finer mesh
Turn = dict[str, Any]


def problems(count: int) -> dict[str, Darcy]:
    """Unseen fields, in an order drawn at random."""
    recipe = read_recipe("darcy")
    share = -(-count // 10)
    own = families(recipe, count, 1)[0][1]
    mixed = join([problem for _, problem in families(recipe, max(count - 6 * share, 1), share)])
    order = np.random.default_rng(0).permutation(len(mixed))[:count]
    return {"trained family": own, "all families": mixed[torch.from_numpy(order)]}


def starts(model: MgNO) -> dict[str, Callable[[Darcy], Any] | None]:
    return {"network": model, "zero start": None, "classical solver": lambda problem: problem.solve()}


def turn(start: Callable[[Darcy], Any] | None, tol: float, problem: Darcy, batch: int) -> Turn:
    """One start on some fields, in calls of so many."""
    watch, cpu, cycles = guard(start, tol), time.process_time(), []
    for first in range(0, len(problem), batch):
        cycles += watch(problem[first : first + batch]).cycles.tolist()
    return {"counts": dict(watch.counts), "seconds": watch.seconds, "cpu": time.process_time() - cpu, "cycles": cycles}


class Turns:
    """All turns, kept in one file for each network, set and tolerance."""

    def __init__(self, model: MgNO) -> None:
        self.starts = starts(model)
        weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
        sources = b"".join(Path(str(module.__file__)).read_bytes() for module in (guarded, sys.modules[MgNO.__module__]))
        self.key = hashlib.sha256(weights + sources + json.dumps(model.config).encode()).hexdigest()[:12]

    def take(self, name: str, problem: Darcy, tol: float, batch: int, progress: Progress, task: Any) -> dict[str, list[Turn]]:
        file = FOLDER / f"guard-{self.key}-{name.replace(' ', '-')}-{len(problem)}-{tol:g}-{batch}.json"
        kept: dict[str, list[Turn]] = json.loads(file.read_text()) if file.exists() else {start: [] for start in self.starts}
        size, names = max(TURN, batch), list(self.starts)
        for k, first in enumerate(range(0, len(problem), size)):
            part = problem[first : first + size]
            progress.advance(task, len(part) * cost(batch, tol) * len(names))
            if len(kept[names[0]]) > k:
                continue
            found = {}
            for start in names[k % len(names) :] + names[: k % len(names)]:
                if k == 0:
                    turn(self.starts[start], tol, part[:batch], batch)  # what is slow the first time does not count
                found[start] = turn(self.starts[start], tol, part, batch)
            for start, taken in found.items():
                kept[start].append(taken)
            FOLDER.mkdir(parents=True, exist_ok=True)
            file.with_suffix(".part").write_text(json.dumps(kept))
            file.with_suffix(".part").replace(file)
        return kept


def cost(batch: int, tol: float) -> float:
    return SECONDS[batch] * (3.5 if tol < 0.1 else 1.0)


def given(t: Turn) -> int:
    return sum(t["counts"].values()) - t["counts"]["refused"]


def row(start: str, turns: list[Turn]) -> GuardRow:
    counts = {name: sum(t["counts"][name] for t in turns) for name in OUTCOMES}
    rate = float(np.median([given(t) / t["seconds"] for t in turns]))
    return GuardRow(start, **counts, rate=rate, cycles=float(np.mean([c for t in turns for c in t["cycles"]])))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a finished run folder of 64 x 64 cells")
    parser.add_argument("--count", type=int, default=1000, help="fields of each set")
    parser.add_argument("--tol", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    turns, sets = Turns(trained(options.run)), problems(options.count)
    work = sum(cost(batch, tol) for batch in SECONDS for tol in options.tol) * len(turns.starts) * len(sets) * options.count
    print(f"{options.count} fields, {len(sets)} sets, {len(options.tol)} tolerances, batches of 1 and {LARGE}, 3 starts: about "
          f"{work / 60:.0f} minutes, less what is kept")
    console, refused = Console(width=140), 0
    with Progress(transient=True) as progress:
        task = progress.add_task("guarding", total=work)
        found = {(name, batch, tol): turns.take(name, problem, tol, batch, progress, task)
                 for name, problem in sets.items() for batch in SECONDS for tol in options.tol}
    for name in sets:
        for batch in SECONDS:
            table = Table("tol", "start", *OUTCOMES, "cycles", "answers / s", "in all", "by CPU time", "against the network",
                          title=f"{name}, {options.count} fields, batch {batch}")
            said = []
            for tol in options.tol:
                taken = found[name, batch, tol]
                rows = [row(start, taken[start]) for start in turns.starts]
                said.append(f"{tol:g}: {judgement(rows)}")
                for r in rows:
                    total, clock, cpu = (sum(map(f, taken[r.start])) for f in (given, lambda t: t["seconds"], lambda t: t["cpu"]))
                    ratio = np.median([(given(a) / a["seconds"]) / (given(b) / b["seconds"])
                                       for a, b in zip(taken[r.start], taken["network"], strict=True)])
                    table.add_row(f"{tol:g}" if r is rows[0] else "", r.start, *(str(getattr(r, k)) for k in OUTCOMES), f"{r.cycles:.2f}",
                                  f"{r.rate:.1f}", f"{total / clock:.1f}", f"{total / cpu:.1f}", f"{ratio:.2f}", end_section=r is rows[-1])
                    refused += r.refused
            console.print(table)
            print("\n".join(said) + "\n")
    print("no answer was refused" if not refused else f"{refused} answers were refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
