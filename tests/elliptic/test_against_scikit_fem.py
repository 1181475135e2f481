"""The room and the checker against scikit-fem's own assembly of the same solution and integrals."""

from __future__ import annotations

import numpy as np
import pytest
from cases import BOUNDARIES, disturbed, draw, evidence
from referees import Data, Gauss, prolong
from scikit import Scikit

from wellposed.elliptic import Darcy, bound
from wellposed_check.elliptic.arithmetic import Floats
from wellposed_check.elliptic.bounds import Evaluation

EVERYWHERE = pytest.mark.parametrize("boundary", BOUNDARIES)
VALUES = pytest.mark.parametrize("dirichlet", [False, True], ids=["zero", "values"])
REL = 1e-12


def case(boundary: str, dirichlet: bool, n: int = 4) -> tuple[Darcy, np.random.Generator]:
    rng = np.random.default_rng(7)
    return draw(boundary, n, rng, field="cells", contrast=100.0, dirichlet=dirichlet), rng


@pytest.mark.parametrize("boundary", [b for b in BOUNDARIES if b != "periodic"])
@VALUES
def test_solution_on_a_mesh_eight_times_finer(boundary: str, dirichlet: bool):
    problem, _ = case(boundary, dirichlet)
    ours = problem.refined(8).solve()[0]
    theirs = Scikit(Data.of(problem, factor=8)).solve()
    if problem.balanced:
        ours, theirs = ours - ours[0, 0], theirs - theirs[0, 0]
    assert ours == pytest.approx(theirs, abs=1e-8 * np.abs(theirs).max())


@EVERYWHERE
@VALUES
@pytest.mark.parametrize("factor", [1, 8])
def test_integrals_of_the_checker(boundary: str, dirichlet: bool, factor: int):
    """eta^2, |v|_a^2, F(v), |t|_*^2: closed forms against quadrature, to 1e-12."""
    problem, rng = case(boundary, dirichlet)
    v = disturbed(problem, rng, 0.1, factor)
    stream = bound(problem, v).stream
    e = Evaluation(*evidence(problem, v, stream), Floats)
    referee = Scikit(Data.of(problem, factor=factor))
    eta2 = referee.eta2_cells(v[0], stream[0])
    assert Floats.total(e.h.difference_cells(e.v, e.t))[0] == pytest.approx(eta2.sum(), rel=REL)
    assert e.energy[0] == pytest.approx(referee.energy(v[0]), rel=REL)
    assert e.h.load(e.v, e.h.f, e.h.g)[0] == pytest.approx(referee.load(v[0]), rel=REL, abs=REL * referee.energy(v[0]))
    assert e.h.flux_product(e.t, e.t)[0] == pytest.approx(referee.flux_energy(stream[0]), rel=REL)


@EVERYWHERE
@VALUES
def test_integrals_of_the_room(boundary: str, dirichlet: bool):
    """`cells`, `eta` and the compliance from the public stream function alone: t = (-int_0^x f, 0) + curl psi."""
    problem, rng = case(boundary, dirichlet, n=8)
    v = disturbed(problem, rng, 0.1)
    b, referee = bound(problem, v), Scikit(Data.of(problem))
    cells = referee.eta2_cells(v[0], b.stream[0])
    assert b.cells[0] ** 2 == pytest.approx(cells, rel=1e-9, abs=REL * cells.sum())
    assert (b.cells[0] ** 2).sum() == pytest.approx(cells.sum(), rel=REL)
    assert b.eta[0] ** 2 == pytest.approx(cells.sum(), rel=1e-10)
    low = 2 * referee.load(v[0]) - referee.energy(v[0])
    assert b.compliance_lower[0] == pytest.approx(low, abs=1e-12 * (abs(low) + referee.energy(v[0])))
    assert b.compliance_upper[0] == pytest.approx(low + cells.sum(), abs=1e-10 * (abs(low) + referee.energy(v[0])))


@EVERYWHERE
def test_the_two_referees_agree(boundary: str):
    problem, rng = case(boundary, True)
    v = disturbed(problem, rng, 0.1)[0]
    stream, gauss, scikit = rng.standard_normal(v.shape), Gauss(Data.of(problem)), Scikit(Data.of(problem))
    assert gauss.energy(v) == pytest.approx(scikit.energy(v), rel=REL)
    assert gauss.load(v) == pytest.approx(scikit.load(v), rel=1e-11)
    assert gauss.flux_energy(gauss.flux(stream)) == pytest.approx(scikit.flux_energy(stream), rel=REL)
    assert gauss.eta2_cells(v, gauss.flux(stream)) == pytest.approx(scikit.eta2_cells(v, stream), rel=1e-11)


def test_interpolation_to_a_finer_mesh_keeps_the_function():
    problem, rng = case("corner neumann", False)
    v = disturbed(problem, rng, 0.1)[0]
    coarse, fine = Scikit(Data.of(problem)), Scikit(Data.of(problem, factor=3))
    assert fine.energy(prolong(v, 3)) == pytest.approx(coarse.energy(v), rel=REL)
    assert fine.load(prolong(v, 3)) == pytest.approx(coarse.load(v), rel=1e-11)
