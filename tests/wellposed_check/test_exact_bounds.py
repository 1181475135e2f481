"""Both arithmetics against exact rational numbers: what is claimed contains the truth, rounding included."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from cases import BOUNDARIES, disturbed, draw, evidence
from rational import Rational, rational

from wellposed.elliptic import Darcy
from wellposed_check.elliptic.arithmetic import Enclosure, Floats
from wellposed_check.elliptic.bounds import Evaluation, Pair, enclose, goal
from wellposed_check.elliptic.darcy import Problem

ARITHMETICS = pytest.mark.parametrize("arithmetic", [Floats, Enclosure], ids=["margin", "enclosed"])
EVERYWHERE = pytest.mark.parametrize("boundary", BOUNDARIES)
CLOSE = 1e-9


def case(boundary: str, seed: int, n: int = 4, **more: Any) -> tuple[Problem, Pair, Rational]:
    rng = np.random.default_rng(seed)
    problem = draw(boundary, n, rng, field="cells", contrast=1e3, **more)
    p, pair = evidence(problem, disturbed(problem, rng, 0.1))
    return p, pair, Rational(p, pair)


def contains(lower: Any, exact: Fraction, upper: Any) -> bool:
    return Fraction(float(lower)) <= exact <= Fraction(float(upper))


@EVERYWHERE
@pytest.mark.parametrize("dirichlet", [False, True], ids=["zero", "values"])
def test_intervals_contain_every_integral(boundary: str, dirichlet: bool):
    problem, pair, exact = case(boundary, 1, dirichlet=dirichlet)
    e = Evaluation(problem, pair, Enclosure)
    eta2 = Enclosure.total(e.h.difference_cells(e.v, e.t))
    assert contains(eta2.lower[0], exact.eta2(), eta2.upper[0])
    assert contains(e.energy.lower[0], exact.energy(), e.energy.upper[0])
    load = e.h.load(e.v, e.h.f, e.h.g)
    assert contains(load.lower[0], exact.load(), load.upper[0])
    flux = e.h.flux_product(e.t, e.t)
    assert contains(flux.lower[0], exact.flux_product(exact), flux.upper[0])


@EVERYWHERE
@ARITHMETICS
@pytest.mark.parametrize("dirichlet", [False, True], ids=["zero", "values"])
def test_claimed_bounds_contain_the_exact_ones(boundary: str, dirichlet: bool, arithmetic: Any):
    problem, pair, exact = case(boundary, 2, dirichlet=dirichlet)
    b, eta2 = enclose(problem, pair, arithmetic=arithmetic), exact.eta2()
    low = 2 * exact.load() - exact.energy()
    assert Fraction(b.eta[0]) ** 2 >= eta2
    assert contains(b.compliance_lower[0], low, b.compliance_upper[0])
    assert Fraction(b.compliance_upper[0]) >= low + eta2
    assert b.eta[0] ** 2 == pytest.approx(float(eta2), rel=CLOSE)
    assert b.compliance_lower[0] == pytest.approx(float(low), abs=CLOSE * float(exact.energy()))
    assert b.compliance_upper[0] == pytest.approx(float(low + eta2), abs=CLOSE * float(exact.energy() + eta2))


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", "one side dirichlet"])
@pytest.mark.parametrize("scale", [1e-40, 1e12])
def test_margin_covers_cancellation(boundary: str, scale: float, monkeypatch: pytest.MonkeyPatch):
    """A source of size `scale` whose rows sum to little, n = 16: running sums lose digits that the margin must give back."""
    monkeypatch.setattr("wellposed.elliptic.claims.AGREEMENT", np.inf)  # relative numbers are meaningless here
    rng = np.random.default_rng(3)
    problem = draw(boundary, 16, rng, field="cells", contrast=1e4)
    swing = np.where(np.arange(16) % 2 == 0, scale, -scale) * (1 + rng.uniform(0, 1e-9, (1, 16, 1)))
    f = problem.source.numpy() + swing if scale > 1 else problem.source.numpy() * scale
    f = f - f.mean() - (0 if problem.neumann is None or "dirichlet" in problem.sides else float(problem.neumann.mean(2).sum()))
    problem = Darcy(problem.coefficient.numpy(), f, problem.boundary, neumann=None if problem.neumann is None else problem.neumann.numpy())
    p, pair = evidence(problem, problem.solve(1e-6))
    eta, eta2 = enclose(p, pair).eta[0], Rational(p, pair).eta2()
    assert Fraction(eta) ** 2 >= eta2
    assert eta**2 <= float(eta2) * (1 + 1e-6) + 1e-18 * scale**2


def test_margin_covers_a_bound_that_is_nothing_but_rounding():
    """Linear u with a = 1: eta is 0 up to the rounding of the nodal values."""
    x = np.linspace(0, 1, 8)
    u = (1 / 3 * x + 0.7 * x[:, None])[None]
    problem = Darcy(np.ones((1, 7, 7)), 0.0, dirichlet=u)
    p, pair = evidence(problem, u)
    for arithmetic in (Floats, Enclosure):
        eta = enclose(p, pair, arithmetic=arithmetic).eta[0]
        assert Fraction(eta) ** 2 >= Rational(p, pair).eta2()
        assert eta < 1e-12


@EVERYWHERE
def test_enclosed_and_margin_agree(boundary: str):
    problem, pair, _ = case(boundary, 4, n=6)
    margin, enclosed = (enclose(problem, pair, arithmetic=m) for m in (Floats, Enclosure))
    for name in ("eta", "norm_lower", "norm_upper", "compliance_upper", "cells"):
        assert getattr(margin, name) == pytest.approx(getattr(enclosed, name), rel=1e-10), name
    assert margin.compliance_lower == pytest.approx(enclosed.compliance_lower, abs=1e-10 * margin.norm_upper[0] ** 2)


@EVERYWHERE
@ARITHMETICS
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_lower_bound_is_below_the_exact_quotient(boundary: str, arithmetic: Any, factor: int):
    """|F(w) - a(v, w)| / |w|_a in rational numbers, with w on the same or a finer mesh."""
    rng = np.random.default_rng(5)
    problem, n = draw(boundary, 3, rng, field="cells"), 3
    v = np.round(disturbed(problem, rng, 0.1), 6)
    p, pair = evidence(problem, v)
    w = disturbed(problem, rng, 1.0, factor)
    b = enclose(p, pair, w, arithmetic).error_lower[0]
    fine = Rational(p.refined(factor), Pair(w, np.zeros_like(w), pair.drift))
    hat = rational(np.maximum(0, factor - np.abs(np.arange(n * factor + 1)[:, None] - factor * np.arange(n + 1)))) / factor
    residual = abs(fine.load() - fine.energy(hat @ rational(pair.potential[0]) @ hat.T))
    quotient2 = residual**2 / fine.energy()
    assert Fraction(b) ** 2 <= quotient2
    assert b**2 == pytest.approx(float(quotient2), rel=1e-6)


@ARITHMETICS
@pytest.mark.parametrize("boundary", ["dirichlet", "top and bottom neumann", "neumann", "periodic"])
def test_goal_interval_contains_the_exact_one(boundary: str, arithmetic: Any):
    rng = np.random.default_rng(6)
    problem = draw(boundary, 4, rng, field="cells")
    weight = rng.standard_normal((1, 4, 4))
    weight -= weight.mean()
    p, primal = evidence(problem, disturbed(problem, rng, 0.1))
    adjoint = Darcy(problem.coefficient.numpy(), weight, problem.boundary)
    q, dual = evidence(adjoint, disturbed(adjoint, rng, 0.1))
    lower, upper = goal(p, weight, primal, dual, arithmetic)
    one, two = Rational(p, primal), Rational(q, dual)
    middle = (one.load(two.v) + two.load(one.v) - one.energy(two.v) + one.flux_product(two)) / 2
    half2 = one.eta2() * two.eta2() / 4
    assert (middle - Fraction(lower[0])) ** 2 >= half2
    assert (Fraction(upper[0]) - middle) ** 2 >= half2
    assert lower[0] < middle < upper[0]
    assert upper[0] - lower[0] == pytest.approx(2 * float(half2) ** 0.5, rel=1e-8)
