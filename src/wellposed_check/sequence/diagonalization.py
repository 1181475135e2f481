"""How far is V Lambda V^-1 from the matrix that it stands for?"""

from __future__ import annotations

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.sequence.evidence import paired
from wellposed_check.sequence.network import LARGEST, MOST
from wellposed_check.sequence.norms import SAFE, TINY, UNIT, enclosed, euclid
from wellposed_check.statement import Evidence, Statement

NAMES = ("matrix", "eigenvalues", "eigenvectors", "inverse")
Bounds = tuple[float, float]


def measured(a: np.ndarray, values: np.ndarray, v: np.ndarray, w: np.ndarray) -> tuple[Bounds, Bounds]:
    """Bounds of |V Lambda V^-1 - A|_2 / |A|_2 and of |V|_2 |V^-1|_2, with W near V^-1.

    V Lambda V^-1 - A = R W (V W)^-1, R = V Lambda - A V, and V^-1 = W (V W)^-1.
    """
    def product(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
        return x @ y, 2.0 * (len(a) + 8.0) * UNIT * float(euclid(np.abs(x) @ np.abs(y), (0, 1))) * SAFE + TINY

    (av, off), (vw, rest), spread = product(a, v), product(v, w), v * values
    size, inverse, vectors, residual = enclosed(a), enclosed(w), enclosed(v), spread - av
    demand(size[0] > 0.0, "the matrix is zero, or as small: nothing is relative to it")
    rest = (float(euclid(np.eye(len(a)) - vw, (0, 1))) * SAFE + rest) * SAFE
    demand(rest < 0.5, "the inverse is none: V has no inverse in this precision")
    rw, rounding = product(residual, w)
    off += 8.0 * UNIT * float(euclid(spread, (0, 1)) + euclid(residual, (0, 1)))
    least, most = enclosed(rw)
    rounding += off * inverse[1] * SAFE
    error = (least - rounding) / (1.0 + rest) / size[1] * (2.0 - SAFE), (most + rounding) / (1.0 - rest) / size[0] * SAFE
    return ((max(error[0], 0.0), error[1]),
            (vectors[0] * inverse[0] / (1.0 + rest) * (2.0 - SAFE), vectors[1] * inverse[1] / (1.0 - rest) * SAFE))


def state(evidence: Evidence, arithmetic: str) -> Statement:
    demand(arithmetic == "margin", f"this claim is made in margin arithmetic, not in {arithmetic!r}")
    n = evidence.arrays["matrix"].shape[0]
    for name in NAMES:
        x, shape = evidence.arrays[name], (n, 2) if name == "eigenvalues" else (n, n, 2)
        demand(1 <= n <= MOST and x.shape == shape and np.abs(x).max() <= LARGEST, f"{name} {x.shape} is not {shape}, or above 2^300")
    bracket, condition = evidence.arrays["bracket"], evidence.arrays["condition"]
    for found, kept in zip(measured(*(paired(evidence.arrays[name]) for name in NAMES)), (bracket, condition), strict=True):
        demand(kept.shape == (2,) and 0.0 <= kept[0] <= found[0] and found[1] <= kept[1],
               f"the bracket {kept} does not follow from the witness, which gives {found}")
    return Statement(
        id="sequence.diagonalization/1", quantity="|V Lambda V^-1 - A|_2 / |A|_2", lower=float(bracket[0]), upper=float(bracket[1]),
        kind="theorem", arithmetic=arithmetic,
        assumptions=((f"the condition number |V|_2 |V^-1|_2 is between {float(condition[0])!r} and {float(condition[1])!r}", "checked"),),
        reference="docs/theorems/gain.md; wellposed_check/SPEC.md, section 9.6", witness=(*NAMES, "bracket", "condition"))
