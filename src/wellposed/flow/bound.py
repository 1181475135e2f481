"""How far a trajectory is from the true flow: proved, for anyone's trajectory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wellposed.flow import gronwall
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.error_equation import corrected, sampled
from wellposed.flow.pace import pace_of
from wellposed.flow.rates import Rates, rates
from wellposed.flow.residual import MARGIN, Residual, apart, residual, speed
from wellposed.flow.slabs import Slabs, spline
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics.heap import keep_freed_memory
from wellposed.numerics.vorticity import Spectrum, to_field, to_spectrum

PIECES, SUBDIVISIONS, MOST = 2, 16, 24
BLIND, FINE, HALVINGS = 0.5, 0.01, 6
"""Relative bounds from which on frames are looked into, and that finer ones should have; so often is their spacing halved."""
LEFT, ROUNDED, PASSES, DEGREE = 1e-3, 4.0, 3, 8
"""Passes end with such a part of the residual, or so many times its rounding; at most so many, by polynomials of such a degree."""


@dataclass(frozen=True, eq=False)
class Bound:
    """A proved bound of the error, at the times of the frames.

    Attributes:
        times: (time,). error: (batch, time), bound of the root mean square over the box of |u - v|, u the velocity of the exact solution of
            the system named by `against`, v the trajectory's.
        residual: (batch,), (∫|R|² dt)^(1/2) against that system. out_of_band: (batch,), the same of what the nonlinear term and the
            forcing have in modes that the grid does not keep; computed on access.
        speed: (batch, time), the root mean square of the trajectory's velocity.
    """

    times: Float[Tensor, " time"]
    error: Float[Tensor, "batch time"]
    residual: Float[Tensor, " batch"]
    speed: Float[Tensor, "batch time"]
    against: str
    equation: NavierStokes2D = field(repr=False)
    slabs: Slabs = field(repr=False)
    initial: Spectrum = field(repr=False)
    trajectory: Trajectory = field(repr=False)
    rates: Rates = field(repr=False)

    @property
    def relative(self) -> Float[Tensor, "batch time"]:
        """Bound of |u - v| / |u|: E / (|v| - E), infinite where E is not below |v|, zero where both flows are at rest."""
        room = self.speed - self.error
        return torch.where(self.at_rest, 0.0, torch.where(room > 0, self.error / room.clamp(min=1e-300), torch.inf))

    @property
    def at_rest(self) -> Bool[Tensor, "batch time"]:
        """Where frame and exact flow are zero, to the last bit: at the first time, or at all times if nothing drives the flow."""
        frames, start = self.trajectory.vorticity, self.initial
        driven = self.equation.forcing is not None and bool(self.equation.forcing.any())
        undisturbed = (self.times == self.times[0]) | (not driven)
        return ~frames.flatten(2).any(-1) & ~start.abs().flatten(1).any(-1)[:, None] & undisturbed

    @cached_property
    def out_of_band(self) -> Float[Tensor, " batch"]:
        whole, kept = (residual(self.equation, self.slabs, system) for system in ("pde", "galerkin"))
        square = ((whole.norm**2 - kept.norm**2) * self.slabs.widths).sum(-1)
        return square.clamp(min=0.0).sqrt()

    def sample(self, k: int) -> Bound:
        """The same of one sample, from 0."""
        one, r = slice(k, k + 1), self.rates
        numbers = {name: getattr(self, name)[one] for name in ("error", "residual", "speed", "initial")}
        points = None if r.abscissas is None else r.abscissas[one]
        speeds = replace(r, begin=r.begin[one], end=r.end[one], bend=r.bend[one], abscissas=points)
        slabs = Slabs(self.slabs.edges, self.slabs.values[one])
        return replace(self, **numbers, slabs=slabs, trajectory=self.trajectory[k], rates=speeds)

    @cached_property
    def companion(self) -> Slabs | None:
        """A better trajectory, by passes of the error equation, for each sample until little of its residual is left, or nothing but
        rounding; None where the first diverges, for any sample. Against the Galerkin system, whatever the bound is against."""
        pace = pace_of(self.equation, to_field(self.initial, self.equation.resolution), self.slabs)
        slabs = sampled(self.slabs, pace.edges, DEGREE)
        own = residual(self.equation, slabs, "galerkin").over_time(slabs)
        left, going = torch.full_like(own, torch.inf), torch.ones_like(own, dtype=torch.bool)
        for passed in range(PASSES):
            try:
                better = corrected(self.equation, slabs, self.initial, pace.step)[0]
            except ArithmeticError:
                return slabs if passed else None
            after = residual(self.equation, better, "galerkin")
            norm = after.over_time(better)
            going = going & (norm < left)
            slabs = Slabs(better.edges, torch.where(going[:, None, None, None, None], better.values, slabs.values))
            left = torch.where(going, norm, left)
            going = going & (norm > LEFT * own) & (norm > ROUNDED * (after.rounding.square() * better.widths).sum(-1).sqrt())
            if not bool(going.any()):
                break
        return slabs

    @cached_property
    def estimate(self) -> Float[Tensor, "batch time"]:
        """The error of the frames against the Galerkin system, by the error equation: measured, good to a thousandth or so, never a bound;
        NaN where there is no companion."""
        if self.companion is None:
            return torch.full_like(self.error, torch.nan)
        return speed(to_spectrum(self.trajectory.vorticity) - self.companion.at(self.times), self.equation.modes)

    @cached_property
    def floor(self) -> Float[Tensor, "batch time"]:
        """The bound that the exact flow itself would get in this form: what rounding, and the spline between plain frames, cost."""
        if self.companion is None:
            return torch.full_like(self.error, torch.nan)
        exact, _ = corrected(self.equation, self.companion, self.initial, float(self.companion.widths.min()) / 8)
        plain = self.trajectory.coefficients is None
        seen = Trajectory.of(exact, self.times)
        return of_frames(self.equation, Trajectory(self.times, seen.vorticity) if plain else seen, self.against).error


def frames_of(equation: NavierStokes2D, trajectory: Trajectory) -> tuple[Spectrum, Spectrum]:
    """Spectra of the frames: the modes kept, and all."""
    whole = to_spectrum(equation.fields(trajectory.vorticity, "trajectory", 4))
    return whole * equation.modes.kept, whole


def polynomials(equation: NavierStokes2D, trajectory: Trajectory, kept: Spectrum) -> Slabs:
    """The trajectory between its frames, in the modes kept: its own polynomials, or a spline."""
    own = trajectory.coefficients
    if own is None:
        return spline(trajectory.times, kept)
    if own.values.shape[-2] != equation.resolution or len(own.values) != len(trajectory):
        raise ValueError(f"trajectory: received coefficients of the shape {tuple(own.values.shape)}, expected those of "
                         f"{len(trajectory)} samples on the {equation.resolution} x {equation.resolution} grid of the equation")
    t, e = trajectory.times, own.edges
    if abs(float(e[0] - t[0])) > 1e-12 * float(e[-1] - e[0]) or float(t[-1] - e[-1]) > 1e-12 * float(e[-1] - e[0]):
        raise ValueError(f"trajectory: received frames from {t[0]:g} to {t[-1]:g} and coefficients from {e[0]:g} to {e[-1]:g}, expected "
                         "both to begin at one time and the coefficients to last; take Trajectory.of(slabs, times)")
    if own.degree > MOST:
        raise ValueError(f"coefficients: received polynomials of degree {own.degree}, expected at most {MOST}; take more slabs")
    if not torch.isfinite(torch.view_as_real(own.values)).all() or not (own.edges.diff() > 0).all():
        raise ValueError("coefficients: received numbers that are not finite, or edges that do not increase; expected finite spectra on "
                         "slabs in the order of time; mend or cut what made them")
    return Slabs(own.edges, own.values * equation.modes.kept)


@torch.no_grad()
def bound(equation: NavierStokes2D, trajectory: Trajectory, against: str = "galerkin", start: Tensor | None = None,
          growth: str = "strain") -> Bound:
    """A proved bound of the velocity error of `trajectory`, from its own residual.

    Args:
        against: "galerkin", the system of the modes |k_i| < n/3, or "pde", the equation itself.
        start: the initial vorticity (batch, n, n) of the exact solution; the trajectory's own first field if not given.
        growth: of errors, bounded by the "strain" or, closer and at the price of many eigenvalue problems, by the "abscissa".

    Raises:
        ValueError: frames or coefficients that do not fit the equation, or are not finite; an unknown `against`; frames so far apart in
            time that not even the exact flow, seen at these times, could be told from none.

    Source: (★), C3 and C4 of docs/theorems/flow.md; Gronwall's inequality with Cauchy and Schwarz on sub-intervals.
    """
    found = of_frames(equation, trajectory, against, start, growth)
    if trajectory.coefficients is None and bool((found.relative > BLIND).any()):
        demand_fine_frames(found)
    return found


@torch.no_grad()
def of_frames(equation: NavierStokes2D, trajectory: Trajectory, against: str, start: Tensor | None = None,
              growth: str = "strain") -> Bound:
    """`bound`, however coarse the frames are."""
    keep_freed_memory()
    modes = equation.modes
    if start is not None and len(start) != len(trajectory):
        raise ValueError(f"start: received {len(start)} fields for {len(trajectory)} trajectories, expected one for each")
    kept, whole = frames_of(equation, trajectory)
    slabs = polynomials(equation, trajectory, kept)
    found = residual(equation, slabs, against)
    first = whole[:, 0] if start is None else to_spectrum(equation.fields(start, "start", 3))
    origin = first * modes.kept if against == "galerkin" else first
    speeds = rates(equation, slabs, growth, against, PIECES)
    start_off = speed(origin - slabs.values[:, 0, 0], modes) + apart(first, first, modes)[1]
    error = over_time(equation, slabs, found, speeds, start_off, trajectory.times)
    error = error + torch.add(*apart(whole, slabs.at(trajectory.times), modes))
    return Bound(trajectory.times, error, found.over_time(slabs), speed(whole, modes), against,
                 equation, slabs, first, trajectory, speeds)


def demand_fine_frames(found: Bound) -> None:
    """Refuse frames so far apart that not even the exact flow could be certified from them.

    Raises:
        ValueError: it could not, with the spacing that would do.
    """
    times, better = found.trajectory.times, found.companion
    if better is None or not bool((found.floor > BLIND * found.speed).any()):
        return
    finer = times
    for _ in range(HALVINGS):
        finer = torch.cat([finer, (finer[1:] + finer[:-1]) / 2]).sort().values
        again = of_frames(found.equation, Trajectory(finer, to_field(better.at(finer), found.equation.resolution)), found.against)
        if bool((again.error <= FINE * again.speed).all()):
            break
    raise ValueError(f"trajectory: received frames {float(times.diff().max()):.3g} apart, from which not even the exact flow could be "
                     f"certified to {BLIND:.0%}; expected at most {float(finer.diff().max()):.3g} for {FINE:.0%}: keep more frames, give "
                     "polynomials in time (Trajectory.coefficients), or call refine, which makes its own")


def over_time(equation: NavierStokes2D, slabs: Slabs, found: Residual, speeds: Rates, start: Tensor, times: Tensor) -> Tensor:
    """The bound of |u - v| at `times`, (batch, time), v the polynomials."""
    steps = gronwall.Steps.of(slabs.edges.numpy(), times.numpy(), PIECES, SUBDIVISIONS)
    widths = slabs.widths.numpy()
    mean, most = gronwall.growth(speeds.begin.numpy(), speeds.end.numpy(), speeds.bend.numpy(), steps)
    length = (steps.right - steps.left) * widths[steps.slab]
    rounding = MARGIN * found.rounding.numpy()[:, steps.slab]
    lost = gronwall.LOST * equation.resolution**2
    square = (np.sqrt(gronwall.squares(found.gram.numpy(), steps, widths, lost)) + rounding * np.sqrt(length)) ** 2
    jump = np.zeros_like(square)
    joints = np.flatnonzero(np.diff(steps.slab)) + 1
    jump[:, joints] = speed(slabs.values[:, 1:, 0] - slabs.values[:, :-1, -1], equation.modes).numpy()
    after = gronwall.recursion(start.numpy(), mean, most, square, length, jump)
    return torch.from_numpy(after[:, steps.ends])
