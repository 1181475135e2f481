"""Anderson's acceleration of a fixed-point iteration c -> G(c), for each sample of a batch by itself (Walker and Ni 2011).

From the last points c and residuals r = G(c) - c the next point is c + r - (ΔC + ΔR) γ, γ = argmin |r - ΔR γ|. Nothing is guaranteed of it:
whoever uses it must check that it helps, and `forget` the history of a sample where it does not.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

RIDGE = 1e-12
"""Of the squared norms of the columns, added to the diagonal of the normal equations."""


class Anderson:
    """Up to `memory` differences; those of a sample that was forgotten are zeros, which take no part."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.points: list[Float[Tensor, "batch n"]] = []
        self.residuals: list[Float[Tensor, "batch n"]] = []
        self.last: tuple[Tensor, Tensor] | None = None

    def propose(self, c: Float[Tensor, "batch n"], r: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        """The next point; c + r as long as there is no history."""
        if self.last is not None:
            self.points = [*self.points, c - self.last[0]][-self.memory :]
            self.residuals = [*self.residuals, r - self.last[1]][-self.memory :]
        self.last = (c, r)
        if not self.points:
            return c + r
        dr = torch.stack(self.residuals, -1)
        sizes = torch.linalg.vector_norm(dr, dim=1, keepdim=True)
        scaled = dr / torch.where(sizes > 0, sizes, 1.0)
        gram = scaled.mT @ scaled + RIDGE * torch.eye(dr.shape[-1], dtype=dr.dtype)
        gram = gram + torch.diag_embed((sizes[:, 0] == 0).to(dr.dtype))
        gamma = torch.linalg.solve(gram, scaled.mT @ r[..., None]) / torch.where(sizes > 0, sizes, 1.0).mT
        mixed = (torch.stack(self.points, -1) + dr) @ gamma
        return c + r - mixed[..., 0]

    def forget(self, which: Tensor) -> None:
        """The history of the samples at the indices `which`."""
        zero = torch.zeros((), dtype=torch.float64)
        self.points = [x.index_put((which,), zero) for x in self.points]
        self.residuals = [x.index_put((which,), zero) for x in self.residuals]
