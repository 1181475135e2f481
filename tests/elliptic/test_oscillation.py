"""Data that are not constant on cells: the stated terms make the bound true again, and without them it may be false."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import BOUNDARIES, disturbed, draw, sides
from referees import Data, Truth, prolong, reference

import wellposed
from wellposed.elliptic import Darcy, bound

N, FINE = 4, 8
NEUMANN = [b for b in BOUNDARIES if "neumann" in sides(b)]


def blocks(x: np.ndarray) -> np.ndarray:
    """(N, N, FINE, FINE) of a field on N FINE cells a side."""
    return x.reshape(N, FINE, N, FINE).swapaxes(1, 2)


def vary(problem: Darcy, rng: np.random.Generator, source: float = 0.0, flux: float = 0.0, coefficient: float = 0.0) -> Data:
    """The problem on FINE times finer cells, with data that vary inside the old cells and keep their means."""
    d = Data.of(problem, factor=FINE)
    f, g = rng.standard_normal(d.f.shape) * source, rng.standard_normal(d.g.shape) * flux
    f -= np.kron(blocks(f).mean((2, 3)), np.ones((FINE, FINE)))
    g -= np.repeat(g.reshape(4, N, FINE).mean(2), FINE, 1)
    g[[k for k in range(4) if problem.sides[k] != "neumann"]] = 0.0
    a = d.a * (1 + coefficient * rng.uniform(-1, 1, d.a.shape))
    return Data(a, d.f + f, d.g + g, d.values, d.sides)


def stated(problem: Darcy, true: Data, **more: Any) -> Darcy:
    """The cellwise problem with the oscillation of the true data."""
    part = blocks(true.f)
    osc = np.sqrt(((part - part.mean((2, 3), keepdims=True)) ** 2).mean((2, 3))) / N
    edges = true.g.reshape(4, N, FINE)
    edge_osc = np.sqrt(((edges - edges.mean(2, keepdims=True)) ** 2).mean(2) / N)
    g = None if problem.neumann is None else problem.neumann.numpy()
    return Darcy(problem.coefficient.numpy(), problem.source.numpy(), problem.boundary, neumann=g,
                 source_oscillation=osc[None] if osc.any() else None,
                 neumann_oscillation=edge_osc[None] if edge_osc.any() else None, **more)


def demand_true(problem: Darcy, v: np.ndarray, true: Truth) -> None:
    b = bound(problem, v)
    size = abs(true.compliance[0]) + true.gauss.energy(prolong(v[0], FINE))
    assert true.error[0] <= b.eta[0] * (1 + 1e-9)
    assert b.compliance_lower[0] <= true.compliance[1] + 1e-11 * size
    assert b.compliance_upper[0] >= true.compliance[0] - 1e-11 * size
    claim = wellposed.certify(problem, v).claim("energy_error")
    assert claim.lower is not None
    assert claim.lower <= true.error[1] / np.sqrt(true.compliance[0]) * (1 + 1e-9)
    assert claim.upper is None or claim.upper >= true.error[0] / np.sqrt(true.compliance[1])


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", [0.5, 5.0])
@pytest.mark.parametrize("wrong", [0.0, 0.2])
def test_source_oscillation(boundary: str, size: float, wrong: float):
    rng = np.random.default_rng(1)
    problem = draw(boundary, N, rng, field="cells")
    data = vary(problem, rng, source=size)
    v = disturbed(problem, rng, wrong)
    demand_true(stated(problem, data), v, reference(data, v[0]))


@pytest.mark.parametrize("boundary", NEUMANN)
@pytest.mark.parametrize("size", [0.5, 5.0])
def test_neumann_oscillation(boundary: str, size: float):
    rng = np.random.default_rng(2)
    problem = draw(boundary, N, rng, field="cells")
    data = vary(problem, rng, flux=size)
    v = disturbed(problem, rng, 0.05)
    demand_true(stated(problem, data), v, reference(data, v[0]))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("r", [0.02, 0.1, 0.5])
def test_coefficient_error(boundary: str, r: float):
    """A true coefficient anywhere within (1 -+ r) of the stated one, cell by finer cell."""
    rng = np.random.default_rng(3)
    problem = draw(boundary, N, rng, field="cells")
    data = vary(problem, rng, coefficient=r)
    v = disturbed(problem, rng, 0.05)
    demand_true(stated(problem, data, coefficient_error=r), v, reference(data, v[0]))


@pytest.mark.parametrize("boundary", NEUMANN)
def test_all_at_once(boundary: str):
    rng = np.random.default_rng(4)
    problem = draw(boundary, N, rng, field="cells")
    data = vary(problem, rng, source=2.0, flux=1.0, coefficient=0.2)
    v = disturbed(problem, rng, 0.1)
    demand_true(stated(problem, data, coefficient_error=0.2), v, reference(data, v[0]))


def test_without_the_source_term_the_bound_is_false():
    """f has mean zero in every cell, so the cellwise problem has the solution 0; the true one has not."""
    rng = np.random.default_rng(5)
    problem = Darcy(np.ones((1, N, N)), 0.0)
    data = vary(problem, rng, source=1.0)
    v = np.zeros((1, N + 1, N + 1))
    true = reference(data, v[0])
    assert bound(problem, v).eta[0] < 1e-12 < true.error[0]
    assert true.error[0] <= bound(stated(problem, data), v).eta[0]


def test_without_the_coefficient_term_the_bound_is_false():
    """A linear potential is exact for a constant coefficient, and not for one that varies within 1 -+ r."""
    rng = np.random.default_rng(6)
    u = np.broadcast_to(np.linspace(0, 1, N + 1), (1, N + 1, N + 1)).copy()
    problem = Darcy(np.ones((1, N, N)), 0.0, dirichlet=u)
    data = vary(problem, rng, coefficient=0.3)
    true = reference(data, u[0])
    assert bound(problem, u).eta[0] < 1e-3 * true.error[0]
    assert true.error[0] <= bound(Darcy(np.ones((1, N, N)), 0.0, dirichlet=u, coefficient_error=0.3), u).eta[0]


def test_without_the_neumann_term_the_bound_is_false():
    rng = np.random.default_rng(7)
    problem = Darcy(np.ones((1, N, N)), 0.0, BOUNDARIES["one side neumann"], neumann={"right": 0.0})
    data = vary(problem, rng, flux=1.0)
    v = np.zeros((1, N + 1, N + 1))
    true = reference(data, v[0])
    assert bound(problem, v).eta[0] < 1e-12 < true.error[0]
    assert true.error[0] <= bound(stated(problem, data), v).eta[0]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_poincare_constant_is_sharp(k: int):
    """On insulated squares with f = cos(pi x / h) the error is exactly h / pi times the oscillation; finer waves stay below."""
    n, m = 2, 64
    x = (np.arange(n * m) + 0.5) / m
    wave = np.cos(k * np.pi * x) * np.where(x < 1, 1.0, (-1.0) ** k)  # the same in each cell, so its flux vanishes on cell sides
    line = np.broadcast_to(wave, (n * m, n * m))
    data = Data(np.ones((n * m,) * 2), line, np.zeros((4, n * m)), np.zeros((n * m + 1,) * 2), ("neumann",) * 4)
    part = line.reshape(n, m, n, m).swapaxes(1, 2)
    osc = np.sqrt((part**2).mean((2, 3))) / n
    problem = Darcy(np.ones((1, n, n)), 0.0, "neumann", source_oscillation=osc[None])
    v = np.zeros((1, n + 1, n + 1))
    ratio = reference(data, v[0]).error[0] / bound(problem, v).eta[0]
    assert ratio == pytest.approx(1 / k, rel=2e-3)
    assert ratio <= 1.0


def test_unbounded_variation_is_undecided_however_small_the_bound():
    problem = draw("dirichlet", 8, np.random.default_rng(8))
    loose = Darcy(problem.coefficient.numpy(), problem.source.numpy(), cellwise=False)
    certificate = wellposed.certify(loose, problem.solve(), tol=100.0)
    assert certificate.verdict is None
    assert "violated: coefficient and source vary inside the cells" in str(certificate)
    assert certificate.check().exit_code == 3


def test_more_oscillation_is_a_larger_bound():
    rng = np.random.default_rng(9)
    problem = draw("one side neumann", 8, rng)
    u = problem.solve()
    a, f, g = (x.numpy() for x in (problem.coefficient, problem.source, problem.neumann))  # type: ignore[union-attr]
    etas = [bound(Darcy(a, f, problem.boundary, neumann=g, source_oscillation=np.full((1, 8, 8), s),
                        neumann_oscillation=np.full((1, 4, 8), s)), u).eta[0] for s in (0.0, 0.01, 0.1)]
    assert etas[0] == pytest.approx(bound(problem, u).eta[0], rel=1e-12)
    assert etas[0] < etas[1] < etas[2]
