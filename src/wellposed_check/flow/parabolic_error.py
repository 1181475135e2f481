"""How far is a trajectory of a linear equation from the true one? Exactly so far, in its natural norm, as its residual is large.

    dw/dt + curl div(b u) + K w = f,  K = nu |k|^2 + alpha;   R = dv/dt + curl div(b u_v) + K v - f,   e = w - v,   De = de/dt + b.grad e
    |e(T)|^2 + int |e|_V^2 + |De|_V'^2 dt = |e(0)|^2 + int |R|_V'^2 dt,    |e|_V^2 = sum K |e_k|^2,   |R|_V'^2 = sum |R_k|^2 / K

Sums are weighted as |.|^2 is, by 1 for heat and by 1/|k|^2 for flows, where w is the vorticity of u. Proof: -R = De + K e, and
2 (De, e) = d|e|^2/dt since div b = 0. On each slab |R|^2 has degree 2M in time: M + 1 Gauss nodes integrate it exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre

from wellposed_check.canonical import demand
from wellposed_check.flow.band import UNIT, Array, Band
from wellposed_check.flow.evidence import Polynomials
from wellposed_check.flow.interpolation import along, interpolation
from wellposed_check.flow.linear import ORDERS, SYSTEMS, Linear, read_linear, read_run
from wellposed_check.statement import Evidence, Statement

RELATIVE, TINY = 1e-11, 2.0**-300


def measured(equation: Linear, run: Polynomials) -> tuple[Array, Array]:
    """The norm of the error, (samples,), and by how much rounding may have changed it."""
    flow, out, degree = equation.flow, equation.band, run.degree
    band, widths = Band.kept(flow.n, flow.length), np.diff(run.edges)
    x, weights = legendre.leggauss(degree + 1)
    value, slope = interpolation(degree, x), 2 * interpolation(degree, x, derivative=True)
    most, steep = np.abs(value).max(1), np.abs(slope).max(1)
    f = equation.given(flow.forcing)
    square = equation.size(out, equation.given(flow.initial) - band.widened(run.values[:, 0, 0], out.top))
    own, carried = np.zeros((2, len(square)))
    for s, width in enumerate(widths):
        v = run.values[:, s]
        w, moved = along(value, v), along(slope / width, v - v[:, :1])
        r = band.widened(moved + equation.rate(band) * w, out.top) + equation.transport(band, w) - f
        change, total = np.abs(v - v[:, :1]).sum(1), np.abs(v).sum(1)
        for i, h in enumerate(width * weights / 2):
            square += h * equation.size(out, r[:, i], dual=True)
            terms = steep[i] / width * change + most[i] * equation.rate(band) * total
            own += h * equation.size(out, band.widened(terms, out.top) + np.abs(f), dual=True)
            carried += h * most[i] ** 2 * equation.size(band, total)
    lowest, level = out.x[1], 80 * (2 * flow.n - 1).bit_length()
    forced = np.sqrt(widths.sum() / (flow.viscosity * lowest**2 + flow.drag) * np.mean(flow.forcing**2))
    transforms = equation.gust * np.sqrt(carried / flow.viscosity) + lowest ** ORDERS[equation.name] * (
        np.sqrt(np.mean(flow.initial**2, (-2, -1))) + forced)
    norm = np.sqrt(square)
    return norm, RELATIVE * norm + UNIT * (2 * (degree + 16) * np.sqrt(own) + level * transforms) + TINY


def apart(equation: Linear, run: Polynomials, times: Array, frames: Array) -> float:
    """The largest |frame - v|, v the polynomials, with rounding; the mean and frequencies of n/2 count as the lowest wave number would."""
    data, band, each = equation.data, Band.kept(equation.flow.n, equation.flow.length), []
    level = 80 * (equation.flow.n - 1).bit_length()
    for i, t in enumerate(times):
        d = frames[:, i] - band.nodal(run.at(t), equation.flow.n)
        w = data.of(d)
        w[:, 0, 0] = 0.0
        beyond = np.mean((d - data.nodal(w, equation.flow.n)) ** 2, (-2, -1)) * data.x[1] ** (2 * ORDERS[equation.name])
        rough = level * UNIT * np.sqrt(np.mean(frames[:, i] ** 2, (-2, -1))) * data.x[1] ** ORDERS[equation.name]
        each.append(np.sqrt(equation.size(data, w) + beyond) + rough)
    return float(np.max(each))


def state(evidence: Evidence, arithmetic: str) -> Statement:
    """The bracket of the witness, once it is shown to follow: transforms round differently on other machines."""
    demand(arithmetic == "margin", f"this claim is made in margin arithmetic, not in {arithmetic!r}")
    equation, bracket, near = read_linear(evidence), evidence.arrays["bracket"], evidence.arrays["apart"]
    run, times, frames = read_run(evidence, equation.flow)
    demand(bracket.shape == (2, len(run.values)) and (bracket[0] >= 0.0).all() and (bracket[0] <= bracket[1]).all(),
           "the bracket is not (least, most) for each sample")
    found, rounding = measured(equation, run)
    demand((bracket[0] <= np.maximum(found - rounding, 0.0)).all(), "the lower end of the bracket does not follow from the witness")
    demand((found + rounding <= bracket[1]).all(), "the upper end of the bracket does not follow from the witness")
    demand(near.shape == (1,) and apart(equation, run, times, frames) <= near[0], "frames are further from the polynomials than it says")
    names = ("initial", "forcing", "background", "mean_velocity", "frames", "times", "edges", "nodes", "bracket", "apart")
    sized = "field" if equation.name == "heat" else "velocity"
    return Statement(
        id="flow.parabolic_error/1",
        quantity="(|e(T)|^2 + int_0^T |e|_V^2 + |De|_V'^2 dt)^(1/2), its largest of the samples; e = w - v, |.|: root mean square over the "
        f"box of its {sized}, |e|_V^2 = (K e, e), |.|_V' dual, K = alpha - nu Laplace, De = de/dt + (b.grad)e; w: the exact solution of "
        f"{SYSTEMS[equation.against]}, {equation.name}, v: polynomials in time, of the modes |k_i| < n/3, through the frames",
        lower=float(bracket[0].max()), upper=float(bracket[1].max()), kind="theorem", arithmetic=arithmetic,
        assumptions=(("coefficients, forcing and background are the user's, and constant in time; nodal values are those of "
                      "trigonometric polynomials without frequencies of n/2", "assumed"),
                     ("spectra are those of real fields with mean zero, in the modes kept; polynomials join; div b = 0 by "
                      "construction", "checked"),
                     (f"the frames, at their times, differ from v by at most {float(near[0])!r}, in |.|", "checked")),
        reference="parabolic isometry, docs/theorems/flow.md; wellposed_check/SPEC.md, section 10.4",
        witness=tuple(name for name in names if name in evidence.arrays))
