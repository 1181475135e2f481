"""Cycles on potential and stream function together, one mesh after the other, with their record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wellposed.elliptic import flux
from wellposed.elliptic.finite_elements import StreamIteration, potential_iteration
from wellposed.elliptic.flux import Stream
from wellposed.elliptic.hypercircle import Bound, Settling, evaluate, find_stream
from wellposed.elliptic.problem import Array, Darcy, fit_stream
from wellposed.numerics.q1 import Nodes, interpolate

NUMBERS_PER_NODE = 120  # float64 arrays that cycles on one mesh hold at once, coarser meshes included
MOST_CYCLES = 200
SETTLED = 0.01  # a mesh's floor is known when cycles would lower eta^2 by less than this share
FLOOR_FACTOR = 1.1

QUANTITIES: dict[str, Callable[[Bound], Any]] = {
    "energy_error": lambda b: b.relative,
    "compliance_width": lambda b: (b.compliance_upper - b.compliance_lower) / (b.norm_lower**2).clip(1e-300),
}


@dataclass(frozen=True)
class Cycle:
    """The bounds of all samples (samples,) after `cycle` cycles on n x n cells."""

    n: int
    cycle: int
    relative: Any
    compliance_lower: Any
    compliance_upper: Any
    seconds: float


class Descent:
    """One refinement in progress: the mesh, the iterates and the record."""

    def __init__(self, problem: Darcy, v: Nodes, stream: Array | None, tol: float | None, quantity: str) -> None:
        self.asked, self.tol, self.quantity = problem, tol, quantity
        self.problem = problem.refined((v.shape[-1] - 1) // problem.n)
        self.v, self.began = v, time.perf_counter()
        if stream is None:
            self.stream, _ = find_stream(self.problem, v)
        else:
            self.stream = flux.separate(self.problem, fit_stream(self.problem, stream))
        self.history: list[Cycle] = []
        self.cycles, self.reached = torch.zeros(len(problem), dtype=torch.long), torch.zeros(len(problem), dtype=torch.bool)
        self.total, self.settled = 0, False
        self._record()

    def descend(self, hurry: bool = False) -> None:
        """Cycles on this mesh until all samples are done or settled; in a hurry, until two more would not do it."""
        if self.tol is not None and self.reached.all():
            self.floor = self.value
            return
        potential = potential_iteration(self.problem, self.v)
        stream = StreamIteration(self.problem, flux.particular(self.problem), self.stream)
        left = [Settling(self.problem), Settling(self.problem)]
        for count in range(1, MOST_CYCLES + 1):
            falls = [potential.step(), stream.step()]
            rest = left[0].remaining(falls[0], potential.product) + left[1].remaining(falls[1], stream.product)
            self._advance(potential.x, stream.stream)
            eta2 = torch.as_tensor(self.bound.eta, device=rest.device) ** 2
            self.floor = self._shrink((rest / eta2).clamp(0, 1).cpu())
            if self.tol is None:
                self.reached = self.reached | ((self.value <= FLOOR_FACTOR * self.floor) & self.value.isfinite())
            self.settled = bool((rest <= SETTLED * eta2).cpu()[~(self.reached | self.problem.trivial.cpu())].all())
            slow = self._shrink((2 * (falls[0] + falls[1]) / eta2).clamp(0, 1).cpu()) > (self.tol or math.inf)
            done = self.reached.all() or (self.settled and (self.tol is not None or bool(self.problem.trivial.any())))
            if done or (hurry and count > 1 and slow[~self.reached].all()):
                break

    def _advance(self, v: Nodes, stream: Stream) -> None:
        """Take the next iterate for the samples that are not done; the others keep what met the tolerance."""
        going = ~self.reached.to(v.device)
        self.total += 1
        self.cycles[~self.reached] = self.total
        self.v = torch.where(going[:, None, None], v, self.v)
        drift = stream.drift
        if drift is not None and self.stream.drift is not None:
            drift = torch.where(going[:, None], drift, self.stream.drift)
        self.stream = Stream(torch.where(going[:, None, None], stream.psi, self.stream.psi), drift)
        self._record()

    def _shrink(self, share: Tensor) -> Tensor:
        """The value that remains once eta^2 has lost `share` of itself."""
        return self.value * ((1 - share) if self.quantity == "compliance_width" else (1 - share).sqrt())

    def _record(self) -> None:
        self.bound = evaluate(self.problem, self.v, self.stream)
        self.value = torch.as_tensor(QUANTITIES[self.quantity](self.bound)).cpu()
        if self.tol is not None:
            self.reached = self.value <= self.tol
        b = self.bound
        self.history.append(Cycle(self.problem.n, self.total, b.relative, b.compliance_lower, b.compliance_upper,
                                  time.perf_counter() - self.began))

    def fits(self, factor: int) -> int:
        """Bytes that cycles on a mesh `factor` times finer would take."""
        return len(self.asked) * (factor * self.problem.n + 1) ** 2 * 8 * NUMBERS_PER_NODE

    def halve(self) -> None:
        """To a mesh twice as fine; the bound is the same there."""
        self.problem, self.v, self.stream = self.problem.refined(2), interpolate(self.v, 2), self.stream.refined(2)
