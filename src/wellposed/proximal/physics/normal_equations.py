"""(AᵀA + ρI)⁻¹ b for maps that no transform makes diagonal: Cholesky's factorization of small matrices, else conjugate gradients."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.inversion import conjugate_gradients
from wellposed.proximal.sums import norm

DENSE = 4096
"""Unknowns or measurements, whichever are fewer, up to which a dense factorization is made and kept."""
RELATIVE, SINGLE = 1e-12, 1e-6
"""Residuals beside |b| at which conjugate gradients stop, with operators in float64 and in float32."""
RESTARTS = 20


class Factored:
    """Of a sparse matrix, by factorizing AᵀA + ρI, or AAᵀ + ρI where that is smaller; the factor of the last ρ is kept.

    Args:
        matrix: A, a scipy CSR array in float64.
        forward, adjoint: products with A and Aᵀ, (batch, n) and (batch, m), in float64.
    """

    def __init__(self, matrix: Any, forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]) -> None:
        self._matrix, self._forward, self._adjoint = matrix, forward, adjoint
        self._wide = matrix.shape[0] < matrix.shape[1]
        self._kept: tuple[float, Tensor] | None = None

    def solve(self, b: Float[Tensor, "batch n"], rho: float) -> Float[Tensor, "batch n"]:
        """In float64; the second pass removes what the first lost by rounding."""
        x = self._once(b, rho)
        return x + self._once(b - self._adjoint(self._forward(x)) - rho * x, rho)

    def _once(self, b: Tensor, rho: float) -> Tensor:
        if not self._wide:
            return self._backsolved(b, rho)
        return (b - self._adjoint(self._backsolved(self._forward(b), rho))) / rho

    def _backsolved(self, b: Tensor, rho: float) -> Tensor:
        factor = self._factor(rho).to(b.device)
        half = torch.linalg.solve_triangular(factor, b.T, upper=False)  # cholesky_solve copies the factor at every call
        return torch.linalg.solve_triangular(factor.mT, half, upper=True).T.contiguous()

    def _factor(self, rho: float) -> Tensor:
        if self._kept is None or self._kept[0] != rho:
            self._kept = None  # gone before the next is made: each may take 128 MiB
            a = self._matrix
            gram = torch.from_numpy((a @ a.T if self._wide else a.T @ a).toarray())
            gram.diagonal().add_(rho)
            self._kept = rho, torch.linalg.cholesky(gram)
        return self._kept[1]


def solve_by_iteration(gram: Callable[[Tensor], Tensor], b: Float[Tensor, "batch ..."], rho: float,
                       relative: float = RELATIVE) -> Float[Tensor, "batch ..."]:
    """By conjugate gradients, restarted from the true residual until it is at most `relative` |b| or no longer falls.

    Args:
        gram: x -> AᵀA x.

    Warns:
        UserWarning: where a residual stays above `relative` |b|, with its size: ρ is then too small for the precision of the operator, or
            its transpose is not one.
    """
    size = norm(b)
    x, r = torch.zeros_like(b), b
    left = size
    for _ in range(RESTARTS):
        x_new = x + conjugate_gradients(lambda v: gram(v) + rho * v, r, 0.5 * relative * size)
        r_new = b - gram(x_new) - rho * x_new
        new = norm(r_new)
        if not bool((new < left).any()):
            break
        better = (new < left).view(-1, *(1,) * (b.ndim - 1))
        x, r, left = torch.where(better, x_new, x), torch.where(better, r_new, r), torch.minimum(new, left)
        if bool((left <= relative * size).all()):
            break
    worst = float((left / size.clamp(min=1e-300)).max()) if len(b) else 0.0
    if worst > relative:
        warnings.warn(f"solve: (AᵀA + {rho:.3g} I) x = b was solved to a residual of {worst:.1e} |b|, not {relative:.0e}; take a larger "
                      "rho, and test the adjoint (wellposed.proximal.physics.adjoint_test)", stacklevel=3)
    return x
