"""Evidence in, certificate out: what is claimed about a trajectory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wellposed.certificate import Certificate, issue, provenance
from wellposed.flow.bound import Bound, bound
from wellposed.flow.error_equation import corrected
from wellposed.flow.evidence import answer_arrays, hermitian, parameters, problem_arrays, proof_arrays
from wellposed.flow.linear import Parabolic
from wellposed.flow.linear_claims import certify_linear
from wellposed.flow.pace import pace_of
from wellposed.flow.problem import Evolution, navier_stokes
from wellposed.flow.residual import SYSTEMS, apart, speed
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics.vorticity import to_spectrum

SLACK, NOTHING, FARTHEST = 1e-6, 1e300, 2.0**60
SHARP, PASSES = 0.01, 4


@dataclass(frozen=True, eq=False)
class Enclosure:
    """The error of a trajectory from both sides, at the times of its frames.

    Attributes:
        lower, upper: (batch, time), of the root mean square of |u - v|.
        companion: a better trajectory, whose own `bound` and distance from the frames give both.
    """

    lower: Tensor
    upper: Tensor
    own: Bound
    companion: Bound | None

    @staticmethod
    def above(own: Bound) -> Enclosure:
        """A bound from one side."""
        return Enclosure(torch.zeros_like(own.error), own.error, own, None)

    @property
    def relative(self) -> tuple[Tensor, Tensor]:
        """Both ends of |u - v| / |u|, |u| being near both speeds; the upper is infinite where |u| may be zero."""
        slow, fast = self.own.speed - self.upper, self.own.speed + self.upper
        if self.companion is not None:
            other, near = self.companion.speed, self.companion.error
            slow, fast = slow.maximum(other - near), fast.minimum(other + near)
        most = torch.where(slow > 0, self.upper / slow.clamp(min=1e-300), torch.inf)
        most = torch.where(self.own.at_rest, 0.0, most)
        return self.lower / fast.clamp(min=1e-300), most


@torch.no_grad()
def enclose(problem: Evolution, trajectory: Trajectory, against: str = "galerkin", own: Bound | None = None) -> Enclosure:
    """Passes of the error equation make a companion v₂ with a bound b; then |v₂ - v| - b <= |u - v| <= |v₂ - v| + b.

    Raises:
        ValueError: as `bound`.
    """
    equation = navier_stokes(problem)
    checked(problem, trajectory)
    own = own or bound(equation, trajectory, against, problem.vorticity)
    start, frames = to_spectrum(problem.vorticity), to_spectrum(trajectory.vorticity)
    slabs, best = own.slabs, None
    pace = pace_of(equation, problem.vorticity, slabs)
    for _ in range(PASSES):
        try:
            slabs, _ = corrected(equation, slabs, start, pace.step, pace.edges)
        except ArithmeticError:
            break
        slabs = hermitian(problem, slabs)
        found = bound(equation, Trajectory.of(slabs, trajectory.times), against, problem.vorticity)
        better = best is None or bool((found.error[:, -1] < 0.5 * best.error[:, -1]).any())
        if best is None or bool((found.error[:, -1] <= best.error[:, -1]).all()):
            best = found
        distance = speed(frames - slabs.at(trajectory.times), equation.modes)
        if not better or bool((found.error.amax(1) <= SHARP * distance.amax(1)).all()):
            break
    return Enclosure.above(own) if best is None else enclosed(own, best)


def enclosed(own: Bound, companion: Bound) -> Enclosure:
    """The error of a trajectory from that of a better one: |v₂ - v| - b <= |u - v| <= |v₂ - v| + b."""
    frames = to_spectrum(own.trajectory.vorticity)
    distance, rounding = apart(frames, companion.slabs.at(own.times), own.equation.modes)
    near = companion.error + rounding
    return Enclosure((distance - near).clamp(min=0.0), torch.minimum(own.error, distance + near), own, companion)


@torch.no_grad()
def certify_flow(problem: Evolution, trajectory: Trajectory, tol: float | None = None, *, against: str = "galerkin", two_sided: bool = True,
                 growth: str = "strain", weights: bytes | str | None = None, seed: int | None = None) -> Certificate:
    """How far is this trajectory from the true flow? Of heat, Stokes and Oseen flow `certify_linear` answers, exactly.

    Args:
        trajectory: anyone's; one without coefficients is splined between its frames.
        tol: what is required of the largest relative velocity error, |u - v| / |u|, over samples and the frames' times.
        against: "galerkin", the system of the modes |k_i| < n/3, or "pde", the equation itself: two claims that are never mixed.
        two_sided: spend a few passes of the error equation on a companion, which encloses the error from both sides.
        growth: "strain" or "abscissa", see `bound`.
        weights: of the model that answered, or their SHA-256; seed: with which it was trained.

    Raises:
        ValueError: as `bound`; options out of range.
    """
    if against not in SYSTEMS or (tol is not None and not 0 < tol < float("inf")):
        raise ValueError(f"certify: received against={against!r}, tol={tol}; expected against of {', '.join(SYSTEMS)}, and a positive tol "
                         "or None to require nothing")
    checked(problem, trajectory)
    if isinstance(problem.equation, Parabolic):
        return certify_linear(problem.equation, problem.vorticity, trajectory, tol, against=against)
    own = bound(navier_stokes(problem), trajectory, against, problem.vorticity, growth)
    both = enclose(problem, trajectory, against, own) if two_sided else Enclosure.above(own)
    return certificate_of(problem, both, tol, weights, seed)


def certificate_of(problem: Evolution, both: Enclosure, tol: float | None = None, weights: bytes | str | None = None,
                   seed: int | None = None) -> Certificate:
    """The certificate of what has been proved."""
    own, against = both.own, both.own.against
    lower, upper = (float(x.max()) for x in both.relative)
    bracket = np.array([lower * (1 - SLACK), min(upper * (1 + SLACK), NOTHING)])
    arrays = problem_arrays(problem) | answer_arrays(own.trajectory) | proof_arrays(problem, own) | {"bracket": bracket}
    if both.companion is not None:
        arrays |= proof_arrays(problem, both.companion, "companion_")
    source = provenance(problem.vorticity.device.type, torch.get_num_threads(),
                        hashlib.sha256(weights).hexdigest() if isinstance(weights, bytes) else weights, seed)
    return issue("flow.Evolution", parameters(problem), arrays, {f"flow.{against}_error/1": tol}, "margin", source, both)


def checked(problem: Evolution, trajectory: Trajectory) -> None:
    """Whether the trajectory can be an answer to the problem.

    Raises:
        ValueError: another number of samples or another grid; a first time that is not the problem's.
    """
    if not isinstance(trajectory, Trajectory):
        raise ValueError(f"trajectory: received a {type(trajectory).__name__}, expected wellposed.flow.Trajectory(times, vorticity)")
    expected = (len(problem), problem.equation.resolution)
    if (len(trajectory), trajectory.vorticity.shape[-1]) != expected:
        raise ValueError(f"trajectory: received {len(trajectory)} samples on {trajectory.vorticity.shape[-1]} nodes per axis, expected "
                         f"{expected[0]} on {expected[1]}, as in the problem")
    t, own = problem.times, trajectory.times
    if own.abs().max() > FARTHEST or own.diff().min() < 2.0**-40 * own.abs().max():
        raise ValueError(f"times: received {own[0]:g} to {own[-1]:g}, at least {own.diff().min():g} apart, expected times up to 1e18 that "
                         "differ by more than 1e-12 of the largest; count them from a later origin, or choose another unit")
    if t is not None and abs(float(t[0] - trajectory.times[0])) > 1e-12 * float(t[-1] - t[0]):
        raise ValueError(f"trajectory: received a first time of {trajectory.times[0]:g}, expected the problem's {t[0]:g}")
