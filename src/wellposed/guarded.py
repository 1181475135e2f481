"""Around any model: release what is certified, refine what is not, solve what refining cannot mend, refuse the rest."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wellposed.certificate import admit, refine

OUTCOMES = ("released", "refined", "solved", "refused")


@dataclass(frozen=True)
class Guarded:
    """A batch of guarded answers.

    Attributes:
        answers: one per sample, on the mesh that it took (solving may need a finer one); None where refused.
        outcome: one of "released", "refined", "solved", "refused" per sample.
        value: (samples,) what is proved of the guarded quantity; infinite where nothing is.
        cycles: (samples,) what refining and solving took.
        seconds: for the batch, the model included.
    """

    answers: list[Any] = field(repr=False)
    outcome: list[str]
    value: np.ndarray
    cycles: np.ndarray
    seconds: float
    messages: list[str] = field(repr=False)
    _certificates: list[Callable[[], Any]] = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        return {name: self.outcome.count(name) for name in OUTCOMES}

    def certificate(self, sample: int) -> Any:
        """The certificate of one sample, or for a refused one the best that could be proved."""
        return self._certificates[sample]()

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.counts.items())


class Guard:
    """`guard(model, tol)`: call it like the model, in any loop; it keeps count.

    Args:
        model: problem -> answer, or None to start from zero; or problem -> (answer, stream function).
        tol: of the quantity that `refine` takes for this kind of problem (the relative energy error in `elliptic`).
        solve: whether to go on to finer meshes where refining on the model's own is not enough.
        options: further options of `refine`, such as `memory` or `quantity`.
    """

    def __init__(self, model: Callable[[Any], Any] | None, tol: float, *, solve: bool = True, **options: Any) -> None:
        if not 0 < tol < float("inf"):
            raise ValueError(f"guard: received tol={tol}, expected a positive number")
        if set(options) & {"mesh", "stream"}:
            raise ValueError("guard: received mesh or stream, which it chooses itself; expected other options of refine; a model may "
                             "return (answer, stream function), and solve=False stays on its mesh")
        self.model, self.tol, self.solve, self.options = model, tol, solve, options
        self.counts: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.seconds = 0.0

    @property
    def rate(self) -> float:
        """Guaranteed answers per second so far."""
        given = sum(self.counts.values()) - self.counts["refused"]
        return given / self.seconds if self.seconds else 0.0

    def __call__(self, problem: Any) -> Guarded:
        began = time.perf_counter()
        batch = _Batch(problem, self.tol, self.options)
        if self.model is None:
            batch.refine(None, np.arange(len(problem)))
        else:
            pick, usable = admit(problem, self.model(copy.deepcopy(problem)))  # a model may write into its input
            where = np.flatnonzero(usable)
            if len(where):
                batch.refine(pick(where), where)
        if self.solve:
            for sample in batch.open():
                batch.solve(sample)
        seconds = time.perf_counter() - began
        self.counts.update(batch.outcome)
        self.seconds += seconds
        return Guarded(batch.answers, batch.outcome, batch.value, batch.cycles, seconds, batch.messages, batch.certificates)


class _Batch:
    """What has become of each sample so far."""

    def __init__(self, problem: Any, tol: float, options: dict[str, Any]) -> None:
        n = len(problem)
        self.problem, self.tol, self.options = problem, tol, options
        self.outcome, self.answers, self.best = ["refused"] * n, [None] * n, [None] * n
        self.value, self.cycles = np.full(n, np.inf), np.zeros(n, int)
        self.messages = ["the model's answer is not usable"] * n
        self.certificates: list[Callable[[], Any]] = [_nothing] * n

    def open(self) -> list[int]:
        return [i for i, outcome in enumerate(self.outcome) if outcome == "refused"]

    def refine(self, answer: Any, where: np.ndarray) -> None:
        """Cycles on the answer's own mesh, all samples at once."""
        result = refine(self.problem[where], answer, self.tol, mesh="fixed", **self.options)
        for k, sample in enumerate(where.tolist()):
            good, cycles = bool(result.reached[k]), int(result.cycles[k])
            self._take(sample, result, k, "released" if good and cycles == 0 else "refined" if good else "refused")

    def solve(self, sample: int) -> None:
        """Cycles from the best answer, or zero, on meshes as fine as it takes."""
        one = slice(sample, sample + 1)
        result = refine(self.problem[one], self.best[sample], self.tol, mesh="auto", **self.options)
        self._take(sample, result, 0, "solved" if bool(result.reached[0]) else "refused")

    def _take(self, sample: int, result: Any, k: int, outcome: str) -> None:
        self.best[sample] = result.sample(k).again
        self.answers[sample] = None if outcome == "refused" else result.answer[k]
        self.outcome[sample], self.messages[sample] = outcome, result.message
        self.value[sample] = float(result.value[k])
        self.cycles[sample] += int(result.cycles[k])
        self.certificates[sample] = lambda: result.sample(k).certificate


def _nothing() -> Any:
    raise LookupError("nothing could be computed for this sample: the model's answer is not usable, and solving was not allowed")


def guard(model: Callable[[Any], Any] | None, tol: float, *, solve: bool = True, **options: Any) -> Guard:
    """Wrap a model so that only guaranteed answers leave it; see `Guard`."""
    return Guard(model, tol, solve=solve, **options)
