"""How uncertain is the compliance after this certificate?"""

from __future__ import annotations

import math

import numpy as np

from wellposed_check.elliptic.evidence import among, assumptions, bounds, witness
from wellposed_check.statement import Evidence, Statement


def state(evidence: Evidence, arithmetic: str) -> Statement:
    problem, b = bounds(evidence, arithmetic)
    width, least = b.compliance_upper - b.compliance_lower, np.square(b.norm_lower)
    upper = np.divide(width, least, out=np.full_like(width, math.inf), where=least > 0) * (1.0 + 2.0**-50)
    return Statement(
        id="elliptic.compliance_width/1",
        quantity="width of the proved enclosure of the compliance, relative to |u|_a^2" + among(problem),
        lower=None, upper=float(upper.max()),
        kind="theorem", arithmetic=arithmetic, assumptions=assumptions(problem),
        reference="Prager and Synge, Quart. Appl. Math. 5 (1947) 241-269; docs/theorems/hypercircle.md",
        witness=witness(evidence))
