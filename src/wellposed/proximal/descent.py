"""Steps of a method, each of which lets its merit fall by what its theorem claims.

Plain steps do, once they are short enough; Anderson's extrapolations are taken only where they do. Every run of a method inside its theorem
so satisfies the inequality of the theorem at every step, and converges as plain runs do, in fewer steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wellposed.proximal.acceleration import Anderson
from wellposed.proximal.iterate import ROUNDING, Iterate
from wellposed.proximal.sums import column, dot, norm

MEMORY, TRIES, SHORTER, LONGER = 10, 4, 0.5, 1.5
RUNAWAY = 1e3
"""Times as large as the first image, one has left for infinity."""


@runtime_checkable
class Scheme(Protocol):
    """A method: see `pgd` and `admm`.

    Attributes:
        model: f, in float64. parameter: η of "pgd", ρ of the others, as a trace names it. relaxation: τ.
        decrease: c of the theorem, merit(new) <= merit(old) - c moved(old, new); not positive outside of it.
        violation: which of the theorem's conditions does not hold, or None.
    """

    @property
    def decrease(self) -> float: ...
    @property
    def relaxation(self) -> float: ...
    @property
    def parameter(self) -> float: ...
    @property
    def violation(self) -> str | None: ...
    @property
    def model(self) -> Any: ...

    def __getitem__(self, which: Tensor) -> Scheme:
        """The method for these samples alone."""
        ...

    def begin(self, w: Tensor) -> Iterate:
        """The first iterate, whose image is f(w)."""
        ...

    def at(self, w: Tensor, split: Any) -> Iterate:
        """The iterate at w, with the split of methods that keep one."""
        ...

    def plain(self, here: Iterate) -> tuple[Any, Tensor]:
        """The split of the next iterate, and the direction to its w, without extrapolation."""
        ...

    def moved(self, here: Iterate, there: Iterate) -> Float[Tensor, " batch"]:
        """What the theorem's decrease is proportional to."""
        ...


class Step(NamedTuple):
    """What is known after one: the largest stationarity, the mean objective, evaluations of the network by the sample that took most."""

    stationarity: float
    objective: float
    evaluations: int
    accelerated: int


@dataclass(eq=False)
class Descent:
    """A run of `scheme` from `here`.

    Attributes:
        points, splits: of all iterates so far, the first included. history: of each step.
        lengths: s of each sample's mirror steps. taken: steps of each sample.
    """

    scheme: Scheme
    here: Iterate
    accelerate: bool = True
    record: bool = True
    history: list[Step] = field(default_factory=list)
    points: list[Tensor] = field(default_factory=list)
    splits: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lengths = torch.ones(len(self.here.point), dtype=torch.float64)
        self.taken = torch.zeros(len(self.here.point), dtype=torch.int64)
        self.limit = RUNAWAY * (1 + norm(self.here.image) + norm(self.here.point))
        self.anderson = Anderson(MEMORY) if self.accelerate and self.scheme.decrease > 0 else None
        self._keep()

    @torch.no_grad()
    def run(self, tol: float, steps: int) -> Iterate:
        """Until every sample's stationarity is at most `tol`, or for so many steps."""
        for _ in range(steps):
            rest = ((self.here.stationarity > tol) & ~self.diverged).nonzero()[:, 0]
            if not len(rest):
                break
            self.taken[rest] += 1
            self._step(rest)
        return self.here

    @property
    def diverged(self) -> Bool[Tensor, " batch"]:
        """Which images have left for infinity: the merit is not bounded below."""
        return norm(self.here.image) > self.limit

    def _step(self, rest: Tensor) -> None:
        """One step of the samples at the indices `rest`; one that no try lets fall stays where it is, and takes a shorter one next."""
        here, evaluations, accelerated = self.here, 0, 0
        split, direction = self.scheme.plain(here)
        if self.anderson is not None:
            evaluations, found = 1, len(rest)
            rest = self._try(here, rest, *self._extrapolated(self.anderson, here, split, direction))
            self.anderson.forget(rest)
            accelerated = found - len(rest)
        for _ in range(TRIES):
            if not len(rest):
                break
            evaluations, tried = evaluations + 1, rest
            rest = self._try(here, rest, split, here.point + column(self.lengths, direction) * direction)
            self.lengths[tried] = (LONGER * self.lengths[tried]).clamp(max=1.0)
            self.lengths[rest] *= SHORTER / LONGER
        self._keep()
        worst, mean = float(self.here.stationarity.max()), float(self.here.objective.mean())
        self.history.append(Step(worst, mean, evaluations, accelerated))

    def _extrapolated(self, anderson: Anderson, here: Iterate, split: Tensor | None, direction: Tensor) -> tuple[Tensor | None, Tensor]:
        """The split and the point that Anderson's method proposes."""
        size, shape = direction[0].numel(), direction.shape
        if split is None:
            return None, anderson.propose(here.point.flatten(1), direction.flatten(1)).view(shape)
        assert here.split is not None
        both = torch.cat([here.point.flatten(1), here.split.flatten(1)], 1)
        moves = torch.cat([direction.flatten(1), (split - here.split).flatten(1)], 1)
        found = anderson.propose(both, moves)
        return found[:, size:].view(shape), found[:, :size].view(shape)

    def _try(self, here: Iterate, which: Tensor, split: Tensor | None, point: Tensor) -> Tensor:
        """Move those of `which` that may be moved; the indices of those that may not."""
        scheme, old = self.scheme[which], here[which]
        new = scheme.at(point[which], None if split is None else split[which])
        good = _falls(scheme, old, new) if scheme.decrease > 0 else _falls_inside(scheme, old, new, self.lengths[which])
        self.here = self.here.put(which[good], new[good])
        return which[~good]

    def _keep(self) -> None:
        if not self.record:
            self.points, self.splits = [], []
        self.points.append(self.here.point)
        if self.here.split is not None:
            self.splits.append(self.here.split)


def _falls(scheme: Scheme, old: Iterate, new: Iterate) -> Bool[Tensor, " batch"]:
    """The inequality of the method's theorem."""
    return new.merit <= old.merit - scheme.decrease * scheme.moved(old, new) + ROUNDING * old.size


def _falls_inside(scheme: Scheme, old: Iterate, new: Iterate, s: Float[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
    """Outside the theorem: that of the mirror step alone, (1 - τ)/2 |z⁺ - z|² <= (1/s - τ) (ψ(w) - ψ(w⁺) - ⟨z⁺, w - w⁺⟩)."""
    tau, d = scheme.relaxation, new.image - old.image
    apart = old.potential - new.potential - dot(new.image, old.point - new.point)
    return 0.5 * (1 - tau) * dot(d, d) <= (1 / s - tau) * apart + ROUNDING * old.size
