"""How far is an image from a stationary point of F = h(x) + weight R(x), h(x) = |A x - y|^2 / 2? Whoever computed it, and however."""

from __future__ import annotations

from wellposed_check.canonical import demand
from wellposed_check.proximal.decrease import described
from wellposed_check.proximal.evidence import MEANT, SIGNS, STORED, prox_of_points, read_inverse, theorem
from wellposed_check.proximal.rounding import SECOND, TINY, UNIT, Array, norm
from wellposed_check.statement import Evidence, Statement

QUANTITY = "the largest over images x of |grad F(x)|, F = {} + weight R(x), h(x) = |A x - y|^2 / 2, Euclidean norms"
GIVEN = ("nothing is known of the operator: `gradient` is A'(A x - y) at the image", "assumed")


def state(evidence: Evidence, arithmetic: str) -> Statement:
    assumptions = (STORED, MEANT, *((GIVEN,) if read_inverse(evidence).operator is None else ()), SIGNS)
    how, step, _ = described(evidence)
    name = f"the Moreau envelope of h, with {step!r} |.|^2 / 2," if how == "hqs" else "h(x)"
    return theorem(evidence, arithmetic, "stationarity", QUANTITY.format(name), enclosed(evidence), assumptions, "grad R = f^-1 - id")


def enclosed(evidence: Evidence, margins: float = 1.0) -> tuple[float, float]:
    """`margins` as in decrease: grad F(x) = grad h(x) + weight (f^-1(x) - x), |f^-1(x) - v| <= |x - f(v)| / mu, v the last point."""
    problem, at, x, v = read_inverse(evidence), prox_of_points(evidence)[-1], evidence.arrays["image"], evidence.arrays["points"][-1]
    g, off = _slope(evidence, x)
    demand(g.shape == x.shape, "the gradient has not the shape of the image")
    far = SECOND * norm(x - at.f) + at.f_error
    size, wrong = norm(g + problem.weight * (v - x)), off + 8 * UNIT * (norm(g) + problem.weight * (norm(v) + norm(x))) + TINY
    lost = margins * SECOND * (wrong + problem.weight * far / problem.network.modulus)
    return float((size * (2 - SECOND) - lost).clip(0).max()), float((size * SECOND + lost).max())


def _slope(evidence: Evidence, x: Array) -> tuple[Array, Array | float]:
    """grad h(x); or of the envelope step (x - s), s the minimiser of h + step |. - x|^2 / 2, near which the last of the splits is."""
    problem, (how, step, _) = read_inverse(evidence), described(evidence)
    if problem.operator is None:
        return evidence.arrays["gradient"], 0.0
    if how != "hqs":
        return problem.misfit(x)[2:]
    s = evidence.arrays["splits"][-1]
    demand(s.shape == x.shape, "the splits have not the shape of the image")
    _, _, g, off = problem.misfit(s)
    return step * (x - s), norm(g + step * (s - x)) + off + 8 * UNIT * (norm(g) + step * norm(s - x))
