"""Seeded coefficient fields: smooth, two-phase, multiscale-trigonometric and log-normal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

import numpy as np

from wellposed.elliptic.problem import Darcy
from wellposed.numerics.grf import gaussian_field
from wellposed.numerics.parallel import map_parallel

BATCH = 32
LOW = 3.0


def smooth(n: int, rng: np.random.Generator, contrast: float) -> np.ndarray:
    """Between 3 and 3 contrast, along tanh of a Gaussian field scaled to unit variance."""
    g = gaussian_field(n, rng)
    return LOW + LOW * (contrast - 1) * (1 + np.tanh(2 * g / g.std())) / 2


def two_phase(n: int, rng: np.random.Generator, contrast: float) -> np.ndarray:
    """3 where a Gaussian field is negative, 3 contrast where it is not; 12 and 3 are the usual benchmark's values."""
    return np.where(gaussian_field(n, rng) >= 0, LOW * contrast, LOW)


def multiscale(n: int, rng: np.random.Generator, contrast: float) -> np.ndarray:
    """Product of six trigonometric factors with frequencies from 1 to 48, raised to a power that sets the contrast.

    prod_k (1 + cos(a_k pi (x + y)) / 2) (1 + sin(a_k pi (y - 3 x)) / 2), a_k uniform on [2^(k-1), 1.5 2^(k-1)].
    """
    x = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(x, x)
    log = np.zeros((n, n))
    for k in range(1, 7):
        a = rng.uniform(2 ** (k - 1), 1.5 * 2 ** (k - 1))
        log += np.log1p(np.cos(a * np.pi * (x + y)) / 2) + np.log1p(np.sin(a * np.pi * (y - 3 * x)) / 2)
    return LOW * np.exp((log - log.min()) / (log.max() - log.min()) * np.log(contrast))


def lognormal(n: int, rng: np.random.Generator, contrast: float) -> np.ndarray:
    """3 exp(g), g Gaussian with standard deviation log(contrast) / 4: contrast is what two deviations span."""
    g = gaussian_field(n, rng)
    return LOW * np.exp(np.log(contrast) / 4 * g / g.std())


FIELDS: Mapping[str, Callable[[int, np.random.Generator, float], np.ndarray]] = {
    "smooth": smooth, "two-phase": two_phase, "multiscale": multiscale, "lognormal": lognormal}


def generate(field: str, resolution: int, samples: int, seed: int = 0, contrast: float = 4.0, *,
             source: Any = 1.0, boundary: str | Mapping[str, str] = "dirichlet",
             executor: Executor | None = None, workers: int | None = 1) -> Darcy:
    """Random Darcy problems, in numpy. Sample k depends on (seed, k) alone, whatever the number of samples or processes.

    The room's other problems have generators of their own: `generate_helmholtz` (waves) and `generate_one_step` (flow).

    Args:
        field: "smooth", "two-phase", "multiscale" or "lognormal".
        resolution: cells per axis.
        contrast: largest over smallest value ("lognormal": over four standard deviations), above 1.
        source: f, a number or array. boundary: as `Darcy`. Without a Dirichlet side the source must balance.
        executor: where the fields are drawn; or `workers` processes, 1 for none, None for one per core.

    Raises:
        ValueError: unknown field, or numbers out of range.
    """
    if field not in FIELDS:
        raise ValueError(f"field: received {field!r}, expected one of {', '.join(FIELDS)}")
    if resolution < 2 or samples < 1 or not contrast > 1:
        raise ValueError(f"received resolution {resolution}, samples {samples}, contrast {contrast}; expected at least 2 "
                         "cells, 1 sample and a contrast above 1")
    starts = range(0, samples, BATCH)
    work = partial(_draw, field, resolution, seed, contrast)
    parts = map_parallel(work, [(i, min(i + BATCH, samples)) for i in starts], executor, workers, title=f"drawing {field} fields")
    return Darcy(np.concatenate(parts), source, boundary)


def _draw(field: str, n: int, seed: int, contrast: float, span: tuple[int, int]) -> np.ndarray:
    return np.stack([FIELDS[field](n, np.random.default_rng([seed, k]), contrast) for k in range(*span)])
