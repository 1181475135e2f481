"""Evidence in, certificate out: is this the system that HiPPO meant, and is it stable?"""

from __future__ import annotations

from typing import Any

import numpy as np

from wellposed.certificate import Certificate, issue, provenance
from wellposed.sequence.bank import Bank
from wellposed.sequence.transfer_gap import Diagonal, admit, enclose, peak_gain
from wellposed_check.sequence.transfer import REFERENCES

RTOL = 1e-3
SLACK = 1e-9
"""By which the bracket is wider than what was computed: matrix products round differently on other machines."""


def audit(eigenvalues: Any, eigenvectors: Any, B: Any, reference: str = "legs", tol: float | None = None,
          rtol: float = RTOL) -> Certificate:
    """A certificate about anyone's diagonal system: how far it is from HiPPO's own, and whether it is stable.

    A gap above HiPPO's own peak gain means that answering zero would be nearer. An unstable system has no gap: then the certificate
    fails, by its stability alone.

    Args:
        eigenvalues: (n,), all of them. eigenvectors: (n, n), one to a column. B: (n,), the coordinates V^-1 b.
        reference: what the system is to be, "legs" or "lagt".
        tol: what is required of the gap; None for the reference's own peak gain.
        rtol: relative width of the gap's enclosure.

    Raises:
        ValueError: arrays that do not fit together or are not finite, an unknown reference, tol or rtol out of range.
    """
    return certify_bank(Bank(*(np.asarray(x, dtype=complex) for x in (eigenvalues, eigenvectors, B))), reference, tol, rtol=rtol)


def certify_bank(bank: Diagonal, reference: str = "legs", tol: float | None = None, *, rtol: float = RTOL) -> Certificate:
    """As `audit`, of anything with eigenvalues, eigenvectors and B."""
    diagonal = admit(bank)
    if reference not in REFERENCES or (tol is not None and not 0 < tol < float("inf")):
        raise ValueError(f"audit: received reference={reference!r} and tol={tol!r}, expected one of {', '.join(REFERENCES)}, and a "
                         "positive number, or None for the reference's own peak gain")
    system = REFERENCES[reference](len(diagonal.B))
    arrays = {"eigenvalues": parts(diagonal.eigenvalues), "eigenvectors": parts(diagonal.eigenvectors),
              "coordinates": parts(diagonal.B), "b": system.b}
    requirements: dict[str, float | None] = {"sequence.stable/1": 0.0}
    found = None
    if np.real(diagonal.eigenvalues).max() < 0:
        found = enclose(diagonal, reference, rtol)
        arrays |= {"edges": found.edges, "bracket": np.array([found.gap.lower * (1 - SLACK), found.gap.upper * (1 + SLACK)])}
        requirements["sequence.initial_transfer_gap/1"] = peak_gain(system) if tol is None else tol
    return issue("sequence.Bank", {"reference": reference}, arrays, requirements, "margin", provenance(), found)


def parts(x: np.ndarray) -> np.ndarray:
    """Real and imaginary parts on a last axis of two."""
    return np.stack([np.real(x), np.imag(x)], -1)
