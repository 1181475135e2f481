"""Where flows begin: vorticity (samples, n, n), float64, mean zero.

Sample k of a random field depends on (seed, k) alone. Its noise has frequencies below `DRAWN` / 2, whatever the resolution, and a field
on n x n nodes those of them below n/2: one seed gives one flow at every resolution, truncated.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.equation import without_nyquist
from wellposed.numerics.vorticity import Spectrum, resample, to_field

DRAWN = 256
Fields = Float[Tensor, "samples y x"]


def mcwilliams(resolution: int, samples: int = 1, seed: int = 0, length: float = 2 * math.pi, peak: float = 4.0) -> Fields:
    """Isotropic turbulence that is left to decay: |ψ̂| ~ 1 / (k (1 + (k / peak)⁴)) and random phases, the mean of |u|² one half.

    The energy is that of all frequencies drawn; a truncation has a little less.

    Args:
        resolution: n, even, at least 8. length: of the side. peak: the frequency k, waves per side, near which the energy is.

    Raises:
        ValueError: numbers out of range.

    Source: McWilliams, J. Fluid Mech. 146 (1984); his density is taken as an amplitude, as torch-cfd does.
    """
    _check(resolution, samples, length=length, peak=peak)
    k = _frequencies()

    def one(noise: Spectrum) -> Spectrum:
        w = noise * (k / (1 + (k / peak) ** 4))
        twice = torch.where(torch.arange(w.shape[-1]) > 0, 2.0, 1.0)  # columns of the spectrum but the first stand for two
        energy = (twice * (w.abs() / k.clamp(min=1.0)) ** 2).sum()
        return w * (2 * math.pi / length / (2 * energy).sqrt())

    return _drawn(one, resolution, samples, seed)


def gaussian_field(resolution: int, samples: int = 1, seed: int = 0, alpha: float = 2.5, tau: float = 7.0, length: float = 1.0) -> Fields:
    """Gaussian random fields on the unit square with covariance 2 τ^(2α - 2) (-Δ + τ²)^-α, stretched to `length`.

    By default 2 · 7³ (-Δ + 49)^-2.5, the initial vorticity of the Navier-Stokes benchmark of FNO.

    Args:
        resolution: n, even, at least 8. alpha: smoothness, above 1. tau: inverse length scale on the unit square.

    Raises:
        ValueError: numbers out of range.

    Source: Li et al., Fourier Neural Operator, ICLR 2021, A.3.3; the factor 2 is that of their public generator.
    """
    _check(resolution, samples, length=length, tau=tau, **{"alpha - 1": alpha - 1})
    amplitude = math.sqrt(2) * tau ** (alpha - 1) * (4 * math.pi**2 * _frequencies() ** 2 + tau**2) ** (-alpha / 2)
    return _drawn(lambda noise: noise * amplitude, resolution, samples, seed)


def taylor_green(resolution: int, wave: int = 1, strength: float = 1.0, length: float = 2 * math.pi, viscosity: float = 0.0,
                 drag: float = 0.0, time: float = 0.0) -> Fields:
    """w = 2 A κ cos(κx) cos(κy) exp(-(2νκ² + α) t), κ = 2π wave / length: vortices that decay exactly so; u has the amplitude A at first.

    Raises:
        ValueError: numbers out of range; a wave that a truncation to frequencies below n/3 drops.

    Source: Taylor and Green, Proc. R. Soc. Lond. A 158 (1937).
    """
    _check(resolution, 1, length=length, wave=wave)
    if 3 * wave >= resolution:
        raise ValueError(f"wave: received {wave} on {resolution} nodes per axis, expected less than {resolution / 3:.4g}; give more nodes")
    x, k = 2 * math.pi * wave * torch.arange(resolution, dtype=torch.float64) / resolution, 2 * math.pi * wave / length
    return 2 * strength * k * math.exp(-(2 * viscosity * k**2 + drag) * time) * (torch.cos(x)[:, None] * torch.cos(x))[None]


def _drawn(shaped: Callable[[Spectrum], Spectrum], n: int, samples: int, seed: int) -> Fields:
    """Fields of the spectra that `shaped` makes of white noise, one by one: the last bits of a batched transform depend on the batch."""
    spectra = (shaped(_noise(seed, k)) for k in range(samples))
    return torch.cat([to_field(without_nyquist(resample(w, DRAWN, n)), n) for w in spectra])


def _noise(seed: int, k: int) -> Spectrum:
    """The spectrum (1, n, half) of white noise with unit mean square, without mean."""
    noise = torch.from_numpy(np.random.default_rng([seed, k]).standard_normal((1, DRAWN, DRAWN)))
    w = without_nyquist(torch.fft.rfft2(noise) / DRAWN)
    w[:, 0, 0] = 0.0
    return w


def _frequencies() -> Float[Tensor, "n half"]:
    """In waves per side."""
    return torch.from_numpy(np.hypot(np.arange(DRAWN // 2 + 1), np.fft.fftfreq(DRAWN, 1 / DRAWN)[:, None]))


def _check(resolution: int, samples: int, **positive: float) -> None:
    if resolution < 8 or resolution % 2 or samples < 1:
        raise ValueError(f"received resolution {resolution} and samples {samples}, expected an even number of nodes per axis, at least 8, "
                         "and at least one sample")
    for name, value in positive.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: received {value}, expected a positive number")
