"""Wavelet shrinkage, |A x - y|²/2 + weight · Σ |coefficients of x|, by ADMM.

The transform of periodic images is orthonormal, so that soft-thresholding the coefficients is the prox of the sum of their sizes.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.data_terms import LeastSquares
from wellposed.proximal.problem import Inverse
from wellposed.proximal.sums import norm

FILTERS = {
    "haar": (1 / math.sqrt(2), 1 / math.sqrt(2)),
    "db2": tuple(x / (4 * math.sqrt(2)) for x in (1 + math.sqrt(3), 3 + math.sqrt(3), 3 - math.sqrt(3), 1 - math.sqrt(3))),
}
"""Low-pass filters (Daubechies 1992)."""


@torch.no_grad()
def wavelet_shrinkage(problem: Inverse, weight: float, steps: int = 300, tol: float = 1e-4, shifts: int = 2,
                      filters: str = "db2") -> Float[Tensor, "batch c y x"]:
    """argmin |A x - y|²/2 + weight · Σ |coefficients of x|, by ADMM, the mean of `shifts`² shifted transforms for the prox.

    With one shift the iteration is exact; with more the prox is that of cycle spinning, an average of proxes.

    Raises:
        ValueError: a weight that is not positive, images whose sides cannot be halved.
    """
    if not 0 < weight < math.inf:
        raise ValueError(f"weight: received {weight!r}, expected a positive number")
    levels = levels_of(problem.physics.image_shape)
    if levels == 0:
        raise ValueError(f"image: received sides {tuple(problem.physics.image_shape[-2:])}, expected even ones for wavelets; "
                         "crop them by a pixel")
    term, rho = LeastSquares(problem), max(weight / 0.05, 1e-6)
    moves = [(i, j) for i in range(shifts) for j in range(shifts)]
    z = x = term.proximal(torch.zeros_like(term.backprojection), rho)
    u = torch.zeros_like(z)
    for _ in range(steps):
        new = term.proximal(z - u, rho)
        v = new + u
        shrunk = soft_threshold(torch.stack([v.roll(s, (-2, -1)) for s in moves]), weight / rho, levels, filters)
        z = torch.stack([part.roll((-i, -j), (-2, -1)) for part, (i, j) in zip(shrunk, moves, strict=True)]).mean(0)
        u, change, x = v - z, norm(new - x), new
        if bool((change <= tol * norm(x).clamp(min=1e-300)).all()):
            break
    return z


def levels_of(shape: tuple[int, ...], most: int = 4) -> int:
    """How often both sides can be halved."""
    count = 0
    while count < most and all(n % 2 ** (count + 1) == 0 for n in shape[-2:]):
        count += 1
    return count


def analysis(x: Float[Tensor, "... y x"], levels: int, filters: str = "db2") -> Float[Tensor, "... y x"]:
    """The coefficients, the smooth ones in the corner at the origin."""
    out = x.clone()
    rows, columns = x.shape[-2:]
    for k in range(levels):
        r, c = rows >> k, columns >> k
        left, right = (_matrix(n, filters).to(x) for n in (r, c))
        out[..., :r, :c] = left @ out[..., :r, :c] @ right.T
    return out


def synthesis(coefficients: Float[Tensor, "... y x"], levels: int, filters: str = "db2") -> Float[Tensor, "... y x"]:
    """The inverse of `analysis`, which is its transpose."""
    out = coefficients.clone()
    rows, columns = out.shape[-2:]
    for k in reversed(range(levels)):
        r, c = rows >> k, columns >> k
        left, right = (_matrix(n, filters).to(out) for n in (r, c))
        out[..., :r, :c] = left.T @ out[..., :r, :c] @ right
    return out


def soft_threshold(x: Float[Tensor, "... y x"], threshold: float, levels: int, filters: str = "db2") -> Float[Tensor, "... y x"]:
    """prox of `threshold` times the sum of the sizes of all coefficients but the smooth ones."""
    c = analysis(x, levels, filters)
    kept = torch.nn.functional.softshrink(c, threshold)
    r, s = (n >> levels for n in x.shape[-2:])
    kept[..., :r, :s] = c[..., :r, :s]
    return synthesis(kept, levels, filters)


@cache
def _matrix(n: int, filters: str) -> Float[Tensor, "n n"]:
    """One level in one dimension: n/2 rows of the low-pass filter, n/2 of the high-pass one, both wrapped around."""
    low = FILTERS[filters]
    high = [(-1) ** i * a for i, a in enumerate(reversed(low))]
    out = torch.zeros(n, n, dtype=torch.float64)
    for k in range(n // 2):
        for i, (a, b) in enumerate(zip(low, high, strict=True)):
            out[k, (2 * k + i) % n] += a
            out[n // 2 + k, (2 * k + i) % n] += b
    return out
