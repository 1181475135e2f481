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

MISSED, LONGER, LONGEST = (1e-12, 1e-4), 4.0, 20_000
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


def pace_of(equation: NavierStokes2D, vorticity: Tensor, slabs: Slabs, tol: float | None = None, degree: int = 8) -> Pace:
    """From the fastest speed and the wave numbers at the start.

    Args:
        slabs: what is there already, from the first time to the last.
        tol: the relative error that will do; None for as little as can be.
    """
    system = Galerkin(equation, len(vorticity))
    w = system.pack(to_spectrum(vorticity))
    interval = float(slabs.edges[-1] - slabs.edges[0])
    missed = min(max(tol or 0.0, MISSED[0]), MISSED[1])
    width = resolved_slab(system, w, degree, missed)
    step = stable_step(system, w, interval, ETDRK4) * min(max((missed / MISSED[0]) ** (1 / ETDRK4.order), 1.0), LONGER)
    count = max(1, math.ceil(interval / width * (1 - 1e-9)))
    if count > LONGEST:
        raise ValueError(f"refine: received a flow that needs about {count:.2g} slabs of {width:.2g} over {interval:.3g}, expected at most "
                         f"{LONGEST}; shorten the horizon, or check the units of viscosity, length and time")
    return Pace(torch.linspace(float(slabs.edges[0]), float(slabs.edges[-1]), count + 1, dtype=torch.float64), step)
