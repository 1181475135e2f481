"""Losses of denoising whose minimiser is known: the posterior's mode, median or mean.

Proximal matching (Fang, Buchanan and Sulam, ICLR 2024) is m(r) = γ²(1 - exp(-|r|²/γ²)): the least of E m(f(y) - x) is, at every y, the
mode of the posterior mollified by a Gaussian of variance γ²/2 in each axis, and so tends to the mode, which is prox_{-σ² log p}(y). At
large γ it is the mean square.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor


class Penalty(Protocol):
    """A function of residuals, over the axes after the first two where they are of pairs: of each its value and its gradient."""

    def of_pairs(self, residual: Float[Tensor, "outputs targets dim"]) -> tuple[Tensor, Tensor]: ...
    def __call__(self, prediction: Float[Tensor, "batch ..."], target: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]: ...


class ProximalMatching:
    """(prediction, target) -> the mean over samples of γ²(1 - exp(-|prediction - target|²/γ²)), |·| over all axes but the first.

    Args:
        gamma: γ > 0, in units of |prediction - target|. For images .08 √(pixels) is published. A residual far above γ has no gradient.

    Raises:
        ValueError: γ not positive.

    Example:
        ``wellposed.train(LPN(1), Denoising(samples, sigma=1.0), loss=ProximalMatching(0.1), seconds=60)``
    """

    def __init__(self, gamma: float) -> None:
        if not 0 < gamma < math.inf:
            raise ValueError(f"ProximalMatching: received gamma={gamma!r}, expected a positive number; a small one finds modes, a large "
                             "one is the mean square")
        self.gamma, self.called = float(gamma), f"proximal_matching({float(gamma)!r})"

    def __repr__(self) -> str:
        return f"ProximalMatching({self.gamma!r})"

    def __call__(self, prediction: Float[Tensor, "batch ..."], target: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        square = (prediction - target).flatten(1).square().sum(1)
        return -self.gamma**2 * torch.expm1(-square / self.gamma**2).mean()

    def of_pairs(self, residual: Float[Tensor, "outputs targets dim"]) -> tuple[Tensor, Tensor]:
        """Values (outputs, targets) and gradients (outputs, targets, dim)."""
        exponent = residual.square().sum(-1) / -(self.gamma**2)
        return -self.gamma**2 * torch.expm1(exponent), 2 * residual * exponent.exp()[..., None]


class Absolute:
    """Σ|r|: the least is the median of each axis."""

    called = "l1"

    def __call__(self, prediction: Float[Tensor, "batch ..."], target: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        return (prediction - target).abs().flatten(1).sum(1).mean()

    def of_pairs(self, residual: Float[Tensor, "outputs targets dim"]) -> tuple[Tensor, Tensor]:
        return residual.abs().sum(-1), residual.sign()


class Square:
    """|r|²: the least is the mean."""

    called = "l2"

    def __call__(self, prediction: Float[Tensor, "batch ..."], target: Float[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        return (prediction - target).square().flatten(1).sum(1).mean()

    def of_pairs(self, residual: Float[Tensor, "outputs targets dim"]) -> tuple[Tensor, Tensor]:
        return residual.square().sum(-1), 2 * residual
