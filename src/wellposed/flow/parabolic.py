"""The error of any trajectory of a linear equation, exactly, from its residual: the parabolic isometry.

    |e(T)|² + ∫|e|²_V + |∂e/∂t + b·∇e|²_V' dt = |e(0)|² + ∫|R|²_V' dt,        |e|²_V = Σ K |e_k|²,    |R|²_V' = Σ |R_k|² / K        (*)

e = w - v is the error, R the residual (`linear_residual`), |.| the size of the equation, by which all sums are weighted, K = ν|k|² + α. For
α = 0, |e|²_V = ν|∇e|² and |R|²_V' = |R|²_{-1} / ν. Proof: -R = De + Ke with De = ∂e/∂t + b·∇e, hence |R|²_V' = |De|²_V' + |e|²_V +
2 (De, e), and 2 (De, e) = d|e|²/dt as div b = 0. The left side is a norm of e and the right one needs no solution: its effectivity is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.equation import Array, without_nyquist
from wellposed.flow.linear import Parabolic
from wellposed.flow.linear_residual import admitted, basis, cut, dual, material, residual, rounding, squares
from wellposed.flow.residual import SYSTEMS
from wellposed.flow.slabs import Slabs, apply
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import to_spectrum


@dataclass(frozen=True, eq=False)
class Parts:
    """The left side of (*), each (batch,): |e(T)|², ∫|e|²_V dt, ∫|De|²_V' dt."""

    final: Float[Tensor, " batch"]
    energy: Float[Tensor, " batch"]
    dual: Float[Tensor, " batch"]

    @property
    def total(self) -> Float[Tensor, " batch"]:
        return self.final + self.energy + self.dual


@dataclass(frozen=True, eq=False)
class ParabolicError:
    """The right side of (*), which is the squared error in the norm of its left side.

    Attributes:
        initial: |e(0)|², (batch,). residual: ∫|R|²_V' dt of each slab, (batch, slabs). rounding: (batch,), by how much `value` may be off.
        slabs: the polynomials that it is about. start: the initial field of w, (batch, n, n).
    """

    initial: Float[Tensor, " batch"]
    residual: Float[Tensor, "batch slabs"]
    rounding: Float[Tensor, " batch"]
    against: str
    equation: Parabolic = field(repr=False)
    slabs: Slabs = field(repr=False)
    start: Float[Tensor, "batch y x"] = field(repr=False)

    @property
    def total(self) -> Float[Tensor, " batch"]:
        return self.initial + self.residual.sum(-1)

    @property
    def value(self) -> Float[Tensor, " batch"]:
        """The norm of the error."""
        return self.total.sqrt()

    def parts(self, error: Slabs) -> Parts:
        """The left side, for an error that is known: differentiated and integrated without a look at R.

        Args:
            error: spectra of e on the equation's nodes, polynomials on any slabs; `wellposed.flow.duhamel.exact_error` finds them.
        """
        equation, (points, weights) = self.equation, chebyshev.gauss(error.degree + 1)
        (value, slope), weights = basis(error.degree, points), torch.from_numpy(weights)
        weigh, rate, heavy = equation.energy(equation.modes), equation.rate(equation.modes), dual(equation, self.against)
        energy, moving = torch.zeros(2, len(error.values)).double()
        for s, width in enumerate(error.widths.tolist()):
            e, e_t = apply(value, error.values[:, s]), apply(slope / width, error.values[:, s])
            energy += squares(e, weigh * rate) @ weights * width
            moving += squares(material(equation, e, e_t, self.against), heavy) @ weights * width
        return Parts(squares(error.values[:, -1, -1], weigh), energy, moving)


def parabolic_error(equation: Parabolic, trajectory: Trajectory, vorticity: Array | None = None, against: str = "pde") -> ParabolicError:
    """The error of a trajectory in the norm of (*), exactly but for rounding.

    Args:
        equation: `Heat2D`, `Stokes2D` or `Oseen2D`.
        trajectory: its polynomials, or the spline through its frames: v, truncated to the modes |k_i| < n/3 and without its mean.
        vorticity: the initial w, (batch, n, n) or (n, n); the trajectory's first frame if not given.
        against: which w is: the solution of the equation itself, "pde", or of the Galerkin system of the modes |k_i| < n/3, "galerkin".

    Raises:
        ValueError: as `linear_residual.admitted`; an unknown `against`.

    Source: (*), docs/theorems/flow.md. On a slab |R|² has twice the degree M of v, and M + 1 Gauss nodes integrate it exactly.
    """
    if against not in SYSTEMS:
        raise ValueError(f"against: received {against!r}, expected one of {', '.join(SYSTEMS)}: two claims that are never mixed")
    slabs, first = admitted(equation, trajectory, vorticity)
    start = cut(equation, without_nyquist(to_spectrum(first)), against) - slabs.values[:, 0, 0]
    initial = squares(start, equation.energy(equation.modes))
    points, weights = chebyshev.gauss(slabs.degree + 1)
    at, heavy = basis(slabs.degree, points), dual(equation, against)
    found = [squares(residual(equation, slabs, s, at, against), heavy) for s in range(len(slabs.edges) - 1)]
    of_slabs = (torch.stack(found, 1) @ torch.from_numpy(weights)) * slabs.widths
    off = rounding(equation, slabs, first, (initial + of_slabs.sum(-1)).sqrt())
    return ParabolicError(initial, of_slabs, off, against, equation, slabs, first)
