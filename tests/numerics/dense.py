"""Stiffness and cycle as dense matrices on the unknowns of a space, to be judged by an eigensolver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from wellposed.numerics.multigrid import VCycle
from wellposed.numerics.q1 import Stiffness
from wellposed.numerics.space import NodalSpace

ESSENTIAL = {
    "dirichlet": (True,) * 4, "one natural": (True, False, True, True), "corner": (False, True, True, False),
    "bottom and top natural": (False, True, False, True), "left and right natural": (True, False, True, False),
    "one essential": (False, False, False, True), "natural": (False,) * 4, "periodic": (False,) * 4}


def space(kind: str, n: int) -> NodalSpace:
    return NodalSpace(n, ESSENTIAL[kind], kind == "periodic", torch.ones(1, dtype=torch.float64))


def cells(x: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float64)[None]


@dataclass(frozen=True)
class Dense:
    """The matrix K and the preconditioner B; both annihilate, or are given up to, constants where `singular`."""

    stiffness: np.ndarray
    cycle: np.ndarray
    singular: bool

    @property
    def rates(self) -> np.ndarray:
        """Eigenvalues of B K but for that of constants, ascending; 1 means solved in one cycle."""
        values, vectors = torch.linalg.eigh(torch.as_tensor(self.stiffness))  # by torch, whose threads the tests have set to one
        root = vectors * values.clamp_min(0).sqrt()
        return torch.linalg.eigvalsh(root.T @ torch.as_tensor(self.cycle) @ root).numpy()[int(self.singular) :]


def dense(a: torch.Tensor, s: NodalSpace, **options: float) -> Dense:
    """Columns from unit fields; functionals and fields are read at one copy of each unknown."""
    number, count = s.numbering
    unit = torch.zeros(count, s.n + 1, s.n + 1, dtype=torch.float64)
    unit[:, number >= 0] = torch.eye(count, dtype=torch.float64)[:, number[number >= 0]]
    first = torch.stack([(number.flatten() == k).nonzero()[0, 0] for k in range(count)])
    k = s.identify(Stiffness(a)(unit)).flatten(1)[:, first].numpy().T
    b = VCycle(a.expand(count, -1, -1), s, **options)(s.assemble(unit * s.share)).flatten(1)[:, first].numpy().T  # type: ignore[arg-type]
    if s.singular:  # the cycle is defined on functionals without a mean, up to constants
        b = b - b.mean(0)
    return Dense(k, b, s.singular)
