"""Reconstruction: stationary points of F(x) = |A x - y|²/2 + λ R(x), R the learned prior, each step with what a certificate needs."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wellposed.certificate import Certificate
from wellposed.proximal.descent import Descent, Step
from wellposed.proximal.methods import scheme, weight_of
from wellposed.proximal.problem import Array, Inverse, number
from wellposed.proximal.trace import Trace

ROOM = 0.99
"""Of the tolerance; the rest is for rounding in the certificate."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Images, how far they are from stationary, and why the run ended.

    Attributes:
        image: z = prox_R(w), (batch, c, y, x), float64. point: w.
        objective: F(z), (batch,), R up to the constant that ψ fixes.
        stationarity: |∇F(z)|, (batch,), Euclidean. Of "hqs" both are those of its own F, with h's envelope for h.
        status: "reached", "steps" (they ran out), or "diverged" (F is not bounded below at this weight).
        reached: (batch,), whose stationarity is at most `tol`. cycles: (batch,), steps taken.
        history: of each step. trace: what the certificate is made of, None if it was not recorded.
        problem, model, weight, tol: what was asked; the model in float64.
    """

    image: Tensor = field(repr=False)
    point: Tensor = field(repr=False)
    objective: Float[Tensor, " batch"]
    stationarity: Float[Tensor, " batch"]
    status: str
    reached: Bool[Tensor, " batch"]
    cycles: Tensor
    history: list[Step] = field(repr=False)
    trace: Trace | None = field(repr=False)
    problem: Inverse = field(repr=False)
    model: Any = field(repr=False)
    algorithm: str
    weight: float
    tol: float
    violated: str | None
    certified: bool = field(repr=False)

    @property
    def answer(self) -> Tensor:
        """The image, as other rooms call it."""
        return self.image

    @property
    def value(self) -> Float[Tensor, " batch"]:
        """What `tol` is asked of: the stationarity."""
        return self.stationarity

    @property
    def again(self) -> Tensor:
        """As a further `refine` takes it."""
        return self.image

    @property
    def steps(self) -> int:
        """Outer steps."""
        return len(self.history)

    @property
    def evaluations(self) -> float:
        """Of the network (ψ and its gradient), per outer step, by the sample that took most."""
        return sum(s.evaluations for s in self.history) / max(1, len(self.history))

    @cached_property
    def certificate(self) -> Certificate | None:
        """Exact prox, stationarity for F, and the decrease of every recorded step; None if none was asked for."""
        from wellposed.proximal.claims import certificate_of_run

        if not self.certified or self.trace is None:
            return None
        return certificate_of_run(self.problem, self.model, self.trace, self.image, self.required)

    @property
    def required(self) -> float | None:
        """What a certificate asks of |∇F|: `tol`; nothing where its claim is of another F: of operators from elsewhere the checker knows
        no envelope."""
        return None if self.algorithm == "hqs" and self.problem.physics.kind == "foreign" else self.tol

    @property
    def message(self) -> str:
        """What happened and what to do next."""
        worst = float(self.stationarity.max())
        found = f"|∇F| at most {worst:.3g} after {self.steps} step{'s' * (self.steps != 1)} of {self.algorithm}, weight {self.weight:.3g}"
        if self.algorithm == "hqs":
            found += " (F with the envelope of the data term, as half-quadratic splitting has it)"
        if self.status == "diverged":
            found = (f"images grow without end after {self.steps} steps of {self.algorithm}: the learned prior is not bounded below at the "
                     f"weight {self.weight:.3g}, take a smaller one")
        elif self.status == "steps":
            found += f"; tol = {self.tol:g} was asked: allow more steps"
        return found if self.violated is None else f"{found}; {self.violated}"

    def sample(self, k: int) -> Reconstruction:
        """The same for one image; `history` stays that of the batch."""
        k = range(len(self.problem))[k]
        one = slice(k, k + 1)
        trace = None if self.trace is None else replace(
            self.trace, points=self.trace.points[:, one], splits=None if self.trace.splits is None else self.trace.splits[:, one])
        return replace(self, image=self.image[one], point=self.point[one], objective=self.objective[one], problem=self.problem[one],
                       stationarity=self.stationarity[one], status="reached" if bool(self.reached[k]) else self.status,
                       reached=self.reached[one], cycles=self.cycles[one], trace=trace)


@torch.no_grad()
def reconstruct(problem: Inverse, prior: Any, algorithm: str = "pgd", weight: float | None = None, tol: float = 1e-5, steps: int = 300,
                start: Array | None = None, rho: float | None = None, accelerate: bool = True, certify: bool = True,
                record: bool = True) -> Reconstruction:
    """A stationary point of F(x) = |A x - y|²/2 + λ R(x), in float64.

    Args:
        prior: an LPN, whose prox is that of R.
        algorithm: "pgd"; "admm"; or "hqs", for which F has the envelope min_x |A x - y|²/2 + (ρ/2)|x - z|² for the first term.
        weight: λ; None: σ_n²/σ², of the noise of the data and of the network's training.
        tol: of |∇F|, the Euclidean norm for each image. steps: at most so many.
        start: w of the first image prox_R(w), (batch, c, y, x); None: the Tikhonov solution.
        rho: of "admm" and "hqs", 1/η of "pgd", at least the weight; None: inside the theorem, of "hqs" the weight. Another is run as it
            is, and named.
        accelerate: Anderson's extrapolation, where it keeps to the theorem.
        certify: whether `certificate` may be asked for. record: whether to keep the points that the certificate of the decrease needs.

    Raises:
        ValueError: a model that is no proximal network or does not take the problem's images; numbers out of range.

    Example:
        >>> from wellposed.proximal import LPN, Inverse, reconstruct
        >>> from wellposed.proximal.physics import Mask
        >>> problem = Inverse(Mask(torch.ones(8, 8)), torch.zeros(1, 1, 8, 8), noise=0.02)
        >>> reconstruct(problem, LPN.convolutional(1, width=4)).status
        'reached'
    """
    model = proximal_model(problem, prior)
    if not 0 < number(tol) < math.inf or isinstance(steps, bool) or not isinstance(steps, numbers.Integral) or int(steps) < 0:
        raise ValueError(f"reconstruct: received tol={tol!r}, steps={steps!r}, expected a positive tol and a whole number of steps")
    λ = weight_of(problem, prior, weight)
    method = scheme(problem, model, algorithm, λ, rho)
    w = tikhonov(problem, λ) if start is None else problem.images(start, "start")
    return followed(Descent(method, method.begin(w), accelerate, record), problem, algorithm, λ, number(tol), int(steps), certify)


def followed(run: Descent, problem: Inverse, algorithm: str, weight: float, tol: float, steps: int, certify: bool) -> Reconstruction:
    """The descent, and what has become of it."""
    here = run.run(ROOM * tol, steps)
    reached, method = here.stationarity <= tol, run.scheme
    status = "reached" if bool(reached.all()) else "diverged" if bool(run.diverged.any()) else "steps"
    return Reconstruction(here.image, here.point, here.objective, here.stationarity, status, reached, run.taken, run.history,
                          _trace(run, algorithm, weight), problem, method.model, algorithm, weight, tol, method.violation, certify)


def proximal_model(problem: Inverse, prior: Any) -> Any:
    """The network in float64.

    Raises:
        ValueError: no proximal network, or one that does not take the problem's images.
    """
    missing = [name for name in ("both", "doubled", "modulus", "check") if not hasattr(prior, name)]
    if missing:
        raise ValueError(f"prior: received a {type(prior).__name__}, expected a proximal network, whose prior is known, such as "
                         "wellposed.proximal.LPN; a plain denoiser has none")
    prior.check(torch.empty(len(problem), *problem.physics.image_shape), "image")
    return prior.doubled()


def tikhonov(problem: Inverse, weight: float) -> Tensor:
    """argmin |A x - y|²/2 + weight |x|²/2."""
    return problem.physics.solve(problem.physics.A_adjoint(problem.measurement), weight)


def _trace(run: Descent, algorithm: str, weight: float) -> Trace | None:
    if not run.record:
        return None
    return Trace(algorithm, weight, run.scheme.parameter, torch.stack(run.points), torch.stack(run.splits) if run.splits else None)

