"""A symmetric multigrid V-cycle for Q1 stiffness matrices, batched over samples, matrix-free.

Level matrices are Q1 stiffness matrices of the coefficient averaged over 2 x 2 cells; smoothing is damped Jacobi before
and after; transfers are bilinear interpolation and its adjoint; the coarsest level is solved by Cholesky. The cycle is
symmetric positive definite for every positive coefficient and damping < 4/3, because an element matrix is at most 3/2
of its diagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from wellposed.numerics.q1 import Cells, Nodes, Stiffness
from wellposed.numerics.space import NodalSpace

COARSEST, DIRECT = 4, 32


def halvings(n: int) -> int:
    """How often n cells are halved on the way to a mesh that is solved directly.

    Raises:
        ValueError: the mesh that remains is too large to be solved directly.
    """
    count = 0
    while n >> count > COARSEST and (n >> count) % 2 == 0:
        count += 1
    if n >> count > DIRECT:
        step = 1 << max(0, (n // DIRECT).bit_length())
        below, above = n // step * step, -(-n // step) * step
        raise ValueError(
            f"a mesh of {n} x {n} cells cannot be halved down to {DIRECT} or fewer cells a side, which cycles need; "
            f"received n = {n}, expected n = m 2^k with m <= {DIRECT}: the nearest are {below} and {above}")
    return count


def prolong(coarse: Nodes) -> Nodes:
    """Bilinear interpolation to a mesh twice as fine."""
    samples, m = coarse.shape[0], coarse.shape[-1] - 1
    fine = coarse.new_empty(samples, 2 * m + 1, 2 * m + 1)
    fine[:, ::2, ::2] = coarse
    fine[:, ::2, 1::2] = (coarse[:, :, :-1] + coarse[:, :, 1:]) / 2
    fine[:, 1::2] = (fine[:, :-1:2] + fine[:, 2::2]) / 2
    return fine


def restrict(raw: Nodes) -> Nodes:
    """The adjoint of `prolong`, on raw functionals."""
    half = raw[:, 1::2] / 2
    rows = raw[:, ::2].clone()
    rows[:, :-1] += half
    rows[:, 1:] += half
    half = rows[:, :, 1::2] / 2
    out = rows[:, :, ::2].clone()
    out[:, :, :-1] += half
    out[:, :, 1:] += half
    return out


def average(a: Cells) -> Cells:
    """Arithmetic means over 2 x 2 cells."""
    return (a[:, ::2, ::2] + a[:, ::2, 1::2] + a[:, 1::2, ::2] + a[:, 1::2, 1::2]) / 4


@dataclass
class _Level:
    space: NodalSpace
    stiffness: Stiffness
    smoother: Tensor

    def residual(self, functional: Nodes, v: Nodes) -> Nodes:
        return functional - self.space.assemble(self.stiffness(v))


def jacobi(a: Cells, space: NodalSpace) -> Callable[[Nodes], Nodes]:
    """The diagonal preconditioner: it takes out what varies from node to node, and little else."""
    inverse = space.free / space.identify(Stiffness(a).diagonal)
    return lambda functional: inverse * functional


class VCycle:
    """The preconditioner: assembled functional -> admissible nodal field.

    Args:
        a: positive cell field (samples, n, n), n = m 2^k with m <= 32.
        space: where the answer lives.
        damping: of the Jacobi smoother, in (0, 4/3).
        sweeps: smoothing steps before, and after, the coarse correction.
    """

    def __init__(self, a: Cells, space: NodalSpace, damping: float = 0.8, sweeps: int = 1) -> None:
        self.sweeps, self.levels, depth = sweeps, [], halvings(a.shape[-1])
        for level in range(depth + 1):
            stiffness = Stiffness(a)
            diagonal = space.identify(stiffness.diagonal)
            self.levels.append(_Level(space, stiffness, damping * space.free / diagonal))
            if level < depth:
                a, space = average(a), space.coarser()
        self._factor = _cholesky(a, space)

    def __call__(self, functional: Nodes) -> Nodes:
        return self._cycle(0, functional)

    def _cycle(self, depth: int, f: Nodes) -> Nodes:
        level = self.levels[depth]
        if depth == len(self.levels) - 1:
            return self._direct(f)
        v = level.smoother * f
        for _ in range(self.sweeps - 1):
            v += level.smoother * level.residual(f, v)
        coarse = self.levels[depth + 1].space
        v += prolong(self._cycle(depth + 1, coarse.assemble(restrict(level.residual(f, v) * level.space.share))))
        v *= level.space.free
        for _ in range(self.sweeps):
            v += level.smoother * level.residual(f, v)
        return v

    def _direct(self, f: Nodes) -> Nodes:
        number, count = self.levels[-1].space.numbering
        unknown = number >= 0
        g = f.new_zeros(len(f), count)
        g[:, number[unknown]] = f[:, unknown]
        x = torch.cholesky_solve(g[..., None], self._factor)[..., 0]
        out = torch.zeros_like(f)
        out[:, unknown] = x[:, number[unknown]]
        return out


def _cholesky(a: Cells, space: NodalSpace) -> Tensor:
    """Factor of the assembled matrix; constants, where admissible, are given the mean diagonal as eigenvalue."""
    number, count = space.numbering
    corners = torch.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], -1).reshape(-1, 4)
    element = a.new_tensor([[4, -1, -2, -1], [-1, 4, -1, -2], [-2, -1, 4, -1], [-1, -2, -1, 4]]) / 6
    rows, columns = corners[:, :, None].expand(-1, 4, 4), corners[:, None, :].expand(-1, 4, 4)
    inside = (rows >= 0) & (columns >= 0)
    values = (a.reshape(len(a), -1, 1, 1) * element)[:, inside]
    matrix = a.new_zeros(len(a), count * count)
    matrix.index_add_(1, (rows * count + columns)[inside], values)
    matrix = matrix.reshape(-1, count, count)
    if space.singular:
        matrix = matrix + matrix.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] / count
    try:
        return torch.linalg.cholesky(matrix)
    except RuntimeError:
        raise ArithmeticError(f"the contrast of the coefficient, {float(a.max() / a.min()):.3g}, is too large for float64 cycles: "
                              "the coarsest matrix is numerically singular; raise its smallest values") from None
