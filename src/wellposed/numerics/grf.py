"""Gaussian random fields N(0, (-Laplace + tau^2)^-alpha) on the unit square with Neumann conditions."""

from __future__ import annotations

import numpy as np
from scipy.fft import idctn

MODES = 512


def gaussian_field(n: int, rng: np.random.Generator, alpha: float = 2.0, tau: float = 3.0) -> np.ndarray:
    """One field at the centres of n x n cells, (n, n), axes (y, x).

    The first 512 x 512 modes are drawn, whatever n is, so that one seed gives one function at every resolution
    (truncated to its n x n modes).

    Args:
        alpha: smoothness. tau: inverse length scale.

    Source: Lord, Powell and Shardlow, An Introduction to Computational Stochastic PDEs (2014), chapter 7.
    """
    most = max(n, MODES)
    noise = np.empty((most, most))
    noise[:MODES, :MODES] = rng.standard_normal((MODES, MODES))
    if most > MODES:
        noise[MODES:, :] = rng.standard_normal((most - MODES, most))
        noise[:MODES, MODES:] = rng.standard_normal((MODES, most - MODES))
    k = np.arange(n) ** 2
    weight = tau ** (alpha - 1) * (np.pi**2 * (k[:, None] + k) + tau**2) ** (-alpha / 2)
    spectrum = n * weight * noise[:n, :n]
    spectrum[0, 0] = 0.0
    return np.asarray(idctn(spectrum, norm="ortho"))
