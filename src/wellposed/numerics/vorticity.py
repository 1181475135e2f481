"""Two-dimensional incompressible flow on the periodic unit square, by its vorticity: pseudo-spectral, dealiased, ETDRK4.

    ∂w/∂t + u·∇w = ν Δw + f,    u = (∂ψ/∂y, -∂ψ/∂x),    -Δψ = w less its mean.

Spectra are `rfft2` of nodal values (samples, y, x) over n², that is, true Fourier coefficients. Modes with a frequency of n/3 or more
are held at zero; products of the others are then exact, so that what is integrated is a Galerkin truncation. Flow on a square of side
L is the same flow with ν/L² for ν. Everything is float64 and complex128.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

Field = Float[Tensor, "samples n n"]
Spectrum = Complex[Tensor, "samples n half"]
POINTS, RADIUS = 32, 2.0  # of the contour: with radius 1 it passes through 0 for h ν |k|² near 1 and loses three digits


@dataclass(frozen=True)
class Modes:
    """Wave numbers of n x n nodes.

    Attributes:
        x, y: 2π times the frequencies over the side of the square, (1, half) and (n, 1). square: |k|². inverse: 1 / |k|², 0 for the mean.
        kept: 1 where both frequencies are below n/3, else 0.
    """

    n: int
    x: Tensor
    y: Tensor
    square: Tensor
    inverse: Tensor
    kept: Tensor

    @staticmethod
    def of(n: int, device: torch.device | None = None, length: float = 1.0) -> Modes:
        x = torch.fft.rfftfreq(n, 1 / n, dtype=torch.float64, device=device)[None]
        y = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64, device=device)[:, None]
        kept = ((3 * x.abs() < n) & (3 * y.abs() < n)).to(torch.float64)
        x, y = 2 * math.pi / length * x, 2 * math.pi / length * y
        square = x**2 + y**2
        inverse = torch.where(square > 0, 1 / torch.where(square > 0, square, 1.0), 0.0)
        return Modes(n, x, y, square, inverse, kept)


def to_spectrum(w: Field) -> Spectrum:
    """Fourier coefficients of nodal values."""
    return torch.fft.rfft2(w.to(torch.float64), norm="forward")


def to_field(w: Spectrum, n: int) -> Field:
    """Nodal values on n x n nodes."""
    return torch.fft.irfft2(w, s=(n, n), norm="forward")


def velocity(w: Spectrum, modes: Modes) -> tuple[Spectrum, Spectrum]:
    """The velocity with this vorticity and mean zero, in x and in y."""
    psi = w * modes.inverse
    return 1j * modes.y * psi, -1j * modes.x * psi


def advection(w: Spectrum, modes: Modes) -> Spectrum:
    """-u·∇w, truncated to the modes that are kept; its mean is zero exactly."""
    u, v = velocity(w, modes)
    u, v, along_x, along_y = to_field(torch.stack([u, v, 1j * modes.x * w, 1j * modes.y * w]), modes.n)
    out = -to_spectrum(u * along_x + v * along_y) * modes.kept
    out[..., 0, 0] = 0.0
    return out


@dataclass(frozen=True)
class Exponential:
    """Multipliers of one step of length h of ETDRK4 with z = h λ, as functions of λ.

    Attributes:
        whole, half: exp(z), exp(z/2). stage: h φ₁(z/2) / 2. first, middle, last: h (φ₁ - 3φ₂ + 4φ₃), h (φ₂ - 2φ₃), h (4φ₃ - φ₂).
    """

    whole: Tensor
    half: Tensor
    stage: Tensor
    first: Tensor
    middle: Tensor
    last: Tensor

    @staticmethod
    def of(linear: Float[Tensor, "*modes"], step: float) -> Exponential:
        """Contour means, for real λ.

        Source: Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005).
        """
        assert linear.dtype == torch.float64, "contour points in single precision cost nine digits that no smaller step gives back"
        rates, where = torch.unique(linear, return_inverse=True)  # as many as there are lengths of k
        z = step * rates
        angle = math.pi * (torch.arange(POINTS, dtype=torch.float64, device=z.device) + 0.5) / POINTS
        r = z[..., None] + torch.polar(torch.full_like(angle, RADIUS), angle)  # real z: half a circle and the real part
        e = torch.exp(r)
        means = ((torch.exp(r / 2) - 1) / r, (-4 - r + e * (4 - 3 * r + r**2)) / r**3, (2 + r + e * (r - 2)) / r**3,
                 (-4 - 3 * r - r**2 + e * (4 - r)) / r**3)
        assert r.dtype == torch.complex128
        return Exponential(*(x[where] for x in (torch.exp(z), torch.exp(z / 2), *(step * m.mean(-1).real for m in means))))


class ETDRK4:
    """One step of the exponential Runge-Kutta method of order four: viscosity and drag exactly, advection and forcing explicitly.

    Args:
        modes: the nodes. viscosity: ν ≥ 0. step: its length in time.
        forcing: f as a spectrum on these nodes, constant in time; None for none. drag: α ≥ 0.

    Source: Cox and Matthews, J. Comput. Phys. 176 (2002). The reference of the fast steps in `wellposed.flow`.
    """

    def __init__(self, modes: Modes, viscosity: float, step: float, forcing: Spectrum | None = None, drag: float = 0.0) -> None:
        self.modes, self.forcing = modes, None if forcing is None else forcing * modes.kept
        c = Exponential.of(-viscosity * modes.square - drag, step)
        self.whole, self.half, self.stage, self.first, self.middle, self.last = c.whole, c.half, c.stage, c.first, c.middle, c.last

    def explicit(self, w: Spectrum) -> Spectrum:
        """What is integrated explicitly: -u·∇w + f."""
        out = advection(w, self.modes)
        return out if self.forcing is None else out + self.forcing

    def step(self, w: Spectrum) -> Spectrum:
        """The vorticity one step later."""
        at_start = self.explicit(w)
        a = self.half * w + self.stage * at_start
        at_a = self.explicit(a)
        b = self.half * w + self.stage * at_a
        at_b = self.explicit(b)
        c = self.half * a + self.stage * (2 * at_b - at_start)
        return self.whole * w + self.first * at_start + 2 * self.middle * (at_a + at_b) + self.last * self.explicit(c)


def resample(w: Spectrum, n: int, m: int) -> Spectrum:
    """The spectrum on m x m nodes of what is given on n x n, both at least 3: zeros are added, or frequencies from m/2 on dropped.

    A mode at the Nyquist frequency of n, if n is even, is split evenly between both signs, which makes the interpolant of least norm.
    """
    if m == n:
        return w
    top, k = (min(n, m) - 1) // 2, n // 2
    out = w.new_zeros(*w.shape[:-2], m, m // 2 + 1)
    for rows in (slice(0, top + 1), slice(-top, None)):
        out[..., rows, : top + 1] = w[..., rows, : top + 1]
        if m > n and n % 2 == 0:
            out[..., rows, k] = w[..., rows, k] / 2
    if m > n and n % 2 == 0:
        out[..., k, : k + 1] = out[..., -k, : k + 1] = w[..., k, :] / 2
        out[..., [k, -k], k] /= 2
    return out


def advance(w: Field, viscosity: float, interval: float, steps: int, forcing: Field | None = None, grid: int | None = None) -> Field:
    """The vorticity after `interval`, in `steps` equal steps.

    Args:
        w: nodal values, (samples, n, n); their trigonometric interpolant is where the flow starts, truncated to `grid`.
        forcing: f on the same nodes, constant in time.
        grid: nodes per axis to compute on; by default so many that all modes of n nodes are kept.
    """
    n, grid = w.shape[-1], grid or whole_grid(w.shape[-1])
    modes = Modes.of(grid, w.device)
    spectrum, f = (None if x is None else resample(to_spectrum(x), n, grid) for x in (w, forcing))
    assert spectrum is not None
    method, spectrum = ETDRK4(modes, viscosity, interval / steps, f), spectrum * modes.kept
    for _ in range(steps):
        spectrum = method.step(spectrum)
    return to_field(resample(spectrum, grid, n), n)


def whole_grid(n: int) -> int:
    """The least even number of nodes, with no prime factor above 5, whose kept modes include all those of n nodes."""
    m = 3 * (n // 2) + 1
    while m % 2 or _without(m) > 1:
        m += 1
    return m


def _without(m: int) -> int:
    for p in (2, 3, 5):
        while m % p == 0:
            m //= p
    return m


def converge(w: Field, viscosity: float, interval: float, forcing: Field | None = None, *, tol: float = 1e-8, grid: int | None = None,
             most: int = 2**16) -> tuple[Field, int]:
    """`advance` with steps halved until two results differ by at most 15 `tol` relatively: the error of the last is then about `tol`.

    Returns:
        the vorticity and the number of steps. The tolerance is of the integration in time, not of the truncation to `grid`.

    Raises:
        ArithmeticError: not within `most` steps.
    """
    steps = first_steps(w, interval, grid)
    last = advance(w, viscosity, interval, steps, forcing, grid)
    while 2 * steps <= most:
        steps *= 2
        new = advance(w, viscosity, interval, steps, forcing, grid)
        change, size = ((x**2).mean((-2, -1)).sqrt() for x in (new - last, new))
        if (change <= 15 * tol * size).all():
            return new, steps
        last = new
    raise ArithmeticError(f"the flow has not converged to {tol:g} within {most} steps: viscosity {viscosity:g}, interval {interval:g}; "
                          "ask for a shorter interval or a larger tolerance")


def first_steps(w: Field, interval: float, grid: int | None = None) -> int:
    """So many steps that at the start the fastest fluid crosses the shortest wave kept in about six of them."""
    n = w.shape[-1]
    u, v = (to_field(x, n) for x in velocity(to_spectrum(w), Modes.of(n, w.device)))
    speed = float((u**2 + v**2).max().sqrt())
    return max(1, math.ceil(interval * speed * 2 * math.pi * (grid or whole_grid(n)) / 3))
