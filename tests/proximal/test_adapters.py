"""Operators of other libraries: matrices, LinearOperators, torch physics; what is no adjoint is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator
from torch import nn

from wellposed.proximal.physics import Mask, Radon, SparseMatrix, adjoint_test, as_physics, require_adjoint
from wellposed_check.canonical import decode, dumps

MATRIX = np.random.default_rng(0).standard_normal((10, 24)) / 5
SHAPE = (2, 3, 4)


class PylopsLike:
    """shape, dtype and products of single vectors."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix, self.shape, self.dtype = matrix, matrix.shape, matrix.dtype

    def matvec(self, x: np.ndarray) -> np.ndarray:
        return self.matrix @ x

    def rmatvec(self, y: np.ndarray) -> np.ndarray:
        return self.matrix.T @ y


class DeepinvLike(nn.Module):
    """A and A_adjoint on batches of tensors in float32, and a forward with noise that is not used."""

    def __init__(self, matrix: np.ndarray, adjoint: np.ndarray | None = None, shift: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.from_numpy(matrix).float())
        self.register_buffer("back", torch.from_numpy(matrix.T.copy() if adjoint is None else adjoint).float())
        self.shift = shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.A(x) + torch.randn_like(x)

    def A(self, x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) @ self.matrix.T + self.shift)[:, None]

    def A_adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return (y.flatten(1) @ self.back.T).view(-1, *SHAPE)


class Stubborn:
    """No module, and float32 only."""

    def __init__(self) -> None:
        self.module = DeepinvLike(MATRIX)
        self.A, self.A_adjoint = self.module.A, self.module.A_adjoint


OPERATORS = {
    "dense": MATRIX, "tensor": torch.from_numpy(MATRIX), "sparse": sparse.coo_matrix(MATRIX), "sparse array": sparse.csc_array(MATRIX),
    "LinearOperator": aslinearoperator(MATRIX), "pylops": PylopsLike(MATRIX), "deepinv": DeepinvLike(MATRIX), "A and A_adjoint": Stubborn(),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_kind_is_the_same_map(name: str):
    physics = as_physics(OPERATORS[name], SHAPE)
    exact = SparseMatrix(MATRIX, SHAPE)
    x = torch.randn(3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    single = name in ("deepinv", "A and A_adjoint")
    tol = 1e-6 if single else 1e-14
    y = physics.A(x)
    assert y.dtype == torch.float64
    assert physics.A(x.float()).dtype == torch.float32
    assert float((y.flatten(1) - exact.A(x)).abs().max()) < tol
    assert float((physics.A_adjoint(y) - exact.A_adjoint(exact.A(x))).abs().max()) < 10 * tol
    assert float((physics.solve(x, 0.3) - exact.solve(x, 0.3)).norm() / x.norm()) < (1e-5 if single else 1e-11)
    assert adjoint_test(physics) < (1e-6 if name == "A and A_adjoint" else 1e-14)
    lower, upper = physics.norm_squared
    largest = np.linalg.norm(MATRIX.astype(np.float32).astype(float) if single else MATRIX, 2) ** 2
    assert lower <= largest * (1 + 1e-14) <= upper * (1 + 1e-14)
    assert lower >= 0.999 * largest


def test_a_foreign_norm_is_flagged_as_statistical():
    physics = as_physics(PylopsLike(MATRIX), SHAPE)
    assert physics.kind == "foreign"
    assert physics.confidence == 1 - 1e-9
    assert physics.norm_squared[1] <= 1.02 * np.linalg.norm(MATRIX, 2) ** 2
    parameters, arrays = physics.describe()
    dumps(parameters)
    assert arrays == {}
    assert [decode(x) for x in parameters["norm_squared"]] == list(physics.norm_squared)
    assert decode(parameters["confidence"]) == physics.confidence


def test_a_module_is_taken_in_double_where_it_can():
    module = DeepinvLike(MATRIX)
    assert as_physics(module, SHAPE).dtype == torch.float64
    assert module.matrix.dtype == torch.float32  # a copy was converted
    assert as_physics(Stubborn(), SHAPE).dtype == torch.float32


def test_ours_pass_through():
    physics = Radon(4, 3)
    assert as_physics(physics) is physics
    assert as_physics(physics, (4, 4)) is physics
    with pytest.raises(ValueError, match=r"image_shape: received \(5, 4\), expected \(1, 4, 4\)"):
        as_physics(physics, (5, 4))


def test_filtered_back_projection_is_no_adjoint():
    inverse = np.linalg.pinv(MATRIX)
    with pytest.raises(ValueError, match="filtered back-projection"):
        as_physics(DeepinvLike(MATRIX, inverse), SHAPE)
    with pytest.raises(ValueError, match="filtered back-projection"):
        as_physics(LinearOperator(MATRIX.shape, matvec=lambda x: MATRIX @ x, rmatvec=lambda y: inverse @ y, dtype=float), SHAPE)


@pytest.mark.parametrize("scale", [1.001, -1.0, np.nan])
def test_a_wrong_scale_is_found(scale: float):
    physics = Mask(np.ones((40, 40)))
    physics.A_adjoint = lambda y: scale * y  # type: ignore[method-assign]
    assert not adjoint_test(physics, 2) < abs(scale - 1) / 2
    with pytest.raises(ValueError, match="A_adjoint: received"):
        require_adjoint(physics)


class Complex(PylopsLike):
    def __init__(self) -> None:
        super().__init__(MATRIX * 1j)


class Two:
    def A(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x

    def A_adjoint(self, y: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return y[0] + y[1]


@pytest.mark.parametrize(("operator", "shape", "message"), [
    (MATRIX, None, "image_shape: received none"),
    (MATRIX, (5, 5), r"matrix: received the shape \(10, 24\)"),
    (PylopsLike(MATRIX), (5, 5), "expected 25 columns"),
    (DeepinvLike(MATRIX), (5, 5), "failed on images"),
    (DeepinvLike(MATRIX, shift=1.0), SHAPE, "expected a linear one"),
    (Complex(), SHAPE, "stack real and imaginary parts"),
    (Two(), SHAPE, "A returned tuple"),
    (lambda x: x, SHAPE, "operator: received function"),
    (MATRIX, "24", "image_shape: received '24'"),
])
def test_bad_operators(operator, shape, message: str):
    with pytest.raises(ValueError, match=message):
        as_physics(operator, shape)
