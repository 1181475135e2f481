"""The equation: incompressible flow in two dimensions on a periodic square, by its vorticity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.numerics.vorticity import Modes, Spectrum, to_spectrum

Array = np.ndarray | Tensor
Forcing = Array | Callable[[Tensor, Tensor], Tensor]
UNBALANCED = 1e-9


@dataclass(frozen=True, init=False, eq=False)
class NavierStokes2D:
    """∂w/∂t + u·∇w = ν Δw - α w + f on the torus [0, L]², w = curl u, both with mean zero.

    The box, the viscosity and the forcing carry the units: lengths in that of `length`, time in that in which ν is given.

    Args:
        viscosity: ν > 0. resolution: n, even, at least 8: nodes per axis of every field.
        forcing: f, the curl of the force, constant in time: nodal values (n, n), axes (y, x), or a function of arrays x, y. It is its
            trigonometric interpolant; frequencies of n/2 are left out.
        drag: α ≥ 0. length: L > 0.

    Raises:
        ValueError: numbers out of range; a forcing of another shape, not finite, or whose mean is not zero.
    """

    viscosity: float
    resolution: int
    forcing: Float[Tensor, "y x"] | None
    drag: float
    length: float

    def __init__(self, viscosity: float, resolution: int, forcing: Forcing | None = None, drag: float = 0.0,
                 length: float = 2 * math.pi) -> None:
        n = resolution
        if not isinstance(n, int | np.integer) or n % 2 or n < 8:
            raise ValueError(f"resolution: received {n}, expected an even whole number of at least 8; resample the fields, for example "
                             "with wellposed.numerics.vorticity.resample")
        for name, value, least in (("viscosity", viscosity, 0.0), ("length", length, 0.0), ("drag", drag, -1.0)):
            fits = isinstance(value, int | float | np.number) and least < value and (value == 0 or 2.0**-60 <= value <= 2.0**60)
            if not fits:
                wanted = "a number of at least zero, from 1e-18 if not zero" if name == "drag" else "a positive number, from 1e-18 to 1e18"
                raise ValueError(f"{name}: received {value}, expected {wanted}; check its sign "
                                 "and its unit")
        fields = {"viscosity": float(viscosity), "resolution": int(n), "drag": float(drag), "length": float(length)}
        for name, value in (fields | {"forcing": balanced(forcing, "forcing", int(n), float(length))}).items():
            object.__setattr__(self, name, value)

    @property
    def nodes(self) -> tuple[Tensor, Tensor]:
        """x and y of the nodes, both (n, n)."""
        return _nodes(self.resolution, self.length)

    @cached_property
    def modes(self) -> Modes:
        """Wave numbers of this box, on the CPU."""
        return Modes.of(self.resolution, length=self.length)

    @cached_property
    def forcing_spectrum(self) -> Spectrum | None:
        """Fourier coefficients of f, without frequencies of n/2."""
        return None if self.forcing is None else without_nyquist(to_spectrum(self.forcing))

    @property
    def lowest(self) -> float:
        """2π / L, the least wave number."""
        return 2 * math.pi / self.length

    def fields(self, values: Array, what: str, axes: int) -> Tensor:
        """Checked nodal values in float64 with `axes` axes, the last two of them n x n; a missing first axis is added.

        Raises:
            ValueError: another shape, numbers that are not finite or not real.
        """
        n, w = self.resolution, torch.as_tensor(values)
        if w.is_complex() or w.ndim not in (axes - 1, axes) or w.shape[-2:] != (n, n) or not w.numel():
            shape = ("batch", "time", n, n)[4 - axes:] if axes == 4 else ("batch", n, n)
            raise ValueError(f"{what}: received {w.dtype} of the shape {tuple(w.shape)}, expected real numbers "
                             f"({', '.join(map(str, shape))}), nodal values on the {n} x {n} grid of the equation; resample the field or "
                             "give another resolution")
        w = w.to(torch.float64)
        if not torch.isfinite(w).all():
            where = tuple(int(i) for i in (~torch.isfinite(w)).nonzero()[0])
            raise ValueError(f"{what}: received {w[where].item()} at {where}, expected finite numbers; the run that made it has diverged "
                             "or has gaps: mend or cut it first")
        if not _moderate(float(w.abs().max())):
            raise ValueError(f"{what}: received numbers up to {w.abs().max():.3g}, expected up to something from 1e-30 to 1e30, where "
                             "squares neither overflow nor vanish; choose other units")
        return w[None] if w.ndim == axes - 1 else w


def _moderate(value: float) -> bool:
    """Whether squares of it, and of what is 1e-17 of it, neither overflow nor vanish."""
    return value == 0 or 2.0**-100 <= value <= 2.0**100


def without_nyquist(w: Spectrum) -> Spectrum:
    """Without frequencies of n/2, whose sign cannot be told, n even."""
    w, n = w.clone(), w.shape[-2]
    w[..., n // 2, :] = 0.0
    w[..., n // 2] = 0.0
    return w


def _nodes(n: int, length: float) -> tuple[Tensor, Tensor]:
    x = length * torch.arange(n, dtype=torch.float64) / n
    y, x = torch.meshgrid(x, x, indexing="ij")
    return x, y


def balanced(forcing: Forcing | None, what: str, n: int, length: float, why: str = "the curl of a field on a box") -> Tensor | None:
    """Nodal values (n, n) with mean zero, from an array or from a function of x and y.

    Raises:
        ValueError: another shape, numbers that are not finite, a mean that is not zero; `what` and `why` are said.
    """
    if forcing is None:
        return None
    f = torch.as_tensor(forcing(*_nodes(n, length)) if callable(forcing) else forcing, dtype=torch.float64)
    if f.shape != (n, n) or not torch.isfinite(f).all():
        raise ValueError(f"{what}: received the shape {tuple(f.shape)}, finite: {bool(torch.isfinite(f).all())}; expected ({n}, {n}) "
                         "finite nodal values, axes (y, x), or a function of arrays x and y that returns them")
    lost = f - torch.fft.irfft2(without_nyquist(torch.fft.rfft2(f)), s=(n, n))
    if lost.abs().max() > UNBALANCED * f.abs().max():
        raise ValueError(f"{what}: received frequencies of n/2 of the size {lost.abs().max():.3g}, expected none, as their sign cannot be "
                         "told at the nodes; take a finer grid, or filter them out")
    if f.mean().abs() > UNBALANCED * f.abs().max():
        raise ValueError(f"{what}: received a mean of {f.mean().item():.3g}, expected zero: it is {why}; "
                         "subtract the mean")
    return f
