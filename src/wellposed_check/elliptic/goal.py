"""Between which numbers does a weighted mean of the true solution lie?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.elliptic import bounds
from wellposed_check.elliptic.arithmetic import Floats
from wellposed_check.elliptic.evidence import IMBALANCE, assumptions, means, read_pair, read_problem, style, witness
from wellposed_check.statement import Evidence, Statement


def state(evidence: Evidence, arithmetic: str) -> Statement:
    problem, weight = read_problem(evidence), evidence.arrays["goal_weight"]
    demand(weight.shape == problem.source.shape, f"goal_weight has the shape {weight.shape}")
    if problem.balanced:
        demand((np.abs(means(weight)) <= IMBALANCE * means(np.abs(weight))).all(),
               "goal_weight does not have mean zero, and without a Dirichlet side u is known up to a constant only")
    primal = read_pair(evidence, problem)
    adjoint = read_pair(evidence, replace(problem, source=weight, neumann=None),
                        "adjoint_potential", "adjoint_stream", "adjoint_drift")
    demand(primal.potential.shape == adjoint.potential.shape, "the adjoint pair lives on another mesh")
    lower, upper = bounds.goal(problem, weight, primal, adjoint, style(arithmetic))
    samples = len(weight)
    ends = [float(Floats.total(x[None])[0]) / samples for x in (lower, upper)]
    slack = 2.0**-50 * (abs(ends[0]) + abs(ends[1]))
    return Statement(
        id="elliptic.goal/1",
        quantity="goal l(u) = int q u, where q is the goal weight and u solves the equation"
        + ("" if samples == 1 else f", the mean of {samples} samples"),
        lower=ends[0] - slack, upper=ends[1] + slack,
        kind="theorem", arithmetic=arithmetic, assumptions=assumptions(problem),
        reference="Prager and Synge, Quart. Appl. Math. 5 (1947) 241-269, polarized; docs/theorems/hypercircle.md",
        witness=witness(evidence, "goal_weight", "adjoint_potential", "adjoint_stream", "adjoint_drift"))
