"""Losses of denoising with less variance: every noisy vector of a batch is paired with every clean one, as the law of the noise is known.

Where y is drawn from one clean vector of a batch, chosen at random, plus noise, the probability that this was x_j, given y and the batch,
is w_j ∝ exp(-|y - x_j|²/2σ²). So Σ_j w_j m(f(y) - x_j) has the mean of m(f(y) - x), and no more variance (Rao and Blackwell): without
bias in any dimension, and with a gain where more than one w_j counts. For y that were put elsewhere (`denoising.where_answers_are_even`)
Σ_j w_j is an estimate of the posterior that normalises itself, with a bias of the order of one over the count of clean vectors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.proximal_matching import Penalty, ProximalMatching

CHUNK = 2**20
"""Pairs that are in memory at a time."""
SMALL = -40.0
"""Exponents that are no longer told from smaller ones."""
DENSE, LONGEST = 2, 2.0
"""Up to this dimension a batch holds enough clean vectors near each answer for Newton's method; its steps are at most so many γ."""


class Pairs(NamedTuple):
    """Noisy vectors, and the clean ones of which some were made noisy."""

    noisy: Float[Tensor, "outputs dim"]
    clean: Float[Tensor, "targets dim"]


def paired(penalty: Penalty, answer: Float[Tensor, "outputs dim"], batch: Pairs, sigma: float) -> Float[Tensor, ""]:
    """The mean over noisy vectors of Σ_j w_j m(f(y) - x_j), with its gradient, of which proximal matching's is scaled.

    The gradient of proximal matching vanishes with γ like γ^{dim + 2}, and the memory of Adam is too long for that: it is divided by the
    mean of exp(-|r|²/γ²) over the batch, which is a number. Where the prior is smooth it is γ times smaller than near a kink, and would be
    the last to be followed: in low dimension it is divided at each y by the bend of -log Σ_j w_j exp(-|r|²/γ²) there, as by Newton's
    method, and by the square root of its own mean of exp(-|r|²/γ²). Without the latter heavy tails are not learned; divided by all of it,
    nothing says where an answer should jump from one mode to the next. As both numbers are positive, at each y the stationary points stay.
    """
    rows = max(1, CHUNK // len(batch.clean))
    values, slopes, near = [], [], []
    with torch.no_grad():
        for f, y in zip(answer.detach().split(rows), batch.noisy.split(rows), strict=True):
            prior = (-0.5 / sigma**2) * squares(y, batch.clean)
            found = _matched(penalty.gamma, sigma, f, prior, batch.clean) if isinstance(penalty, ProximalMatching) else _other(
                penalty, f, prior, batch.clean)
            for held, x in zip((values, slopes, near), found, strict=True):
                held.append(x)
        value, slope, weight = torch.cat(values), torch.cat(slopes), torch.cat(near)
        if isinstance(penalty, ProximalMatching):
            share = weight / weight.mean().clamp(min=1e-30)
            slope = slope * (share.sqrt() if answer.shape[1] <= DENSE else share)[:, None]
    return value.mean() + ((answer - answer.detach()) * slope).sum() / len(answer)


def _other(penalty: Penalty, f: Tensor, prior: Tensor, clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values and gradients, and ones."""
    w, total, _ = _exponentials(prior)
    value, slope = penalty.of_pairs(f[:, None] - clean)
    return (w * value).sum(1) / total, (w[..., None] * slope).sum(1) / total[:, None], torch.ones_like(total)


def _matched(gamma: float, sigma: float, f: Tensor, prior: Tensor, clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values, gradients over the means of exp(-|r|²/γ²), in low dimension as twice the steps of Newton's method, and those means."""
    _, whole, top = _exponentials(prior)
    apart = squares(f, clean)
    w, total, own = _exponentials(prior - apart / gamma**2)
    near, slope = total / whole * torch.exp(own - top), f - (w @ clean) / total[:, None]
    if f.shape[1] <= DENSE:
        variance = (w * apart).sum(1) / total - slope.square().sum(1)
        bend = (1 - 2 / gamma**2 * variance / f.shape[1]).clamp(min=0.5 * (gamma / sigma) ** 2)  # at least that of the noise
        slope = slope / bend[:, None]
        slope = slope * (LONGEST * gamma / torch.linalg.vector_norm(slope, dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1.0)
    return gamma**2 * (1 - near), 2 * slope, near


def _exponentials(a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """exp(a - m), the sums over rows, and m, the largest of each row; the smallest numbers are cut off, as arithmetic with them is slow."""
    m = a.amax(1, keepdim=True)
    e = (a - m).clamp_(min=SMALL).exp_()
    return e, e.sum(1), m[:, 0]


def squares(a: Float[Tensor, "rows dim"], b: Float[Tensor, "columns dim"]) -> Float[Tensor, "rows columns"]:
    """|a_i - b_j|²; the differences are formed, as γ may be small beside the vectors."""
    total = (a[:, :1] - b[:, 0]).square_()
    for k in range(1, a.shape[1]):
        total += (a[:, k : k + 1] - b[:, k]).square_()
    return total
