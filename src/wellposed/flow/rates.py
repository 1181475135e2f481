"""How fast errors of a trajectory can grow, on each piece of each slab: by the strain, or by the numerical abscissa."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.abscissa import abscissa
from wellposed.flow.band import Band
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.slabs import Slabs, apply
from wellposed.flow.strain import bend, grid_for, strain
from wellposed.numerics import chebyshev

GROWTHS = ("strain", "abscissa")


@dataclass(frozen=True, eq=False)
class Rates:
    """Bounds μ of d|e|/dt <= μ|e| + |R|.

    Attributes:
        begin, end: at both ends of each piece of each slab, (batch, slabs, pieces). bend: by how much μ may rise above its chord between.
        grid: of how many nodes per axis the strain was looked for.
        abscissas: proved numerical abscissas at the first time and at the end of each piece, and the boxes of their proofs, (batch, slabs *
            pieces + 1, 2); None if only the strain was asked.
    """

    begin: Float[Tensor, "batch slabs pieces"]
    end: Float[Tensor, "batch slabs pieces"]
    bend: Float[Tensor, "batch slabs pieces"]
    grid: int
    abscissas: Float[Tensor, "batch points 2"] | None = None


def rates(equation: NavierStokes2D, slabs: Slabs, growth: str = "strain", against: str = "galerkin", pieces: int = 2) -> Rates:
    """The rates of polynomials in time.

    Args:
        growth: "strain", λ - ν (2π/L)² - α, or "abscissa", tighter, with an eigenvalue problem for each end of a piece.

    Raises:
        ValueError: another `growth`.
    """
    if growth not in GROWTHS:
        raise ValueError(f"growth: received {growth!r}, expected one of {', '.join(GROWTHS)}")
    band = Band.kept(equation.resolution, equation.length)
    values = band.cut(slabs.values)
    ends = apply(chebyshev.values(slabs.degree, np.arange(pieces + 1) / pieces), values)
    grid = grid_for(ends, band, equation.resolution)
    speeds = strain(ends, band, grid)
    at = speeds - equation.viscosity * equation.lowest**2 - equation.drag
    points = None
    if growth == "abscissa":
        fields, limits = (torch.cat([x[:, :1, 0], x[:, :, 1:].flatten(1, 2)], 1) for x in (ends, speeds))
        points = torch.tensor([[_abscissa(equation, w, s, against) for w, s in zip(*sample, strict=True)]
                               for sample in zip(fields, limits, strict=True)], dtype=torch.float64)
        jumps = 0.5 * band.total((values[:, 1:, 0] - values[:, :-1, -1]).abs())
        at = _placed(points[..., 0], jumps, at.shape)
    return Rates(at[..., :-1], at[..., 1:], bend(values, band, pieces), grid, points)


def _abscissa(equation: NavierStokes2D, w: Tensor, limit: Tensor, against: str) -> tuple[float, float]:
    found = abscissa(w, viscosity=equation.viscosity, drag=equation.drag, length=equation.length, strain=float(limit),
                     against="galerkin" if against == "galerkin" else "pde")
    return found.upper, float(found.box)


def _placed(points: Tensor, jumps: Tensor, shape: torch.Size) -> Tensor:
    """(batch, slabs, pieces + 1): a slab begins where the one before it ended, and what jumps there counts with its strain."""
    out = points.new_empty(shape)
    out[:, :, 1:] = points[:, 1:].unflatten(1, (shape[1], shape[2] - 1))
    out[:, 0, 0] = points[:, 0]
    out[:, 1:, 0] = out[:, :-1, -1] + jumps * (1 + 1e-9)
    return out
