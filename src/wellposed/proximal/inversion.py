"""The inverse of a prox: the minimiser of ψ(v) - ⟨x, v⟩, by Newton's method with conjugate gradients, a batch at a time, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.sums import column, dot, norm

STEPS, PRODUCTS, HALVINGS = 60, 400, 30
SLOPE = 1e-4
"""Of the decrease that the gradient promises, what a step must bring (Armijo)."""


@dataclass(frozen=True)
class Inverse:
    """v with ∇ψ(v) near x.

    Attributes:
        point: v. image: ∇ψ(v). value: ψ(v), (batch,). residual: |∇ψ(v) - x|, (batch,). steps: of Newton's method.
    """

    point: Tensor
    image: Tensor
    value: Float[Tensor, " batch"]
    residual: Float[Tensor, " batch"]
    steps: int


@torch.no_grad()
def invert(model: Any, x: Float[Tensor, "batch ..."], tol: float, start: Tensor | None = None) -> Inverse:
    """Until every residual is at most `tol`, or rounding allows no further step.

    Args:
        model: an LPN in float64. x: in float64. start: of v, by default x.

    Raises:
        ValueError: x is not finite.
    """
    if not bool(torch.isfinite(x).all()):
        raise ValueError("image: received numbers that are not finite, expected finite ones; mask or replace them first")
    v = x.clone() if start is None else start.clone()
    here = model.linearize(v)
    g = here.gradient - x
    size = norm(g)
    for step in range(STEPS):
        active = size > tol
        if not bool(active.any()):
            return Inverse(v, here.gradient, here.value, size, step)
        d = conjugate_gradients(here.__matmul__, -g, torch.where(active, (0.1 * size).minimum(size**1.5), size))
        moved, here, g, new = _search(model, x, v, here.value - dot(x, v), g, d, size, active)
        stuck = bool((moved == v).flatten(1).all())
        v, size = moved, new
        if stuck:
            return Inverse(v, here.gradient, here.value, size, step + 1)
    return Inverse(v, here.gradient, here.value, size, STEPS)


def _search(model: Any, x: Tensor, v: Tensor, value: Tensor, g: Tensor, d: Tensor, size: Tensor, active: Tensor) -> tuple[Any, ...]:
    """Halve each sample's step until the objective, or where rounding hides it the gradient, has fallen."""
    slope, t = dot(g, d), active.to(v.dtype)
    for _ in range(HALVINGS):
        moved = v + column(t, v) * d
        here = model.linearize(moved)
        fresh = here.gradient - x
        new, own = norm(fresh), here.value - dot(x, moved)
        good = (own <= value + SLOPE * t * slope) | (new < 0.9 * size) | ~active
        if bool(good.all()):
            break
        t = torch.where(good, t, 0.5 * t)
    else:
        moved = v + column(torch.where(good, t, torch.zeros_like(t)), v) * d
        here = model.linearize(moved)
        fresh = here.gradient - x
        new = norm(fresh)
    return moved, here, fresh, new


def conjugate_gradients(product: Callable[[Tensor], Tensor], b: Tensor, tol: Float[Tensor, " batch"]) -> Tensor:
    """Solve A x = b for symmetric positive definite A, each sample to a residual of its own `tol`."""
    x, r = torch.zeros_like(b), b.clone()
    p, rr = r.clone(), dot(r, r)
    for _ in range(PRODUCTS):
        going = rr.sqrt() > tol
        if not bool(going.any()):
            break
        q = product(p)
        a = torch.where(going, rr / dot(p, q).clamp(min=1e-300), 0.0)
        x, r = x + column(a, x) * p, r - column(a, x) * q
        new = dot(r, r)
        p = r + column(torch.where(going, new / rr.clamp(min=1e-300), 0.0), p) * p
        rr = new
    return x
