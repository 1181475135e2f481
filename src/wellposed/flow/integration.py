"""A flow on its way, by steps of chosen lengths."""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import torch

from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.galerkin import Box, Galerkin
from wellposed.flow.steppers import METHODS, Stepper
from wellposed.numerics.vorticity import Spectrum

RESOLVED = 1e-8  # relative, by estimate; measured in turbulence, a thousandth of it is missed
READY = 12  # step lengths whose multipliers are kept: a slab of degree 8 has four


def stable_step(system: Galerkin, w: Box, interval: float, method: type[Stepper]) -> float:
    """The method's `courant` over (fastest speed times largest wave number): with 1, a wave of the shortest length is crossed in six steps.

    The speed is that of w and what a constant force can add within the interval.
    """
    speed = system.speed(w) + system.push * min(interval, 1 / system.slowest)
    return method.courant / max(speed * system.highest, method.courant / interval)


def resolved_slab(system: Galerkin, w: Box, degree: int, missed: float = RESOLVED) -> float:
    """The width of slab within which polynomials miss about `missed` of what is carried along at the fastest speed and decays.

    A polynomial of degree M misses 2 (|ω| τ / 4)^(M + 1) / (M + 1)! of exp(i ω t) on a slab of width τ; here ω = |u| |k| + i (ν |k|² + α).
    """
    rate = torch.hypot(system.speed(w) * system.wave_number, system.linear)
    mass, power = w.abs(), degree + 1
    mean = float((mass * rate**power).sum() / mass.sum().clamp_min(1e-300)) ** (1 / power)
    return 4 / max(mean, system.slowest) * (missed * math.factorial(power) / 2) ** (1 / power)


class Run:
    """A flow on its way.

    Attributes:
        system, state: what is integrated. limit: the longest step.
    """

    def __init__(self, equation: NavierStokes2D, spectrum: Spectrum, method: str, step: float | None) -> None:
        if method not in METHODS:
            raise ValueError(f"method: received {method!r}, expected one of {', '.join(METHODS)}")
        self.name, self.method, self.step, self.limit = method, METHODS[method], step, step or math.inf
        self.system = Galerkin(equation, len(spectrum), spectrum.device)
        self.state = self.system.pack(spectrum)
        self.ready: OrderedDict[float, Stepper] = OrderedDict()

    def look_ahead(self, interval: float) -> None:
        """Chooses the longest step of the interval to come."""
        self.limit = self.step or keep(self.limit, stable_step(self.system, self.state, interval, self.method))

    def advance(self, start: float, interval: float) -> None:
        """In equal steps.

        Raises:
            ArithmeticError: the run has diverged.
        """
        steps = max(1, math.ceil(interval / self.limit * (1 - 1e-9)))
        step = float(f"{interval / steps:.13g}")  # gaps that are equal but for rounding share their multipliers
        if step not in self.ready:
            self.ready[step] = self.method(self.system, step)
        self.ready.move_to_end(step)
        if len(self.ready) > READY:
            self.ready.popitem(last=False)
        with np.errstate(over="ignore", invalid="ignore"):
            self.ready[step].advance(self.state, steps)
        if not torch.isfinite(torch.view_as_real(self.state)).all():
            raise ArithmeticError(f"{self.name} with steps of {step:.3g} has diverged between the times {start:g} and "
                                  f"{start + interval:g}; try step={step / 2:.3g}, and if that diverges too a higher resolution: the flow "
                                  "is not resolved")


def keep(now: float, wanted: float) -> float:
    """What is in use, while it is not too long and not half of what would do, else a little less: a change costs new multipliers."""
    return now if wanted / 2 < now <= wanted else 0.9 * wanted
