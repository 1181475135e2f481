"""The bound is one: each of its parts against brute force, and the whole against references, for every kind of trajectory."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from flows import (
    LENGTH,
    N,
    at,
    changed,
    distance,
    equation,
    field,
    frozen,
    jump_error,
    noisy,
    own,
    reference,
    rough_error,
    short,
    smooth_error,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad, solve_ivp

from wellposed.flow import Evolution, Slabs, Trajectory, bound, enclose, gronwall, solve
from wellposed.flow.band import Band
from wellposed.flow.bound import of_frames
from wellposed.flow.evidence import parameters, problem_arrays, proof_arrays
from wellposed.flow.rates import rates
from wellposed.flow.residual import residual
from wellposed.flow.strain import GRIDS, strain
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import resample, to_field, to_spectrum
from wellposed_check.flow.evidence import read_flow, read_polynomials
from wellposed_check.flow.gronwall import over_time as checked_over_time
from wellposed_check.statement import Evidence

REFERENCE = 1e-11
START = field(N, 1, 2)
TIMES = torch.tensor([0.0, 0.05, 0.13, 0.2, 0.35, 0.5, 0.6], dtype=torch.float64)


@cache
def flow_of(viscosity: float, drag: float = 0.0) -> tuple:
    """An equation, its exact flow at TIMES, and the solver's, good to about 1e-8, on slabs of its own."""
    e = equation(N, viscosity, drag)
    good = solve(e, START, torch.linspace(0, 0.6, 4, dtype=torch.float64), step=0.02, slab=0.2)
    return e, reference(e, START, TIMES), Trajectory.of(own(good), TIMES)


@cache
def equations_own(viscosity: float) -> torch.Tensor:
    """The flow of the equation itself at TIMES, on three times as fine a grid."""
    w = to_field(resample(to_spectrum(START), N, 3 * N), 3 * N)
    return reference(equation(3 * N, viscosity), w, TIMES, 0.01)


def off_the_equation(flow: Trajectory, viscosity: float) -> np.ndarray:
    which = torch.searchsorted(TIMES, flow.times)
    frames = to_field(resample(to_spectrum(flow.vorticity), N, 3 * N), 3 * N)
    return distance(frames, equations_own(viscosity)[:, which])


# growth


def brute_strain(w: np.ndarray, m: int, length: float = LENGTH) -> np.ndarray:
    """The largest rate of strain at m x m nodes, from differentiated velocities."""
    n = w.shape[-2]
    wide = np.fft.fft2(to_field(resample(torch.from_numpy(np.ascontiguousarray(w)), n, m), m).numpy(), norm="forward")
    k = 2 * np.pi / length * np.fft.fftfreq(m, 1 / m)
    square = k[:, None] ** 2 + k**2
    square[0, 0] = 1.0
    u, v = 1j * k[:, None] * wide / square, -1j * k * wide / square
    ux, uy, vx, vy = (np.fft.ifft2(d, norm="forward").real for d in (1j * k * u, 1j * k[:, None] * u, 1j * k * v, 1j * k[:, None] * v))
    np.testing.assert_allclose(ux, -vy, atol=1e-12 * np.abs(ux).max())
    return np.sqrt(ux**2 + (uy + vx) ** 2 / 4).max((-2, -1))


@settings(max_examples=25, deadline=None)
@given(time=st.floats(0.0, 0.6), seed=st.integers(0, 5), rough=st.sampled_from([0.0, 0.3, 3.0]), pieces=st.sampled_from([1, 2, 3]))
def test_strain_is_bounded_at_any_time_between_nodes(time, seed, rough, pieces):
    e, flow = short()
    slabs = Slabs(own(flow).edges, own(flow).values + (rough_error(flow, rough, seed) if rough else 0))
    found, s = rates(e, slabs, pieces=pieces), max(int(np.searchsorted(slabs.edges.numpy(), time)) - 1, 0)
    place = pieces * (time - float(slabs.edges[s])) / float(slabs.widths[s])
    p = min(int(place), pieces - 1)
    begin, end, bend = (x[:, s, p].numpy() for x in (found.begin, found.end, found.bend))
    most = begin + (end - begin) * (place - p) + bend + e.viscosity
    true = brute_strain(at(slabs, time)[0], 8 * N)
    assert (true <= most).all()
    if not rough:
        assert (most <= 1.3 * true).all()


