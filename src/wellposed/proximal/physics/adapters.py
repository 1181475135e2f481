"""Operators of other libraries, by what they can do: nothing of theirs is imported."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from wellposed.proximal.physics.adjoint import require_adjoint
from wellposed.proximal.physics.arrays import image_shape as checked_shape
from wellposed.proximal.physics.foreign import Foreign
from wellposed.proximal.physics.matrix import SparseMatrix
from wellposed.proximal.physics.protocol import Physics

OURS = ("image_shape", "measurement_shape", "A", "A_adjoint", "solve", "kind", "describe", "confidence")
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Of the tests of linearity and of the adjoint, by the precision in which the operator computes."""


def as_physics(operator: Any, image_shape: Sequence[int] | None = None) -> Physics:
    """Anything linear as physics; what comes from outside is tested for linearity and for its adjoint.

    Args:
        operator: physics of this package; a scipy sparse matrix or a dense array or tensor (m, n), n numbers of an image; a
            `LinearOperator` of scipy or pylops (`shape`, `matvec`, `rmatvec`); a deepinv `Physics`, or any object with `A(x)` and
            `A_adjoint(y)` on batches of tensors.
        image_shape: (y, x) or (channels, y, x); needed for all but the first.

    Raises:
        ValueError: an operator of no such kind; no shape, or one that does not fit; complex or several measurements; an operator that is
            not linear, or whose adjoint is none.
    """
    if all(hasattr(operator, name) for name in OURS):
        if image_shape is not None and checked_shape("image_shape", image_shape) != tuple(operator.image_shape):
            raise ValueError(f"image_shape: received {tuple(image_shape)}, expected {tuple(operator.image_shape)}, that of the physics; "
                             "leave it out")
        return operator
    if image_shape is None:
        raise ValueError(f"image_shape: received none with {type(operator).__name__}, expected (y, x) or (channels, y, x); give it")
    shape = checked_shape("image_shape", image_shape)
    if sparse.issparse(operator) or isinstance(operator, np.ndarray | Tensor):
        return SparseMatrix(operator, shape)
    if all(hasattr(operator, name) for name in ("shape", "matvec", "rmatvec")):
        found = _of_linear_operator(operator, shape)
    elif all(callable(getattr(operator, name, None)) for name in ("A", "A_adjoint")):
        found = _of_torch(operator, shape)
    else:
        raise ValueError(f"operator: received {type(operator).__name__}, expected physics, a matrix, an object with shape, matvec and "
                         "rmatvec, or one with A and A_adjoint; wrap it in one of these")
    _require_linear(found)
    require_adjoint(found, TOLERANCES[found.dtype])
    return found


def _of_linear_operator(operator: Any, shape: tuple[int, int, int]) -> Foreign:
    m, n = operator.shape
    if n != int(np.prod(shape)):
        raise ValueError(f"operator: received the shape {(m, n)} for images {shape}, expected {int(np.prod(shape))} columns")
    if np.dtype(operator.dtype).kind == "c":
        raise ValueError(f"operator: received the dtype {operator.dtype}, expected real numbers; stack real and imaginary parts")
    try:
        operator.rmatvec(np.zeros(m))
    except NotImplementedError:
        raise ValueError("operator: received a LinearOperator without rmatvec, expected its adjoint too; give it as "
                         "LinearOperator(shape, matvec, rmatvec)") from None
    dtype = torch.float32 if np.dtype(operator.dtype) == np.float32 else torch.float64

    def forward(x: Tensor) -> Tensor:
        return _by_rows(operator.matvec, x)

    def adjoint(y: Tensor) -> Tensor:
        return _by_rows(operator.rmatvec, y).view(len(y), *shape)

    return Foreign(forward, adjoint, shape, (m,), dtype)


def _by_rows(product: Any, x: Tensor) -> Tensor:
    """One sample after the other: `matmat`, where there is one, does no better."""
    found = [np.asarray(product(v)).ravel() for v in x.detach().cpu().flatten(1).numpy()]
    return torch.from_numpy(np.stack(found)).to(x)


def _of_torch(operator: Any, shape: tuple[int, int, int]) -> Foreign:
    """In float64 if the operator, or a copy of the module in float64, can; in float32 otherwise."""
    trials = [(operator, torch.float64), (operator, torch.float32)]
    if isinstance(operator, nn.Module):
        trials.insert(1, (_doubled(operator), torch.float64))
    failure: Exception | None = None
    for candidate, dtype in trials:
        x = torch.randn(1, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
        try:
            y = candidate.A(x)
            back = candidate.A_adjoint(y)
        except Exception as error:  # whatever an operator of another library raises at a precision that it does not take
            failure = error
            continue
        if isinstance(y, Tensor) and y.dtype == dtype and isinstance(back, Tensor):
            return _checked(candidate, x, y, back)
        failure = ValueError(f"A returned {getattr(y, 'dtype', type(y).__name__)}")
    raise ValueError(f"operator: received {type(operator).__name__}, which failed on images {shape} in float32 and float64 ({failure}); "
                     "expected real tensors (batch, ...) for (batch, channels, y, x); check the shape, split complex numbers in two")


def _checked(operator: Any, x: Tensor, y: Tensor, back: Tensor) -> Foreign:
    if back.shape != x.shape or len(y) != 1:
        raise ValueError(f"operator: received A_adjoint(A(x)) of the shape {tuple(back.shape)} for x {tuple(x.shape)} and A(x) "
                         f"{tuple(y.shape)}, expected that of x, and a batch of 1; check image_shape")
    return Foreign(lambda v: operator.A(v).detach(), lambda v: operator.A_adjoint(v).detach(), x.shape[1:], y.shape[1:], x.dtype)


def _doubled(operator: nn.Module) -> Any:
    try:
        return copy.deepcopy(operator).to(torch.float64)
    except Exception:  # not every module can be copied
        return operator


def _require_linear(physics: Foreign) -> None:
    """A(x₁ - 2 x₂) = A x₁ - 2 A x₂ for random images.

    Raises:
        ValueError: it is not.
    """
    x = torch.randn(2, *physics.image_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    first, second = physics.A(x)
    off = float((physics.A((x[0] - 2 * x[1])[None])[0] - (first - 2 * second)).norm() / (first.norm() + second.norm()).clamp(min=1e-300))
    if not off <= TOLERANCES[physics.dtype]:
        raise ValueError(f"operator: received one with |A(x₁ - 2x₂) - Ax₁ + 2Ax₂| = {off:.1e} (|Ax₁| + |Ax₂|), expected a linear one; "
                         "subtract A(0) if it is affine, and give A without its noise")
