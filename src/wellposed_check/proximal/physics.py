"""Measurements y = A x as a witness describes them: A, its transpose, what rounding may do to them, and a bound of |A|^2."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellposed_check.canonical import decode, demand
from wellposed_check.proximal.rounding import SECOND, UNIT, Array, gamma, norm

FIELDS = {"blur": {"kernel"}, "mask": {"mask"}, "fourier-mask": {"mask"}, "random-convolution": {"signs", "phases", "kept"},
          "radon": {"angles", "vector"}, "sparse": {"data", "columns", "rows", "vector"}}
ARRAYS = tuple(f"physics.{name}" for name in sorted(set().union(*FIELDS.values())))
LARGEST, PRIME, MOST = 2.0**40, 251, 2**24
Arrays = Mapping[str, Array]
Shape = tuple[int, ...]
Entries = tuple[Array, Array, Array, int, float]


@dataclass(frozen=True)
class Operator:
    """`apply` and `transpose` err by at most `error` times the norm of what they act on; `square` bounds |A|^2."""

    apply: Callable[[Array], Array]
    transpose: Callable[[Array], Array]
    error: float
    square: float


def read_operator(parameters: Mapping[str, Any], x: Arrays, image: Shape, measured: Shape) -> Operator:
    """`image`, `measured`: shapes without the batch, the first (channels, rows, columns). Refuses what describes no such operator."""
    kind = parameters["kind"]
    demand(set(parameters) == {"kind", "size", "scale"} if kind == "radon" else parameters == {"kind": kind} and kind in FIELDS,
           f"no such physics are known: {str(parameters)[:80]}")
    demand(set(x) == FIELDS[kind], f"physics of the kind {kind} have the arrays {sorted(FIELDS[kind])}, received {sorted(x)}")
    demand(len(image) == 3 and all(y.size and np.abs(y).max() <= LARGEST for y in x.values()), "the physics have no numbers, or too large")
    if kind in ("radon", "sparse"):
        return _matrix(*(_radon(parameters, x, image) if kind == "radon" else _sparse(x)), x["vector"], image, measured)
    first = x["signs" if kind == "random-convolution" else "kernel" if kind == "blur" else "mask"]
    demand(first.shape == image[1:] or (first.shape == image and kind in ("blur", "mask")),
           f"physics of the kind {kind} with an array of the shape {first.shape} for images {image}")
    return {"blur": _blur, "mask": _mask, "fourier-mask": _fourier_mask, "random-convolution": _convolution}[kind](x, image)


def _digits(shape: Shape) -> float:
    """Of a transform over the last two axes: its relative error in the Euclidean norm, 8 (p + 4) u for each prime factor p of a side."""
    out = 0.0
    for n in shape[-2:]:
        for p in range(2, PRIME + 1):
            while n % p == 0:
                out, n = out + 8 * (p + 4) * UNIT, n // p
        demand(n == 1, "a side has a prime factor above 251: no bound of its transform's rounding is known")
    return out


def _blur(x: Arrays, image: Shape) -> Operator:
    h, off = np.fft.fft2(x["kernel"]), _digits(image)
    wrong = off * math.sqrt(math.prod(image[1:])) * float(norm(x["kernel"][None])[0]) * SECOND  # of h, at each frequency
    return _filter(h, wrong, np.ones(image[1:]), np.arange(math.prod(image[1:])), image, image)


def _convolution(x: Arrays, image: Shape) -> Operator:
    """The real part of F^-1 diag(e^(i phi)) F is a contraction for any phases."""
    signs, kept, pixels = x["signs"], x["kept"].astype(int), math.prod(image[1:])
    demand(x["phases"].shape == signs.shape and (kept == x["kept"]).all() and kept.ndim == 1 and len(np.unique(kept)) == len(kept)
           and kept.min() >= 0 and kept.max() < pixels, "phases and signs differ in shape, or what is kept are not different pixels")
    return _filter(np.exp(1j * x["phases"]), 16 * UNIT, signs, kept, image, (image[0], len(kept)))


def _filter(h: Array, wrong: float, signs: Array, kept: Array, image: Shape, measured: Shape) -> Operator:
    """x -> the pixels `kept` of the real part of F^-1 diag(h) F diag(signs) x; each h errs by at most `wrong`."""
    whole, most = (*image[:1], math.prod(image[1:])), (float(np.abs(h).max()) + wrong) * (1 + 8 * UNIT)
    size = float(np.abs(signs).max())

    def apply(x: Array) -> Array:
        return np.fft.ifft2(h * np.fft.fft2(signs * x)).real.reshape(-1, *whole)[..., kept].reshape(-1, *measured)

    def transpose(y: Array) -> Array:
        spread = np.zeros((len(y), *whole))
        spread[..., kept] = y.reshape(len(y), image[0], -1)
        return signs * np.fft.ifft2(h.conj() * np.fft.fft2(spread.reshape(-1, *image))).real

    error = ((2 * _digits(image) + 16 * UNIT) * most + wrong) * size * SECOND
    return Operator(apply, transpose, error, (most * size) ** 2 * (1 + 8 * UNIT))


def _mask(x: Arrays, image: Shape) -> Operator:  # noqa: ARG001
    m = x["mask"]
    return Operator(lambda x: m * x, lambda y: m * y, 2 * UNIT * float(np.abs(m).max()), float((m * m).max()) * (1 + 4 * UNIT))


def _fourier_mask(x: Arrays, image: Shape) -> Operator:
    """Of real images, whose coefficients at k and -k are conjugate: |A x|^2 = sum (m(k)^2 + m(-k)^2) / 2 |x_k|^2."""
    m = x["mask"]
    square = m * m + np.roll((m * m)[::-1, ::-1], 1, (0, 1))
    return Operator(lambda x: (m * np.fft.fft2(x, norm="ortho"))[..., None].view(float),
                    lambda y: np.fft.ifft2(m * (y[..., 0] + 1j * y[..., 1]), norm="ortho").real,
                    (_digits(image) + 8 * UNIT) * float(np.abs(m).max()) * SECOND, float(square.max()) / 2 * (1 + 8 * UNIT))


def _sparse(x: Arrays) -> Entries:
    """Compressed rows: `rows` are pointers."""
    pointers, columns = x["rows"].astype(int), x["columns"].astype(int)
    demand((pointers == x["rows"]).all() and (columns == x["columns"]).all() and pointers.ndim == 1 and pointers[0] == 0
           and (np.diff(pointers) >= 0).all() and x["data"].shape == columns.shape == (pointers[-1],) and columns.min() >= 0
           and columns.max() < len(x["vector"]), "data, columns and rows are not a matrix in compressed rows")
    return np.repeat(np.arange(len(pointers) - 1), np.diff(pointers)), columns, x["data"], len(pointers) - 1, 0.0


def _radon(parameters: Mapping[str, Any], arrays: Arrays, image: Shape) -> Entries:
    """Pixel (x, y) lies at s = x cos t + y sin t + (d - 1)/2 of a detector of d cells and gives 1 - frac(s), frac(s) to the two beside."""
    n, scale, angles = parameters["size"], decode(parameters["scale"]) or 0.0, arrays["angles"]
    demand(type(n) is int and n >= 1 and 2.0**-40 <= scale <= LARGEST and angles.ndim == 1 and n * n * len(angles) <= MOST,
           "size, scale or angles are not those of a projection, or it has more than 2^25 entries")
    demand(image[1:] == (n, n) and arrays["vector"].size == n * n, f"projections of {n} x {n} pixels do not fit images {image}")
    d, x = math.ceil(n * math.sqrt(2)) | 1, np.arange(n) - (n - 1) / 2
    s = np.cos(angles)[:, None, None] * x + np.sin(angles)[:, None, None] * x[:, None] + (d - 1) / 2
    first = np.floor(s).astype(int)
    demand(first.min() >= 0 and first.max() + 1 < d, "a pixel misses the detector")
    rows, columns = np.arange(len(angles))[:, None, None] * d + first, np.broadcast_to(np.arange(n * n).reshape(n, n), first.shape)
    data = np.stack([1 - (s - first), s - first]) / scale
    # an entry errs by at most 32 n u / scale, the matrix by the root of its largest sums over a row and a column
    return (np.stack([rows, rows + 1]).ravel(), np.stack([columns, columns]).ravel(), data.ravel(), d * len(angles),
            32 * n * UNIT / scale * math.sqrt(2 * len(angles) * 4 * n))


def _matrix(rows: Array, columns: Array, data: Array, m: int, off: float, v: Array, image: Shape, measured: Shape) -> Operator:
    """|A|^2 <= max (|A|' |A| v)_i / v_i for any v > 0 (Collatz and Wielandt); `off` bounds how far the entries are from those meant."""
    n, size = v.size, np.abs(data)
    demand(v.ndim == 1 and bool((v > 0).all()) and n in (math.prod(image), math.prod(image[1:])),
           f"the vector that proves the norm is not positive, or does not fit images {image}")
    demand(v.max() >= 2.0**-40 and v.min() >= 2.0**-400 * v.max(), "the vector that proves the norm underflows")
    terms = int(max(np.bincount(rows).max(), np.bincount(columns).max())) + 4
    above = np.bincount(columns, size * np.bincount(rows, size * v[columns], m)[rows], n)
    # what underflows in the products above is less than 2^-1000 in all, over v
    square = (math.sqrt(float((above / v).max()) * (1 + 4 * gamma(terms)) + 2.0**-500) + off) ** 2 * (1 + 8 * UNIT)

    def act(x: Array, to: Array, source: Array, count: int, shape: Shape) -> Array:
        flat = x.reshape(-1, m if count == n and to is columns else n)
        return np.stack([np.bincount(to, data * each[source], count) for each in flat]).reshape(len(x), *shape)

    return Operator(lambda x: act(x, rows, columns, m, measured), lambda y: act(y, columns, rows, n, image),
                    (gamma(terms) * math.sqrt(square) + off) * SECOND, square)
