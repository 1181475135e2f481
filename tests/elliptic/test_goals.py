"""A weighted mean of the solution, enclosed by the midpoint formula: the truth is inside, always."""

from __future__ import annotations

import numpy as np
import pytest
from cases import BOUNDARIES, disturbed, draw
from referees import Data, Gauss, truth

import wellposed
from wellposed.elliptic import Darcy, bound, goal

EVERYWHERE = pytest.mark.parametrize("boundary", BOUNDARIES)
N = 8


def weight_for(problem: Darcy, rng: np.random.Generator) -> np.ndarray:
    q = rng.standard_normal((len(problem), problem.n, problem.n)) + 0.5
    return q - q.mean((1, 2), keepdims=True) if problem.balanced else q


def true_goal(problem: Darcy, q: np.ndarray, k: int = 0) -> tuple[float, float]:
    """l(u) = l(U) + a(u - U, z - Z) with Galerkin solutions on a finer mesh, whose errors are bounded there."""
    adjoint = Darcy(problem.coefficient.numpy(), q, problem.boundary)
    zero = np.zeros((len(problem), problem.n + 1, problem.n + 1))
    primal, dual = (truth(p, zero, k) for p in (problem, adjoint))
    value = float(np.sum(dual.gauss.load_vector * primal.u))
    spread = float(np.prod([np.sqrt(max(t.compliance[1] - t.compliance[0], 0)) for t in (primal, dual)]))
    return value - spread, value + spread


@EVERYWHERE
@pytest.mark.parametrize("wrong", [0.0, 0.03, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_interval_contains_the_truth(boundary: str, wrong: float, seed: int):
    rng = np.random.default_rng(seed)
    problem = draw(boundary, N, rng, field="cells", contrast=100.0)
    q, v = weight_for(problem, rng), disturbed(problem, rng, wrong)
    b, (low, high) = goal(problem, q, v), true_goal(problem, q)
    assert b.lower[0] <= high
    assert low <= b.upper[0]
    assert b.lower[0] < b.upper[0]


def test_interval_is_centred_far_better_than_it_is_wide():
    """For the solver's answer the middle is l(U) up to the product of two errors."""
    rng = np.random.default_rng(2)
    problem = draw("dirichlet", N, rng)
    q = weight_for(problem, rng)
    b, (low, high) = goal(problem, q, problem.solve()), true_goal(problem, q)
    assert abs((b.lower[0] + b.upper[0]) / 2 - (low + high) / 2) <= (b.upper[0] - b.lower[0]) / 2 + high - low


def test_width_is_the_product_of_the_two_bounds():
    rng = np.random.default_rng(3)
    problem = draw("corner neumann", N, rng)
    q, v = weight_for(problem, rng), disturbed(problem, rng, 0.1)
    b, stream = goal(problem, q, v), bound(problem, v).stream
    assert goal(problem, q, v, stream).upper == pytest.approx(b.upper, rel=1e-9)
    dual = Darcy(problem.coefficient.numpy(), q, problem.boundary)
    eta = bound(problem, v).eta[0] * bound(dual, dual.solve()).eta[0]
    assert b.upper[0] - b.lower[0] == pytest.approx(eta, rel=0.05)


def test_width_falls_like_h_squared():
    widths = []
    for n in (8, 16, 32):
        problem = Darcy(np.ones((1, n, n)))
        b = goal(problem, np.ones((1, n, n)), problem.solve())
        widths.append(b.upper[0] - b.lower[0])
    assert np.log2(np.array(widths[:-1]) / widths[1:]) == pytest.approx(2.0, abs=0.3)


def test_the_load_as_weight_is_the_compliance():
    problem = draw("dirichlet", N, np.random.default_rng(4))
    u = problem.solve()
    b, c = goal(problem, problem.source.numpy(), u), bound(problem, u)
    assert b.lower[0] <= c.compliance_upper[0]
    assert c.compliance_lower[0] <= b.upper[0]


def test_weights_broadcast_and_samples_stay_apart():
    rng = np.random.default_rng(5)
    problem = draw("dirichlet", N, rng, field="cells", samples=3)
    q, v = weight_for(problem, rng), disturbed(problem, rng, 0.1)
    whole, alone = goal(problem, q[:1], v), [goal(problem[k], q[0], v[k]) for k in range(3)]
    assert whole.lower == pytest.approx([b.lower[0] for b in alone], rel=1e-2)
    for k in range(3):
        low, high = true_goal(problem, np.broadcast_to(q[:1], q.shape).copy(), k)
        assert whole.lower[k] <= high
        assert low <= whole.upper[k]


def test_answers_on_finer_meshes():
    rng = np.random.default_rng(6)
    problem = draw("top and bottom neumann", 4, rng)
    q = weight_for(problem, rng)
    b, (low, high) = goal(problem, q, disturbed(problem, rng, 0.01, factor=2)), true_goal(problem, q)
    assert b.lower[0] <= high
    assert low <= b.upper[0]


@pytest.mark.parametrize("more", [{"dirichlet": {"left": 1.0}}, {"coefficient_error": 0.1}, {"source_oscillation": np.zeros((8, 8))}],
                         ids=lambda m: next(iter(m)))
def test_inexact_problems_have_no_goal(more: dict):
    table = {"bottom": "neumann", "right": "neumann", "top": "neumann", "left": "dirichlet"}
    problem = Darcy(np.ones((1, 8, 8)), 1.0, table, **more)
    with pytest.raises(ValueError, match=r"goal: received .* expected none of these"):
        goal(problem, 1.0, problem.solve())


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_weight_without_mean_zero_where_constants_are_free(boundary: str):
    problem = draw(boundary, 8, np.random.default_rng(7))
    with pytest.raises(ValueError, match="goal: received weights whose mean is not zero"):
        goal(problem, np.ones((1, 8, 8)), problem.solve())


def test_data_is_the_referees():
    """A guard on the referee: its own Galerkin goal for the solver's mesh is the solver's."""
    rng = np.random.default_rng(8)
    problem = draw("dirichlet", N, rng)
    q = weight_for(problem, rng)
    coarse = Data.of(Darcy(problem.coefficient.numpy(), q))
    value = Gauss(coarse).load(problem.solve()[0])
    low, high = true_goal(problem, q)
    assert value == pytest.approx((low + high) / 2, rel=0.2, abs=0.05)


@EVERYWHERE
def test_goal_in_a_certificate(boundary: str):
    rng = np.random.default_rng(9)
    problem = draw(boundary, N, rng, samples=2)
    q, v = weight_for(problem, rng), disturbed(problem, rng, 0.01)
    certificate = wellposed.certify(problem, v, goal=q)
    claim, b = certificate.claim("goal"), goal(problem, q, v)
    assert (claim.lower, claim.upper) == pytest.approx((b.lower.mean(), b.upper.mean()), rel=1e-9)
    assert certificate.check().status is True
