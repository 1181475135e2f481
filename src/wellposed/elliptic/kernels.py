"""3 x 3 kernels between channels, and the classical ones that multigrid for the Laplacian is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wellposed.elliptic.ends import Ends, Fields

POISSON = torch.tensor([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], dtype=torch.float64) / 3
"""The Q1 stiffness matrix of the Laplacian in two dimensions; no power of h belongs to it."""
BILINEAR = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=torch.float64) / 4
"""Bilinear interpolation; as a restriction, its transpose."""


def point(value: float | Tensor) -> Float[Tensor, "3 3"]:
    """The kernel that multiplies by `value`."""
    out = torch.zeros(3, 3, dtype=torch.float64)
    out[1, 1] = value
    return out


class Kernel(nn.Module):
    """One convolution without bias: dense, (outputs, inputs, 3, 3), or depthwise, (outputs, 1, 3, 3).

    Args:
        classical: what it starts from, input k feeding output k (modulo the smaller of the two).
        even: whether it is made even in x, in y.
        noise: standard deviation of the initial noise relative to the largest entry of `classical`.
    """

    def __init__(self, inputs: int, outputs: int, classical: Float[Tensor, "3 3"], *, depthwise: bool = False,
                 even: tuple[bool, bool] = (False, False), noise: float = 0.0) -> None:
        super().__init__()
        self.groups = outputs if depthwise else 1
        self._flips = [axis for axis, wanted in ((-1, even[0]), (-2, even[1])) if wanted]
        size = noise * float(classical.abs().max())
        if depthwise:
            start = classical.expand(outputs, 1, 3, 3).float()
        else:
            feed = torch.zeros(outputs, inputs)
            for k in range(max(outputs, inputs)):
                feed[k % outputs, k % inputs] = 1
            start = (feed / feed.sum(1, keepdim=True))[:, :, None, None] * classical.float()
            size /= math.sqrt(9 * inputs)
        self.weight = nn.Parameter(start + size * torch.randn(start.shape))

    def set(self, kernel: Float[Tensor, "3 3"]) -> None:
        """Write one kernel into every place."""
        with torch.no_grad():
            self.weight.copy_(kernel.expand_as(self.weight))

    @property
    def value(self) -> Tensor:
        """The weight as it acts."""
        w = self.weight
        for axis in self._flips:
            w = (w + w.flip(axis)) / 2
        return w

    def convolve(self, x: Fields, ends: Ends) -> Fields:
        return ends.convolve(x, self.value, self.groups)

    def restrict(self, x: Fields, ends: Ends) -> Fields:
        return ends.restrict(x, self.value, self.groups)

    def prolong(self, x: Fields, ends: Ends) -> Fields:
        return ends.prolong(x, self.value, self.groups)

    transposed = restrict
    """The restriction is the transpose of `prolong` with the same kernel (with Neumann ends, in the trapezoidal inner product)."""


M = TypeVar("M", bound=nn.Module)


class Modules(nn.ModuleList, Generic[M]):
    """A list of modules of one type, for type checkers."""

    if TYPE_CHECKING:
        def __getitem__(self, k: int) -> M: ...  # type: ignore[override]

        def __iter__(self) -> Iterator[M]: ...


def even_axes(ends: Ends) -> tuple[bool, bool]:
    """x and y: where an end is Neumann, reflections must commute with the kernels."""
    left, right, bottom, top = ends.neumann
    return bool(left or right), bool(bottom or top)


def galerkin(operator: Float[Tensor, "channels channels 3 3"], prolongation: Kernel) -> Float[Tensor, "channels channels 3 3"]:
    """The kernel of R A P, R the transpose of P, found by its action on impulses; differentiable in both."""
    grid = Ends.of("periodic")
    impulses = torch.eye(len(operator), dtype=operator.dtype, device=operator.device)[..., None, None]
    coarse = torch.nn.functional.pad(impulses, (2, 1, 2, 1))
    image = prolongation.transposed(grid.convolve(prolongation.prolong(coarse, grid), operator), grid)
    return image[..., 1:4, 1:4].flip(-1, -2).transpose(0, 1)
