"""Darcy problems of every kind that the room takes, drawn at random."""

from __future__ import annotations

from typing import Any

import numpy as np

import wellposed
from wellposed.elliptic import Darcy, clamp
from wellposed.elliptic.fields import FIELDS
from wellposed_check import Evidence
from wellposed_check.elliptic.bounds import Pair
from wellposed_check.elliptic.darcy import Problem
from wellposed_check.elliptic.evidence import read_pair, read_problem

SIDES = ("bottom", "right", "top", "left")
BOUNDARIES: dict[str, Any] = {
    "dirichlet": "dirichlet",
    "one side neumann": dict(zip(SIDES, ("dirichlet", "neumann", "dirichlet", "dirichlet"), strict=True)),
    "corner neumann": dict(zip(SIDES, ("neumann", "dirichlet", "dirichlet", "neumann"), strict=True)),
    "top and bottom neumann": dict(zip(SIDES, ("neumann", "dirichlet", "neumann", "dirichlet"), strict=True)),
    "left and right neumann": dict(zip(SIDES, ("dirichlet", "neumann", "dirichlet", "neumann"), strict=True)),
    "one side dirichlet": dict(zip(SIDES, ("neumann", "neumann", "neumann", "dirichlet"), strict=True)),
    "neumann": "neumann",
    "periodic": "periodic",
}


def sides(boundary: str) -> tuple[str, ...]:
    table = BOUNDARIES[boundary]
    return (table,) * 4 if isinstance(table, str) else tuple(table[side] for side in SIDES)


def coefficient(field: str, n: int, rng: np.random.Generator, contrast: float) -> np.ndarray:
    """One of the package's fields, or "checkerboard" (2 x 2 cells a square), "cells" (each cell on its own), "constant"."""
    if field == "constant":
        return np.ones((n, n))
    if field == "checkerboard":
        x, y = np.meshgrid(np.arange(n) // 2, np.arange(n) // 2)
        return np.where((x + y) % 2 == 0, 1.0, contrast)
    if field == "cells":
        return np.exp(rng.uniform(0, np.log(contrast), (n, n)))
    return FIELDS[field](n, rng, contrast)


def draw(boundary: str, n: int, rng: np.random.Generator, *, field: str = "smooth", contrast: float = 10.0, samples: int = 1,
         neumann: bool = True, dirichlet: bool = False, **more: Any) -> Darcy:
    """A problem with a random source, and boundary data where the sides take them."""
    kinds = sides(boundary)
    a = np.stack([coefficient(field, n, rng, contrast) for _ in range(samples)])
    f, g, values = rng.standard_normal((samples, n, n)), None, None
    if neumann and "neumann" in kinds:
        g = {side: rng.standard_normal((samples, n)) for side, kind in zip(SIDES, kinds, strict=True) if kind == "neumann"}
    if "dirichlet" not in kinds:
        f = f - f.mean((1, 2), keepdims=True) - (sum(x.mean(1) for x in g.values())[:, None, None] if g else 0.0)
    elif dirichlet:
        values = rng.standard_normal((samples, n + 1, n + 1))
    return Darcy(a, f, BOUNDARIES[boundary], neumann=g, dirichlet=values, **more)


def disturbed(problem: Darcy, rng: np.random.Generator, size: float, factor: int = 1) -> np.ndarray:
    """A wrong answer: the solver's, on a mesh `factor` times finer, with noise of relative size `size`; admissible."""
    u = problem.refined(factor).solve()
    noise = rng.standard_normal(u.shape) * np.abs(u).max((1, 2), keepdims=True)
    return clamp(problem, u + size * noise)


def evidence(problem: Darcy, v: np.ndarray, stream: np.ndarray | None = None) -> tuple[Problem, Pair]:
    """The problem and a pair for it as the checker reads them from a certificate."""
    certificate = wellposed.certify(problem, v, stream=stream, lower="none")
    read = Evidence(certificate.document["subject"]["problem"]["parameters"], certificate.arrays)
    return (own := read_problem(read)), read_pair(read, own)
