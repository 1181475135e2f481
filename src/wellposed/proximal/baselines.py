"""Classical reconstructions to stand beside learned ones: total variation and wavelets, with weights tuned by an oracle if asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.total_variation import total_variation
from wellposed.proximal.wavelets import wavelet_shrinkage

__all__ = ["Tuned", "oracle", "psnr", "total_variation", "wavelet_shrinkage"]

TENTH = 10**0.5
GRID = tuple(1e-4 * TENTH**k for k in range(8))
"""Weights that an oracle tries first; then it halves the ratio around the best."""


class Tuned(NamedTuple):
    """The best of a search: images and the weight."""

    image: Float[Tensor, "batch c y x"]
    weight: float
    psnr: float


def psnr(image: Tensor, truth: Tensor) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio in dB for values in 0 to 1, not clamped."""
    return -10 * torch.log10((image - truth).square().flatten(1).mean(1))


def ssim(image: Float[Tensor, "batch c y x"], truth: Float[Tensor, "batch c y x"]) -> Float[Tensor, " batch"]:
    """Structural similarity for values in 0 to 1, a Gaussian window of 1.5 pixels (Wang, Bovik, Sheikh and Simoncelli 2004)."""
    t = torch.arange(-5, 6, dtype=image.dtype)
    g = torch.exp(-t.square() / 4.5)
    window = torch.outer(g, g)[None, None] / g.sum() ** 2

    def mean(x: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(x.flatten(0, 1)[:, None], window)[:, 0].unflatten(0, x.shape[:2])

    mx, my = mean(image), mean(truth)
    vx, vy, both = mean(image * image) - mx * mx, mean(truth * truth) - my * my, mean(image * truth) - mx * my
    index = (2 * mx * my + 1e-4) * (2 * both + 9e-4) / ((mx * mx + my * my + 1e-4) * (vx + vy + 9e-4))
    return index.flatten(1).mean(1)


def oracle(method: Callable[[float], Tensor], truth: Float[Tensor, "batch c y x"], grid: Sequence[float] = GRID,
           halvings: int = 2) -> Tuned:
    """The weight for which `method` comes nearest to the truth, which no user has: what the method could do at best."""
    found = {w: method(w) for w in grid}
    ratio = (grid[1] / grid[0]) if len(grid) > 1 else TENTH

    def score(w: float) -> float:
        return float(psnr(found[w], truth).mean())

    for _ in range(halvings):
        ratio, best = math.sqrt(ratio), max(found, key=score)
        found |= {w: method(w) for w in (best / ratio, best * ratio)}
    best = max(found, key=score)
    return Tuned(found[best], best, score(best))
