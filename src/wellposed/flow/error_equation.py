"""What is wrong with a trajectory, integrated in time: e = u - v solves an equation of its own.

    ∂e/∂t = νΔe - αe + N(v + e) + f + νΔv - αv - ∂v/∂t,    N(w) = -P(u·∇)w

The error of integration is relative to |e|, so that each pass that adds e to v gains as many digits as the steps are worth.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.galerkin import Galerkin
from wellposed.flow.slabs import Slabs, apply
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import Exponential, Spectrum


def corrected(equation: NavierStokes2D, slabs: Slabs, initial: Spectrum, step: float, edges: Tensor | None = None, degree: int = 8,
              limit: float = 1e3) -> tuple[Slabs, Slabs]:
    """One pass: new polynomials through v + e at the nodes of slabs between `edges`, and those through e.

    Args:
        slabs: v. initial: the spectrum from which u starts, (batch, n, n/2 + 1); modes not kept are dropped.
        step: the largest step, of ETDRK4. edges: of the new slabs, on which v is sampled first, so that v and e
            are as smooth as polynomials on them; by default those of v, as they are.
        limit: e may be so many times as large as v.

    Raises:
        ArithmeticError: e has grown beyond all sense: the steps are too long.
    """
    if edges is not None and (slabs.degree != degree or not torch.equal(edges, slabs.edges)):
        slabs = sampled(slabs, edges, degree)
    edges = slabs.edges
    run = _Pass(equation, slabs, len(initial))
    e = run.system.pack(initial) - run.system.pack(slabs.values[:, 0, 0])
    f = equation.forcing_spectrum
    driven = 0.0 if f is None else float(f.abs().max() * (edges[-1] - edges[0]))
    largest = limit * (float(slabs.values.abs().max()) + float(e.abs().max()) + driven)
    better, errors = [], []
    before: Tensor | None = None
    for s, (a, b) in enumerate(pairwise(edges.tolist())):
        v, e_nodes = run.slab(e, before, s, degree, step)
        before, e = v[:, -1], e_nodes[:, -1]
        if not float(e.abs().max()) <= largest:
            raise ArithmeticError(f"the error equation has diverged between {a:g} and {b:g} with steps of {step:.3g}; take shorter steps")
        better.append(run.system.unpack(v + e_nodes))
        errors.append(run.system.unpack(e_nodes))
    return Slabs(edges, torch.stack(better, 1)), Slabs(edges, torch.stack(errors, 1))


def sampled(slabs: Slabs, edges: Tensor, degree: int) -> Slabs:
    """Continuous polynomials through the values at the nodes of other slabs."""
    nodes = edges[:-1, None] + edges.diff()[:, None] * torch.from_numpy(chebyshev.lobatto(degree))
    nodes[:, -1] = edges[1:]
    nodes = nodes.clamp(float(slabs.edges[0]), float(slabs.edges[-1]))
    return Slabs(edges, slabs.at(nodes.flatten()).unflatten(1, nodes.shape))


class _Pass:
    """The error equation of one trajectory, in the box of the modes kept."""

    def __init__(self, equation: NavierStokes2D, slabs: Slabs, batch: int) -> None:
        self.equation, self.system, self.slabs = equation, Galerkin(equation, batch), slabs
        self.v = self.system.pack(slabs.values)

    def slab(self, e: Tensor, before: Tensor | None, s: int, degree: int, step: float) -> tuple[Tensor, Tensor]:
        """v and e at the Chebyshev-Lobatto nodes of a slab; e is given at its start for the v `before`: v may jump, u not."""
        nodes, places, width = chebyshev.lobatto(degree), [0.0], float(self.slabs.widths[s])
        counts = [max(1, int(np.ceil(gap * width / step * (1 - 1e-9)))) for gap in np.diff(nodes)]
        for start, gap, count in zip(nodes[:-1], np.diff(nodes), counts, strict=True):
            places += [start + gap * k / (2 * count) for k in range(1, 2 * count + 1)]
        v, g = self.given(s, np.array(places))
        e = e if before is None else e + (before - v[:, 0])
        out, at, i = [e], [0], 0
        for gap, count in zip(np.diff(nodes), counts, strict=True):
            c = _multipliers(self.equation, float(f"{gap * width / count:.12g}"))
            for _ in range(count):
                e = self.advance(e, c, v[:, i : i + 3].unbind(1), g[:, i : i + 3].unbind(1))
                i += 2
            out.append(e)
            at.append(i)
        return v[:, at], torch.stack(out, 1)

    def given(self, s: int, places: np.ndarray) -> tuple[Tensor, Tensor]:
        """v, and νΔv - αv - ∂v/∂t, at places from 0 to 1 of a slab."""
        degree, own = self.slabs.degree, self.v[:, s]
        v = apply(chebyshev.values(degree, places), own)
        slope = apply(chebyshev.derivatives(degree, places) / float(self.slabs.widths[s]), own - own[:, :1])
        return v, self.system.linear * v - slope

    def advance(self, e: Tensor, c: Exponential, v: tuple[Tensor, ...], g: tuple[Tensor, ...]) -> Tensor:
        """One step of ETDRK4."""
        def slope(e: Tensor, k: int) -> Tensor:
            return self.system.explicit(e + v[k], torch.empty_like(e)) + g[k]

        at_start = slope(e, 0)
        a = c.half * e + c.stage * at_start
        at_a = slope(a, 1)
        at_b = slope(c.half * e + c.stage * at_a, 1)
        at_end = slope(c.half * a + c.stage * (2 * at_b - at_start), 2)
        return c.whole * e + c.first * at_start + 2 * c.middle * (at_a + at_b) + c.last * at_end


@lru_cache(64)
def _multipliers(equation: NavierStokes2D, step: float) -> Exponential:
    return Exponential.of(Galerkin(equation).linear, step)
