"""Grids with Dirichlet, Neumann or periodic ends, and 3 x 3 kernels on them that keep the boundary condition exactly.

| end | unknowns | stride 1 | restriction, stride 2 | prolongation, transposed |
|---|---|---|---|---|
| Dirichlet | boundary node excluded | zeros | no halo | no crop |
| Neumann | boundary node included | reflection, boundary node not repeated | reflection | crop 1 |
| periodic | nodes 0 .. n - 1 | wrap | wrap left | wrap right |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from wellposed.elliptic.boundary import parse_boundary

Fields = Float[Tensor, "batch channels rows columns"]
DUAL = {"dirichlet": "neumann", "neumann": "dirichlet", "periodic": "periodic"}


@dataclass(frozen=True)
class Ends:
    """What holds at the four sides of a grid, and how many unknowns that leaves.

    Args:
        sides: "dirichlet", "neumann" or "periodic" for bottom, right, top, left.
    """

    sides: tuple[str, str, str, str]

    @classmethod
    def of(cls, boundary: str | Mapping[str, str]) -> Ends:
        """From "dirichlet", "neumann", "periodic" or a dict of four sides.

        Raises:
            ValueError: another boundary.
        """
        return cls(parse_boundary(boundary))

    @property
    def dual(self) -> Ends:
        """Dirichlet and Neumann sides exchanged: where the stream function lives."""
        bottom, right, top, left = (DUAL[side] for side in self.sides)
        return Ends((bottom, right, top, left))

    @property
    def periodic(self) -> bool:
        return "periodic" in self.sides

    @property
    def dirichlet(self) -> tuple[int, int, int, int]:
        """1 for each Dirichlet side, left, right, bottom, top: the order of `torch.nn.functional.pad`."""
        bottom, right, top, left = (int(side == "dirichlet") for side in self.sides)
        return left, right, bottom, top

    @property
    def neumann(self) -> tuple[int, int, int, int]:
        """1 for each Neumann side, left, right, bottom, top."""
        bottom, right, top, left = (int(side == "neumann") for side in self.sides)
        return left, right, bottom, top

    def unknowns(self, n: int) -> tuple[int, int]:
        """Rows and columns of unknowns on n x n cells."""
        if self.periodic:
            return n, n
        left, right, bottom, top = self.dirichlet
        return n + 1 - bottom - top, n + 1 - left - right

    def cells(self, shape: tuple[int, ...]) -> int:
        """Cells per axis of a grid with unknowns of this shape.

        Raises:
            ValueError: the two axes do not have the same number of cells.
        """
        left, right, bottom, top = self.dirichlet
        rows, columns = (shape[-2], shape[-1]) if self.periodic else (shape[-2] + bottom + top - 1, shape[-1] + left + right - 1)
        if rows != columns:
            raise ValueError(f"received fields of the shape {tuple(shape)}, expected unknowns of a square grid, {self.unknowns(columns)} "
                             f"for {columns} cells a side with the sides {', '.join(self.sides)} (bottom, right, top, left)")
        return rows

    def halo(self, x: Fields) -> Fields:
        """One more row and column at each end: zeros, reflections, or the opposite side's."""
        return F.pad(x, (1, 1, 1, 1)) if self.sides == ("dirichlet",) * 4 else _Halo.apply(x, self.sides)

    def convolve(self, x: Fields, kernel: Tensor, groups: int = 1) -> Fields:
        """A 3 x 3 kernel at every unknown."""
        if self.sides == ("dirichlet",) * 4:
            return _convolve(x, kernel, groups, padding=1)
        return _convolve(self.halo(x), kernel, groups, padding=0)

    def restrict(self, x: Fields, kernel: Tensor, groups: int = 1) -> Fields:
        """A 3 x 3 kernel at every unknown of the grid with half as many cells a side."""
        if self.sides == ("dirichlet",) * 4:
            return F.conv2d(x, kernel, stride=2, groups=groups)
        left, right, bottom, top = self.dirichlet
        y = self.halo(x)
        return F.conv2d(y[..., bottom : y.shape[-2] - top, left : y.shape[-1] - right], kernel, stride=2, groups=groups)

    def prolong(self, x: Fields, kernel: Tensor, groups: int = 1) -> Fields:
        """The transposed 3 x 3 kernel: from a grid to the one with twice as many cells a side."""
        if self.periodic:
            y = F.conv_transpose2d(F.pad(x, (0, 1, 0, 1), mode="circular"), kernel, stride=2, groups=groups)
            return y[..., 1:-2, 1:-2]
        y = F.conv_transpose2d(x, kernel, stride=2, groups=groups)
        left, right, bottom, top = self.neumann
        return y[..., bottom : y.shape[-2] - top, left : y.shape[-1] - right]

    def corners(self, cells: Fields) -> Float[Tensor, "batch four_channels rows columns"]:
        """The four cells around each unknown, as channels: below left, below right, above left, above right.

        Beyond a Neumann side the cells are mirrored, beyond a periodic one they wrap around; Dirichlet sides have no
        unknowns on them.
        """
        left, right, bottom, top = (1, 0, 1, 0) if self.periodic else self.neumann
        if self.periodic:
            padded = F.pad(cells, (1, 0, 1, 0), mode="circular")
        else:
            padded = F.pad(cells, (left, right, bottom, top), mode="replicate")
        return torch.cat([padded[..., :-1, :-1], padded[..., :-1, 1:], padded[..., 1:, :-1], padded[..., 1:, 1:]], 1)

    def nodes(self, x: Fields) -> Fields:
        """Unknowns with the exact zeros of Dirichlet sides around them: (n + 1) x (n + 1) nodes, periodic n x n."""
        return F.pad(x, self.dirichlet) if any(self.dirichlet) else x


