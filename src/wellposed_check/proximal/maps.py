"""Linear maps of a network and their transposes: dense, convolutional, and the closed list of resamplings, none of them negative.

Each acts on pairs: numbers as computed, and bounds of their errors; what rounding adds in the map itself is added to these,
and what underflow does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from wellposed_check.canonical import demand
from wellposed_check.proximal.rounding import LEAST, Array, gamma

MOST = 4096
KINDS = {"same": (), "average": ("factor", "multiple"), "padded": ("multiple",), "bilinear": ("rows", "columns")}
Shape = tuple[int, ...]
Pair = tuple[Array, Array]


@dataclass(frozen=True)
class Act:
    """How weights act: dense, on flattened inputs; or, with a stride, as a convolution of images with zeros beyond their sides."""

    stride: int = 0
    padding: int = 0

    def apply(self, w: Array, x: Pair) -> Pair:
        return self._forward(w, x[0]), self._forward(np.abs(w), x[1] + gamma(w[0].size + 2) * np.abs(x[0])) + LEAST

    def transpose(self, w: Array, y: Pair, shape: Shape, more: int = 0) -> Pair:
        """`shape`: of one input; `more`: roundings in sums with others. After a product of len(w) terms come one addition a shift."""
        terms = len(w) + w[0, 0].size + 4 + more
        return self._back(w, y[0], shape), self._back(np.abs(w), y[1] + gamma(terms) * np.abs(y[0]), shape) + LEAST

    def _forward(self, w: Array, x: Array) -> Array:
        if not self.stride:
            return x.reshape(len(x), -1) @ w.T
        s, p = self.stride, self.padding
        windows = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))), w.shape[2:], (2, 3))[:, :, ::s, ::s]
        return np.ascontiguousarray(np.tensordot(windows, w, ((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2))

    def _back(self, w: Array, y: Array, shape: Shape) -> Array:
        if not self.stride:
            return (y @ w).reshape(len(y), *shape)
        s, p, (rows, columns) = self.stride, self.padding, y.shape[2:]
        out = np.zeros((shape[0], len(y), shape[1] + 2 * p, shape[2] + 2 * p))
        parts = np.tensordot(w, y, ((0,), (1,)))  # (in, k, k, samples, rows, columns)
        for i, j in np.ndindex(*w.shape[2:]):
            out[:, :, i : i + s * (rows - 1) + 1 : s, j : j + s * (columns - 1) + 1 : s] += parts[:, i, j]
        return out[:, :, p : p + shape[1], p : p + shape[2]].swapaxes(0, 1)


def read_act(given: Any, w: Array) -> Act:
    if given == {"kind": "dense"}:
        demand(w.ndim == 2, f"a dense map has weights of the shape {w.shape}")
        return Act()
    stride, padding = given["stride"], given["padding"]
    demand(set(given) == {"kind", "stride", "padding"} and given["kind"] == "convolution" and w.ndim == 4 and type(stride) is int and type(
        padding) is int and 1 <= stride <= MOST and 0 <= padding <= MOST, f"{given!r} is no map for weights of the shape {w.shape}")
    return Act(stride, padding)


@dataclass(frozen=True)
class Resampling:
    """x -> L x R' / c, with L and R that hold no negative number; the transpose is y -> L' y R / c. Means are of padded images."""

    kind: str
    numbers: tuple[int, ...]

    @property
    def most(self) -> float:
        """At least the norm; of bilinear interpolation to no more pixels."""
        return 1 / self.numbers[0] if self.kind == "average" else 1.0

    def apply(self, x: Pair) -> Pair:
        return x if self.kind == "same" else self._between(x, *self._matrices(x[0].shape[1:]))

    def transpose(self, y: Pair, shape: Shape) -> Pair:
        if self.kind == "same":
            return y
        left, right, c = self._matrices(shape)
        return self._between(y, left.T, right.T, c)

    def _between(self, x: Pair, left: Array, right: Array, c: float) -> Pair:
        terms = 0 if self.kind == "padded" else int((left > 0).sum(1).max() + (right > 0).sum(1).max()) + 4
        return left @ x[0] @ right.T / c, left @ (x[1] + gamma(terms) * np.abs(x[0])) @ right.T / c + LEAST

    def _matrices(self, shape: Shape) -> tuple[Array, Array, float]:
        demand(len(shape) == 3 and max(shape) <= MOST, "vectors, or images of more than 4096 rows or columns, are not resampled")
        (rows, columns), m = shape[1:], self.numbers[0]
        if self.kind == "bilinear":
            return _interpolation(m, rows), _interpolation(self.numbers[1], columns), 1.0
        m, multiple = (1, m) if self.kind == "padded" else self.numbers
        left, right = (np.repeat(np.eye((n + -n % multiple) // m), m, 1)[:, :n] for n in (rows, columns))
        return left, right, float(m * m)


def read_resampling(given: Any) -> Resampling:
    kind = given["kind"]
    demand(kind in KINDS and set(given) == {"kind", *KINDS[kind]}, f"{given!r} is no resampling that this checker knows")
    numbers = tuple(given[name] for name in KINDS[kind])
    demand(all(type(n) is int and 1 <= n <= MOST for n in numbers), f"{given!r} is not made of whole numbers from 1 to {MOST}")
    demand(kind != "average" or numbers[1] % numbers[0] == 0, f"{given!r}: means do not fit the multiple to which images are padded")
    return Resampling(kind, numbers)


def _interpolation(out: int, n: int) -> Array:
    """Linear, from the centres of n cells to those of `out`; the matrix of these very floats is what is meant."""
    at = np.clip((np.arange(out) + 0.5) * n / out - 0.5, 0, n - 1)
    return np.clip(1 - np.abs(at[:, None] - np.arange(n)), 0, None)
