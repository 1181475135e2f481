"""The bound is never below the error, nor the compliance outside its enclosure: against nested meshes eight times finer."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest
from cases import BOUNDARIES, disturbed, draw
from referees import Data, Gauss, prolong, truth

import wellposed
from wellposed.elliptic import Darcy, bound

FIELDS = ("smooth", "two-phase", "multiscale", "lognormal", "checkerboard", "cells")
CONTRASTS = cycle((4.0, 100.0, 1e4))
WRONG = cycle((0.0, 0.001, 0.03, 0.3, 3.0))
CASES = [(field, boundary, next(CONTRASTS), next(WRONG)) for field in FIELDS for boundary in BOUNDARIES]
ROUNDING = 1 + 1e-9


def demand_true(problem: Darcy, v: np.ndarray, stream: np.ndarray | None = None) -> None:
    """Bound and enclosure of every sample against the two-sided reference."""
    b = bound(problem, v, stream)
    for k in range(len(problem)):
        true = truth(problem, v, k)
        size = abs(true.compliance[0]) + true.gauss.energy(prolong(v[k], true.gauss.n // (v.shape[-1] - 1)))
        assert true.error[0] <= b.eta[k] * ROUNDING
        assert b.compliance_lower[k] <= true.compliance[0] + 1e-11 * size  # the fine mesh contains v, so it knows better
        assert b.compliance_upper[k] >= true.compliance[0] - 1e-11 * size
        if problem.dirichlet is None and true.compliance[1] > 0:
            assert true.error[0] / np.sqrt(true.compliance[1]) <= b.relative[k] * ROUNDING
        assert np.sqrt((b.cells[k] ** 2).sum()) == pytest.approx(b.eta[k], rel=1e-9)


@pytest.mark.parametrize(("field", "boundary", "contrast", "wrong"), CASES)
def test_zero_dirichlet_values(field: str, boundary: str, contrast: float, wrong: float):
    rng = np.random.default_rng(10 * FIELDS.index(field) + list(BOUNDARIES).index(boundary))
    problem = draw(boundary, 8, rng, field=field, contrast=contrast)
    demand_true(problem, disturbed(problem, rng, wrong))


@pytest.mark.parametrize("boundary", [b for b in BOUNDARIES if b not in ("neumann", "periodic")])
@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_dirichlet_values(boundary: str, wrong: float):
    rng = np.random.default_rng(len(boundary))
    problem = draw(boundary, 8, rng, field="cells", contrast=100.0, dirichlet=True)
    demand_true(problem, disturbed(problem, rng, wrong))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_any_stream_function_gives_a_bound(boundary: str):
    """The model's own, however bad: here noise, of which only the values on Neumann sides are corrected."""
    rng = np.random.default_rng(1)
    problem = draw(boundary, 8, rng, field="cells")
    v = disturbed(problem, rng, 0.1)
    stream = rng.standard_normal((1, 9, 9))
    if problem.periodic:
        stream = np.pad(stream[:, :8, :8], ((0, 0), (0, 1), (0, 1)), mode="wrap")
    demand_true(problem, v, stream)


@pytest.mark.parametrize("boundary", ["dirichlet", "top and bottom neumann", "neumann", "periodic"])
@pytest.mark.parametrize(("n", "factor"), [(3, 1), (6, 1), (4, 2), (3, 4)])
def test_odd_meshes_and_answers_on_finer_ones(boundary: str, n: int, factor: int):
    rng = np.random.default_rng(n)
    problem = draw(boundary, n, rng, field="cells")
    v = disturbed(problem, rng, 0.1, factor)
    b, true = bound(problem, v), truth(problem, v, factor=8 * factor)
    assert b.cells.shape == (1, n * factor, n * factor)
    assert true.error[0] <= b.eta[0] * ROUNDING
    assert b.compliance_lower[0] <= true.compliance[1]
    assert b.compliance_upper[0] >= true.compliance[0]


def test_several_samples_at_once():
    rng = np.random.default_rng(2)
    problem = draw("corner neumann", 8, rng, field="cells", samples=5)
    demand_true(problem, disturbed(problem, rng, 0.1))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("lower", ["same", "finer"])
@pytest.mark.parametrize("wrong", [0.0, 0.3])
@pytest.mark.parametrize("dirichlet", [False, True], ids=["zero", "values"])
def test_certified_interval_of_the_error_contains_it(boundary: str, lower: str, wrong: float, dirichlet: bool):
    rng = np.random.default_rng(3)
    problem = draw(boundary, 8, rng, field="cells", dirichlet=dirichlet)
    v = disturbed(problem, rng, wrong)
    claim, true = wellposed.certify(problem, v, lower=lower).claim("energy_error"), truth(problem, v)
    u, gap = np.sqrt(true.gauss.energy(true.u)), np.sqrt(true.compliance[1] - true.compliance[0])
    norms = u - gap, u + gap
    assert claim.lower is not None
    assert claim.lower <= true.error[1] / norms[0] * ROUNDING
    assert claim.upper is None or claim.upper >= true.error[0] / norms[1] / ROUNDING
    if wrong and problem.dirichlet is None:
        assert claim.lower >= 0.5 * true.error[0] / norms[1]


def test_lower_bound_on_a_finer_mesh_sees_the_discretization():
    problem = draw("dirichlet", 8, np.random.default_rng(4))
    u = problem.solve()
    same, finer = (wellposed.certify(problem, u, lower=lower).claim("energy_error").lower for lower in ("same", "finer"))
    assert same == pytest.approx(0.0, abs=1e-6)
    true = truth(problem, u)
    assert finer is not None
    assert 0.4 * true.error[0] / np.sqrt(true.compliance[0]) <= finer


@pytest.mark.parametrize("field", ["smooth", "two-phase", "multiscale", "lognormal"])
def test_effectivity_of_a_solvers_answer(field: str):
    """Contrast 4: the bound is at most twice the error."""
    problem = wellposed.elliptic.generate(field, 16, 3, seed=1)
    u = problem.solve()
    b = bound(problem, u)
    for k in range(3):
        assert 1.0 <= b.eta[k] / truth(problem, u, k).error[0] <= 2.0


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_bound_from_the_best_flux_is_nearly_as_small_as_can_be(boundary: str):
    """eta^2 with the stream function found by cycles, against the exact minimum over all stream functions."""
    rng = np.random.default_rng(5)
    problem = draw(boundary, 16, rng, field="cells", contrast=100.0)
    u, gauss = problem.solve(), Gauss(Data.of(problem))
    least = gauss.eta2(u[0], gauss.best_flux())
    assert least * (1 - 1e-9) <= bound(problem, u).eta[0] ** 2 <= 1.05 * least
