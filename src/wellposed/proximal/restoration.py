"""One kind of measurement, asked of a learned prior on images that it has never seen, from several starts, beside a classical method."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.certificate import Certificate
from wellposed.proximal.baselines import Tuned, oracle, psnr
from wellposed.proximal.claims import certificate_of_run
from wellposed.proximal.exam import classical
from wellposed.proximal.methods import weight_of
from wellposed.proximal.problem import Inverse
from wellposed.proximal.reconstruct import Reconstruction, reconstruct
from wellposed.proximal.refine import refine_image

Images = Float[Tensor, "batch c y x"]
FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the weight that the noise says, tried on images of the training."""
ROUGH, ROUGH_STEPS = 1e-3, 60
"""Tolerance and steps of these trials."""
GRID = (1e-4, 1e-3, 1e-2)
"""Weights of the classical methods that an oracle tries first; then it halves their ratio around the best, twice."""


class Question(NamedTuple):
    """Measurements, and the images that they are of."""

    problem: Inverse
    truth: Images


@dataclass(frozen=True, eq=False)
class Start:
    """A reconstruction from one start.

    Attributes:
        seconds: that it took for all images, the start included.
    """

    name: str
    run: Reconstruction = field(repr=False)
    seconds: float

    @property
    def steps(self) -> float:
        """The mean over images."""
        return float(self.run.cycles.double().mean())

    @property
    def reached(self) -> int:
        return int(self.run.reached.sum())

    @property
    def rate(self) -> float:
        """Images within the tolerance per second."""
        return self.reached / self.seconds


@dataclass(frozen=True, eq=False)
class Restored:
    """What came of one kind of measurement.

    Attributes:
        name: of the kind. question: as asked. weight: λ. tol: of |∇F|.
        starts: the network's own first; then zero; then the classical images.
        classical: images of the classical methods, their weights tuned by an oracle. seconds: of the first of them, at its weight.
    """

    name: str
    question: Question = field(repr=False)
    weight: float
    tol: float
    starts: Sequence[Start]
    classical: dict[str, Tuned] = field(repr=False)
    seconds: float

    @property
    def image(self) -> Images:
        """From the network's start."""
        return self.starts[0].run.image

    def psnr(self, image: Images) -> float:
        """In dB, the mean over images."""
        return float(psnr(image, self.question.truth).mean())


def chosen_weight(model: Any, known: Question, algorithm: str = "pgd") -> float:
    """The λ that does best on measurements of images that are known, such as those of the training."""
    expected = weight_of(known.problem, model, None)

    def score(weight: float) -> float:
        run = reconstruct(known.problem, model, algorithm, weight, ROUGH, ROUGH_STEPS, certify=False, record=False)
        return float(psnr(run.image, known.truth).mean())

    return max((expected * f for f in FACTORS), key=score)


def restore(model: Any, name: str, question: Question, weight: float, tol: float = 1e-5, steps: int = 300,
            algorithm: str = "pgd") -> Restored:
    """Three starts and the classical methods, timed."""
    problem = question.problem
    tuned = {kind: oracle(method, question.truth, GRID) for kind, method in classical(problem).items()}
    best, method = next(iter(tuned.items())), next(iter(classical(problem).values()))
    seconds, _ = _timed(lambda: method(best[1].weight))
    zero = torch.zeros(len(problem), *problem.physics.image_shape, dtype=torch.float64)
    took, first = _timed(lambda: reconstruct(problem, model, algorithm, weight, tol, steps))
    later, second = _timed(lambda: reconstruct(problem, model, algorithm, weight, tol, steps, start=zero))
    last, third = _timed(lambda: refine_image(problem, best[1].image, tol, prior=model, weight=weight, algorithm=algorithm, steps=steps))
    starts = [Start("network", first, took), Start("zero start", second, later), Start(best[0], third, seconds + last)]
    return Restored(name, question, weight, tol, starts, tuned, seconds)


def _timed(make: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = make()
    return time.perf_counter() - began, found


def certified(run: Reconstruction, whole: bool = True, weights: bytes | None = None, seed: int | None = None) -> Certificate:
    """The certificate of a run: of its stationarity and every step, or of the last point alone, which takes less time."""
    assert run.trace is not None
    trace, splits = run.trace, run.trace.splits
    if not whole:
        trace = replace(trace, points=trace.points[-1:], splits=None if splits is None else splits[-1:])
    return certificate_of_run(run.problem, run.model, trace, run.image, run.required, weights=weights, seed=seed)
