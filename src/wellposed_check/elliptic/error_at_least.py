"""How far is an answer from the truth at least? Two equations of which hardly more is proved; the proofs are in SPEC.md, 7.6.

Helmholtz, -Laplace u - k^2 u = f, k = omega / c: in the norm ||w||^2 = int |grad w|^2 + k^2 w^2 and with the equation's form
b(v, w) = int grad v.grad w - k^2 v w, ||u - v|| >= |F(w) - b(v, w)| / ||w|| for every test function w (Cauchy-Schwarz).
Navier-Stokes on the unit torus, w_t + u.grad w = nu Laplace w + f: the mean grows by T mean f, and what is left of w is at
most |w0| e^(-rate T) + |f| (1 - e^(-rate T)) / rate, rate = 4 pi^2 nu (Poincare, Gronwall).
"""

from __future__ import annotations

import math

import numpy as np

from wellposed_check.canonical import decode, demand, encode
from wellposed_check.elliptic.arithmetic import Array, Floats
from wellposed_check.elliptic.bounds import SAFE, TINY
from wellposed_check.elliptic.darcy import Hypercircle, interpolate
from wellposed_check.elliptic.evidence import SUBJECTS, assumptions, means, read_nodal, read_problem
from wellposed_check.statement import Evidence, Statement

Distance = tuple[Array, Array, Array, Array]  # of each sample: error at least, at most; size of v or u; relative error at least
LESS = 2.0 - SAFE


