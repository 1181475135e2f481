"""Which nodal fields are admissible: essential sides hold zero, periodic sides are identified."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wellposed.numerics.q1 import Nodes
from wellposed_check.elliptic.darcy import SIDES as SIDES


@dataclass(frozen=True)
class NodalSpace:
    """Bilinear fields on n x n cells that vanish on the essential sides, or that are periodic.

    Args:
        n: cells per axis.
        essential: whether bottom, right, top, left hold zero.
        periodic: opposite sides are identified; fields repeat the first row and column as the last.
        like: any tensor of the wanted dtype and device.
    """

    n: int
    essential: tuple[bool, bool, bool, bool]
    periodic: bool
    like: Tensor

    @property
    def singular(self) -> bool:
        """Constants are admissible, so energies see fields up to a constant."""
        return not any(self.essential)

    @cached_property
    def free(self) -> Tensor:
        """(n + 1, n + 1): 1 where a value is free, 0 on the essential sides."""
        mask = self.like.new_ones(self.n + 1, self.n + 1)
        bottom, right, top, left = self.essential
        if bottom:
            mask[0] = 0
        if right:
            mask[:, -1] = 0
        if top:
            mask[-1] = 0
        if left:
            mask[:, 0] = 0
        return mask

    @cached_property
    def share(self) -> Tensor:
        """(n + 1, n + 1): the weight with which each copy of an identified node counts in a sum."""
        mask = self.like.new_ones(self.n + 1, self.n + 1)
        if self.periodic:
            mask[[0, -1]] /= 2
            mask[:, [0, -1]] /= 2
        return mask

    def identify(self, raw: Nodes) -> Nodes:
        """Contributions of identified nodes added, the sum at every copy."""
        if not self.periodic:
            return raw
        raw = raw.clone()
        raw[:, 0] += raw[:, -1]
        raw[:, -1] = raw[:, 0]
        raw[:, :, 0] += raw[:, :, -1]
        raw[:, :, -1] = raw[:, :, 0]
        return raw

    def assemble(self, raw: Nodes) -> Nodes:
        """A raw functional on this space: identified nodes added, essential ones zero, constants removed if singular."""
        if any(self.essential):
            return raw * self.free
        raw = self.identify(raw)
        count = self.n**2 if self.periodic else (self.n + 1) ** 2
        return raw - (raw * self.share).sum((1, 2), keepdim=True) / count

    def coarser(self) -> NodalSpace:
        return NodalSpace(self.n // 2, self.essential, self.periodic, self.like)

    @cached_property
    def numbering(self) -> tuple[Tensor, int]:
        """Index of the unknown at each node, -1 where there is none, and the number of unknowns."""
        number = torch.full((self.n + 1, self.n + 1), -1, device=self.like.device)
        if self.periodic:
            core = torch.arange(self.n**2, device=self.like.device).reshape(self.n, self.n)
            number[:-1, :-1], number[-1, :-1], number[:-1, -1], number[-1, -1] = core, core[0], core[:, 0], 0
            return number, self.n**2
        where = self.free > 0
        count = int(where.sum())
        number[where] = torch.arange(count, device=self.like.device)
        return number, count
