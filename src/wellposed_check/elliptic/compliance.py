"""Between which numbers does the compliance of the true solution lie?"""

from __future__ import annotations

from wellposed_check.elliptic.arithmetic import Floats
from wellposed_check.elliptic.evidence import assumptions, bounds, witness
from wellposed_check.statement import Evidence, Statement


def state(evidence: Evidence, arithmetic: str) -> Statement:
    problem, b = bounds(evidence, arithmetic)
    samples = len(b.eta)
    lower, upper = (float(Floats.total(x[None])[0]) / samples for x in (b.compliance_lower, b.compliance_upper))
    slack = 2.0**-50 * (abs(lower) + abs(upper))
    formula = "F(u) = |u|_a^2" if problem.dirichlet is None else "2 F(u) - |u|_a^2"
    return Statement(
        id="elliptic.compliance/1",
        quantity=f"compliance {formula}, where F(w) = int f w + int_Neumann g w and u solves the equation"
        + ("" if samples == 1 else f", the mean of {samples} samples"),
        lower=lower - slack, upper=upper + slack,
        kind="theorem", arithmetic=arithmetic, assumptions=assumptions(problem),
        reference="Prager and Synge, Quart. Appl. Math. 5 (1947) 241-269; docs/theorems/hypercircle.md",
        witness=witness(evidence))
