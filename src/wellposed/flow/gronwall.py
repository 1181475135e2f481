"""From residuals and rates of growth to a bound of the error over time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wellposed.numerics import chebyshev

SLACK, LOST = 1e-9, 200.0 * 2.0**-53


@dataclass(frozen=True, eq=False)
class Steps:
    """Sub-intervals of slabs, none of which contains a piece's end or a frame's time inside.

    Attributes:
        slab, piece: (steps,) where each lies. left, right: (steps,) its place in the slab, from 0 to 1.
        ends: (times,) how many steps end by each of the times, which begin with the first edge.
    """

    slab: np.ndarray
    piece: np.ndarray
    left: np.ndarray
    right: np.ndarray
    ends: np.ndarray

    @staticmethod
    def of(edges: np.ndarray, times: np.ndarray, pieces: int, subdivisions: int) -> Steps:
        """`subdivisions` equal parts of each slab, a multiple of `pieces`, cut further at `times`."""
        lefts, rights, slabs, ends, count = [], [], [], np.zeros(len(times), int), 0
        for s, (a, b) in enumerate(pairwise(edges)):
            inside = np.flatnonzero((times > a) & (times <= b))
            place = (times[inside] - a) / (b - a)
            cuts = np.unique(np.concatenate([np.arange(subdivisions + 1) / subdivisions, place]))
            ends[inside] = count + np.searchsorted(cuts, place)
            count += len(cuts) - 1
            lefts.append(cuts[:-1])
            rights.append(cuts[1:])
            slabs.append(np.full(len(cuts) - 1, s))
        left, right, slab = (np.concatenate(x) for x in (lefts, rights, slabs))
        piece = np.minimum((0.5 * (left + right) * pieces).astype(int), pieces - 1)
        return Steps(slab, piece, left, right, ends)


def squares(gram: np.ndarray, steps: Steps, widths: np.ndarray, lost: float) -> np.ndarray:
    """∫|R|² over each step, (batch, steps), from inner products at the Gauss nodes of each slab (batch, slabs, nodes, nodes).

    `lost`: what inner products may lose to rounding, relatively.
    """
    points, weights = chebyshev.gauss(gram.shape[-1])
    length = steps.right - steps.left
    at = steps.left[:, None] + length[:, None] * points
    q = chebyshev.from_gauss(gram.shape[-1], at.ravel()).reshape(*at.shape, -1)
    weighted = q * (weights * (length * widths[steps.slab])[:, None])[..., None]
    form = np.matmul(q.swapaxes(1, 2), weighted)
    found = np.einsum("bsij,sij->bs", gram[:, steps.slab], form, optimize=True)
    return np.maximum(found, 0.0) + lost * np.trace(gram, axis1=2, axis2=3)[:, steps.slab] * length * widths[steps.slab]


def growth(begin: np.ndarray, end: np.ndarray, bend: np.ndarray, steps: Steps) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the largest rate on each step, (batch, steps), from values at the ends of pieces (batch, slabs, pieces)."""
    pieces, at = begin.shape[-1], (slice(None), steps.slab, steps.piece)
    first, last, extra = begin[at], end[at], bend[at]
    a, b = (first + (last - first) * np.clip(place * pieces - steps.piece, 0.0, 1.0) for place in (steps.left, steps.right))
    return (a + b) / 2 + extra, np.maximum(a, b) + extra


def recursion(start: np.ndarray, mean: np.ndarray, most: np.ndarray, square: np.ndarray, length: np.ndarray,
              jump: np.ndarray) -> np.ndarray:
    """E after each step, (batch, steps + 1): E⁺ = e^{λh} E + ρ ((e^{2Λh} - 1) / 2Λ)^½, and the jump before it.

    Args:
        start: (batch,), |e| at the first time. mean, most: λ and Λ of each step. square: ∫|R|².
        jump: (batch, steps), what is added before.
    """
    z = 2 * most * length
    spread = np.sqrt(length * np.where(np.abs(z) < 1e-8, 1 + z, np.expm1(z) / np.where(z == 0, 1, z)))
    factor, added = np.exp(mean * length), np.sqrt(square) * spread
    out = np.empty((len(start), len(length) + 1))
    out[:, 0] = start
    for i in range(len(length)):
        out[:, i + 1] = factor[:, i] * (out[:, i] + jump[:, i]) + added[:, i]
    return out * (1 + SLACK)
