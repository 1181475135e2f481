"""Fluxes that balance the source exactly: t = t0 + curl psi + drift, with -div t = f and t.n = g on Neumann sides.

t0 = (-int_0^x f dx, 0); on a periodic square the row means of f are integrated along y instead, and `drift` is a
constant vector. psi is bilinear, curl psi = (d_y psi, -d_x psi); along each piece of the Neumann boundary its values
follow from g up to one constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.elliptic.problem import Darcy
from wellposed.numerics.q1 import Cells, Nodes, gradient, interpolate, scatter
from wellposed_check.elliptic.darcy import components, perimeter


@dataclass(frozen=True)
class Stream:
    """A stream function (samples, n + 1, n + 1), periodic where the sides are, and the constant flux (samples, 2)."""

    psi: Nodes
    drift: Float[Tensor, "samples 2"] | None = None

    def __getitem__(self, key: Tensor | slice) -> Stream:
        return Stream(self.psi[key], None if self.drift is None else self.drift[key])

    def refined(self, factor: int) -> Stream:
        return Stream(interpolate(self.psi, factor), self.drift)


@dataclass(frozen=True)
class Flux:
    """h t on each cell: centre values x, y and slopes sx, sy times h."""

    x: Cells
    y: Cells
    sx: Cells
    sy: Cells

    def energy_cells(self, a: Cells) -> Cells:
        """int_K |t|^2 / a."""
        return (self.x**2 + self.y**2 + (self.sx**2 + self.sy**2) / 12) / a


def particular(problem: Darcy) -> Flux:
    """h t0."""
    f, n = problem.balanced_source, problem.n
    mean = f.mean(2, keepdim=True).expand_as(f) if problem.periodic else torch.zeros_like(f)
    rest = f - mean
    return Flux(-(rest.cumsum(2) - rest / 2) / n**2, -(mean.cumsum(1) - mean / 2) / n**2, -rest / n**2, -mean / n**2)


def combine(problem: Darcy, t0: Flux, stream: Stream) -> Flux:
    """h (t0 + curl psi + drift)."""
    x, y, s = gradient(stream.psi)
    cx, cy = (0.0, 0.0) if stream.drift is None else (stream.drift / problem.n)[..., None, None].unbind(1)
    return Flux(t0.x + y + cx, t0.y - x + cy, t0.sx + s, t0.sy - s)


def functional(problem: Darcy, t0: Flux) -> Nodes:
    """The raw functional phi -> -int t0 . curl phi / a + int_Dirichlet g_D d phi / ds: its minimizer is the best psi."""
    a = problem.coefficient
    out = scatter(t0.y / a, -t0.x / a, (t0.sy - t0.sx) / (12 * a))
    if problem.dirichlet is not None:
        x, y, _ = gradient(problem.dirichlet)
        out += scatter(-y, x, torch.zeros_like(x))
    return out


def ramps(problem: Darcy) -> list[Tensor]:
    """Directions beside the stream space: constant fluxes on a periodic square, the constant on a second component."""
    line = torch.linspace(0, 1, problem.n + 1, dtype=torch.float64, device=problem.coefficient.device)
    across, up = line.expand(problem.n + 1, -1), line[:, None].expand(-1, problem.n + 1)
    if problem.periodic:
        return [up, -across]
    pieces = components(problem.sides)
    return [] if len(pieces) < 2 else [up if problem.sides[0] == "neumann" else across]


def boundary_steps(problem: Darcy) -> Float[Tensor, "samples 4n"]:
    """What psi gains from boundary node to boundary node, counter-clockwise from the origin: h (g - t0.n)."""
    n = problem.n
    g = problem.source.new_zeros(len(problem), 4, n) if problem.neumann is None else problem.neumann
    outflow = problem.balanced_source.sum(2) / n
    return torch.cat([g[:, 0], g[:, 1] + outflow, g[:, 2].flip(1), g[:, 3].flip(1)], 1) / n


def trace(problem: Darcy, psi: Nodes) -> Nodes:
    """psi with the values along the Neumann boundary that g prescribes, each piece shifted to fit psi best."""
    pieces = components(problem.sides)
    if not pieces:
        return psi
    n, steps = problem.n, boundary_steps(problem)
    rows, columns = (torch.as_tensor(x, device=psi.device) for x in perimeter(n))
    psi = psi.clone()
    for first, count in pieces:
        at = (first * n + torch.arange(count * n + 1, device=psi.device)) % (4 * n)
        values = torch.cat([steps.new_zeros(len(problem), 1), steps[:, at[:-1]].cumsum(1)], 1)
        if count == 4:
            at, values = at[:-1], values[:, :-1]
        shift = (psi[:, rows[at], columns[at]] - values).mean(1, keepdim=True)
        psi[:, rows[at], columns[at]] = values + shift
    return psi


def separate(problem: Darcy, psi: Nodes) -> Stream:
    """A user's stream function, for t = (-int_0^x f dx, 0) + curl psi, in the form used here."""
    if not problem.periodic:
        return Stream(trace(problem, psi))
    up, across = (ramp.expand_as(psi) for ramp in ramps(problem))
    psi = psi + across * _rows(problem)[..., None]  # `across` is -x
    cx = (psi[:, -1] - psi[:, 0]).mean(1)
    cy = -(psi[:, :, -1] - psi[:, :, 0]).mean(1)
    rest = psi - cx[:, None, None] * up - cy[:, None, None] * across
    rest[:, -1] = rest[:, 0]
    rest[:, :, -1] = rest[:, :, 0]
    return Stream(rest, torch.stack([cx, cy], 1))


def unite(problem: Darcy, stream: Stream) -> Nodes:
    """The inverse of `separate`: psi in the public convention."""
    if stream.drift is None:
        return stream.psi
    up, across = ramps(problem)
    linear = stream.drift[:, 0, None, None] * up + stream.drift[:, 1, None, None] * across
    return stream.psi + linear - across * _rows(problem)[..., None]


def _rows(problem: Darcy) -> Float[Tensor, "samples n+1"]:
    """int_0^y of the row means of f, at the nodes."""
    means = problem.balanced_source.mean(2)
    return torch.cat([means.new_zeros(len(means), 1), means.cumsum(1)], 1) / problem.n
