"""Diagonal systems, and the damped family that stands for HiPPO in closed form.

The damped system of theta in (0, 1] keeps the normal part and a share 1 - theta of the low rank:

    A_theta = N - (1 - theta) P P^T,   b_theta = c b,   c = 1 - theta/2 ("dc") or 2 (1 - theta)/(2 - theta) ("minimax").

theta = 1 is S4D, theta -> 0 is HiPPO itself. For LegS and LagT its transfer function is within theta/(2 (1 - theta)) ("dc") or
theta/(2 - theta) ("minimax") of HiPPO's, relative, at every frequency and for every n: docs/theorems/damped_hippo.md. What it
damps is read off `transfer_gap`. Source of perturb-then-diagonalize: Yu, Nigmetov, Morozov, Mahoney and Erichson (ICLR 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex

from wellposed.sequence.hippo import hippo

GAINS = ("dc", "minimax")
MERGE = 1.5
"""theta is refused below this multiple of the one at which two eigenvalues merge and the eigenvectors are lost."""


@dataclass(frozen=True)
class Bank:
    """y(s) = V (s - Lambda)^-1 B: a system in coordinates in which it is diagonal.

    Attributes:
        eigenvalues: Lambda, all n of them. eigenvectors: V, columns of length 1. B: V^-1 b.
        condition: of V, in the spectral norm.
    """

    eigenvalues: Complex[np.ndarray, " n"]
    eigenvectors: Complex[np.ndarray, "n n"]
    B: Complex[np.ndarray, " n"]

    @property
    def condition(self) -> float:
        return float(np.linalg.cond(self.eigenvectors))

    def __len__(self) -> int:
        return len(self.B)


def damped_hippo(n: int, theta: float = 0.1, measure: str = "legs", gain: str = "dc") -> Bank:
    """The damped family, diagonalized.

    Args:
        n: size of the state.
        theta: in (0, 1]; 1 is S4D. The condition number of the eigenvectors is about (2 - theta) / theta.
        measure: "legs", "lagt" or "legt".
        gain: "dc", with which LegS is exact at frequency zero; "minimax", of the least largest relative error.

    Raises:
        ValueError: theta or a name out of range; theta so small that two eigenvalues come near to one; no positive n.
    """
    system = hippo(measure, n)
    if not 0 < theta <= 1 or gain not in GAINS or (theta == 1 and gain == "minimax"):
        raise ValueError(f"damped_hippo: received theta={theta!r} and gain={gain!r}, expected theta in (0, 1] (below 1 for 'minimax', "
                         f"which is zero there) and a gain of {', '.join(GAINS)}")
    least = MERGE * merging(n) if measure == "legs" else 0.0
    if theta < least:
        raise ValueError(f"damped_hippo: received theta={theta:g} with n={n}, expected at least {least:.2g}: two eigenvalues merge at "
                         f"{least / MERGE:.2g}, and their eigenvectors become one; take a larger theta or n")
    c = 1 - theta / 2 if gain == "dc" else 2 * (1 - theta) / (2 - theta)
    if theta == 1:
        shift = system.normal.diagonal().copy()
        frequencies, vectors = np.linalg.eigh(1j * (system.normal - np.diag(shift)))  # skew part: unitary eigenvectors
        values = shift - 1j * frequencies
    else:
        values, vectors = np.linalg.eig(system.normal - (1 - theta) * system.low_rank @ system.low_rank.T)
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    order = np.lexsort((-np.imag(values), np.abs(np.imag(values))))
    values, vectors = values[order].astype(complex), vectors[:, order].astype(complex)
    return Bank(values, vectors, np.linalg.solve(vectors, c * system.B.astype(complex)))


def merging(n: int) -> float:
    """The theta at which two eigenvalues of the damped LegS system merge, 2 m / (1 + m).

    m is the largest |prod (z - k + 1/2) / (z + k - 1/2)|, k = 1, ..., n, for z between 1/2 and 3/2 (n even) or 3/2 and 5/2 (n odd):
    where it equals theta / (2 - theta) for a real z, an eigenvalue -1/2 - z is real.
    """
    if n == 1:
        return 0.0
    low = 0.5 if n % 2 == 0 else 1.5
    z, k = np.linspace(low, low + 1, 20001)[1:-1, None], np.arange(1, n + 1)
    m = float(np.abs(np.prod((z - k + 0.5) / (z + k - 0.5), axis=1)).max())
    return 2 * m / (1 + m)
