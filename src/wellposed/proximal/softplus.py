"""The activation: a softplus, and its slope along with it, of which training keeps one array rather than two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Softplus:
    """g(t) = log(1 + e^{βt})/β: convex, increasing, analytic, g'' <= β/4."""

    beta: float

    def value(self, t: Tensor) -> Tensor:
        if t.dtype == torch.float64:  # functional.softplus turns linear above 20, which is wrong by 2e-9 there
            return torch.logaddexp(self.beta * t, t.new_zeros(())) / self.beta
        return functional.softplus(t, self.beta)

    def slope(self, t: Tensor) -> Tensor:
        return torch.sigmoid(self.beta * t)

    def both(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Value and slope."""
        if t.requires_grad and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            value, slope = _Both.apply(t, self)  # type: ignore[misc]
            return value, slope
        return self.value(t), self.slope(t)


class _Both(torch.autograd.Function):
    """Both derivatives are functions of the slope s: g' = s, g'' = β s (1 - s). So t itself need not be kept."""

    generate_vmap_rule = True

    @staticmethod
    def forward(t: Tensor, g: Softplus) -> tuple[Tensor, Tensor]:
        return g.value(t), g.slope(t)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Softplus], output: tuple[Tensor, Tensor]) -> None:
        ctx.beta = inputs[1].beta
        ctx.save_for_backward(output[1])
        ctx.save_for_forward(output[1])

    @staticmethod
    def backward(ctx: Any, of_value: Tensor, of_slope: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (s,) = ctx.saved_tensors
        return s * (of_value + ctx.beta * (1 - s) * of_slope), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        (s,) = ctx.saved_tensors
        return s * tangent, ctx.beta * s * (1 - s) * tangent
