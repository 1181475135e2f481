"""Total variation, |A x - y|²/2 + weight · Σ |∇x|, by ADMM: solves of the physics and, in cosines, of the Laplacian."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.data_terms import LeastSquares
from wellposed.proximal.problem import Inverse
from wellposed.proximal.sums import norm


@torch.no_grad()
def total_variation(problem: Inverse, weight: float, steps: int = 300, tol: float = 1e-4) -> Float[Tensor, "batch c y x"]:
    """argmin |A x - y|²/2 + weight · Σ |∇x|, isotropic differences, none across the sides.

    ADMM with d = ∇x and a copy u = x, so that the solves are of the physics and of the Laplacian by cosine transforms.

    Args:
        steps: at most so many. tol: of the relative change of the images in a step.

    Raises:
        ValueError: a weight that is not positive.
    """
    if not 0 < weight < math.inf:
        raise ValueError(f"weight: received {weight!r}, expected a positive number")
    term, rho = LeastSquares(problem), 0.3 * max(weight, 1e-6) / 0.01
    x = term.proximal(torch.zeros_like(term.backprojection), rho)
    u, d = x.clone(), gradient(x)
    p, q = torch.zeros_like(x), torch.zeros_like(d)
    solver = _Laplacian(x)
    for _ in range(steps):
        new = term.proximal(u - p, rho)
        u = solver.solve(new + p + divergence_adjoint(d - q))
        g = gradient(u)
        d = _shrunk(g + q, weight / rho)
        p, q = p + new - u, q + g - d
        change, x = norm(new - x), new
        if bool((change <= tol * norm(x).clamp(min=1e-300)).all()):
            break
    return x


def gradient(x: Float[Tensor, "batch c y x"]) -> Float[Tensor, "2 batch c y x"]:
    """Forward differences, zero at the last row and column."""
    down = torch.nn.functional.pad(x.diff(dim=-2), (0, 0, 0, 1))
    return torch.stack([down, torch.nn.functional.pad(x.diff(dim=-1), (0, 1))])


def divergence_adjoint(d: Float[Tensor, "2 batch c y x"]) -> Float[Tensor, "batch c y x"]:
    """The transpose of `gradient`."""
    down, right = d[0][..., :-1, :], d[1][..., :-1]
    pad = torch.nn.functional.pad
    return pad(down, (0, 0, 1, 0)) - pad(down, (0, 0, 0, 1)) + pad(right, (1, 0)) - pad(right, (0, 1))


def _shrunk(d: Tensor, threshold: float) -> Tensor:
    size = d.square().sum((0, 2), keepdim=True).sqrt()  # of all channels together
    return d * (1 - threshold / size.clamp(min=threshold))


class _Laplacian:
    """(I + ∇ᵀ∇)⁻¹, diagonal in cosines."""

    def __init__(self, like: Tensor) -> None:
        n, m = like.shape[-2:]
        self.rows, self.columns = _cosines(n, like), _cosines(m, like)
        self.eigenvalues = 1 + _frequencies(n, like)[:, None] + _frequencies(m, like)

    def solve(self, b: Tensor) -> Tensor:
        return self.rows.T @ ((self.rows @ b @ self.columns.T) / self.eigenvalues) @ self.columns


def _cosines(n: int, like: Tensor) -> Tensor:
    k = torch.arange(n, dtype=like.dtype)
    rows = torch.cos(math.pi * k[:, None] * (k + 0.5) / n) * math.sqrt(2 / n)
    rows[0] /= math.sqrt(2)
    return rows


def _frequencies(n: int, like: Tensor) -> Tensor:
    return 2 - 2 * torch.cos(math.pi * torch.arange(n, dtype=like.dtype) / n)
