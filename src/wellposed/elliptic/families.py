"""Families of Darcy problems by name, to train on and to be asked about: fields, contrasts, sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from wellposed.elliptic.boundary import parse_boundary
from wellposed.elliptic.fields import FIELDS, LOW, generate
from wellposed.elliptic.problem import Darcy
from wellposed.numerics.grf import gaussian_field

NAMES = (*FIELDS, "checkerboard")
SOURCES = ("one", "random")


def draw(field: str, resolution: int, samples: int, seed: int = 0, contrast: float = 4.0, source: str = "one",
         boundary: str | Mapping[str, str] = "dirichlet") -> Darcy:
    """Problems of one family; sample k depends on (seed, k) alone.

    Args:
        field: one of `wellposed.elliptic.generate`'s, or "checkerboard": squares of a random size, shifted at random.
        source: "one", f = 1, or "random", 1 plus a Gaussian field of unit variance, which changes its sign; without
            a Dirichlet side its mean is removed.

    Raises:
        ValueError: an unknown field or source, or numbers out of range.
    """
    if field not in NAMES or source not in SOURCES:
        raise ValueError(f"received the field {field!r} with the source {source!r}, expected a field of {', '.join(NAMES)} and a source "
                         f"of {', '.join(SOURCES)}")
    f = 1.0 if source == "one" else np.stack([_source(resolution, seed, k) for k in range(samples)])
    if source == "random" and "dirichlet" not in parse_boundary(boundary):
        f = f - np.mean(f, (1, 2), keepdims=True)  # else there is no solution
    if field != "checkerboard":
        return generate(field, resolution, samples, seed, contrast, source=f, boundary=boundary)
    if resolution < 8 or samples < 1 or not contrast > 1:
        raise ValueError(f"received resolution {resolution}, samples {samples}, contrast {contrast}; expected at least 8 cells, 1 sample "
                         "and a contrast above 1")
    return Darcy(np.stack([_checkerboard(resolution, seed, k, contrast) for k in range(samples)]), f, boundary)


def join(problems: Sequence[Darcy]) -> Darcy:
    """Problems with the same mesh and sides, zero boundary data, as one batch."""
    first = problems[0]
    return first._with(coefficient=torch.cat([p.coefficient for p in problems]), source=torch.cat([p.source for p in problems]))


def _checkerboard(n: int, seed: int, k: int, contrast: float) -> np.ndarray:
    rng = np.random.default_rng([seed, k])
    width = n // int(rng.choice([4, 8]))
    y, x = (np.indices((n, n)) + rng.integers(0, width, (2, 1, 1))) // width
    return np.where((x + y) % 2 == 0, LOW * contrast, LOW)


def _source(n: int, seed: int, k: int) -> np.ndarray:
    g = gaussian_field(n, np.random.default_rng([seed, k, 1]))
    return 1.0 + g / g.std()
