"""The truth to measure bounds against: a two-sided enclosure from a mesh eight times finer, and the problems it is tried on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from wellposed.elliptic import Darcy, generate
from wellposed.elliptic.finite_elements import StreamIteration, solve
from wellposed.elliptic.flux import particular
from wellposed.elliptic.hypercircle import energy_cells, evaluate
from wellposed.elliptic.problem import boundary_values
from wellposed.numerics.q1 import interpolate

FINER = 8
MIXED = {"bottom": "neumann", "right": "dirichlet", "top": "neumann", "left": "dirichlet"}
BOUNDARIES = ("dirichlet", MIXED, {"bottom": "dirichlet", "right": "neumann", "top": "neumann", "left": "dirichlet"},
              {"bottom": "dirichlet", "right": "neumann", "top": "neumann", "left": "neumann"}, "neumann", "periodic")
FIELDS = ("smooth", "two-phase", "multiscale", "lognormal")


@dataclass(frozen=True)
class Reference:
    """Enclosures of the true compliance and of the true squared energy error, each (samples,)."""

    compliance_lower: np.ndarray
    compliance_upper: np.ndarray
    error2_lower: np.ndarray
    error2_upper: np.ndarray


def reference(problem: Darcy, potential: np.ndarray, finer: int = FINER) -> Reference:
    """From a potential and a flux on a mesh `finer` times finer: |u - v|_a^2 = C(u) - C(v), C(w) = 2 F(w) - |w|_a^2."""
    fine = problem.refined(finer)
    u = solve(fine, 1e-9)
    stream = StreamIteration(fine, particular(fine))
    total = last = torch.zeros(len(problem), dtype=torch.float64)
    for _ in range(300):
        fall = stream.step()
        total = total + fall
        if (torch.maximum(fall, last) <= 1e-14 * total).all():
            break
        last = fall
    b = evaluate(fine, u, stream.stream)
    lower, upper = (torch.as_tensor(x) for x in (b.compliance_lower, b.compliance_upper))
    v = interpolate(torch.as_tensor(potential), finer)
    own = torch.as_tensor(evaluate(fine, v, stream.stream).compliance_lower)
    slack = 1e-12 * energy_cells(fine.coefficient, v).sum((1, 2))
    return Reference(*(x.numpy() for x in (lower, upper, (lower - own - slack).clamp_min(0), upper - own + slack)))


def potentials(problem: Darcy, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Answers of several qualities: a solver's, one 4 percent off, and noise."""
    u = np.asarray(problem.solve())
    noise = np.stack([gaussian_filter(rng.standard_normal(u.shape[1:]), 1.5, mode="reflect") for _ in u])
    noise *= np.linalg.norm(u, axis=(1, 2), keepdims=True) / np.linalg.norm(noise, axis=(1, 2), keepdims=True)
    v = {"solver": u, "4 percent off": u + 0.04 * noise, "random": noise}[kind]
    return boundary_values(problem, torch.as_tensor(v)).numpy()


def cases(n: int, samples: int, rng: np.random.Generator) -> Iterator[tuple[str, Darcy, str]]:
    """(name, problem, kind of potential) over fields, contrasts, boundaries and qualities; `samples` each."""
    for boundary in BOUNDARIES:
        for field, contrast in [*((f, c) for f in FIELDS for c in (4.0, 100.0, 1e4)), ("checkerboard", 1e4)]:
            for kind in ("solver", "4 percent off", "random"):
                a = _coefficient(field, n, samples, contrast, int(rng.integers(2**31)))
                yield f"{field} {contrast:g}", _problem(a, boundary, rng), kind


def _coefficient(field: str, n: int, samples: int, contrast: float, seed: int) -> np.ndarray:
    if field == "checkerboard":
        blocks = np.indices((n, n)).sum(0) // 2 % 2 if seed % 2 else np.indices((n, n)).sum(0) % 2
        return np.broadcast_to(np.where(blocks == 1, contrast, 1.0), (samples, n, n)).copy()
    return generate(field, n, samples, seed=seed, contrast=contrast).coefficient.numpy()


def _problem(a: np.ndarray, boundary: object, rng: np.random.Generator) -> Darcy:
    samples, n = a.shape[:2]
    if boundary == "dirichlet":
        return Darcy(a, 1.0)
    f = rng.standard_normal(a.shape)
    if boundary == "periodic":
        return Darcy(a, f - f.mean((1, 2), keepdims=True), boundary)
    sides = ("bottom", "right", "top", "left")
    g = {s: rng.standard_normal((samples, n)) for s in sides if boundary == "neumann" or boundary[s] == "neumann"}
    if boundary == "neumann":
        f -= (f.mean((1, 2)) + sum(x.mean(1) for x in g.values()))[:, None, None]
    return Darcy(a, f, boundary, neumann=g)
