"""Evidence in, certificate out: what is claimed about a potential."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from wellposed.certificate import Certificate, issue, provenance
from wellposed.elliptic.evidence import array, pair_arrays, parameters, problem_arrays
from wellposed.elliptic.finite_elements import potential_iteration
from wellposed.elliptic.goals import adjoint_pair
from wellposed.elliptic.hypercircle import admissible, bound
from wellposed.elliptic.problem import Array, Darcy
from wellposed.numerics.q1 import Nodes, interpolate

TEST_CYCLES = 3
AGREEMENT = 1e-6
REQUIRABLE = ("energy_error", "compliance_width")


@torch.no_grad()
def certify_darcy(problem: Darcy, answer: Array | tuple[Array, Array], tol: float | None = None, *, quantity: str = "energy_error",
                  stream: Array | None = None, goal: Array | None = None, arithmetic: str = "margin",
                  lower: str = "same", weights: bytes | str | None = None, seed: int | None = None) -> Certificate:
    """How far is this potential from the true solution?

    For several samples, the energy error and the width are the largest of all, compliance and goal the mean.

    Args:
        answer: anyone's potential, nodal values (samples, n + 1, n + 1) or on a mesh finer by a whole factor; or a pair of
            that and a stream function.
        tol: what is required of `quantity`: "energy_error", |u - v|_a / |u|_a, or "compliance_width".
        stream: the stream function, if the model gives one; found by cycles otherwise.
        goal: q on each cell, to enclose int q u too.
        arithmetic: "margin" (float64 and a justified rounding margin) or "enclosed" (outward-rounded throughout).
        lower: where to look for the lower bound of the error: "same" mesh, "finer" (sees the discretization too, four
            times the work) or "none".
        weights: of the model that answered, or their SHA-256; seed: with which it was trained.

    Raises:
        ValueError: as `wellposed.elliptic.bound`; options out of range.
        ArithmeticError: two independent computations of the bound disagree; nothing is certified then.
    """
    if quantity not in REQUIRABLE or lower not in ("same", "finer", "none") or arithmetic not in ("margin", "enclosed"):
        raise ValueError(f"certify: received quantity={quantity!r}, lower={lower!r}, arithmetic={arithmetic!r}; expected quantity "
                         f"of {', '.join(REQUIRABLE)}, lower of same, finer, none, arithmetic of margin, enclosed")
    if tol is not None and not 0 < tol < float("inf"):
        raise ValueError(f"certify: received tol={tol}, expected a positive number, or None to require nothing")
    if isinstance(answer, tuple):
        answer, stream = answer
    v = admissible(problem, answer)
    proved = bound(problem, answer, stream)
    assert proved.raw_stream is not None
    arrays = problem_arrays(problem) | pair_arrays(problem, v, proved.raw_stream)
    if lower != "none":
        arrays["test"] = _test_function(problem, v, 2 if lower == "finer" else 1)
    requirements: dict[str, float | None] = {"elliptic.energy_error/1": None, "elliptic.compliance/1": None}
    if goal is not None:
        arrays |= _goal_arrays(problem, v, goal)
        requirements["elliptic.goal/1"] = None
    if tol is not None:
        requirements[f"elliptic.{quantity}/1"] = tol
    source = provenance(v.device.type, torch.get_num_threads(), _digest(weights), seed)
    certificate = issue("elliptic.Darcy", parameters(problem), arrays, requirements, arithmetic, source, proved)
    _agree(certificate.claim("energy_error").upper, float(np.max(np.asarray(torch.as_tensor(proved.relative).cpu()))))
    return certificate


def _test_function(problem: Darcy, v: Nodes, finer: int) -> np.ndarray:
    """The correction of a few cycles: its residual bounds the error from below."""
    v = interpolate(v, finer)
    iteration = potential_iteration(problem.refined((v.shape[-1] - 1) // problem.n), v)
    for _ in range(TEST_CYCLES):
        iteration.step()
    return array(iteration.x - v)


def _goal_arrays(problem: Darcy, v: Nodes, goal: Array) -> dict[str, np.ndarray]:
    adjoint, z, stream = adjoint_pair(problem, goal, v.shape[-1] - 1)
    return {"goal_weight": array(adjoint.source)} | pair_arrays(adjoint, z, stream, "adjoint_")


def _agree(stated: float | None, computed: float) -> None:
    """Two independent programs, one number. From 1 on it is the quotient of two numbers that may be mostly rounding."""
    if computed < 1 and (stated is None or abs(stated - computed) > AGREEMENT):
        raise ArithmeticError(f"the checker's bound {stated} and this program's {computed} disagree: nothing is certified; "
                              "please report this with the problem and the answer")


def _digest(weights: bytes | str | None) -> str | None:
    return hashlib.sha256(weights).hexdigest() if isinstance(weights, bytes) else weights
