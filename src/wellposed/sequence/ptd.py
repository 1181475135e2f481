"""Perturb, then diagonalize: any matrix, however ill-posed its own diagonalization, has one of a matrix nearby.

A + E = V Lambda V^-1 with a small E. For a complex Gaussian E of norm delta |A| the expected condition number of V is polynomial
in n and 1/delta (Banks, Kulkarni, Mukherjee and Srivastava, after Davies: some E has cond V <= 4 n^1.5 (1 + 1/delta)); in floating
point the backward error is about delta + u cond V, so that the best delta is near the square root of u n^1.5.

Source: Yu, Nigmetov, Morozov, Mahoney and Erichson, *Robustifying State-space Models for Long Sequences via Approximate
Diagonalization* (ICLR 2024). For HiPPO there is a closed form with a theorem: `damped_hippo`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Complex, Num

METHODS = ("random", "optimised")
DRAWS = 3
SPREAD = (0.1, 0.3, 1.0, 3.0)
"""Multiples of sqrt(u n^1.5) among which delta="auto" takes the one of the least backward error."""
STEPS, RATE = 200, 0.05


@dataclass(frozen=True)
class Diagonalization:
    """A + E = V Lambda V^-1.

    Attributes:
        eigenvalues: Lambda (n,). eigenvectors: V (n, n), columns of length 1.
        backward_error: |V Lambda V^-1 - A|_2 / |A|_2, computed (with what rounding adds).
        condition: of V, in the spectral norm.
        perturbation_norm: |E|_2. delta: |E|_2 / |A|_2.
        spectral_abscissa: largest real part of Lambda. numerical_abscissa: largest eigenvalue of (M + M*)/2, M = A + E.
    """

    eigenvalues: Complex[np.ndarray, " n"]
    eigenvectors: Complex[np.ndarray, "n n"]
    backward_error: float
    condition: float
    perturbation_norm: float
    delta: float
    spectral_abscissa: float
    numerical_abscissa: float


def ptd(A: Num[np.ndarray, "n n"], delta: str | float = "auto", method: str = "random", seed: int = 0) -> Diagonalization:
    """Diagonalize a matrix near A.

    Args:
        A: any square matrix.
        delta: |E|_2 / |A|_2; "auto" takes the size of the least backward error.
        method: "random", the best conditioned of a few Gaussian draws; "optimised", from there E of that size moved by Adam so that
            the condition number falls, as in the paper (it imports torch, and takes seconds).
        seed: of the draws.

    Raises:
        ValueError: A is no square matrix of finite numbers; delta or method out of range.
    """
    a = np.asarray(A)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or not a.size or a.dtype.kind not in "fciu" or not np.isfinite(a).all():
        raise ValueError(f"ptd: received an array of shape {a.shape} and type {a.dtype}, expected a square matrix of finite numbers")
    if method not in METHODS or not (delta == "auto" or (isinstance(delta, int | float) and 0 < delta < np.inf)):
        raise ValueError(f"ptd: received delta={delta!r} and method={method!r}, expected 'auto' or a positive number, and one of "
                         f"{', '.join(METHODS)}")
    a, rng = a.astype(complex), np.random.default_rng(seed)
    draws = [_unit(rng, len(a)) for _ in range(DRAWS)]
    if not isinstance(delta, str):
        return _best(a, float(delta), draws, method)
    scale = np.sqrt(2.0**-53 * len(a) ** 1.5)
    return min((_best(a, k * scale, draws, method) for k in SPREAD), key=lambda d: d.backward_error)


def _unit(rng: np.random.Generator, n: int) -> Complex[np.ndarray, "n n"]:
    """A complex Gaussian matrix of spectral norm 1."""
    e = rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))
    return e / np.linalg.norm(e, 2)


def _best(a: Complex[np.ndarray, "n n"], delta: float, draws: list[np.ndarray], method: str) -> Diagonalization:
    size = np.linalg.norm(a, 2) or 1.0
    found = [(_diagonalize(a, delta * size * e), e) for e in draws]
    best, e = min(found, key=lambda pair: pair[0].condition)
    if method == "random":
        return best
    moved = _diagonalize(a, delta * size * _optimised(a / size, delta, e))
    return moved if moved.condition < best.condition else best


def _diagonalize(a: Complex[np.ndarray, "n n"], e: Complex[np.ndarray, "n n"]) -> Diagonalization:
    perturbed, size, moved = a + e, np.linalg.norm(a, 2), float(np.linalg.norm(e, 2))
    values, vectors = np.linalg.eig(perturbed)
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    again = np.linalg.solve(vectors.T, (vectors * values).T).T
    symmetric = (perturbed + perturbed.conj().T) / 2
    return Diagonalization(values, vectors, float(np.linalg.norm(again - a, 2) / (size or 1.0)), float(np.linalg.cond(vectors)), moved,
                           moved / float(size or 1.0), float(np.real(values).max()), float(np.linalg.eigvalsh(symmetric)[-1]))


def _optimised(a: Complex[np.ndarray, "n n"], delta: float, start: Complex[np.ndarray, "n n"]) -> Any:
    """The E of spectral norm 1, found by Adam, with which the eigenvectors of a + delta E are best conditioned."""
    import torch

    matrix = torch.from_numpy(a)
    e = torch.from_numpy(np.stack([np.real(start), np.imag(start)])).requires_grad_()
    optimizer = torch.optim.Adam([e], lr=RATE * float(np.abs(start).mean()))
    least, best = np.inf, start
    for _ in range(STEPS):
        unit = torch.complex(e[0], e[1])
        unit = unit / torch.linalg.matrix_norm(unit, 2)
        vectors = torch.linalg.eig(matrix + delta * unit).eigenvectors
        loss = torch.linalg.cond(vectors).log()
        if loss.item() < least:
            least, best = loss.item(), unit.detach().numpy()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return best
