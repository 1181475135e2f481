"""How an answer gets better: until its bound meets a tolerance, or its mesh, or memory, can give no more."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import torch

from wellposed.certificate import Certificate
from wellposed.elliptic.claims import certify_darcy
from wellposed.elliptic.descent import FLOOR_FACTOR, QUANTITIES, Cycle, Descent
from wellposed.elliptic.hypercircle import Bound, admissible
from wellposed.elliptic.problem import Array, Darcy, boundary_values
from wellposed.numerics.q1 import Nodes, interpolate

MEMORY = 2 * 2**30


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
        value: (samples,) what is proved of `quantity`.
        tol: the tolerance.
        floor: (samples,) the smallest value that the last mesh can prove, extrapolated.
        memory: bytes that finer meshes might use.
        history: the bounds after each cycle.
    """

    answer: Any = field(repr=False)
    bound: Bound = field(repr=False)
    problem: Darcy = field(repr=False)
    status: str
    reached: Any
    cycles: Any
    quantity: str
    value: Any
    tol: float | None
    floor: Any
    memory: int
    history: list[Cycle] = field(repr=False)

    @cached_property
    def certificate(self) -> Certificate:
        """The certificate of the refined answer."""
        return certify_darcy(self.problem, self.answer, tol=self.tol, quantity=self.quantity, stream=self.bound.stream)

    @property
    def again(self) -> tuple[Any, Any]:
        """Answer and stream function, as a further `refine` takes them."""
        return self.answer, self.bound.stream

    @property
    def n(self) -> int:
        """Cells per axis of the last mesh."""
        return self.answer.shape[-1] - 1

    @cached_property
    def needed(self) -> int | None:
        """Cells per axis that should reach `tol` where this mesh does not, from the rate at which the floor of the worst
        sample falls on the next mesh; None where `tol` is met, or nothing can be extrapolated."""
        if self.tol is None or bool(self.reached.all()):
            return None
        floor = torch.as_tensor(self.floor)
        worst = int((floor / self.tol).argmax())
        ratio = float(floor[worst]) / self.tol
        if not math.isfinite(ratio):
            return None
        rate = self._rate(worst, float(floor[worst]))
        return self.n * 2 ** max(1, math.ceil(math.log2(ratio) / rate - 1e-9))

    @torch.no_grad()
    def _rate(self, sample: int, floor: float) -> float:
        most = 2.0 if self.quantity == "compliance_width" else 1.0
        start = interpolate(self.problem.take(self.answer[sample : sample + 1], "answer"), 2)
        run = Descent(self.problem[sample], start, None, None, self.quantity) if self.problem.movable else None
        if run is None or run.fits(1) > self.memory:
            return most
        run.descend()
        return min(max(math.log2(floor / float(run.floor[0])), 0.1), most)

    @cached_property
    def message(self) -> str:
        """What happened and what to do next."""
        n, name, tol = self.n, self.quantity.replace("_", " "), self.tol
        worst, floor, count = float(self.value.max()), float(self.floor.max()), len(self.problem)
        proved = f"{name} at most {worst:.3g} proved on {n} x {n} cells after {int(self.cycles.max())} cycles"
        if bool(self.problem.trivial.any()):
            proved += f"; {int(self.problem.trivial.sum())} without data, where u = 0 and a relative error is not defined"
            if bool((torch.as_tensor(self.reached).cpu() | self.problem.trivial.cpu()).all()):
                return proved
        if self.status == "reached":
            return proved + ("" if tol is not None else f", within {FLOOR_FACTOR} of this mesh's floor {floor:.3g}")
        if count > 1:
            proved += f" ({int(self.reached.sum())} of {count} samples reached tol = {tol})"
        if self.status == "cycles":
            return f"{proved}; the iteration did not settle, so what this mesh can reach is not known: {tol} was asked"
        asked = "1.1 times the floor" if tol is None else f"tol = {tol:g}"
        grid = f"about {self.needed} x {self.needed} cells" if self.needed else "a mesh that cannot be extrapolated from here"
        if self.status == "memory":
            return (f"{proved}; {asked} should need {grid}, and {2 * n} x {2 * n} would take more than the "
                    f"{self.memory / 2**20:.0f} MiB allowed: raise memory")
        onward = "mesh='auto' (--mesh auto) goes there" if self.problem.movable else "state the data there"
        return (f"{proved}; about {floor:.3g} is the least that this mesh can prove (extrapolated); {asked} should need "
                f"{grid}: {onward}")

    def sample(self, k: int) -> Refinement:
        """The same for one sample; `history` stays that of the batch."""
        one = slice(k, k + 1)
        numbers = {f.name: getattr(self.bound, f.name)[one] for f in fields(Bound) if f.name not in ("cycles", "raw_stream")}
        status = "reached" if bool(self.reached[k]) else self.status
        return replace(self, status=status, answer=self.answer[one], bound=replace(self.bound, **numbers, raw_stream=None),
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
    run = Descent(problem, v, stream, tol, quantity)
    while True:
        onward = mesh == "auto" and tol is not None and problem.movable and run.fits(2) <= memory
        run.descend(hurry=onward)
        if (run.reached | problem.trivial.cpu()).all() or not onward:
            break
        run.halve()
    status = "reached" if run.reached.all() else "memory" if mesh == "auto" and problem.movable else "floor" if run.settled else "cycles"
    give = problem.give
    return Refinement(give(run.v), run.bound, problem, status, give(run.reached), give(run.cycles), quantity, give(run.value), tol,
                      give(run.floor), memory, run.history)


def _start(problem: Darcy, answer: Array | None) -> Nodes:
    if answer is not None:
        return admissible(problem, answer)
    a = problem.coefficient
    return boundary_values(problem, a.new_zeros(len(a), problem.n + 1, problem.n + 1))
