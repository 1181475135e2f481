"""What a measurement says of an image: h(x) = |A x - y|²/2, and its Moreau envelope h_ρ(z) = min_x h(x) + (ρ/2)|x - z|²."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.problem import Inverse
from wellposed.proximal.sums import dot


class Value(NamedTuple):
    """Of a data term at a batch of images: value (batch,), gradient, and for envelopes the minimiser x."""

    value: Float[Tensor, " batch"]
    gradient: Tensor
    split: Tensor | None


@dataclass(frozen=True, eq=False)
class LeastSquares:
    """h(x) = |A x - y|²/2."""

    problem: Inverse

    def __getitem__(self, which: Tensor) -> LeastSquares:
        return LeastSquares(self.problem[which])

    @property
    def smoothness(self) -> float:
        """L >= |A|², rounded outward."""
        return float(self.problem.physics.norm_squared[1])

    @cached_property
    def backprojection(self) -> Tensor:
        """Aᵀy."""
        return self.problem.physics.A_adjoint(self.problem.measurement)

    @torch.no_grad()
    def at(self, x: Float[Tensor, "batch c y x"]) -> Value:
        physics = self.problem.physics
        residual = physics.A(x) - self.problem.measurement
        return Value(0.5 * dot(residual, residual), physics.A_adjoint(residual), None)

    @torch.no_grad()
    def proximal(self, v: Float[Tensor, "batch c y x"], rho: float) -> Float[Tensor, "batch c y x"]:
        """argmin h + (ρ/2)|· - v|²."""
        return self.problem.physics.solve(self.backprojection + rho * v, rho)


@dataclass(frozen=True, eq=False)
class Envelope:
    """h_ρ, the data term of half-quadratic splitting: ∇h_ρ(z) = ρ (z - x), x = argmin h + (ρ/2)|· - z|²."""

    whole: LeastSquares
    rho: float

    def __getitem__(self, which: Tensor) -> Envelope:
        return Envelope(self.whole[which], self.rho)

    @property
    def smoothness(self) -> float:
        """ρL/(ρ + L) < ρ."""
        return self.rho * self.whole.smoothness / (self.rho + self.whole.smoothness)

    @torch.no_grad()
    def at(self, x: Float[Tensor, "batch c y x"]) -> Value:
        split = self.whole.proximal(x, self.rho)
        apart = x - split
        return Value(self.whole.at(split).value + 0.5 * self.rho * dot(apart, apart), self.rho * apart, split)
