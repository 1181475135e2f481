"""Handwritten digits read pixel by pixel: 1,024 steps."""

from __future__ import annotations

import numpy as np

from wellposed.numerics.digits import LARGE, SOURCE, enlarge, load_images
from wellposed.sequence.split import Split, Task, shares

STEPS = LARGE**2
PARTS = (1197 / 1797, 200 / 1797, 400 / 1797)
SPLIT_SEED = 0


def uci_digits() -> Task:
    """1,797 images of 8 x 8, enlarged to 32 x 32 and read row by row; one channel in -1 to 1; split 1,197, 200, 400, the same always."""
    images, y = load_images()
    x = (enlarge(images) / 8 - 1).reshape(len(y), STEPS, 1).astype(np.float32)
    lengths = np.full(len(y), STEPS, np.int64)
    train, validation, test = (Split(x[part], lengths[part], y[part]) for part in shares(y, PARTS, SPLIT_SEED))
    return Task("uci-digits", train, validation, test, 10, None, SOURCE,
                "8 x 8 images enlarged bilinearly to 32 x 32; split at random: writers are in more than one part")
