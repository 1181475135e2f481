"""The modes that are kept, alone: a third of the plane.

A box holds the spectrum (`rfft2` over n²) of a real field at |k_y| <= N, 0 <= k_x <= N: rows are k_y = 0..N, -N..-1. All
other modes are zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from wellposed.numerics.vorticity import Spectrum

Box = Complex[Tensor, "... rows columns"]


@dataclass(frozen=True)
class Band:
    """Modes up to `top`, N, on a square of side `length`."""

    top: int
    length: float

    @staticmethod
    def kept(n: int, length: float) -> Band:
        """What n x n nodes keep: |k_i| < n / 3."""
        return Band((n - 1) // 3, length)

    @cached_property
    def x(self) -> Float[Tensor, " columns"]:
        return 2 * math.pi / self.length * torch.arange(self.top + 1, dtype=torch.float64)

    @cached_property
    def y(self) -> Float[Tensor, "rows 1"]:
        rows = torch.cat([torch.arange(self.top + 1), torch.arange(-self.top, 0)])
        return 2 * math.pi / self.length * rows[:, None].to(torch.float64)

    @cached_property
    def square(self) -> Float[Tensor, "rows columns"]:
        return self.x**2 + self.y**2

    @cached_property
    def inverse(self) -> Float[Tensor, "rows columns"]:
        """Vorticity to stream function: 1 / |k|², 0 for the mean."""
        return torch.where(self.square > 0, 1 / self.square.clamp(min=1e-300), 0.0)

    @cached_property
    def twice(self) -> Float[Tensor, " columns"]:
        """Of how many modes of the whole plane each entry speaks."""
        return torch.where(self.x > 0, 2.0, 1.0).to(torch.float64)

    @cached_property
    def weights(self) -> Float[Tensor, "rows columns"]:
        """√(modes) / |k|: sums of squares of a weighted vorticity are the mean square of its velocity."""
        return (self.twice * self.inverse).sqrt()

    def cut(self, w: Spectrum) -> Box:
        """The modes of this band of a spectrum, without its mean."""
        box = torch.cat([w[..., : self.top + 1, : self.top + 1], w[..., w.shape[-2] - self.top:, : self.top + 1]], -2)
        box[..., 0, 0] = 0.0
        return box

    def spread(self, w: Box, m: int) -> Spectrum:
        """The whole spectrum on m x m nodes, m > 2 N."""
        out = w.new_zeros(*w.shape[:-2], m, m // 2 + 1)
        out[..., : self.top + 1, : self.top + 1] = w[..., : self.top + 1, :]
        out[..., m - self.top:, : self.top + 1] = w[..., self.top + 1:, :]
        return out

    def nodal(self, w: Box, m: int) -> Float[Tensor, "... m m"]:
        """Values on m x m nodes; transforms skip the columns that are zero."""
        tall = w.new_zeros(*w.shape[:-2], m, self.top + 1)
        tall[..., : self.top + 1, :] = w[..., : self.top + 1, :]
        tall[..., m - self.top:, :] = w[..., self.top + 1:, :]
        return torch.fft.irfft(torch.fft.ifft(tall, dim=-2, norm="forward"), n=m, norm="forward")

    def of(self, field: Float[Tensor, "... m m"]) -> Box:
        """The modes of nodal values, without their mean."""
        return self.cut(torch.fft.rfft2(field, norm="forward"))

    def widened(self, w: Box, top: int) -> Box:
        """The same spectrum as one of another band; modes above `top` are dropped."""
        if top <= self.top:
            return torch.cat([w[..., : top + 1, : top + 1], w[..., w.shape[-2] - top:, : top + 1]], -2)
        out = w.new_zeros(*w.shape[:-2], 2 * top + 1, top + 1)
        out[..., : self.top + 1, : self.top + 1] = w[..., : self.top + 1, :]
        out[..., 2 * top + 1 - self.top:, : self.top + 1] = w[..., self.top + 1:, :]
        return out

    def speed(self, w: Box) -> Tensor:
        """The root mean square of the velocity whose vorticity this is, over the last two axes."""
        return torch.linalg.vector_norm(torch.view_as_real((w * self.weights).resolve_conj()), dim=(-3, -2, -1))

    def total(self, x: Tensor) -> Tensor:
        """The sum over the whole plane of what is given on the box."""
        return (x.sum(-2) * self.twice).sum(-1)
