"""The residual of polynomials in time for a linear equation, exactly, and what rounding may hide of it.

    R = ∂v/∂t + curl div(b ⊗ u_v) + K v - f,      v with the modes |k_i| < n/3

"pde": the equation itself. Nodal values are those of trigonometric polynomials without frequencies of n/2, and R keeps all its modes.
"galerkin": the system of the modes |k_i| < n/3. R and all data but b are truncated to them, and P curl div(b ⊗ ·) is still skew there.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from wellposed.flow.bound import frames_of, polynomials
from wellposed.flow.equation import Array
from wellposed.flow.linear import Parabolic
from wellposed.flow.residual import UNIT
from wellposed.flow.slabs import Slabs, apply
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import Field, Spectrum, resample

RELATIVE, TINY, JOINED, BALANCED = 1e-11, 2.0**-300, 1e-12, 1e-9


def admitted(equation: Parabolic, trajectory: Trajectory, vorticity: Array | None = None) -> tuple[Slabs, Field]:
    """The trajectory as polynomials in the modes that are kept, spectra of real fields to the last bit, and the initial field.

    Raises:
        ValueError: fields or coefficients that do not fit the equation or are not finite; polynomials that do not join; an initial field
            whose mean is not zero.
    """
    slabs = polynomials(equation.box, trajectory, frames_of(equation.box, trajectory)[0])
    v = slabs.values.to(torch.complex128).resolve_conj().clone()
    v[..., 0, 0] = 0.0
    v[..., 0] = (v[..., 0] + v[..., 0].flip(-1).roll(1, -1).conj()) / 2
    if not torch.isfinite(torch.view_as_real(v)).all() or (v[:, 1:, 0] - v[:, :-1, -1]).norm() > JOINED * v.norm():
        raise ValueError("trajectory: received coefficients that are not finite or polynomials that do not join, expected one continuous "
                         "function of time; give the frames alone, and a spline is laid through them")
    v[:, 1:, 0] = v[:, :-1, -1]
    if vorticity is None:
        first = trajectory.vorticity[:, 0]
        return Slabs(slabs.edges, v), first - first.mean((-2, -1), keepdim=True)
    first = equation.box.fields(vorticity, "vorticity", 3)
    mean = first.mean((-2, -1)).abs()
    if len(first) not in (1, len(v)) or (mean > BALANCED * first.abs().amax((-2, -1))).any():
        raise ValueError(f"vorticity: received {len(first)} fields for {len(v)} trajectories, with means up to {float(mean.max()):.3g}; "
                         "expected one field for each or for all, with mean zero; subtract the mean")
    return Slabs(slabs.edges, v), first.expand(len(v), -1, -1)


Basis = tuple[np.ndarray, np.ndarray]


def basis(degree: int, points: np.ndarray) -> Basis:
    """Values at the Lobatto points of a slab -> values and slopes at `points` in [0, 1]; (points, degree + 1)."""
    return chebyshev.values(degree, points), chebyshev.derivatives(degree, points)


def residual(equation: Parabolic, slabs: Slabs, s: int, at: Basis, against: str) -> Complex[Tensor, "batch points m half"]:
    """R of slab s where `at` says: on n x n nodes, or on 2n x 2n where it has modes beyond them."""
    v, n, (value, slope) = slabs.values[:, s], equation.resolution, at
    w, w_t = apply(value, v), apply(slope / float(slabs.widths[s]), v - v[:, :1])  # rows of the matrix sum to zero
    f = equation.box.forcing_spectrum
    own = equation.rate(equation.modes) * w - (0.0 if f is None else cut(equation, f, against))
    moved = material(equation, w, w_t, against)
    return moved + resample(own, n, moved.shape[-2])


def material(equation: Parabolic, w: Spectrum, w_t: Spectrum, against: str) -> Spectrum:
    """∂w/∂t + curl div(b ⊗ u)."""
    if equation.background is None:
        return w_t
    n, moved = equation.resolution, equation.transport(w)
    return w_t + cut(equation, resample(moved, 2 * n, n), against) if against == "galerkin" else resample(w_t, n, 2 * n) + moved


def cut(equation: Parabolic, w: Spectrum, against: str) -> Spectrum:
    """Data as the system that is named by `against` has them."""
    return w * equation.modes.kept if against == "galerkin" else w


def squares(w: Tensor, weights: Tensor) -> Tensor:
    """Sums over modes."""
    return ((w.real.square() + w.imag.square() if w.is_complex() else w.square()) * weights).sum((-2, -1))


def dual(equation: Parabolic, against: str) -> Float[Tensor, "m half"]:
    """E / K, which weighs |R|²_V', on the nodes on which R is."""
    modes = equation.fine if equation.background is not None and against == "pde" else equation.modes
    energy = equation.energy(modes)
    return torch.where(energy > 0, energy / torch.where(energy > 0, equation.rate(modes), 1.0), 0.0)


def rounding(equation: Parabolic, slabs: Slabs, first: Field, value: Tensor) -> Float[Tensor, " batch"]:
    """By how much `value` may be off: as a norm, by no more than the norm of the rounding errors of R and of the data."""
    degree, f, box = slabs.degree, equation.box.forcing_spectrum, equation.box
    points, weights = chebyshev.gauss(degree + 1)
    most, steep = (torch.from_numpy(abs(x).max(1)) for x in basis(degree, points))
    rate, heavy, energy = equation.rate(equation.modes), dual(equation, "galerkin"), equation.energy(equation.modes)
    own, carried = torch.zeros(2, len(value)).double()
    for s, width in enumerate(slabs.widths.tolist()):
        v, w = slabs.values[:, s], width * torch.from_numpy(weights)
        change, total = ((x.abs().sum(1))[:, None] for x in (v - v[:, :1], v))
        terms = (steep / width)[:, None, None] * change + most[:, None, None] * rate * total + (0.0 if f is None else f.abs())
        own += squares(terms, heavy) @ w
        carried += squares(total, energy)[:, 0] * (w @ most**2)
    slowest, span = box.viscosity * box.lowest**2 + box.drag, float(slabs.edges[-1] - slabs.edges[0])
    forced = 0.0 if box.forcing is None else math.sqrt(span / slowest * float(box.forcing.square().mean()))
    data = box.lowest**equation.order * (first.square().mean((-2, -1)).sqrt() + forced)
    transforms = equation.gust * (carried / box.viscosity).sqrt() + data
    level = 80 * (2 * equation.resolution - 1).bit_length()
    return RELATIVE * value + UNIT * (2 * (degree + 16) * own.sqrt() + level * transforms) + TINY
