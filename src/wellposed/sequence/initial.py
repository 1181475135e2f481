"""Where a layer begins: eigenvalues, eigenvectors and HiPPO's input vector in their coordinates, one of each conjugate pair.

"damped" is the closed form with the theorem (`bank.damped_hippo`). "s4d" is its end theta = 1, HiPPO's normal part alone (Gu, Goel,
Gupta and Re, *S4D*, NeurIPS 2022); "s5" the same spectrum (Smith, Warrington and Linderman, *S5*, ICLR 2023), whose input matrix is
drawn. "published" is perturb-then-diagonalize as its authors run it: E is found by Adam, it breaks the conjugate pairs, so that all
n modes are kept, and eigenvalues that come out unstable are reflected at the imaginary axis. Their matrices have no licence: E is
found anew here, of the size that theirs have.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from wellposed.sequence.bank import Bank, damped_hippo
from wellposed.sequence.hippo import hippo
from wellposed.sequence.ptd import ptd

INITS = ("damped", "s4d", "s5", "published")
PUBLISHED = 0.04
"""|E| / |A| of the published matrices is .03 to .05 from n = 16 on."""


class Initial(NamedTuple):
    """n states in m modes.

    Attributes:
        eigenvalues: (m,). eigenvectors: (n, m). B: coordinates V^-1 b (m,). inverse: rows of V^-1 (m, n).
        weights: 2 where a mode stands for a conjugate pair, else 1; real systems answer with the real part of the weighted sum.
    """

    eigenvalues: Complex[np.ndarray, " m"]
    eigenvectors: Complex[np.ndarray, "n m"]
    B: Complex[np.ndarray, " m"]
    inverse: Complex[np.ndarray, "m n"]
    weights: Float[np.ndarray, " m"]


def initial(init: str, n: int, theta: float = 0.1, measure: str = "legs") -> Initial:
    """By name.

    Raises:
        ValueError: an unknown name; theta or n out of range.
    """
    if init not in INITS:
        raise ValueError(f"received init={init!r}, expected one of {', '.join(INITS)}")
    if measure != "legs" and (init in ("s4d", "s5") or (init == "damped" and theta == 1)):
        raise ValueError(f"received init={init!r} with measure={measure!r}, expected measure='legs': the normal part of the others has no "
                         "decay; take init='damped' with theta below 1")
    bank = _published(n, measure) if init == "published" else damped_hippo(n, theta if init == "damped" else 1.0, measure)
    values, inverse = bank.eigenvalues, np.linalg.inv(bank.eigenvectors)
    small = 1e-9 * np.abs(values).max()
    paired = init != "published"
    kept = np.flatnonzero(np.imag(values) >= -small) if paired else np.arange(n)
    weights = np.where(paired & (np.imag(values[kept]) > small), 2.0, 1.0)
    values = np.where(np.abs(np.imag(values)) > small, values, np.real(values))
    return Initial(values[kept], bank.eigenvectors[:, kept], bank.B[kept], inverse[kept], weights)


@cache
def _published(n: int, measure: str) -> Bank:
    import torch

    system = hippo(measure, n)
    with torch.inference_mode(False), torch.enable_grad():  # Adam runs whatever the caller has switched off
        found = ptd(system.matrix(), PUBLISHED, "optimised")
    values = -np.abs(np.real(found.eigenvalues)) + 1j * np.imag(found.eigenvalues)
    return Bank(values, found.eigenvectors, np.linalg.solve(found.eigenvectors, system.B.astype(complex)))


def completed(values: Complex[np.ndarray, " m"], vectors: Complex[np.ndarray, "n m"],
              weights: Float[np.ndarray, " m"]) -> tuple[Complex[np.ndarray, " n"], Complex[np.ndarray, "n n"]]:
    """All n eigenvalues and eigenvectors: those that stand for a pair, and their conjugates."""
    paired = weights == 2
    return np.concatenate([values, values[paired].conj()]), np.concatenate([vectors, vectors[:, paired].conj()], 1)


def input_scale(init: str, theta: float) -> float:
    """By how much an initialization scales HiPPO's b: 1 - theta/2, with which it is exact at frequency zero."""
    return 1.0 if init == "published" else 1 - (theta if init == "damped" else 1.0) / 2


def stored_bank(values: Complex[np.ndarray, " m"], vectors: Complex[np.ndarray, "n m"], weights: Float[np.ndarray, " m"], measure: str,
                scale: float) -> Bank:
    """All of what a layer stores one of each pair of, with HiPPO's b, scaled, in the coordinates of the eigenvectors."""
    values, vectors = completed(values, vectors, weights)
    return Bank(values, vectors, np.linalg.solve(vectors, scale * hippo(measure, len(values)).B.astype(complex)))
