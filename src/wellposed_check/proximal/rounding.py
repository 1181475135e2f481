"""Sums and inner products of each sample, with bounds of what rounding may have done to them."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
UNIT = 2.0**-53
SECOND = 1 + 1e-9  # for the roundings of the bounds themselves
TINY = 2.0**-600  # for what underflows, in sums and norms
LEAST = 2.0**-1000  # and in one operation on bounds that are carried on: 2^-1074 for each product of less than 2^70
ELEMENTARY = 24 * UNIT  # of exp, log1p and what is made of them, each good to four units in the last place


def gamma(n: float) -> float:
    """The relative error of n roundings."""
    return n * UNIT / (1 - n * UNIT)


def total(x: Array) -> Array:
    """The sum over all axes but the first, one after the other."""
    while x.ndim > 1:
        x = x.sum(-1)
    return x


def dot(a: Array, b: Array) -> tuple[Array, Array]:
    """The inner product of each sample, and a bound of its error, in whatever order an axis is summed."""
    terms = a * b
    return total(terms), SECOND * gamma(sum(terms.shape[1:]) + 4) * total(np.abs(terms)) + TINY


def norm(x: Array) -> Array:
    """Of numbers of any size: from |x| (1 - 1e-10) to |x| (1 + 1e-10) + 2^-600, never zero."""
    flat = x.reshape(len(x), -1)
    most = np.abs(flat).max(1, keepdims=True)
    flat = flat / np.where(most > 0, most, 1.0)
    return most[:, 0] * np.sqrt((flat * flat).sum(1)) + TINY


def column(s: Array, like: Array) -> Array:
    """A number for each channel, to be multiplied with what is `like` a batch of images or vectors."""
    return s.reshape(-1, *(1,) * (like.ndim - 2))
