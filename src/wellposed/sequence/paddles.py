"""The paddles of a Pathfinder image: their pictures, the pixels that they claim, and where the next one may end.

Pixels are kept as the bits of one integer, with a frame around the image, so that an overlap is one `&`.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

FINE = 4
"""Fine pixels in one, on each axis, before Lanczos resampling."""
CLAIMED = 0.9
"""A pixel is claimed where the resampled mask, in 0 to 1, is above this."""


class Stamp(NamedTuple):
    """A paddle at one angle, in a window around its start.

    Attributes:
        picture: (2 reach + 1, 2 reach + 1), 0 to 1. claim: the bits that it takes. near: those, and what lies within a margin of them.
    """

    picture: np.ndarray
    claim: int
    near: int


class Paddles:
    """Paddles of one length, thickness and margin, in images of one size; all lengths in pixels, angles in whole degrees.

    Args:
        continuity: how straight contours are: the next paddle turns by at most 90 / continuity degrees.
    """

    def __init__(self, size: int, length: int, thickness: float, margin: int, continuity: float) -> None:
        self.size, self.length, self.thickness, self.margin, self.continuity = size, length, thickness, margin, continuity
        self.reach = length + int(np.ceil(thickness)) + 2 * margin + 1
        self.stride = size + 2 * self.reach
        self._window = (1 << (2 * self.reach + 1) * self.stride) - 1
        self.stamp = lru_cache(None)(self._stamp)
        self._steps = lru_cache(None)(self._steps_to)
        self.turns = lru_cache(None)(self._turns)

    def shift(self, y: int, x: int) -> int:
        """How far to shift the bits of a stamp that starts at a pixel."""
        return y * self.stride + x

    def around(self, bits: int, y: int, x: int) -> int:
        """The bits in a window around a pixel, as those of a stamp that starts there."""
        return bits >> self.shift(y, x) & self._window

    @cached_property
    def frame(self) -> int:
        """The bits outside the image, and its outermost pixels."""
        outside = np.ones((self.stride, self.stride), bool)
        outside[self.reach + 1: -self.reach - 1, self.reach + 1: -self.reach - 1] = False
        return self._bits(outside)

    def places(self, claimed: int, angle: int) -> np.ndarray:
        """Where a paddle may start without claiming what is claimed, (places, 2)."""
        taken = 0
        for steps in self._steps(angle):
            taken |= claimed >> steps if steps >= 0 else claimed << -steps
        raw = (taken & ((1 << self.stride**2) - 1)).to_bytes((self.stride**2 + 7) // 8, "little")
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[: self.stride**2].reshape(self.stride, self.stride)
        return np.argwhere(bits[self.reach: -self.reach, self.reach: -self.reach] == 0)

    def _stamp(self, angle: int) -> Stamp:
        along, across = self._frame(angle)
        half = max(self.thickness / 2, 0.5 / FINE) + 1e-9
        line = (along >= -0.5 / FINE) & (along <= self.length + 0.5 / FINE) & (abs(across) <= half)
        claim, near = (self._bits(self._claims(angle, m), self.stride) for m in (self.margin, 2 * self.margin))
        return Stamp(lanczos(line), claim, near)

    def _steps_to(self, angle: int) -> list[int]:
        """From the start to each pixel that a paddle claims, in bits."""
        return [int(y) * self.stride + int(x) for y, x in np.argwhere(self._claims(angle, self.margin)) - self.reach]

    def _claims(self, angle: int, margin: int) -> np.ndarray:
        along, across = self._frame(angle)
        beyond = along - np.clip(along, 0, self.length)
        return lanczos(np.hypot(beyond, across) <= max(self.thickness / 2, 0.5 / FINE) + margin) >= CLAIMED

    def _frame(self, angle: int) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates along the paddle and across it, of the fine pixels of its window."""
        y, x = (np.mgrid[: FINE * (2 * self.reach + 1), : FINE * (2 * self.reach + 1)] + 0.5) / FINE - self.reach - 0.5
        s, c = np.sin(np.radians(angle)), np.cos(np.radians(angle))
        return c * x + s * y, c * y - s * x

    def _bits(self, window: np.ndarray, stride: int | None = None) -> int:
        if stride is not None:
            window = np.pad(window, ((0, 0), (0, stride - window.shape[1])))
        return int.from_bytes(np.packbits(window.reshape(-1), bitorder="little").tobytes(), "little")

    def _turns(self, angle: int) -> list[tuple[int, int, int, int, float]]:
        """Where the next paddle may end, seen from the end of this one: the bit in `around`, rows, columns, its angle, a weight.

        The pivot is a margin beyond the end, and the next paddle lies on a line through it; the weight is cos^2 of the turn.
        """
        t = np.radians(np.arange(0, 360, 0.5))
        ends = np.unique(np.round((self.length + self.margin) * np.stack([np.sin(t), np.cos(t)], 1)).astype(int), axis=0)
        angles = np.round(np.degrees(np.arctan2(ends[:, 0], ends[:, 1]))).astype(int)
        turn = np.radians(np.abs((angles - angle + 180) % 360 - 180)) * self.continuity
        weights = np.cos(np.minimum(turn, np.pi / 2)) ** 2
        pivot = np.round(self.margin * np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])).astype(int)
        return [((int(y) + self.reach) * self.stride + int(x) + self.reach, int(y), int(x), int(a) % 360, float(w))
                for (y, x), a, w in zip(ends + pivot, angles, weights, strict=True) if w > 1e-9]


def lanczos(fine: np.ndarray) -> np.ndarray:
    """An image at 1/`FINE` of the resolution, by the Lanczos kernel of three lobes; clipped to 0 to 1."""
    weights = _weights(len(fine) // FINE)
    return np.clip(weights @ fine.astype(float) @ weights.T, 0, 1)


@lru_cache(None)
def _weights(n: int) -> np.ndarray:
    d = (np.arange(FINE * n) + 0.5) / FINE - np.arange(n)[:, None] - 0.5
    w = np.where(np.abs(d) < 3, np.sinc(d) * np.sinc(d / 3), 0)
    return w / w.sum(1, keepdims=True)


@lru_cache(None)
def disc(radius: float) -> np.ndarray:
    """A marker, in a window that ends three pixels beyond it."""
    reach = int(np.ceil(radius)) + 3
    y, x = (np.mgrid[: FINE * (2 * reach + 1), : FINE * (2 * reach + 1)] + 0.5) / FINE - reach - 0.5
    return lanczos(np.hypot(y, x) <= radius)
