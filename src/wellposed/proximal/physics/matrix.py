"""Physics given by a sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor

from wellposed.proximal.physics.arrays import image_shape as checked_shape
from wellposed.proximal.physics.norm import collatz_wielandt, lanczos, rayleigh
from wellposed.proximal.physics.normal_equations import DENSE, Factored, solve_by_iteration
from wellposed.proximal.physics.protocol import check_images, check_measurements
from wellposed.proximal.physics.sparse_product import SparseProduct

RITZ_STEPS = 40
FEW_STEPS = 4
"""Conjugate gradients take less time than a factor where ‖A‖² is at most so many times ρ."""


class SparseMatrix:
    """A x = matrix · flattened image.

    Args:
        matrix: any scipy sparse matrix or array, or a dense array (m, n).
        image_shape: (y, x) or (channels, y, x), with a product of n.
        measurement_shape: with a product of m; (m,) by default.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite or not real, no entry other than 0.
    """

    kind, confidence = "sparse", 1.0

    def __init__(self, matrix: Any, image_shape: Sequence[int], measurement_shape: Sequence[int] | None = None) -> None:
        self.matrix = _csr(matrix)
        m, n = self.matrix.shape
        self.image_shape = checked_shape("image_shape", image_shape)
        self.measurement_shape = (m,) if measurement_shape is None else tuple(int(k) for k in measurement_shape)
        if np.prod(self.image_shape) != n or np.prod(self.measurement_shape) != m:
            raise ValueError(f"matrix: received the shape {(m, n)} for images {self.image_shape} and measurements "
                             f"{self.measurement_shape}, expected a column for each number of an image, a row for each of a measurement")
        self._transposed = self.matrix.T.tocsr()
        self._forward, self._adjoint = SparseProduct(self.matrix), SparseProduct(self._transposed)
        self._factored = Factored(self.matrix, self._forward, self._adjoint) if min(m, n) <= DENSE else None

    def A(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The matrix times each image."""
        check_images(self, x)
        return self._forward(x.flatten(1)).view(len(x), *self.measurement_shape)

    def A_adjoint(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """The transposed matrix, with the very same entries."""
        check_measurements(self, y)
        return self._adjoint(y.flatten(1)).view(len(y), *self.image_shape)

    def solve(self, b: Float[Tensor, "batch ..."], rho: float) -> Float[Tensor, "batch ..."]:
        """(AᵀA + ρI)⁻¹ b, in float64: by conjugate gradients, or for small matrices and ρ by a factor that is kept for the next call."""
        check_images(self, b, rho)
        flat = b.detach().flatten(1).double()
        if self._factored is not None and FEW_STEPS * rho < self.norm_squared[0]:
            found = self._factored.solve(flat, rho)
        else:
            found = solve_by_iteration(lambda v: self._adjoint(self._forward(v)), flat, rho)
        return found.view_as(b).to(b.dtype)

    @cached_property
    def _proved(self) -> tuple[float, np.ndarray]:
        return collatz_wielandt(self.matrix)

    @property
    def norm_squared(self) -> tuple[float, float]:
        """A Rayleigh quotient, and the bound of Collatz and Wielandt: sharp for entries >= 0, far too large where signs cancel."""
        return self._enclosed

    @cached_property
    def _enclosed(self) -> tuple[float, float]:
        proof = self._proved[1]
        start = torch.from_numpy(proof)[None]
        ritz = lanczos(lambda v: self._adjoint(self._forward(v)), start, RITZ_STEPS, seed=0)[1]
        return max(rayleigh(self.matrix, v) for v in (proof, ritz[0].numpy())), self._proved[0]

    def describe(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The CSR arrays, `rows` being the pointer, and the vector of Collatz and Wielandt."""
        parameters = {"kind": self.kind, "image_shape": list(self.image_shape), "measurement_shape": list(self.measurement_shape)}
        a = self.matrix
        arrays = {"data": a.data, "columns": a.indices.astype(np.float64), "rows": a.indptr.astype(np.float64), "vector": self._proved[1]}
        return parameters, arrays


def _csr(matrix: Any) -> Any:
    """In float64, each entry once, columns in order.

    Raises:
        ValueError: no matrix of finite real numbers, or none but zeros.
    """
    given = matrix if sparse.issparse(matrix) else np.asarray(matrix.detach().cpu() if isinstance(matrix, Tensor) else matrix)
    if given.ndim != 2 or given.dtype.kind not in "buif":
        raise ValueError(f"matrix: received {given.dtype} with {given.ndim} axes, expected real numbers with 2; split complex rows into "
                         "real and imaginary parts")
    found = sparse.csr_array(given, dtype=np.float64, copy=True)
    found.sum_duplicates()
    found.eliminate_zeros()
    if not np.isfinite(found.data).all() or found.nnz == 0:
        raise ValueError(f"matrix: received {found.nnz} entries other than 0, {np.count_nonzero(~np.isfinite(found.data))} of them not "
                         "finite, expected at least one, and finite ones; check how it was assembled")
    return found
