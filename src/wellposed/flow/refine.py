"""How a trajectory gets better: passes of the error equation, until its bound meets a tolerance or nothing more is to be had."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.certificate import Certificate
from wellposed.flow.bound import Bound, of_frames
from wellposed.flow.claims import Enclosure, certificate_of, checked
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.error_equation import corrected
from wellposed.flow.evidence import hermitian
from wellposed.flow.pace import Pace, pace_of
from wellposed.flow.problem import Evolution, navier_stokes
from wellposed.flow.residual import SYSTEMS, residual, speed
from wellposed.flow.slabs import Slabs, merged
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics.vorticity import Spectrum, resample, to_field, to_spectrum

ROUGH = 1e-3  # of the residual of the initial field, held: above it passes from the latter left less, in all flows tried
FAR = 0.02  # of the velocity: frames that are moved by more are worth a word
DIGITS = 1e-5  # what a pass leaves of an error, by experience
MOST, HALVINGS = 8, 3
FEW = 4  # slabs, up to which the bound of all of them is cheap


class Pass(NamedTuple):
    """What is known after a pass: the largest relative bound of any sample, and the largest correction relative to the velocity."""

    bound: float | None
    correction: float


@dataclass(frozen=True)
class Refinement:
    """A refined trajectory, what is proved about it, and why the refinement ended.

    Attributes:
        answer: the trajectory, with polynomials in time.
        bound: what is proved about it.
        status: "reached"; "floor" (more passes change nothing), "passes" (it still improves).
        reached: (samples,) which meet the tolerance at all times. cycles: (samples,) passes taken.
        value: (samples,) the proved relative velocity error at the worst time, infinite where nothing is.
        history: what was known after each pass. moved: how far the given frames are from the answer's, the largest relative velocity
            difference; None where none were given.
        problem, tol, against: what was asked.
    """

    answer: Trajectory = field(repr=False)
    bound: Bound = field(repr=False)
    problem: Evolution = field(repr=False)
    status: str
    reached: Tensor
    cycles: Tensor
    value: Tensor
    tol: float | None
    against: str
    history: list[Pass] = field(repr=False)
    moved: float | None = None

    @cached_property
    def certificate(self) -> Certificate:
        """The certificate of the refined trajectory."""
        return certificate_of(self.problem, Enclosure.above(self.bound), self.tol)

    @property
    def again(self) -> Trajectory:
        """As a further `refine` takes it."""
        return self.answer

    def sample(self, k: int) -> Refinement:
        """The same for one sample."""
        k = range(len(self.problem))[k]
        one = slice(k, k + 1)
        return replace(self, answer=self.answer[one], bound=self.bound.sample(k), problem=self.problem[one],
                       status="reached" if bool(self.reached[k]) else self.status, reached=self.reached[one], cycles=self.cycles[one],
                       value=self.value[one])

    @cached_property
    def horizon(self) -> float:
        """Until when the tolerance is met by all samples."""
        good = (self.bound.relative <= (self.tol or math.inf)).all(0)
        first = int((~good).float().argmax()) if not bool(good.all()) else len(good)
        return float(self.bound.times[max(first - 1, 0)])

    @cached_property
    def needed(self) -> int | None:
        """Nodes per axis that should reach `tol`, from how the residual outside of the modes kept falls from half the grid to this one;
        None where the grid is not what is missing."""
        if self.against == "galerkin" or self.tol is None or bool(self.reached.all()):
            return None
        beyond = float((self.bound.out_of_band / self.bound.residual).max())
        n, tol = self.problem.equation.resolution, self.tol
        coarse = _beyond_half(self.bound)
        ratio = coarse / max(float(self.bound.out_of_band.max()), 1e-300)
        if beyond < 0.5 or ratio <= 1.5 or n < 16:
            return None
        short = min(float(self.value.max()), 1e6) / tol
        return n * 2 ** max(1, math.ceil(math.log(short) / math.log(ratio) - 1e-9))

    @cached_property
    def message(self) -> str:
        """What happened and what to do next."""
        worst, passes = float(self.value.max()), int(self.cycles.max())
        end, first = float(self.bound.times[-1]), float(self.bound.times[0])
        system = "the Galerkin system" if self.against == "galerkin" else "the equation"
        after = f"after {passes} pass{'es' * (passes != 1)}"
        proved = (f"relative velocity error at most {worst:.3g} against {system} proved until t = {end:g} {after}"
                  if worst < math.inf else f"nothing proved until t = {end:g} {after}: the bound exceeds the velocity")
        if self.moved is not None and self.moved > FAR:
            proved += (f"; the given frames were {self.moved:.2g} away: if that is more than they can be wrong, check viscosity, forcing, "
                       "length and times")
        if self.tol is None or self.status == "reached":
            return proved
        asked = f"{proved}; tol = {self.tol:g} was asked"
        if self.needed:
            return f"{asked}; what this grid does not keep is too large: about {self.needed} x {self.needed} nodes should do"
        if self.horizon > first:
            return f"{asked}; it is met until t = {self.horizon:g}: a shorter horizon, or tol = {1.1 * worst:.2g}"
        return f"{asked}; more passes change nothing: a finer grid, or tol = {1.1 * worst:.2g}"


def _beyond_half(found: Bound) -> float:
    """The residual outside of the modes kept, of the same trajectory on half the grid."""
    e, n = found.equation, found.equation.resolution // 2
    if n < 8 or n % 2:
        return 0.0
    f = None if e.forcing_spectrum is None else to_field(resample(e.forcing_spectrum, 2 * n, n), n)
    coarse = NavierStokes2D(e.viscosity, n, f, e.drag, e.length)
    slabs = Slabs(found.slabs.edges, resample(found.slabs.values, 2 * n, n) * coarse.modes.kept)
    whole, kept = (residual(coarse, slabs, system).norm for system in ("pde", "galerkin"))
    return float(((whole**2 - kept**2) * slabs.widths).sum(-1).clamp(min=0.0).sqrt().max())


@torch.no_grad()
def refine_flow(problem: Evolution, trajectory: Trajectory | None = None, tol: float | None = None, *, against: str = "galerkin",
                passes: int = MOST, mesh: str = "fixed") -> Refinement:
    """Passes of the error equation until every sample's bound is at most `tol`.

    They start from the trajectory, or, where its residual is a thousandth or more of that of the initial field held, from the latter.

    Args:
        trajectory: anyone's; None starts from the initial field, held for all times of the problem.
        tol: of the relative velocity error |u - v| / |u| at the worst of the frames' times; None: as far as passes go.
        against: "galerkin" or "pde". passes: at most so many.
        mesh: "fixed", or "auto" to halve slabs and steps more than once where passes end before `tol`.

    Raises:
        ValueError: as `bound`; neither a trajectory nor times; options out of range.
    """
    if against not in SYSTEMS or mesh not in ("fixed", "auto") or not _positive(tol) or passes < 0:
        raise ValueError(f"refine: received against={against!r}, mesh={mesh!r}, tol={tol}, passes={passes}; expected against of "
                         f"{', '.join(SYSTEMS)}, mesh 'fixed' or 'auto', a positive tol or None, and a number of passes")
    start = held(problem) if trajectory is None else trajectory
    checked(problem, start)
    halvings = HALVINGS if mesh == "auto" else 1
    if passes > 0 and tol is not None and hopeless(problem, start, tol, against):
        quick = _Descent(problem, held(problem, start.times), tol, against).run(passes, halvings)
        if bool(quick.reached.all()):
            return _compared(quick, start)
    whole = _Descent(problem, start, tol, against)
    good = whole.value <= tol if tol is not None else torch.zeros(len(problem), dtype=torch.bool)
    if not bool(good.any()) or bool(good.all()):
        result = whole.run(passes, halvings)
    else:
        rest = (~good).nonzero()[:, 0]
        result = _joined(whole, good, _Descent(problem[rest], start[rest], tol, against).run(passes, halvings))
    return result if trajectory is None else _compared(result, start)


def hopeless(problem: Evolution, start: Trajectory, tol: float, against: str) -> bool:
    """Whether the first of many slabs alone shows that no sample meets `tol` and that passes do better from the initial field: the bound
    of all of them costs as much as a pass."""
    own = start.coefficients
    if own is None or len(own.edges) <= FEW:
        return False
    equation, early = navier_stokes(problem), int((start.times <= own.edges[1] * (1 + 1e-12)).sum())
    if early < 2:
        return False
    first = Trajectory(start.times[:early], start.vorticity[:, :early], Slabs(own.edges[:2], own.values[:, :1]))
    found = of_frames(equation, first, against, problem.vorticity)
    rest = residual(equation, still(found.initial * equation.modes.kept, own.edges[:2]), against).norm[:, 0]
    rough = found.residual > ROUGH * rest * float(own.widths[0]) ** 0.5
    return bool((found.relative.amax(1) > tol).all() and rough.any())


def _compared(result: Refinement, start: Trajectory) -> Refinement:
    """With how far the given frames are from the answer's."""
    apart = speed(to_spectrum(start.vorticity - result.answer.vorticity), result.problem.equation.modes)
    return replace(result, moved=float((apart / result.bound.speed.clamp(min=1e-300)).max()))


