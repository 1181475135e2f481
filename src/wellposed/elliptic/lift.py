"""What a network starts from: the answer for a constant coefficient, by a direct solve, and features made of it.

With m the geometric mean of a, U solves -m Laplace U = f with all the boundary data, and T is the best balanced flux for
it. A network learns what the variation of a changes: u = U + p w and flux T + q curl psi, with p and q the sizes of U
and T and the sign of U where it is largest, so that its task has neither units nor scale nor sign: u(s a, t f) = (t / s) u(a, f)
for s > 0 and any t, to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.elliptic import flux
from wellposed.elliptic.finite_elements import load
from wellposed.elliptic.flux import Flux, Stream
from wellposed.elliptic.problem import Darcy, boundary_values
from wellposed.numerics.poisson import solve_constant
from wellposed.numerics.q1 import Cells, Nodes, Stiffness, gradient, pair

FEATURES = 5


@dataclass(frozen=True)
class Lift:
    """All tensors have the dtype of the network; arrays as in `Darcy`.

    Attributes:
        coefficient: a.
        load: the raw functional of f and g.
        potential: U, with the Dirichlet values; essential: its part that carries them, zero if they are.
        flux: h T. stream: its stream function in the form of `flux.combine`.
        p, q: sizes of U and T with the sign of U, (samples, 1, 1).
        open: whether constant fluxes along x, along y may be added.
    """

    coefficient: Cells
    load: Nodes
    potential: Nodes
    essential: Nodes
    flux: Flux
    stream: Stream
    p: Float[Tensor, "samples 1 1"]
    q: Float[Tensor, "samples 1 1"]
    mean: Float[Tensor, "samples 1 1"]
    open: tuple[bool, bool]

    def features(self) -> tuple[Float[Tensor, "samples 5 n n"], Float[Tensor, "samples 5 n n"]]:
        """Cell fields for the potential and for the stream function.

        log a and its squashed form k; U; and k grad U, k T: to first order in log a, the loads of what is to be found.
        """
        n, log = self.coefficient.shape[-1], (self.coefficient / self.mean).log()
        k = torch.tanh(log / 2)
        x, y, _ = gradient(self.potential)
        u = self.potential / self.p
        centre = (u[:, :-1, :-1] + u[:, :-1, 1:] + u[:, 1:, :-1] + u[:, 1:, 1:]) / 4
        px, py = (2 * n * k * s / self.p for s in (x, y))
        tx, ty = (2 * n * k * s / self.q for s in (self.flux.x, self.flux.y))
        return torch.stack([log, px, py, centre, k], 1), torch.stack([log, tx, ty, centre, k], 1)

    def normalized(self) -> Lift:
        """The same question in the units in which p, q and the mean of a are 1: float32 holds it whatever the units were."""
        m, p, q, t = self.mean, self.p, self.q, self.flux
        one, drift = torch.ones_like(p), self.stream.drift
        return Lift(self.coefficient / m, self.load / m / p, self.potential / p, self.essential / p,
                    Flux(*(x / q for x in (t.x, t.y, t.sx, t.sy))),
                    Stream(self.stream.psi / q, None if drift is None else drift / q[..., 0]), one, one, one, self.open)

    def __getitem__(self, key: Tensor | slice) -> Lift:
        pick = {name: getattr(self, name)[key] for name in ("coefficient", "load", "potential", "essential", "p", "q", "mean", "stream")}
        t = self.flux
        return Lift(**pick, flux=Flux(t.x[key], t.y[key], t.sx[key], t.sy[key]), open=self.open)

    def to(self, like: Tensor) -> Lift:
        """The same in another dtype, on another device."""
        t, s = self.flux, self.stream
        names = ("coefficient", "load", "potential", "essential", "p", "q", "mean")
        return Lift(**{name: getattr(self, name).to(like) for name in names},
                    flux=Flux(t.x.to(like), t.y.to(like), t.sx.to(like), t.sy.to(like)),
                    stream=Stream(s.psi.to(like), None if s.drift is None else s.drift.to(like)), open=self.open)


@torch.no_grad()
def lift(problem: Darcy) -> Lift:
    """The constant-coefficient answer to a problem, in float64: direct solves, about .2 ms a sample at 64 x 64."""
    a = problem.coefficient
    mean = a.log().mean((1, 2), keepdim=True).exp()
    data = problem if _varied(problem) else problem[:1]
    count = len(data)
    unit = data._with(coefficient=torch.ones_like(data.coefficient))
    space, functional = problem.space(), load(unit)
    free = solve_constant(space, space.assemble(functional))
    essential = boundary_values(unit, torch.zeros_like(free))
    if problem.dirichlet is not None:
        essential = essential + solve_constant(space, space.assemble(-Stiffness(unit.coefficient)(essential)))
    t0 = flux.particular(unit)
    stream = _stream(unit._with(dirichlet=None), t0)
    t = flux.combine(unit, t0, stream)
    carried = None
    if problem.dirichlet is not None:
        zero = unit._with(source=torch.zeros_like(unit.source), neumann=None)
        carried = _stream(zero, flux.particular(zero))
    grow = len(problem) if count == 1 else count

    def spread(x: Tensor) -> Tensor:
        return x.expand(grow, *x.shape[1:])

    potential = spread(free) / mean + spread(essential)
    psi, drift = spread(stream.psi), None if stream.drift is None else spread(stream.drift)
    t = Flux(*(spread(x) for x in (t.x, t.y, t.sx, t.sy)))
    if carried is not None:
        psi = psi + mean * spread(carried.psi)
        x, y, s = gradient(mean * spread(carried.psi))
        t = Flux(t.x + y, t.y - x, t.sx + s, t.sy - s)
    size = _size(potential)
    return Lift(a, spread(functional), potential, spread(essential), t, Stream(psi, drift), size, size * mean, mean, _open(problem))


def _size(potential: Nodes) -> Float[Tensor, "samples 1 1"]:
    """|grad U|, with the sign of U where it is largest; 1 for U = 0."""
    flat = potential.flatten(1)
    peak = flat.gather(1, flat.abs().argmax(1, keepdim=True))[..., None]
    peak = torch.where(peak != 0, peak, 1.0)
    x, y, twist = gradient(potential / peak)  # squares neither overflow nor vanish
    size = (x**2 + y**2 + twist**2 / 6).sum((1, 2))[:, None, None].sqrt()
    return peak * torch.where(size > 0, size, 1.0)


def _varied(problem: Darcy) -> bool:
    """Whether samples differ in more than their coefficient."""
    data = (problem.source, problem.neumann, problem.dirichlet)
    return any(x is not None and not bool((x == x[:1]).all()) for x in data)


def _stream(problem: Darcy, t0: Flux) -> Stream:
    """The best stream function for the coefficient 1."""
    space, ramps = problem.space(essential="neumann"), flux.ramps(problem)
    psi = flux.trace(problem, torch.zeros_like(problem.source[:, :1, :1]).expand(-1, problem.n + 1, problem.n + 1).contiguous())
    one = torch.ones_like(problem.source)
    residual = flux.functional(problem, t0) - Stiffness(one)(psi)
    steps = []
    for ramp in ramps:  # orthogonal to the space in this energy, so that each can be found by itself
        r = ramp.expand_as(psi).contiguous()
        steps.append(pair(residual, r) / pair(Stiffness(one)(r), r))
        residual = residual - steps[-1][:, None, None] * Stiffness(one)(r)
    psi = psi + solve_constant(space, space.assemble(residual))
    if problem.periodic:
        return Stream(psi, torch.stack(steps, 1))
    return Stream(psi + sum(s[:, None, None] * r for s, r in zip(steps, ramps, strict=True)))


def _open(problem: Darcy) -> tuple[bool, bool]:
    """Along x, along y: whether a constant flux has no flow through a Neumann side and is no curl of the space."""
    if problem.periodic:
        return True, True
    bottom, right, top, left = (side == "neumann" for side in problem.sides)
    return (bottom and top and not (left or right)), (left and right and not (bottom or top))
