"""Direct solves for a constant coefficient satisfy the equations, on every kind of sides."""

import pytest
import torch
from cases import BOUNDARIES

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