def _joined(whole: _Descent, good: Tensor, rest: Refinement) -> Refinement:
    """What was good enough as it stood, and what became of the rest."""
    assert whole.tol is not None
    place = torch.cumsum(~good, 0).sub(1).clamp(min=0)
    spread = Slabs(rest.bound.slabs.edges, rest.bound.slabs.values[place])
    slabs = hermitian(whole.problem, merged(whole.slabs, spread, good))
    frames = torch.where(good[:, None, None, None], whole.answer.vorticity, rest.answer.vorticity[place])
    answer = Trajectory(whole.answer.times, frames, slabs)
    found = of_frames(whole.equation, answer, whole.against, whole.problem.vorticity)
    value = found.relative.amax(1)
    reached, cycles = value <= whole.tol, torch.where(good, 0, rest.cycles[place])
    status = "reached" if bool(reached.all()) else rest.status
    return Refinement(answer, found, whole.problem, status, reached, cycles, value, whole.tol, whole.against, rest.history)


def _positive(tol: float | None) -> bool:
    return tol is None or (isinstance(tol, int | float) and 0 < tol < math.inf)


def held(problem: Evolution, times: Tensor | None = None) -> Trajectory:
    """The initial field at all times of the problem, or at others.

    Raises:
        ValueError: the problem has no times, and none are given.
    """
    times = problem.times if times is None else times
    if times is None:
        raise ValueError("refine: received no trajectory, and a problem without times; give the problem times, such as "
                         "torch.linspace(0, 1, 11)")
    return Trajectory.of(still(to_spectrum(problem.vorticity) * problem.equation.modes.kept, times[[0, -1]]), times)


