"""The classical solver of the room against pyamg and sparse LU."""

from __future__ import annotations

import numpy as np
import pyamg
import pytest
from cases import BOUNDARIES, coefficient, draw
from referees import Data, Gauss, boundary_nodes

from wellposed.elliptic import Darcy


def algebraic_multigrid(gauss: Gauss) -> np.ndarray:
    """The finite-element solution with zero Dirichlet values by Ruge-Stueben multigrid and conjugate gradients."""
    free = ~boundary_nodes(gauss.n, gauss.d.sides, "dirichlet").ravel()
    matrix = gauss.matrix(gauss.a)[free][:, free].tocsr()
    x = pyamg.ruge_stuben_solver(matrix).solve(gauss.load_vector.ravel()[free], tol=1e-12, accel="cg", maxiter=200)
    out = np.zeros(len(free))
    out[free] = x
    return out.reshape(gauss.n + 1, gauss.n + 1)


@pytest.mark.parametrize("field", ["smooth", "two-phase", "multiscale", "lognormal", "checkerboard"])
@pytest.mark.parametrize("contrast", [4.0, 1e4])
def test_solution_of_every_field(field: str, contrast: float):
    a = coefficient(field, 32, np.random.default_rng(0), contrast)[None]
    problem = Darcy(a)
    theirs = algebraic_multigrid(Gauss(Data.of(problem)))
    assert problem.solve()[0] == pytest.approx(theirs, abs=1e-8 * np.abs(theirs).max())


@pytest.mark.parametrize("boundary", ["one side neumann", "corner neumann", "top and bottom neumann", "one side dirichlet"])
def test_solution_on_mixed_sides(boundary: str):
    problem = draw(boundary, 16, np.random.default_rng(1), field="cells", contrast=100.0)
    theirs = algebraic_multigrid(Gauss(Data.of(problem)))
    assert problem.solve()[0] == pytest.approx(theirs, abs=1e-8 * np.abs(theirs).max())


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("dirichlet", [False, True], ids=["zero", "values"])
def test_solution_against_sparse_lu(boundary: str, dirichlet: bool):
    problem = draw(boundary, 8, np.random.default_rng(2), field="cells", contrast=1e3, samples=3, dirichlet=dirichlet)
    for k, u in enumerate(problem.solve()):
        gauss = Gauss(Data.of(problem, k))
        exact = gauss.solve()
        if problem.balanced:
            exact = exact - gauss.integral(gauss.value @ exact.ravel())  # the solution with mean zero
        assert u == pytest.approx(exact, abs=1e-8 * np.abs(exact).max())


def test_samples_are_solved_one_by_one_as_in_a_batch():
    problem = draw("corner neumann", 16, np.random.default_rng(3), field="cells", samples=4)
    alone = np.concatenate([problem[k].solve() for k in range(4)])
    assert problem.solve() == pytest.approx(alone, abs=1e-9 * np.abs(alone).max())


def test_tolerance_is_that_of_the_energy_norm():
    problem = draw("dirichlet", 32, np.random.default_rng(4), field="cells", contrast=1e3)
    gauss = Gauss(Data.of(problem))
    exact = gauss.solve()
    for tol in (1e-2, 1e-4, 1e-8):
        assert np.sqrt(gauss.energy(problem.solve(tol)[0] - exact) / gauss.energy(exact)) <= 2 * tol
