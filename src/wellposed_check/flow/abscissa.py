"""Does every error of this flow grow by at most the factor e^(mu t), as far as the flow itself makes it grow?

The flow v has the vorticity sum_p w_p e^(i 2 pi p.x / L), p of whole numbers. With S its symmetric gradient, S = (a b; b -a),

    a_p = -p_x p_y w_p / |p|^2,    b_p = (p_x^2 - p_y^2) w_p / (2 |p|^2),    |a_p|^2 + |b_p|^2 = |w_p|^2 / 4.

An error e, periodic, of mean zero and divergence-free, is e_k = i (sin t, -cos t) z_k, k = |k| (cos t, sin t), z_-k = conj z_k, and

    -((e.grad) v, e) = sum over k, k' of conj(z_k) A_kk' z_k',    A_kk' = a_(k-k') cos(t + t') + b_(k-k') sin(t + t').

THEOREM. Let s bound the largest eigenvalue of -S at every x, and split the modes into a box |k_i| <= K and the others, C what couples
them. If D = mu + drag + nu |k|^2 - s > 0 on all the others and mu + drag + nu |k|^2 - A - C* D^-1 C >= 0 on the box, then
-((e.grad) v, e) - nu |grad e|^2 - drag |e|^2 <= mu |e|^2 for every e. (Among the others -S <= s. That leaves a quadratic form, whose
Schur complement is the second condition.) If a part of v whose |w_p| add up to 2 d is left out of C, mu + d is proved: |S_p| <= |w_p| / 2.

ROUNDING, u = 2^-53, q = half the sum of all |w_p|, so that |A|, |C| <= q, and <= 2 q with absolute values of all entries, in the real
coordinates below. Entries are wrong by 12 u |w_p| / 2 at most: 24 u q in norm. The product of m rows is wrong by (m + 32) u 4 q^2 / min D.
Cholesky's factorization of n rows, run to its end for H, shows that H >= -(n + 2) u trace H / (1 - ..) (Demmel 1989, Rump 2006), however
sums are ordered. All of it at least doubled is subtracted from the diagonal before; D is rounded down.
"""

from __future__ import annotations

import math

import numpy as np

UNIT, SAFE, LARGEST = 2.0**-53, 1.0 + 2.0**-40, 2.0**200
MOST = 42  # a box of 7,224 unknowns
CHUNK = 2**20
Array = np.ndarray


def proved(field: Array, viscosity: float, drag: float, length: float, strain: float, box: int, mu: float, *, galerkin: bool) -> bool:
    """Whether mu is shown to be a bound by the box |k_i| <= box.

    field: w_p as in band.py, (2 N + 1, N + 1), rows p_y = 0..N, -N..-1, columns p_x = 0..N. The other half is its conjugate; of the column
    p_x = 0 the Hermitian part is the field, as irfft2 has it, and w_0 does not matter. strain: s, a bound at every x that is proved
    elsewhere. galerkin: of errors with |k_i| <= N alone; otherwise of all. With box 0, mu >= s - nu (2 pi / L)^2 - drag is asked.
    """
    band, numbers = field.shape[-1] - 1, np.array([viscosity, length, strain, mu, drag])
    if field.shape != (2 * band + 1, band + 1) or not (np.abs(field) < LARGEST).all() or not (np.abs(numbers) < LARGEST).all():
        return False
    if min(viscosity, length) < 1.0 / LARGEST or min(strain, drag) < 0.0 or not 0 <= box <= MOST or band < 1:
        return False
    a, b, size = _strain(field)
    box, unit = min(box, band) if galerkin else box, viscosity * (2.0 * math.pi / length) ** 2
    reach = max(0, int(np.argmax(size <= 2.0**-16 * strain)) - 1) if box else band  # without a box there is no C
    outer = min(band, box + reach) if galerkin else box + reach
    least = math.inf
    if not galerkin or box < band:
        mu -= float(size[reach + 1])
        least = float(_outside(unit * (box + 1.0) ** 2 + drag, mu, strain))
        if not least > 0.0:
            return False
    return box == 0 or _positive((a, b), float(size[0]), unit, drag, strain, box, outer, mu, least)


