"""The energy error of potentials relative to the exact solution of the equation, from a mesh four times finer and Richardson.

With E(v) = |v|_a^2 - 2 F(v), least for the exact u among all v with its Dirichlet values: |u - v|_a^2 = E(v) - E(u). E(u) is
extrapolated from the finite-element solutions on the given and the finer mesh, as if E fell with h^2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from wellposed.elliptic import Darcy, bound
from wellposed.elliptic.finite_elements import load
from wellposed.elliptic.hypercircle import energy_cells
from wellposed.numerics.q1 import cell_load, pair

FOLDER = Path("runs/benchmarks")
CELLS = 2**21  # of the finer mesh at once


@dataclass(frozen=True)
class Truth:
    """What is known of the exact solutions of a problem; one entry per sample.

    Attributes:
        labels: finite-element solutions on the problem's own mesh.
        least: E(u), extrapolated. size: |u|_a.
        low, high: enclosure of E(u), proved by the finer mesh's bound, if it was asked for; else NaN and the finer mesh's own E.
    """

    problem: Darcy
    labels: np.ndarray
    least: np.ndarray
    size: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def squares(self, v: np.ndarray) -> np.ndarray:
        """|u - v|_a^2, extrapolated."""
        return level(self.problem, v)[0] - self.least

    def energy(self, v: np.ndarray) -> np.ndarray:
        """|u - v|_a / |u|_a."""
        return np.sqrt(np.maximum(self.squares(v), 0)) / self.size

    def l2(self, v: np.ndarray) -> np.ndarray:
        """|u_h - v| / |u_h|, nodal values, u_h the label; without their means where there is no Dirichlet side."""
        if self.problem.balanced:
            t = torch.from_numpy(np.asarray(v))
            v = v - pair(cell_load(torch.ones_like(self.problem.source)), t).numpy()[:, None, None]
        return relative_l2(v, self.labels)


def truth(problem: Darcy, factor: int = 4, enclosed: bool = False, folder: Path = FOLDER) -> Truth:
    """Solved once, about .05 s a sample at 64 x 64 (.1 enclosed), and kept in `folder`."""
    digest = hashlib.sha256(f"2 {problem.sides} {factor} {enclosed}".encode())
    for x in (problem.coefficient, problem.source, problem.neumann, problem.dirichlet):
        digest.update(b"none" if x is None else x.numpy().tobytes())
    file = folder / f"truth-{digest.hexdigest()[:20]}.npz"
    if file.exists():
        with np.load(file) as kept:
            return Truth(problem, **kept)
    parts = list(problem.chunks(max(CELLS // factor**2, 1)))
    title = f"reference, {len(problem)} fields, {problem.n * factor} x {problem.n * factor}"
    found = [_solved(problem[part], factor, enclosed) for part in track(parts, description=title, transient=True)]
    arrays = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(file.with_suffix(".part.npz"), **arrays)
    file.with_suffix(".part.npz").replace(file)
    return Truth(problem, **arrays)


def level(problem: Darcy, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E(v) and |v|_a^2 of nodal values on the problem's mesh."""
    t = torch.as_tensor(v).double()
    own = energy_cells(problem.coefficient, t).sum((1, 2))
    return (own - 2 * pair(load(problem), t)).numpy(), own.numpy()


def relative_l2(v: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """|v - u| / |u| of each sample, Euclidean norms."""
    count = len(labels)
    return np.linalg.norm((v - labels).reshape(count, -1), axis=1) / np.linalg.norm(labels.reshape(count, -1), axis=1)


def _solved(problem: Darcy, factor: int, enclosed: bool) -> dict[str, np.ndarray]:
    finer, coarse = problem.refined(factor), np.asarray(problem.solve(1e-9))
    u = np.asarray(finer.solve(1e-7))
    (e, own), (e_coarse, own_coarse) = level(finer, u), level(problem, coarse)
    least, size2 = (x + (x - y) / (factor**2 - 1) for x, y in ((e, e_coarse), (own, own_coarse)))
    low, high = np.full_like(e, np.nan), e
    if enclosed:
        if problem.dirichlet is not None:
            raise ValueError("the enclosure is of the compliance, with zero Dirichlet values")
        b = bound(finer, u)
        low, high = -np.asarray(b.compliance_upper), -np.asarray(b.compliance_lower)
    return {"labels": coarse, "least": least, "size": np.sqrt(size2), "low": low, "high": high}
