"""Linear parabolic equations on a periodic square, whose error is known exactly: heat, Stokes flow, Oseen flow.

    ∂w/∂t + curl div(b ⊗ u) = ν Δw - α w + f on [0, L]², all with mean zero; b = 0 but for Oseen flow, α = 0 but for Stokes flow

For heat w is the temperature, and sizes are its own; else w = curl u, and sizes are those of the velocity u. Oseen flow is that of the
*velocity*, ∂u/∂t + P(b·∇)u = ν Δu + F. Its vorticity is not carried by b alone: curl (b·∇)u = b·∇w + ∂b/∂x·∇u_y - ∂b/∂y·∇u_x, and it takes
all three terms for advection to be skew in the velocity.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from wellposed.flow.equation import Array, Forcing, NavierStokes2D, balanced, without_nyquist
from wellposed.numerics.vorticity import Modes, Spectrum, resample, to_field, to_spectrum, velocity


class Parabolic:
    """What the three equations share.

    Attributes:
        box: the square, ν, α and f, kept as those of a flow; of its equation everything is meant but the advection.
        name: "heat", "stokes" or "oseen". order: the size of w is |w| = (Σ |k|^(2 order) |ŵ_k|²)^½: 0 for heat, -1 for velocities.
        background: b's vorticity, nodal values (n, n), None where b = 0; `background_spectrum` its coefficients without frequencies of
            n/2. mean_velocity: the mean of b.
    """

    name: ClassVar[str]
    order: ClassVar[int] = -1
    box: NavierStokes2D
    background: Float[Tensor, "y x"] | None = None
    background_spectrum: Spectrum | None = None
    mean_velocity: tuple[float, float] = (0.0, 0.0)

    @property
    def resolution(self) -> int:
        return self.box.resolution

    @property
    def length(self) -> float:
        return self.box.length

    @property
    def modes(self) -> Modes:
        return self.box.modes

    def fields(self, values: Array, what: str, axes: int) -> Tensor:
        """As `NavierStokes2D.fields`."""
        return self.box.fields(values, what, axes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.box.viscosity:g}, {self.resolution}, length={self.length:g})"

    def rate(self, modes: Modes) -> Float[Tensor, "n half"]:
        """K = ν |k|² + α, at which each mode decays."""
        return self.box.viscosity * modes.square + self.box.drag

    def energy(self, modes: Modes) -> Float[Tensor, "n half"]:
        """E = |k|^(2 order), twice that for entries of the half spectrum that stand for two modes, zero for the mean."""
        twice = torch.full_like(modes.square, 2.0)
        twice[:, 0] = twice[:, -1] = 1.0
        twice[0, 0] = 0.0
        return twice * modes.inverse if self.order else twice

    @cached_property
    def fine(self) -> Modes:
        """Of 2n x 2n nodes, which hold products of the data's modes exactly."""
        return Modes.of(2 * self.resolution, length=self.length)

    @cached_property
    def wind(self) -> Float[Tensor, "2 y x"]:
        """b at 2n x 2n nodes: divergence-free, as the velocity of a vorticity, and a constant."""
        n, fine = self.resolution, self.fine
        mean = torch.tensor(self.mean_velocity, dtype=torch.float64)[:, None, None]
        if self.background_spectrum is None:
            return mean.expand(2, 2 * n, 2 * n)
        return to_field(torch.stack(velocity(resample(self.background_spectrum, n, 2 * n), fine)), 2 * n) + mean

    @property
    def gust(self) -> float:
        """A bound of |b_x| + |b_y| anywhere, and of what rounding may add to it."""
        mean = sum(map(abs, self.mean_velocity))
        if self.background is None or self.background_spectrum is None:
            return mean
        waves = (2 * math.sqrt(2) * self.modes.inverse.sqrt() * self.background_spectrum.abs()).sum()
        return mean + float(waves + 8 / self.box.lowest * self.background.square().mean().sqrt())

    def transport(self, w: Spectrum) -> Complex[Tensor, "... double half"]:
        """curl div(b ⊗ u) of a spectrum w on n x n nodes, on 2n x 2n nodes."""
        n, fine = self.resolution, self.fine
        b, d = self.wind
        u, v = to_field(torch.stack(velocity(resample(w, n, 2 * n), fine)), 2 * n)
        difference, up, down = to_spectrum(torch.stack([b * u - d * v, b * v, d * u]))
        return fine.x * fine.y * difference - fine.x**2 * up + fine.y**2 * down


