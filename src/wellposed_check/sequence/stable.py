"""Is the diagonal system stable?"""

from __future__ import annotations

import math

import numpy as np

from wellposed_check.sequence.evidence import read_bank, read_reference
from wellposed_check.statement import Evidence, Statement


def state(evidence: Evidence, arithmetic: str) -> Statement:
    bank = read_bank(evidence, len(read_reference(evidence).b))
    above = float(np.nextafter(np.real(bank.eigenvalues).max(), math.inf))  # so that zero, which is not stable, is above zero
    return Statement(
        id="sequence.stable/1",
        quantity="largest real part of the stored eigenvalues, the next number up: the system is stable where that is not above zero",
        lower=above, upper=above,
        kind="theorem", arithmetic=arithmetic, assumptions=(),
        reference="the stored numbers themselves; wellposed_check/SPEC.md, section 9.3", witness=("eigenvalues",))
