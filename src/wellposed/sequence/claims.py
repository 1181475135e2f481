"""Evidence in, certificate out: is this the system that HiPPO meant, is it stable, and is this diagonalization one?

What a network of such systems can amplify is in `wellposed.sequence.gain`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wellposed.certificate import Certificate, issue, provenance
from wellposed.sequence.bank import Bank
from wellposed.sequence.evidence import SLACK, parts
from wellposed.sequence.ptd import Diagonalization
from wellposed.sequence.transfer_gap import Diagonal, admit, enclose, peak_gain
from wellposed_check import Refused
from wellposed_check.sequence.diagonalization import NAMES, measured
from wellposed_check.sequence.transfer import REFERENCES

RTOL = 1e-3


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


def certify_diagonalization(A: Any, eigenvalues: Any, eigenvectors: Any, tol: float | None = None) -> Certificate:
    """A certificate about anyone's diagonalization: |V Lambda V^-1 - A|_2 / |A|_2, and the condition number of V beside it.

    Args:
        A: (n, n). eigenvalues: Lambda (n,). eigenvectors: V (n, n), one to a column.
        tol: what is required of the relative backward error; None requires nothing.

    Raises:
        ValueError: arrays that do not fit together, are not finite or above 2^300; A is zero; V has no inverse in float64 (a condition
            number above about 10^13); tol out of range.
    """
    a, values, vectors = (np.asarray(x, dtype=complex) for x in (A, eigenvalues, eigenvectors))
    n = len(values) if values.ndim == 1 else 0
    if n < 1 or a.shape != (n, n) or vectors.shape != (n, n) or not all(np.isfinite(x).all() for x in (a, values, vectors)):
        raise ValueError(f"certify_diagonalization: received A {a.shape}, eigenvalues {values.shape} and eigenvectors {vectors.shape}, "
                         "expected (n, n), (n,) and (n, n) of finite numbers, one eigenvector to a column")
    if tol is not None and not 0 < tol < float("inf"):
        raise ValueError(f"certify_diagonalization: received tol={tol!r}, expected a positive number, or None")
    try:
        inverse = np.linalg.inv(vectors)
        error, condition = measured(a, values, vectors, inverse)
        arrays = {name: parts(x) for name, x in zip(NAMES, (a, values, vectors, inverse), strict=True)}
        arrays |= {"bracket": np.array([error[0] * (1 - SLACK), error[1] * (1 + SLACK)]),
                   "condition": np.array([float(f"{condition[0] * (1 - 1e-3):.4g}"), float(f"{condition[1] * (1 + 2e-3):.4g}")])}
        return issue("sequence.Diagonalization", {}, arrays, {"sequence.diagonalization/1": tol}, "margin", provenance())
    except (Refused, np.linalg.LinAlgError) as error:
        raise ValueError(f"certify_diagonalization: received arrays of which nothing can be proved: {error}; expected eigenvectors with a "
                         "condition number below 10^12 and numbers up to 2^300; wellposed.sequence.ptd finds such") from None


def certify_ptd(found: Diagonalization, A: Any, tol: float | None = None) -> Certificate:
    """As `certify_diagonalization`, of what `ptd(A)` has found."""
    return certify_diagonalization(A, found.eigenvalues, found.eigenvectors, tol)
