"""Physics that is known by its products alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.physics.arrays import image_shape as checked_shape
from wellposed.proximal.physics.norm import lanczos, outward, upper_of_ritz
from wellposed.proximal.physics.normal_equations import RELATIVE, SINGLE, solve_by_iteration
from wellposed.proximal.physics.protocol import check_images, check_measurements
from wellposed_check.canonical import encode

STEPS, SEED = 100, 0


class Foreign:
    """A and Aᵀ as functions of batches of tensors.

    A certificate cannot rebuild such a map, and its norm is enclosed with a probability only: `confidence`, over the random start of a
    Lanczos iteration of `STEPS` products.

    Args:
        forward, adjoint: of batches, in `dtype`. dtype: the precision in which they compute; other inputs are converted, there and back.
        confidence: of the upper bound of the norm.

    Raises:
        ValueError: shapes that are none.
    """

    kind = "foreign"

    def __init__(self, forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], image_shape: Sequence[int],
                 measurement_shape: Sequence[int], dtype: torch.dtype = torch.float64, confidence: float = 1 - 1e-9) -> None:
        self._forward, self._adjoint, self.dtype, self.confidence = forward, adjoint, dtype, confidence
        self.image_shape = checked_shape("image_shape", image_shape)
        self.measurement_shape = tuple(int(n) for n in measurement_shape)

    def A(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The operator's measurements."""
        check_images(self, x)
        return self._forward(x.to(self.dtype)).to(x.dtype)

    def A_adjoint(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The operator's adjoint."""
        check_measurements(self, y)
        return self._adjoint(y.to(self.dtype)).to(y.dtype)

    def solve(self, b: Float[Tensor, "batch ..."], rho: float) -> Float[Tensor, "batch ..."]:
        """(AᵀA + ρI)⁻¹ b by conjugate gradients, to a relative residual of 1e-12 (1e-6 for operators in float32)."""
        check_images(self, b, rho)
        relative = RELATIVE if self.dtype == torch.float64 else SINGLE
        return solve_by_iteration(self._gram, b.detach().double(), rho, relative).to(b.dtype)

    def _gram(self, x: Tensor) -> Tensor:
        return self.A_adjoint(self.A(x))

    @property
    def norm_squared(self) -> tuple[float, float]:
        """A Rayleigh quotient, and a bound that holds with the probability `confidence`."""
        return self._enclosed

    @cached_property
    def _enclosed(self) -> tuple[float, float]:
        start = torch.zeros(1, *self.image_shape, dtype=torch.float64)
        ritz, vector = lanczos(self._gram, start, STEPS, SEED)
        quotient = float(self.A(vector).norm() / vector.norm()) ** 2
        upper = upper_of_ritz(max(ritz, quotient), start.numel(), STEPS, self.confidence)
        return outward(quotient, upper, 1e-10 if self.dtype == torch.float64 else 1e-5)

    def describe(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The enclosure of the norm and how sure it is: nothing rebuilds the map."""
        parameters = {"kind": self.kind, "image_shape": list(self.image_shape), "measurement_shape": list(self.measurement_shape),
                      "norm_squared": [encode(x) for x in self.norm_squared], "confidence": encode(self.confidence)}
        return parameters, {}
