"""From the arrays of a witness to an inverse problem with a learned prior, refusing whatever the theorems do not cover."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wellposed_check.canonical import decode, demand
from wellposed_check.proximal.network import Both, Network, read_network
from wellposed_check.proximal.physics import ARRAYS, Operator, read_operator
from wellposed_check.proximal.rounding import SECOND, TINY, UNIT, Array, dot, norm
from wellposed_check.statement import Evidence, Statement

NETWORK = {"network", "tiling"}
SUBJECTS: dict[str, tuple[set[str], tuple[str, ...]]] = {
    "proximal.Network": (NETWORK, ()), "proximal.Map": (set(), ("points", "first", "second")), "proximal.Prior": (NETWORK, ("image",)),
    "proximal.Inverse": (NETWORK | {"physics", "weight", "run"}, ("measurement", *ARRAYS)),
    "proximal.Coverage": ({"level", "groups", "items", "training"}, ())}
STORED = ("the network is run in exact arithmetic with these stored float64 numbers; rounding of a run is not counted", "assumed")
SIGNS = ("weights between layers and of readouts are not negative, the activation is softplus, and what is applied after is the transpose "
         "of what is applied before: the potential is convex", "checked")
MEANT = ("operator, measurement and weight are those that are meant", "assumed")
LARGEST, SMALLEST = 2.0**100, 2.0**-200


@dataclass(frozen=True)
class Inverse:
    """F = |A x - y|^2 / 2 + weight R(x). `square`: the witness's bound of |A|^2, shown to follow. `operator`: None if it is anyone's."""

    network: Network
    operator: Operator | None
    measurement: Array
    weight: float
    square: float

    def misfit(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """h = |A x - y|^2 / 2 and its gradient, each with a bound of its error, of the second in the Euclidean norm."""
        a, y = self.operator, self.measurement
        assert a is not None
        ax = a.apply(x)
        demand(ax.shape == y.shape, f"the measurement has the shape {y.shape}, images would give {ax.shape}")
        r = ax - y
        size, off = norm(r), SECOND * (a.error * norm(x) + 2 * UNIT * (norm(ax) + norm(y))) + TINY
        h, lost = dot(r, 0.5 * r)
        slack = SECOND * (np.sqrt(self.square) * off + a.error * (size + off)) + TINY
        return h, lost + SECOND * (size + off) * off, a.transpose(r), slack


def read_inverse(evidence: Evidence) -> Inverse:
    if "inverse" not in evidence.memo:
        evidence.memo["inverse"] = _inverse(evidence)
    return evidence.memo["inverse"]


def _inverse(evidence: Evidence) -> Inverse:
    p, (image, y, points, norms) = evidence.parameters, (evidence.arrays[name] for name in ("image", "measurement", "points", "norm"))
    weight, arrays = decode(p["weight"]) or 0.0, {name[8:]: x for name, x in evidence.arrays.items() if name.startswith("physics.")}
    demand(2.0**-60 <= weight <= 2.0**60, f"the weight is {weight!r}, not positive or out of range")
    demand(image.ndim == 4 and points.ndim == 5 and points.shape[1:] == image.shape and len(points) >= 1 and len(y) == len(image) >= 1,
           f"points of the shape {points.shape} and {len(y)} measurements do not fit images of the shape {image.shape}")
    own = [evidence.arrays[name] for name in ("splits", "gradient") if name in evidence.arrays]
    demand(norms.shape == (1,) and norms[0] >= SMALLEST and all(np.abs(x).max() <= LARGEST for x in (image, y, points, norms, *own)),
           "the bound of |A|^2 is not one number above 2^-200, or there are numbers above 2^100")
    if p["physics"] == {"kind": "foreign"}:
        demand(p["run"] is None and not arrays, "with an operator that is anyone's no run can be followed")
        return Inverse(read_network(evidence), None, y, weight, float(norms[0]))
    operator = read_operator(p["physics"], arrays, image.shape[1:], y.shape[1:])
    demand(operator.square <= norms[0], "the bound of |A|^2 does not follow from the operator")
    return Inverse(read_network(evidence), operator, y, weight, float(norms[0]))


def prox_of_points(evidence: Evidence) -> list[Both]:
    """psi and f at the points of a run, step by step; shared by the claims."""
    if "points" not in evidence.memo:
        points = evidence.arrays["points"]
        whole = read_network(evidence).both(points.reshape(-1, *points.shape[2:]))
        split = [np.split(x, len(points)) for x in vars(whole).values()]
        evidence.memo["points"] = [Both(*parts) for parts in zip(*split, strict=True)]
    return evidence.memo["points"]


def theorem(evidence: Evidence, arithmetic: str, claim: str, quantity: str, ends: tuple[float, float],
            assumptions: tuple[tuple[str, str], ...], reference: str) -> Statement:
    """With the interval of the witness, which must contain `ends`: products of matrices are not the same on every machine."""
    demand(arithmetic == "margin", f"this claim is made in margin arithmetic, not in {arithmetic!r}")
    x = evidence.arrays[claim]
    demand(all(math.isfinite(end) for end in ends) and ends[0] <= ends[1], f"{claim} is not found to lie between two numbers")
    demand(x.shape == (2,) and bool(x[0] <= ends[0]), f"the lower end of {claim} does not follow from the witness")
    demand(bool(ends[1] <= x[1]), f"the upper end of {claim} does not follow from the witness")
    return Statement(f"proximal.{claim}/1", quantity, float(x[0]), float(x[1]), "theorem", arithmetic, assumptions,
                     f"{reference}; wellposed_check/SPEC.md, section 11", tuple(sorted(evidence.arrays)))
