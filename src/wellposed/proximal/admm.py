"""The alternating direction method of multipliers on h + λR at any weight λ <= ρ, its prox step one mirror step of `pgd`.

    x⁺ = argmin h + (ρ/2)|· - z + u|²,  u⁺ = u + x⁺ - z = -∇h(x⁺)/ρ,  z⁺ = prox_{τR}(x⁺ + u⁺), τ = λ/ρ, or a mirror step towards it.

With ρ > L = |A|² the augmented Lagrangian L(x, z) = h(x) + ⟨∇h(x), z - x⟩ + (ρ/2)|x - z|² + λR(z) falls by at least c|x⁺ - x|²,
c = min(ρ/2, (ρ + 2L)(ρ - L)/(2ρ)), whatever the step in z is, as long as it raises nothing (docs/theorems/proximal.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.data_terms import LeastSquares
from wellposed.proximal.iterate import Iterate, prox
from wellposed.proximal.sums import dot


@dataclass(frozen=True, eq=False)
class Admm:
    """ρ = `rho`; the state is (x, w), as u = -∇h(x)/ρ."""

    model: Any
    term: LeastSquares
    weight: float
    rho: float

    @property
    def parameter(self) -> float:
        """As a trace names it: ρ."""
        return self.rho

    @property
    def relaxation(self) -> float:
        """τ."""
        return self.weight / self.rho

    @property
    def decrease(self) -> float:
        """c."""
        rho, smooth = self.rho, self.term.smoothness
        return min(0.5 * rho, (rho + 2 * smooth) * (rho - smooth) / (2 * rho))

    @property
    def violation(self) -> str | None:
        """Which of the theorem's conditions ρ violates."""
        if self.decrease > 0:
            return None
        return f"rho = {self.rho:g} is not above |A|² = {self.term.smoothness:g}: the theorem of ADMM does not apply"

    def __getitem__(self, which: Tensor) -> Admm:
        return replace(self, term=self.term[which])

    def begin(self, w: Tensor) -> Iterate:
        return self.at(w, prox(self.model, w)[0])

    def at(self, w: Tensor, split: Tensor) -> Iterate:
        z, prior, size = prox(self.model, w)
        h, own = self.term.at(z), self.term.at(split)
        apart = z - split
        linear, square = dot(own.gradient, apart), 0.5 * self.rho * dot(apart, apart)
        merit = own.value + linear + square + self.weight * prior
        return Iterate(w, z, prior, split, h.value + self.weight * prior, merit, h.gradient + self.weight * (w - z),
                       own.value + linear.abs() + square + self.weight * size, own.gradient)

    def plain(self, here: Iterate) -> tuple[Tensor, Tensor]:
        """x⁺, and the mirror step with s = 1 without its evaluation: w⁺ - w."""
        assert here.slope is not None
        target = here.image + here.slope / self.rho  # z - u
        split = self.term.proximal(target, self.rho)
        v = 2 * split - target
        return split, v - (1 - self.relaxation) * here.image - self.relaxation * here.point

    def moved(self, here: Iterate, there: Iterate) -> Float[Tensor, " batch"]:
        """|x⁺ - x|²."""
        assert here.split is not None
        assert there.split is not None
        d = there.split - here.split
        return dot(d, d)
