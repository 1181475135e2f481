"""The learned prior R = ψ* - |·|²/2 at an image, enclosed.

For every v: p(v) = ⟨v, x⟩ - |x|²/2 - ψ(v) <= R(x) <= p(v) + |∇ψ(v) - x|²/(2μ): the left is the definition of ψ*, the right as ψ - ⟨x, ·⟩ is
μ-strongly convex. Both ends include what rounding may have done to them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.inversion import invert
from wellposed.proximal.sums import dot, norm, sum_error


@dataclass(frozen=True, eq=False)
class Prior:
    """R(x) of a batch, up to the constant that ψ fixes.

    Attributes:
        lower, upper: (batch,), float64, rounding included.
        point: v with prox_R(v) near x, so that v - x is near ∇R(x).
        residual: |prox_R(v) - x|, (batch,).
    """

    lower: Float[Tensor, " batch"]
    upper: Float[Tensor, " batch"]
    point: Tensor
    residual: Float[Tensor, " batch"]

    @property
    def width(self) -> Float[Tensor, " batch"]:
        return self.upper - self.lower

    def __str__(self) -> str:
        rows = "\n".join(f"  {low:.12g} <= R(x) <= {high:.12g}" for low, high in zip(self.lower.tolist(), self.upper.tolist(), strict=True))
        return f"prior of {len(self.lower)} images, widest bracket {float(self.width.max()):.1e}\n{rows}"


@torch.no_grad()
def prior(model: Any, x: Float[Tensor, "batch ..."], tol: float) -> Prior:
    """R(x) to about `tol`; `model` is an LPN in float64."""
    found = invert(model, x, math.sqrt(0.5 * model.modulus * tol))
    return bracket(model, x, found.point)


@torch.no_grad()
def bracket(model: Any, x: Float[Tensor, "batch ..."], v: Float[Tensor, "batch ..."]) -> Prior:
    """What any v proves of R(x)."""
    at = model.enclosed(v)
    p = dot(v, x) - 0.5 * dot(x, x) - at.value
    margin = at.value_error + sum_error(v * x) + sum_error(x * x) + 4e-16 * (dot(v, x).abs() + dot(x, x) + at.value.abs())
    residual = norm(at.gradient - x)
    gap = (residual + at.gradient_error).square() / (2 * model.modulus)
    return Prior(p - margin, p + gap * (1 + 1e-14) + margin, v, residual)
