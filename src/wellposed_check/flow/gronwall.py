"""The error of polynomials in time against the flow: residual, rate of strain, Gronwall's inequality, none of them sampled.

    R = dv/dt + P(v.grad)v - nu Lap v + alpha v - f;   d|e|/dt <= (lambda - nu (2 pi / L)^2 - alpha)|e| + |R|,   e = u - v
    lambda = max over x of sqrt(a^2 + b^2), a = dv1/dx, b = (dv1/dy + dv2/dx)/2

SPEC.md, section 10, says why this holds and where the margins come from.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.polynomial import chebyshev, legendre

from wellposed_check.canonical import demand
from wellposed_check.flow.abscissa import proved
from wellposed_check.flow.band import UNIT, Array, Band, product_grid
from wellposed_check.flow.evidence import PIECES, Flow, Polynomials
from wellposed_check.flow.interpolation import along, interpolation, points

SUBDIVISIONS = 16
TINY = 2.0**-400  # of sizes: squares of what is below it may vanish
LOST = 200.0  # units of rounding for each node of the grid: what inner products of at most 2 n² numbers may lose


def inner_products(flow: Flow, whole: Polynomials, against: str) -> tuple[Array, Array]:
    """Of R at the 2 degree + 1 Gauss nodes of each slab (samples, slabs, nodes, nodes), and how far |R| may be off by rounding."""
    band, degree = Band.kept(flow.n, flow.length), whole.degree
    out = band if against == "galerkin" else Band(2 * band.top, flow.length)
    m = product_grid(out.top + 2 * band.top)
    x, _ = legendre.leggauss(2 * degree + 1)
    value, slope = interpolation(degree, x), interpolation(degree, x, derivative=True)
    force = Band(min(flow.n // 2 - 1, out.top), flow.length)
    forced = 80 * (flow.n - 1).bit_length() * UNIT * np.sqrt(np.mean(flow.forcing**2)) / band.x[1]
    f = force.widened(force.of(flow.forcing), out.top)
    linear, weight = flow.viscosity * band.square + flow.drag, np.sqrt(out.twice * out.psi)
    digits = 80 * (m - 1).bit_length() + 16 * (degree + 4) * (1 + 2 / np.pi * np.log(degree + 1))
    grams, roundings = [], []
    for s, width in enumerate(np.diff(whole.edges)):
        v = whole.values[:, s]
        w, change = along(value, v), v - v[:, :1]
        u1, u2, vorticity = (band.nodal(q, m) for q in (1j * band.y * band.psi * w, -1j * band.x * band.psi * w, w))
        transport = 1j * out.x * out.of(u1 * vorticity) + 1j * out.y * out.of(u2 * vorticity)
        own = band.widened(along(2 / width * slope, change) + linear * w, out.top) - f
        r = ((own + transport) * weight).reshape(*w.shape[:2], -1)
        grams.append((r @ r.conj().swapaxes(-1, -2)).real)
        moved = (2 / width * np.abs(slope) @ band.speed(change)[..., None])[..., 0]
        strong, root = np.abs(vorticity).max((-2, -1)), np.sqrt(band.square)
        product = band.speed(w) * strong + np.sqrt((u1**2 + u2**2).max((-2, -1))) * band.speed(root * w)
        scale = moved.max(-1) + band.speed(linear * w).max(-1) + out.speed(f) + product.max(-1)
        roundings.append(digits * UNIT * scale + forced + TINY)
    return np.stack(grams, 1), np.stack(roundings, 1)


def strain(band: Band, w: Array, m: int) -> Array:
    """A bound of lambda: its largest value at m x m nodes, and (spacing^2 / 8) sum |k|^2 |w_k|, for where it peaks the slope is zero."""
    psi = band.psi * w
    a, b = band.nodal(-band.x * band.y * psi, m), band.nodal((band.x**2 - band.y**2) / 2 * psi, m)
    return (np.sqrt((a**2 + b**2).max((-2, -1))) + (band.length / m) ** 2 / 8 * band.total(band.square * np.abs(w))) * (1 + 1e-9)


def over_time(flow: Flow, whole: Polynomials, against: str, times: Array) -> Array:
    """A bound of |u - v| at `times`, (samples, times), v the polynomials; u is the exact solution of the system from `flow.initial`."""
    band, edges = Band.kept(flow.n, flow.length), whole.edges
    gram, rounding = inner_products(flow, whole, against)
    e = np.add(*apart(flow.initial, band, whole.values[:, 0, 0], against == "pde"))
    lost = LOST * UNIT * flow.n**2
    found = np.full((len(e), len(times)), np.nan)
    found[:, 0] = e
    for s, (a, b) in enumerate(pairwise(edges)):
        v, width = whole.values[:, s], b - a
        if s:
            e = e + band.speed(v[:, 0] - whole.values[:, s - 1, -1])
        inside = np.flatnonzero((times > a) & (times <= b))
        place = (times[inside] - a) / width
        cuts = np.unique(np.concatenate([np.arange(SUBDIVISIONS + 1) / SUBDIVISIONS, place]))
        h = np.diff(cuts) * width
        rho = np.sqrt(_squares(gram[:, s], lost, cuts) * h) + rounding[:, s, None] * np.sqrt(h)
        at = _ends(flow, whole, s, against)
        mean, most = _rates(band, v, at, cuts)
        z = 2 * h * most
        small = np.abs(z) < 1e-8
        factor, added = np.exp(h * mean), rho * np.sqrt(h * np.where(small, 1 + z, np.expm1(z) / np.where(small, 1.0, z)))
        for i, right in enumerate(cuts[1:]):
            e = factor[:, i] * e + added[:, i]
            found[:, inside[place == right]] = e[:, None]
    return found * (1 + 1e-9)


def _ends(flow: Flow, whole: Polynomials, s: int, against: str) -> Array:
    """The rate of growth at the ends of the pieces of a slab, (samples, pieces + 1): by the strain, or as the witness has it, proved."""
    band, v = Band.kept(flow.n, flow.length), whole.values[:, s]
    w = along(interpolation(whole.degree, np.linspace(-1, 1, PIECES + 1)), v)
    speeds = strain(band, w, whole.grid)
    at = speeds - flow.viscosity * band.x[1] ** 2 - flow.drag
    if whole.abscissas is None:
        return at
    for sample in range(len(w)):
        for p in range(1 if s else 0, PIECES + 1):
            mu, box = whole.abscissas[sample, s * PIECES + p]
            follows = proved(w[sample, p], flow.viscosity, flow.drag, flow.length, float(speeds[sample, p]), int(box), float(mu),
                             galerkin=against == "galerkin")
            demand(follows and box == int(box), "an abscissa does not follow from the witness")
            at[sample, p] = mu
    if s:
        at[:, 0] = whole.abscissas[:, s * PIECES, 0] + band.total(np.abs(v[:, 0] - whole.values[:, s - 1, -1])) / 2 * (1 + 1e-9)
    return at


def _squares(gram: Array, lost: float, cuts: Array) -> Array:
    """The mean of |R|² over each interval between cuts of a slab, in [0, 1]; (samples, intervals)."""
    x, weights = legendre.leggauss(gram.shape[-1])
    to_legendre = (np.arange(len(x)) + 0.5)[:, None] * legendre.legvander(x, len(x) - 1).T * weights
    at = cuts[:-1, None] + np.diff(cuts)[:, None] * (1 + x) / 2
    q = legendre.legvander(2 * at - 1, len(x) - 1) @ to_legendre
    square = ((q @ gram[:, None]) * q).sum(-1) @ (weights / 2)
    return np.maximum(square, 0.0) + lost * np.trace(gram, axis1=1, axis2=2)[:, None]


def _rates(band: Band, v: Array, at: Array, cuts: Array) -> tuple[Array, Array]:
    """Of growth between cuts, the mean and the largest. Lambda is convex, and at most half the sum of a spectrum's moduli."""
    degree = v.shape[1] - 1
    bends, to_coefficients = [], np.linalg.inv(chebyshev.chebvander(points(degree), degree))
    for piece in range(PIECES):
        x = 2 * (piece + (1 + points(degree)) / 2) / PIECES - 1
        above = along((to_coefficients @ interpolation(degree, x))[2:], v)
        bends.append(band.total(np.abs(above).sum(1)) * (1 + 1e-9))
    piece = np.minimum((cuts[:-1] + cuts[1:]) / 2 * PIECES, PIECES - 1).astype(int)
    low, high = (at[:, piece] + (at[:, piece + 1] - at[:, piece]) * np.clip(q * PIECES - piece, 0.0, 1.0) for q in (cuts[:-1], cuts[1:]))
    extra = np.stack(bends, -1)[:, piece]
    return (low + high) / 2 + extra, np.maximum(low, high) + extra


def apart(frames: Array, band: Band, w: Array, whole: bool = True) -> tuple[Array, Array]:
    """|u - v| where u has the nodal vorticity `frames` and v the spectrum w, without `whole` of the modes kept alone; and its rounding."""
    n = frames.shape[-1]
    wide = np.fft.rfft2(frames, norm="forward")
    kx, ky = 2 * np.pi / band.length * np.arange(n // 2 + 1.0), 2 * np.pi / band.length * np.fft.fftfreq(n, 1 / n)[:, None]
    weights = np.where(np.arange(n // 2 + 1) % (n // 2) > 0, 2.0, 1.0) / np.where(kx**2 + ky**2 > 0, kx**2 + ky**2, np.inf)
    rough = np.sqrt(np.mean(frames**2, (-2, -1))) / kx[1]
    inside = band.of(frames)
    inner = band.speed(inside - w)
    wide[..., : band.top + 1, : band.top + 1] = wide[..., n - band.top:, : band.top + 1] = 0.0
    outer = (weights * np.abs(wide) ** 2).sum((-2, -1)) if whole else 0.0
    return np.sqrt(inner**2 + outer), 100 * (n - 1).bit_length() * UNIT * rough + TINY
