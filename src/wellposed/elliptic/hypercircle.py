"""How wrong is this potential? The bound of Prager and Synge for every sample, with no labels.

    |u - v|_a <= eta = |a grad v - t|_*   for every flux t with -div t = f and t.n = g on the Neumann sides,

u the exact solution of the partial differential equation, |w|_a^2 = int a |grad w|^2, |s|_*^2 = int |s|^2 / a.
Source: Prager and Synge, Quart. Appl. Math. 5 (1947) 241-269; proofs in docs/theorems/hypercircle.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.elliptic import flux
from wellposed.elliptic.finite_elements import CHUNK, StreamIteration, load
from wellposed.elliptic.flux import Flux, Stream
from wellposed.elliptic.problem import SIDES, Array, Darcy, boundary_values, fit_potential, fit_stream
from wellposed.numerics.q1 import Cells, Nodes, gradient, pair, to_corners
from wellposed_check.elliptic.darcy import components

SAFE, TINY = 1.0 + 2.0**-44, 2.0**-250  # relative rounding, underflow: derived in wellposed_check/elliptic/bounds.py
CACHE = 2**15  # cells whose integrals are computed at once, so that their arrays stay in the processor's cache
ENOUGH = 0.02  # stop looking for a stream function when cycles would lower eta^2 by less than this share
MOST_CYCLES = 60


@dataclass(frozen=True)
class Bound:
    """What is proved about a batch of potentials. Arrays are numpy or tensors, as the problem's were; all float64.

    Attributes:
        eta: (samples,) bound of the energy norm |u - v|_a of the error of the bilinear interpolant of the potential.
        relative: (samples,) bound of |u - v|_a / |u|_a: eta / sqrt(compliance_lower) where Dirichlet values are zero.
        compliance_lower, compliance_upper: (samples,) enclosure of F(u) = |u|_a^2; with Dirichlet values that are not
            zero, of 2 F(u) - |u|_a^2.
        norm_lower: (samples,) lower bound of |u|_a; 0 where none is known.
        cells: (samples, n, n) each cell's part of eta, so that eta^2 is the sum of squares.
        stream: (samples, n + 1, n + 1) the stream function of the flux, t = (-int_0^x f dx, 0) + (d_y psi, -d_x psi).
        cycles: how many cycles the stream function took, 0 if it was given.
    """

    eta: Any
    relative: Any
    compliance_lower: Any
    compliance_upper: Any
    norm_lower: Any
    cells: Any = field(repr=False)
    stream: Any = field(repr=False)
    cycles: int = 0
    raw_stream: Stream | None = field(default=None, repr=False, compare=False)


def bound(problem: Darcy, potential: Array, stream: Array | None = None) -> Bound:
    """A guaranteed bound on the error of anyone's potential; differentiable in the potential and the stream function.

    Args:
        potential: nodal values (samples, n + 1, n + 1), boundary included; or on a mesh finer by a whole factor.
        stream: nodal values of psi on the same mesh; its values along Neumann sides are corrected to balance g. Without
            it, psi is found by as many cycles as still lower the bound.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite, or a value on a Dirichlet side that is not the
            prescribed one (`clamp` writes those).
    """
    v = admissible(problem, potential)
    problem = problem.refined((v.shape[-1] - 1) // problem.n)
    if stream is None:
        found, cycles = find_stream(problem, v)
    else:
        found, cycles = flux.separate(problem, fit_stream(problem, stream)), 0
    return evaluate(problem, v, found, cycles)


def evaluate(problem: Darcy, v: Nodes, stream: Stream, cycles: int = 0) -> Bound:
    """`bound` for a potential and a stream function known to be admissible, on the problem's own mesh."""
    parts = [_evaluate(problem[chunk], v[chunk], stream[chunk]) for chunk in problem.chunks(CACHE)]
    numbers = [problem.give(torch.cat(column)) for column in zip(*parts, strict=True)]
    return Bound(*numbers, stream=problem.give(flux.unite(problem, stream)), cycles=cycles, raw_stream=stream)