def _positive(table: tuple[Array, Array], q: float, unit: float, drag: float, strain: float, box: int, outer: int, mu: float,
              least: float) -> bool:
    inside, others = _modes(0, box), _modes(box, outer)
    d, m = unit * _squares(inside) + drag, 2 * others.shape[1] if least < math.inf else 0
    h = -_entries(table, inside, inside)
    for k in np.array_split(others, 1 + m * len(d) // CHUNK, axis=1) if m else ():
        c = _entries(table, k, inside) / np.sqrt(_outside(unit * _squares(k) + drag, mu, strain))[:, None]
        h -= c.T @ c
    n = len(d)
    margin = 2.0 * (n + 4) * (n * abs(mu) + d.sum()) + 64.0 * (abs(mu) + d.max() + q) + 8.0 * (m + 64) * q * q / least
    h[np.diag_indices(n)] += mu + d - UNIT * margin
    try:
        return bool(np.isfinite(np.linalg.cholesky(h)).all())
    except np.linalg.LinAlgError:
        return False


def _strain(field: Array) -> tuple[Array, Array, Array]:
    """a and b for p_y, p_x = -N..N, and half the sum of |w_p| over max(|p_y|, |p_x|) >= r for r = 0..N + 1, rounded up."""
    n = field.shape[1] - 1
    p = np.arange(-n, n + 1.0)
    right = np.roll(field, n, axis=0).astype(np.complex128)
    right[:, 0] = (right[:, 0] + right[::-1, 0].conj()) / 2.0
    right[n, 0] = 0.0
    w = np.concatenate([right[::-1, :0:-1].conj(), right], axis=1)
    square = np.add.outer(p * p, p * p)
    square[n, n] = 1.0
    shell = np.maximum.outer(np.abs(p), np.abs(p)).astype(int).ravel()
    size = np.append(np.cumsum(np.bincount(shell, np.abs(w).ravel())[::-1])[::-1], 0.0) / 2.0 * SAFE
    return w * (np.multiply.outer(-p, p) / square), w * (np.subtract.outer(-p * p, -p * p) / (2.0 * square)), size


def _modes(inner: int, outer: int) -> Array:
    """Rows k_y and k_x: one of each pair of k and -k with inner < max(|k_y|, |k_x|) <= outer."""
    y, x = (k.ravel() for k in np.meshgrid(np.arange(outer + 1), np.arange(-outer, outer + 1), indexing="ij"))
    chosen = ((y > 0) | (x > 0)) & (np.maximum(y, np.abs(x)) > inner)
    return np.stack([y[chosen], x[chosen]])


def _squares(k: Array) -> Array:
    return np.tile((k * k).sum(0), 2).astype(float)


def _outside(dissipation: Array | float, mu: float, strain: float) -> Array:
    """D, rounded down."""
    return np.asarray(mu + dissipation - strain) - 2.0**-48 * (2.0 * abs(mu) + dissipation + strain)


def _entries(table: tuple[Array, Array], rows: Array, columns: Array) -> Array:
    """A in real coordinates x, y, orthonormal: z_k = (x_k + i y_k) / sqrt 2 for one of each pair of k and -k; all x before all y.

    With P_kk' = A_kk' and Q_kk' = A_k,-k' it is (Re P + Re Q, -Im P + Im Q; Im P + Im Q, Re P - Re Q).
    """
    reach = int(np.abs(rows).max() + np.abs(columns).max())
    band, width = len(table[0]) // 2, 2 * reach + 1
    cut, pad = max(band - reach, 0), max(reach - band, 0)
    a, b = (np.pad(x[cut : len(x) - cut, cut : len(x) - cut], pad).ravel() for x in table)
    (y, x), (v, u) = rows[:, :, None], columns[:, None]
    lengths = np.sqrt((y * y + x * x) * (v * v + u * u))
    cosine, sine = (x * u - y * v) / lengths, (y * u + x * v) / lengths
    minus, plus = ((y + sign * v + reach) * width + x + sign * u + reach for sign in (-1, 1))
    p = a[minus] * cosine + b[minus] * sine
    q = -a[plus] * cosine - b[plus] * sine  # the angle of -k' is larger by pi
    return np.block([[p.real + q.real, q.imag - p.imag], [p.imag + q.imag, p.real - q.real]])
