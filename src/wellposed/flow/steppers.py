"""Steps in time of the truncated system dw/dt = λ w + N(w), λ = -ν |k|² - α, N = -u·∇w + f, by name."""

from __future__ import annotations

from typing import Protocol

from wellposed.flow.crank_nicolson import CNAB2, RK4CN, HeunCN
from wellposed.flow.exponential import ETDRK4, IFRK4
from wellposed.flow.galerkin import Box, Galerkin

__all__ = ["CNAB2", "ETDRK4", "IFRK4", "METHODS", "RK4CN", "HeunCN", "Stepper"]


class Stepper(Protocol):
    """Steps of one length.

    Attributes:
        order: in the step. evaluations: of N in each step. courant: what step · speed · largest wave number is chosen to be.
    """

    order: int
    evaluations: int
    courant: float

    def __init__(self, system: Galerkin, step: float) -> None: ...

    def advance(self, w: Box, steps: int) -> None:
        """So many steps, in place."""
        ...


METHODS: dict[str, type[Stepper]] = {"etdrk4": ETDRK4, "ifrk4": IFRK4, "rk4-cn": RK4CN, "cnab2": CNAB2, "heun-cn": HeunCN}
