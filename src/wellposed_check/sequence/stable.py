"""Is the diagonal system stable, or every recurrence of a network?"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.sequence.evidence import read_bank, read_reference
from wellposed_check.sequence.network import read_network
from wellposed_check.statement import Evidence, Statement

PART = "largest real part of the stored eigenvalues, the next number up: the system is stable where that is not above zero"
MODULUS = "largest modulus of the stored eigenvalues minus one, the next number up: each recurrence is stable where that is not above zero"


def state(evidence: Evidence, arithmetic: str) -> Statement:
    if "stages" in evidence.parameters:
        read_network(evidence)
        names = tuple(sorted(name for name in evidence.arrays if name.startswith("stages.") and name.endswith("eigenvalues")))
        demand(bool(names), "the network has no recurrence that could be stable")
        largest = max(excess(evidence.arrays[name]) for name in names)
    else:
        names = ("eigenvalues",)
        largest = float(np.real(read_bank(evidence, len(read_reference(evidence).b)).eigenvalues).max())
    above = math.nextafter(largest, math.inf)  # so that zero, which is not stable, is above zero
    return Statement(
        id="sequence.stable/1", quantity=PART if names == ("eigenvalues",) else MODULUS, lower=above, upper=above,
        kind="theorem", arithmetic=arithmetic, assumptions=(),
        reference="the stored numbers themselves; wellposed_check/SPEC.md, section 9.3", witness=names)


def excess(values: np.ndarray) -> float:
    """max |lam| - 1, of the exact sign: x / (1 + (1 + x)^1/2) for the largest x = |lam|^2 - 1, a fraction, rounded once."""
    x = float(max(Fraction(re) ** 2 + Fraction(im) ** 2 for re, im in values.reshape(-1, 2).tolist()) - 1)  # numbers are below 2^300
    return x / (1.0 + math.sqrt(1.0 + x))
