"""Bilinear (Q1) finite elements on the unit square, n x n cells, coefficient constant on each cell.

Nodal fields are (samples, n + 1, n + 1) and cell fields (samples, n, n), axes (sample, y, x). Functionals are *raw*:
contributions of the cells summed at each of the (n + 1)^2 nodes, before any side is fixed or identified.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Nodes = Float[Tensor, "samples n+1 n+1"]
Cells = Float[Tensor, "samples n n"]


def gradient(v: Nodes) -> tuple[Cells, Cells, Cells]:
    """h times the gradient at the centre of each cell (x, y), and the twist v11 - v01 - v10 + v00."""
    along_x, along_y = v[:, :, 1:] - v[:, :, :-1], v[:, 1:, :] - v[:, :-1, :]
    south, north = along_x[:, :-1], along_x[:, 1:]
    return (south + north) / 2, (along_y[:, :, :-1] + along_y[:, :, 1:]) / 2, north - south


def scatter(x: Cells, y: Cells, twist: Cells) -> Nodes:
    """The adjoint of `gradient`: the raw functional v -> sum over cells of x v_x + y v_y + twist v_xy."""
    samples, n = x.shape[0], x.shape[-1]
    out = x.new_zeros(samples, n + 1, n + 1)
    out[:, :-1, :-1] += -(x + y) / 2 + twist
    out[:, :-1, 1:] += (x - y) / 2 - twist
    out[:, 1:, :-1] += (y - x) / 2 - twist
    out[:, 1:, 1:] += (x + y) / 2 + twist
    return out


def cell_load(f: Cells) -> Nodes:
    """The raw functional v -> int f v for f constant on each cell."""
    return to_corners(f / (4 * f.shape[-1] ** 2))


def to_corners(q: Cells) -> Nodes:
    """Each cell's number added to its four corners."""
    out = q.new_zeros(q.shape[0], q.shape[-1] + 1, q.shape[-1] + 1)
    for rows in (slice(None, -1), slice(1, None)):
        for columns in (slice(None, -1), slice(1, None)):
            out[:, rows, columns] += q
    return out


class Stiffness:
    """v -> raw functional of int a grad v . grad w, as a nine-point stencil that varies from node to node.

    An element matrix is a/6 times the graph Laplacian with weight 1 on the sides and 2 on the diagonals of the cell.

    Args:
        a: positive cell field.
    """

    def __init__(self, a: Cells) -> None:
        self.a, n = a, a.shape[-1]
        self.diagonal_weight = a / 3
        sixth = a / 6
        self.x_weight, self.y_weight = a.new_zeros(len(a), n + 1, n), a.new_zeros(len(a), n, n + 1)
        self.x_weight[:, :-1] += sixth
        self.x_weight[:, 1:] += sixth
        self.y_weight[:, :, :-1] += sixth
        self.y_weight[:, :, 1:] += sixth
        self.diagonal = to_corners(2 * a / 3)

    def __call__(self, v: Nodes) -> Nodes:
        out = self.diagonal * v
        for weight, one, two in (
            (self.x_weight, (slice(None), slice(None, -1)), (slice(None), slice(1, None))),
            (self.y_weight, (slice(None, -1), slice(None)), (slice(1, None), slice(None))),
            (self.diagonal_weight, (slice(None, -1), slice(None, -1)), (slice(1, None), slice(1, None))),
            (self.diagonal_weight, (slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))),
        ):
            out[:, *one].addcmul_(weight, v[:, *two], value=-1)
            out[:, *two].addcmul_(weight, v[:, *one], value=-1)
        return out


def pair(functional: Nodes, v: Nodes) -> Float[Tensor, " samples"]:
    """A raw functional applied to a nodal field, sample by sample."""
    return (functional * v).sum((1, 2))


def interpolate(v: Float[Tensor, "samples nodes nodes"], factor: int) -> Float[Tensor, "samples finer finer"]:
    """Nodal values of the bilinear interpolant on a mesh `factor` times finer."""
    s = torch.arange(factor, dtype=v.dtype, device=v.device) / factor
    for axis in (1, 2):
        v = v.movedim(axis, -1)
        w = v[..., :-1, None] * (1 - s) + v[..., 1:, None] * s
        v = torch.cat([w.flatten(-2), v[..., -1:]], -1).movedim(-1, axis)
    return v.contiguous()