def still(w: Spectrum, edges: Tensor) -> Slabs:
    """A spectrum (batch, n, n/2 + 1) that does not move between two times."""
    return Slabs(edges, w[:, None, None].expand(-1, 1, 2, -1, -1).contiguous())


class _Descent:
    """The best trajectory so far, and what is proved about it."""

    def __init__(self, problem: Evolution, start: Trajectory, tol: float | None, against: str) -> None:
        self.problem, self.tol, self.against = problem, tol, against
        self.answer, self.history, self.taken = start, [], 0
        self.equation = navier_stokes(problem)
        self.bound = of_frames(self.equation, start, against, problem.vorticity)
        self.slabs, self.initial = self.bound.slabs, to_spectrum(problem.vorticity)
        self.size = float(self.bound.speed.max().clamp(min=1e-300))

    @property
    def value(self) -> Tensor:
        return self.bound.relative.amax(1)

    @property
    def done(self) -> bool:
        return self.tol is not None and bool((self.value <= self.tol).all())

    @property
    def rough(self) -> bool:
        """Whether the residual is no small part of that of the initial field, held: passes then do better from the latter."""
        held_field = still(self.initial * self.equation.modes.kept, self.slabs.edges[:2])
        rest = residual(self.equation, held_field, self.against).norm[:, 0] * float(self.slabs.widths.sum()) ** 0.5
        return bool((self.bound.residual > ROUGH * rest).any())

    def run(self, passes: int, halvings: int) -> Refinement:
        pace = pace_of(self.equation, self.problem.vorticity, self.slabs, self.tol)
        if not self.done and self.rough:
            self.slabs = still(self.initial * self.equation.modes.kept, self.slabs.edges[[0, -1]])
        halved, improving = 0, True
        while not self.done and self.taken < passes:
            improving = self.advance(pace, passes)
            if not improving and halved == halvings:
                break
            if not improving:
                pace, halved = pace.finer(), halved + 1
        status = "reached" if self.done or (self.tol is None and not improving) else "passes" if improving else "floor"
        cycles = torch.full((len(self.problem),), self.taken)
        reached = self.value <= self.tol if self.tol is not None else torch.isfinite(self.value)
        return Refinement(self.answer, self.bound, self.problem, status, reached, cycles, self.value, self.tol, self.against, self.history)

    def advance(self, pace: Pace, passes: int) -> bool:
        """A pass, without a bound where it will clearly not do; whether what is proved has become much better."""
        self.taken += 1
        try:
            self.slabs, error = corrected(self.equation, self.slabs, self.initial, pace.step, pace.edges)
        except ArithmeticError:
            self.slabs = self.bound.slabs
            self.history.append(Pass(None, math.inf))
            return False
        correction = float(speed(error.values, self.equation.modes).max()) / self.size
        if self.tol is not None and DIGITS * correction > self.tol and self.taken < passes:
            self.history.append(Pass(None, correction))
            return True
        self.slabs = hermitian(self.problem, self.slabs)
        answer = Trajectory.of(self.slabs, self.answer.times)
        found = of_frames(self.equation, answer, self.against, self.problem.vorticity)
        self.history.append(Pass(float(found.relative.max()), correction))
        better = bool((found.error[:, -1] < 0.5 * self.bound.error[:, -1]).any())
        size = self.bound.speed.amax(1).clamp(min=1e-300)
        if bool((found.error.amax(1) / size).max() <= (self.bound.error.amax(1) / size).max()):
            self.answer, self.bound = answer, found
        return better


__all__ = ["Pass", "Refinement", "held", "refine_flow"]
