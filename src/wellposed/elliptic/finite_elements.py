"""Potential and stream function by bilinear finite elements: two energy minimizations, solved by the same cycles."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.elliptic import flux
from wellposed.elliptic.flux import Flux, Stream
from wellposed.elliptic.problem import Darcy, boundary_values
from wellposed.numerics.krylov import ConjugateGradients
from wellposed.numerics.multigrid import VCycle
from wellposed.numerics.q1 import Cells, Nodes, Stiffness, cell_load, pair
from wellposed.numerics.space import NodalSpace

MOST_STEPS, SWEEPS = 500, 2
CHUNK = 2**19  # cells whose cycles are run at once, so that a large batch needs no more memory than a small one


def load(problem: Darcy) -> Nodes:
    """The raw functional v -> int f v + int_Neumann g v."""
    out, n = cell_load(problem.balanced_source), problem.n
    if problem.neumann is not None:
        edges = (out[:, 0], out[:, :, -1], out[:, -1], out[:, :, 0])
        for edge, g, side in zip(edges, problem.neumann.unbind(1), problem.sides, strict=True):
            if side == "neumann":
                edge[:, :-1] += g / (2 * n)
                edge[:, 1:] += g / (2 * n)
    return out


Preconditioner = Callable[[Cells, NodalSpace], Callable[[Nodes], Nodes]]
CYCLE: Preconditioner = partial(VCycle, sweeps=SWEEPS)


def potential_iteration(problem: Darcy, start: Nodes | None = None, preconditioner: Preconditioner = CYCLE) -> ConjugateGradients:
    """Cycles towards the finite-element solution, from `start` (with its boundary values) or zero."""
    a = problem.coefficient
    if start is None:
        start = boundary_values(problem, a.new_zeros(len(a), problem.n + 1, problem.n + 1))
    space = problem.space()
    return ConjugateGradients(Stiffness(a), load(problem), start, preconditioner(a, space), space)


class StreamIteration:
    """Cycles towards the best stream function, from `start` or zero."""

    def __init__(self, problem: Darcy, t0: Flux, start: Stream | None = None, preconditioner: Preconditioner = CYCLE) -> None:
        a = 1 / problem.coefficient
        if start is None:
            zero = a.new_zeros(len(a), problem.n + 1, problem.n + 1)
            start = Stream(flux.trace(problem, zero), a.new_zeros(len(a), 2) if problem.periodic else None)
        self._ramps, self._problem = flux.ramps(problem), problem
        psi = start.psi
        if start.drift is not None:
            psi = psi + sum(start.drift[:, k, None, None] * r for k, r in enumerate(self._ramps))
        space, functional = problem.space(essential="neumann"), flux.functional(problem, t0)
        self._solver = ConjugateGradients(Stiffness(a), functional, psi, preconditioner(a, space), space, self._ramps)

    def step(self) -> Float[Tensor, " samples"]:
        """One cycle; returns by how much each eta^2 fell."""
        return self._solver.step()

    @property
    def product(self) -> Float[Tensor, " samples"]:
        """The squared norm of the preconditioned residual."""
        return self._solver.product

    @property
    def stream(self) -> Stream:
        """The current stream function."""
        psi = self._solver.x
        if not self._problem.periodic:
            return Stream(psi)
        drift = torch.stack([(psi[:, -1] - psi[:, 0]).mean(1), -(psi[:, :, -1] - psi[:, :, 0]).mean(1)], 1)
        rest = psi - sum(drift[:, k, None, None] * r for k, r in enumerate(self._ramps))
        rest[:, -1] = rest[:, 0]
        rest[:, :, -1] = rest[:, :, 0]
        return Stream(rest, drift)


def solve(problem: Darcy, tol: float = 1e-10) -> Nodes:
    """The finite-element solution to a relative algebraic error of `tol` in energy.

    Raises:
        ArithmeticError: the iteration has not converged after 500 steps.
    """
    return torch.cat([_solve(problem[chunk], tol) for chunk in problem.chunks(CHUNK)])


def _solve(problem: Darcy, tol: float) -> Nodes:
    iteration = potential_iteration(problem)
    energy = last = problem.coefficient.new_zeros(len(problem))
    while iteration.steps < MOST_STEPS:
        fall = iteration.step()
        energy = energy + fall
        if iteration.steps > 1 and (torch.maximum(fall, last) <= tol**2 * energy).all():
            break
        last = fall
    else:
        raise ArithmeticError(f"the solver has not converged after {MOST_STEPS} steps: the contrast of the coefficient is "
                              f"{float(problem.coefficient.max() / problem.coefficient.min()):.3g}")
    u = iteration.x
    return u - _mean(u, problem) if problem.balanced else u


def _mean(u: Nodes, problem: Darcy) -> Tensor:
    weights = cell_load(torch.ones_like(problem.source))
    return pair(weights, u)[:, None, None]
