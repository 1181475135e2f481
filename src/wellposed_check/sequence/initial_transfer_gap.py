"""How far is the diagonal system from HiPPO's own, at the worst frequency?"""

from __future__ import annotations

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.sequence.evidence import BANK, read_bank, read_reference
from wellposed_check.sequence.transfer import gap
from wellposed_check.statement import Evidence, Statement


def state(evidence: Evidence, arithmetic: str) -> Statement:
    """The bracket of the witness, once it is shown to follow: matrix products round differently on other machines."""
    demand(arithmetic == "margin", f"this claim is made in margin arithmetic, not in {arithmetic!r}")
    reference, name = read_reference(evidence), evidence.parameters["reference"]
    bank, edges, bracket = read_bank(evidence, len(reference.b)), evidence.arrays["edges"], evidence.arrays["bracket"]
    demand(edges.ndim == 1 and len(edges) >= 2 and (np.diff(edges) > 0.0).all(), "the edges of the intervals do not increase")
    demand(bracket.shape == (2,) and 0.0 <= bracket[0] <= bracket[1], "the bracket is not (least, most)")
    demand((np.real(bank.eigenvalues) < 0.0).all(), "the bank is unstable: there is no gap")
    demand(bank.moderate and np.abs(edges).max() <= 2.0**100, "numbers of the bank or edges are outside of 2^-100 to 2^100")
    found = gap(reference, bank, edges)
    demand(found.least.max() >= bracket[0], "the lower end of the bracket does not follow from the witness")
    demand(found.most.max() <= bracket[1] and found.beyond <= bracket[1], "the upper end of the bracket does not follow from the witness")
    return Statement(
        id="sequence.initial_transfer_gap/1",
        quantity="sup over w of |x(iw) - V (iw - Lambda)^-1 B|_2 / |b|_2, where x(s) = (s - A)^-1 b is "
        f"{name} with {len(reference.b)} states",
        lower=float(bracket[0]), upper=float(bracket[1]), kind="theorem", arithmetic=arithmetic,
        assumptions=(("the bank is meant to be this HiPPO system, as it is at initialisation; training leaves it", "assumed"),
                     ("Lambda, V and B are the stored float64 numbers; the bank is stable", "checked")),
        reference="Taylor's theorem on intervals; wellposed_check/SPEC.md, section 9", witness=(*BANK, "b", "edges", "bracket"))
