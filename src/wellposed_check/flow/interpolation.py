"""Polynomials by their values at Chebyshev-Lobatto points on [-1, 1]."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev

Array = np.ndarray


def points(degree: int) -> Array:
    """Chebyshev-Lobatto points on [-1, 1]."""
    return np.sin(np.pi * (2 * np.arange(degree + 1) - degree) / (2 * degree))


def interpolation(degree: int, x: Array, derivative: bool = False) -> Array:
    """Values at the points -> values, or slopes, at x; (len(x), degree + 1)."""
    basis = chebyshev.chebvander(x, degree)
    if derivative:
        basis = chebyshev.chebvander(x, degree - 1) @ chebyshev.chebder(np.eye(degree + 1))
    return basis @ np.linalg.inv(chebyshev.chebvander(points(degree), degree))


def along(matrix: Array, values: Array) -> Array:
    """A real matrix on the axis before the last two."""
    flat = values.reshape(*values.shape[:-2], -1)
    return (matrix @ flat).reshape(*values.shape[:-3], len(matrix), *values.shape[-2:])
