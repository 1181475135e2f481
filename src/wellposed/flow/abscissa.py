"""How fast can an error of this flow grow at this moment, at most? A proved bound of the numerical abscissa.

An error e of the velocity field v obeys d|e|/dt ≤ λ_ν(v) |e| + |R|, R the residual of v and

    λ_ν(v) = sup over e of ( -((e·∇)v, e) - ν |∇e|² - α |e|² ) / |e|²,    e periodic, divergence-free, with mean zero.

The largest strain s = max λ[v] gives λ_ν ≤ s - ν (2π/L)² - α; it forgets that errors have a size, are divergence-free and diffuse. Here
the modes of a box |k_i| ≤ K are kept as a matrix A, diffusion included, and of the others their coupling C to the box: among
themselves the strain bounds them. λ_ν ≤ μ follows from

    D = μ + α + ν|k|² - s > 0 on the modes outside    and    μ - A - Cᵀ D⁻¹ C ≥ 0 on the box,

a Schur complement; ½ Σ|ŵ_p| over modes of v that C leaves out is added. The second is proved by Cholesky's factorization in float64 of
what is left when a margin for all rounding is subtracted: if it runs to its end for H, of n rows, then H ≥ -(n + 2) u trace H / (1 - ..)
in whatever order sums are taken. What is subtracted is derived where it is checked, in wellposed_check/flow/abscissa.py.
Sources: Rump, BIT 46 (2006) 433-452 (Cholesky); Straughan, The Energy Method, Stability, and Nonlinear Convection (2004), for λ_ν.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np
from jaxtyping import Complex, Float
from torch import Tensor

from wellposed.flow.abscissa_matrix import Stretching, half_plane, is_definite, largest_eigenvalue, squares
from wellposed_check.flow.abscissa import MOST

Array = np.ndarray
Against = Literal["galerkin", "pde"]
UNIT = 2.0**-53
FIRST = 4  # the box of a first guess: 80 unknowns
WHOLE, PARTIAL = 32, 16  # the largest box chosen where it holds all modes, and where others couple to it
APART, SHARP, DROPPED = 0.25, 1e-3, 1e-4  # of the strain: the least D, what modes outside may cost, modes of v that C leaves out
CHUNK = 2**21  # entries of C that are held at once
SLACK = 4  # times the margin of the checker, whose matrices are rounded in other places


@dataclass(frozen=True)
class Abscissa:
    """What is proved about one moment.

    Attributes:
        upper: a bound of λ_ν(v), 1/time; a theorem if the strain is one.
        ritz: the growth of the fastest error that was found. Not proved: a lower bound of λ_ν up to rounding.
        box: K of the proof; 0 where `upper` is strain - ν (2π/L)² - drag and nothing better was found.
        seconds: what it took.
    """

    upper: float
    ritz: float
    box: int
    seconds: float


def abscissa(vorticity_spectrum: Complex[Tensor, "n half"] | Complex[Array, "n half"], *, viscosity: float, drag: float, length: float,
             strain: float, against: Against = "pde", box: int | None = None) -> Abscissa:
    """A proved bound of λ_ν(v), for the flow v with this vorticity.

    Args:
        vorticity_spectrum: `rfft2` over n², of which only modes with |k_i| ≤ N = ⌈n/3⌉ - 1 may be there (`Modes.kept`); or (2N + 1, N + 1),
            these modes alone, rows k_y = 0..N, -N..-1 (`Band`). These float64 numbers are v.
        viscosity: ν > 0. drag: α ≥ 0. length: L > 0.
        strain: a bound of max_x λ[v], the largest eigenvalue of -S; the proof stands on it.
        against: the errors e: "galerkin", modes with |k_i| ≤ N as well; "pde", all.
        box: K, at most 42, for (2K + 1)² - 1 unknowns. If None the least box outside of which diffusion exceeds the strain, and larger
            ones until the modes outside cost little; 0 where that takes too many unknowns, as in turbulence at a small viscosity. With
            "galerkin" K = N holds all modes, and is chosen for N up to 32, 98 nodes per axis.

    Raises:
        ValueError: a spectrum with other modes, of another shape or not finite; numbers out of range.
    """
    began, v = perf_counter(), Stretching.of(np.asarray(vorticity_spectrum))
    _check(v, viscosity, drag, length, strain, against, box)
    growth = _Growth(v, viscosity * (2 * math.pi / length) ** 2, float(drag), float(strain), v.band if against == "galerkin" else None)
    ritz = guess = largest_eigenvalue(growth.inside(growth.at_most(FIRST)), growth.scale)[0]
    upper, proved_in, k = growth.crude, 0, growth.least_box(guess) if box is None else growth.at_most(box)
    while k:
        found, lower = growth.prove(k, guess)
        ritz = max(ritz, lower)
        upper, proved_in = min((upper, proved_in), (found, k))
        enough = box is not None or k == growth.band or found - lower <= SHARP * strain
        k = 0 if enough else growth.affordable(max(k + 1, math.ceil(1.25 * k)))
    return Abscissa(upper, ritz, proved_in, perf_counter() - began)


@dataclass(frozen=True, eq=False)
class _Growth:
    """The operator: that of a flow, ν (2π/L)², α, s, and the largest |k_i| of an error, None if it may be any."""

    stretching: Stretching
    unit: float
    drag: float
    strain: float
    band: int | None

    @property
    def crude(self) -> float:
        """s - ν (2π/L)² - α, rounded up."""
        return self.strain - self.unit - self.drag + 2.0**-46 * self.scale

    @property
    def scale(self) -> float:
        """More than -λ_ν: the longest waves decay no faster than by ν (2π/L)² + α."""
        return self.strain + 2 * (self.unit + self.drag)

    def at_most(self, box: int) -> int:
        return box if self.band is None else min(box, self.band)

    def affordable(self, box: int) -> int:
        """This box, or that of all modes, or 0."""
        whole = 0 if self.band is None or self.band > WHOLE else self.band
        return self.at_most(box) if box <= PARTIAL else whole

    def least_box(self, guess: float) -> int:
        """The least box outside of which D ≥ s / 4, if μ is this guess."""
        missing = max(0.0, (1 + APART) * self.strain - guess - self.drag)
        return self.affordable(max(1, math.ceil(math.sqrt(missing / self.unit)) - 1))

    def inside(self, box: int) -> Float[Array, "n n"]:
        """A, with its dissipation."""
        k = half_plane(0, box)
        a = self.stretching.matrix(k, k)
        a[np.diag_indices_from(a)] -= self.unit * squares(k) + self.drag
        return a

    def prove(self, box: int, guess: float) -> tuple[float, float]:
        """A bound proved in this box, infinite if none is, and the growth of the error found there."""
        a, q = self.inside(box), float(self.stretching.sizes[0])
        h, least, dropped, products = a, guess, 0.0, 0.0
        if self.band is None or box < self.band:
            edge = self.strain - self.drag - self.unit * (box + 1) ** 2
            least = max(guess, edge + APART * self.strain)
            reach = max(0, int(np.argmax(self.stretching.sizes <= DROPPED * self.strain)) - 1)
            gram, rows = self.coupling(box, reach, least)
            h, dropped, products = a + gram, float(self.stretching.sizes[reach + 1]), 8 * (rows + 64) * q**2 / (least - edge)
        top, x = largest_eigenvalue(h, self.scale)
        d = self.unit * squares(half_plane(0, box)) + self.drag
        for step in 1e-6 * 4.0 ** np.arange(6):
            mu = max(top, least) + float(step) * self.scale
            margin = UNIT * (2 * (len(d) + 4) * (len(d) * abs(mu) + d.sum()) + 64 * (abs(mu) + d.max() + q) + products)
            if is_definite(h, mu - SLACK * margin):
                return mu + dropped, float(x @ (a @ x))
        return math.inf, float(x @ (a @ x))

    def coupling(self, box: int, reach: int, mu: float) -> tuple[Float[Array, "n n"], int]:
        """Cᵀ D⁻¹ C for the modes of v with |p_i| ≤ `reach`, D at `mu` rounded down, and the number of rows of C."""
        columns, rows, v = half_plane(0, box), half_plane(box, self.at_most(box + reach)), self.stretching.within(reach)
        size, gram = rows.shape[1] * columns.shape[1], np.zeros((2 * columns.shape[1],) * 2)
        for k in np.array_split(rows, math.ceil(size / CHUNK), axis=1) if size else ():
            d = self.unit * squares(k) + self.drag
            d = mu + d - self.strain - 2.0**-47 * (2 * abs(mu) + d + self.strain)
            x = v.matrix(k, columns) / np.sqrt(d)[:, None]
            gram += x.T @ x
        return gram, 2 * rows.shape[1]


def _check(v: Stretching, viscosity: float, drag: float, length: float, strain: float, against: str, box: int | None) -> None:
    if against not in ("galerkin", "pde"):
        raise ValueError(f"against: received {against!r}, expected 'galerkin' (errors with |k_i| < n/3) or 'pde' (all errors)")
    for name, value in (("viscosity", viscosity), ("length", length), ("drag", drag)):
        if not 0 <= value < math.inf or (value == 0 and name != "drag"):
            raise ValueError(f"{name}: received {value}, expected a finite number, positive or, if drag, zero; check its sign and its unit")
    if not v.mean_strain * (1 - 2.0**-40) <= strain < math.inf:
        raise ValueError(f"strain: received {strain}, expected a bound of the largest strain of this flow, whose root mean square is "
                         f"{v.mean_strain:.6g}; take wellposed.flow.strain.strain")
    if box is not None and not (isinstance(box, int | np.integer) and 0 <= box <= MOST):
        raise ValueError(f"box: received {box!r}, expected a whole number from 0 to {MOST}, or None: (2 K + 1)² - 1 unknowns")
