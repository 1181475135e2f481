"""The inverse of a prox: the minimiser of ψ(v) - ⟨x, v⟩, by Newton's method with conjugate gradients, a batch at a time, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.sums import column, dot, norm

STEPS, PRODUCTS, HALVINGS = 60, 400, 30
DIGITS, SMALL = 1e-5, 1e-30
"""Of directions, which float32 can give."""
HIDDEN = 1e-10
"""Changes of the objective, beside its size, that rounding may hide."""
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

    Objectives and residuals are in float64; the directions, which need few digits, come from products in float32, which are several times
    faster. What has converged is not computed again.

    Args:
        model: an LPN in float64. x: in float64. start: of v, by default x.

    Raises:
        ValueError: x is not finite.
    """
    if not bool(torch.isfinite(x).all()):
        raise ValueError("image: received numbers that are not finite, expected finite ones; mask or replace them first")
    v, rough = x.clone() if start is None else start.clone(), copy.deepcopy(model).float()
    value, image = (y.clone() for y in model.both(v))
    size, step = norm(image - x), 0
    rows = (size > tol).nonzero()[:, 0]
    while len(rows) and step < STEPS:
        step += 1
        d = _direction(rough, v[rows], (x - image)[rows], size[rows])
        found, moved = _search(model, x[rows], v[rows], (value[rows], image[rows]), d)
        v[rows], value[rows], image[rows] = found
        size[rows] = norm(image[rows] - x[rows])
        rows = rows[moved & (size[rows] > tol)]
    return Inverse(v, image, value, size, step)


def _direction(rough: Any, v: Tensor, rest: Tensor, size: Float[Tensor, " batch"]) -> Tensor:
    """Of Newton's method, to as many digits as its next step can use."""
    tol = size.sqrt().clamp(DIGITS, 0.1).float()
    unit = (rest / column(size, rest)).float()
    return column(size, rest) * conjugate_gradients(rough.linearize(v.float()).__matmul__, unit, tol).double()


def _search(model: Any, x: Tensor, v: Tensor, known: tuple[Tensor, Tensor], d: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Halve each sample's step until the objective, or where rounding hides it the gradient, has fallen: v, ψ(v), ∇ψ(v), and who moved."""
    psi, image = (y.clone() for y in known)
    slope, before, size, out = dot(image - x, d), psi - dot(x, v), norm(image - x), v.clone()
    trying, hidden = torch.arange(len(v)), slope.abs() < HIDDEN * (1 + before.abs())
    for k in range(HALVINGS):
        t, own = 0.5**k, x[trying]
        there = v[trying] + t * d[trying]
        value, fresh = model.both(there)
        fell = value - dot(own, there) <= before[trying] + SLOPE * t * slope[trying]
        good = fell | (hidden[trying] & (norm(fresh - own) < 0.9 * size[trying]))
        taken = trying[good]
        out[taken], psi[taken], image[taken] = there[good], value[good], fresh[good]
        trying = trying[~good]
        if not len(trying):
            break
    moved = torch.ones(len(v), dtype=torch.bool)
    moved[trying] = False
    return (out, psi, image), moved


def conjugate_gradients(product: Callable[[Tensor], Tensor], b: Tensor, tol: Float[Tensor, " batch"]) -> Tensor:
    """Solve A x = b for symmetric positive definite A, each sample to a residual of its own `tol`."""
    x, r = torch.zeros_like(b), b.clone()
    p, rr = r.clone(), dot(r, r)
    for _ in range(PRODUCTS):
        going = rr.sqrt() > tol
        if not bool(going.any()):
            break
        q = product(p)
        a = torch.where(going, rr / dot(p, q).clamp(min=SMALL), 0.0)
        x, r = x + column(a, x) * p, r - column(a, x) * q
        new = dot(r, r)
        p = r + column(torch.where(going, new / rr.clamp(min=SMALL), 0.0), p) * p
        rr = new
    return x
