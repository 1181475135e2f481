"""What the physics of an inverse problem must have, and the checks of what it is given."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Physics(Protocol):
    """A linear map A from images (batch, channels, y, x) to measurements (batch, ...), in float32 or float64."""

    @property
    def kind(self) -> str:
        """Which of the kinds that the checker knows, or "foreign"."""
        ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, y, x)."""
        ...

    @property
    def measurement_shape(self) -> tuple[int, ...]:
        """Of one measurement, without the batch."""
        ...

    @property
    def norm_squared(self) -> tuple[float, float]:
        """(lower, upper) with lower <= ‖A‖² <= upper."""
        ...

    @property
    def confidence(self) -> float:
        """The probability, over the random vectors that found it, that `upper` holds: 1 where it is proved."""
        ...

    def A(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Measurements of images."""
        ...

    def A_adjoint(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The transposed map, from measurements to images."""
        ...

    def solve(self, b: Float[Tensor, "batch ..."], rho: float) -> Float[Tensor, "batch ..."]:
        """(AᵀA + ρI)⁻¹ b of images, ρ > 0."""
        ...

    def describe(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Parameters and arrays (float64) from which a checker builds the map again."""
        ...


def check_images(physics: Physics, x: Tensor, rho: float | None = None) -> None:
    """Whether these are images of this physics.

    Raises:
        ValueError: another shape or precision, or a ρ (where one is given) that is not positive.
    """
    _check(x, physics.image_shape, f"image of physics {physics.kind!r}")
    if rho is not None and not 0 < rho < float("inf"):
        raise ValueError(f"rho: received {rho!r}, expected a positive number, as AᵀA alone need not have an inverse")


def check_measurements(physics: Physics, y: Tensor) -> None:
    """Whether these are measurements of this physics.

    Raises:
        ValueError: another shape or precision.
    """
    _check(y, physics.measurement_shape, f"measurement of physics {physics.kind!r}")


def _check(x: Tensor, shape: tuple[int, ...], name: str) -> None:
    if tuple(x.shape[1:]) != shape or x.ndim == 0 or len(x) == 0:
        expected = ", ".join(str(n) for n in ("batch", *shape))
        raise ValueError(f"{name}: received the shape {tuple(x.shape)}, expected ({expected}) with a batch of at least 1; add the axis of "
                         "the batch if it is missing")
    if x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name}: received {x.dtype}, expected float32 or float64; convert it")
