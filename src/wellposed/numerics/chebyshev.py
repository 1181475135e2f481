"""Polynomials on [0, 1] by their values at Chebyshev-Lobatto points s_j = (1 - cos(π j / M)) / 2, j = 0..M.

Matrices are numpy float64; they act on the axis of the nodes. Source: Trefethen, Approximation Theory and Approximation Practice (2013).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

Matrix = np.ndarray


def lobatto(degree: int) -> np.ndarray:
    """The points (degree + 1,), from 0 to 1, both ends exact and symmetric to the last bit."""
    half = np.sin(np.pi * np.arange(degree // 2 + 1) / (2 * degree)) ** 2
    points = np.empty(degree + 1)
    points[: len(half)], points[degree + 1 - len(half):] = half, 1.0 - half[::-1]
    if degree % 2 == 0:
        points[degree // 2] = 0.5
    return points


@lru_cache
def to_coefficients(degree: int) -> Matrix:
    """Values at the points -> coefficients of T_0..T_M(2 s - 1); (degree + 1, degree + 1)."""
    j = np.arange(degree + 1)
    c = 2.0 / degree * np.cos(np.pi * ((j[:, None] * (degree - j)) % (2 * degree)) / degree)
    c[[0, -1]] /= 2
    c[:, [0, -1]] /= 2
    return c


def values(degree: int, s: np.ndarray) -> Matrix:
    """Values at the points -> values at `s` of the polynomial through them; (len(s), degree + 1)."""
    return np.polynomial.chebyshev.chebvander(2 * np.asarray(s) - 1, degree) @ to_coefficients(degree)


def derivatives(degree: int, s: np.ndarray) -> Matrix:
    """Values at the points -> derivatives with respect to s, at `s`; rows sum to zero. (len(s), degree + 1)."""
    eye = np.eye(degree + 1)
    basis = np.stack([np.polynomial.chebyshev.chebval(2 * np.asarray(s) - 1, np.polynomial.chebyshev.chebder(e)) for e in eye], -1)
    return 2 * basis @ to_coefficients(degree)


def gauss(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre on [0, 1], exact to degree 2 `points` - 1."""
    x, w = np.polynomial.legendre.leggauss(points)
    return (1 + x) / 2, w / 2


def from_gauss(points: int, s: np.ndarray) -> Matrix:
    """Values at Gauss nodes -> values at `s` of the polynomial of degree `points` - 1 through them; (len(s), points)."""
    x, w = np.polynomial.legendre.leggauss(points)
    degrees = np.arange(points)
    coefficients = (degrees + 0.5)[:, None] * np.polynomial.legendre.legvander(x, points - 1).T * w
    return np.polynomial.legendre.legvander(2 * np.asarray(s) - 1, points - 1) @ coefficients


def lebesgue(degree: int) -> float:
    """A bound of the Lebesgue constant of the points: interpolation enlarges the largest value by no more."""
    return 1 + 2 / math.pi * math.log(degree + 1)
