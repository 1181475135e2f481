"""Fine-tuning of the coefficients that a last layer writes, on the honest residual: what gradients can do, for comparison.

The layer is linear in its parameters and the residual quadratic in the trajectory, so the loss ∫|R|² dt is a quartic, not convex. In the
variables y = ∂v/∂t + (ν|k|² + α)v at the nodes, from which v follows by one small inverse for each mode and slab, its Hessian is near one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from wellposed.flow.band import Band
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.slabs import Slabs
from wellposed.numerics import chebyshev

MEMORY = 30  # pairs that L-BFGS keeps


@dataclass(frozen=True, eq=False)
class FineTuned:
    """Attributes: slabs, with the best loss found. losses: ∫|R|² dt, the sum over samples, at each evaluation."""

    slabs: Slabs
    losses: list[float]


class Collocation:
    """y <-> v on slabs: (d/dt + ν|k|² + α) v = y at the nodes but the first, where a slab begins with the end of the last."""

    def __init__(self, equation: NavierStokes2D, edges: Tensor, degree: int) -> None:
        self.equation, self.edges, self.degree = equation, edges, degree
        self.band = Band.kept(equation.resolution, equation.length)
        slope = torch.from_numpy(chebyshev.derivatives(degree, chebyshev.lobatto(degree))[1:])
        linear = equation.viscosity * self.band.square + equation.drag
        self.widths = edges.diff()
        self.slopes = slope / self.widths[:, None, None]
        whole = self.slopes[:, None, None, :, 1:] + linear[..., None, None] * torch.eye(degree, dtype=torch.float64)
        self.inverse = torch.linalg.inv(whole)
        self.carried = -(self.inverse @ self.slopes[:, None, None, :, :1])[..., 0]
        weights = np.polynomial.legendre.leggauss(degree + 1)
        at = chebyshev.values(degree, (1 + weights[0]) / 2)
        self.quadrature = torch.from_numpy(weights[1] / 2 @ at)[1:] * self.widths[:, None]
        f = equation.forcing_spectrum
        self.forcing = None if f is None else self.band.cut(f)

    def unknowns(self, slabs: Slabs) -> Complex[Tensor, "batch slabs nodes rows columns"]:
        """y of polynomials."""
        v = self.band.cut(slabs.values)
        linear = self.equation.viscosity * self.band.square + self.equation.drag
        return torch.einsum("sij,bsjyx->bsiyx", self.slopes.to(v.dtype), v) + linear * v[:, :, 1:]

    def values(self, y: Tensor, start: Tensor) -> Tensor:
        """v at all nodes, (batch, slabs, degree + 1, rows, columns), from y and v at the first time."""
        out = []
        for s in range(len(self.widths)):
            inner = torch.einsum("yxij,bjyx->biyx", self.inverse[s].to(y.dtype), y[:, s])
            inner = inner + torch.einsum("yxi,byx->biyx", self.carried[s].to(y.dtype), start)
            out.append(torch.cat([start[:, None], inner], 1))
            start = inner[:, -1]
        return torch.stack(out, 1)

    def loss(self, y: Tensor, start: Tensor) -> Float[Tensor, ""]:
        """∫|R|² dt by quadrature at the nodes, R = y + P(v·∇)v - f, as a velocity, summed over samples."""
        r = (y + self._transport(self.values(y, start)[:, :, 1:]) - (0 if self.forcing is None else self.forcing)) * self.band.weights
        return (torch.view_as_real(r).square().sum((-3, -2, -1)) * self.quadrature).sum()

    def _transport(self, w: Tensor) -> Tensor:
        band, n = self.band, self.equation.resolution
        psi = w * band.inverse
        u, v, vorticity = band.nodal(torch.stack([1j * band.y * psi, -1j * band.x * psi, w]), n).unbind()
        return 1j * (band.x * _spectrum(band, u * vorticity) + band.y * _spectrum(band, v * vorticity))


def _spectrum(band: Band, field: Tensor) -> Tensor:
    w = torch.fft.rfft2(field, norm="forward")
    return torch.cat([w[..., : band.top + 1, : band.top + 1], w[..., w.shape[-2] - band.top:, : band.top + 1]], -2)


def fine_tune(equation: NavierStokes2D, slabs: Slabs, evaluations: int = 70) -> FineTuned:
    """L-BFGS on the honest residual, in variables preconditioned by the heat equation; the first field stays.

    Args:
        slabs: what a network answered, of one degree; their joints are made continuous.
        evaluations: of loss and gradient, at most.

    Source: the loss of Cao et al. (2025) in the norm of L²(0, T; L²), with ∂v/∂t taken of the trajectory itself; Nocedal and Wright,
    Numerical Optimization (2006), for L-BFGS.
    """
    system = Collocation(equation, slabs.edges, slabs.degree)
    start, y = system.band.cut(slabs.values[:, 0, 0]), system.unknowns(slabs)
    scale = (system.band.weights.clamp(min=1e-12)[..., None] * system.quadrature.clamp(min=1e-300).sqrt()[:, :, None, None, None])
    flat = (torch.view_as_real(y) * scale).requires_grad_()
    losses: list[float] = []
    best: list[Tensor] = [flat.detach().clone()]
    method = torch.optim.LBFGS([flat], max_iter=evaluations, max_eval=evaluations, history_size=MEMORY, line_search_fn="strong_wolfe",
                               tolerance_grad=0.0, tolerance_change=0.0)

    def evaluate() -> Tensor:
        method.zero_grad()
        loss = system.loss(torch.view_as_complex(flat / scale), start)
        loss.backward()
        if not losses or loss.item() < min(losses):
            best[0] = flat.detach().clone()
        losses.append(loss.item())
        return loss

    with torch.enable_grad():
        method.step(evaluate)
    found = system.values(torch.view_as_complex(best[0] / scale), start)
    return FineTuned(Slabs(slabs.edges, system.band.spread(found, equation.resolution)), losses)
