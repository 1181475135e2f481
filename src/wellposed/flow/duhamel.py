"""The error of a trajectory of a linear equation itself, exactly in time, by Duhamel's formula.

    e(t) = exp(-A t) e(0) - ∫_0^t exp(-A (t - s)) R(s) ds,      A = K for heat and Stokes flow, K + P curl div(b ⊗ ·) for Oseen flow

A is diagonal in Fourier modes, or made so by its eigenvectors; R is a polynomial on each slab, and the integral is exact for each mode.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from wellposed.flow.equation import Array, without_nyquist
from wellposed.flow.linear import Parabolic
from wellposed.flow.linear_residual import admitted, basis, cut, residual
from wellposed.flow.slabs import Slabs
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import Modes, Spectrum, resample, to_spectrum

STIFF, QUADRATURE, DEGREE, LARGEST = 32.0, 40, 20, 24


def memory(z: np.ndarray, degree: int, points: np.ndarray) -> np.ndarray:
    """Weights of ∫_0^σ exp(-z (σ - s)) p(s) ds at σ = `points` in [0, 1], for p by its values at Chebyshev-Lobatto points of [0, 1].

    For |z| < 32 by Gauss's rule, of which 40 nodes leave (e |z| / 320)^80 < 1e-40. Beyond, q = (z + d/ds)^{-1} p is a polynomial, and the
    integral q(σ) - exp(-z σ) q(0); the system is well conditioned there and singular at 0.

    Args:
        z: (modes,), real or complex, with real parts that are not negative.

    Returns:
        (modes, points, degree + 1).
    """
    x, w = chebyshev.gauss(QUADRATURE)
    basis = chebyshev.values(degree, (points[:, None] * x).ravel()).reshape(len(points), QUADRATURE, degree + 1)
    out = np.empty((len(z), len(points), degree + 1), dtype=z.dtype)
    soft = np.abs(z) < STIFF
    decay = np.exp(-z[soft, None, None] * points[:, None] * (1 - x)) * w * points[:, None]
    out[soft] = np.einsum("kpg,pgj->kpj", decay, basis)
    if soft.all():
        return out
    stiff = z[~soft, None, None]
    q = np.linalg.inv(stiff * np.eye(degree + 1) + chebyshev.derivatives(degree, chebyshev.lobatto(degree)))
    out[~soft] = chebyshev.values(degree, points) @ q - np.exp(-stiff * points[:, None]) * q[:, :1]
    return out


def exact_error(equation: Parabolic, trajectory: Trajectory, vorticity: Array | None = None, against: str = "pde") -> Slabs:
    """The error w - v as spectra, by polynomials of degree 20 on slabs short enough to hold its exponentials to 1e-13.

    Args:
        as `parabolic_error`. The error of Oseen flow is that from the Galerkin system, and its resolution at most 24: the matrix is dense.

    Raises:
        ValueError: as `parabolic_error`; Oseen flow against "pde" or on more nodes.
    """
    slabs, first = admitted(equation, trajectory, vorticity)
    if equation.background is not None and (against != "galerkin" or equation.resolution > LARGEST):
        raise ValueError(f"exact_error: received Oseen flow on {equation.resolution} nodes against {against!r}, expected at most {LARGEST} "
                         "and \"galerkin\": only a truncated system has finitely many modes, and its matrix is dense")
    start = cut(equation, without_nyquist(to_spectrum(first)), against) - slabs.values[:, 0, 0]
    modes = _Eigenmodes(equation) if equation.background is not None else _Fourier(equation)
    e, edges, pieces = modes.to(start), [slabs.edges[:1]], []
    nodes = basis(slabs.degree, chebyshev.lobatto(slabs.degree))
    for s, width in enumerate(slabs.widths.tolist()):
        cuts = _cuts(modes.rates * width)
        points = (cuts[:-1, None] + np.diff(cuts)[:, None] * chebyshev.lobatto(DEGREE)).ravel()
        z, back = np.unique(modes.rates * width, return_inverse=True)
        weights = torch.from_numpy(memory(z, slabs.degree, points)[back] * width)
        r = modes.to(residual(equation, slabs, s, nodes, against))
        decay = torch.from_numpy(np.exp(-np.outer(points, modes.rates * width)))
        found = decay * e[:, None] - torch.einsum("kpj,bjk->bpk", weights.to(r.dtype), r)
        pieces.append(modes.back(found).unflatten(1, (len(cuts) - 1, DEGREE + 1)))
        edges.append(slabs.edges[s] + width * torch.from_numpy(cuts[1:]))
        e = found[:, -1]
    return Slabs(torch.cat(edges), torch.cat(pieces, 1))


def _cuts(z: np.ndarray) -> np.ndarray:
    """Of [0, 1], towards 0 until exp(-z σ) is gentle, and evenly for its oscillations."""
    halvings = max(0, math.ceil(math.log2(max(float(np.real(z).max()), 1.0) / 4)))
    waves = math.ceil(float(abs(np.imag(z)).max()) / 4)
    return np.unique(np.concatenate([[0.0], 2.0 ** -np.arange(halvings + 1.0), np.linspace(0, 1, 1 + waves)]))


class _Fourier:
    """Where A is diagonal."""

    def __init__(self, equation: Parabolic) -> None:
        self.shape = equation.modes.square.shape
        self.rates = equation.rate(equation.modes).flatten().numpy()

    def to(self, w: Spectrum) -> Tensor:
        return w.flatten(-2)

    def back(self, x: Tensor) -> Spectrum:
        return x.unflatten(-1, self.shape)


class _Eigenmodes:
    """Eigenvectors of A on the modes that are kept, as real vectors: real and imaginary parts of those that determine the others."""

    def __init__(self, equation: Parabolic) -> None:
        m: Modes = equation.modes
        self.own = (m.kept > 0) & ((m.x > 0) | (m.y > 0))
        unit = self._spectra(torch.eye(2 * int(self.own.sum())).double())
        n = equation.resolution
        image = equation.rate(m) * unit + resample(equation.transport(unit), 2 * n, n)
        self.rates, vectors = (x.astype(complex) for x in np.linalg.eig(self._vectors(image).T.numpy()))
        self.vectors = torch.from_numpy(vectors)

    def to(self, w: Spectrum) -> Tensor:
        x = self._vectors(w).to(torch.complex128)
        return torch.linalg.solve(self.vectors, x.flatten(0, -2).T).T.reshape(x.shape)

    def back(self, x: Tensor) -> Spectrum:
        return self._spectra((x @ self.vectors.T).real)

    def _vectors(self, w: Spectrum) -> Tensor:
        return torch.view_as_real(w[..., self.own]).flatten(-2)

    def _spectra(self, x: Tensor) -> Spectrum:
        w = torch.zeros(*x.shape[:-1], *self.own.shape, dtype=torch.complex128)
        w[..., self.own] = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        w[..., 0] += w[..., 0].flip(-1).roll(1, -1).conj()
        return w
