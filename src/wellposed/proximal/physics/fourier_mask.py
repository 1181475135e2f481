"""Some of the Fourier coefficients of real images, as magnetic resonance measures them with one coil."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.physics.arrays import like, on_images, real_array
from wellposed.proximal.physics.norm import outward
from wellposed.proximal.physics.protocol import check_images, check_measurements
from wellposed.proximal.sums import UNIT


class FourierMask:
    """A x = mask · F x of real images, F unitary; measurements are real pairs (real part, imaginary part), last axis 2.

    AᵀA is real and diagonal in Fourier space, with (mask(k)² + mask(-k)²)/2 on its diagonal: a real image has conjugate coefficients at k
    and -k, so that measuring both is measuring one twice.

    Args:
        mask: (y, x), in the order of `numpy.fft.fft2`: frequency 0 first. 1 or True where a coefficient is measured.
        channels: of images.

    Attributes:
        norm_squared: both ends of ‖A‖², the largest (mask(k)² + mask(-k)²)/2, rounded outward.

    Raises:
        ValueError: a mask that is empty, keeps nothing or has numbers that are not finite.
    """

    kind, confidence = "fourier-mask", 1.0

    def __init__(self, mask: Any, channels: int = 1) -> None:
        self.mask = real_array("mask", mask, (2,))
        self.image_shape: tuple[int, int, int] = on_images("mask", self.mask, channels).shape  # type: ignore[assignment]
        self._mask = torch.from_numpy(self.mask)
        square = self.mask**2
        mirrored = np.roll(square[::-1, ::-1], (1, 1), (0, 1))
        self._diagonal = torch.from_numpy(0.5 * (square + mirrored))
        largest, exact = float(self._diagonal.max()), bool(np.isin(self.mask, (0.0, 1.0)).all())
        self.norm_squared = (largest, largest) if exact else outward(largest, largest, 4 * UNIT)

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return (*self.image_shape, 2)

    def A(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Coefficients as real pairs, 0 where none is measured; `torch.view_as_complex` makes them complex."""
        check_images(self, x)
        return torch.view_as_real(torch.fft.fft2(x, norm="ortho") * like(self._mask, x))

    def A_adjoint(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The real part of the inverse transform of what is measured."""
        check_measurements(self, y)
        return torch.fft.ifft2(torch.view_as_complex(y.contiguous()) * like(self._mask, y), norm="ortho").real

    def solve(self, b: Float[Tensor, "batch ..."], rho: float) -> Float[Tensor, "batch ..."]:
        """(AᵀA + ρI)⁻¹ b: a division of spectra."""
        check_images(self, b, rho)
        half = self._diagonal[:, : b.shape[-1] // 2 + 1]
        return torch.fft.irfft2(torch.fft.rfft2(b) / like(half + rho, b), s=b.shape[-2:])

    def describe(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The mask, (y, x)."""
        return {"kind": self.kind, "image_shape": list(self.image_shape)}, {"mask": self.mask}
