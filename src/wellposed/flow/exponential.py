"""Steps of order four that integrate dw/dt = λ w exactly. In place, float64."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.galerkin import Box, Galerkin
from wellposed.numerics.vorticity import Exponential

Multiplier = Float[Tensor, "rows columns"]


class FourStages:
    """a = E₂ w + p N(w), b = E₂ w + q N(a), c = E w + r N(w) + s N(b), w⁺ = E w + f₁ N(w) + f₂ (N(a) + N(b)) + f₃ N(c).

    a, b and c are needed as velocities only, so p, q, r, s are given times `to_velocity`.
    """

    order: int = 4
    evaluations: int = 4
    courant: float = 1.0

    def __init__(self, system: Galerkin, whole: Multiplier, half: Multiplier, stages: list[Multiplier], last: list[Multiplier]) -> None:
        self.system = system
        self.stages = [system.array(system.to_velocity * x) for x in (half, whole, *stages)]
        self.last = [system.twice(x) for x in (whole, *last)]
        self.buffers = [system.buffer() for _ in range(6)]

    @torch.inference_mode()
    def advance(self, w: Box, steps: int) -> None:
        (at_w, n_w), (at_a, n_a), (at_b, n_b), (at_c, n_c), (z, _), (rest, _) = self.buffers
        half, whole, p, q, r, s = self.stages
        decay, first, middle, last = self.last
        system, a = self.system, self.system.arithmetic
        for chunk, parts in system.chunks(w):
            for _ in range(steps):
                system.vorticity(chunk)
                system.tendency(at_w)
                a.multiply(chunk, half, z)
                system.velocity(z, p, at_w)
                system.tendency(at_a)
                system.velocity(z, q, at_a)
                system.tendency(at_b)
                a.multiply(chunk, whole, rest)
                a.add_product(rest, r, at_w, rest)
                system.velocity(rest, s, at_b)
                system.tendency(at_c)
                a.multiply(parts, decay, parts)
                a.add(n_a, n_b, n_a)
                for factor, n in ((first, n_w), (middle, n_a), (last, n_c)):
                    a.add_product(parts, factor, n, parts)


class ETDRK4(FourStages):
    """Exponential time differencing: λ exactly, N by a Runge-Kutta method of order four.

    Source: Cox and Matthews, J. Comput. Phys. 176 (2002); multipliers as Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005).
    """

    def __init__(self, system: Galerkin, step: float) -> None:
        c = Exponential.of(system.linear, step)
        stages = [c.stage, c.stage, c.stage * (c.half - 1), 2 * c.stage]
        super().__init__(system, c.whole, c.half, stages, [c.first, 2 * c.middle, c.last])


class IFRK4(FourStages):
    """The integrating factor exp(λ t) and the classical Runge-Kutta method of order four.

    Source: Canuto, Hussaini, Quarteroni and Zang, Spectral Methods: Fundamentals in Single Domains (2006), appendix D.
    """

    def __init__(self, system: Galerkin, step: float) -> None:
        z = step * system.linear
        whole, half = z.exp(), (z / 2).exp()
        stages = [step / 2 * half, torch.full_like(z, step / 2), torch.zeros_like(z), step * half]
        super().__init__(system, whole, half, stages, [step / 6 * whole, step / 3 * half, torch.full_like(z, step / 6)])
