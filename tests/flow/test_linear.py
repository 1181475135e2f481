"""Linear equations: the norm of the error is that of the residual, exactly; against solutions that know nothing of residuals."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wellposed.certificate import issue
from wellposed.flow.duhamel import exact_error, memory
from wellposed.flow.equation import without_nyquist
from wellposed.flow.linear import Heat2D, Oseen2D, Parabolic, Stokes2D
from wellposed.flow.linear_claims import CLAIM, certify_linear
from wellposed.flow.linear_residual import basis, residual
from wellposed.flow.parabolic import parabolic_error
from wellposed.flow.slabs import Slabs
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import Modes, resample, to_field, to_spectrum, velocity
from wellposed_check import Refused
from wellposed_check.flow import evidence

SIDE = 2 * math.pi
EQUATIONS = ("heat", "stokes", "oseen")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch):
    parameters, arrays = {"viscosity", "drag", "length", "equation", "against"}, ("initial", "forcing", "background", "mean_velocity")
    monkeypatch.setitem(evidence.SUBJECTS, "flow.Linear", (parameters, arrays))


def field(n: int, seed: int, size: float = 1.0, batch: int | None = None) -> Tensor:
    """Smooth noise with mean zero, all frequencies below n/2."""
    g = torch.Generator().manual_seed(seed)
    w = without_nyquist(to_spectrum(torch.randn(batch or 1, n, n, generator=g, dtype=torch.float64)))
    w = w / (1 + Modes.of(n, length=SIDE).square) ** 1.5
    w[..., 0, 0] = 0.0
    w = to_field(w, n) * n * size
    return w if batch else w[0]


def kept(n: int, seed: int, size: float = 1.0, batch: int | None = None) -> Tensor:
    return to_field(to_spectrum(field(n, seed, size, batch)) * Modes.of(n).kept, n)


def equation(name: str, n: int = 8, nu: float = 0.1, wind: float = 3.0, length: float = SIDE, forced: bool = True) -> Parabolic:
    f = kept(n, 1) if forced else None
    if name == "heat":
        return Heat2D(nu, n, f, length)
    if name == "stokes":
        return Stokes2D(nu, n, f, 0.3, length)
    return Oseen2D(nu, n, kept(n, 2, wind), f, (wind, -wind / 2), length)


def random(n: int, degree: int = 5, edges: tuple[float, ...] = (0.0, 0.1, 0.4, 0.7), batch: int = 2, seed: int = 3) -> Trajectory:
    """Polynomials that solve nothing."""
    shape = (batch, len(edges) - 1, degree + 1)
    v = to_spectrum(field(n, seed, batch=math.prod(shape))).unflatten(0, shape)
    v[:, 1:, 0] = v[:, :-1, -1]
    slabs = Slabs(torch.tensor(edges, dtype=torch.float64), v)
    return Trajectory.of(slabs, slabs.edges)


def frozen(w: Tensor, end: float = 1.0, slabs: int = 4) -> Trajectory:
    v = to_spectrum(w)[:, None, None].repeat(1, slabs, 3, 1, 1)
    return Trajectory.of(Slabs(torch.linspace(0, end, slabs + 1, dtype=torch.float64), v), np.array([0.0, end]))


def solution(eq: Parabolic, w: Tensor, end: float = 0.8, slabs: int = 4) -> Trajectory:
    """The Galerkin solution: the error of zero."""
    found = exact_error(eq, frozen(torch.zeros_like(w), end, slabs), w, "galerkin")
    return Trajectory.of(found, found.edges)


def value(eq: Parabolic, trajectory: Trajectory, w: Tensor | None = None, against: str = "galerkin") -> float:
    return float(parabolic_error(eq, trajectory, w, against).value.max())


# The identity


@pytest.mark.parametrize("nu", [1.0, 1e-3])
@pytest.mark.parametrize(("name", "against"), [(name, a) for name in EQUATIONS for a in ("galerkin", "pde") if (name, a) != ("oseen", "pde")])
@pytest.mark.parametrize("of", ["random", "frozen", "sound"])
def test_the_norm_of_the_error_is_that_of_the_residual(name: str, against: str, nu: float, of: str):
    n = 8
    eq, w = equation(name, n, nu, length=1.3), kept(n, 9, batch=2)
    if of == "sound":  # but for a small error
        sound = solution(eq, w, 0.5, 1)
        v = sound.coefficients
        assert v is not None
        trajectory = Trajectory.of(Slabs(v.edges, v.values + 1e-2 * (v.nodes - v.nodes.mean())[..., None, None]
                                         * to_spectrum(kept(n, 4))), v.edges)
    else:
        trajectory = random(n) if of == "random" else frozen(w)
    found = parabolic_error(eq, trajectory, w, against)
    parts = found.parts(exact_error(eq, trajectory, w, against))
    assert torch.allclose(parts.total, found.total, rtol=1e-9 if of == "sound" else 1e-11, atol=0)
    assert (parts.final + parts.energy < found.total).all()


class VorticityAlone(Oseen2D):
    """b·∇w, as for a passive scalar: not skew in the velocity's inner product."""

    def transport(self, w: Tensor) -> Tensor:
        n, k = self.resolution, self.fine
        wide, (b, d) = resample(w, n, 2 * n), self.wind
        along_x, along_y = to_field(torch.stack([1j * k.x * wide, 1j * k.y * wide]), 2 * n)
        return to_spectrum(b * along_x + d * along_y)


