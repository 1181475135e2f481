"""Enclosures of ‖A‖²: proved for matrices (Collatz and Wielandt), at a stated confidence for anything else (randomized Lanczos).

A Ritz value, which is what power iteration gives, is a lower bound and no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.sums import UNIT

ITERATIONS, SETTLED = 100, 1e-9
FLOOR = 1e-100
"""Entries of the positive vector do not become smaller than this beside its largest."""
Array = np.ndarray


def outward(lower: float, upper: float, relative: float) -> tuple[float, float]:
    """Nonnegative ends moved apart by a relative error, and by the rounding of doing so."""
    return max(0.0, math.nextafter(lower * (1 - relative), -math.inf)), math.nextafter(upper * (1 + relative), math.inf)


def collatz_wielandt(matrix: Any) -> tuple[float, Float[Array, " n"]]:
    """An upper bound of ‖A‖² and the vector v > 0 that proves it: max_i (Mv)_i / v_i, M = |A|ᵀ|A|.

    A nonnegative symmetric M has ‖M‖ at most this for every v > 0 (Horn and Johnson, Matrix Analysis, corollary 8.1.31), and
    ‖A‖² <= ‖M‖ with equality where A >= 0. With signs that cancel the bound is far from ‖A‖².

    Args:
        matrix: a scipy CSR array.
    """
    size = abs(matrix)
    transposed = size.T.tocsr()
    most = int(np.diff(size.indptr).max(initial=0) + np.diff(transposed.indptr).max(initial=0))
    v = np.ones(matrix.shape[1])
    best, proof = math.inf, v
    for _ in range(ITERATIONS):
        image = transposed @ (size @ v)
        bound = float((image / v).max())
        if bound < best * (1 - SETTLED):
            best, proof = bound, v
        elif bound <= best:
            best, proof = bound, v
            break
        v = np.maximum(image / image.max(), FLOOR)
    return outward(0.0, best, 2 * (most + 4) * UNIT)[1], proof


def rayleigh(matrix: Any, v: Float[Array, " n"]) -> float:
    """A lower bound of ‖A‖²: |Av|²/|v|², less what rounding may have added."""
    terms = int(np.diff(matrix.indptr).max(initial=0)) + 2
    off = 2 * terms * UNIT * float(np.linalg.norm(abs(matrix) @ abs(v)))
    found = max(float(np.linalg.norm(matrix @ v)) - off, 0.0) / float(np.linalg.norm(v))
    return outward(found**2, 0.0, 4 * (sum(matrix.shape) + 4) * UNIT)[0]


def lanczos(product: Callable[[Tensor], Tensor], like: Tensor, steps: int, seed: int) -> tuple[float, Tensor]:
    """The largest Ritz value of a symmetric map and its unit vector, of the shape of `like`, from a random start.

    Every vector is made orthogonal to all before it, twice: the theory of `upper_of_ritz` is that of exact arithmetic.
    """
    v = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(like)
    basis: list[Tensor] = []
    diagonal: list[float] = []
    beside: list[float] = []
    size = float(v.norm())
    for _ in range(min(steps, like.numel())):
        basis.append(v / size)
        w = product(basis[-1])
        diagonal.append(float((w * basis[-1]).sum()))
        span = torch.stack(basis).flatten(1)
        flat = w.flatten()
        for _ in range(2):
            flat = flat - span.T @ (span @ flat)
        v, size = flat.view_as(v), float(flat.norm())
        if size <= 1e-10 * abs(diagonal[0]) or not math.isfinite(size):
            break
        beside.append(size)
    off = np.array(beside[: len(diagonal) - 1])
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))
    best = torch.from_numpy(vectors[:, -1]).to(like)
    return float(values[-1]), (best @ torch.stack(basis).flatten(1)).view_as(like)


def upper_of_ritz(ritz: float, n: int, steps: int, confidence: float) -> float:
    """What the largest eigenvalue of a positive semidefinite n x n matrix is at most, with this probability over the start of Lanczos.

    After k steps the relative error of the largest Ritz value exceeds ε with a probability of at most 1.648 √n e^{-√ε (2k - 1)}.

    Raises:
        ValueError: too few steps to say anything at this confidence.

    Source: Kuczyński and Woźniakowski, SIAM J. Matrix Anal. Appl. 13 (1992), theorem 4.2.
    """
    error = (math.log(1.648 * math.sqrt(n) / (1 - confidence)) / (2 * steps - 1)) ** 2
    if error >= 1:
        raise ValueError(f"steps: received {steps} of Lanczos for {n} unknowns at confidence {confidence}, expected more; give more")
    return ritz / (1 - error)
