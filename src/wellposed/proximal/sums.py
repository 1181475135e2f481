"""Sums, inner products and norms of each sample, with what rounding does to them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

UNIT = 2.0**-53


def total(terms: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
    """The sum over all axes but the first, one axis after the other, so that few roundings follow each other."""
    while terms.ndim > 1:
        terms = terms.sum(-1)
    return terms


def sum_error(terms: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
    """A bound of the rounding error of `total`, in whatever order an axis is summed, of terms that are themselves products."""
    roundings = sum(terms.shape[1:]) + 4
    return gamma(roundings) * total(terms.abs()) * (1 + 1e-10)


def gamma(n: int) -> float:
    """n u / (1 - n u): the relative error of n roundings (Higham 2002, section 3.1)."""
    return n * UNIT / (1 - n * UNIT)


def dot(a: Tensor, b: Tensor) -> Float[Tensor, " batch"]:
    return total(a * b)


def norm(a: Tensor) -> Float[Tensor, " batch"]:
    return torch.linalg.vector_norm(a.flatten(1), dim=1)


def column(s: Float[Tensor, " batch"], like: Tensor) -> Tensor:
    """A number for each sample, to be multiplied with what is `like` a batch of samples."""
    return s.view(-1, *(1,) * (like.ndim - 1))
