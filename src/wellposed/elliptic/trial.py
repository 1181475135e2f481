"""From what a network says to a potential and a flux that are admissible exactly, so that their bound is guaranteed.

u = U_D + s (U - U_D + p w) and t = T + r q curl psi + c: w and psi are the network's, U, U_D, T, p and q the lift's. The
amplitudes s, r and the constant flux c (where the sides leave one free) minimize the energies; each is a quotient of two sums, not a solve.
A few local steps with the problem's own coefficient then take out what is rough in the error, in which most of its energy is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.elliptic import flux
from wellposed.elliptic.ends import Ends
from wellposed.elliptic.finite_elements import StreamIteration, potential_iteration
from wellposed.elliptic.flux import Flux, Stream
from wellposed.elliptic.lift import Lift, lift
from wellposed.elliptic.problem import Darcy
from wellposed.numerics.multigrid import jacobi
from wellposed.numerics.q1 import Nodes, gradient, interpolate, pair

RELAX = 4
"""Steps of Jacobi's method, with conjugate directions, after the network; times the factor on a finer mesh than its own, as in the
cascadic multigrid method of Bornemann and Deuflhard, Numer. Math. 75 (1996) 135-152."""


class Surrogate(Protocol):
    """What answers Darcy problems: any module that turns cell fields into nodal fields, MgNO or another.

    `both` takes (samples, in_channels, n, n) twice, the first of the lift's features for potential and stream function,
    and gives (samples, 1, n + 1, n + 1) twice, or None in place of the second; the potential's values on Dirichlet
    sides and the stream function's on Neumann sides are exactly zero, and the last row and column repeat the first on a
    periodic square.
    """

    in_channels: int
    ends: Ends

    def both(self, fields: Tensor, stream_fields: Tensor) -> tuple[Tensor, Tensor | None]:
        """Nodal fields from cell fields."""
        ...

    def parameters(self) -> Iterator[Tensor]: ...


@runtime_checkable
class Resolved(Protocol):
    """A surrogate that was trained on one mesh: on an n x n mesh it is asked on one `factor(n)` times coarser."""

    def factor(self, n: int) -> int: ...


@dataclass(frozen=True)
class Trial:
    """An admissible potential and, where the model has a second trunk, an admissible flux (h t) and its stream function."""

    potential: Nodes
    flux: Flux | None
    stream: Stream | None


def trial(model: Surrogate, start: Lift, amplitudes: bool = True) -> Trial:
    """The model's trial fields, differentiable in its weights, in the dtype of `start`.

    Args:
        amplitudes: False leaves s = r = 1: a loss that does not see the size of the output lets it grow without end.
    """
    inputs = next(model.parameters())
    count = model.in_channels
    fields = [x[:, :count].to(inputs) for x in start.features()]
    if fields[0].shape[1] != count:
        raise ValueError(f"received a model with in_channels={count}, expected at most {fields[0].shape[1]} to answer Darcy problems; make "
                         "one with MgNO.darcy(...), or call this one with cell fields")
    w, psi = model.both(fields[0], fields[1])
    v = _potential(start, w[:, 0].to(start.load), amplitudes)
    return Trial(v, None, None) if psi is None else Trial(v, *_flux(start, psi[:, 0].to(start.load), amplitudes))


@torch.no_grad()
def answer(model: Surrogate, problem: Darcy, relax: int = RELAX) -> Any:
    """Potentials (samples, n + 1, n + 1) as the problem's arrays are, or potentials and stream functions.

    Args:
        relax: local steps after the network, on its own mesh; 0 for what it says by itself.

    Raises:
        ValueError: sides other than the model's, a grid that its levels cannot halve.
    """
    if problem.sides != model.ends.sides:
        raise ValueError(f"received a problem with the sides {problem.sides}, expected those of the model, {model.ends.sides} (bottom, "
                         "right, top, left)")
    potentials, streams = [], []
    for chunk in problem.chunks(2**17):
        v, stream = _answer(model, problem[chunk], relax)
        potentials.append(v)
        if stream is not None:
            streams.append(flux.unite(problem[chunk], stream))
    v = problem.give(torch.cat(potentials).to(problem.coefficient))
    return (v, problem.give(torch.cat(streams))) if streams else v


def _answer(model: Surrogate, problem: Darcy, relax: int) -> tuple[Nodes, Stream | None]:
    """Potential and stream function in float64."""
    factor = model.factor(problem.n) if isinstance(model, Resolved) else 1
    start = lift(problem)
    v, stream = _spoken(model, problem, start) if factor == 1 else _interpolated(model, problem, start, factor)
    return _relaxed(problem, v, stream, relax * factor) if relax else (v, stream)


def _spoken(model: Surrogate, problem: Darcy, start: Lift) -> tuple[Nodes, Stream | None]:
    found, like = trial(model, start.to(start.load.to(next(model.parameters()).device))), problem.coefficient
    if found.stream is None:
        return found.potential.to(like), None
    drift = found.stream.drift
    return found.potential.to(like), Stream(found.stream.psi.to(like), None if drift is None else drift.to(like))


def _interpolated(model: Surrogate, problem: Darcy, start: Lift, factor: int) -> tuple[Nodes, Stream | None]:
    """What the model changes on its own mesh, interpolated."""
    coarse = problem.coarsened(factor)
    own = lift(coarse)
    v, stream = _spoken(model, coarse, own)
    v = start.potential + interpolate(v - own.potential, factor)
    if stream is None:
        return v, None
    drift = None
    if stream.drift is not None and own.stream.drift is not None and start.stream.drift is not None:
        drift = start.stream.drift + stream.drift - own.stream.drift
    return v, Stream(start.stream.psi + interpolate(stream.psi - own.stream.psi, factor), drift)


def _relaxed(problem: Darcy, v: Nodes, stream: Stream | None, steps: int) -> tuple[Nodes, Stream | None]:
    potential = potential_iteration(problem, v, jacobi)
    for _ in range(steps):
        potential.step()
    if stream is None:
        return potential.x, None
    iteration = StreamIteration(problem, flux.particular(problem), stream, jacobi)
    for _ in range(steps):
        iteration.step()
    return potential.x, iteration.stream


def _potential(start: Lift, w: Nodes, amplitude: bool) -> Nodes:
    w, a = start.potential - start.essential + start.p * w, start.coefficient
    if not amplitude:
        return start.essential + w
    x, y, twist = gradient(w)
    ex, ey, et = gradient(start.essential)
    work = pair(start.load, w) - (a * (x * ex + y * ey + twist * et / 6)).sum((1, 2))
    energy = (a * (x**2 + y**2 + twist**2 / 6)).sum((1, 2))
    return start.essential + _quotient(work, energy) * w


def _flux(start: Lift, psi: Nodes, amplitude: bool) -> tuple[Flux, Stream]:
    a, n = start.coefficient, start.coefficient.shape[-1]
    psi = start.q * psi
    x, y, s = gradient(psi)
    curl, shift = _centred(Flux(y, -x, s, -s), start)
    ex, ey, _ = gradient(start.essential)  # of the Dirichlet values: what |t|^2 / 2 less their work wants t near to is a grad U_D
    base, constant = _centred(Flux(start.flux.x - a * ex, start.flux.y - a * ey, start.flux.sx, start.flux.sy), start)
    along = ((base.x * curl.x + base.y * curl.y + (base.sx * curl.sx + base.sy * curl.sy) / 12) / a).sum((1, 2))
    r = _quotient(-along, curl.energy_cells(a).sum((1, 2))) if amplitude else torch.ones_like(start.q)
    t = Flux(base.x + a * ex + r * curl.x, base.y + a * ey + r * curl.y, base.sx + r * curl.sx, base.sy + r * curl.sy)
    cx, cy = (n * (one + r * two) for one, two in zip(constant, shift, strict=True))
    psi = start.stream.psi + r * psi
    if start.stream.drift is not None:
        return t, Stream(psi, start.stream.drift + torch.cat([cx, cy], 1)[..., 0])
    line = torch.linspace(0, 1, n + 1, dtype=torch.float64, device=psi.device).to(psi)
    return t, Stream(psi + cx * line[:, None] * start.open[0] - cy * line * start.open[1])


def _centred(t: Flux, start: Lift) -> tuple[Flux, tuple[Tensor, Tensor]]:
    """The flux with the constants added that minimize its energy, and these."""
    weight = 1 / start.coefficient
    total = weight.sum((1, 2), keepdim=True)
    cx, cy = (-(part * weight).sum((1, 2), keepdim=True) / total * free for part, free in zip((t.x, t.y), start.open, strict=True))
    return Flux(t.x + cx, t.y + cy, t.sx, t.sy), (cx, cy)


def _quotient(numerator: Float[Tensor, " samples"], denominator: Float[Tensor, " samples"]) -> Float[Tensor, "samples 1 1"]:
    safe = denominator > 0
    return torch.where(safe, numerator / torch.where(safe, denominator, 1.0), 0.0)[:, None, None]