def test_the_identity_fails_where_b_carries_the_vorticity_alone():
    eq, w = VorticityAlone(0.1, 12, kept(12, 2, 3.0), kept(12, 1), (3.0, -1.5)), kept(12, 9, batch=2)
    found = parabolic_error(eq, frozen(w), w, "galerkin")
    off = found.parts(exact_error(eq, frozen(w), w, "galerkin")).total / found.total - 1
    assert (off.abs() > 1e-3).all()


@settings(max_examples=10, deadline=None)
@given(name=st.sampled_from(EQUATIONS), nu=st.floats(-3, 1), length=st.floats(0.5, 20), wind=st.floats(0, 5), degree=st.integers(1, 9),
       seed=st.integers(0, 99))
def test_law(name: str, nu: float, length: float, wind: float, degree: int, seed: int):
    eq, trajectory, w = equation(name, 8, 10**nu, wind, length), random(8, degree, batch=1, seed=seed), field(8, seed + 1)
    found = parabolic_error(eq, trajectory, w, "galerkin")
    assert torch.allclose(found.parts(exact_error(eq, trajectory, w, "galerkin")).total, found.total, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", ["heat", "stokes"])
def test_frozen_single_wave_by_hand(name: str):
    """R = K w is constant, and |R|²_V' = K |w|²: the error's norm is (K T)^½ |w|."""
    n, eq = 8, equation(name, forced=False)
    x, _ = eq.box.nodes
    w = torch.cos(2 * x)[None]
    rate = 0.1 * 4 + (0.3 if name == "stokes" else 0.0)
    size = math.sqrt(0.5) / (2 if name == "stokes" else 1)
    assert value(eq, frozen(w, 1.5), w, "pde") == pytest.approx(math.sqrt(rate * 1.5) * size, rel=1e-13)
    e = exact_error(eq, frozen(w, 1.5), w)
    assert torch.allclose(to_field(e.at([0.7]), n)[0, 0], (math.exp(-rate * 0.7) - 1) * w[0], atol=1e-13)


def test_a_steady_solution_has_no_error():
    eq = Stokes2D(0.1, 12, forcing=lambda x, y: 0.5 * torch.sin(x + 2 * y))
    assert eq.box.forcing is not None
    w = eq.box.forcing / 0.5
    assert value(eq, frozen(w[None]), w, "pde") < 1e-14


@pytest.mark.parametrize("against", ["galerkin", "pde"])
def test_a_wave_that_a_constant_wind_carries(against: str):
    """w = exp(-ν|k|²t) cos(k·(x - bt)) solves Oseen flow, and its frames at Chebyshev points leave spectral errors only."""
    n, nu, b = 12, 0.05, (1.0, -0.5)
    eq = Oseen2D(nu, n, None, mean_velocity=b)
    x, y = eq.box.nodes

    def w(t: Tensor) -> Tensor:
        phase = 2 * (x - b[0] * t[..., None, None]) + (y - b[1] * t[..., None, None])
        return torch.exp(-5 * nu * t)[..., None, None] * torch.cos(phase)

    errors = []
    for degree in (4, 8, 14):
        edges = torch.linspace(0, 1, 4, dtype=torch.float64)
        nodes = edges[:-1, None] + edges.diff()[:, None] * torch.from_numpy(chebyshev.lobatto(degree))
        nodes[1:, 0] = nodes[:-1, -1]
        errors.append(value(eq, Trajectory.of(Slabs(edges, to_spectrum(w(nodes))[None]), edges), w(torch.zeros(1).double())[0], against))
    assert errors[0] > 1e-6
    assert errors[1] < 1e-4 * errors[0]
    assert errors[2] < 1e-12


def test_oseen_against_runge_kutta_for_the_velocity():
    """The error added to the trajectory is what a stepper finds that advects u, not w, in convective form."""
    n, nu, end = 12, 0.05, 0.5
    m, f, mean = Modes.of(n, length=SIDE), kept(n, 1), (0.7, -0.2)
    eq = Oseen2D(nu, n, kept(n, 2, 4.0), f, mean)
    w0, fine = kept(n, 5, 3.0), Modes.of(2 * n, length=SIDE)
    b = torch.stack(velocity(resample(to_spectrum(kept(n, 2, 4.0)), n, 2 * n), fine))
    b = to_field(b, 2 * n) + torch.tensor(mean, dtype=torch.float64)[:, None, None]
    force, ik = torch.stack(velocity(to_spectrum(f), m)), torch.stack([1j * fine.x.expand(2 * n, -1), 1j * fine.y.expand(-1, n + 1)])

    def rate(u: Tensor) -> Tensor:
        wide = resample(u, n, 2 * n)
        carried = resample(to_spectrum(torch.stack([(b * to_field(ik * q, 2 * n)).sum(0) for q in wide])), 2 * n, n) * m.kept
        pressure = (m.x * carried[0] + m.y * carried[1]) * m.inverse
        return force - carried + torch.stack([m.x * pressure, m.y * pressure]) - nu * m.square * u

    trajectory, differences = random(n, edges=(0.0, 0.3, end), batch=1), []
    e, v = exact_error(eq, trajectory, w0, "galerkin"), trajectory.coefficients
    assert v is not None
    found = e.values[0, -1, -1] + v.values[0, -1, -1] * m.kept
    for steps in (40, 80):
        u, h = torch.stack(velocity(to_spectrum(w0), m)), end / steps
        for _ in range(steps):
            k1 = rate(u)
            k2 = rate(u + h / 2 * k1)
            k3 = rate(u + h / 2 * k2)
            u = u + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate(u + h * k3))
        differences.append(float((found - (1j * m.x * u[1] - 1j * m.y * u[0])).abs().max()))
    assert differences[-1] < 1e-5
    assert differences[0] / differences[1] == pytest.approx(16, rel=0.15)


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_whole_equation_is_the_galerkin_system_of_a_finer_grid(name: str):
    n, fine = 8, 24  # modes up to 2, data up to 3, and all products are below 8

    def lifted(w: Tensor) -> Tensor:
        return to_field(resample(to_spectrum(w), n, fine), fine)

    f, b, w, trajectory = field(n, 1), field(n, 2, 3.0), field(n, 5), random(n)
    v = trajectory.coefficients
    assert v is not None
    v = Slabs(v.edges, v.values * Modes.of(n).kept)
    upper = Trajectory.of(Slabs(v.edges, resample(v.values, n, fine)), v.edges)
    build: Any = {"heat": lambda m, q: Heat2D(0.1, m, q(f)), "stokes": lambda m, q: Stokes2D(0.1, m, q(f), 0.3),
                  "oseen": lambda m, q: Oseen2D(0.1, m, q(b), q(f), (1.0, 0.5))}[name]
    whole = parabolic_error(build(n, lambda x: x), Trajectory.of(v, v.edges), w, "pde")
    finer = parabolic_error(build(fine, lifted), upper, lifted(w), "galerkin")
    assert torch.allclose(whole.total, finer.total, rtol=1e-12, atol=0)
    assert (whole.total > (1 + 1e-7) * parabolic_error(build(n, lambda x: x), Trajectory.of(v, v.edges), w, "galerkin").total).all()


