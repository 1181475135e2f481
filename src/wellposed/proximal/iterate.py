"""Where a reconstruction is: a point w, its image z = prox_R(w), and what is known there exactly and for free.

R(z) = ⟨w, z⟩ - |z|²/2 - ψ(w) and ∇R(z) = w - z, so that objectives and their gradients cost no more than the image itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.sums import dot, norm

ROUNDING = 1e-14
"""Of the terms of an objective, what rounding may hide of its fall."""


@dataclass(frozen=True, eq=False)
class Iterate:
    """A batch of them.

    Attributes:
        point: w. image: z = prox_R(w). prior: R(z), (batch,).
        split: the x of methods that keep one.
        objective: F(z) = h(z) + λR(z). merit: what the method lets fall: F, or the augmented Lagrangian.
        gradient: ∇F(z) = ∇h(z) + λ(w - z).
        size: of the terms whose sum is the merit, for rounding. slope: ∇h(x) at the split, of ADMM.
    """

    point: Tensor
    image: Tensor
    prior: Float[Tensor, " batch"]
    split: Tensor | None
    objective: Float[Tensor, " batch"]
    merit: Float[Tensor, " batch"]
    gradient: Tensor
    size: Float[Tensor, " batch"]
    slope: Tensor | None = None

    @property
    def stationarity(self) -> Float[Tensor, " batch"]:
        """|∇F(z)|."""
        return norm(self.gradient)

    @property
    def potential(self) -> Float[Tensor, " batch"]:
        """ψ(w)."""
        return dot(self.point, self.image) - 0.5 * dot(self.image, self.image) - self.prior

    def __getitem__(self, which: Tensor) -> Iterate:
        return _each(lambda x: x[which], self)

    def put(self, which: Tensor, other: Iterate) -> Iterate:
        """Those of `other` at `which`, the rest as it was."""
        return _each(lambda x, y: x.index_put((which,), y), self, other)


def _each(change: Callable[..., Tensor], *given: Iterate) -> Iterate:
    """`change` of each attribute that is there."""
    changed: dict[str, Any] = {}
    for name in (f.name for f in fields(Iterate)):
        values = [getattr(x, name) for x in given]
        changed[name] = None if values[0] is None else change(*values)
    return Iterate(**changed)


@torch.no_grad()
def prox(model: Any, w: Tensor) -> tuple[Tensor, Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """z = prox_R(w), R(z), and the size of the terms of R(z)."""
    psi, z = model.both(w)
    inner, square = dot(w, z), 0.5 * dot(z, z)
    return z, inner - square - psi, inner.abs() + square + psi.abs()
