"""Compressed sensing by random convolution: few numbers, each of which sees the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.physics.arrays import image_shape, like
from wellposed.proximal.physics.protocol import check_images, check_measurements
from wellposed_check.canonical import encode


class RandomConvolution:
    """A = S F⁻¹ diag(e^{iφ}) F diag(±1): random signs, a convolution with random phases, and a random choice S of its pixels.

    φ is odd, so that the convolution is real and orthogonal; hence A Aᵀ = I, ‖A‖ = 1 and (AᵀA + ρI)⁻¹ is explicit.

    Args:
        shape: of images, (y, x) or (channels, y, x); each channel is measured in the same way.
        keep: how many numbers of each channel are measured: a fraction (float, at most 1) or a count (int).
        seed: of signs, phases and choice.

    Raises:
        ValueError: numbers out of range.

    Source: Romberg, Compressive sensing by random convolution, SIAM J. Imaging Sciences 2 (2009).
    """

    kind, confidence = "random-convolution", 1.0

    def __init__(self, shape: Sequence[int], keep: float | int, seed: int = 0) -> None:
        self.image_shape = image_shape("shape of RandomConvolution", shape)
        channels, rows, columns = self.image_shape
        pixels = rows * columns
        count = keep if isinstance(keep, int) else round(keep * pixels) if 0 < keep <= 1 else 0
        if isinstance(keep, bool) or not 1 <= count <= pixels:
            raise ValueError(f"keep: received {keep!r} of {pixels} pixels, expected a fraction above 0 and at most 1 that keeps at least "
                             f"one, or a whole number from 1 to {pixels}")
        rng = np.random.default_rng(seed)
        self.signs = rng.choice([-1.0, 1.0], (rows, columns))
        drawn = rng.uniform(-np.pi, np.pi, (rows, columns))
        self.phases = drawn - np.roll(drawn[::-1, ::-1], (1, 1), (0, 1))  # uniform modulo 2π, and exactly odd
        self.kept = np.sort(rng.choice(pixels, count, replace=False))
        self.measurement_shape = (channels, count)
        self._signs, self._kept = torch.from_numpy(self.signs), torch.from_numpy(self.kept)
        half = torch.from_numpy(self.phases[:, : columns // 2 + 1].copy())
        self._filter = torch.polar(torch.ones_like(half), half)

    def A(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """(batch, channels, count)."""
        check_images(self, x)
        spread = torch.fft.irfft2(torch.fft.rfft2(x * like(self._signs, x)) * like(self._filter, x), s=x.shape[-2:])
        return spread.flatten(2)[..., self._kept.to(x.device)]

    def A_adjoint(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """Zeros for what is not measured, the convolution undone, signs undone; also the right inverse of A."""
        check_measurements(self, y)
        whole = y.new_zeros(*y.shape[:2], self.signs.size)
        whole[..., self._kept.to(y.device)] = y
        whole = whole.unflatten(2, self.signs.shape)
        gathered = torch.fft.irfft2(torch.fft.rfft2(whole) * like(self._filter, y).conj(), s=whole.shape[-2:])
        return gathered * like(self._signs, y)

    def solve(self, b: Float[Tensor, "batch ..."], rho: float) -> Float[Tensor, "batch ..."]:
        """(AᵀA + ρI)⁻¹ b = (b - AᵀA b/(1 + ρ))/ρ, as AᵀA is a projection."""
        check_images(self, b, rho)
        return (b - self.A_adjoint(self.A(b)) / (1 + rho)) / rho

    @property
    def norm_squared(self) -> tuple[float, float]:
        """1, as A Aᵀ = I."""
        return 1.0, 1.0

    def describe(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Signs and phases (y, x), and the kept pixels of the flattened channel."""
        parameters = {"kind": self.kind, "image_shape": list(self.image_shape), "norm_squared": encode(1.0)}
        return parameters, {"signs": self.signs, "phases": self.phases, "kept": self.kept.astype(np.float64)}
