"""How an answer gets better: cycles on potential and stream function together, on this mesh or on finer ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from wellposed.certificate import Certificate
from wellposed.elliptic import flux
from wellposed.elliptic.claims import certify_darcy
from wellposed.elliptic.finite_elements import StreamIteration, potential_iteration
from wellposed.elliptic.flux import Stream
from wellposed.elliptic.hypercircle import Bound, Settling, admissible, evaluate, find_stream
from wellposed.elliptic.problem import Array, Darcy, boundary_values, fit_potential
from wellposed.numerics.q1 import Nodes, interpolate

MEMORY = 2 * 2**30
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


@dataclass(frozen=True)
class Refinement:
    """A refined answer, what is proved about it, and why the refinement ended.

    Attributes:
        answer: nodal values on the last mesh, (samples, N + 1, N + 1).
        bound: what is proved about it.
        problem: the problem as it was asked; the answer may live on a finer mesh.
        status: "reached"; "floor" (this mesh can do no better), "memory" (the next mesh does not fit), "cycles".
        reached: (samples,) which samples meet the tolerance.
        cycles: (samples,) after how many cycles on all meshes.
        message: what happened and what to do next.
        value: (samples,) what is proved of `quantity`.
        tol: the tolerance.
        floor: (samples,) the smallest value that the last mesh can prove, extrapolated.
        needed: cells per axis that should reach `tol`, extrapolated, where this mesh does not.
        history: the bounds after each cycle.
    """

    answer: Any = field(repr=False)
    bound: Bound = field(repr=False)
    problem: Darcy = field(repr=False)
    status: str
    reached: Any
    cycles: Any
    message: str
    quantity: str
    value: Any
    tol: float | None
    floor: Any
    needed: int | None
    history: list[Cycle] = field(repr=False)

    @cached_property
    def certificate(self) -> Certificate:
        """The certificate of the refined answer."""
        return certify_darcy(self.problem, self.answer, tol=self.tol, quantity=self.quantity, stream=self.bound.stream)

    @property
    def again(self) -> tuple[Any, Any]:
        """Answer and stream function, as a further `refine` takes them."""
        return self.answer, self.bound.stream

    def sample(self, k: int) -> Refinement:
        """The same for one sample; `status`, `message` and `history` stay those of the batch."""
        one = slice(k, k + 1)
        numbers = {f.name: getattr(self.bound, f.name)[one] for f in fields(Bound) if f.name not in ("cycles", "raw_stream")}
        return replace(self, answer=self.answer[one], bound=replace(self.bound, **numbers, raw_stream=None),
                       problem=self.problem[one], reached=self.reached[one], cycles=self.cycles[one], value=self.value[one],
                       floor=self.floor[one])


@torch.no_grad()
def refine_darcy(problem: Darcy, answer: Array | tuple[Array, Array] | None = None, tol: float | None = None, *,
                 quantity: str = "energy_error", mesh: str = "fixed", memory: int = MEMORY,
                 stream: Array | None = None) -> Refinement:
    """Cycles until every sample's bound is at most `tol`, or until the mesh, or memory, can give no more.

    Args:
        answer: anyone's potential, (samples, n + 1, n + 1), or (potential, stream function); None starts from zero.
        tol: of the relative energy error, or of the relative width of the compliance enclosure with
            `quantity="compliance_width"`. None means 1.1 times the floor of the mesh.
        mesh: "fixed", or "auto" to go to meshes twice as fine until `tol` is reached.
        memory: bytes that "auto" may use.
        stream: the model's own stream function, if it has one.

    Raises:
        ValueError: as `wellposed.elliptic.bound`; a mesh that cycles cannot halve; options out of range.
    """
    if quantity not in QUANTITIES or mesh not in ("fixed", "auto") or (tol is not None and not 0 < tol < math.inf):
        raise ValueError(f"refine: received quantity={quantity!r}, mesh={mesh!r}, tol={tol}; expected a quantity of "
                         f"{', '.join(QUANTITIES)}, mesh 'fixed' or 'auto', and a positive tol or None")
    if mesh == "auto" and tol is None:
        raise ValueError("refine: received mesh='auto' without tol, expected a tol to reach; mesh='fixed' goes to the mesh's floor")
    if isinstance(answer, tuple):
        answer, stream = answer
    v = _start(problem, answer)
    run = _Run(problem, v, stream, tol, quantity)
    while True:
        onward = mesh == "auto" and tol is not None and run.movable and run.fits(2) <= memory
        run.descend(hurry=onward)
        if run.reached.all() or not onward:
            break
        run.halve()
    return run.result(mesh, memory)


def _start(problem: Darcy, answer: Array | None) -> Nodes:
    if answer is not None:
        return admissible(problem, answer)
    a = problem.coefficient
    return boundary_values(problem, a.new_zeros(len(a), problem.n + 1, problem.n + 1))


class _Run:
    """One refinement in progress: the mesh, the iterates and the record."""

    def __init__(self, problem: Darcy, v: Nodes, stream: Array | None, tol: float | None, quantity: str) -> None:
        self.asked, self.tol, self.quantity = problem, tol, quantity
        self.problem = problem.refined((v.shape[-1] - 1) // problem.n)
        self.v, self.began = v, time.perf_counter()
        if stream is None:
            self.stream, _ = find_stream(self.problem, v)
        else:
            self.stream = flux.separate(self.problem, fit_potential(self.problem, stream, "stream"))
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
                self.reached = self.reached | (self.value <= FLOOR_FACTOR * self.floor)
            self.settled = bool((rest <= SETTLED * eta2).cpu()[~self.reached].all())
            slow = self._shrink((2 * (falls[0] + falls[1]) / eta2).clamp(0, 1).cpu()) > (self.tol or math.inf)
            if self.reached.all() or (self.settled and self.tol is not None) or (hurry and count > 1 and slow[~self.reached].all()):
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

    def result(self, mesh: str, memory: int) -> Refinement:
        give = self.problem.give
        needed = None if self.tol is None or self.reached.all() else self._needed(memory)
        status = "reached" if self.reached.all() else "memory" if mesh == "auto" and self.movable else "floor" if self.settled else "cycles"
        return Refinement(
            give(self.v), self.bound, self.asked, status, give(self.reached), give(self.cycles),
            self._message(status, needed, memory), self.quantity, give(self.value), self.tol, give(self.floor), needed, self.history)

    def _needed(self, memory: int) -> int:
        """The mesh that should reach `tol`, from the rate at which the worst sample's floor falls on the next mesh."""
        assert self.tol is not None
        worst = int((self.floor / self.tol).argmax())
        order = 2.0 if self.quantity == "compliance_width" else 1.0
        if self.fits(2) <= memory * len(self.asked) and self.movable:
            one = _Run(self.problem[worst].refined(2), interpolate(self.v[worst : worst + 1], 2), None, None, self.quantity)
            one.descend()
            order = min(max(math.log2(float(self.floor[worst]) / float(one.floor[0])), 0.1), order)
        halvings = math.ceil(math.log2(float(self.floor[worst]) / self.tol) / order - 1e-9)
        return self.problem.n * 2 ** max(1, halvings)

    @property
    def movable(self) -> bool:
        """Oscillation terms tie a problem to its mesh."""
        return self.problem.source_oscillation is None and self.problem.neumann_oscillation is None

    def _message(self, status: str, needed: int | None, memory: int) -> str:
        n, name = self.problem.n, self.quantity.replace("_", " ")
        worst, floor = float(self.value.max()), float(self.floor.max())
        tail = "" if len(self.asked) == 1 else f" ({int(self.reached.sum())} of {len(self.asked)} samples reached it)"
        proved = f"{name} at most {worst:.3g} proved on {n} x {n} cells after {self.total} cycles"
        if status == "reached":
            return proved + ("" if self.tol is not None else f", within {FLOOR_FACTOR} of this mesh's floor {floor:.3g}")
        if status == "memory":
            return (f"{proved}{tail}; tol = {self.tol:g} should need about {needed} x {needed} cells, and "
                    f"{2 * n} x {2 * n} already take {self.fits(2) / 2**20:.0f} MiB of the {memory / 2**20:.0f} allowed: raise memory")
        if status == "cycles":
            return f"{proved}{tail}; {MOST_CYCLES} cycles did not reach tol = {self.tol} and the floor is not known yet"
        return (f"{proved}{tail}; about {floor:.3g} is the least that this mesh can prove (extrapolated); tol = {self.tol:g} "
                f"should need {needed} x {needed} cells: mesh='auto' (--mesh auto) goes there")
