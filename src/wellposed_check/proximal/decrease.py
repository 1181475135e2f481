"""Did every step of a run lower its merit by what its theorem promises? PGD, half-quadratic splitting and ADMM with a learned prior.

At z = f(w) the prior is R(z) = <w, z> - |z|^2 / 2 - psi(w): the merit of each iterate is known. SPEC.md, section 11.5, has the theorems.
"""

from __future__ import annotations

import numpy as np

from wellposed_check.canonical import decode, demand
from wellposed_check.proximal.evidence import MEANT, SIGNS, STORED, Inverse, prox_of_points, read_inverse, theorem
from wellposed_check.proximal.network import Both
from wellposed_check.proximal.rounding import SECOND, UNIT, Array, dot, gamma, norm
from wellposed_check.statement import Evidence, Statement

MERITS = {"pgd": "F(z) = h(z) + weight R(z); promised is |z - z+|^2 (1/step - L) / 2",
          "hqs": "the Moreau envelope of h with step |.|^2 / 2, + weight R(z); promised is |z - z+|^2 step^2 / (step + L) / 2",
          "admm": "h(x) + <grad h(x), z - x> + step |x - z|^2 / 2 + weight R(z); promised is |x - x+|^2 min("
                  "step / 2, (step + 2 L)(step - L) / (2 step))"}
INSIDE = {"pgd": "the step is below 1 / L, L >= |A|^2", "hqs": "the step is positive", "admm": "the step is above L >= |A|^2"}
Ends = tuple[Array, Array]


def state(evidence: Evidence, arithmetic: str) -> Statement:
    ends, (how, step, first) = enclosed(evidence), described(evidence)
    square = read_inverse(evidence).square
    inside = promised(how, step, square) > 0
    quantity = (f"largest over images and steps {first + 1} to {first + len(evidence.arrays['points']) - 1} of merit+ - merit + what is "
                f"promised, at least 0; {how}, step {step!r}: {MERITS[how]}; h(x) = |A x - y|^2 / 2, L = {square!r} >= |A|^2")
    assumptions = (STORED, MEANT, (f"inside the theorem: {INSIDE[how]}", "checked" if inside else "violated"), SIGNS)
    return theorem(evidence, arithmetic, "decrease", quantity, ends, assumptions, "sufficient decrease")


def described(evidence: Evidence) -> tuple[str, float, int]:
    """The algorithm, its step and the number of its first step."""
    run = evidence.parameters["run"]
    if run is None:
        return "image", 0.0, 0
    demand(set(run) == {"algorithm", "step", "first"} and run["algorithm"] in MERITS, "a run is described by algorithm, step and first")
    step, first = decode(run["step"]) or 0.0, run["first"]
    demand(2.0**-60 <= step <= 2.0**60 and type(first) is int and first >= 0, f"the step is {step!r}, the first {first!r}")
    return run["algorithm"], step, first


def promised(algorithm: str, step: float, square: float) -> float:
    """c of the decrease c |move|^2, good to a few units in the last place."""
    if algorithm == "pgd":
        return (1 / step - square) / 2
    if algorithm == "hqs":
        return step * step / (step + square) / 2
    return min(step / 2, (step + 2 * square) * (step - square) / (2 * step))


def enclosed(evidence: Evidence, margins: float = 1.0) -> tuple[float, float]:
    """Both ends of the largest violation. `margins`: by how many of the bounds of rounding they are apart; whoever stores them takes 3."""
    problem, (how, step, _) = read_inverse(evidence), described(evidence)
    demand(how in MERITS, "an image without a run has no steps")
    points, splits = evidence.arrays["points"], evidence.arrays.get("splits")
    demand(len(points) >= 2 and ((splits is None) if how == "pgd" else (splits is not None and splits.shape == points.shape)),
           "there are no steps, or splits where there are none, or none where there are")
    c, found, before = promised(how, step, problem.square), [(0.0, 0.0)], None
    for k, (w, at) in enumerate(zip(points, prox_of_points(evidence), strict=True)):
        x = at.f if splits is None else splits[k]
        ends = (objective if how == "pgd" else envelope if how == "hqs" else lagrangian)(problem, w, at, x, step, margins)
        moved, off = (x, 0 * at.f_error) if how == "admm" else (at.f, at.f_error)
        if before is not None:
            (low, high), there, wrong = before
            square, more = dot(moved - there, moved - there)
            wrong = SECOND * (off + wrong)
            more = margins * SECOND * abs(c) * ((2 * np.sqrt(square) + wrong) * wrong + more + 16 * UNIT * square)
            found.append((float((ends[0] - high + c * square - more).max()), float((ends[1] - low + c * square + more).max())))
        before = ends, moved, off
    demand(bool(np.isfinite(found).all()), "the merit of a step is not finite")
    return max(low for low, _ in found), max(high for _, high in found)


def objective(problem: Inverse, w: Array, at: Both, x: Array, _: float, margins: float) -> Ends:
    """From both sides, as what follows."""
    h, lost, g, off = problem.misfit(x)
    return _with_prior(problem, w, at, [(h, lost)], g, off, problem.square, margins)


def lagrangian(problem: Inverse, w: Array, at: Both, x: Array, step: float, margins: float) -> Ends:
    """Of ADMM."""
    h, lost, g, off = problem.misfit(x)
    d = at.f - x
    more = SECOND * (8 * UNIT * (step * norm(d) + norm(g)) + off) * norm(d)
    return _with_prior(problem, w, at, [(h, lost + more), dot(g, d), dot(d, 0.5 * step * d)], g + step * d, off, step, margins)


def envelope(problem: Inverse, w: Array, at: Both, x: Array, step: float, margins: float) -> Ends:
    """v = h(x) + step |x - z|^2 / 2 is step-strongly convex in x, so that its least value is at least v - |grad v|^2 / (2 step)."""
    h, lost, g, off = problem.misfit(x)
    d = at.f - x
    parts = [(h, lost + 8 * UNIT * step * norm(d) ** 2), dot(d, 0.5 * step * d)]
    low, high = _with_prior(problem, w, at, parts, step * d, 0 * off, step, margins)
    rest = SECOND * (norm(g - step * d) + off + step * at.f_error + 8 * UNIT * (norm(g) + step * norm(d)))
    gap = margins * SECOND * rest**2 / (2 * step)
    return low - gap, high


def _with_prior(problem: Inverse, w: Array, at: Both, parts: list[tuple[Array, Array]], slope: Array, off: Array, bend: float,
                margins: float) -> Ends:
    """With the prior. `parts` have at z, the computed f(w), the gradient `slope`, good to `off`, and curvature up to `bend`."""
    z, weight = at.f, problem.weight
    parts = [*parts, *((weight * x, weight * e) for x, e in (dot(w, z), dot(z, -0.5 * z), (-at.psi, at.psi_error)))]
    value, size = sum(p[0] for p in parts), norm(slope) + weight * (norm(w) + norm(z))
    moved = (norm(slope + weight * (w - z)) + off + 8 * UNIT * size + max(bend, weight) * at.f_error) * at.f_error
    lost = margins * SECOND * (sum(p[1] for p in parts) + moved + gamma(len(parts) + 4) * sum(np.abs(p[0]) for p in parts))
    return value - lost, value + lost
