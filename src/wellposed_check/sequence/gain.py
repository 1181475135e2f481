"""By how much can a network of linear recurrences and functions of known slope enlarge a difference of its inputs?"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.sequence.network import LIPSCHITZ, LONGEST, Stage, read_network
from wellposed_check.sequence.norms import SAFE, at_least, at_most, enclosed
from wellposed_check.sequence.symbol import END, corner, endless, extension, on_circulant, on_intervals, reached, tapered
from wellposed_check.statement import Evidence, Statement

Array = np.ndarray


def state(evidence: Evidence, arithmetic: str) -> Statement:
    """The product of what is proved about each stage; the brackets as they stand in the witness, once they are shown to follow."""
    demand(arithmetic == "margin", f"this claim is made in margin arithmetic, not in {arithmetic!r}")
    stages, steps = read_network(evidence)
    bounds = [_stage(s, evidence, steps) for s in stages]
    inputs = "inputs of any length" if steps is None else f"inputs of {steps} steps, from state zero"
    inputs += "".join(f", at least {s.value} of which count in the mean" for s in stages if s.kind == "mean")
    return Statement(
        id="sequence.gain/1",
        quantity=f"least g with |F(u) - F(v)|_2 <= g |u - v|_2 for all {inputs}; F: the stages in turn; |.|_2: over steps and features",
        lower=bounds[0][0] if len(bounds) == 1 else None, upper=product(high for _, high in bounds), kind="theorem", arithmetic=arithmetic,
        assumptions=(("the network runs these stored float64 numbers in exact arithmetic; rounding of the run is not counted", "assumed"),
                     ("every eigenvalue has modulus below one", "checked")),
        reference="docs/theorems/gain.md; wellposed_check/SPEC.md, section 9.5",
        witness=tuple(sorted(name for name in evidence.arrays if name.startswith(("stages.", "proof.")))))


def product(factors: Iterable[float]) -> float:
    """Rounded up."""
    out, *rest = factors
    for x in rest:
        out = math.nextafter(out * x, math.inf)
    return out


def _stage(s: Stage, evidence: Evidence, steps: int | None) -> tuple[float | None, float]:
    if s.kind == "pointwise":
        return None, LIPSCHITZ[s.value]
    if s.kind == "mean":
        return None, 1.0 / math.sqrt(s.value) * (1.0 + 2.0**-50)
    if s.kind == "scale":
        most = float(np.abs(s.arrays["factors"]).max())
        return most, most
    if s.kind == "residual":
        return None, math.nextafter(1.0 + product(_stage(t, evidence, steps)[1] for t in s.inner), math.inf)
    bracket = evidence.arrays[f"proof.{s.place}.bracket"]
    demand(bracket.shape == (2,) and 0.0 <= bracket[0] <= bracket[1], f"stage {s.place}: the bracket is not (least, most)")
    low, high = map(float, bracket)
    if s.kind == "linear":
        least, most = enclosed(s.arrays["weight"])
        follows = most <= high
    else:
        least, follows = _system(s, evidence, steps, high)
    demand(low <= max(least, 0.0), f"stage {s.place}: the lower end of the bracket does not follow from the witness")
    demand(follows, f"stage {s.place}: the upper end of the bracket does not follow from the witness")
    return low, high


def _system(s: Stage, evidence: Evidence, steps: int | None, high: float) -> tuple[float, bool]:
    def proof(name: str) -> Array | None:
        return evidence.arrays.get(f"proof.{s.place}.{name}")

    system, edges, peak = s.system(), proof("edges"), proof("peak")
    if steps is not None and proof("corner") is not None:
        (best,), (t, wrong) = _whole(proof("corner"), 1), corner(system, steps)
        return at_least(t[best]) * (2.0 - SAFE) - wrong, at_most(t, np.full(len(t), high - wrong))
    if steps is None:
        demand(edges is not None and peak is not None and peak.shape == (1,) and peak[0] in edges, f"stage {s.place}: the peak is no edge")
        least = reached(*system.symbol(endless(np.asarray(peak))))
    else:
        turn, count = _whole(peak, 2)
        least = reached(*system.symbol(tapered(np.array([turn]), count, 1, steps)))
    if edges is None:
        return least, _finite(s, steps or 0, _whole(proof("circulant"), 3), proof("extended"), proof("extension"), high)
    demand(edges.ndim == 1 and edges[0] == 0.0 and (np.diff(edges) > 0.0).all() and edges[-1] == END,
           f"stage {s.place}: the edges of the intervals do not increase from 0 to pi")
    return least, on_intervals(system, edges, high)


def _finite(s: Stage, steps: int, circulant: list[int], entries: Array | None, kept: Array | None, high: float) -> bool:
    ramp, count, shift = circulant
    demand(ramp >= 1 and shift <= 1 and count >= 2 * steps + ramp - 2, f"stage {s.place}: the circulant matrix is too small, or not one")
    more = None
    if kept is not None and entries is not None:
        demand(shift == 0 and count >= 2 and count & (count - 1) == 0 and kept.shape == (len(entries), count - 2 * steps + 1),
               f"stage {s.place}: the extension does not fit a circulant matrix whose size is a power of two")
        more = (np.array(_whole(entries, len(set(entries)))), *extension(kept, steps, count))
    return on_circulant(s.system(), steps, ramp, np.arange(shift, count + 1, 2), 2 * count, more, high)


def _whole(x: Array | None, size: int) -> list[int]:
    demand(x is not None and x.shape == (size,) and (x == np.floor(x)).all() and not np.signbit(x).any() and (x <= 8 * LONGEST).all(),
           f"received {x}, expected {size} whole numbers")
    return x.astype(int).tolist()  # type: ignore[union-attr]