def helmholtz(evidence: Evidence) -> tuple[Distance, tuple[tuple[str, str], ...]]:
    arrays, omega = evidence.arrays, decode(evidence.parameters["frequency"]) or 0.0
    data = {"coefficient": arrays["speed"], **{name: arrays[name] for name in ("source", "neumann") if name in arrays}}
    stated = {"boundary": evidence.parameters["boundary"], "coefficient_error": encode(0.0), "cellwise": True}
    problem = read_problem(Evidence(stated, data), balance=False)
    v = read_nodal(problem, arrays["potential"], "potential", problem.n)
    w = read_nodal(problem, arrays["test"], "test", v.shape[1] - 1)
    h = Hypercircle(problem.refined((w.shape[1] - 1) // problem.n), Floats)
    kappa = np.square(omega / h.p.coefficient / h.p.n)  # (k h)^2
    demand(not problem.periodic and omega > 0.0 and (kappa >= 2.0**-400).all() and (kappa <= 2.0**400).all(), "out of range")
    rounded = 2.0**-50 * np.abs(v).max((1, 2)) * np.sqrt(Floats.total(4.0 + kappa)) * SAFE  # norm of what interpolation rounds
    v = interpolate(v, (w.shape[1] - 1) // (v.shape[1] - 1))
    size, test = (np.sqrt(_form(h, kappa, x, x)) * SAFE for x in (v, w))
    slack = (2.0**-44 * size + rounded) * test + 2.0**-46 * h.load(np.abs(w), np.abs(h.p.source), np.abs(h.g)) + TINY * TINY
    least = np.maximum(np.abs(h.load(w, h.p.source, h.g) - _form(h, -kappa, v, w)) - slack * SAFE, 0.0) * LESS
    least = np.where(test > 2.0**-200, least / np.where(test > 2.0**-200, test, 1.0), 0.0) * LESS
    size = (size + rounded) * SAFE  # ||u|| <= ||v|| + ||u - v||, and x / (||v|| + x) grows with x
    relative = np.divide(least, (size + least) * SAFE, out=np.zeros_like(least), where=least > 0.0) * LESS
    return (least, np.full_like(least, math.inf), size, relative), (
        *assumptions(problem)[:2], ("the wave speed is constant on each cell", "assumed"),
        ("u is a solution: at a resonance there is none, or there are many", "assumed"),
        ("nothing is known of the inf-sup constant: NO UPPER BOUND IS PROVED, this can refute an answer and never confirm one", "assumed"),
        ("potential and test function vanish on the Dirichlet sides, bit by bit", "checked"))


def _form(h: Hypercircle, kappa: Array, v: Array, w: Array) -> Array:
    """int grad v.grad w + kappa / h^2 v w, of each sample."""
    (x, y, t), (p, q, s) = h.gradient(v), h.gradient(w)
    m, k = ((u[:, :-1, :-1] + u[:, :-1, 1:] + u[:, 1:, :-1] + u[:, 1:, 1:]) / 4.0 for u in (v, w))
    return Floats.total(x * p + y * q + t * s / 6.0 + kappa * (m * k + (x * p + y * q) / 12.0 + t * s / 144.0))


def one_step(evidence: Evidence) -> tuple[Distance, tuple[tuple[str, str], ...]]:
    nu, time = (decode(evidence.parameters[name]) or 0.0 for name in ("viscosity", "interval"))
    w, v = evidence.arrays["vorticity"], evidence.arrays["advanced"]
    f, n = evidence.arrays.get("forcing", np.zeros_like(w)), w.shape[-1]
    demand(w.shape == v.shape == f.shape == (len(w), n, n) and w.size > 0, "the fields are not (samples, n, n), all of one shape")
    demand(2.0**-200 < nu < 2.0**200 and 2.0**-200 < time < 2.0**200, "the viscosity or the interval is out of range")
    rate = 4.0 * math.pi * math.pi * nu * LESS
    part = rate * time / 1024.0
    growth = 1.0 + part + part * part / 2.0 + part * part * part / 6.0  # at most e^part
    for _ in range(10):
        growth = growth * growth
    decay = 1.0 / growth * (1.0 + 2.0**-38) + TINY
    start, force, most = (np.sqrt(means(np.square(x))) * SAFE + TINY for x in (w, f, v))
    rest = (decay * start + min(time * (1.0 + decay) / 2.0, 1.0 / rate) * force) * SAFE
    own, mean, wave = means(v), means(w) + time * means(f), np.zeros(len(v))
    slack = 2.0**-50 * (np.abs(own) + np.abs(means(w)) + time * np.abs(means(f))) + TINY
    for x in (v, np.swapaxes(v, 1, 2)) if n % 2 == 0 else ():  # of what is at the Nyquist frequency only half counts
        row = Floats.total((x * np.resize([1.0, -1.0], n)).reshape(-1, n)) / n
        wave = wave + means(np.square(row).reshape(-1, n, 1))
    norm = np.sqrt(np.maximum(means(np.square(v)) * LESS - wave / 2.0 * SAFE, 0.0)) * LESS
    least = np.maximum(np.abs(own - mean) - slack, norm * LESS - (np.abs(own) + slack + rest) * SAFE)
    least, size = np.maximum(least, 0.0) * LESS, (np.abs(mean) + slack + rest) * SAFE
    return (least, (np.abs(own - mean) + slack + most + rest) * SAFE, size, least / size * LESS), (
        ("viscosity, interval and forcing (a curl, constant in time) are the user's", "assumed"),
        ("start, forcing and answer are the trigonometric interpolants of their samples, of least norm", "assumed"),
        ("nothing is used of the flow but its mean and the decay of enstrophy: CRUDE BOUNDS, nothing sharper is proved", "assumed"))


QUANTITY = {
    helmholtz: "relative error ||u - v|| / ||u||, BOUNDED FROM BELOW ONLY, where ||w||^2 = int |grad w|^2 + (omega/c)^2 w^2, u solves "
    "-Laplace u - (omega/c)^2 u = f and v is the bilinear interpolant of the answer",
    one_step: "error |w - v| / M, at most the relative error |w - v| / |w| since |w| <= M is proved, where |.| is the root mean square, w "
    "the vorticity at the end of the interval, a solution of the Navier-Stokes equation, and v the answer"}
WITNESS = {helmholtz: (*SUBJECTS["elliptic.Helmholtz"][1], "potential", "test"), one_step: (*SUBJECTS["elliptic.OneStep"][1], "advanced")}


def state(evidence: Evidence, arithmetic: str) -> Statement:
    demand(arithmetic == "margin", f"this claim is made in margin arithmetic, not in {arithmetic!r}")
    kind = helmholtz if "frequency" in evidence.parameters else one_step
    (_, most, size, relative), facts = kind(evidence)
    return Statement(
        id="elliptic.error_at_least/1",
        quantity=QUANTITY[kind] + ("" if len(size) == 1 else f", the largest of {len(size)} samples"),
        lower=max(0.0, float(relative.max())), upper=None if kind is helmholtz else float((most / size * SAFE).max()),
        kind="theorem", arithmetic=arithmetic, assumptions=facts,
        reference="Cauchy-Schwarz and Gronwall inequalities; wellposed_check/SPEC.md, section 7.6",
        witness=tuple(name for name in WITNESS[kind] if name in evidence.arrays))
