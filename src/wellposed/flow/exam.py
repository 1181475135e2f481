"""How far are a network's trajectories from the flow, on initial fields that it has never seen, before and after they are refined?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.certificate import Certificate
from wellposed.flow.bound import Bound, bound
from wellposed.flow.claims import Enclosure, certificate_of, certify_flow, enclosed
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.problem import Evolution, admit_trajectory, navier_stokes
from wellposed.flow.published import refine_as_published, residual_of_differences, truncation_of_a_step
from wellposed.flow.refine import Refinement, held, refine_flow
from wellposed.flow.residual import apart, spectrum
from wellposed.flow.slabs import Slabs, spline
from wellposed.flow.solver import solve
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import Spectrum, resample, to_field, to_spectrum

Model = Callable[[Evolution], Trajectory]
LONGER, STEPS = (2.0, 1.4, 1.0, 0.7, 0.5), (5, 8, 12, 18, 27, 40)
"""Slabs that are tried, as parts of those that the refiner takes, and steps in a slab, of which its nodes need five."""


@dataclass(frozen=True, eq=False)
class Exam:
    """What is proved of a network's answers to one family of flows.

    Attributes:
        inside: whether the network was trained on this family. answer: what it answered.
        usable: (batch,), which samples of that were finite; of the others the initial field is taken, held.
        raw: its error from both sides. refined: the answer after passes of the error equation, against the Galerkin system.
        pde: what the refined answer is proved to be against the equation itself.
    """

    name: str
    inside: bool
    problem: Evolution = field(repr=False)
    answer: Trajectory = field(repr=False)
    usable: Tensor = field(repr=False)
    raw: Enclosure = field(repr=False)
    refined: Refinement = field(repr=False)
    pde: Bound = field(repr=False)

    def predicted(self, sample: int, tol: float | None = None, weights: bytes | None = None, seed: int | None = None) -> Certificate:
        """The certificate of one sample of the network's own answer, from both sides."""
        own, best = self.raw.own.sample(sample), self.raw.companion
        both = enclosed(own, own if best is None else best.sample(sample))
        return certificate_of(self.problem[sample], both, tol, weights, seed)

    def certificate(self, sample: int, tol: float | None = None, weights: bytes | None = None, seed: int | None = None) -> Certificate:
        """The certificate of one sample of the refined answer, from both sides."""
        return certify_flow(self.problem[sample], self.refined.answer[sample], tol, weights=weights, seed=seed)


@torch.no_grad()
def examine(model: Model, problem: Evolution, name: str, inside: bool = True, tol: float = 1e-5) -> Exam:
    """Answer, refine to `tol`, and prove from the refined answer how wrong the first one was."""
    answer, usable = answered(model, problem)
    equation = navier_stokes(problem)
    own = bound(equation, answer, "galerkin", problem.vorticity)
    refined = refine_flow(problem, answer, tol, mesh="auto")
    pde = bound(equation, refined.answer, "pde", problem.vorticity)
    return Exam(name, inside, problem, answer, usable, enclosed(own, refined.bound), refined, pde)


@torch.no_grad()
def answered(model: Model, problem: Evolution) -> tuple[Trajectory, Tensor]:
    """The model's trajectories, and which of them are finite; the others hold the initial field."""
    found = model(problem)
    usable = torch.from_numpy(admit_trajectory(problem, found)[1])
    if bool(usable.all()):
        return found, usable
    still = held(problem).vorticity
    frames = torch.where(usable[:, None, None, None], found.vorticity, still)
    own = found.coefficients
    if own is None:
        return Trajectory(found.times, frames), usable
    start = (to_spectrum(problem.vorticity) * problem.equation.modes.kept)[:, None, None].expand_as(own.values)
    return Trajectory(found.times, frames, Slabs(own.edges, torch.where(usable[:, None, None, None, None], own.values, start))), usable


def energy(w: Spectrum, equation: NavierStokes2D) -> Float[Tensor, "batch shells"]:
    """½ Σ |û_k|² over shells of |k| L / 2π, rounded, from spectra (batch, n, n/2 + 1); shell 0 is the mean's, zero."""
    modes = equation.modes
    twice = torch.full_like(modes.x, 2.0)
    twice[..., [0, -1]] = 1.0
    power = 0.5 * twice * modes.inverse * torch.view_as_real(w).square().sum(-1)
    shell = (modes.square.sqrt() / equation.lowest).round().long().flatten()
    return power.new_zeros(len(w), int(shell.max()) + 1).index_add_(1, shell, power.flatten(-2))


def residual_seen(equation: NavierStokes2D, trajectory: Trajectory) -> dict[str, Tensor]:
    """Of the residual of the first sample: "shells", (∫|R|² dt)^½ of each shell of wave numbers; at "times", |R|: "kept", in the modes that
    the grid keeps, and "whole", in all."""
    own = trajectory.coefficients
    assert own is not None
    slabs = Slabs(own.edges, own.values[:1] * equation.modes.kept)
    shells, whole = spectrum(equation, slabs, "pde")
    points = torch.from_numpy(chebyshev.gauss(2 * slabs.degree + 1)[0])
    times = (slabs.edges[:-1, None] + slabs.widths[:, None] * points).flatten()
    kept = spectrum(equation, slabs, "galerkin")[1]
    return {"shells": shells[0].clamp(min=0.0).sqrt(), "times": times, "kept": kept[0], "whole": whole[0]}


