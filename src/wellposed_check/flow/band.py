"""Spectra of real fields on a periodic square, of which only the modes |k_x|, |k_y| <= N are not zero.

Rows are k_y = 0..N, -N..-1, columns k_x = 0..N, in units of 2 pi / L; numbers are true Fourier coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Array = np.ndarray
UNIT = 2.0**-53


@dataclass(frozen=True)
class Band:
    """Modes up to `top` on a square of side `length`."""

    top: int
    length: float

    @staticmethod
    def kept(n: int, length: float) -> Band:
        """What n x n nodes keep: |k| < n / 3."""
        return Band(-(-n // 3) - 1, length)

    @property
    def shape(self) -> tuple[int, int]:
        return 2 * self.top + 1, self.top + 1

    @cached_property
    def x(self) -> Array:
        return 2 * math.pi / self.length * np.arange(self.top + 1.0)

    @cached_property
    def y(self) -> Array:
        return 2 * math.pi / self.length * np.fft.fftfreq(2 * self.top + 1, 1 / (2 * self.top + 1))[:, None]

    @cached_property
    def square(self) -> Array:
        return self.x**2 + self.y**2

    @cached_property
    def twice(self) -> Array:
        """Of how many modes each entry speaks."""
        return np.where(np.arange(self.top + 1) > 0, 2.0, 1.0)

    @cached_property
    def psi(self) -> Array:
        """Vorticity to stream function: 1 / |k|², 0 for the mean."""
        with np.errstate(divide="ignore"):
            return np.where(self.square > 0, 1 / self.square, 0.0)

    def nodal(self, w: Array, m: int) -> Array:
        """Values on m x m nodes, m > 2 top."""
        tall = np.zeros((*w.shape[:-2], m, self.top + 1), complex)
        tall[..., : self.top + 1, :] = w[..., : self.top + 1, :]
        tall[..., m - self.top:, :] = w[..., self.top + 1:, :]
        return np.fft.irfft(np.fft.ifft(tall, axis=-2, norm="forward"), m, norm="forward")

    def of(self, field: Array) -> Array:
        """The modes of this band of nodal values."""
        w = np.fft.rfft2(field, norm="forward")
        return np.concatenate([w[..., : self.top + 1, : self.top + 1], w[..., w.shape[-2] - self.top:, : self.top + 1]], -2)

    def widened(self, w: Array, top: int) -> Array:
        """The same spectrum as one of a wider band."""
        out = np.zeros((*w.shape[:-2], 2 * top + 1, top + 1), complex)
        out[..., : self.top + 1, : self.top + 1] = w[..., : self.top + 1, :]
        out[..., 2 * top + 1 - self.top:, : self.top + 1] = w[..., self.top + 1:, :]
        return out

    def speed(self, w: Array) -> Array:
        """The root mean square of the velocity whose vorticity this is."""
        return np.sqrt(np.sum(self.twice * self.psi * (np.real(w) ** 2 + np.imag(w) ** 2), (-2, -1)))

    def total(self, x: Array) -> Array:
        """The sum of what is given over all modes."""
        return np.sum(self.twice * x, (-2, -1))


def product_grid(modes: int) -> int:
    """The least even number of points, of factors 2, 3 and 5, that is more than `modes`."""
    m = modes + 1 + (modes + 1) % 2
    while _rest(m) > 1:
        m += 2
    return m


def _rest(m: int) -> int:
    for p in (2, 3, 5):
        while m % p == 0:
            m //= p
    return m
