"""Handwritten digits that ship with the package: 1,797 images of 8 x 8 (see data/README.md)."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "data" / "digits.csv.gz"
SIDE, LARGE = 8, 32
SOURCE = "Optical Recognition of Handwritten Digits, test part (Alpaydin and Kaynak, 1998, doi 10.24432/C50P49), CC BY 4.0"


def load_images() -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 8, 8), 0 to 16, and digits (1797,)."""
    with gzip.open(FILE, "rt") as file:
        rows = np.loadtxt(file, delimiter=",")
    return rows[:, :-1].reshape(-1, SIDE, SIDE), rows[:, -1].astype(np.int64)


def enlarge(images: np.ndarray) -> np.ndarray:
    """Bilinear between the centres of pixels, (samples, 8, 8) to (samples, 32, 32); constant beyond the outermost centres."""
    at = np.clip((np.arange(LARGE) + 0.5) * SIDE / LARGE - 0.5, 0, SIDE - 1)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(SIDE)))
    return weights @ images @ weights.T
