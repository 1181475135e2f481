"""HiPPO systems x' = A x + b u in the form A = N - P P^T, N normal: LegS, LagT and LegT.

Sources: Gu, Dao, Ermon, Rudra and Re, *HiPPO* (NeurIPS 2020); Gu, Goel and Re, *S4* (ICLR 2022), appendix C, for the low ranks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Hippo:
    """A = normal - low_rank @ low_rank.T, and the input vector b.

    Attributes:
        measure: "legs", "lagt" or "legt".
    """

    measure: str
    normal: Float[np.ndarray, "n n"]
    low_rank: Float[np.ndarray, "n r"]
    B: Float[np.ndarray, " n"]

    def matrix(self) -> Float[np.ndarray, "n n"]:
        return self.normal - self.low_rank @ self.low_rank.T

    def __len__(self) -> int:
        return len(self.B)


def legs(n: int) -> Hippo:
    """Scaled Legendre: A_ij = -r_i r_j below the diagonal, -(i + 1) on it, 0 above; b = r, r_i = sqrt(2 i + 1).

    The eigenvalues of A are -1, ..., -n; the condition number of its eigenvectors grows like (1 + sqrt 2)^(2 n).

    Raises:
        ValueError: n is no positive integer.
    """
    r = _roots(n)
    return Hippo("legs", _skew(r) - np.eye(n) / 2, r[:, None] / np.sqrt(2), r)


def lagt(n: int) -> Hippo:
    """Translated Laguerre: A_ij = -1 below the diagonal, -1/2 on it, 0 above; b = 1. One Jordan block: A is defective.

    Raises:
        ValueError: n is no positive integer.
    """
    one = np.ones_like(_roots(n))
    return Hippo("lagt", _skew(one), one[:, None] / np.sqrt(2), one)


def legt(n: int) -> Hippo:
    """Translated Legendre: A_ij = -r_i r_j for i >= j, -(-1)^(i - j) r_i r_j above the diagonal; b = r, r_i = sqrt(2 i + 1).

    Raises:
        ValueError: n is no positive integer.
    """
    r = _roots(n)
    even = np.arange(n) % 2 == 0
    parity = np.stack([r * even, r * ~even], 1)[:, : min(n, 2)]
    sign = np.where(even[:, None] == even, 0.0, 1.0)  # where i - j is even, the symmetric part is all
    return Hippo("legt", 2 * _skew(r) * sign, parity, r)


MEASURES = {"legs": legs, "lagt": lagt, "legt": legt}


def hippo(measure: str, n: int) -> Hippo:
    """By name.

    Raises:
        ValueError: another name; n is no positive integer.
    """
    if measure not in MEASURES:
        raise ValueError(f"received the measure {measure!r}, expected one of {', '.join(MEASURES)}")
    return MEASURES[measure](n)


def _roots(n: int) -> Float[np.ndarray, " n"]:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"received n={n!r}, expected a positive integer, the size of the state")
    return np.sqrt(2 * np.arange(n) + 1.0)


def _skew(r: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n n"]:
    """-r_i r_j / 2 below the diagonal, + above."""
    below = np.tril(np.outer(r, r), -1) / 2
    return below.T - below
