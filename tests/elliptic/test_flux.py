"""Stream functions: found, given, and free where they must be."""

from __future__ import annotations

import numpy as np
import pytest
from cases import BOUNDARIES, disturbed, draw
from referees import Data, Gauss

from wellposed.elliptic import Darcy, bound
from wellposed.elliptic import flux as flux_module

EVERYWHERE = pytest.mark.parametrize("boundary", BOUNDARIES)


@EVERYWHERE
def test_the_stream_function_that_is_returned_gives_the_same_bound(boundary: str):
    rng = np.random.default_rng(0)
    problem = draw(boundary, 8, rng, field="cells", samples=2, dirichlet=True)
    v = disturbed(problem, rng, 0.1)
    found = bound(problem, v)
    given = bound(problem, v, found.stream)
    assert found.cycles > 0
    assert given.cycles == 0
    for name in ("eta", "relative", "compliance_lower", "compliance_upper", "cells"):
        assert getattr(given, name) == pytest.approx(getattr(found, name), rel=1e-9), name
    assert given.stream == pytest.approx(found.stream, abs=1e-11)


@pytest.mark.parametrize("boundary", [b for b in BOUNDARIES if b not in ("dirichlet", "periodic")])
def test_values_on_neumann_sides_are_corrected(boundary: str):
    """psi is moved there to balance g: the flux tested by w that lives near the boundary is the load."""
    rng = np.random.default_rng(1)
    problem = draw(boundary, 8, rng, field="cells")
    noise = rng.standard_normal((1, 9, 9))
    corrected = bound(problem, disturbed(problem, rng, 0.1), noise).stream
    inside = np.s_[0, 1:-1, 1:-1]
    assert np.array_equal(corrected[inside], noise[inside])
    gauss = Gauss(Data.of(problem))
    t, w = gauss.flux(corrected[0]), rng.standard_normal((9, 9)) * (problem.space().free.numpy() > 0)
    x, y = gauss.gradient(w)
    assert gauss.integral(t[0] * x + t[1] * y) == pytest.approx(gauss.load(w), abs=1e-12)


@pytest.mark.parametrize("direction", ["top and bottom neumann", "left and right neumann"])
def test_the_second_open_wall_needs_a_constant_of_its_own(direction: str, monkeypatch: pytest.MonkeyPatch):
    """Without it no net flux can cross the square, and the upper end of the compliance is far too large."""
    a = np.exp(np.random.default_rng(2).uniform(0, 1, (1, 16, 16)))
    a[(np.s_[:, :, -2:] if direction.startswith("top") else np.s_[:, :2])] *= 1e-2  # one way out is nearly closed
    problem = Darcy(a, 1.0, BOUNDARIES[direction])
    u, gauss = problem.solve(), Gauss(Data.of(problem))
    free = bound(problem, u)
    assert free.eta[0] ** 2 <= 1.05 * gauss.eta2(u[0], gauss.best_flux())
    monkeypatch.setattr(flux_module, "ramps", lambda problem: [])
    fixed = bound(problem, u)
    assert fixed.eta[0] > 1.5 * free.eta[0]
    assert fixed.compliance_upper[0] > free.compliance_upper[0]


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_constant_added_to_the_stream_function_changes_nothing(boundary: str):
    rng = np.random.default_rng(3)
    problem = draw(boundary, 8, rng, field="cells")
    v = disturbed(problem, rng, 0.1)
    b = bound(problem, v)
    assert bound(problem, v, b.stream + 7.0).eta == pytest.approx(b.eta, rel=1e-9)


def test_a_better_stream_function_is_a_smaller_bound_and_the_same_lower_compliance():
    rng = np.random.default_rng(4)
    problem = draw("dirichlet", 16, rng, field="cells")
    v = disturbed(problem, rng, 0.05)
    zero, best = bound(problem, v, np.zeros((1, 17, 17))), bound(problem, v)
    assert best.eta[0] < zero.eta[0]
    assert best.compliance_lower == pytest.approx(zero.compliance_lower, rel=1e-12)
    assert best.compliance_upper[0] < zero.compliance_upper[0]


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 9), (9,), (1, 17, 17)])
def test_stream_function_of_another_shape(shape: tuple[int, ...]):
    problem = draw("dirichlet", 8, np.random.default_rng(5))
    with pytest.raises(ValueError, match=r"stream: received the shape .* expected \(1, 9, 9\)"):
        bound(problem, problem.solve(), np.zeros(shape))


def test_stream_function_on_the_mesh_of_a_finer_answer():
    rng = np.random.default_rng(6)
    problem = draw("top and bottom neumann", 4, rng, field="cells")
    v = disturbed(problem, rng, 0.1, factor=2)
    b = bound(problem, v)
    assert b.stream.shape == (1, 9, 9)
    assert bound(problem, v, b.stream).eta == pytest.approx(b.eta, rel=1e-10)
