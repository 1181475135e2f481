"""Proximal gradient descent on F = h + λR at any weight λ <= 1/η, and half-quadratic splitting, which is the same on h's envelope.

The step z⁺ = prox_{τR}(v), v = z - η∇h(z), τ = λη, minimises Q(x) = |x - v|²/2 + τR(x) = τψ*(x) + (1 - τ)|x|²/2 - ⟨v, x⟩ + const. At
z = f(w), w is the dual variable of ψ*, so that one Bregman ("mirror") step on Q needs one evaluation of f = ∇ψ and no inner solver:

    w⁺ = w - s ((1 - τ) f(w) + τ w - v) = w - s η ∇F(z).

Q is (τ + (1 - τ) L_f)-smooth relative to ψ*: with s at most its inverse Q falls, and then F(z⁺) <= F(z) - ((1/η - L)/2)|z⁺ - z|², L that of
∇h. s = 1 is the exact prox where τ = 1. L_f need not be known: the fall of F is checked by its value (docs/theorems/proximal.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.data_terms import Envelope, LeastSquares
from wellposed.proximal.iterate import Iterate, prox
from wellposed.proximal.sums import dot


@dataclass(frozen=True, eq=False)
class ProximalGradient:
    """η = `step`, on h or on its envelope."""

    model: Any
    term: LeastSquares | Envelope
    weight: float
    step: float

    @property
    def parameter(self) -> float:
        """As a trace names it: η, or the ρ of the envelope."""
        return self.term.rho if isinstance(self.term, Envelope) else self.step

    @property
    def relaxation(self) -> float:
        """τ."""
        return self.weight * self.step

    @property
    def decrease(self) -> float:
        """c with F(z⁺) <= F(z) - c|z⁺ - z|²."""
        return 0.5 * (1 / self.step - self.term.smoothness)

    @property
    def violation(self) -> str | None:
        """Which of the theorem's conditions the step violates; none by that of an envelope, whatever ρ."""
        if self.decrease > 0:
            return None
        return (f"the step 1/rho = {self.step:g} is not below 1/|A|² = {1 / self.term.smoothness:g}: the theorem of proximal gradient "
                "descent does not apply")

    def __getitem__(self, which: Tensor) -> ProximalGradient:
        return replace(self, term=self.term[which])

    def begin(self, w: Tensor) -> Iterate:
        return self.at(w, None)

    def at(self, w: Tensor, split: Tensor | None) -> Iterate:  # noqa: ARG002
        z, prior, size = prox(self.model, w)
        h = self.term.at(z)
        value = h.value + self.weight * prior
        return Iterate(w, z, prior, h.split, value, value, h.gradient + self.weight * (w - z), h.value + self.weight * size)

    def plain(self, here: Iterate) -> tuple[None, Tensor]:
        """The mirror step with s = 1, without its evaluation: w⁺ - w."""
        return None, -self.step * here.gradient

    def moved(self, here: Iterate, there: Iterate) -> Float[Tensor, " batch"]:
        """|z⁺ - z|²."""
        d = there.image - here.image
        return dot(d, d)