@pytest.mark.parametrize("multiple", GRIDS)
@pytest.mark.parametrize("slope", [1.0, 3.0])
def test_strain_between_nodes(multiple, slope):
    e = equation(N, length=3.0)
    w = to_spectrum(field(N, 2, 8, 1.0, slope)) * e.modes.kept
    band, m = Band.kept(N, 3.0), 2 * round(multiple * N / 2)
    true = brute_strain(w.numpy(), 12 * N, 3.0)
    most = strain(band.cut(w), band, m).numpy()
    assert (true <= most * (1 + 1e-12)).all()
    assert multiple > 1 or (brute_strain(w.numpy(), m, 3.0) < 0.99 * true).any(), "nodes alone do not do"


def test_strain_of_shear_is_half_its_vorticity():
    band = Band.kept(N, LENGTH)
    w = band.cut(to_spectrum(3 * torch.cos(2 * equation().nodes[1])))
    for m in (16, 32, 64):
        between = (LENGTH / m) ** 2 / 8 * 3 * 4
        assert float(strain(w, band, m)) == pytest.approx(1.5 + between, rel=1e-8)


# squares and the recursion


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), degree=st.integers(1, 4), times=st.lists(st.integers(0, 3000).map(lambda k: k / 1000), max_size=3))
def test_squares_are_integrals(seed, degree, times):
    rng, edges = np.random.default_rng(seed), np.array([0.0, 0.7, 1.5, 3.0])
    points = 2 * degree + 1
    r = rng.standard_normal((2, 3, points, 4))
    steps = gronwall.Steps.of(edges, np.array(sorted(times)), 2, 4)
    found = gronwall.squares(r @ r.swapaxes(-1, -2), steps, np.diff(edges), 1e-13)
    ends = np.append(0.0, edges[steps.slab] + steps.right * np.diff(edges)[steps.slab])
    np.testing.assert_allclose(ends[steps.ends], sorted(times), rtol=1e-12, atol=1e-12)
    assert (np.diff(ends) > 0).all()
    assert ends[-1] == pytest.approx(3.0)
    for i in rng.choice(len(steps.left), 2):
        s, h = steps.slab[i], edges[steps.slab[i] + 1] - edges[steps.slab[i]]
        square = [h * quad(lambda x, y=r[b, s]: ((chebyshev.from_gauss(points, np.array([x])) @ y) ** 2).sum(), steps.left[i], steps.right[i])[0]
                  for b in range(2)]
        whole = (r[:, s] ** 2).sum((-2, -1)) * h * (steps.right[i] - steps.left[i])
        np.testing.assert_allclose(found[:, i], square, rtol=1e-9, atol=2e-13 * whole.max())
        assert (found[:, i] >= np.array(square) * (1 - 1e-14)).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), rate=st.sampled_from([-30.0, -1.0, -1e-9, 0.0, 1e-9, 1e-3, 2.0, 8.0]), bends=st.booleans())
def test_the_recursion_is_above_the_differential_equation(seed, rate, bends):
    """E' = λ(t) E + r(t), λ linear on each step, r any function with the given integral of squares; with both constant the two nearly agree."""
    rng, steps = np.random.default_rng(seed), 4
    length, size = rng.uniform(0.1, 0.4, steps), rng.uniform(0, 1, steps)
    ends = rate + (rng.uniform(-1, 1, (steps, 2)) if bends else np.zeros((steps, 2)))
    wave = rng.integers(0, 4, steps) if bends else np.zeros(steps)
    jump, e = np.where(np.arange(steps) == 2, 0.3, 0.0), np.array([0.5])
    found = gronwall.recursion(e, ends.mean(1)[None], ends.max(1)[None], (size**2 * length)[None], length, jump[None])
    at_end = 0.5
    for i in range(steps):
        a, b, h, c, k = *ends[i], length[i], size[i], wave[i]
        shape = (lambda t, h=h, c=c, k=k: c * math.sqrt(2) * abs(math.sin(math.pi * k * t / h))) if k else (lambda t, c=c: c)
        y = solve_ivp(lambda t, y, a=a, b=b, h=h, r=shape: (a + (b - a) * t / h) * y + r(t), (0, h), [at_end + jump[i]], rtol=1e-10, atol=1e-12,
                      max_step=h / 20)
        at_end = y.y[0, -1]
        assert at_end <= found[0, i + 1] * (1 + 1e-8)
        if not bends:
            assert found[0, i + 1] <= at_end * (1 + (rate * h) ** 2 + 2e-9)