# Duhamel's integrals, and what rounding can do


@pytest.mark.parametrize("z", [0.0, 1e-12, 1e-3, 1.0, 31.9, 32.1, 1e3, 1e6, 3 + 20j, 5 + 80j])
def test_memory_against_fifty_digits(z: complex):
    degree, points = 8, np.array([0.0, 1e-3, 0.5, 1.0])
    p = np.polynomial.Polynomial(np.arange(1.0, degree + 2) * (-1) ** np.arange(degree + 1) / math.factorial(4))
    found = memory(np.array([z]), degree, points)[0] @ p(chebyshev.lobatto(degree))
    with mpmath.workdps(50):
        for at, mine in zip(points, found, strict=True):
            true, s = mpmath.mpc(0), mpmath.mpf(float(at))
            for j, c in enumerate(p.coef):  # ∫_0^s exp(-z (s - r)) r^j dr by its power series or by parts, both exact enough in 50 digits
                true += float(c) * _moment(mpmath.mpc(z), s, j)
            assert abs(complex(true) - mine) <= 2e-15 * np.abs(p.coef).max()


def _moment(z: Any, s: Any, j: int) -> Any:
    if abs(z) * s < 1:
        return mpmath.nsum(lambda i: (-z) ** int(i) * mpmath.factorial(j) / mpmath.factorial(int(i) + j + 1) * s ** (int(i) + j + 1), [0, 40])
    total = (1 - mpmath.exp(-z * s)) / z
    for i in range(1, j + 1):
        total = (s**i - i * total) / z
    return total


