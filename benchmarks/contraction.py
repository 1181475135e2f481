"""How fast is the classical cycle, on every mesh? The energy contraction of `Multigrid.from_stencil(POISSON, log2 n)`, V(1,1).

    python benchmarks/contraction.py [--largest 1024]

With A the Q1 stencil, D the trapezoidal weights (`positive.trapezoid`) and B = cycle o D^-1, symmetric, I - B D A is self-adjoint in the
energy product x' D A y. Its spectral radius is the norm by which a cycle reduces every energy error; constants, which have no energy,
are left out. It is found by Lanczos in the energy product, fully reorthogonalized, until five steps change the value by less than 1e-7
of itself, and compared with all eigenvalues on small meshes. An eigenvalue lies within the residual that is printed, in the energy norm.
Exit status 1 if a contraction exceeds .21 (Dirichlet) or .215 (other sides), if Lanczos has not converged or differs from the dense
eigenvalues by 1e-6 relative, or if <Bx, y> and <x, By> differ by more than 1e-14 |x| |By|.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from wellposed.elliptic import ends, kernels, multigrid
from wellposed.elliptic.ends import Ends
from wellposed.elliptic.kernels import POISSON
from wellposed.elliptic.multigrid import Multigrid
from wellposed.elliptic.positive import trapezoid

SIDES: dict[str, Any] = {
    "dirichlet": "dirichlet", "neumann": "neumann", "periodic": "periodic",
    "mixed, a corner": {"bottom": "neumann", "right": "dirichlet", "top": "dirichlet", "left": "neumann"},
    "mixed, opposite": {"bottom": "neumann", "right": "dirichlet", "top": "neumann", "left": "dirichlet"},
    "mixed, three": {"bottom": "neumann", "right": "neumann", "top": "neumann", "left": "dirichlet"}}
FOLDER = Path("runs/benchmarks")
DENSE, STEPS, SETTLED, AGREES, DEFECT, PAIRS = 32, 250, 1e-7, 1e-6, 1e-14, 3
LIMITS = {"dirichlet": 0.21}
LIMIT = 0.215


@dataclass(frozen=True)
class Contraction:
    """Of one mesh: the spectral radius of I - B A, found in so many steps, with its residual and last relative change."""

    rho: float
    residual: float
    change: float
    steps: int
    lowest: float
    dense: float | None


class Cycle:
    """The cycle on n x n cells, acting on vectors of unknowns."""

    def __init__(self, boundary: Any, n: int) -> None:
        self.w, self.ends = Multigrid.from_stencil(POISSON, n.bit_length() - 1, boundary=boundary), Ends.of(boundary)
        self.shape = self.ends.unknowns(n)
        self.d = trapezoid(self.ends, n, torch.ones((), dtype=torch.float64))
        self.singular = not any(self.ends.dirichlet)

    def energy(self, x: torch.Tensor) -> torch.Tensor:
        """D A x."""
        return self._on(lambda u: self.w.operator[0].convolve(u, self.ends) * self.d, x)

    def approximate(self, f: torch.Tensor) -> torch.Tensor:
        """B f = cycle(D^-1 f)."""
        return self._on(lambda g: self.w(g / self.d), f)

    def draw(self, seed: int) -> torch.Tensor:
        return torch.randn(self.shape[0] * self.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    def _on(self, operator: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return operator(x.reshape(-1, 1, *self.shape)).reshape(x.shape)


def lanczos(cycle: Cycle) -> tuple[float, float, float, int, float]:
    """Largest |eigenvalue| of I - B A, its residual in the energy norm, the change in the last five steps, steps, and the lowest."""
    weight, total = cycle.d.flatten(), cycle.d.sum()
    rows, alpha, beta, seen, residual, lowest, w = [], [], [], [], np.inf, np.inf, cycle.draw(0)
    while len(rows) < STEPS and not (len(seen) > 5 and abs(seen[-1] - seen[-6]) < SETTLED * seen[-1]):
        if cycle.singular:
            w = w - (weight * w).sum() / total
        for _ in range(2 if rows else 0):
            aw = cycle.energy(w)
            for q in rows:
                w = w - torch.dot(q, aw) * q
        size = float(torch.dot(w, cycle.energy(w)).clamp_min(0).sqrt())
        beta += [size] if rows else []
        rows.append(w / size)
        aq = cycle.energy(rows[-1])
        w = rows[-1] - cycle.approximate(aq)
        alpha.append(float(torch.dot(w, aq)))
        values, vectors = np.linalg.eigh(np.diag(alpha) + np.diag(beta, 1) + np.diag(beta, -1))
        best, lowest = int(np.abs(values).argmax()), float(values[0])
        seen.append(abs(float(values[best])))
        onward = float(torch.dot(w, cycle.energy(w))) - alpha[-1] ** 2 - (beta[-1] ** 2 if beta else 0)
        residual = math.sqrt(max(onward, 0)) * abs(float(vectors[-1, best]))
    return seen[-1], residual, abs(seen[-1] - seen[-6]) / seen[-1], len(seen), lowest


def dense(cycle: Cycle) -> float:
    """The same from all eigenvalues."""
    unit = torch.eye(cycle.shape[0] * cycle.shape[1], dtype=torch.float64)
    a, b = cycle.energy(unit), cycle.approximate(unit).T
    values, vectors = torch.linalg.eigh((a + a.T) / 2)
    root = (vectors * values.clamp_min(0).sqrt())[:, int(cycle.singular):]
    return float((1 - torch.linalg.eigvalsh(root.T @ ((b + b.T) / 2) @ root)).abs().max())


@torch.no_grad()
def asymmetry(boundary: Any, n: int) -> tuple[float, float]:
    """|<Bx, y> - <x, By>| for random x and y = Bx, the largest of some: relative to |x| |By|; and to <Bx, Bx>.

    The second is for information: <x, B Bx> is a sum that cancels, and rounding is relative to what it sums.
    """
    cycle, found = Cycle(boundary, n), []
    for seed in range(PAIRS):
        x = cycle.draw(seed + 1)
        y = cycle.approximate(x)
        by = cycle.approximate(y)
        gap = float((torch.dot(y, y) - torch.dot(x, by)).abs())
        found.append((gap / float(x.norm() * by.norm()), gap / float(torch.dot(y, y))))
    return max(one for one, _ in found), max(two for _, two in found)


@torch.no_grad()
def measure(boundary: Any, n: int) -> Contraction:
    cycle = Cycle(boundary, n)
    rho, residual, change, steps, lowest = lanczos(cycle)
    return Contraction(rho, residual, change, steps, lowest, dense(cycle) if n <= DENSE else None)


def kept(name: str, n: int) -> Contraction:
    """From the file that these very functions wrote about this very cycle, or measured."""
    sources = "".join(inspect.getsource(x) for x in (ends, kernels, multigrid, Cycle, lanczos, dense)) + str(SETTLED)
    file = FOLDER / f"contraction-{hashlib.sha256(sources.encode()).hexdigest()[:12]}-{name.replace(', ', '-').replace(' ', '-')}-{n}.json"
    if not file.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        found = measure(SIDES[name], n)
        file.with_suffix(".part").write_text(json.dumps(asdict(found)))
        file.with_suffix(".part").replace(file)
    return Contraction(**json.loads(file.read_text()))


def holds(name: str, c: Contraction, defect: float) -> bool:
    agrees = c.dense is None or abs(c.dense - c.rho) <= AGREES * c.dense
    return c.rho <= LIMITS.get(name, LIMIT) and c.change < SETTLED and defect <= DEFECT and agrees


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=1024)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [n for n in (16, 32, 64, 128, 256, 512, 1024) if n <= options.largest]
    tasks = [(name, n) for name in SIDES for n in sizes]
    title = f"about {12 * (options.largest / 1024) ** 2:.1f} minutes, the first time"
    found = {(name, n): (kept(name, n), asymmetry(SIDES[name], n)) for name, n in track(tasks, description=title)}
    table = Table("sides", "n", "rate", "limit", "residual", "change", "steps", "least", "dense", "asymmetry", "of <Bx, Bx>", "holds",
                  title="spectral radius of I - B A in the energy product")
    lost = []
    for (name, n), (c, (one, two)) in found.items():
        good = holds(name, c, one)
        lost += [] if good else [f"{name}, {n}"]
        exact = "" if c.dense is None else f"{c.dense:.6f}"
        table.add_row(name, str(n), f"{c.rho:.6f}", f"{LIMITS.get(name, LIMIT):g}", f"{c.residual:.0e}", f"{c.change:.0e}", str(c.steps),
                      f"{c.lowest:+.1e}", exact, f"{one:.0e}", f"{two:.0e}", "yes" if good else "NO")
    Console(width=140).print(table)
    print(f"{len(found) - len(lost)} of {len(found)} hold" + (f"; not: {'; '.join(lost)}" if lost else ""))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