# the whole bound


KINDS = {
    "solver": lambda v, exact: v,
    "long steps": lambda v, exact: solve(equation(N, 1e-2), START, TIMES, step=0.2, slab=0.2, degree=4),
    "smooth error": lambda v, exact: changed(v, smooth_error(v, 1e-3)),
    "rough error": lambda v, exact: changed(v, rough_error(v, 1e-4)),
    "large error": lambda v, exact: changed(v, smooth_error(v, 1.0)),
    "slabs that do not join": lambda v, exact: changed(v, jump_error(v, 1e-2)),
    "frozen": lambda v, exact: frozen(equation(N), START, TIMES),
    "splined frames": lambda v, exact: Trajectory(TIMES, exact),
    "noise in all modes": lambda v, exact: noisy(Trajectory(TIMES, exact), 1e-3),
    "two frames": lambda v, exact: Trajectory(TIMES[[0, -1]], exact[:, [0, -1]]),
    "frames off their polynomials": lambda v, exact: Trajectory(TIMES, v.vorticity + 1e-2 * field(N, 30, 2)[:, None], own(v))}
WORTH = {"rough error": 1e3, "splined frames": math.inf, "two frames": math.inf, "noise in all modes": 1e3}


@pytest.mark.parametrize("growth", ["strain", "abscissa"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_above_the_true_error_of_the_galerkin_system(kind, growth):
    e, exact, good = flow_of(1e-2, 0.1)
    flow = KINDS[kind](good, exact)
    found = of_frames(e, flow, "galerkin", START, growth)
    true = distance(flow.vorticity, exact[:, torch.searchsorted(TIMES, flow.times)])
    assert (found.error.numpy() >= true - REFERENCE).all()
    assert (found.error[:, -1].numpy() <= WORTH.get(kind, 100) * (true[:, -1] + 1e-10)).all()
    if growth == "abscissa":
        assert bool((found.error <= of_frames(e, flow, "galerkin", START).error * (1 + 1e-9)).all())


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_above_the_true_error_of_the_equation_itself(kind):
    """The truth: the same flow on three times as fine a grid."""
    e, exact, good = flow_of(5e-3)
    flow = KINDS[kind](good, exact)
    found, kept = (of_frames(e, flow, system, START) for system in ("pde", "galerkin"))
    assert (found.error.numpy() >= off_the_equation(flow, 5e-3) - 1e-9).all()
    assert bool((found.error >= kept.error).all())
    assert (found.residual**2).numpy() == pytest.approx((kept.residual**2 + found.out_of_band**2).numpy(), rel=1e-9)


@pytest.mark.parametrize("kind", ["smooth error", "slabs that do not join"])
def test_by_abscissas_too_it_is_above_the_true_error_of_the_equation_itself(kind):
    e, exact, good = flow_of(5e-3)
    flow = KINDS[kind](good, exact)
    found = of_frames(e, flow, "pde", START, "abscissa").error.numpy()
    assert (found >= off_the_equation(flow, 5e-3) - 1e-9).all()
    assert (found <= of_frames(e, flow, "pde", START).error.numpy() * (1 + 1e-9)).all()


@settings(max_examples=10, deadline=None)
@given(time=st.floats(1e-3, 0.6), kind=st.sampled_from(["solver", "rough error", "slabs that do not join"]))
def test_it_is_above_the_error_at_any_time(time, kind):
    e, exact, good = flow_of(1e-2)
    times = torch.tensor([0.0, time], dtype=torch.float64)
    flow = Trajectory.of(own(KINDS[kind](good, exact)), times)
    true = distance(flow.vorticity, reference(e, START, times, 0.01))
    assert (of_frames(e, flow, "galerkin", START).error.numpy() >= true - 1e-9).all()


def test_just_after_slabs_do_not_join():
    e, flow = short()
    edges = own(flow).edges
    joint = float(edges[len(own(flow).widths) // 2])
    flow = changed(flow, jump_error(flow, 1.0))
    for late in (0.0, 1e-16, 1e-12, 1e-10, 1e-4):
        times = torch.tensor([0.0, joint + late], dtype=torch.float64)
        v = Trajectory.of(own(flow), times)
        true = distance(v.vorticity, reference(e, flow.vorticity[:, 0], times))
        assert (of_frames(e, v, "galerkin").error.numpy() >= true - REFERENCE).all(), late
        assert (true[:, 1] > 0.1).all() == (joint + late > joint)


def test_of_the_exact_flow_it_is_small():
    e, t = equation(N, 2e-2), torch.linspace(0, 0.6, 4, dtype=torch.float64)
    flow = solve(e, START, t, step=1e-3, slab=0.05)
    assert float(of_frames(e, flow, "galerkin", START).error.max()) < 1e-10


def test_errors_of_the_initial_field_count():
    e, flow = short()
    other = flow.vorticity[:, 0] + field(N, 40, 2, 1e-3, kept=False)
    kept, whole = (bound(e, flow, system, other).error[:, 0] for system in ("galerkin", "pde"))
    assert whole.numpy() == pytest.approx(distance(other, flow.vorticity[:, 0]), rel=1e-6)
    inside = to_field(to_spectrum(other) * e.modes.kept, N)
    assert kept.numpy() == pytest.approx(distance(inside, flow.vorticity[:, 0]), rel=1e-6)


def test_relative_bounds_are_of_the_true_flow():
    e, flow = short()
    found = of_frames(e, changed(flow, smooth_error(flow, 0.1)), "galerkin")
    size = distance(found.trajectory.vorticity, 0.0)
    np.testing.assert_allclose(found.relative, found.error.numpy() / (size - found.error.numpy()), rtol=1e-12)
    nothing = of_frames(e, changed(flow, smooth_error(flow, 1e3)), "galerkin")
    assert float(nothing.relative.max()) == math.inf


def test_a_flow_at_rest():
    """Nothing moves: absolute bounds are zero but for rounding, relative ones say nothing."""
    e = equation(N, forced=False)
    flow = frozen(e, torch.zeros(1, N, N), torch.tensor([0.0, 1.0]))
    found = of_frames(e, flow, "pde")
    assert float(found.error.max()) < 1e-12
    assert float(found.relative.max()) == 0.0


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_units(scale):
    """Lengths in other units: vorticity stays, velocities and their bounds scale."""
    here, there = equation(N, 2e-2), equation(N, 2e-2 * scale**2, length=LENGTH * scale)
    flow = changed(short()[1], rough_error(short()[1], 1e-4))
    one, other = (of_frames(e, flow, "pde").error for e in (here, there))
    np.testing.assert_allclose(other, scale * one, rtol=1e-9)


# the checker's own evaluation


def evidence(e, flow: Trajectory, found) -> Evidence:
    problem = Evolution(e, START)
    return Evidence(parameters(problem), problem_arrays(problem) | proof_arrays(problem, found))


@pytest.mark.parametrize("against", ["galerkin", "pde"])
@pytest.mark.parametrize(("kind", "growth"), [
    ("solver", "strain"), ("rough error", "strain"), ("large error", "strain"), ("slabs that do not join", "strain"), ("two frames", "strain"),
    ("noise in all modes", "strain"), ("smooth error", "abscissa"), ("slabs that do not join", "abscissa")])
def test_the_checker_finds_the_same(kind, against, growth):
    _, exact, good = flow_of(1e-2)
    flow, e = KINDS[kind](good, exact), equation(N, 3e-3, drag=0.2, length=3.0)
    found = of_frames(e, flow, against, START, growth)
    off = distance(flow.vorticity, to_field(found.slabs.at(flow.times), N), 3.0)
    shown = evidence(e, flow, found)
    own_flow = read_flow(shown)
    theirs = checked_over_time(own_flow, read_polynomials(shown, own_flow), against, flow.times.numpy())
    np.testing.assert_allclose(found.error.numpy() - off, theirs, rtol=1e-6, atol=1e-10)
    assert (found.error.numpy() * (1 + 1e-7) >= theirs + off - 1e-14).all(), "the room must leave room for the checker's rounding"


# enclosure, estimate, floor


@pytest.mark.parametrize("kind", ["long steps", "smooth error", "rough error", "slabs that do not join", "noise in all modes", "large error"])
def test_enclosures_hold_the_true_error(kind):
    e, exact, good = flow_of(1e-2)
    flow = KINDS[kind](good, exact)
    both, true = enclose(Evolution(e, START), flow), distance(flow.vorticity, exact)
    lower, upper = both.lower.numpy(), both.upper.numpy()
    assert (lower <= true + REFERENCE).all()
    assert (true <= upper + REFERENCE).all()
    assert bool((both.upper <= both.own.error).all())
    large = true > 1e-7
    assert large.any()
    assert (upper[large] <= 1.05 * lower[large]).all()
    assert both.own.estimate.numpy()[large] == pytest.approx(true[large], rel=5e-3)
    low, high = (x.numpy() for x in both.relative)
    size = distance(exact, 0.0)
    assert (low[large] <= (true / size)[large] * (1 + 1e-9)).all()
    assert ((true / size)[large] <= high[large] * (1 + 1e-9)).all()


@pytest.mark.parametrize("pieces", [3, 600])
def test_estimates_of_rough_trajectories_on_slabs_of_any_length(pieces):
    e, exact, good = flow_of(1e-2)
    slabs = own(good).on(torch.linspace(0, 0.6, pieces + 1, dtype=torch.float64), 8)
    flow = changed(Trajectory.of(slabs, TIMES), rough_error(Trajectory.of(slabs, TIMES), 1e-4))
    found = of_frames(e, flow, "galerkin", START).estimate.numpy()
    true = distance(flow.vorticity, exact)
    large = true > 1e-6
    assert large.any()
    assert found[large] == pytest.approx(true[large], rel=2e-3)


@pytest.mark.parametrize("kind", ["solver", "large error"])
def test_enclosures_against_the_equation_hold_its_true_error(kind):
    e, exact, good = flow_of(5e-3)
    flow = KINDS[kind](good, exact)
    both, true = enclose(Evolution(e, START), flow, "pde"), off_the_equation(flow, 5e-3)
    assert (both.lower.numpy() <= true + 1e-9).all()
    assert (true <= both.upper.numpy() + 1e-9).all()
    assert kind == "solver" or bool((both.lower[:, -1] > 0).all())


def test_the_floor_of_frames_is_their_spline():
    """Frames too far apart cost the exact flow a bound that more accurate frames do not lower; polynomials have a lower floor."""
    e, exact, good = flow_of(1e-2)
    frames, better = (of_frames(e, v, "galerkin", START) for v in (Trajectory(TIMES, exact), good))
    np.testing.assert_allclose(frames.floor, frames.error, rtol=0.02, atol=1e-10)
    assert float(better.floor[:, -1].max()) < 1e-3 * float(frames.floor[:, -1].min())


def test_frames_too_far_apart_are_refused_with_the_spacing_that_would_do():
    e, start = equation(N, 1e-2), field(N, 3, 1, 3.0)
    coarse = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    with pytest.raises(ValueError, match=r"frames 0\.5 apart.*not even the exact flow.*expected at most [0-9.e-]+ for 1%.*call refine") as caught:
        bound(e, Trajectory(coarse, reference(e, start, coarse, 0.02)))
    needed = float(str(caught.value).split("expected at most ")[1].split(" ")[0])
    assert needed < 0.5
    enough = torch.linspace(0, 1, round(1 / needed) + 1, dtype=torch.float64)
    found = bound(e, Trajectory(enough, reference(e, start, enough, 0.005)), start=start)
    assert float((found.error / found.speed).max()) <= 0.0101
    assert float((of_frames(e, Trajectory(enough[::2], reference(e, start, enough[::2], 0.005)), "galerkin").relative).max()) > 0.01


def test_a_wrong_trajectory_is_bounded_however_wrong():
    """Not refused: it is the trajectory that is wrong, not its frames too few."""
    e, _, good = flow_of(1e-2)
    times = torch.linspace(0, 0.6, 31, dtype=torch.float64)
    wrong = Trajectory(times, -10 * to_field(own(good).at(times), N))
    assert float(bound(e, wrong, start=START).relative.max()) == math.inf


def test_residual_and_speed_are_what_they_say():
    e, flow = short()
    found = bound(e, flow, "pde")
    np.testing.assert_allclose(found.speed, distance(flow.vorticity, 0.0), rtol=1e-12)
    r = residual(e, own(flow), "pde")
    np.testing.assert_allclose(found.residual, (r.norm**2 * own(flow).widths).sum(-1).sqrt(), rtol=1e-12)