def layout(x: Fields) -> torch.memory_format:
    """Whether channels vary fastest in memory."""
    return torch.channels_last if x.stride(-3) == 1 else torch.contiguous_format


def _convolve(x: Tensor, kernel: Tensor, groups: int, padding: int) -> Tensor:
    """As `conv2d`; from or to one channel by a depthwise convolution, which takes a third of the time forward and backward."""
    outputs, inputs = kernel.shape[:2]
    if groups == 1 and min(inputs, outputs) == 1 < max(inputs, outputs):
        if outputs == 1:
            return F.conv2d(x, kernel.transpose(0, 1), padding=padding, groups=inputs).sum(1, keepdim=True)
        x, groups = x.expand(-1, outputs, -1, -1).contiguous(memory_format=torch.channels_last), outputs
    return F.conv2d(x, kernel, padding=padding, groups=groups)


class _Halo(torch.autograd.Function):
    """`Ends.halo` by strips: the library's reflection and circular pads cost more than the convolution that they serve."""

    @staticmethod
    def forward(ctx, x: Tensor, sides: tuple[str, str, str, str]) -> Tensor:  # type: ignore[override]
        ctx.sides = sides
        y = torch.empty(*x.shape[:-2], x.shape[-2] + 2, x.shape[-1] + 2, dtype=x.dtype, device=x.device, memory_format=layout(x))
        y[..., 1:-1, 1:-1] = x
        for axis, end, side in ((-2, 0, sides[0]), (-2, -1, sides[2]), (-1, 0, sides[3]), (-1, -1, sides[1])):
            if side == "dirichlet":
                y.select(axis, end).zero_()
        for axis, end, source in _strips(sides):
            y.select(axis, end).copy_(y.select(axis, source))
        return y

    @staticmethod
    def backward(ctx, *grads: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        g = grads[0].clone()
        for axis, end, source in reversed(_strips(ctx.sides)):
            g.select(axis, source).add_(g.select(axis, end))
        return g[..., 1:-1, 1:-1], None


def _strips(sides: tuple[str, str, str, str]) -> list[tuple[int, int, int]]:
    """(axis, row of the halo, row that it repeats), in the order in which they are filled."""
    bottom, right, top, left = sides
    where = {"neumann": (2, -3), "periodic": (-2, 1)}
    out = []
    for axis, low, high in ((-2, bottom, top), (-1, left, right)):
        if low in where:
            out.append((axis, 0, where[low][0]))
        if high in where:
            out.append((axis, -1, where[high][1]))
    return out
