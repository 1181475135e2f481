"""Is the map the exact proximal operator of a prior? Of a network it is proved; of anyone's map it can only be refuted, at points."""

from __future__ import annotations

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.proximal.evidence import LARGEST, SIGNS, STORED
from wellposed_check.proximal.network import read_network
from wellposed_check.proximal.rounding import dot, norm
from wellposed_check.statement import Evidence, Statement

ASYMMETRY = "relative asymmetry of the Jacobian J, the largest |<b, Ja> - <a, Jb>| / (|Ja| |b|)"
PROVED = ("{}: zero, as the map is the gradient of a potential that is strongly convex with modulus {!r}; so it is the exact prox of a "
          "prior, bijective, and its inverse has a Lipschitz constant of at most one over the modulus")
REFERENCE = "a map is a prox iff it is the gradient of a convex function; wellposed_check/SPEC.md, section 11"
NEAR, MOST, FLOOR = 1e-9, 256, 2.0**-500


def state(evidence: Evidence, arithmetic: str) -> Statement:
    demand(arithmetic == "margin", f"this claim is made in margin arithmetic, not in {arithmetic!r}")
    if "network" not in evidence.parameters:
        quantity = f"{ASYMMETRY} over all points and directions, at least as seen at the stored ones; zero iff the map is a gradient"
        return Statement("proximal.exact_prox/1", quantity, _measured(evidence), None, "theorem", arithmetic, (
            ("the products Ja, Jb are those of the map's derivative at the points", "assumed"),), REFERENCE, tuple(sorted(evidence.arrays)))
    network, assumptions, names = read_network(evidence), (STORED, SIGNS), [n for n in evidence.arrays if n.startswith("layers.")]
    if "run" not in evidence.parameters:
        points, images = evidence.arrays["points"], evidence.arrays["images"]
        demand(1 <= len(points) <= MOST and images.shape == points.shape, "points and images are not a few pairs of one shape")
        demand(all(np.abs(x).max() <= LARGEST for x in (points, images)), "there are points or images above 2^100")
        at = network.both(points)
        near = norm(at.f - images) + at.f_error <= NEAR * (norm(images) + norm(points))
        demand(bool(near.all()), "the network does not map the points to the images")
        assumptions, names = (*assumptions, ("the network maps `points` to `images`, to 1e-9", "checked")), [*names, "images", "points"]
    return Statement("proximal.exact_prox/1", PROVED.format(ASYMMETRY, network.modulus), 0.0, 0.0, "theorem", arithmetic, assumptions,
                     REFERENCE, tuple(sorted(names)))


def _measured(evidence: Evidence) -> float:
    """The stored number, once the products are shown to be at least as asymmetric."""
    a, b, ja, jb = (evidence.arrays[name] for name in ("first", "second", "first_product", "second_product"))
    stored, points = evidence.arrays["asymmetry"], evidence.arrays["points"]
    demand(a.ndim >= 2 and a.size > 0 and points.shape == a.shape == b.shape == ja.shape == jb.shape and stored.shape == (1,),
           "points, directions and products differ in shape, or the asymmetry is not one number")
    demand(all(np.abs(x).max() <= LARGEST for x in (a, b, ja, jb)), "there are directions or products above 2^100")
    demand(0 <= stored[0] <= asymmetry(a, b, ja, jb), "the asymmetry does not follow from the products")
    return float(stored[0])


def asymmetry(a: np.ndarray, b: np.ndarray, ja: np.ndarray, jb: np.ndarray) -> float:
    """The largest, less what rounding of the inner products may have added."""
    (left, wrong), (right, off) = dot(b, ja), dot(a, jb)
    size = norm(ja) * norm(b)
    least = np.maximum(np.abs(left - right) * (1 - 1e-9) - 2 * (wrong + off), 0.0) / np.maximum(size, FLOOR)
    return float((least * (1 - 1e-9)).max())
