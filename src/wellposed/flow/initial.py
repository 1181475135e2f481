"""Where flows begin: vorticity fields (samples, n, n), float64, mean zero.

Random fields are drawn on one fixed grid of modes and then truncated, so that one seed gives one flow at every resolution.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.numerics.vorticity import Modes, Spectrum, resample, to_field, to_spectrum

DRAWN = 256  # nodes per axis of the noise: fields on more have no finer scales
Fields = Float[Tensor, "samples y x"]


def mcwilliams(resolution: int, samples: int = 1, seed: int = 0, length: float = 2 * math.pi, peak: float = 4.0) -> Fields:
    """Isotropic turbulence that will decay, with the mean of |u|² one half.

    Args:
        resolution: n, even. length: of the side; wave numbers and `peak` are in units of 2π / length.

    Source: McWilliams, J. Fluid Mech. 146 (1984): a stream function of random phases, |ψ̂| ~ 1/(k (1 + (k/peak)⁴)), as in Cao et al. (2025).
    """
    modes = Modes.of(DRAWN)
    k = modes.square.sqrt() / (2 * math.pi)
    amplitude = torch.where(k > 0, k**2 / (k.clamp(min=1.0) * (1 + (k / peak) ** 4)), 0.0)  # of ψ, times k²: of the vorticity
    w = _noise(samples, seed) * amplitude * modes.kept
    twice = torch.full_like(k[:1], 2.0)
    twice[:, [0, -1]] = 1.0
    energy = (twice * w.abs().square() / k.clamp(min=1.0).square()).sum((-2, -1), keepdim=True)
    return to_field(resample(w / (2 * energy).sqrt() * (2 * math.pi / length), DRAWN, resolution), resolution)


def gaussian_field(resolution: int, samples: int = 1, seed: int = 0, alpha: float = 2.5, tau: float = 7.0) -> Fields:
    """A Gaussian random field on the unit square, by default that of the Navier-Stokes benchmark of FNO.

    √2 Re Σ_k σ_k ξ_k e^(2πi k·x), σ_k = τ^(α - 1) (4π²|k|² + τ²)^(-α/2), ξ complex white with unit real and imaginary parts.

    Source: Li et al., Fourier Neural Operator for Parametric Partial Differential Equations, ICLR 2021, A.3.3.
    """
    rng = np.random.default_rng(seed)
    k = np.fft.fftfreq(DRAWN, 1 / DRAWN)
    sigma = tau ** (alpha - 1) * (4 * np.pi**2 * (k[:, None] ** 2 + k**2) + tau**2) ** (-alpha / 2)
    sigma[0, 0] = 0.0
    white = rng.standard_normal((2, samples, DRAWN, DRAWN))
    w = np.fft.ifft2(math.sqrt(2) * sigma * (white[0] + 1j * white[1]), norm="forward").real
    return to_field(resample(to_spectrum(torch.from_numpy(w)), DRAWN, resolution), resolution)


def taylor_green(resolution: int, wave: int = 1, strength: float = 1.0, length: float = 2 * math.pi) -> Fields:
    """w = 2 A κ cos(κx) cos(κy), κ = 2π wave / length: it decays as exp(-2νκ²t), its advection vanishes; u has the amplitude A.

    Source: Taylor and Green, Proc. R. Soc. Lond. A 158 (1937).
    """
    x = 2 * math.pi * wave * torch.arange(resolution, dtype=torch.float64) / resolution
    return (4 * math.pi * wave / length * strength * torch.cos(x)[:, None] * torch.cos(x))[None]


def _noise(samples: int, seed: int) -> Spectrum:
    """Spectra of real white noise."""
    white = np.random.default_rng(seed).standard_normal((samples, DRAWN, DRAWN))
    return to_spectrum(torch.from_numpy(white)) * DRAWN
