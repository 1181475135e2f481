"""Direct solves for a constant coefficient satisfy the equations, on every kind of sides."""

import numpy as np
import pytest
import torch
from cases import BOUNDARIES
from referees import Data, Gauss

from wellposed.elliptic import Darcy
from wellposed.numerics.poisson import solve_constant
from wellposed.numerics.q1 import Stiffness


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("n", [6, 16])
def test_the_equations_hold(boundary, n):
    torch.manual_seed(0)
    one = torch.ones(2, n, n, dtype=torch.float64)
    space = Darcy(one, 0.0, BOUNDARIES[boundary]).space()
    f = space.assemble(torch.randn(2, n + 1, n + 1, dtype=torch.float64))
    u = solve_constant(space, f)
    residual = space.assemble(Stiffness(one)(u)) - f
    assert float(residual.abs().max()) <= 1e-12 * float(f.abs().max())
    assert bool((u[:, space.free == 0] == 0).all())


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("n", [3, 16])
def test_it_is_the_solution_by_sparse_elimination(boundary, n):
    """With matrices by quadrature; where constants are free, the one with mean zero."""
    f = np.random.default_rng(n).standard_normal((n, n))
    problem = Darcy(np.ones((n, n)), f - f.mean(), BOUNDARIES[boundary])
    gauss, space = Gauss(Data.of(problem)), problem.space()
    expected = gauss.solve()
    u = solve_constant(space, space.assemble(torch.as_tensor(gauss.load_vector)[None]))[0].numpy()
    if problem.balanced:
        expected = expected - gauss.integral(gauss.value @ expected.ravel())
        assert abs(gauss.integral(gauss.value @ u.ravel())) <= 1e-14 * np.abs(u).max()
    np.testing.assert_allclose(u, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_single_precision_stays_single():
    space = Darcy(np.ones((8, 8))).space()
    f = space.assemble(torch.ones(1, 9, 9, dtype=torch.float64))
    u = solve_constant(space, f.float())
    assert u.dtype == torch.float32
    torch.testing.assert_close(u.double(), solve_constant(space, f), rtol=0, atol=1e-6)