@pytest.mark.parametrize("degree", [2, 8, 16])
def test_rounding_is_within_its_margin(degree: int):
    """Of an almost exact solution of the heat equation, whose residual is all cancellation, in 80 bits."""
    n, nu = 12, 0.01
    eq, w = Heat2D(nu, n), kept(n, 3)
    edges = torch.linspace(0, 1, 6, dtype=torch.float64)
    nodes = edges[:-1, None] + edges.diff()[:, None] * torch.from_numpy(chebyshev.lobatto(degree))
    v = to_spectrum(w) * torch.exp(-nu * eq.modes.square * nodes[..., None, None])
    v[1:, 0] = v[:-1, -1]
    found = parabolic_error(eq, Trajectory.of(Slabs(edges, v[None]), edges), w, "galerkin")
    long = np.clongdouble if hasattr(np, "clongdouble") else complex
    stored, k = found.slabs.values[0].numpy().astype(long), _long_square(n)
    x, weights = (a.astype(np.longdouble) for a in np.polynomial.legendre.leggauss(degree + 1))
    value_of, slope_of = _lagrange(degree, (1 + x) / 2)
    total = np.longdouble(0.0)
    twice = eq.energy(eq.modes).numpy()
    for s, width in enumerate(found.slabs.edges.numpy().astype(np.longdouble)[1:] - found.slabs.edges.numpy().astype(np.longdouble)[:-1]):
        r = np.tensordot(slope_of, stored[s], 1) / width + nu * k * np.tensordot(value_of, stored[s], 1)
        square = (np.abs(r) ** 2 * twice / np.where(k > 0, nu * k, 1)).sum((-2, -1))
        total += (square * weights).sum() * width / 2
    start = np.abs(to_spectrum(w).numpy() * eq.modes.kept.numpy() - stored[0, 0]) ** 2 * twice
    true = np.sqrt(total + start.sum())
    assert abs(float(found.value) - float(true)) <= float(found.rounding)
    assert float(found.rounding) < 1e-11 * float(true) + 1e-12


