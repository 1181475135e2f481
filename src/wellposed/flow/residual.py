"""How far polynomials in time are from solving the equation: the residual, exactly, and what rounding may hide of it.

    R = ∂v/∂t + P(v·∇)v - νΔv + αv - f,    norms are root mean squares of velocities: |R|² = Σ |R̂_k|² / |k|², R̂ that of vorticity

On a slab where v has degree M, R has degree 2M in time, and products of modes up to N have modes up to 2N: 2M + 1 Gauss nodes and a grid of
4N + 1 points, or 3N + 1 for the modes kept, hold it all. Nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.band import Band, Box
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.slabs import Slabs, apply
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import Modes, Spectrum, whole_grid

SYSTEMS = ("galerkin", "pde")
UNIT = 2.0**-53
TINY = 2.0**-400  # of sizes: squares of what is below it may vanish
MARGIN = 1.25  # of rounding errors, which are others in the checker's own transforms


@dataclass(frozen=True, eq=False)
class Residual:
    """Of each slab.

    Attributes:
        gram: inner products of R at the Gauss nodes, (batch, slabs, nodes, nodes); nodes = 2 degree + 1.
        rounding: (batch, slabs), by how much |R| may be off at any time: a bound of the rounding errors of its evaluation.
    """

    gram: Float[Tensor, "batch slabs nodes nodes"]
    rounding: Float[Tensor, "batch slabs"]

    @property
    def norm(self) -> Float[Tensor, "batch slabs"]:
        """(the mean over the slab of |R|²)^(1/2)."""
        weights = torch.from_numpy(chebyshev.gauss(self.gram.shape[-1])[1])
        return (self.gram.diagonal(dim1=-2, dim2=-1) * weights).sum(-1).sqrt()

    def over_time(self, slabs: Slabs) -> Float[Tensor, " batch"]:
        """(∫|R|² dt)^(1/2) over the slabs that it is of."""
        return (self.norm.square() * slabs.widths).sum(-1).sqrt()


def residual(equation: NavierStokes2D, slabs: Slabs, against: str = "galerkin") -> Residual:
    """The residual of polynomials whose modes are those kept, against the Galerkin system or the whole equation.

    Args:
        against: "galerkin", modes |k_i| < n/3 only, or "pde".

    Raises:
        ValueError: another `against`.
    """
    grams, margins = [], []
    for r, rounding in at_gauss(equation, slabs, against):
        flat = torch.view_as_real(r).flatten(-3)
        grams.append(flat @ flat.mT)
        margins.append(rounding)
    return Residual(torch.stack(grams, 1), torch.stack(margins, 1))


def at_gauss(equation: NavierStokes2D, slabs: Slabs, against: str) -> Iterator[tuple[Box, Tensor]]:
    """For each slab R / |k| at its Gauss nodes, (batch, nodes, rows, columns), so weighted that sums of squares are norms; its rounding."""
    if against not in SYSTEMS:
        raise ValueError(f"against: received {against!r}, expected one of {', '.join(SYSTEMS)}: two claims that are never mixed")
    n, degree = equation.resolution, slabs.degree
    band = Band.kept(n, equation.length)
    out = band if against == "galerkin" else Band(2 * band.top, equation.length)
    m = n if against == "galerkin" else whole_grid(2 * -(-4 * band.top // 3))
    points, _ = chebyshev.gauss(2 * degree + 1)
    value, slope = chebyshev.values(degree, points), chebyshev.derivatives(degree, points)
    linear, f = equation.viscosity * band.square + equation.drag, _forcing(equation, out)
    digits = UNIT * _digits(m, degree)
    driven = 0.0 if equation.forcing is None else float(equation.forcing.square().mean().sqrt()) / equation.lowest
    least = 80 * (n - 1).bit_length() * UNIT * driven + TINY
    for s, v in enumerate(band.cut(slabs.values).unbind(1)):
        rate = slope / float(slabs.widths[s])
        w, change = apply(value, v), v - v[:, :1]
        damped = linear * w
        transport, product = _transport(w, band, out, m)
        r = (band.widened(apply(rate, change) + damped, out.top) + transport - f) * out.weights
        moved = (torch.from_numpy(abs(rate)) @ band.speed(change)[..., None]).amax((-2, -1))
        yield r, digits * (moved + band.speed(damped).amax(-1) + out.speed(f) + product) + least


def _transport(w: Box, band: Band, out: Band, m: int) -> tuple[Box, Tensor]:
    """u·∇w = div(u w), and for each sample |u| max|w| + max|u| |w|, to which the rounding of products is proportional."""
    psi = w * band.inverse
    u, v, vorticity = band.nodal(torch.stack([1j * band.y * psi, -1j * band.x * psi, w]), m).unbind()
    p, q = out.of(torch.stack([u * vorticity, v * vorticity])).unbind()
    largest = torch.maximum(u.abs().amax((-2, -1)), v.abs().amax((-2, -1))) * 2**0.5
    product = band.speed(w) * vorticity.abs().amax((-2, -1)) + largest * band.speed(w * band.square.sqrt())
    return 1j * (out.x * p + out.y * q), product.amax(-1)


def _forcing(equation: NavierStokes2D, out: Band) -> Box:
    f, n = equation.forcing_spectrum, equation.resolution
    if f is None:
        return torch.zeros(2 * out.top + 1, out.top + 1, dtype=torch.complex128)
    whole = Band(n // 2 - 1, equation.length)
    return whole.widened(whole.cut(f), out.top)


def _digits(m: int, degree: int) -> float:
    """Units of rounding: 40 for each level of transforms there and back, 16 for each node of sums over nodes, see docs/theorems/flow.md."""
    return 80 * (m - 1).bit_length() + 16 * (degree + 4) * chebyshev.lebesgue(degree)


def speed(w: Spectrum, modes: Modes) -> Tensor:
    """The root mean square of the velocity whose vorticity has this spectrum, over the last two axes."""
    twice = torch.full_like(modes.x, 2.0)
    twice[..., [0, -1] if modes.n % 2 == 0 else [0]] = 1.0
    return torch.linalg.vector_norm(torch.view_as_real((w * (modes.inverse * twice).sqrt()).resolve_conj()), dim=(-3, -2, -1))


def apart(frames: Spectrum, w: Spectrum, modes: Modes) -> tuple[Tensor, Tensor]:
    """|u - v| of frames and of spectra w of polynomials, and by how much rounding of the frames' transforms may change it."""
    rough = torch.linalg.vector_norm(torch.view_as_real(frames.resolve_conj()), dim=(-3, -2, -1)) * 2**0.5 / float(modes.x[0, 1])
    return speed(frames - w, modes), MARGIN * (100 * (modes.n - 1).bit_length() * UNIT * rough + TINY)


def spectrum(equation: NavierStokes2D, slabs: Slabs,
             against: str = "pde") -> tuple[Float[Tensor, "batch shells"], Float[Tensor, "batch gauss"]]:
    """The residual over wave numbers and over time: ∫|R|² dt per shell of |k| L / 2π, rounded; and |R| at the Gauss nodes of all slabs."""
    shells: Tensor | None = None
    over_time = []
    for s, (r, _) in enumerate(at_gauss(equation, slabs, against)):
        band = Band(r.shape[-1] - 1, equation.length)
        shell = (band.square.sqrt() / equation.lowest).round().long().flatten()
        power = torch.view_as_real(r).square().sum(-1).flatten(-2)
        weights = torch.from_numpy(chebyshev.gauss(power.shape[1])[1]) * slabs.widths[s]
        whole = power.new_zeros(len(power), int(shell.max()) + 1).index_add_(1, shell, (power * weights[:, None]).sum(1))
        shells = whole if shells is None else shells + whole
        over_time.append(power.sum(-1).sqrt())
    assert shells is not None
    return shells, torch.cat(over_time, 1)
