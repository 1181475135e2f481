"""The two arithmetics in which the checker evaluates its formulas.

`Floats` is plain float64. `Enclosure` carries a lower and an upper float64 for every number and rounds each
operation outward by one unit in the last place, so the exact real value is always between the two. The formulas are
written once, with ``+ - * /``, and run in either.

Both use only operations that IEEE 754 rounds correctly (element by element), sums in a fixed order and
`math.fsum`, so that a number recomputed on another machine agrees with the stored one bit for bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

UNIT = 2.0**-53
Array = np.ndarray
Number = Any  # an array or an `Interval`: the formulas run in either


def _down(x: Array) -> Array:
    return np.nextafter(x, -np.inf)


def _up(x: Array) -> Array:
    return np.nextafter(x, np.inf)


class Interval:
    """Closed intervals ``[lower, upper]``, element by element, rounded outward after every operation."""

    __array_ufunc__ = None  # so that numpy hands ``array * interval`` to us

    def __init__(self, lower: Array | float, upper: Array | float) -> None:
        self.lower, self.upper = np.asarray(lower, float), np.asarray(upper, float)

    @staticmethod
    def of(x: Interval | Array | float) -> Interval:
        return x if isinstance(x, Interval) else Interval(x, x)

    def __getitem__(self, key: object) -> Interval:
        return Interval(self.lower[key], self.upper[key])  # type: ignore[index]

    def __neg__(self) -> Interval:
        return Interval(-self.upper, -self.lower)

    def __add__(self, other: Interval | Array | float) -> Interval:
        o = Interval.of(other)
        return Interval(_down(self.lower + o.lower), _up(self.upper + o.upper))

    def __sub__(self, other: Interval | Array | float) -> Interval:
        return self + -Interval.of(other)

    def __rsub__(self, other: Array | float) -> Interval:
        return -self + other

    def __mul__(self, other: Interval | Array | float) -> Interval:
        o = Interval.of(other)
        ends = np.stack(np.broadcast_arrays(
            self.lower * o.lower, self.lower * o.upper, self.upper * o.lower, self.upper * o.upper))
        return Interval(_down(ends.min(0)), _up(ends.max(0)))

    def __truediv__(self, other: Interval | Array | float) -> Interval:
        o = Interval.of(other)
        if np.any(o.lower <= 0.0):
            raise ZeroDivisionError("an interval is divided by one that is not positive")
        ends = np.stack(np.broadcast_arrays(
            self.lower / o.lower, self.lower / o.upper, self.upper / o.lower, self.upper / o.upper))
        return Interval(_down(ends.min(0)), _up(ends.max(0)))

    def __rtruediv__(self, other: Array | float) -> Interval:
        return Interval.of(other) / self

    __radd__, __rmul__ = __add__, __mul__


class Floats:
    """Plain float64. Rounding is accounted for by a margin that each claim states and justifies."""

    name = "margin"
    pi: Number = np.float64(math.pi)
    tanh_pi: Number = np.float64(0.99627207622074994)

    @staticmethod
    def exact(x: Array | float) -> Number:
        return np.asarray(x, float)

    @staticmethod
    def square(x: Number) -> Number:
        return x * x

    @staticmethod
    def sqrt(x: Number) -> Number:
        return np.sqrt(np.maximum(x, 0.0))

    @staticmethod
    def magnitude(x: Number) -> Number:
        return np.abs(x)

    @staticmethod
    def running_sum(x: Number, axis: int) -> Number:
        """Inclusive sums along `axis`, in the order of the index."""
        return np.cumsum(x, axis=axis)

    @staticmethod
    def total(x: Number) -> Number:
        """Correctly rounded sum over all axes but the first."""
        return np.array([math.fsum(row) for row in np.reshape(x, (len(x), -1)).tolist()])

    @staticmethod
    def write(x: Number, rows: Array | int, columns: Array, values: Number) -> Number:
        """A copy of ``x`` (samples, ., .) whose entries (rows, columns) are `values`."""
        out = np.array(x)
        out[:, rows, columns] = values
        return out

    @staticmethod
    def lower(x: Number) -> Array:
        return np.asarray(x)

    upper = lower


class Enclosure:
    """Intervals. What it computes contains the exact value, whatever the rounding."""

    name = "enclosed"
    pi: Number = Interval(math.pi, np.nextafter(math.pi, 4.0))  # math.pi < pi
    tanh_pi: Number = Interval(0.9962720762207499, 0.9962720762207501)

    @staticmethod
    def exact(x: Array | float) -> Number:
        return Interval.of(np.asarray(x, float))

    @staticmethod
    def square(x: Number) -> Number:
        m = Enclosure.magnitude(x)
        return Interval(np.maximum(_down(m.lower * m.lower), 0.0), _up(m.upper * m.upper))

    @staticmethod
    def sqrt(x: Number) -> Number:
        i = Interval.of(x)
        return Interval(
            np.maximum(_down(np.sqrt(np.maximum(i.lower, 0.0))), 0.0), _up(np.sqrt(np.maximum(i.upper, 0.0))))

    @staticmethod
    def magnitude(x: Number) -> Number:
        i = Interval.of(x)
        least = np.where((i.lower <= 0.0) & (i.upper >= 0.0), 0.0, np.minimum(np.abs(i.lower), np.abs(i.upper)))
        return Interval(least, np.maximum(np.abs(i.lower), np.abs(i.upper)))

    @staticmethod
    def running_sum(x: Number, axis: int) -> Number:
        i = Interval.of(x)
        lower, upper = np.moveaxis(i.lower.copy(), axis, 0), np.moveaxis(i.upper.copy(), axis, 0)
        for k in range(1, len(lower)):
            lower[k], upper[k] = _down(lower[k] + lower[k - 1]), _up(upper[k] + upper[k - 1])
        return Interval(np.moveaxis(lower, 0, axis), np.moveaxis(upper, 0, axis))

    @staticmethod
    def total(x: Number) -> Number:
        i = Interval.of(x)
        return Interval(_down(Floats.total(i.lower)), _up(Floats.total(i.upper)))

    @staticmethod
    def write(x: Number, rows: Array | int, columns: Array, values: Number) -> Number:
        i, v = Interval.of(x), Interval.of(values)
        return Interval(Floats.write(i.lower, rows, columns, v.lower), Floats.write(i.upper, rows, columns, v.upper))

    @staticmethod
    def lower(x: Number) -> Array:
        return Interval.of(x).lower

    @staticmethod
    def upper(x: Number) -> Array:
        return Interval.of(x).upper


ARITHMETICS = {a.name: a for a in (Floats, Enclosure)}
Arithmetic = type[Floats] | type[Enclosure]
