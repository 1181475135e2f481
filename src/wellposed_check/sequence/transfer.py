"""How far is a diagonal system from the HiPPO system that it stands for, on the whole imaginary axis?

x(s) = (s - A)^-1 b of the reference in closed form, y(s) = V (s - Lambda)^-1 B of the bank, f = x - y. On an interval of
centre m and half-width h, by Taylor's theorem,

    |f| <= (|f(m)|^2 + 2 h |Re <f(m), f'(m)>| + h^2 |f'(m)|^2)^1/2 + h^2/2 sup |f''|,    |f''| <= |x''| + |y''|.

What bounds |x''| and |y''|, and the margins, are in SPEC.md, section 9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

UNIT = 2.0**-53
SAFE = 1.0 + 2.0**-40
CHUNK = 2**20
Array = np.ndarray
State = tuple[Array, Array, Array, Array]  # at frequencies (m,): a vector and its derivative, (n, m); sizes of what was summed, (m,)


@dataclass(frozen=True)
class Reference:
    """A HiPPO system.

    Attributes:
        b: (n,). state: x and x' on the axis.
        size: a bound of |x| at all frequencies from this one on, upwards. bend: one of |x''|.
    """

    b: Array
    state: Callable[[Array], State]
    size: Callable[[Array], Array]
    bend: Callable[[Array], Array]


def norm(x: Array) -> Array:
    """Euclidean norm over the first axis."""
    return np.sqrt(np.square(np.real(x)).sum(0) + np.square(np.imag(x)).sum(0))


def legs(n: int) -> Reference:
    """A = -r_i r_j below the diagonal, -(i + 1) on it, b = r, r_i = sqrt(2 i + 1)."""
    k = np.arange(float(n))[:, None]
    r = np.sqrt(2.0 * k + 1.0)

    def state(w: Array) -> State:
        below = k + 1.0 + 1j * w
        q, dq = (1j * w - k) / below, 1j * (2.0 * k + 1.0) / below**2
        u, du = np.ones_like(q), np.zeros_like(q)
        for i in range(n - 1):
            u[i + 1], du[i + 1] = u[i] * q[i], du[i] * q[i] + u[i] * dq[i]
        x = r * u / below
        return x, r * du / below - 1j * x / below, size(w), (np.abs(dq).sum(0) + 2.0) * norm(r / np.abs(below))

    def size(w: Array) -> Array:
        return n / np.hypot(w, n) * SAFE

    def bend(w: Array) -> Array:
        near, far = np.maximum(w * w + k * k, 2.0**-60), w * w + (k + 1.0) ** 2
        first = 1.0 / np.hypot(w, 1.0) + ((2.0 * k + 1.0) / np.sqrt(near * far)).sum(0)
        second = 1.0 / (w * w + 1.0) + (1.0 / near + 1.0 / far).sum(0)
        return size(w) * np.minimum(8.0, (first * first + second) * SAFE)

    return Reference(r[:, 0], state, size, bend)


def lagt(n: int) -> Reference:
    """A = -1 below the diagonal, -1/2 on it, b = 1."""
    def state(w: Array) -> State:
        below = 0.5 + 1j * w
        q, dq = (1j * w - 0.5) / below, 1j / below**2
        x, dx = np.empty((n, len(w)), complex), np.empty((n, len(w)), complex)
        x[0], dx[0] = 1.0 / below, -1j / below**2
        for i in range(n - 1):
            x[i + 1], dx[i + 1] = x[i] * q, dx[i] * q + x[i] * dq
        return x, dx, size(w), (n * np.abs(dq) + 2.0 / np.abs(below)) * size(w)

    def size(w: Array) -> Array:
        return np.sqrt(n / (0.25 + w * w)) * SAFE

    def bend(w: Array) -> Array:
        square = 0.25 + w * w
        first = n / square + 1.0 / np.sqrt(square)
        return size(w) * (first * first + (2.0 * n + 1.0) / square) * SAFE

    return Reference(np.ones(n), state, size, bend)


REFERENCES: dict[str, Callable[[int], Reference]] = {"legs": legs, "lagt": lagt}


@dataclass(frozen=True)
class Bank:
    """A diagonal system, complex: eigenvalues and coordinates (n,), eigenvectors (n, n); column j belongs to eigenvalue j."""

    eigenvalues: Array
    eigenvectors: Array
    B: Array

    def state(self, w: Array) -> State:
        """y and y' on the axis."""
        away = 1j * w - self.eigenvalues[:, None]
        c = self.B[:, None] / away
        slope = -1j * c / away
        return self.eigenvectors @ c, self.eigenvectors @ slope, self.frobenius * norm(c), self.frobenius * norm(slope)

    @property
    def frobenius(self) -> float:
        return float(norm(self.eigenvectors.reshape(-1))) * SAFE

    @property
    def norm(self) -> float:
        """A bound of |V|_2: the root of the largest row sum of |V* V|, or the Frobenius norm if that is less."""
        n = len(self.B)
        rows = (np.abs(self.eigenvectors.conj().T @ self.eigenvectors) + 8.0 * (n + 4.0) * UNIT * self.frobenius**2).sum(1)
        return min(float(np.sqrt(rows.max())) * SAFE, self.frobenius)

    @property
    def moderate(self) -> bool:
        """Whether its numbers are zero or within 2^+-100, and no decay is less: then no square or sixth power leaves float64."""
        least = np.concatenate([np.abs(self.B[self.B != 0.0]), np.abs(np.real(self.eigenvalues))])
        most = max(float(np.abs(x).max()) for x in (self.B, self.eigenvalues, self.eigenvectors))
        return bool(least.min() >= 2.0**-100 and most <= 2.0**100)

    def size(self, low: Array, high: Array, power: int) -> Array:
        """A bound of |V (i w - Lambda)^-power B| for w between low and high."""
        value = self.eigenvalues[:, None]
        re, im = np.real(value), np.imag(value)
        apart = np.maximum(np.maximum(low - im, im - high), 0.0)
        terms = np.square(np.abs(self.B))[:, None] / (re * re + apart * apart) ** power
        return self.norm * np.sqrt(terms.sum(0)) * SAFE


