"""How fast errors can grow: the largest rate of strain, proved between nodes and between times.

    d|e|/dt <= (λ[v] - ν (2π/L)² - α) |e| + |R|,    λ[v] = max over x of √(a² + b²),  a = ∂v₁/∂x,  b = (∂v₁/∂y + ∂v₂/∂x) / 2

Between nodes δ apart λ exceeds the largest value at one by at most (δ²/8) Σ |k|² |ŵ_k|, because the maximiser has no slope. Between times
it is convex: at most the linear interpolant of its values at both ends and Σ_k Σ_{j≥2} |c_jk|, c the Chebyshev coefficients of the piece.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.band import Band, Box
from wellposed.flow.slabs import apply
from wellposed.numerics import chebyshev

ROUNDING = 1e-9
GRIDS, TIGHT = (1, 1.5, 2, 3, 4), 0.02


def strain(w: Box, band: Band, m: int) -> Tensor:
    """An upper bound of λ of the flow whose vorticity this is, over the last two axes, by its values at m x m nodes."""
    psi = w * band.inverse
    a, b = band.nodal(torch.stack([-band.x * band.y * psi, 0.5 * (band.x**2 - band.y**2) * psi]), m).flatten(-2).unbind()
    return ((a.square() + b.square()).amax(-1).sqrt() + _between(w, band, m)) * (1 + ROUNDING)


def _between(w: Box, band: Band, m: int) -> Tensor:
    return (band.length / m) ** 2 / 8 * band.total(w.abs() * band.square)


def grid_for(w: Box, band: Band, n: int) -> int:
    """The coarsest grid on which what λ may gain between nodes is a fiftieth of it: its square has the mean |w|² / 4."""
    least = 0.5 * torch.linalg.vector_norm(torch.view_as_real((w * band.twice.sqrt()).resolve_conj()), dim=(-3, -2, -1))
    grids = [2 * round(g * n / 2) for g in GRIDS]
    return next((m for m in grids if bool((_between(w, band, m) <= TIGHT * least).all())), grids[-1])


def bend(values: Box, band: Band, pieces: int) -> Float[Tensor, "batch slabs pieces"]:
    """By how much λ may exceed its chord on each of the equal pieces of each slab."""
    degree = values.shape[-3] - 1
    out = []
    for p in range(pieces):
        points = (p + chebyshev.lobatto(degree)) / pieces
        matrix = chebyshev.to_coefficients(degree) @ chebyshev.values(degree, points)
        out.append(band.total(apply(matrix[2:], values).abs().sum(-3)))
    return torch.stack(out, -1) * (1 + ROUNDING)
