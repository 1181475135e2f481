"""How far is this potential from the true solution, in energy?"""

from __future__ import annotations

import math

import numpy as np

from wellposed_check.elliptic.evidence import among, assumptions, bounds, witness
from wellposed_check.statement import Evidence, Statement


def state(evidence: Evidence, arithmetic: str) -> Statement:
    problem, b = bounds(evidence, arithmetic)
    upper = np.nextafter(np.divide(b.eta, b.norm_lower, out=np.full_like(b.eta, math.inf), where=b.norm_lower > 0), math.inf)
    lower = np.divide(b.error_lower, b.norm_upper, out=np.zeros_like(b.eta), where=b.norm_upper > 0)
    return Statement(
        id="elliptic.energy_error/1",
        quantity="relative energy error |u - v|_a / |u|_a, where |w|_a^2 = int a |grad w|^2, u solves the equation and v "
        "is the bilinear interpolant of the answer" + among(problem),
        lower=max(0.0, float(np.nextafter(lower.max(), -math.inf))), upper=float(upper.max()),
        kind="theorem", arithmetic=arithmetic, assumptions=assumptions(problem),
        reference="Prager and Synge, Quart. Appl. Math. 5 (1947) 241-269; docs/theorems/hypercircle.md",
        witness=witness(evidence, "test"))
