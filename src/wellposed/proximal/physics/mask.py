"""Pixels that are measured, lost or weighted: inpainting."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.physics.arrays import like, on_images
from wellposed.proximal.physics.norm import outward
from wellposed.proximal.physics.protocol import check_images, check_measurements
from wellposed.proximal.sums import UNIT


class Mask:
    """A x = mask · x, pixel by pixel; measurements have the shape of images, 0 where nothing was measured.

    Args:
        mask: (y, x) or (channels, y, x): 1 or True where a pixel is measured; other weights are allowed.
        channels: of images, for a mask (y, x).

    Attributes:
        norm_squared: both ends of ‖A‖², the largest mask², rounded outward.

    Raises:
        ValueError: a mask that is empty, keeps nothing or has numbers that are not finite.
    """

    kind, confidence = "mask", 1.0

    def __init__(self, mask: Any, channels: int = 1) -> None:
        self.mask = on_images("mask", mask, channels)
        self.image_shape: tuple[int, int, int] = self.mask.shape  # type: ignore[assignment]
        self._mask = torch.from_numpy(self.mask)
        largest = float(np.abs(self.mask).max())
        self.norm_squared = (1.0, 1.0) if largest == 1 else outward(largest**2, largest**2, UNIT)

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        return self.image_shape

    def A(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Images with what is not measured set to 0."""
        check_images(self, x)
        return x * like(self._mask, x)

    def A_adjoint(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The same map."""
        check_measurements(self, y)
        return y * like(self._mask, y)

    def solve(self, b: Float[Tensor, "batch ..."], rho: float) -> Float[Tensor, "batch ..."]:
        """(AᵀA + ρI)⁻¹ b = b / (mask² + ρ)."""
        check_images(self, b, rho)
        return b / like(self._mask.square() + rho, b)

    def describe(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The mask, (channels, y, x)."""
        return {"kind": self.kind, "image_shape": list(self.image_shape)}, {"mask": self.mask}
