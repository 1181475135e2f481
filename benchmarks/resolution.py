"""Trained at 64 x 64, asked at 128 and 256: how much worse are the answers to the same functions on finer meshes?

    python benchmarks/resolution.py [--run FOLDER] [--count 64] [--finest 256]

The network of `wellposed run darcy` (from a run folder, or trained here, in runs/benchmarks/darcy, 60 s on one thread) and unseen two-phase
fields. One seed draws one Gaussian field at every resolution (`numerics.grf` draws a fixed block of modes and keeps the first n x n of
them), whose sign at the centres of the cells is the coefficient: the function is the same but for what a cell cannot resolve. Errors are
means over fields, relative, in L2 (nodal values) and in energy: against the finite-element solution on the mesh that was asked, and, in
energy, against the exact solution of that mesh's cellwise problem (extrapolated from a mesh four times finer, benchmarks/truth.py);
beside them the error of the finite-element solution itself, and the mean bound that the network proves. Required: on no mesh is either
error against the finite-element solution more than 1.2 times what it is at 64 x 64. Exit status 1 if one is. Asked on a finer mesh
the network answers on its own, with geometric means of the coefficient; what it changed of the start is interpolated and smoothed by
Jacobi's method.
Beside it, not required: the same without smoothing, and more levels with the kernels of the finest (finer="levels").
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from truth import relative_l2, truth
from unsolved_bounds import UNSEEN_SEED, trained

from wellposed.elliptic import Darcy, MgNO, bound, generate
from wellposed.elliptic.hypercircle import energy_cells
from wellposed.elliptic.trial import answer
from wellposed.numerics.q1 import interpolate

TRAINED, RATIO = 64, 1.2


@dataclass(frozen=True)
class Errors:
    """Of the network on one mesh, each relative and one per field; `floor` is the energy error of the finite-element solution."""

    l2: np.ndarray
    energy: np.ndarray
    exact: np.ndarray
    floor: np.ndarray
    bound: np.ndarray
    seconds: float


def energy(problem: Darcy, v: np.ndarray) -> np.ndarray:
    """|v|_a."""
    return energy_cells(problem.coefficient, torch.from_numpy(v)).sum((1, 2)).sqrt().numpy()


def smoothed(model: MgNO, problem: Darcy) -> tuple[np.ndarray, np.ndarray]:
    return answer(model, problem)


def interpolated(model: MgNO, problem: Darcy) -> tuple[np.ndarray, np.ndarray]:
    """Potential and stream function of the coarse problem on the finer mesh, where both are admissible: f is constant."""
    factor = problem.n // TRAINED
    v, psi = (interpolate(torch.from_numpy(x), factor).numpy() for x in answer(model, problem.coarsened(factor)))
    return v, psi


def levels(model: MgNO, problem: Darcy) -> tuple[np.ndarray, np.ndarray]:
    model.finer = "levels"
    found = answer(model, problem)
    model.finer = "interpolate"
    return found


SMOOTHED = "interpolated, smoothed"
ASKED = {SMOOTHED: smoothed, "interpolated": interpolated, "more levels": levels}


def examine(model: MgNO, problem: Darcy, how: str) -> Errors:
    t = truth(problem)
    u, began = t.labels, time.perf_counter()
    v, psi = ASKED[how](model, problem)
    seconds = time.perf_counter() - began
    return Errors(relative_l2(v, u), energy(problem, v - u) / energy(problem, u), t.energy(v), t.energy(u),
                  np.asarray(bound(problem, v, psi).relative), seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a finished run folder of 64 x 64 cells")
    parser.add_argument("--count", type=int, default=64, help="unseen fields")
    parser.add_argument("--finest", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = trained(options.run)
    sizes = [n for n in (TRAINED, 128, 256, 512) if n <= options.finest]
    work = sum(n**2 for n in sizes) / TRAINED**2 * options.count / 60
    print(f"{options.count} functions on {len(sizes)} meshes: about {work * 0.2:.1f} minutes, most for the references, which are kept")
    found: dict[tuple[str, int], Errors] = {}
    same = []
    for n in sizes:
        problem = generate("two-phase", n, options.count, seed=UNSEEN_SEED)
        coarse = problem.coefficient.reshape(options.count, TRAINED, n // TRAINED, TRAINED, -1).mean((2, 4)).numpy()
        same.append(coarse)
        found |= {(how, n): examine(model, problem, how) for how in (ASKED if n > TRAINED else [SMOOTHED])}
    table = Table("asked", "cells", "L2,\nto FE", "ratio", "energy,\nto FE", "ratio", "energy,\nexact", "ratio", "FE,\nexact", "bound",
                  "ratio", "ms an\nanswer", title=f"{options.count} two-phase functions, network of {TRAINED} x {TRAINED}; means")
    base, lost = found[SMOOTHED, TRAINED], []
    for (how, n), e in sorted(found.items(), key=lambda item: list(ASKED).index(item[0][0])):
        ratios = {name: getattr(e, name).mean() / getattr(base, name).mean() for name in ("l2", "energy", "exact", "bound")}
        missed = [name for name in ("l2", "energy") if how == SMOOTHED and ratios[name] > RATIO]
        lost += [f"{name} at {n}, {ratios[name]:.2f}" for name in missed]
        shown = {name: f"{ratio:.2f}{' MISSED' if name in missed else ''}" for name, ratio in ratios.items()}
        l2, own, exact, floor, proved = (f"{x.mean():.2%}" for x in (e.l2, e.energy, e.exact, e.floor, e.bound))
        table.add_row(how, str(n), l2, shown["l2"], own, shown["energy"], exact, shown["exact"], floor, proved, shown["bound"],
                      f"{1e3 * e.seconds / options.count:.1f}")
    Console(width=140).print(table)
    apart = [float(np.mean(np.abs(x - same[0]) / same[0].mean())) for x in same[1:]]
    print("the functions on finer meshes, averaged over the coarse cells, differ from the coarse ones by "
          + ", ".join(f"{x:.1%}" for x in apart) + " of their mean: phase boundaries cut cells")
    print(f"required: ratios to the finite-element solution of the mesh at most {RATIO}: "
          + ("all hold" if not lost else f"missed by {'; '.join(lost)}"))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