def admissible(problem: Darcy, potential: Array) -> Nodes:
    """The potential as a tensor, boundary values included.

    Raises:
        ValueError: as `bound`.
    """
    v = fit_potential(problem, potential)
    gap = (v - boundary_values(problem, v)).abs()
    if (gap > 0).any():
        edges = dict(zip(SIDES, (gap[:, 0], gap[:, :, -1], gap[:, -1], gap[:, :, 0]), strict=True))
        side = max(edges, key=lambda k: float(edges[k].max()))
        what = "does not repeat the opposite side" if problem.periodic else "is not the Dirichlet value"
        raise ValueError(f"potential: received a value on the {side} side that {what} (off by {float(edges[side].max()):.3g}); "
                         "expected it exactly; write it with wellposed.elliptic.clamp(problem, potential), or --clamp")
    return v


def difference_cells(a: Cells, v: Nodes, t: Flux) -> Cells:
    """eta_K^2 = int_K |a grad v - t|^2 / a: differentiable, the label-free training loss."""
    x, y, twist = gradient(v)
    return ((a * x - t.x) ** 2 + (a * y - t.y) ** 2 + (2 * (a * twist) ** 2 + t.sx**2 + t.sy**2) / 12) / a


def energy_cells(a: Cells, v: Nodes) -> Cells:
    """int_K a |grad v|^2."""
    x, y, twist = gradient(v)
    return a * (x**2 + y**2 + twist**2 / 6)


def find_stream(problem: Darcy, v: Nodes) -> tuple[Stream, int]:
    """A stream function for v by cycles, until another cycle would lower eta^2 by less than 2 percent; and how many."""
    found = [_find_stream(problem[c], v[c]) for c in problem.chunks(CHUNK)]
    drifts = [stream.drift for stream, _ in found if stream.drift is not None]
    psi = torch.cat([stream.psi for stream, _ in found])
    return Stream(psi, torch.cat(drifts) if drifts else None), max(cycles for _, cycles in found)


def _find_stream(problem: Darcy, v: Nodes) -> tuple[Stream, int]:
    t0 = flux.particular(problem)
    iteration = StreamIteration(problem, t0)
    settled = Settling(problem)
    cycles = 0
    while cycles < MOST_CYCLES:
        cycles, fall = cycles + 1, iteration.step()
        t = flux.combine(problem, t0, iteration.stream)
        eta2 = difference_cells(problem.coefficient, v, t).sum((1, 2))
        if (settled.remaining(fall, iteration.product) <= ENOUGH * eta2).all():
            break
    return iteration.stream, cycles


class Settling:
    """How much of a squared energy error is left, extrapolated from how it fell: an estimate, never part of a claim.

    Cycles may pause on a plateau before they see a mode that the contrast of the coefficient has made slow, so nothing
    is called settled before 2 + 2 log10(contrast) of them.
    """

    def __init__(self, problem: Darcy) -> None:
        a = problem.coefficient
        self._least = int(2 + 2 * math.log10(float((a.amax((1, 2)) / a.amin((1, 2))).max())))
        self._last: Tensor | None = None
        self._count = 0

    def remaining(self, fall: Float[Tensor, " samples"], product: Float[Tensor, " samples"]) -> Float[Tensor, " samples"]:
        """After a step that lowered it by `fall` and left the preconditioned residual norm squared `product`."""
        last, self._last, self._count = self._last, fall, self._count + 1
        if last is None or self._count < self._least:
            return torch.full_like(fall, torch.inf)
        rate = (fall / last.clamp_min(1e-300)).clamp(0.1, 0.9)
        return torch.maximum(torch.maximum(fall, last * rate) * rate / (1 - rate), product)


