"""Convolution with a kernel, periodic at the sides, by the fast Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.physics.arrays import image_shape, like, real_array
from wellposed.proximal.physics.norm import outward
from wellposed.proximal.physics.protocol import check_images, check_measurements
from wellposed.proximal.sums import UNIT

FFT_ROUNDINGS = 64
"""The relative error of a transform of n numbers, in the Euclidean norm, is at most so many units times log2 n: Higham 2002, theorem 24.2,
has 7 for n = 2^k; sides with large prime factors take more."""


class Blur:
    """(A x)[i] = Σ_j kernel[j] x[i - j], indices modulo the sides of the image.

    Args:
        kernel: (k, l), or (channels, k, l) for each channel its own; its entry [k // 2, l // 2] is the origin. It is not normalized:
            the brightness of images is kept if its entries add up to 1.
        shape: of images, (y, x) or (channels, y, x).

    Attributes:
        norm_squared: both ends of ‖A‖², the largest |spectrum|²; of kernels >= 0 that is the square of their sum. Rounded outward.

    Raises:
        ValueError: a kernel larger than the image, of other channels, without a number other than 0, or not finite.
    """

    kind, confidence = "blur", 1.0

    def __init__(self, kernel: Any, shape: Sequence[int]) -> None:
        self.image_shape = image_shape("shape of Blur", shape)
        given = real_array("kernel", kernel, (2, 3))
        each = given if given.ndim == 3 else given[None]
        channels, rows, columns = self.image_shape
        if len(each) not in (1, channels) or each.shape[1] > rows or each.shape[2] > columns:
            raise ValueError(f"kernel: received the shape {given.shape} for images {self.image_shape}, expected at most the sides of the "
                             "image, and one channel or those of the image; crop the kernel")
        placed = np.zeros(self.image_shape)
        placed[:, : each.shape[1], : each.shape[2]] = each
        self.kernel = np.roll(placed, (-(each.shape[1] // 2), -(each.shape[2] // 2)), (1, 2))
        self._spectrum = torch.fft.rfft2(torch.from_numpy(self.kernel))
        self.norm_squared = self._enclosed()

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self.image_shape

    def A(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Blurred images."""
        check_images(self, x)
        return self._multiplied(x, self._spectrum)

    def A_adjoint(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Correlation with the kernel."""
        check_measurements(self, y)
        return self._multiplied(y, self._spectrum.conj())

    def solve(self, b: Float[Tensor, "batch ..."], rho: float) -> Float[Tensor, "batch ..."]:
        """(AᵀA + ρI)⁻¹ b: a division of spectra."""
        check_images(self, b, rho)
        return self._multiplied(b, 1 / (self._spectrum.abs().square() + rho))

    def _multiplied(self, x: Tensor, spectrum: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(x) * like(spectrum, x), s=x.shape[-2:])

    def _enclosed(self) -> tuple[float, float]:
        if (self.kernel >= 0).all():
            largest = max(math.fsum(k) for k in self.kernel.reshape(len(self.kernel), -1))
            return outward(largest**2, largest**2, 4 * UNIT)
        n = self.kernel[0].size
        off = FFT_ROUNDINGS * math.log2(n + 1) * UNIT * math.sqrt(n) * float(np.linalg.norm(self.kernel))
        largest = float(self._spectrum.abs().max())
        return outward(max(largest - off, 0.0) ** 2, (largest + off) ** 2, 16 * UNIT)

    def describe(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The kernel in an array of the image's shape, its origin at [:, 0, 0]."""
        return {"kind": self.kind, "image_shape": list(self.image_shape)}, {"kernel": self.kernel}


def gaussian(width: float, limit: int) -> Float[Tensor, "side side"]:
    """A kernel of this standard deviation in pixels, its entries adding up to 1, at most `limit` pixels a side.

    Raises:
        ValueError: a width that is not positive and finite.
    """
    if not 0 < width < math.inf:
        raise ValueError(f"kernel: received a Gaussian of the width {width!r}, expected a positive standard deviation in pixels")
    radius = min(int(min(4 * width, limit) + 0.5), (limit - 1) // 2)
    row = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / width).square())
    kernel = row[:, None] * row
    return kernel / kernel.sum()
