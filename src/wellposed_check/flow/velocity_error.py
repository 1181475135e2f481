"""How far is a trajectory from the true flow, at the worst of its times? Stated once for both systems, which are never mixed."""

from __future__ import annotations

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.flow.band import Band
from wellposed_check.flow.evidence import Flow, Polynomials, read_flow, read_frames, read_polynomials
from wellposed_check.flow.gronwall import apart, over_time
from wellposed_check.statement import Evidence, Statement

NOTHING = 1e300
SYSTEMS = {"galerkin": "the Galerkin system of the modes |k_i| < n/3", "pde": "the Navier-Stokes equation itself"}


def enclosure(evidence: Evidence, flow: Flow, against: str) -> tuple[float, float]:
    """The largest relative velocity error over samples and times, from both sides, as the witness shows it."""
    band, own = Band.kept(flow.n, flow.length), read_polynomials(evidence, flow)
    times, frames = read_frames(evidence, flow, own)
    most = over_time(flow, own, against, times) + np.add(*_from(own, band, times, frames))
    least, (size, _) = np.zeros_like(most), apart(frames, band, np.zeros(band.shape))
    slow, fast = size - most, size + most
    if "companion_nodes" in evidence.arrays:
        second = read_polynomials(evidence, flow, "companion_")
        demand(second.edges[0] == own.edges[0] and second.edges[-1] >= times[-1], "the companion does not cover the times")
        near, (far, rounding) = over_time(flow, second, against, times), _from(second, band, times, frames)
        most, least = np.minimum(most, far + rounding + near), np.maximum(0.0, far - rounding - near)
        other = np.stack([band.speed(second.at(t)) for t in times], 1)
        slow, fast = (np.maximum(size - most, other * (1 - 1e-12) - near), np.minimum(size + most, other * (1 + 1e-12) + near))
    rest = np.asarray(flow.initial.any((1, 2)))[:, None]
    at_rest = ~frames.any((2, 3)) & ~rest & np.less_equal(times, times[0] if flow.forcing.any() else times[-1])
    above = np.where(slow > 0.0, most / np.maximum(slow, 1e-300), np.inf)
    return float((least / np.maximum(fast, 1e-300)).max()), float(np.where(at_rest, 0.0, above).max())


def _from(whole: Polynomials, band: Band, times: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|frame - v| at each time, (samples, times), v the polynomials, and its rounding."""
    distance, rounding = zip(*(apart(frames[:, i], band, whole.at(t)) for i, t in enumerate(times)), strict=True)
    return np.stack(distance, 1), np.stack(rounding, 1)


def state_against(against: str, evidence: Evidence, arithmetic: str) -> Statement:
    """The bracket of the witness, once it is shown to follow: transforms round differently on other machines."""
    demand(arithmetic == "margin", f"this claim is made in margin arithmetic, not in {arithmetic!r}")
    flow, bracket = read_flow(evidence), evidence.arrays["bracket"]
    demand(bracket.shape == (2,) and 0.0 <= bracket[0] <= bracket[1], "the bracket is not (least, most)")
    lower, upper = enclosure(evidence, flow, against)
    demand(lower >= bracket[0], "the lower end of the bracket does not follow from the witness")
    demand(upper <= bracket[1] or bracket[1] >= NOTHING, "the upper end of the bracket does not follow from the witness")
    names = ("initial", "forcing", "frames", "times", "edges", "nodes", "grid", "abscissas", "companion_edges", "companion_nodes",
             "companion_grid", "companion_abscissas", "bracket")
    return Statement(
        id=f"flow.{against}_error/1",
        quantity="the largest over samples and the frames' times of |u - v| / |u|, root mean squares of velocities over the box; v: the "
        f"frames, u: the exact solution of {SYSTEMS[against]} from the initial field",
        lower=float(bracket[0]), upper=None if bracket[1] >= NOTHING else float(bracket[1]), kind="theorem", arithmetic=arithmetic,
        assumptions=(("viscosity, drag and forcing are those of the flow that is meant; nodal values are those of trigonometric "
                      "polynomials; means, and of the forcing frequencies of n/2, are left out", "assumed"),
                     ("spectra are those of real fields with mean zero, in the modes kept", "checked")),
        reference="Gronwall's inequality with a computed residual and rate of strain; wellposed_check/SPEC.md, section 10",
        witness=tuple(name for name in names if name in evidence.arrays))