def _long_square(n: int) -> np.ndarray:
    x, y = np.arange(n // 2 + 1, dtype=np.longdouble)[None], np.fft.fftfreq(n, 1 / n).astype(np.longdouble)[:, None]
    return x**2 + y**2


def _lagrange(degree: int, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes of the cardinal functions, by their products, in 80 bits."""
    points = (1 - np.cos(np.pi * np.arange(degree + 1, dtype=np.longdouble) / degree)) / 2
    points = np.array([(1 - np.longdouble(str(mpmath.nstr(mpmath.cos(mpmath.pi * j / degree), 25)))) / 2 for j in range(degree + 1)])
    value, slope = np.ones((len(s), degree + 1), np.longdouble), np.zeros((len(s), degree + 1), np.longdouble)
    for j in range(degree + 1):
        others = [i for i in range(degree + 1) if i != j]
        for i in others:
            value[:, j] *= (s - points[i]) / (points[j] - points[i])
        for m in others:
            term = np.full(len(s), 1 / (points[j] - points[m]))
            for i in others:
                if i != m:
                    term *= (s - points[i]) / (points[j] - points[i])
            slope[:, j] += term
    return value, slope


# What must be seen: each change of a sound trajectory, or of its equation


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_sound_trajectory_has_a_small_error_and_changes_are_seen(name: str):
    n, w = 12, kept(12, 6)[None]
    eq = equation(name, n)
    sound = solution(eq, w)
    least = value(eq, sound, w)
    assert least < 1e-11
    changed = {
        "viscosity off by 1 %": value(equation(name, n, 0.101), sound, w),
        "no forcing": value(equation(name, n, forced=False), sound, w),
        "coefficients that were float32": value(eq, _mapped(sound, lambda v: v.to(torch.complex64).to(torch.complex128)), w),
        "another start": value(eq, sound, 1.001 * w)}
    if name == "oseen":
        changed["wrong sign of advection"] = value(equation(name, n, wind=-3.0), sound, w)
        changed["no advection"] = value(equation(name, n, wind=0.0), sound, w)
    floors = {"viscosity off by 1 %": 1e-4, "no forcing": 1e-1, "coefficients that were float32": 1e-8, "another start": 1e-4,
              "wrong sign of advection": 1e-1, "no advection": 1e-1}
    assert {key: found for key, found in changed.items() if found < floors[key]} == {}


def _mapped(trajectory: Trajectory, change: Any, times: Any = None) -> Trajectory:
    own = trajectory.coefficients
    assert own is not None
    return Trajectory.of(Slabs(own.edges, change(own.values)), trajectory.times if times is None else times)


def test_frames_that_are_shifted_or_swapped_are_seen():
    eq, w = equation("oseen", 12), kept(12, 6)[None]
    times = torch.linspace(0, 0.8, 33, dtype=torch.float64)
    own = solution(eq, w).coefficients
    assert own is not None
    frames = to_field(own.at(times), 12)
    splined = value(eq, Trajectory(times, frames), w)
    shifted, swapped = frames.clone(), frames.clone()
    shifted[:, 1:] = frames[:, :-1]
    swapped[:, [10, 11]] = frames[:, [11, 10]]
    assert splined < 1e-4
    assert value(eq, Trajectory(times, shifted), w) > 1e3 * splined
    assert value(eq, Trajectory(times, swapped), w) > 1e3 * splined
    translated = frames.roll(1, -1)
    assert value(eq, Trajectory(times, translated), w) > 1e3 * splined


def test_a_stepper_of_first_order_shows_its_order():
    """Implicit Euler: its error, from one residual and no solution, halves with the step, and is the true one."""
    n, nu, end = 12, 0.1, 0.8
    eq, w = equation("stokes", n, nu), kept(n, 6)
    f = eq.box.forcing_spectrum
    assert f is not None
    errors = []
    for steps in (40, 80, 160):
        h, v = end / steps, [to_spectrum(w)]
        for _ in range(steps):
            v.append((v[-1] + h * f) / (1 + h * eq.rate(eq.modes)))
        trajectory = Trajectory(torch.linspace(0, end, steps + 1, dtype=torch.float64), to_field(torch.stack(v), n)[None])
        errors.append(value(eq, trajectory, w))
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.05)


# The certificate


def certified(name: str = "oseen", against: str = "pde", tol: float | None = None) -> Any:
    return certify_linear(equation(name), kept(8, 5, batch=2), random(8), tol, against=against)


@pytest.mark.parametrize("against", ["galerkin", "pde"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_the_checker_finds_the_same_number(name: str, against: str, tmp_path: Any):
    c = certified(name, against)
    claim = c.claim(CLAIM)
    assert claim.lower <= value(equation(name), random(8), kept(8, 5, batch=2), against) <= claim.upper
    assert claim.upper <= claim.lower * (1 + 1e-9)
    assert c.check().status is True
    loaded = type(c)(c.document, c.arrays)
    assert loaded.claim(CLAIM) == claim
    for share, holds in ((1.01, True), (0.99, False)):
        assert certified(name, against, share * claim.upper).check().status is holds


def test_a_splined_run_is_certified_with_its_frames():
    eq = equation("heat", 12)
    own = solution(eq, kept(12, 6)[None]).coefficients
    assert own is not None
    times = torch.linspace(0, 0.8, 33, dtype=torch.float64)
    c = certify_linear(eq, None, Trajectory(times, to_field(own.at(times), 12)), 1e-3)
    assert c.verdict is True
    assert c.check().status is True
    assert c.arrays["apart"] < 1e-12
    raw = Trajectory(times, to_field(own.at(times), 12) + torch.cos(5 * eq.box.nodes[0]))
    assert certify_linear(eq, None, raw).arrays["apart"] == pytest.approx(math.sqrt(0.5), rel=1e-5)


def rejudged(c: Any, parameters: dict[str, Any] | None = None, arithmetic: str = "margin", **arrays: Any) -> Any:
    """The verdict of the checker on changed evidence, in which all digests fit."""
    changed = {k: v for k, v in (c.arrays | arrays).items() if v is not None}
    stated = c.document["subject"]["problem"]["parameters"] | (parameters or {})
    with np.errstate(all="ignore"):
        try:
            return issue("flow.Linear", stated, changed, {CLAIM: None}, arithmetic, c.document["provenance"]).check().status
        except (Refused, ArithmeticError, ValueError, KeyError, TypeError, IndexError):  # what `verify` turns into a refusal
            return "refused"


def number(x: float) -> dict[str, Any]:
    return {"decimal": x, "hex": x.hex()}


def edit(x: np.ndarray, where: Any, by: float) -> np.ndarray:
    x = x.copy()
    x[where] += by
    return x


TAMPERED: dict[str, Any] = {
    "viscosity off by 1 %": lambda a: ({"viscosity": number(0.101)}, {}),
    "length": lambda a: ({"length": number(6.3)}, {}),
    "drag": lambda a: ({"drag": number(0.1)}, {}),
    "viscosity of no number": lambda a: ({"viscosity": 0.1}, {}),
    "viscosity negative": lambda a: ({"viscosity": number(-0.1)}, {}),
    "another equation": lambda a: ({"equation": "stokes"}, {}),
    "unknown equation": lambda a: ({"equation": "euler"}, {}),
    "another system": lambda a: ({"against": "galerkin"}, {}),
    "unknown system": lambda a: ({"against": "les"}, {}),
    "no forcing": lambda a: ({}, {"forcing": None}),
    "no background": lambda a: ({}, {"background": None, "mean_velocity": None}),
    "half a background": lambda a: ({}, {"mean_velocity": None}),
    "wrong sign of advection": lambda a: ({}, {"background": -a["background"], "mean_velocity": -a["mean_velocity"]}),
    "background with a mean": lambda a: ({}, {"background": a["background"] + 0.1}),
    "background of another shape": lambda a: ({}, {"background": a["background"][:-2]}),
    "mean velocity of another shape": lambda a: ({}, {"mean_velocity": np.zeros(3)}),
    "initial with a mean": lambda a: ({}, {"initial": a["initial"] + 0.1}),
    "another initial": lambda a: ({}, {"initial": a["initial"] * 1.001}),
    "forcing with a mean": lambda a: ({}, {"forcing": a["forcing"] + 0.1}),
    "not Hermitian": lambda a: ({}, {"nodes": edit(a["nodes"], (0, 0, 1, 1, 0, 1), 1e-9)}),
    "mean mode": lambda a: ({}, {"nodes": edit(a["nodes"], (0, 0, 1, 0, 0, 0), 1e-3)}),
    "modes beyond the band": lambda a: ({}, {"nodes": np.pad(a["nodes"], [(0, 0)] * 3 + [(0, 2), (0, 1), (0, 0)])}),
    "a node changed": lambda a: ({}, {"nodes": edit(a["nodes"], (0, 0, 1, 1, 1, 0), 1e-3)}),
    "polynomials that do not join": lambda a: ({}, {"nodes": edit(a["nodes"], (0, 1, 0, 1, 1, 0), 1e-12)}),
    "unsorted edges": lambda a: ({}, {"edges": a["edges"][[0, 2, 1, 3]]}),
    "edges that repeat": lambda a: ({}, {"edges": a["edges"][[0, 1, 1, 3]]}),
    "edges that are shifted": lambda a: ({}, {"edges": a["edges"] + 1.0}),
    "not finite": lambda a: ({}, {"nodes": edit(a["nodes"], (0, 0, 1, 1, 1, 0), np.nan)}),
    "infinite": lambda a: ({}, {"initial": edit(a["initial"], (0, 0, 0), np.inf)}),
    "too large": lambda a: ({}, {"forcing": a["forcing"] * 2.0**101}),
    "frames of other samples": lambda a: ({}, {"frames": a["frames"][:1]}),
    "frames from elsewhere": lambda a: ({}, {"frames": 2 * a["frames"]}),
    "frames nearer than they are": lambda a: ({}, {"apart": a["apart"] * 0.99}),
    "lower end raised": lambda a: ({}, {"bracket": a["bracket"] * [[1 + 1e-9], [1.1]]}),
    "upper end lowered": lambda a: ({}, {"bracket": a["bracket"] * [[0.9], [1 - 1e-9]]}),
    "bracket upside down": lambda a: ({}, {"bracket": a["bracket"][::-1]}),
    "bracket of another shape": lambda a: ({}, {"bracket": a["bracket"][:, 0]}),
    "negative bracket": lambda a: ({}, {"bracket": a["bracket"] * [[-1], [1]]})}


@pytest.mark.parametrize("how", TAMPERED)
def test_tampered_evidence_is_refused(how: str):
    c = certified()
    assert rejudged(c) is True
    parameters, arrays = TAMPERED[how](c.arrays)
    assert rejudged(c, parameters, **arrays) == "refused"


def test_another_arithmetic_is_refused():
    assert rejudged(certified("heat"), arithmetic="enclosed") == "refused"


def test_a_wider_bracket_is_still_true():
    c = certified("heat")
    assert rejudged(c, bracket=c.arrays["bracket"] * [[0.9], [1.1]]) is True


# What is asked wrongly


@pytest.mark.parametrize(("make", "words"), [
    (lambda: Heat2D(-1.0, 8), "diffusivity"), (lambda: Heat2D(1.0, 8, torch.ones(8, 8)), "source: received a mean"),
    (lambda: Heat2D(1.0, 7), "resolution"), (lambda: Stokes2D(1.0, 8, drag=-1.0), "drag"),
    (lambda: Oseen2D(1.0, 8, torch.ones(8, 8)), "background: received a mean"),
    (lambda: Oseen2D(1.0, 8, None, mean_velocity=(1.0, math.nan)), "mean_velocity"),
    (lambda: parabolic_error(equation("heat"), random(8), against="les"), "against"),
    (lambda: parabolic_error(equation("heat"), random(12)), "expected real numbers"),
    (lambda: parabolic_error(equation("heat"), random(8), torch.ones(8, 8)), "mean"),
    (lambda: parabolic_error(equation("heat"), random(8), kept(8, 1, batch=3)), "3 fields for 2"),
    (lambda: parabolic_error(equation("heat"), _mapped(random(8), lambda v: v * torch.arange(1, 4)[:, None, None, None])), "do not join"),
    (lambda: exact_error(equation("oseen"), random(8)), "Galerkin|galerkin"),
    (lambda: certify_linear(equation("heat"), None, random(8), -1.0), "tol"),
    (lambda: certify_linear(equation("heat"), None, _mapped(random(8), lambda v: v, np.array([0.1, 0.7]))), "begin together"),
])
def test_bad_input(make: Any, words: str):
    with pytest.raises(ValueError, match=words):
        make()


def test_residual_of_the_solution_vanishes_everywhere():
    eq, w = equation("oseen", 12), kept(12, 6)[None]
    slabs = solution(eq, w).coefficients
    assert slabs is not None
    at = basis(slabs.degree, np.linspace(0, 1, 7))
    worst = max(float(residual(eq, slabs, s, at, "galerkin").abs().max()) for s in range(len(slabs.edges) - 1))
    assert worst < 1e-11