def _evaluate(problem: Darcy, v: Nodes, stream: Stream) -> tuple[Tensor, ...]:
    a, r = problem.coefficient, problem.coefficient_error
    t0 = flux.particular(problem)
    t = flux.combine(problem, t0, stream)
    own = energy_cells(a, v)
    roots, oscillation = difference_cells(a, v, t).sqrt(), _oscillation(problem)
    if r:
        roots = roots + r * own.sqrt()
    if oscillation is not None:
        roots = roots + oscillation / a.sqrt()
    roots = roots / math.sqrt(1 - r)
    energy = own.sum((1, 2))
    eta = (roots.square().sum((1, 2)).sqrt() + _rounding(problem, energy, stream) / (1 - r)) * SAFE
    work = pair(load(problem), v)
    slack = 2.0**-46 * (pair(to_corners(problem.source.abs()), v.abs()) / problem.n**2 + _edge_work(problem, v))
    if oscillation is not None:
        slack = slack + (oscillation * (own / a).sqrt()).sum((1, 2)) * SAFE
    lower = 2 * (work - slack) - energy * (1 + r) * SAFE
    upper = 2 * (work + slack) - energy * (1 - r) / SAFE + eta**2 * SAFE
    size = lower.clamp_min(0).sqrt() if problem.dirichlet is None else (energy * (1 - r)).sqrt() - eta
    if problem.blur is not None:  # as the checker: the data's boundary values against their rounded interpolant
        d = 4 * problem.blur * a.sum((1, 2)).sqrt()
        most = (energy * (1 + r)).sqrt() + eta
        change = (2 * (d * most + problem.blur * _load_density(problem)) + d**2) * SAFE
        lower, upper, eta, size = lower - change, upper + change, eta + d * SAFE, size - d * SAFE
    relative = torch.where(size > 0, eta / size.clamp_min(1e-300), torch.inf) * SAFE
    return eta, relative, lower, upper, size.clamp_min(0) / SAFE, roots


def _load_density(problem: Darcy) -> Float[Tensor, " samples"]:
    """int |f| + int |g|."""
    g = 0.0 if problem.neumann is None else problem.neumann.abs().sum((1, 2)) / problem.n
    return (problem.source.abs().mean((1, 2)) + g) * SAFE


def _rounding(problem: Darcy, energy: Tensor, stream: Stream) -> Float[Tensor, " samples"]:
    """By how much a computed eta may be wrong: derived in wellposed_check/elliptic/bounds.py."""
    a, n, f = problem.coefficient, problem.n, problem.balanced_source.abs()
    along_y: Any = 0.0
    if problem.periodic:
        f = f + f.mean(2, keepdim=True)
        along_y = f.mean(2, keepdim=True).cumsum(1)
    t0 = ((f.cumsum(2) ** 2 + along_y**2 + f**2) / a).sum((1, 2)) / n**4
    x, y, s = gradient(stream.psi)
    total = 2 * energy.sqrt() + 2 * ((x**2 + y**2 + s**2 / 6) / a).sum((1, 2)).sqrt() + t0.sqrt()
    if stream.drift is not None:
        total = total + (1 / a).sum((1, 2)).sqrt() * stream.drift.abs().amax(1) / n
    if components(problem.sides):
        reach = _load_density(problem) + stream.psi.abs().amax((1, 2))
        total = total + 32 * reach * (n / a.amin((1, 2))).sqrt()
    return (n + 16) * 2.0**-53 * total + TINY


def _oscillation(problem: Darcy) -> Cells | None:
    """Each cell's constant: Poincare h/pi for the source, Steklov sqrt(h / (pi tanh pi)) for the boundary flux."""
    n, total = problem.n, None
    if problem.source_oscillation is not None:
        total = problem.source_oscillation / (math.pi * n)
    if problem.neumann_oscillation is not None:
        total = torch.zeros_like(problem.source) if total is None else total.clone()
        edges = (total[:, 0], total[:, :, -1], total[:, -1], total[:, :, 0])
        for edge, part, side in zip(edges, problem.neumann_oscillation.unbind(1), problem.sides, strict=True):
            if side == "neumann":
                edge += part / math.sqrt(math.pi * math.tanh(math.pi) * n)
    return total


def _edge_work(problem: Darcy, v: Nodes) -> Float[Tensor, " samples"] | float:
    if problem.neumann is None:
        return 0.0
    ends = torch.stack([v[:, 0], v[:, :, -1], v[:, -1], v[:, :, 0]], 1).abs()
    return (problem.neumann.abs() * (ends[:, :, 1:] + ends[:, :, :-1])).sum((1, 2)) / problem.n
