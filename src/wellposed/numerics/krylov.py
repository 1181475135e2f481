"""Preconditioned conjugate gradients, batched over samples, one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.numerics.q1 import Nodes, pair
from wellposed.numerics.space import NodalSpace


class ConjugateGradients:
    """Minimizes 1/2 <K x, x> - <b, x> over x in `start` + space + span(`ramps`), sample by sample.

    The energy error |x* - x|_K^2 falls in each step by exactly what `step` returns.

    Args:
        stiffness: nodal field -> raw functional, symmetric positive semi-definite.
        functional: b, raw.
        start: first iterate; its values on essential sides stay as they are.
        precondition: assembled functional -> admissible field, symmetric positive definite.
        space: the admissible fields.
        ramps: further nodal fields (n + 1, n + 1) to minimize over: a constant flux across a periodic square, the
            constant on a second component of the boundary.
    """

    def __init__(self, stiffness: Callable[[Nodes], Nodes], functional: Nodes, start: Nodes,
                 precondition: Callable[[Nodes], Nodes], space: NodalSpace, ramps: Sequence[Tensor] = ()) -> None:
        self.x, self.steps = start.clone(), 0
        self._stiffness, self._precondition, self._space = stiffness, precondition, space
        self._residual = functional - stiffness(self.x)
        self._ramps = [(r.expand_as(start), pair(stiffness(r.expand_as(start).contiguous()), r.expand_as(start)))
                       for r in ramps]
        self._direction, self.product = self._descent()  # product: the squared norm of the preconditioned residual

    def _descent(self) -> tuple[Nodes, Tensor]:
        z = self._precondition(self._space.assemble(self._residual))
        for ramp, energy in self._ramps:
            z = z + (pair(self._residual, ramp) / energy)[:, None, None] * ramp
        return z, pair(self._residual, z)

    def step(self) -> Float[Tensor, " samples"]:
        """One step for every sample; returns by how much each squared energy error fell."""
        image = self._stiffness(self._direction)
        curvature = pair(image, self._direction)
        alive = (curvature > 0) & (self.product > 0)
        length = torch.where(alive, self.product / torch.where(alive, curvature, 1.0), 0.0)
        self.x += length[:, None, None] * self._direction
        self._residual -= length[:, None, None] * image
        fall, old = length * self.product, self.product
        z, self.product = self._descent()
        ratio = torch.where(alive, self.product / torch.where(alive, old, 1.0), 0.0)
        self._direction = z + ratio[:, None, None] * self._direction
        self.steps += 1
        return fall
