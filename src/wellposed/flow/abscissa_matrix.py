"""How a flow makes its errors grow, as a matrix: -P S(v), S the symmetric gradient of v and P the projection on divergence-free fields.

    e_k = i (k_y, -k_x) / |k| z_k,    |e|² = Σ|z_k|²,    -((e·∇)v, e) = Σ conj(z_k) A_kk' z_k',
    A_kk' = ŵ_p (k × k') (|k|² - |k'|²) / (2 |p|² |k| |k'|),    p = k - k',    so that |A_kk'| ≤ |ŵ_p| / 2.

Real fields have z_-k = conj z_k. With z_k = (α_k + i β_k) / √2 for one k of each pair ±k, α and β are orthonormal coordinates of e and
the matrix is real and symmetric. Wave vectors are whole numbers here: A does not depend on the side of the square.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Complex, Float, Int
from scipy.linalg import eigh, get_lapack_funcs
from scipy.sparse.linalg import LinearOperator, eigsh

Array = np.ndarray
(POTRF,) = get_lapack_funcs(("potrf",), dtype=np.float64)
DENSE = 200  # unknowns up to which Lanczos does not pay
CACHE = 2**15  # entries of one array that is computed at once, so that several stay in the cache
WaveVectors = Int[Array, "2 _"]
"""Rows k_y and k_x, one of each pair ±k."""


def half_plane(inner: int, outer: int) -> WaveVectors:
    """One of each pair ±k with `inner` < max(|k_y|, |k_x|) ≤ `outer`, in the order of k_y."""
    y, x = np.mgrid[: outer + 1, -outer : outer + 1].reshape(2, -1)
    chosen = ((y > 0) | (x > 0)) & (np.maximum(y, abs(x)) > inner)
    return np.stack([y[chosen], x[chosen]])


def squares(k: WaveVectors) -> Float[Array, " coordinates"]:
    """|k|² of every coordinate, those of the real parts first."""
    return np.tile((k**2).sum(0), 2).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Stretching:
    """A for one flow v.

    Attributes:
        band: N, the largest |k_i| that v may have.
        amplitude: ŵ_p / (2 |p|²) for p_y, p_x = -N..N.
    """

    band: int
    amplitude: Complex[Array, "rows columns"]

    @staticmethod
    def of(vorticity: Complex[Array, "n half"]) -> Stretching:
        """From `rfft2` over n², n even, whose modes have |k_i| < n/3; or these alone, rows k_y = 0..N, -N..-1, as `Band` has them.

        The column k_x = 0 is made Hermitian, as `irfft2` does; no velocity belongs to the mean.

        Raises:
            ValueError: another shape, numbers that are not finite, modes outside of the band.
        """
        w, n = np.asarray(vorticity), len(vorticity)
        band = n // 2 if n % 2 else (n - 1) // 3
        if w.shape != (n, n // 2 + 1) or n < 3 or not np.iscomplexobj(w) or not np.isfinite(w).all():
            raise ValueError(f"vorticity_spectrum: received {w.dtype} of the shape {w.shape}, finite: {np.isfinite(w).all()}; expected "
                             "finite complex numbers, (n, n/2 + 1) with n even or (2 N + 1, N + 1): the spectrum of one field")
        y = np.arange(-band, band + 1)
        right = w[y, : band + 1].astype(np.complex128)
        more = np.count_nonzero(w) - np.count_nonzero(right)
        if more:
            raise ValueError(f"vorticity_spectrum: received {more} modes with |k_i| > {band}, expected none; multiply by Modes.kept, and "
                             "add the strain of what that drops to the bound")
        right[:, 0] = (right[:, 0] + right[::-1, 0].conj()) / 2
        right[band, 0] = 0.0
        whole = np.concatenate([right[::-1, :0:-1].conj(), right], axis=1)
        square = np.add.outer(y**2, y**2).astype(np.float64)
        square[band, band] = 1.0
        return Stretching(band, whole / (2 * square))

    @cached_property
    def sizes(self) -> Float[Array, " radii"]:
        """½ Σ |ŵ_p| over max(|p_y|, |p_x|) ≥ r for r = 0..N + 1: at least the norm of what these modes of v add to A. Rounded up."""
        p = np.arange(-self.band, self.band + 1)
        shells = np.bincount(np.maximum.outer(abs(p), abs(p)).ravel(), (np.abs(self.amplitude) * np.add.outer(p**2, p**2)).ravel())
        return np.append(np.cumsum(shells[::-1])[::-1], 0.0) * (1 + 2.0**-40)

    @property
    def mean_strain(self) -> float:
        """The root mean square over x of √(a² + b²)."""
        p = np.square(np.arange(-self.band, self.band + 1))
        return float(np.sqrt(np.square(np.abs(self.amplitude) * np.add.outer(p, p)).sum()))

    def within(self, reach: int) -> Stretching:
        """Of the part of v with |p_i| ≤ `reach`."""
        reach, cut = min(reach, self.band), max(self.band - reach, 0)
        return Stretching(reach, self.amplitude[cut : cut + 2 * reach + 1, cut : cut + 2 * reach + 1])

    def matrix(self, rows: WaveVectors, columns: WaveVectors) -> Float[Array, "rows columns"]:
        """The real block of A, coordinates α before β; each entry to 8 units in the last place of the two that it is made of."""
        reach = int(abs(rows).max() + abs(columns).max())
        v = self.within(reach)
        table = np.pad(v.amplitude, reach - v.band)
        width, (m, n) = 2 * reach + 1, (rows.shape[1], columns.shape[1])
        real, imaginary = np.real(table).copy(), np.imag(table).copy()
        at, other = (rows[0] + reach) * width + rows[1] + reach, columns[0] * width + columns[1]
        k2, l2 = (rows**2).sum(0), (columns**2).sum(0)
        out = np.empty((2, m, 2, n))
        for start in range(0, m, max(1, CACHE // n)):
            part = slice(start, start + max(1, CACHE // n))
            weight = np.multiply.outer(rows[1, part], columns[0]) - np.multiply.outer(rows[0, part], columns[1])
            weight = weight * np.subtract.outer(k2[part], l2) / np.sqrt(np.multiply.outer(k2[part], l2))
            minus, plus = np.subtract.outer(at[part], other), np.add.outer(at[part], other)
            a, b = weight * real.take(minus), weight * real.take(plus)
            out[0, part, 0], out[1, part, 1] = a - b, a + b
            a, b = weight * imaginary.take(minus), weight * imaginary.take(plus)
            out[1, part, 0], out[0, part, 1] = a - b, -(a + b)
        return out.reshape(2 * m, 2 * n)


def largest_eigenvalue(h: Float[Array, "n n"], scale: float) -> tuple[float, Float[Array, " n"]]:
    """The largest eigenvalue and its eigenvector, found and not proved; `scale` is more than its negative."""
    n = len(h)
    if n <= DENSE:
        values, vectors = eigh(h, subset_by_index=(n - 1, n - 1), check_finite=False)
        return float(values[0]), vectors[:, 0]
    shifted = LinearOperator(h.shape, matvec=lambda x: h @ x + scale * x, dtype=h.dtype)  # type: ignore[call-arg]
    start = np.random.default_rng(0).standard_normal(n)
    values, vectors = eigsh(shifted, k=1, which="LA", v0=start, tol=1e-4)  # type: ignore[arg-type]  # relative: hence not to 0
    return float(values[0]) - scale, vectors[:, 0]


def is_definite(h: Float[Array, "n n"], mu: float) -> bool:
    """Whether Cholesky's factorization of μ - h runs to its end."""
    f = -h
    f[np.diag_indices_from(f)] += mu
    factor, failed = POTRF(f.T, lower=1, clean=0, overwrite_a=1)
    return not failed and bool(np.isfinite(np.diagonal(factor)).all())

