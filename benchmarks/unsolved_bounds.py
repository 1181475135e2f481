"""What does the trained network prove by itself, and how sharp is it? 1,000 unseen fields, no solve, against the true error.

    python benchmarks/unsolved_bounds.py [--run FOLDER] [--count 400] [--outside 100]

The network of `wellposed run darcy` (64 x 64 cells, 60 s on one thread; trained here, in runs/benchmarks/darcy, or taken from a run
folder) answers unseen fields of the family that it was trained on and of the six others of the recipe with potential and stream
function; a certificate is made of these alone. Three reference rows for each family: what the network says before the local steps that
follow it (`trial.RELAX`); the lift and the same steps without a network (its output set to zero); and the classical solver's potential
with the stream function that cycles find for it.

    bound          what the certificate states of |u - v|_a / |u|_a
    effectivity    eta / |u - v|_a, u the exact solution: extrapolated from a mesh four times finer (benchmarks/truth.py)
    violations     rigorous: eta^2 below the least that |u - v|_a^2 can be, by the finer mesh's own two-sided bound; and, after the
                   stroke, eta below the extrapolated error, or the compliance enclosure beside the extrapolated compliance
    width          of the enclosure of the compliance, relative to |u|_a^2

Required of the network: effectivity at most 1.6 in the mean and 2.5 at worst, no violation, compliance enclosed to 4 %. Exit status 1 if a
family misses one of these.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from truth import Truth, level, truth

from wellposed.cli.recipe import Family, Recipe, read_recipe
from wellposed.cli.run import UNSEEN_SEED
from wellposed.cli.run import main as run
from wellposed.elliptic import Darcy, MgNO, bound
from wellposed.elliptic.claims import certify_darcy
from wellposed.elliptic.families import draw
from wellposed.elliptic.trial import RELAX, answer

FOLDER = Path("runs/benchmarks/darcy")
MEAN, MOST, WIDTH = 1.6, 2.5, 0.04
STARTS = ("network", "as it speaks", "no network", "classical solver")


class Silent:
    """A surrogate that says nothing: the lift is what remains."""

    def __init__(self, model: MgNO) -> None:
        self.in_channels, self.ends = model.in_channels, model.ends

    def both(self, fields: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        zero = fields.new_zeros(len(fields), 1, fields.shape[-2] + 1, fields.shape[-1] + 1)
        return zero, zero

    def parameters(self) -> Iterator[torch.Tensor]:
        yield torch.zeros(())


@dataclass(frozen=True)
class Row:
    """One start on one family: one number per field; `seconds` for all, answering and certifying."""

    bound: np.ndarray
    effectivity: np.ndarray
    width: np.ndarray
    violations: int
    suspected: int
    seconds: float

    @property
    def holds(self) -> dict[str, bool]:
        return {"mean": self.effectivity.mean() <= MEAN, "largest": self.effectivity.max() <= MOST,
                "violations": self.violations + self.suspected == 0, "width": self.width.max() <= WIDTH}


def trained(folder: Path | None) -> MgNO:
    """The network of a run folder; without one, of the run that is made here as `wellposed run darcy` makes it."""
    if folder is None and run(["darcy", "--out", str(FOLDER)]):
        raise SystemExit("wellposed run darcy failed")
    return MgNO.load(folder or FOLDER)


def families(recipe: Recipe, count: int, outside: int) -> list[tuple[str, Darcy]]:
    """Unseen fields; the seeds of `wellposed run`."""
    asked: list[tuple[Family, int]] = [*((f, count) for f in recipe.train), *((f, outside) for f in recipe.outside)]
    return [(f.name, draw(f.field, recipe.resolution, samples, UNSEEN_SEED + k, f.contrast, f.source))
            for k, (f, samples) in enumerate(asked)]


def examine(problem: Darcy, start: str, model: MgNO, t: Truth) -> Row:
    began = time.perf_counter()
    found: Any = problem.solve() if start == "classical solver" else answer(
        Silent(model) if start == "no network" else model, problem, relax=0 if start == "as it speaks" else RELAX)
    v, psi = found if isinstance(found, tuple) else (found, None)
    b = bound(problem, v, psi)
    psi = np.asarray(b.stream)
    stated = [certify_darcy(problem[k], (v[k : k + 1], psi[k : k + 1]), lower="none").claim("energy_error").upper
              for k in range(len(problem))]
    seconds = time.perf_counter() - began
    eta, low, high, size = (np.asarray(x) for x in (b.eta, b.compliance_lower, b.compliance_upper, b.norm_lower))
    least = level(problem, np.asarray(v))[0] - t.high  # E(v) less the most that E(u) can be
    error = np.sqrt(np.maximum(t.squares(v), 1e-300))
    wrong = (eta**2 < least) | (low > -t.low) | (high < -t.high)
    doubtful = (eta < error) | (low > -t.least) | (high < -t.least)
    return Row(np.array([np.inf if x is None else x for x in stated]), eta / error, (high - low) / size**2, int(wrong.sum()),
               int(doubtful.sum()), seconds)


def show(rows: dict[tuple[str, str], Row], title: str) -> list[str]:
    """The table; returns what the network misses."""
    table = Table("family", "start", "fields", "bound:\nmedian", "largest", "effectivity:\nmean", "largest", "violations", "width:\nmedian",
                  "widest", "ms a\nfield", title=title)
    missed = []
    for (family, start), r in rows.items():
        lost = [name for name, good in r.holds.items() if not good] if start == "network" else []
        missed += [f"{family}: {name}" for name in lost]

        def marked(text: str, name: str, lost: list[str] = lost) -> str:
            return text + (" MISSED" if name in lost else "")

        table.add_row(family if start == STARTS[0] else "", start, str(len(r.bound)), f"{np.median(r.bound):.2%}", f"{r.bound.max():.2%}",
                      marked(f"{r.effectivity.mean():.3f}", "mean"), marked(f"{r.effectivity.max():.3f}", "largest"),
                      marked(f"{r.violations} / {r.suspected}", "violations"), f"{np.median(r.width):.2%}",
                      marked(f"{r.width.max():.2%}", "width"), f"{1e3 * r.seconds / len(r.bound):.1f}", end_section=start == STARTS[-1])
    Console(width=160).print(table)
    return missed


def pooled(rows: list[Row]) -> Row:
    arrays = (np.concatenate([getattr(r, name) for r in rows]) for name in ("bound", "effectivity", "width"))
    return Row(*arrays, *(sum(getattr(r, name) for r in rows) for name in ("violations", "suspected", "seconds")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a finished run folder of 64 x 64 cells")
    parser.add_argument("--count", type=int, default=400, help="unseen fields of the family that was trained on")
    parser.add_argument("--outside", type=int, default=100, help="of each of the others")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, fields = trained(options.run), families(read_recipe("darcy"), options.count, options.outside)
    count = sum(len(problem) for _, problem in fields)
    print(f"{count} fields: about {count * 0.1 / 60 + 0.1:.1f} minutes for the references, which are kept, and {count * 0.06 / 60:.1f} for "
          "the bounds")
    references = {name: truth(problem, enclosed=True) for name, problem in fields}
    rows: dict[tuple[str, str], Row] = {}
    with Progress(transient=True) as progress:
        for name, problem in progress.track(fields, description="bounds"):
            for start in STARTS:
                rows[name, start] = examine(problem, start, model, references[name])
    everything = {("all", start): pooled([r for (_, s), r in rows.items() if s == start]) for start in STARTS}
    gap = max(float(((t.high - t.low) / t.size**2).max()) for t in references.values())
    missed = show(rows | everything, f"{count} unseen fields, 64 x 64 cells")
    print(f"references: |u|_a^2 is enclosed by the finer mesh to {gap:.2%} at worst")
    print(f"required of the network: effectivity {MEAN:g} in the mean, {MOST:g} at worst; no violation; width {WIDTH:.0%}: "
          + ("all hold" if not missed else f"missed by {'; '.join(missed)}"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
