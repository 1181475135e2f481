"""The lift is the whole answer where the coefficient is constant, and has neither units nor scale."""

import math

import numpy as np
import pytest
import torch
from cases import BOUNDARIES, SIDES
from cases import draw as drawn
from referees import Data, Gauss

from wellposed.elliptic import Darcy, MgNO, bound, generate
from wellposed.elliptic.boundary import parse_boundary
from wellposed.elliptic.families import draw
from wellposed.elliptic.hypercircle import evaluate
from wellposed.elliptic.lift import FEATURES, lift
from wellposed.elliptic.trial import trial

N = 16


def problem(boundary, coefficient, seed=0):
    rng = np.random.default_rng(seed)
    sides = parse_boundary(boundary)
    nodes = (np.arange(N + 1) / N)[:, None] + np.cos(np.arange(N + 1) / N)
    f, g = rng.normal(size=(2, N, N)), {side: rng.normal(size=(2, N)) for side, kind in zip(SIDES, sides, strict=True) if kind == "neumann"}
    if "dirichlet" not in sides:
        f = f - (f.mean((1, 2)) + sum(x.mean(1) for x in g.values()))[:, None, None]
    return Darcy(coefficient, f, boundary, neumann=g or None,
                 dirichlet=np.stack([nodes, 2 * nodes]) if "dirichlet" in sides else None)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_constant_coefficient_is_solved(boundary):
    p = problem(BOUNDARIES[boundary], np.full((2, N, N), 3.0))
    start, u = lift(p), np.asarray(p.solve(1e-12))
    v = np.asarray(start.potential)
    if p.balanced:
        v, u = v - v[:, :1, :1], u - u[:, :1, :1]
    np.testing.assert_allclose(v, u, atol=1e-9 * np.abs(u).max())
    x = MgNO.darcy(BOUNDARIES[boundary], channels=2, layers=2, levels=2).double()
    with torch.no_grad():
        for weight in x.parameters():
            weight.zero_()
    np.testing.assert_allclose(np.asarray(bound(p, *x(p)).eta), np.asarray(bound(p, u).eta), rtol=2e-3)


@pytest.mark.parametrize("boundary", ["dirichlet", "periodic", "corner neumann"])
def test_coefficient_and_source_scale_the_answer(boundary):
    torch.manual_seed(0)
    sides = BOUNDARIES[boundary]
    model = MgNO.darcy(sides, channels=4, layers=2, levels=3).double()
    one = draw("lognormal", N, 2, source="random", boundary=sides)
    other = Darcy(7.0 * one.coefficient, 3.0 * one.source, sides)
    (v, psi), (w, chi) = model(one), model(other)
    scale = float(np.abs(np.asarray(v)).max())
    np.testing.assert_allclose(np.asarray(w), 3 / 7 * np.asarray(v), atol=1e-12 * scale)
    np.testing.assert_allclose(np.asarray(chi), 3 * np.asarray(psi), atol=1e-12 * float(np.abs(np.asarray(psi)).max()))


def test_features_are_finite_whatever_the_units():
    fields = generate("two-phase", N, 2, seed=0)
    plain = lift(fields).features()
    tiny = lift(Darcy(1e-30 * fields.coefficient, 1e20 * fields.source)).features()
    for x, y in zip(plain, tiny, strict=True):
        assert x.shape == (2, FEATURES, N, N)
        assert bool(x.isfinite().all())
        torch.testing.assert_close(y, x, rtol=1e-9, atol=1e-9)


def test_training_sees_the_network_alone():
    """Without amplitudes the output's size matters; with them the energy is never larger."""
    torch.manual_seed(1)
    p = generate("two-phase", N, 3, seed=0)
    model, start = MgNO.darcy(channels=4, layers=2, levels=3).double(), lift(p)
    free, fitted = (trial(model, start, amplitudes) for amplitudes in (False, True))
    assert free.flux is not None
    assert fitted.flux is not None
    a = start.coefficient
    assert bool((fitted.flux.energy_cells(a).sum((1, 2)) <= free.flux.energy_cells(a).sum((1, 2)) * (1 + 1e-12)).all())


def with_units(problem, s, t):
    """-div(s a grad u) = t f, and all data with it."""
    g, values = problem.neumann, problem.dirichlet
    return problem._with(coefficient=s * problem.coefficient, source=t * problem.source, neumann=None if g is None else t * g,
                         dirichlet=None if values is None else t / s * values)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_its_flux_is_the_best_one_for_a_constant_coefficient(boundary):
    """Against the minimizer by sparse elimination, with data on all sides."""
    p = with_units(drawn(boundary, N, np.random.default_rng(1), field="constant", samples=2, dirichlet=True), 3.0, 1.0)
    start = lift(p)
    b = evaluate(p, start.potential, start.stream)
    for k in range(2):
        gauss = Gauss(Data.of(p, k))
        assert float(b.eta[k]) == pytest.approx(math.sqrt(gauss.eta2(gauss.solve(), gauss.best_flux())), rel=1e-9)
        for own, t in zip((start.flux.x[k], start.flux.y[k]), gauss.flux(b.stream[k]), strict=True):
            np.testing.assert_allclose(own, gauss.cells(t) * N, atol=1e-12 * np.abs(t).max())


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_units_of_all_data(boundary):
    torch.manual_seed(0)
    model = MgNO.darcy(BOUNDARIES[boundary], channels=4, layers=2, levels=3).double()
    one = drawn(boundary, N, np.random.default_rng(3), samples=2, dirichlet=True)
    other = with_units(one, 7.0, 3.0)
    for x, y in zip(lift(one).features(), lift(with_units(one, 1e-30, 1e20)).features(), strict=True):
        torch.testing.assert_close(y, x, rtol=0, atol=1e-10 * float(x.abs().max()))
    (v, psi), (w, chi) = model(one), model(other)
    np.testing.assert_allclose(w, 3 / 7 * v, atol=1e-12 * np.abs(v).max())
    np.testing.assert_allclose(chi, 3 * psi, atol=1e-12 * np.abs(psi).max())


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_sample_has_the_same_lift_alone(boundary):
    """Also where only coefficients differ, and the solve is shared."""
    p = drawn(boundary, N, np.random.default_rng(2), samples=3, dirichlet=True)
    shared = Darcy(p.coefficient, p.source[:1] - p.source[:1].mean(), BOUNDARIES[boundary])
    for q in (p, shared):
        for k in range(3):
            alone, picked = lift(q[k]), lift(q)[k : k + 1]
            for x, y in zip((*alone.features(), alone.flux.x, alone.stream.psi), (*picked.features(), picked.flux.x, picked.stream.psi),
                            strict=True):
                torch.testing.assert_close(x, y, rtol=0, atol=1e-12 * float(y.abs().max()))


def test_without_any_data_it_is_zero():
    start = lift(Darcy(np.full((2, 8, 8), 2.0), 0.0))
    assert float(start.potential.abs().max()) == 0
    assert all(bool(x.isfinite().all()) for x in start.features())
