"""How often does a new image lie outside its conformal set? docs/theorems/proximal.md, "Conformal sets": groups end at order statistics of
the calibration's difficulties; images at the ends are left out, and new ones there get the whole space. Within a group the new image can be
exchanged with any of the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from wellposed_check.canonical import decode, demand
from wellposed_check.statement import Evidence, Statement

Array = np.ndarray
SURE, GRID = 0.999, 10_000


@dataclass(frozen=True)
class Group:
    """Images of a difficulty between `above` and `below`: n scores, of which the k-th smallest is `quantile`; k > n: there is none."""

    above: float
    below: float
    n: int
    k: int
    quantile: float
    ties: bool

    @property
    def missed(self) -> Fraction:
        """The probability that a new image lies outside."""
        return Fraction(self.n + 1 - self.k, self.n + 1)


def state(evidence: Evidence, arithmetic: str) -> Statement:
    scores, difficulties = (evidence.arrays[name] for name in ("scores", "difficulties"))
    level, count = decode(evidence.parameters["level"]), evidence.parameters["groups"]
    demand(type(count) is int and level is not None and 0 < level < 1, f"level {level!r}, groups {count!r}: not in (0, 1), or not whole")
    items, training = evidence.parameters["items"], evidence.parameters["training"]
    demand(len(set(items)) == len(items) == len(scores), "a calibration image is there twice, or lacks its score")
    demand(training is None or not set(items) & set(training), "an image of the training is among those of the calibration")
    groups = grouped(scores, difficulties, count, level or 0.5)
    for g in groups:
        demand(g.k <= g.n, f"{g.n} images cannot show a coverage of {level}: no set but the whole space has it")
    exact = not any(g.ties for g in groups)
    worst = max(groups, key=lambda g: g.missed)
    given = min(assured(g) for g in groups)
    return Statement(
        id="proximal.coverage/1", quantity="probability that a new image lies outside its conformal set, in the worst of "
        f"{count} groups of predicted difficulty; with these calibration images at most {1 - given:.4f}, with {SURE:.1%} confidence each; "
        "at a difficulty at which groups end the set is the whole space",
        lower=outward(worst.missed, -math.inf) if exact else 0.0, upper=outward(worst.missed, math.inf),
        kind="statistical", arithmetic=arithmetic, assumptions=(
            ("new images, their noise and the calibration's are exchangeable: one source, one operator, one level of noise", "assumed"),
            ("scores and difficulties are those of the model under one rule, fixed beforehand", "assumed"),
            *((("for the lower end alone: scores have a continuous law", "assumed"),) if exact else ()),
            ("no calibration image was used in training", "assumed") if training is None else
            (f"no calibration image was used in training: checked against the {len(training)} digests listed", "checked")),
        reference="docs/theorems/proximal.md; wellposed_check/SPEC.md, section 11", witness=("difficulties", "scores"))


def grouped(scores: Array, difficulties: Array, count: int, level: float) -> list[Group]:
    """Least difficult first; `level` is meant as the decimal number that it is written as."""
    n = len(scores)
    demand(scores.shape == difficulties.shape == (n,) and 1 <= count <= n, "there is not one score and one difficulty an image")
    ranked = np.sort(difficulties)
    edges = [float(ranked[int(Fraction(j * (n + 1), count) + Fraction(1, 2)) - 1]) for j in range(1, count)]
    demand(all((difficulties == edge).sum() == 1 for edge in edges), "images share the difficulty at which groups end: take fewer groups")
    groups = []
    for above, below in zip([-math.inf, *edges], [*edges, math.inf], strict=True):
        own = np.sort(scores[(difficulties > above) & (difficulties < below)])
        k = math.ceil(Fraction(repr(float(level))) * (len(own) + 1))
        groups.append(Group(above, below, len(own), k, float(own[k - 1]) if k <= len(own) else math.inf, bool((np.diff(own) <= 0).any())))
    return groups


def outward(x: Fraction, towards: float) -> float:
    """x rounded to a float that is not on the wrong side of it."""
    near = float(x)
    wrong = near < x if towards > 0 else near > x
    return math.nextafter(near, towards) if wrong else near


def assured(group: Group, confidence: float = SURE) -> float:
    """The coverage p, in 1/10,000, that Beta(k, n + 1 - k) exceeds with this probability: P(Bin(n, p) >= k) <= 1 - confidence."""
    n, k = group.n, group.k
    logs, i = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))]), np.arange(k, n + 1)
    choose = logs[n] - logs[i] - logs[n - i]
    low, high = 0, GRID
    while high - low > 1:
        middle = (low + high) // 2
        tail = float(np.exp(choose + i * math.log(middle / GRID) + (n - i) * math.log1p(-middle / GRID)).sum())
        low, high = (middle, high) if tail <= (1 - confidence) * (1 - 1e-9) else (low, middle)
    return low / GRID
