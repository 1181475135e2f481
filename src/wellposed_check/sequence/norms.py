"""Spectral norms with proof: an upper bound by Cholesky's factorization, a lower bound by a vector."""

from __future__ import annotations

import numpy as np

UNIT = 2.0**-53
SAFE = 1.0 + 2.0**-40
TINY = 2.0**-700
Array = np.ndarray


def euclid(x: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """Euclidean norm, scaled so that no square underflows."""
    size = np.abs(x).max(axis, keepdims=True, initial=2.0**-1000)
    return np.sqrt(np.square(np.abs(x) / size).sum(axis)) * size.squeeze(axis) * SAFE


def at_most(x: Array, level: Array) -> bool:
    """Whether |x|_2 <= level is proved for matrices (k, p, q) and levels (k,): level^2 - x* x then has a Cholesky factor."""
    if not (np.isfinite(x).all() and np.isfinite(level).all() and (level > 0.0).all()):
        return False
    x = x / level[:, None, None]
    x = x if x.shape[1] >= x.shape[2] else x.swapaxes(1, 2)
    n = x.shape[2]
    margin = 16.0 * (x.shape[1] + 8.0) * UNIT * (n + np.square(np.abs(x)).sum((1, 2)))
    try:
        factor = np.linalg.cholesky((1.0 - margin)[:, None, None] * np.eye(n) - x.conj().swapaxes(1, 2) @ x)
    except np.linalg.LinAlgError:
        return False
    return bool(np.isfinite(factor).all())


def at_least(x: Array) -> float:
    """A number that |x|_2 reaches, x (p, q): |x v| / |v| for the vector v that the machine thinks is the best."""
    v = np.linalg.svd(x)[2][0].conj()
    wrong = 8.0 * (x.shape[1] + 8.0) * UNIT * float(euclid(x, (0, 1)))
    reached = float(euclid(x @ v)) / (float(euclid(v)) * SAFE**3) - wrong
    return reached if reached > TINY else 0.0


def enclosed(x: Array) -> tuple[float, float]:
    """Bounds of |x|_2 for one matrix."""
    low, high = at_least(x), float(euclid(x, (0, 1)))
    near = max(float(np.linalg.norm(x, 2)), TINY) * (1.0 + 2.0**-30 + 32.0 * UNIT * (max(x.shape) + 8.0) * min(x.shape))
    return low, near if at_most(x[None], np.full(1, near)) else high
