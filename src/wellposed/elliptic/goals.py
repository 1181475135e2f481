"""A weighted mean of the unknown solution, enclosed: the question most users have of a field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from wellposed.elliptic.boundary import fit
from wellposed.elliptic.evidence import array, checker_problem, pair_arrays
from wellposed.elliptic.finite_elements import solve
from wellposed.elliptic.flux import Stream
from wellposed.elliptic.hypercircle import admissible, bound, find_stream
from wellposed.elliptic.problem import IMBALANCE, Array, Darcy
from wellposed.numerics.q1 import Nodes
from wellposed_check.elliptic.bounds import Pair
from wellposed_check.elliptic.bounds import goal as proved_goal


@dataclass(frozen=True)
class GoalBound:
    """lower <= int q u <= upper, each (samples,)."""

    lower: Any
    upper: Any


def goal(problem: Darcy, weight: Array, potential: Array, stream: Array | None = None) -> GoalBound:
    """Encloses l(u) = int q u for the exact solution u, from anyone's potential.

    |l(u) - 1/2 [F(z) + l(v) - a(v, z) + int t.s / a]| <= 1/2 eta eta*, with a pair (z, s) for -div(a grad z) = q that is
    found here by cycles. (That |l(u - v)| <= eta eta* is false in general.)

    Args:
        weight: q on each cell, (samples, n, n) or what broadcasts to it; with mean zero if there is no Dirichlet side.
        potential, stream: as `wellposed.elliptic.bound`.

    Raises:
        ValueError: Dirichlet values that are not zero, an inexact coefficient, oscillation terms, and as `bound`.

    Source: docs/theorems/hypercircle.md, "Goals".
    """
    v, proved = admissible(problem, potential), bound(problem, potential, stream)
    assert proved.raw_stream is not None
    adjoint, z, dual = adjoint_pair(problem, weight, v.shape[-1] - 1)
    arrays = pair_arrays(problem, v, proved.raw_stream) | pair_arrays(adjoint, z, dual, "adjoint_")
    primal, other = (Pair(arrays[f"{p}potential"], arrays[f"{p}stream"], arrays.get(f"{p}drift")) for p in ("", "adjoint_"))
    ends = proved_goal(checker_problem(problem), array(adjoint.source), primal, other)
    return GoalBound(*(problem.give(torch.as_tensor(x, device=v.device)) for x in ends))


def adjoint_pair(problem: Darcy, weight: Array, n: int) -> tuple[Darcy, Nodes, Stream]:
    """The adjoint problem, and a potential and stream function for it on n x n cells."""
    if problem.dirichlet is not None or problem.coefficient_error or problem.source_oscillation is not None \
            or problem.neumann_oscillation is not None:
        raise ValueError("goal: received a problem with Dirichlet values that are not zero, an inexact coefficient or oscillating "
                         "data; expected none of these: the goal formula needs both problems exactly")
    q = fit(weight, "goal", tuple(problem.source.shape), problem.coefficient)
    if problem.balanced and (q.mean((1, 2)).abs() > IMBALANCE * q.abs().mean((1, 2))).any():
        raise ValueError("goal: received weights whose mean is not zero, expected mean zero: without a Dirichlet side u is known up to "
                         "a constant; subtract the mean of each sample")
    adjoint = Darcy(problem.coefficient, q, problem.boundary)
    fine = adjoint.refined(n // problem.n)
    z = solve(fine, tol=1e-4)
    return adjoint, z, find_stream(fine, z)[0]
