"""The Q1 matrix of a constant coefficient, inverted directly by fast diagonalization.

In a product space it is K (x) M + M (x) K, K and M the one-dimensional stiffness and mass matrices; their generalized
eigenvectors turn the solve into four small dense products. Source: Lynch, Rice and Thomas, Numer. Math. 6 (1964) 185-199.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.linalg
import torch

from wellposed.numerics.q1 import Nodes
from wellposed.numerics.space import NodalSpace


def solve_constant(space: NodalSpace, functional: Nodes) -> Nodes:
    """The admissible v with int grad v . grad w = functional(w) for all admissible w.

    Args:
        functional: assembled (`space.assemble`); of mean zero where constants are admissible, and v is then too.
    """
    bottom, right, top, left = space.essential
    n = space.n
    rows, columns = (slice(0, n), slice(0, n)) if space.periodic else (slice(int(bottom), n + 1 - top), slice(int(left), n + 1 - right))
    (ly, vy), (lx, vx) = (tuple(torch.as_tensor(x).to(functional) for x in _eigen(n, *ends, space.periodic))
                          for ends in ((bottom, top), (left, right)))
    total = ly[:, None] + lx
    inverse = torch.where(total > 1e-12 * total.max(), 1 / total.clamp_min(1e-300), 0.0)
    inside = vy @ ((vy.T @ functional[:, rows, columns] @ vx) * inverse) @ vx.T
    v = torch.zeros_like(functional)
    v[:, rows, columns] = inside
    if space.periodic:
        v[:, -1], v[:, :, -1] = v[:, 0], v[:, :, 0]
        v[:, -1, -1] = v[:, 0, 0]
    return v


@lru_cache(maxsize=64)
def _eigen(n: int, low: bool, high: bool, periodic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and mass-orthonormal eigenvectors of the stiffness matrix on one axis, essential ends left out."""
    size = n if periodic else n + 1
    k, m = np.zeros((size, size)), np.zeros((size, size))
    for cell in range(n):
        pair = np.ix_([cell, (cell + 1) % size], [cell, (cell + 1) % size])
        k[pair] += [[1, -1], [-1, 1]]
        m[pair] += np.array([[2, 1], [1, 2]]) / 6
    keep = slice(0, size) if periodic else slice(int(low), size - int(high))
    values, vectors = scipy.linalg.eigh(k[keep, keep], m[keep, keep])
    return values, vectors
