"""From the arrays of a witness to a flow and polynomials in time, refusing whatever the theorem does not cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wellposed_check.canonical import decode, demand
from wellposed_check.flow.band import Band
from wellposed_check.flow.interpolation import along, interpolation
from wellposed_check.statement import Evidence

SUBJECTS: dict[str, tuple[set[str], tuple[str, ...]]] = {
    "flow.Evolution": ({"viscosity", "drag", "length"}, ("initial", "forcing")),
    "flow.Linear": ({"viscosity", "drag", "length", "equation", "against"}, ("initial", "forcing", "background", "mean_velocity"))}
DEGREES, MOST, PIECES = (1, 24), 2048, 2


@dataclass(frozen=True)
class Flow:
    """∂w/∂t + u·∇w = ν Δw - α w + f on [0, L]², from `initial` (samples, n, n); `forcing` (n, n) are nodal values too."""

    viscosity: float
    drag: float
    length: float
    initial: np.ndarray
    forcing: np.ndarray

    @property
    def n(self) -> int:
        return self.initial.shape[-1]


@dataclass(frozen=True)
class Polynomials:
    """On each slab between `edges` the polynomial through `values` (samples, slabs, degree + 1, rows, columns), spectra of a band.

    `grid`: of how many nodes per axis the strain is to be looked for. `abscissas` (samples, slabs * pieces + 1, 2): rates and boxes.
    """

    edges: np.ndarray
    values: np.ndarray
    grid: int
    abscissas: np.ndarray | None = None

    @property
    def degree(self) -> int:
        return self.values.shape[2] - 1

    def at(self, time: float) -> np.ndarray:
        """Spectra (samples, rows, columns) at a time, at an edge those of the slab before."""
        s = max(int(np.searchsorted(self.edges, time)) - 1, 0)
        place = (time - self.edges[s]) / (self.edges[s + 1] - self.edges[s])
        return along(interpolation(self.degree, np.array([2 * place - 1])), self.values[:, s])[:, 0]


def read_flow(evidence: Evidence) -> Flow:
    numbers = [decode(evidence.parameters[name]) for name in ("viscosity", "drag", "length")]
    demand(None not in numbers, "viscosity, drag or length is missing")
    viscosity, drag, length = (float(x or 0.0) for x in numbers)
    demand(viscosity > 0 and drag >= 0 and length > 0 and all(x == 0.0 or 2.0**-60 <= x <= 2.0**60 for x in (viscosity, drag, length)),
           "viscosity or length is not positive, the drag is negative, or one is outside of 2^-60 to 2^60")
    w = evidence.arrays["initial"]
    demand(w.ndim == 3 and len(w) >= 1 and w.shape[1] == w.shape[2] and w.shape[1] % 2 == 0 and 8 <= w.shape[1] <= MOST,
           f"initial has the shape {w.shape}, expected (samples, n, n), n even, from 8 to {MOST}")
    f = evidence.arrays.get("forcing", np.zeros(w.shape[1:]))
    demand(f.shape == w.shape[1:] and abs(f.mean()) <= 1e-9 * np.abs(f).max(initial=0.0), "forcing is not (n, n) with mean zero")
    demand(all(x == 0.0 or 2.0**-100 <= x <= 2.0**100 for x in (np.abs(w).max(), np.abs(f).max())),
           "initial or forcing is outside of 2^-100 to 2^100: squares would overflow or vanish")
    return Flow(viscosity, drag, length, w, f)


def read_polynomials(evidence: Evidence, flow: Flow, prefix: str = "") -> Polynomials:
    """Complex spectra are stored with real and imaginary parts on a last axis of two."""
    edges, stored = evidence.arrays[prefix + "edges"], evidence.arrays[prefix + "nodes"]
    band = Band.kept(flow.n, flow.length)
    demand(edges.ndim == 1 and len(edges) >= 2 and (np.diff(edges) > 0.0).all(), f"{prefix}edges do not increase")
    far = np.abs(edges).max()
    demand(far <= 2.0**60 and np.diff(edges).min() >= 2.0**-40 * far, f"{prefix}edges are too close or too far")
    expected = (len(flow.initial), len(edges) - 1, *band.shape, 2)
    demand(stored.ndim == 6 and (*stored.shape[:2], *stored.shape[3:]) == expected and DEGREES[0] <= stored.shape[2] - 1 <= DEGREES[1],
           f"{prefix}nodes has the shape {stored.shape}, expected (samples, slabs, degree + 1, rows, columns, 2) of the modes kept")
    values = stored[..., 0] + 1j * stored[..., 1]
    mirrored = np.conj(values[..., -np.arange(band.shape[0]), 0])
    demand(np.array_equal(values[..., 0], mirrored), f"{prefix}nodes are not spectra of real fields")
    demand(np.abs(stored).max() <= 2.0**120, f"{prefix}nodes are above 2^120")
    demand(not values[..., 0, 0].any(), f"{prefix}nodes have a mean: they are no curl")
    grid = evidence.arrays.get(prefix + "grid", np.array([float(flow.n)]))
    demand(grid.shape == (1,) and grid[0] % 2 == 0 and 2 * band.top < grid[0] <= 4 * MOST, f"{prefix}grid does not hold the modes")
    given = evidence.arrays.get(prefix + "abscissas")
    demand(given is None or given.shape == (len(values), PIECES * (len(edges) - 1) + 1, 2), f"{prefix}abscissas has another shape")
    return Polynomials(edges, values, int(grid[0]), given)


def read_frames(evidence: Evidence, flow: Flow, whole: Polynomials) -> tuple[np.ndarray, np.ndarray]:
    times, frames = evidence.arrays["times"], evidence.arrays["frames"]
    demand(times.ndim == 1 and len(times) >= 2 and (np.diff(times) >= 2.0**-40 * np.abs(times).max()).all(), "times do not increase")
    demand(times[0] == whole.edges[0] and times[-1] <= whole.edges[-1], "times do not begin with the polynomials or go beyond them")
    demand(frames.shape == (len(flow.initial), len(times), flow.n, flow.n), f"frames of the shape {frames.shape} fit no trajectory")
    return times, frames