@dataclass(frozen=True)
class Gap:
    """Of each interval the error at its centre, at least, and over all of it, at most; and the error beyond the last edges.

    All relative to |b|.
    """

    least: Array
    most: Array
    beyond: float


def gap(reference: Reference, bank: Bank, edges: Array) -> Gap:
    """Bounds of |f| / |b| between consecutive edges (increasing), and outside of all."""
    least, most = on_intervals(reference, bank, edges[:-1], edges[1:])
    return Gap(least, most, beyond(reference, bank, edges[0], edges[-1]))


def on_intervals(reference: Reference, bank: Bank, low: Array, high: Array) -> tuple[Array, Array]:
    """|f| / |b| at the centre of each interval at least, and on all of it at most."""
    b, step = float(norm(reference.b)), max(1, CHUNK // len(reference.b))
    parts = [_intervals(reference, bank, low[k : k + step], high[k : k + step]) for k in range(0, len(low), step)]
    least, most = (np.concatenate([p[k] for p in parts]) for k in range(2))
    return np.maximum(least, 0.0) / (b * SAFE), most * SAFE / b


def beyond(reference: Reference, bank: Bank, low: float, high: float) -> float:
    """A bound of |f| / |b| at all frequencies below `low` and above `high`."""
    below, above, far = (np.full(1, edge) for edge in (min(low, 0.0), max(high, 0.0), np.inf))
    left = reference.size(-below) + bank.size(-far, below, 1)
    right = reference.size(above) + bank.size(above, far, 1)
    return float(np.maximum(left[0], right[0])) * SAFE / float(norm(reference.b))


def _intervals(reference: Reference, bank: Bank, low: Array, high: Array) -> tuple[Array, Array]:
    n, middle = len(reference.b), (low + high) / 2.0
    half = np.maximum(high - middle, middle - low) * SAFE
    nearest = np.maximum(np.maximum(low, -high), 0.0)
    (x, dx, *terms), (y, dy, *sizes) = reference.state(middle), bank.state(middle)
    wrong, wrong_slope = (64.0 * (n + 16.0) * UNIT * (t + s) for t, s in zip(terms, sizes, strict=True))
    f, slope = x - y, dx - dy
    at, along, inner = norm(f), norm(slope), np.abs(np.real(f.conj() * slope).sum(0))
    inner = inner + 8.0 * (n + 8.0) * UNIT * at * along
    straight = np.sqrt(np.square(at) + 2.0 * half * inner + np.square(half * along)) * SAFE
    bent = half * half / 2.0 * (reference.bend(nearest) + 2.0 * bank.size(low, high, 3)) * SAFE
    return at * (2.0 - SAFE) - wrong, straight + wrong + half * wrong_slope + bent
