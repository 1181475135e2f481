"""The recurrence x_k = multiplier x_(k-1) + b_k of many modes at once, along the last axis.

Blocks of 16 steps are products with small matrices of powers; the ends of the blocks are the same recurrence, sixteen times shorter.
Backwards it is the recurrence with conjugate multipliers, from the end: g_k = conj(multiplier) g_(k+1) + d_k, and the derivative by
the multiplier is the sum of conj(x_(k-1)) g_k. Only the states are kept.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.sequence.pairs import Pairs, conj, mul, powers

BLOCK = 16
"""Fastest of 8, 16, 32 and 64 on a CPU: longer blocks multiply more, shorter ones read more."""


def scan(multiplier: Float[Tensor, "2 modes"], b: Float[Tensor, "2 modes batch length"],
         start: Float[Tensor, "2 modes batch"] | None = None) -> Float[Tensor, "2 modes batch length"]:
    """The states x_1, ..., x_length from x_0 = start (zero if not given), real pairs on the first axis.

    Args:
        multiplier: float64, so that its powers are exact to the precision of b. b: any floating type, that of the answer.
    """
    if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
        return recurrence(multiplier, b, start)  # plain operations, which compilers and exporters follow
    return _Scan.apply(multiplier, b, b.new_zeros(b.shape[:3]) if start is None else start.to(b.dtype))


def stepwise(multiplier: Float[Tensor, "2 modes"], b: Float[Tensor, "2 modes batch length"],
             start: Float[Tensor, "2 modes batch"] | None = None) -> Float[Tensor, "2 modes batch length"]:
    """The same, as it is written: one step after the other."""
    x = b.new_zeros(b.shape[:3]) if start is None else start
    factor, states = multiplier[..., None].to(b.dtype), []
    for k in range(b.shape[-1]):
        x = mul(factor, x) + b[..., k]
        states.append(x)
    return torch.stack(states, -1)


def recurrence(multiplier: Float[Tensor, "2 modes"], b: Float[Tensor, "2 modes batch length"],
               start: Float[Tensor, "2 modes batch"] | None, *, backwards: bool = False) -> Float[Tensor, "2 modes batch length"]:
    """The same in plain operations; `backwards` from the last step to the first."""
    _, modes, batch, length = b.shape
    block = min(BLOCK, length)
    count = -(-length // block)
    extra = count * block - length
    if extra:
        b = torch.nn.functional.pad(b, (extra, 0) if backwards else (0, extra))
    table = powers(multiplier, block + 1)
    out = _product(b.reshape(2, modes, batch * count, block), _triangle(table, backwards).to(b.dtype))
    if count > 1 or start is not None:
        ends = out[..., 0 if backwards else -1].clone().reshape(2, modes, batch, count)  # as out is changed below
        carried = _carried(table[..., block], ends, start, backwards).reshape(2, modes, batch * count, 1)
        onward = (table[..., 1:].flip(-1) if backwards else table[..., 1:]).to(b.dtype)
        _add_product(out, carried, onward[..., None, :])
    return out.reshape(2, modes, batch, -1).narrow(-1, extra if backwards else 0, length)


def _triangle(table: Pairs, backwards: bool) -> Float[Tensor, "2 modes block block"]:
    """The matrix of powers: entry (s, t) takes the input of step s to the state of step t."""
    block = table.shape[-1] - 1
    step = torch.arange(block, device=table.device)
    apart = step[:, None] - step if backwards else step - step[:, None]
    return torch.where(apart >= 0, table[..., apart.clamp(min=0)], 0.0)


def _product(rows: Pairs, matrix: Pairs) -> Pairs:
    """Complex (modes, rows, block) times (modes, block, block)."""
    out = torch.empty_like(rows)
    out[0].baddbmm_(rows[0], matrix[0], beta=0).baddbmm_(rows[1], matrix[1], alpha=-1)
    out[1].baddbmm_(rows[0], matrix[1], beta=0).baddbmm_(rows[1], matrix[0])
    return out


def _add_product(out: Pairs, column: Pairs, row: Pairs) -> None:
    """out += column row, complex (modes, rows, 1) times (modes, 1, block)."""
    both = torch.cat([column[0], column[1]], -1)
    out[0].baddbmm_(both, torch.cat([row[0], -row[1]], -2))
    out[1].baddbmm_(both, torch.cat([row[1], row[0]], -2))


def _carried(factor: Pairs, ends: Pairs, start: Pairs | None, backwards: bool) -> Pairs:
    """The state before each block."""
    states = recurrence(factor, ends, start, backwards=backwards) if ends.shape[-1] > 1 else ends
    first = (torch.zeros_like(ends[..., 0]) if start is None else start.to(ends.dtype))[..., None]
    return torch.cat([states[..., 1:], first] if backwards else [first, states[..., :-1]], -1)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, multiplier: Tensor, b: Tensor, start: Tensor) -> Tensor:
        x = recurrence(multiplier, b, start)
        ctx.save_for_backward(multiplier, x, start)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        multiplier, x, start = ctx.saved_tensors
        g = recurrence(conj(multiplier), grads[0], None, backwards=True)
        by_start = mul(conj(multiplier)[..., None].to(g.dtype), g[..., 0])
        by_multiplier = _inner(x[..., :-1], g[..., 1:]) + _inner(start[..., None], g[..., :1])
        return by_multiplier.to(multiplier.dtype), g, by_start


def _inner(x: Pairs, g: Pairs) -> Float[Tensor, "2 modes"]:
    """Sum over batch and length of conj(x) g."""
    def dot(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("mbl,mbl->m", a, b)

    return torch.stack([dot(x[0], g[0]) + dot(x[1], g[1]), dot(x[0], g[1]) - dot(x[1], g[0])])
