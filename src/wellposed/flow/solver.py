"""Classical solutions: pseudo-spectral in space, a fixed step in time, and polynomials in time through the very steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.equation import Array, NavierStokes2D
from wellposed.flow.galerkin import Box, Galerkin
from wellposed.flow.slabs import Slabs
from wellposed.flow.steppers import METHODS, Stepper
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import Spectrum, to_field, to_spectrum

RESOLVED = 1e-10  # relative: what a polynomial may miss of an advected wave, by estimate


def solve(equation: NavierStokes2D, vorticity: Float[Tensor, "batch y x"], times: Array, method: str = "etdrk4",
          step: float | None = None, degree: int = 8, slab: float | None = None) -> Trajectory:
    """The flow at `times`, and polynomials between them whose nodes are steps of the method.

    Modes with a frequency of n/3 or more are dropped, at the start too: the first frame is the truncation of `vorticity`.

    Args:
        equation: the equation. vorticity: at times[0], nodal values (batch, n, n) or (n, n); the mean is left out.
        times: (time,), increasing, at least two.
        method: one of `METHODS`.
        step: the largest step; the gaps between Chebyshev-Lobatto nodes are divided evenly. None: `stable_step`, anew in each interval,
            about 1e-6 relative in turbulence and better in smooth flow; halve it to see.
        degree: of the polynomials. slab: their largest width; None: `resolved_slab`, anew in each interval.

    Raises:
        ValueError: unknown method, times that do not increase, numbers out of range, fields that do not fit the equation.
        ArithmeticError: the run has diverged.
    """
    t, w = _times(times), equation.fields(vorticity, "vorticity", 3)
    _positive("step", step), _positive("slab", slab)
    if not isinstance(degree, int) or degree < 2:
        raise ValueError(f"degree: received {degree}, expected a whole number of at least two; 8 is usual")
    run = _Run(Galerkin(equation, len(w), w.device), method, step)
    box = run.system.pack(to_spectrum(w))
    edges, values = [float(t[0])], []
    for start, end in zip(t[:-1].tolist(), t[1:].tolist(), strict=True):
        width = slab or resolved_slab(run.system, box, degree)
        pieces = max(1, math.ceil((end - start) / width * (1 - 1e-12)))
        limit = step or stable_step(run.system, box, end - start, run.method)
        for k in range(pieces):
            values.append(_slab(run, box, start + k * (end - start) / pieces, (end - start) / pieces, degree, limit))
            edges.append(start + (k + 1) * (end - start) / pieces)
        edges[-1] = end
    slabs = Slabs(torch.tensor(edges, dtype=torch.float64), torch.stack(values, 1))
    at = torch.searchsorted(slabs.edges, t)
    frames = torch.cat([slabs.values[:, :1, 0], slabs.values[:, at[1:] - 1, -1]], 1)
    return Trajectory(t, to_field(frames, equation.resolution), slabs)


def solve_to(equation: NavierStokes2D, spectrum: Spectrum, interval: float, step: float | None = None, method: str = "etdrk4") -> Spectrum:
    """The spectrum after an interval, without polynomials: for data in bulk.

    Args:
        equation: the equation. spectrum: `rfft2` over n², (batch, n, n/2 + 1); truncated. interval: positive.
        step: the largest step; None: `stable_step`. method: one of `METHODS`.

    Raises:
        ValueError: unknown method, numbers out of range.
        ArithmeticError: the run has diverged.
    """
    _positive("interval", interval), _positive("step", step)
    run = _Run(Galerkin(equation, len(spectrum), spectrum.device), method, step)
    box = run.system.pack(spectrum)
    run.advance(box, 0.0, interval, step or stable_step(run.system, box, interval, run.method))
    return run.system.unpack(box)


def stable_step(system: Galerkin, w: Box, interval: float, method: type[Stepper]) -> float:
    """The method's `courant` over (fastest speed times largest wave number): with 1, a wave of the shortest length is crossed in six steps.

    The speed is that of w and what a constant force can add within the interval.
    """
    speed = system.speed(w) + system.push * min(interval, 1 / system.slowest)
    return method.courant / max(speed * system.highest, method.courant / interval)


def resolved_slab(system: Galerkin, w: Box, degree: int, missed: float = RESOLVED) -> float:
    """The width of slab within which polynomials miss about `missed` of what is carried along at the fastest speed.

    exp(i ω t) is missed by 2 (ω τ / 4)^(M + 1) / (M + 1)! on a slab of width τ, ω = |u| |k|.
    """
    power, mass = degree + 1, w.abs()
    moment = (float((mass * system.wave_number**power).sum() / mass.sum().clamp_min(1e-300))) ** (1 / power)
    rate = moment * system.speed(w) + system.slowest
    return 4 / max(rate, 1e-300) * (missed * math.factorial(power) / 2) ** (1 / power)


@dataclass
class _Run:
    """One flow on its way, with the steps that it has made ready."""

    system: Galerkin
    name: str
    step: float | None
    ready: dict[float, Stepper] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise ValueError(f"method: received {self.name!r}, expected one of {', '.join(METHODS)}")

    @property
    def method(self) -> type[Stepper]:
        return METHODS[self.name]

    def advance(self, w: Box, start: float, interval: float, limit: float) -> None:
        """In place, in equal steps of at most `limit`."""
        steps = max(1, math.ceil(interval / limit * (1 - 1e-12)))
        step = float(f"{interval / steps:.13g}")  # the two halves of a slab share their multipliers
        if step not in self.ready:
            self.ready[step] = self.method(self.system, step)
        self.ready[step].advance(w, steps)
        if not torch.isfinite(torch.view_as_real(w)).all():
            raise ArithmeticError(f"{self.name} with steps of {step:.3g} has diverged between the times {start:g} and {start + interval:g}; "
                                  f"try step={step / 2:.3g}, or a larger viscosity or resolution if the flow is not resolved")


def _slab(run: _Run, w: Box, start: float, width: float, degree: int, limit: float) -> Tensor:
    """Spectra at the nodes of one slab, (batch, degree + 1, n, half); w is moved to its end."""
    out, nodes = [run.system.unpack(w)], chebyshev.lobatto(degree)
    for a, b in zip(nodes[:-1], nodes[1:], strict=True):
        run.advance(w, start + width * float(a), width * float(b - a), limit)
        out.append(run.system.unpack(w))
    return torch.stack(out, 1)


def _times(times: Array) -> Tensor:
    t = torch.as_tensor(times, dtype=torch.float64).cpu()
    if t.ndim != 1 or len(t) < 2 or not torch.isfinite(t).all() or not (t.diff() > 0).all():
        raise ValueError(f"times: received {t.tolist() if t.numel() < 7 else tuple(t.shape)}, expected at least two finite times that "
                         "increase, the first that of the vorticity given; for example torch.linspace(0, 1, 11)")
    return t


def _positive(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{name}: received {value}, expected a positive number; leave it out to have one chosen")
