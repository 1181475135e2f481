"""Problems and pairs as the arrays and parameters that a witness keeps and the checker reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from wellposed.elliptic.flux import Stream
from wellposed.elliptic.problem import Darcy
from wellposed.numerics.q1 import Nodes
from wellposed_check.canonical import encode
from wellposed_check.elliptic.arithmetic import Floats
from wellposed_check.elliptic.darcy import Hypercircle, Problem
from wellposed_check.elliptic.evidence import PROBLEM_ARRAYS


def parameters(problem: Darcy) -> dict[str, Any]:
    """What of the problem is not an array."""
    return {"boundary": problem.boundary, "coefficient_error": encode(problem.coefficient_error), "cellwise": problem.cellwise}


def problem_arrays(problem: Darcy) -> dict[str, np.ndarray]:
    """The arrays of the problem that are given, by the names of the checker."""
    return {name: array(getattr(problem, name)) for name in PROBLEM_ARRAYS if getattr(problem, name) is not None}


def checker_problem(problem: Darcy) -> Problem:
    """The problem as the checker reads it."""
    return Problem(problem.sides, coefficient_error=problem.coefficient_error, cellwise=problem.cellwise,
                   **problem_arrays(problem))  # type: ignore[arg-type]


def pair_arrays(problem: Darcy, v: Nodes, stream: Stream, prefix: str = "") -> dict[str, np.ndarray]:
    """Potential and stream function, the latter with the boundary values that the checker will rebuild, bit by bit."""
    own = checker_problem(problem).refined((v.shape[-1] - 1) // problem.n)
    arrays = {f"{prefix}potential": array(v), f"{prefix}stream": Hypercircle(own, Floats).trace(array(stream.psi))}
    if stream.drift is not None:
        arrays[f"{prefix}drift"] = array(stream.drift)
    return arrays


def array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().numpy()
