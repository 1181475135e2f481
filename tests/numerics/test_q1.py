"""Bilinear elements against 2 x 2 Gauss quadrature and exact functions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import cells
from referees import Data, Gauss

from wellposed.numerics.q1 import Stiffness, cell_load, gradient, pair, scatter, to_corners

RNG = np.random.default_rng(0)


def random(*shape: int) -> torch.Tensor:
    return torch.as_tensor(RNG.standard_normal(shape))


def gauss(a: np.ndarray, f: np.ndarray) -> Gauss:
    return Gauss(Data(a, f, np.zeros((4, len(a))), np.zeros((len(a) + 1,) * 2), ("dirichlet",) * 4))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_stiffness_is_the_quadrature_matrix(n: int):
    a, v = np.exp(RNG.standard_normal((n, n))), random(2, n + 1, n + 1)
    matrix = gauss(a, a).matrix(np.tile(a.ravel(), 4))
    expected = np.stack([(matrix @ x.numpy().ravel()).reshape(n + 1, n + 1) for x in v])
    assert Stiffness(cells(a).expand(2, n, n))(v).numpy() == pytest.approx(expected, abs=1e-13)


def test_stiffness_diagonal():
    a = np.exp(RNG.standard_normal((4, 4)))
    matrix = gauss(a, a).matrix(np.tile(a.ravel(), 4))
    assert Stiffness(cells(a)).diagonal[0].numpy().ravel() == pytest.approx(matrix.diagonal(), rel=1e-13)


def test_stiffness_annihilates_constants_and_is_symmetric():
    a, v, w = random(3, 6, 6).exp(), random(3, 7, 7), random(3, 7, 7)
    k = Stiffness(a)
    assert k(torch.ones_like(v)).abs().max() < 1e-14
    assert pair(k(v), w).numpy() == pytest.approx(pair(k(w), v).numpy(), rel=1e-12)


def test_element_matrix_is_at_most_three_halves_of_its_diagonal():
    """The inequality behind the positivity of every cycle: eigenvalues 0, 2/3, 1, 1 against a diagonal of 2/3."""
    unit = torch.eye(4, dtype=torch.float64).reshape(4, 2, 2)
    matrix = Stiffness(torch.ones(4, 1, 1, dtype=torch.float64))(unit).reshape(4, 4).numpy()
    assert np.linalg.eigvalsh(matrix) == pytest.approx([0, 2 / 3, 1, 1], abs=1e-15)
    assert matrix.diagonal() == pytest.approx([2 / 3] * 4)


def test_gradient_and_scatter_are_adjoint():
    v, x, y, t = random(2, 6, 6), random(2, 5, 5), random(2, 5, 5), random(2, 5, 5)
    p, q, r = gradient(v)
    assert pair(scatter(x, y, t), v).numpy() == pytest.approx(((x * p + y * q + t * r).sum((1, 2))).numpy(), rel=1e-12)


def test_gradient_of_a_bilinear_function():
    """u = 2 x + 3 y + 5 x y: h grad u at the centre, and h^2 times the mixed derivative; axes (y, x)."""
    n, line = 4, torch.linspace(0, 1, 5, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    gx, gy, twist = gradient((2 * x + 3 * y + 5 * x * y)[None])
    middle = (line[1:] + line[:-1]) / 2
    assert (gx[0] * n).numpy() == pytest.approx((2 + 5 * middle[:, None]).expand(n, n).numpy(), rel=1e-13)
    assert (gy[0] * n).numpy() == pytest.approx((3 + 5 * middle).expand(n, n).numpy(), rel=1e-13)
    assert (twist[0] * n**2).numpy() == pytest.approx(np.full((n, n), 5.0), rel=1e-12)


def test_load_is_the_quadrature_load():
    f = RNG.standard_normal((5, 5))
    assert cell_load(cells(f))[0].numpy() == pytest.approx(gauss(np.ones((5, 5)), f).load_vector, abs=1e-15)


def test_cells_to_corners_and_back():
    assert to_corners(torch.ones(1, 2, 2))[0].tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_that_of_the_input(dtype: torch.dtype):
    a, v = torch.ones(1, 4, 4, dtype=dtype), torch.ones(1, 5, 5, dtype=dtype)
    assert Stiffness(a)(v).dtype == cell_load(a).dtype == gradient(v)[0].dtype == dtype
