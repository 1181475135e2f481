"""The flows that data are made of: an equation, where it begins, when it is looked at."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow import initial
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.solver import spectra
from wellposed.numerics.vorticity import to_field, to_spectrum


@dataclass(frozen=True)
class Family:
    """A kind of flow.

    Attributes:
        equation: resolution -> equation. start: (resolution, samples, seed) -> initial vorticity (samples, n, n).
        warm_up: what passes before the first frame. spacing: between frames. horizon: what an answer should cover.
        step: the longest step of ETDRK4; None: as of `solve`.
    """

    name: str
    equation: Callable[[int], NavierStokes2D]
    start: Callable[[int, int, int], Tensor]
    warm_up: float
    spacing: float
    horizon: float
    step: float | None = None


def forced(viscosity: float = 1e-3) -> Family:
    """The benchmark of FNO: the unit square, f = (sin + cos)(2π(x + y)) / 10, from a Gaussian field. Li et al., ICLR 2021."""
    def force(x: Tensor, y: Tensor) -> Tensor:
        return 0.1 * (torch.sin(2 * math.pi * (x + y)) + torch.cos(2 * math.pi * (x + y)))

    return Family("forced", lambda n: NavierStokes2D(viscosity, n, force, length=1.0), initial.gaussian_field, 5.0, 0.2, 4.0, 0.05)


def decaying(viscosity: float = 1e-3) -> Family:
    """Decaying isotropic turbulence. McWilliams, J. Fluid Mech. 146 (1984)."""
    return Family("decaying", lambda n: NavierStokes2D(viscosity, n), initial.mcwilliams, 4.5, 0.055, 0.55)


def kolmogorov(viscosity: float = 1e-2, drag: float = 0.1, wave: int = 4) -> Family:
    """Kolmogorov flow: the force sin(wave y) in x, with drag, from turbulence. Kochkov et al., PNAS 118 (2021), in two dimensions."""
    return Family("kolmogorov", lambda n: NavierStokes2D(viscosity, n, lambda x, y: -wave * torch.cos(wave * y) + 0 * x, drag),
                  initial.mcwilliams, 10.0, 0.1, 2.0)


def taylor_green(viscosity: float = 1e-2) -> Family:
    """Vortices that decay without changing, of amplitudes from 1 to 2: the exact solution is known."""
    def start(n: int, samples: int, seed: int) -> Tensor:
        strengths = 1 + torch.rand(samples, 1, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return initial.taylor_green(n) * strengths

    return Family("taylor-green", lambda n: NavierStokes2D(viscosity, n), start, 0.0, 0.1, 1.0)


FAMILIES: dict[str, Callable[..., Family]] = {
    "forced": forced, "decaying": decaying, "kolmogorov": kolmogorov, "taylor-green": taylor_green}


def frames(family: Family, resolution: int, samples: int, count: int, seed: int = 0,
           spacing: float | None = None) -> Float[Tensor, "samples count y x"]:
    """Frames after the warm-up, equally spaced in time, truncated to the modes that are kept.

    Args:
        count: of frames, at least one. spacing: None for the family's.

    Raises:
        ValueError: numbers out of range.
        ArithmeticError: the flow is not resolved and has diverged.
    """
    spacing = family.spacing if spacing is None else spacing
    if count < 1 or not 0 < spacing < math.inf:
        raise ValueError(f"received a count of {count} and a spacing of {spacing}, expected at least one frame and a positive time")
    equation, w = family.equation(resolution), to_spectrum(family.start(resolution, samples, seed))
    if count == 1 and not family.warm_up:
        return to_field(w * equation.modes.kept, resolution)[:, None]
    times = family.warm_up + spacing * torch.arange(count, dtype=torch.float64)
    times = torch.cat([times.new_zeros(1), times]) if family.warm_up else times
    return to_field(spectra(equation, w, times, family.step)[:, -count:], resolution)
