"""The recurrence with multipliers of their own at every step, x_k = multiplier_k x_(k-1) + b_k: irregularly sampled sequences.

In blocks of about the root of the length: within all blocks at once, then from block to block. Backwards it is the same recurrence.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.sequence.pairs import Pairs, conj, mul


def varying_scan(multiplier: Float[Tensor, "2 *axes length"], b: Float[Tensor, "2 *axes length"],
                 start: Pairs) -> Float[Tensor, "2 *axes length"]:
    """The states x_1, ..., x_length from x_0 = start; real pairs on the first axis, all of one floating type."""
    return _Varying.apply(multiplier, b, start)


def _recurrence(multiplier: Pairs, b: Pairs, start: Pairs) -> Pairs:
    length = b.shape[-1]
    block = math.isqrt(length - 1) + 1
    count = -(-length // block)
    multiplier, b = (torch.nn.functional.pad(x, (0, count * block - length)).unflatten(-1, (count, block)) for x in (multiplier, b))
    local, product = [b[..., 0]], [multiplier[..., 0]]
    for k in range(1, block):
        local.append(mul(multiplier[..., k], local[-1]) + b[..., k])
        product.append(mul(multiplier[..., k], product[-1]))
    carried = [start]
    for c in range(count - 1):
        carried.append(mul(product[-1][..., c], carried[-1]) + local[-1][..., c])
    before = torch.stack(carried, -1)
    states = [x + mul(p, before) for x, p in zip(local, product, strict=True)]
    return torch.stack(states, -1).flatten(-2)[..., :length]


class _Varying(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, multiplier: Tensor, b: Tensor, start: Tensor) -> Tensor:
        x = _recurrence(multiplier, b, start)
        ctx.save_for_backward(multiplier, x, start)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, ...]:
        multiplier, x, start = ctx.saved_tensors
        later = torch.cat([conj(multiplier)[..., 1:], torch.zeros_like(multiplier[..., :1])], -1).flip(-1)
        g = _recurrence(later, grads[0].flip(-1), torch.zeros_like(start)).flip(-1)
        before = torch.cat([start[..., None], x[..., :-1]], -1)
        return mul(conj(before), g), g, mul(conj(multiplier[..., 0]), g[..., 0])
