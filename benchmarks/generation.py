"""What a training set costs: 1,000 Darcy problems drawn and solved at 128 x 128, and how exactly they are solved.

    python benchmarks/generation.py [--count 1000] [--resolution 128]

Two phases, 12 and 3, f = 1, u = 0 on the boundary; one process, one thread. The relative residual |f - K u| / |f|, Euclidean
over the unknowns, is computed for every sample from u by a matrix assembled by scipy; some samples are compared with
scikit-fem's assembly and sparse LU. Exit status 1 if it takes more than a minute, a residual exceeds 1e-10, or a solution differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from classical import assemble
from rich.console import Console
from rich.table import Table

from wellposed.elliptic import Darcy, generate

sys.path.append(str(Path(__file__).parents[1] / "tests" / "elliptic"))
from referees import Data
from scikit import Scikit

SECONDS, RESIDUAL, DIFFERENCE, COMPARED = 60.0, 1e-10, 1e-10, 8


def residual(problem: Darcy, u: np.ndarray, k: int) -> float:
    """|f - K u| / |f| of sample k."""
    matrix, load, inside = assemble(problem.coefficient[k].numpy(), problem.source[k].numpy())
    return float(np.linalg.norm(load - matrix @ u[k].reshape(-1)[inside]) / np.linalg.norm(load))


def difference(problem: Darcy, u: np.ndarray, k: int) -> float:
    """From scikit-fem's solution of sample k, relative, in the energy norm."""
    scikit = Scikit(Data.of(problem, k))
    theirs = scikit.solve()
    return float(np.sqrt(scikit.energy(u[k] - theirs) / scikit.energy(theirs)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--resolution", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"about {options.count * (options.resolution / 128) ** 2 * 0.04 / 60:.1f} minutes")
    began, cpu = time.perf_counter(), time.process_time()
    problem = generate("two-phase", options.resolution, options.count, seed=0)
    drawn = time.perf_counter()
    u = np.asarray(problem.solve())
    solved, cpu = time.perf_counter(), time.process_time() - cpu
    residuals = np.array([residual(problem, u, k) for k in range(options.count)])
    differences = [difference(problem, u, int(k)) for k in np.linspace(0, options.count - 1, min(COMPARED, options.count))]

    table = Table("what", "measured", "limit", title=f"{options.count} problems, {options.resolution} x {options.resolution}, 12 and 3")
    table.add_row("drawn", f"{drawn - began:.1f} s", "")
    table.add_row("solved", f"{solved - drawn:.1f} s", "")
    table.add_row("together", f"{solved - began:.1f} s", f"{SECONDS:.0f} s for 1,000")
    table.add_row("together, CPU time", f"{cpu:.1f} s", "")
    table.add_row("relative residual, median", f"{np.median(residuals):.1e}", "")
    table.add_row("relative residual, largest", f"{residuals.max():.1e}", f"{RESIDUAL:.0e}")
    table.add_row(f"from scikit-fem, energy, largest of {len(differences)}", f"{max(differences):.1e}", f"{DIFFERENCE:.0e}")
    Console().print(table)
    good = (solved - began) * 1000 <= SECONDS * max(options.count, 1000) and residuals.max() <= RESIDUAL and max(differences) <= DIFFERENCE
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
