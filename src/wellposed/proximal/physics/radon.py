"""Parallel-beam tomography: sums along lines, as a sparse matrix whose transpose is the exact adjoint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import sparse

from wellposed.proximal.physics.arrays import real_array
from wellposed.proximal.physics.matrix import SparseMatrix
from wellposed.proximal.physics.norm import collatz_wielandt
from wellposed_check.canonical import encode

Array = np.ndarray
SLACK = 1e-12
"""By this the square of the scale exceeds what was proved, so that the sines and cosines of another machine change nothing."""


class Radon(SparseMatrix):
    """Images (batch, 1, size, size) to sinograms (batch, 1, angles, detectors), over `scale`, so that ‖A‖ <= 1, proved.

    At the angle θ the pixel at (x, y), counted from the centre of the image, falls on the detector at s = x cos θ + y sin θ + (D - 1)/2
    and is shared by the two next to it: 1 - frac(s) to ⌊s⌋, frac(s) to ⌊s⌋ + 1. There are D = ⌈size √2⌉ detectors, one more if that is
    even, one pixel apart. Columns of the matrix times `scale` add up to the number of angles; its rows are sums over lines one pixel wide.

    Args:
        size: pixels of a side.
        angles: how many, equally spaced in [0, π), or an array of them in radians.

    Attributes:
        angles: in radians. detectors: D. scale: what sums along lines are divided by.

    Raises:
        ValueError: numbers out of range.
    """

    kind = "radon"

    def __init__(self, size: int, angles: int | Sequence[float] | Array) -> None:
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"size: received {size!r}, expected a whole number of pixels, at least 1")
        self.size, self.angles, self.detectors = size, _radians(angles), detectors(size)
        sums = line_sums(size, self.angles)
        self.scale = math.sqrt(collatz_wielandt(sums)[0] * (1 + SLACK))
        super().__init__(sums / self.scale, (1, size, size), (1, len(self.angles), self.detectors))

    def describe(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Size, scale and angles, from which the formula gives the matrix, and the vector of Collatz and Wielandt."""
        parameters = {"kind": self.kind, "size": self.size, "scale": encode(self.scale), "image_shape": list(self.image_shape),
                      "measurement_shape": list(self.measurement_shape)}
        return parameters, {"angles": self.angles, "vector": self._proved[1]}


def detectors(size: int) -> int:
    """⌈size √2⌉, made odd."""
    return math.ceil(size * math.sqrt(2)) | 1


def line_sums(size: int, angles: Float[Array, " angles"]) -> Any:
    """The matrix (angles · detectors, size²) of the class, before it is scaled; a scipy CSR array."""
    across, pixels = detectors(size), np.arange(size * size)
    y, x = pixels // size - (size - 1) / 2, pixels % size - (size - 1) / 2
    s = np.multiply.outer(np.cos(angles), x) + np.multiply.outer(np.sin(angles), y) + (across - 1) / 2
    first = np.floor(s)
    rows = first.astype(np.int64) + across * np.arange(len(angles))[:, None]
    values = np.stack([1 - (s - first), s - first])
    place = (np.stack([rows, rows + 1]).ravel(), np.broadcast_to(pixels, values.shape).ravel())
    return sparse.csr_array((values.ravel(), place), shape=(len(angles) * across, size * size))


def _radians(angles: Any) -> Float[Array, " angles"]:
    if isinstance(angles, int | np.integer) and not isinstance(angles, bool):
        if angles < 1:
            raise ValueError(f"angles: received {angles}, expected at least one, or an array of angles in radians")
        return np.pi * np.arange(angles) / angles
    given = np.asarray(angles)
    found = np.zeros(1) if given.shape == (1,) and given[0] == 0 else real_array("angles", angles, (1,))  # 0 alone is an angle
    if abs(found).max() > 2 * np.pi:
        raise ValueError(f"angles: received up to {abs(found).max():.4g}, expected radians between -2π and 2π; use numpy.deg2rad")
    return found
