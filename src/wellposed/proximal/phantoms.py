"""Images made of ellipses, and sinograms of them that do not come from the matrix that will be inverted."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.physics.radon import Radon, detectors

LEAST, MOST = 6, 15
"""Ellipses of an image."""


def ellipses(size: int, samples: int = 1, seed: int = 0) -> Float[Tensor, "samples channel y x"]:
    """Random phantoms (samples, 1, size, size) in float64, values about 0 to 1, not clamped; edges are two pixels wide.

    Each has 6 to 15 ellipses: a large one, half-axes .75 to .9 by .6 to .85 of half a side and value .25 to .55; others inside it,
    half-axes .03 + .3u² with u uniform in (0, 1), centres within .55, and .5 (u - .4) added to the value. Sample k depends on (seed, k)
    alone, and its ellipses are the same at every size.

    Raises:
        ValueError: numbers out of range.
    """
    return _drawn(size, samples, seed, size)


def simulate(radon: Radon, samples: int = 1, seed: int = 0, noise: float = 0.0,
             oversampling: int = 3) -> tuple[Float[Tensor, "samples channel y x"], Float[Tensor, "samples channel angles detectors"]]:
    """The phantoms of `ellipses` and sinograms of them, by a matrix for `oversampling` times as many pixels and detectors a side.

    To invert the very matrix that made the data is an inverse crime: its errors of discretization then cancel. Here they are in the data,
    in the units of `radon`, before white noise of the standard deviation `noise` is added.

    Raises:
        ValueError: numbers out of range.
    """
    if not 0 <= noise < math.inf or not isinstance(oversampling, int) or oversampling < 2:
        raise ValueError(f"simulate: received noise={noise!r}, oversampling={oversampling!r}, expected a standard deviation of at least 0 "
                         "and a whole number of at least 2: with 1 data and inversion share a matrix")
    data = projected(radon, _drawn(oversampling * radon.size, samples, seed, radon.size))
    rng = np.random.default_rng([seed, samples, 1])
    return ellipses(radon.size, samples, seed), data + noise * torch.from_numpy(rng.standard_normal(data.shape))


def projected(radon: Radon, fine: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel angles detectors"]:
    """Sinograms, as `radon` has them, of images in float64 with a whole multiple of its pixels a side.

    Raises:
        ValueError: images whose sides are no multiple of its size.
    """
    oversampling, rest = divmod(fine.shape[-1], radon.size)
    if rest or oversampling < 1 or fine.shape[-1] != fine.shape[-2]:
        raise ValueError(f"projected: received images of {fine.shape[-2]} x {fine.shape[-1]} pixels for a transform of {radon.size} x "
                         f"{radon.size}, expected squares with a multiple of its side; crop or resample them")
    finer = Radon(fine.shape[-1], radon.angles)
    return finer.A(fine) * (finer.scale / radon.scale) @ torch.from_numpy(_rebinning(radon.size, oversampling)).T


def _rebinning(size: int, oversampling: int) -> Float[np.ndarray, "coarse fine"]:
    """From fine detectors to coarse ones, by linear shares; divided by the area of a pixel in fine ones."""
    coarse, fine = (np.arange(n) - (n - 1) / 2 for n in (detectors(size), detectors(oversampling * size)))
    return np.clip(1 - abs(np.subtract.outer(coarse, fine / oversampling)), 0, None) / oversampling**2


def _drawn(size: int, samples: int, seed: int, pixels: int) -> Float[Tensor, "samples channel y x"]:
    """At the centres of size² pixels, with edges two of `pixels` wide."""
    for name, value in {"size": size, "samples": samples}.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name}: received {value!r}, expected a whole number of at least 1")
    return torch.from_numpy(np.stack([_phantom(size, np.random.default_rng([seed, k]), pixels) for k in range(samples)])[:, None])


def _phantom(size: int, rng: np.random.Generator, pixels: int) -> Float[np.ndarray, "y x"]:
    body = _ellipse(size, rng.uniform(0.75, 0.9), rng.uniform(0.6, 0.85), (0.0, 0.0), rng.uniform(0, math.pi), pixels)
    image = rng.uniform(0.25, 0.55) * body
    for _ in range(rng.integers(LEAST, MOST + 1) - 1):
        a, b = 0.03 + 0.3 * rng.uniform(size=2) ** 2
        inside = body * _ellipse(size, a, b, tuple(rng.uniform(-0.55, 0.55, 2)), rng.uniform(0, math.pi), pixels)
        image += 0.5 * (rng.uniform() - 0.4) * inside
    return image


def _ellipse(size: int, a: float, b: float, centre: tuple[float, ...], angle: float, pixels: int) -> Float[np.ndarray, "y x"]:
    """1 inside, 0 outside; at the edge the distance in half pixels, or about that."""
    at = (2 * np.arange(size) + 1) / size - 1
    y, x = at[:, None] - centre[0], at - centre[1]
    across, along = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    return np.clip((1 - np.hypot(across / a, along / b)) * min(a, b) * pixels / 4 + 0.5, 0, 1)
