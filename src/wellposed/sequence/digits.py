"""Handwritten digits that ship with the package, read pixel by pixel: 1,024 steps."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from wellposed.sequence.split import Split, Task, shares

FILE = Path(__file__).parent / "data" / "digits.csv.gz"
SIDE, STEPS = 8, 32
PARTS = (1197 / 1797, 200 / 1797, 400 / 1797)
SPLIT_SEED = 0
SOURCE = "Optical Recognition of Handwritten Digits, test part (Alpaydin and Kaynak, 1998, doi 10.24432/C50P49), CC BY 4.0"


def uci_digits() -> Task:
    """1,797 images of 8 x 8, enlarged to 32 x 32 and read row by row; one channel in -1 to 1; split 1,197, 200, 400, the same always."""
    images, y = load_images()
    x = (enlarge(images) / 8 - 1).reshape(len(y), STEPS**2, 1).astype(np.float32)
    lengths = np.full(len(y), STEPS**2, np.int64)
    train, validation, test = (Split(x[part], lengths[part], y[part]) for part in shares(y, PARTS, SPLIT_SEED))
    return Task("uci-digits", train, validation, test, 10, None, SOURCE,
                "8 x 8 images enlarged bilinearly to 32 x 32; split at random: writers are in more than one part")


def load_images() -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 8, 8), 0 to 16, and digits (1797,)."""
    with gzip.open(FILE, "rt") as file:
        rows = np.loadtxt(file, delimiter=",")
    return rows[:, :-1].reshape(-1, SIDE, SIDE), rows[:, -1].astype(np.int64)


def enlarge(images: np.ndarray) -> np.ndarray:
    """Bilinear between the centres of pixels, (samples, 8, 8) to (samples, 32, 32); constant beyond the outermost centres."""
    at = np.clip((np.arange(STEPS) + 0.5) * SIDE / STEPS - 0.5, 0, SIDE - 1)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(SIDE)))
    return weights @ images @ weights.T