@dataclass(frozen=True)
class Solver:
    """ETDRK4 as it is asked for: problem -> trajectory. `step`, `slab`: the largest of both."""

    step: float
    slab: float

    @torch.no_grad()
    def __call__(self, problem: Evolution) -> Trajectory:
        assert problem.times is not None
        return solve(navier_stokes(problem), problem.vorticity, problem.times, step=self.step, slab=self.slab)


@torch.no_grad()
def tuned_solver(problem: Evolution, tol: float) -> Solver:
    """The longest slabs, and then steps, with which flows like these are certified to `tol` with a factor of two to spare: a fair rival."""
    own = refine_flow(problem, None, tol, mesh="auto").answer.coefficients
    assert own is not None
    width = float(own.widths.max())
    found = Solver(width / STEPS[-1], width)
    for slab, steps in ((part * width, steps) for part in LONGER for steps in STEPS):
        found = Solver(slab / steps, slab)
        try:
            relative = bound(navier_stokes(problem), found(problem), "galerkin", problem.vorticity).relative
        except ArithmeticError:
            continue
        if float(relative.max()) <= tol / 2:
            break
    return found


@torch.no_grad()
def on_half_the_grid(problem: Evolution) -> Trajectory:
    """The solver with half as many nodes per axis, and what that leaves out of the start, decaying by itself: a guess to refine."""
    e, n = navier_stokes(problem), problem.equation.resolution
    m = max(8, n // 2 + n // 2 % 2)

    def coarse(w: Tensor) -> Tensor:
        return to_field(resample(to_spectrum(w), n, m), m)

    half = NavierStokes2D(e.viscosity, m, None if e.forcing is None else coarse(e.forcing), e.drag, e.length)
    assert problem.times is not None
    own = solve(half, coarse(problem.vorticity), problem.times).coefficients
    assert own is not None
    values = resample(own.values * half.modes.kept, m, n)
    rest = to_spectrum(problem.vorticity) * e.modes.kept - values[:, 0, 0]
    decay = torch.exp(-(e.viscosity * e.modes.square + e.drag) * (own.nodes - own.edges[0])[..., None, None])
    return Trajectory.of(Slabs(own.edges, values + rest[:, None, None] * decay), problem.times)


@dataclass(frozen=True)
class Loss:
    """What two losses say of a trajectory, and what is proved.

    Attributes:
        published: the loss of the published refiner. honest: the same norm with ∂w/∂t from differences of the frames.
        lower, upper: the velocity error at the worst of the frames' times, relative to the flow's speed.
    """

    name: str
    published: float
    honest: float
    lower: float
    upper: float


@torch.no_grad()
def published_losses(exam: Exam, sample: int = 0, frames: int = 65, steps: int = 50) -> list[Loss]:
    """The published refiner's loss beside what is proved, of trajectories good and bad, and of what its steps make of the answer."""
    equation, best = navier_stokes(exam.problem), exam.refined.bound.sample(sample)
    times = torch.linspace(float(best.times[0]), float(best.times[-1]), frames, dtype=torch.float64)
    exact = Trajectory.of(best.slabs, times)
    truth = bound(equation, exact, "galerkin", exam.problem.vorticity[sample : sample + 1])
    answer, still = (_seen(x, times) for x in (exam.answer[sample], held(exam.problem[sample])))
    order = torch.randperm(frames - 1, generator=torch.Generator().manual_seed(0)) + 1
    mixed = torch.cat([answer[:, :1], answer[:, order]], 1)
    tuned = refine_as_published(equation, times, answer, truncation_of_a_step, steps)
    asked: Mapping[str, Any] = {
        "the network's answer": answer, f"after {steps} steps of the published refiner": to_field(tuned.frames, equation.resolution),
        "the network's frames, shuffled": mixed, "the initial field, held": still, "the refined answer": exact.vorticity}
    return [_loss(name, Trajectory(times, w), truth, equation) for name, w in asked.items()]


def _seen(trajectory: Trajectory, times: Tensor) -> Tensor:
    """Its frames at other times."""
    own = trajectory.coefficients or spline(trajectory.times, to_spectrum(trajectory.vorticity))
    return Trajectory.of(own, times).vorticity


def _loss(name: str, trajectory: Trajectory, truth: Bound, equation: NavierStokes2D) -> Loss:
    w = to_spectrum(trajectory.vorticity) * equation.modes.kept
    distance, rounding = apart(w, truth.slabs.at(truth.times), equation.modes)
    near, size = truth.error + rounding, truth.speed
    lower, upper = ((distance - near).clamp(min=0.0) / (size + truth.error)).max(), ((distance + near) / (size - truth.error)).max()
    published, honest = (float(f(equation, w, truth.times)[0]) for f in (truncation_of_a_step, residual_of_differences))
    return Loss(name, published, honest, float(lower), float(upper) if bool((size > truth.error).all()) else math.inf)
