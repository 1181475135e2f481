"""The lift is the whole answer where the coefficient is constant, and has neither units nor scale."""

import numpy as np
import pytest
import torch
from cases import BOUNDARIES, SIDES

from wellposed.elliptic import Darcy, MgNO, bound, generate
from wellposed.elliptic.boundary import parse_boundary
from wellposed.elliptic.families import draw
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