class Heat2D(Parabolic):
    """∂w/∂t = κ Δw + f: diffusion of a scalar with mean zero.

    Args:
        diffusivity: κ > 0. resolution: n, even, at least 8: nodes per axis of every field.
        source: f, constant in time, mean zero: nodal values (n, n), axes (y, x), or a function of arrays x, y. length: L > 0.

    Raises:
        ValueError: numbers out of range; a source of another shape, not finite, or whose mean is not zero.
    """

    name = "heat"
    order = 0

    def __init__(self, diffusivity: float, resolution: int, source: Forcing | None = None, length: float = 2 * math.pi) -> None:
        try:
            self.box = NavierStokes2D(diffusivity, resolution, None, 0.0, length)
        except ValueError as error:
            raise ValueError(str(error).replace("viscosity:", "diffusivity:")) from None
        f = balanced(source, "source", self.resolution, self.length, "a source of what has mean zero")
        self.box = NavierStokes2D(diffusivity, resolution, f, 0.0, length)


class Stokes2D(Parabolic):
    """∂u/∂t + ∇p = ν Δu - α u + F, div u = 0, by the vorticity; f = curl F.

    Args:
        viscosity: ν > 0. resolution: n, even, at least 8. forcing: f, as `NavierStokes2D` takes it. drag: α ≥ 0. length: L > 0.

    Raises:
        ValueError: numbers out of range; a forcing of another shape, not finite, or whose mean is not zero.
    """

    name = "stokes"

    def __init__(self, viscosity: float, resolution: int, forcing: Forcing | None = None, drag: float = 0.0,
                 length: float = 2 * math.pi) -> None:
        self.box = NavierStokes2D(viscosity, resolution, forcing, drag, length)


class Oseen2D(Parabolic):
    """∂u/∂t + (b·∇)u + ∇p = ν Δu + F, div u = 0, by the vorticity; b does not depend on time.

    Args:
        viscosity: ν > 0. resolution: n, even, at least 8.
        background: the vorticity of b, mean zero, nodal values (n, n) or a function of arrays x, y; frequencies of n/2 are left out.
            None for a b that is constant.
        forcing: f = curl F, as `NavierStokes2D` takes it. mean_velocity: the mean of b. length: L > 0.

    Raises:
        ValueError: numbers out of range; fields of another shape, not finite, or whose mean is not zero.
    """

    name = "oseen"

    def __init__(self, viscosity: float, resolution: int, background: Forcing | None, forcing: Forcing | None = None,
                 mean_velocity: tuple[float, float] = (0.0, 0.0), length: float = 2 * math.pi) -> None:
        self.box = NavierStokes2D(viscosity, resolution, forcing, 0.0, length)
        still = torch.zeros(self.resolution, self.resolution, dtype=torch.float64)
        given = balanced(background, "background", self.resolution, self.length)
        self.background = still if given is None else given
        self.background_spectrum = without_nyquist(to_spectrum(self.background))
        if len(mean_velocity) != 2 or not all(math.isfinite(c) for c in mean_velocity):
            raise ValueError(f"mean_velocity: received {mean_velocity}, expected two finite numbers, in x and in y; leave it out for a "
                             "background whose mean is zero")
        self.mean_velocity = float(mean_velocity[0]), float(mean_velocity[1])

