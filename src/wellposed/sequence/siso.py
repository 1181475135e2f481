"""Many systems with one input and one output each, x_k = multiplier x_(k-1) + b u_k, y_k = Re c x_k: the ways to run them.

Arguments are alike everywhere: u (batch, length, features); multiplier, b and c, real pairs (2, features, modes) in float64; start,
the state before the first step, (batch, 2, features, modes) or None. Answers are y (batch, length, features) and the last state.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from wellposed.sequence.discretization import Discrete
from wellposed.sequence.pairs import Pairs, mul, powers
from wellposed.sequence.scan import scan, stepwise
from wellposed.sequence.varying import varying_scan

CHUNK = 64
"""Steps that are one product with a matrix: fastest of 32, 64 and 128 on a CPU with 64 states."""
PIECE = 128
"""Steps of which all states are held at once, where the multipliers differ from step to step."""


def by_states(u: Tensor, multiplier: Pairs, b: Pairs, c: Pairs, start: Tensor | None, *, one_by_one: bool = False) -> tuple[Tensor, Tensor]:
    """All states, by a scan or one by one: features x modes numbers for each step."""
    _, features, modes = b.shape
    batch, length, _ = u.shape
    drive = b.to(u.dtype)[..., None, None] * u.permute(2, 0, 1)[:, None]
    first = None if start is None else start.permute(1, 2, 3, 0).flatten(1, 2)
    run = stepwise if one_by_one else scan
    states = run(multiplier.flatten(1), drive.flatten(1, 2), first).reshape(2, features, modes, batch, length)
    return _answers(c, states), states[..., -1].permute(3, 0, 1, 2)


def by_chunks(u: Tensor, multiplier: Pairs, b: Pairs, c: Pairs, start: Tensor | None) -> tuple[Tensor, Tensor]:
    """Chunks of 64 steps are products with matrices, and only the states between them are formed."""
    length = u.shape[1]
    whole = length - length % CHUNK
    if whole in (0, length):
        return _chunks(u, multiplier, b, c, start, min(CHUNK, length))
    head, state = _chunks(u[:, :whole], multiplier, b, c, start, CHUNK)
    tail, state = _chunks(u[:, whole:], multiplier, b, c, state, length - whole)
    return torch.cat([head, tail], 1), state


def _chunks(u: Tensor, multiplier: Pairs, b: Pairs, c: Pairs, start: Tensor | None, chunk: int) -> tuple[Tensor, Tensor]:
    _, features, modes = b.shape
    batch, count = len(u), u.shape[1] // chunk
    table = powers(multiplier, chunk + 1)
    rows = u.reshape(batch, count, chunk, features).permute(3, 0, 1, 2).reshape(features, batch * count, chunk)
    gather = mul(b[..., None], table[..., :chunk].flip(-1)).to(u.dtype)  # chunk of inputs -> the state that they leave
    left = torch.bmm(rows, torch.cat([gather[0], gather[1]], 1).transpose(1, 2))
    ends = left.reshape(features, batch, count, 2, modes).permute(3, 0, 4, 1, 2).reshape(2, features * modes, batch, count)
    first = u.new_zeros(2, features * modes, batch) if start is None else start.permute(1, 2, 3, 0).flatten(1, 2).to(u.dtype)
    states = scan(table[..., chunk].flatten(1), ends, first)
    before = torch.cat([first[..., None], states[..., :-1]], -1).reshape(2, features, modes, batch * count)
    onward = mul(c[..., None], table[..., 1:]).to(u.dtype)  # state before a chunk -> what it adds to the answers
    y = torch.bmm(torch.cat([before[0], before[1]], 1).transpose(1, 2), torch.cat([onward[0], -onward[1]], 1))
    y = torch.baddbmm(y, rows, _toeplitz(mul(mul(b, c)[..., None], table[..., :chunk])[0].sum(1)).to(u.dtype))
    y = y.reshape(features, batch, count * chunk).permute(1, 2, 0)
    return y, states[..., -1].reshape(2, features, modes, batch).permute(3, 0, 1, 2)


def _toeplitz(k: Tensor) -> Tensor:
    """(features, chunk) -> (features, chunk, chunk): the input of step s, times k_(t-s), in the answer of step t."""
    step = torch.arange(k.shape[-1], device=k.device)
    apart = step - step[:, None]
    return torch.where(apart >= 0, k[:, apart.clamp(min=0)], 0.0)


def at_rates(u: Tensor, rate: Tensor, discrete: Callable[[Tensor], Discrete], b: Pairs, c: Pairs,
             start: Tensor | None) -> tuple[Tensor, Tensor]:
    """Step sizes of their own for every sequence and step; pieces of 128 steps are computed anew when gradients are.

    Args:
        rate: (batch, length). discrete: rates (batch, piece) -> multipliers and gains (2, features, modes, batch, piece).
        b: without the gain.
    """
    state = u.new_zeros(len(u), *b.shape) if start is None else start.to(u.dtype)
    answers = []
    for k in range(0, u.shape[1], PIECE):
        part = slice(k, k + PIECE)
        y, state = checkpoint(_piece, u[:, part], rate[:, part], discrete, b, c, state, use_reentrant=False)  # type: ignore[misc]
        answers.append(y)
    return torch.cat(answers, 1), state


def _piece(u: Tensor, rate: Tensor, discrete: Callable[[Tensor], Discrete], b: Pairs, c: Pairs, state: Tensor) -> tuple[Tensor, Tensor]:
    multiplier, gain = discrete(rate)
    drive = mul(gain, b[..., None, None]).to(u.dtype) * u.permute(2, 0, 1)[:, None]
    states = varying_scan(multiplier.to(u.dtype), drive, state.permute(1, 2, 3, 0))
    return _answers(c, states), states[..., -1].permute(3, 0, 1, 2)


def _answers(c: Pairs, states: Tensor) -> Tensor:
    """Re c x of all steps, (batch, length, features)."""
    weight = c.to(states.dtype)
    return torch.einsum("fm,fmbl->blf", weight[0], states[0]) - torch.einsum("fm,fmbl->blf", weight[1], states[1])
