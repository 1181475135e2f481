"""How finely a flow has to be resolved in time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.galerkin import Galerkin
from wellposed.flow.slabs import Slabs
from wellposed.flow.solver import resolved_slab, stable_step
from wellposed.flow.steppers import ETDRK4
from wellposed.numerics.vorticity import to_spectrum

MISSED, LONGER = (1e-12, 1e-4), 4.0
"""Polynomials may miss a tolerance by estimate, within these limits; steps may be so many times those that cross a wave in six."""


@dataclass(frozen=True, eq=False)
class Pace:
    """Edges of slabs on which polynomials of degree 8 resolve the flow, and the step of ETDRK4 with which to integrate it."""

    edges: Tensor
    step: float

    def finer(self) -> Pace:
        """Slabs and steps half as long."""
        middle = (self.edges[1:] + self.edges[:-1]) / 2
        return Pace(torch.cat([self.edges, middle]).sort().values, self.step / 2)


def pace_of(equation: NavierStokes2D, vorticity: Tensor, slabs: Slabs, tol: float | None = None, *, own: bool,
            degree: int = 8) -> Pace:
    """From the fastest speed and the wave numbers at the start.

    Args:
        slabs: what is there already. own: whether they are the source's own polynomials, which keep their edges; splines get new ones.
        tol: the relative error that will do; None for as little as can be.
    """
    system = Galerkin(equation, len(vorticity))
    w = system.pack(to_spectrum(vorticity))
    interval = float(slabs.edges[-1] - slabs.edges[0])
    missed = min(max(tol or 0.0, MISSED[0]), MISSED[1])
    width = resolved_slab(system, w, degree, missed)
    step = stable_step(system, w, interval, ETDRK4) * min(max((missed / MISSED[0]) ** (1 / ETDRK4.order), 1.0), LONGER)
    if not own:
        count = max(1, math.ceil(interval / width * (1 - 1e-9)))
        return Pace(torch.linspace(float(slabs.edges[0]), float(slabs.edges[-1]), count + 1, dtype=torch.float64), step)
    edges = slabs.edges[:1].tolist()
    for a, b in zip(slabs.edges[:-1].tolist(), slabs.edges[1:].tolist(), strict=True):
        count = max(1, math.ceil((b - a) / width * (1 - 1e-9)))
        edges += [a + (b - a) * k / count for k in range(1, count)] + [b]
    return Pace(torch.tensor(edges, dtype=torch.float64), step)
