"""From the arrays of a witness to a bank and the system that it stands for, refusing whatever the theorems do not cover."""

from __future__ import annotations

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.sequence.transfer import REFERENCES, Bank, Reference
from wellposed_check.statement import Evidence

SUBJECTS: dict[str, tuple[set[str], tuple[str, ...]]] = {"sequence.Bank": ({"reference"}, ("b",)),  # its parameters and its arrays
    "sequence.Network": ({"length", "stages"}, ()), "sequence.Diagonalization": (set(), ("matrix",))}
MOST = 2000
BANK = ("eigenvalues", "eigenvectors", "coordinates")


def read_reference(evidence: Evidence) -> Reference:
    name, b = evidence.parameters["reference"], evidence.arrays["b"]
    demand(name in REFERENCES and b.ndim == 1 and 1 <= len(b) <= MOST, f"unknown reference {name!r}, or b is not (n,), n up to {MOST}")
    reference = REFERENCES[name](len(b))
    demand(np.array_equal(reference.b, b), f"b is not the input vector of {name} with {len(b)} states")
    return reference


def read_bank(evidence: Evidence, n: int) -> Bank:
    """Complex arrays are stored with real and imaginary parts on a last axis of two."""
    shapes = dict(zip(BANK, ((n, 2), (n, n, 2), (n, 2)), strict=True))
    for name, shape in shapes.items():
        demand(evidence.arrays[name].shape == shape, f"{name} has the shape {evidence.arrays[name].shape}, expected {shape}")
    return Bank(*(paired(evidence.arrays[name]) for name in BANK))


def paired(x: np.ndarray) -> np.ndarray:
    return x[..., 0] + 1j * x[..., 1]
