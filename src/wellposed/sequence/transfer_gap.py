"""How far is a bank from HiPPO's own system, at the worst frequency? Enclosed by the checker's own bounds on intervals.

Branch and bound on the imaginary axis: an interval on which the error may exceed the largest that was found is halved. The
intervals at the end are the witness of the claim `sequence.initial_transfer_gap/1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from wellposed_check.sequence.evidence import MOST as MOST_STATES
from wellposed_check.sequence.transfer import REFERENCES, Bank, Gap, Reference, beyond, gap, on_intervals

RTOL = 1e-5
FLOOR = 1e-7
"""Of the reference's own peak: as wide an enclosure may be, so that a bank that is nearly exact has one too."""
MOST = 100_000
AROUND = np.array([-4.0, -2, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 2, 4])
"""Where peaks are looked for first: at the imaginary part of each eigenvalue and at these multiples of its real part from there."""


class Diagonal(Protocol):
    """Anything with these three fields, as `Bank` has them."""

    @property
    def eigenvalues(self) -> Any: ...

    @property
    def eigenvectors(self) -> Any: ...

    @property
    def B(self) -> Any: ...


class TransferGap(NamedTuple):
    """lower <= sup_w |x(iw) - V (iw - Lambda)^-1 B|_2 / |b|_2 <= upper, x(s) = (s - A)^-1 b of the reference."""

    lower: float
    upper: float


@dataclass(frozen=True)
class Enclosure:
    """The gap, the frequency of the largest error that was found, and the intervals on which the checker proves it."""

    gap: TransferGap
    peak: float
    edges: Float[np.ndarray, " intervals_and_1"]


def transfer_gap(bank: Diagonal, reference: str = "legs", rtol: float = RTOL) -> TransferGap:
    """eta = sup_w |x(iw) - V (iw - Lambda)^-1 B|_2 / |b|_2, enclosed: a theorem about the stored numbers, rounding included.

    Args:
        bank: anything with eigenvalues (n,), eigenvectors (n, n) and coordinates B (n,).
        reference: the system that it is to be, "legs" or "lagt".
        rtol: relative width that is aimed at, or 1e-7 of the reference's own peak gain if that is more. The enclosure is wider, and as
            true, where rounding or 100,000 intervals do not allow it.

    Raises:
        ValueError: arrays that do not fit together or are not finite; an unstable bank, for which there is no gap.
    """
    return enclose(bank, reference, rtol).gap


def enclose(bank: Diagonal, reference: str = "legs", rtol: float = RTOL) -> Enclosure:
    """As `transfer_gap`, with the witness."""
    diagonal = admit(bank)
    if reference not in REFERENCES:
        raise ValueError(f"transfer_gap: received reference={reference!r}, expected one of {', '.join(REFERENCES)}")
    if not 0 < rtol < 1:
        raise ValueError(f"transfer_gap: received rtol={rtol!r}, expected a number between 0 and 1")
    abscissa = float(np.real(diagonal.eigenvalues).max())
    if not abscissa < 0:
        raise ValueError(f"transfer_gap: the bank is unstable: the largest real part of its eigenvalues is {abscissa:.6g}, expected all "
                         "below zero; no bounded gap exists")
    if not diagonal.moderate:
        raise ValueError("transfer_gap: received a bank with numbers above 2^100 in size, or coordinates or decays below 2^-100, expected "
                         "moderate ones, of which squares and sixth powers are numbers: scale V and B against each other")
    system = REFERENCES[reference](len(diagonal.B))
    edges, peak = _start(diagonal), peak_gain(system)
    known = gap(system, diagonal, edges)
    while True:
        lower, upper = float(known.least.max()), float(np.maximum(known.most.max(), known.beyond))
        enough = lower + max(rtol * lower, FLOOR * peak)
        changed = _improved(system, diagonal, edges, known, enough) if upper > enough and len(edges) <= MOST else None
        if changed is None:
            break
        edges, known = changed
    k = int(known.least.argmax())
    return Enclosure(TransferGap(lower, upper), float((edges[k] + edges[k + 1]) / 2), edges)


def sampled_gap(bank: Diagonal, reference: str = "legs") -> float:
    """The largest error at the frequencies where it is looked for first: no bound, and seldom far below; inf for an unstable bank."""
    diagonal = admit(bank)
    if not np.real(diagonal.eigenvalues).max() < 0:
        return float("inf")
    edges = _start(diagonal)
    return float(on_intervals(REFERENCES[reference](len(diagonal.B)), diagonal, edges[:-1], edges[1:])[0].max())


def peak_gain(system: Reference) -> float:
    """sup_w |x(iw)|_2 / |b|_2 of the reference itself, which is at w = 0."""
    return float(system.size(np.zeros(1))[0] / np.linalg.norm(system.b))


def admit(bank: Diagonal) -> Bank:
    """The bank as the checker takes it.

    Raises:
        ValueError: arrays that do not fit together or are not finite.
    """
    values, vectors, b = (np.asarray(x, dtype=complex) for x in (bank.eigenvalues, bank.eigenvectors, bank.B))
    n = len(values) if values.ndim == 1 else 0
    if not 1 <= n <= MOST_STATES or vectors.shape != (n, n) or b.shape != (n,):
        raise ValueError(f"received eigenvalues {values.shape}, eigenvectors {vectors.shape} and B {b.shape}, expected (n,), (n, n), one "
                         f"eigenvector to a column, and (n,), n up to {MOST_STATES} and all of them: where only one of each conjugate pair "
                         "is stored, add the other")
    if not all(np.isfinite(x).all() for x in (values, vectors, b)):
        raise ValueError("received eigenvalues, eigenvectors or coordinates that are not finite; expected finite numbers")
    return Bank(values, vectors, b)


def _start(bank: Bank) -> Float[np.ndarray, " intervals_and_1"]:
    n, values = len(bank.B), bank.eigenvalues
    top = 4.0 * max(float(np.abs(values).max()), n)
    spread = np.geomspace(0.25, top, 64)
    seeds = (np.imag(values)[:, None] + np.abs(np.real(values))[:, None] * AROUND).ravel()
    return np.unique(np.concatenate([[0.0], spread, -spread, seeds]))


def _improved(system: Reference, bank: Bank, edges: np.ndarray, known: Gap, enough: float) -> tuple[np.ndarray, Gap] | None:
    """Twice as far out, or with the intervals halved on which the error may be more than `enough`; None if neither helps."""
    if known.beyond > enough:
        ends = np.concatenate([[min(2 * edges[0], -1.0)], edges, [max(2 * edges[-1], 1.0)]])
        if not np.isfinite(ends).all():
            return None
        left, right = gap(system, bank, ends[:2]), gap(system, bank, ends[-2:])
        return ends, Gap(np.concatenate([left.least, known.least, right.least]),
                         np.concatenate([left.most, known.most, right.most]), beyond(system, bank, ends[0], ends[-1]))
    middle = (edges[:-1] + edges[1:]) / 2
    chosen = np.flatnonzero((known.most > enough) & (middle > edges[:-1]) & (middle < edges[1:]))
    if not len(chosen):
        return None
    finer = np.insert(edges, chosen + 1, middle[chosen])
    place = chosen + np.arange(len(chosen))  # of the left half of each
    new = np.sort(np.concatenate([place, place + 1]))
    times = np.ones(len(middle), int)
    times[chosen] = 2
    least, most = np.repeat(known.least, times), np.repeat(known.most, times)
    least[new], most[new] = on_intervals(system, bank, finer[new], finer[new + 1])
    return finer, Gap(least, most, known.beyond)
