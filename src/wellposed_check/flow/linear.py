"""Heat, Stokes and Oseen flow as a witness describes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.flow.band import Array, Band, product_grid
from wellposed_check.flow.evidence import Flow, Polynomials, read_flow, read_frames, read_polynomials
from wellposed_check.statement import Evidence

ORDERS = {"heat": 0, "stokes": -1, "oseen": -1}  # |w|^2 = sum |k|^(2 order) |w_k|^2
SYSTEMS = {"pde": "the equation itself", "galerkin": "the Galerkin system of the modes |k_i| < n/3, to which its data are truncated"}
SAFE = 2.0**100


@dataclass(frozen=True)
class Linear:
    """One of the three equations, and the band in which its residual lies; `background` is the vorticity of b less its `mean`."""

    flow: Flow
    name: str
    against: str
    background: Array
    mean: Array

    @property
    def data(self) -> Band:
        """Nodal values stand for trigonometric polynomials without frequencies of n/2."""
        return Band(self.flow.n // 2 - 1, self.flow.length)

    @property
    def band(self) -> Band:
        kept = Band.kept(self.flow.n, self.flow.length)
        if self.against == "galerkin":
            return kept
        return Band(self.data.top + kept.top, kept.length) if self.name == "oseen" else self.data

    def rate(self, band: Band) -> Array:
        return self.flow.viscosity * band.square + self.flow.drag

    def size(self, band: Band, w: Array, dual: bool = False) -> Array:
        """Sum of |w_k|^2 as weighted by |.|^2, or by |.|_V'^2; the mean does not enter."""
        weights = band.twice * (band.psi if ORDERS[self.name] else band.psi > 0)
        weights = weights / np.where(band.psi > 0, self.rate(band), 1.0) if dual else weights
        return np.sum(weights * np.abs(w) ** 2, (-2, -1))

    def given(self, field: Array) -> Array:
        """Nodal values as a spectrum of the band."""
        inner = self.data if self.data.top < self.band.top else self.band
        return inner.widened(inner.of(field), self.band.top)

    def transport(self, band: Band, w: Array) -> Array | float:
        """curl div(b u), whose products are exact for the modes of the band."""
        if self.name != "oseen":
            return 0.0
        out, m = self.band, product_grid(self.band.top + band.top + self.data.top)
        b1, b2 = (c + self.data.nodal(q * self.data.psi * self.data.of(self.background), m)
                  for c, q in zip(self.mean, (1j * self.data.y, -1j * self.data.x), strict=True))
        u1, u2 = (band.nodal(q * band.psi * w, m) for q in (1j * band.y, -1j * band.x))
        return out.x * out.y * out.of(b1 * u1 - b2 * u2) - out.x**2 * out.of(b1 * u2) + out.y**2 * out.of(b2 * u1)

    @property
    def gust(self) -> float:
        """Bounds |b1| + |b2| anywhere, with what rounding may add to it."""
        data = self.data
        waves = np.sqrt(2.0) * data.total(np.sqrt(data.psi) * np.abs(data.of(self.background)))
        return float(np.abs(self.mean).sum() + waves + 8 / data.x[1] * np.sqrt(np.mean(self.background**2)))


def read_linear(evidence: Evidence) -> Linear:
    """Raises: Refused, for an unknown equation or system, a background with a mean, of another shape, or of an equation that has none."""
    flow, name, against = read_flow(evidence), evidence.parameters["equation"], evidence.parameters["against"]
    demand(name in ORDERS and against in SYSTEMS, f"unknown equation {name!r} or system {against!r}")
    demand(flow.drag == 0.0 or name == "stokes", f"{name} has no drag")
    arrays = evidence.arrays
    demand(("background" in arrays) == ("mean_velocity" in arrays) == (name == "oseen"), f"the background does not fit {name}")
    b, mean = arrays.get("background", np.zeros((flow.n, flow.n))), arrays.get("mean_velocity", np.zeros(2))
    demand(b.shape == (flow.n, flow.n) and mean.shape == (2,), f"the background has the shapes {b.shape} and {mean.shape}")
    for what, field in (("initial", flow.initial), ("background", b)):
        demand((np.abs(field.mean((-2, -1))) <= 1e-9 * np.abs(field).max((-2, -1))).all(), f"{what} has a mean")
    numbers = (flow.viscosity, 1 / flow.viscosity, flow.length, 1 / flow.length, flow.drag)
    demand(max(numbers) <= SAFE and all(np.abs(x).max(initial=0.0) <= SAFE for x in arrays.values()), "numbers are beyond 2^100")
    return Linear(flow, name, against, b, mean)


def read_run(evidence: Evidence, flow: Flow) -> tuple[Polynomials, Array, Array]:
    """Polynomials, times and frames. Raises: Refused, for polynomials that do not join."""
    whole = read_polynomials(evidence, flow)
    demand(np.array_equal(whole.values[:, 1:, 0], whole.values[:, :-1, -1]), "the polynomials do not join")
    return whole, *read_frames(evidence, flow, whole)
