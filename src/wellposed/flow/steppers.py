"""Steps in time of the truncated system dw/dt = λ w + N(w), λ = -ν |k|² - α real, N = -u·∇w + f. In place, float64."""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.galerkin import Box, Galerkin
from wellposed.numerics.vorticity import Exponential


class Stepper(Protocol):
    """Steps of one length.

    Attributes:
        order: in the step. evaluations: of N in each step. courant: (step · speed · largest wave number) that `solver.stable_step` takes.
    """

    order: ClassVar[int]
    evaluations: ClassVar[int]
    courant: ClassVar[float]

    def __init__(self, system: Galerkin, step: float) -> None: ...

    def advance(self, w: Box, steps: int) -> None:
        """So many steps, in place."""
        ...


class _FourStages:
    """a = E₂ w + p N(w), b = E₂ w + q N(a), c = E w + r N(w) + s N(b), w⁺ = E w + f₁ N(w) + f₂ (N(a) + N(b)) + f₃ N(c).

    What enters N is needed as a velocity only, so p, q, r and s are multiplied by `to_velocity`, and a, b, c never formed.
    """

    order, evaluations, courant = 4, 4, 1.0

    def __init__(self, system: Galerkin, whole: Tensor, half: Tensor, stages: list[Tensor], last: list[Tensor]) -> None:
        self.system, to_velocity = system, system.to_velocity
        self.first, self.half, self.whole = to_velocity, to_velocity * half, to_velocity * whole
        self.stages, self.last = [to_velocity * x for x in stages], [_twice(x) for x in (whole, *last)]
        self.buffers = [system.new() for _ in range(6)]
        self.parts = [x.view(torch.float64) for x in self.buffers]

    @torch.inference_mode()
    def advance(self, w: Box, steps: int) -> None:
        (at_w, at_a, at_b, _, half, rest), (n_w, n_a, n_b, n_c, *_) = self.buffers, self.parts
        p, q, r, s = self.stages
        decay, first, middle, last = self.last
        at, tendency, add, multiply = self.system.at, self.system.tendency, torch.addcmul, torch.mul
        for chunk in w.split(self.system.flows):
            parts = chunk.view(torch.float64)
            for _ in range(steps):
                multiply(chunk, self.first, out=at)
                tendency(n_w)
                multiply(chunk, self.half, out=half)
                add(half, p, at_w, out=at)
                tendency(n_a)
                add(half, q, at_a, out=at)
                tendency(n_b)
                multiply(chunk, self.whole, out=rest)
                rest.addcmul_(r, at_w)
                add(rest, s, at_b, out=at)
                tendency(n_c)
                parts.mul_(decay).addcmul_(first, n_w).addcmul_(middle, n_a.add_(n_b)).addcmul_(last, n_c)


class ETDRK4(_FourStages):
    """Exponential time differencing: λ exactly, N by Runge and Kutta's method of order four.

    Source: Cox and Matthews, J. Comput. Phys. 176 (2002); multipliers as Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005).
    """

    def __init__(self, system: Galerkin, step: float) -> None:
        c = Exponential.of(system.linear, step)
        stages = [c.stage, c.stage, c.stage * (c.half - 1), 2 * c.stage]
        super().__init__(system, c.whole, c.half, stages, [c.first, 2 * c.middle, c.last])


class IFRK4(_FourStages):
    """The integrating factor exp(λ t) and the classical Runge-Kutta method of order four.

    Source: Canuto, Hussaini, Quarteroni and Zang, Spectral Methods: Fundamentals in Single Domains (2006), appendix D.
    """

    def __init__(self, system: Galerkin, step: float) -> None:
        z = step * system.linear
        whole, half = z.exp(), (z / 2).exp()
        stages = [step / 2 * half, torch.full_like(z, step / 2), torch.zeros_like(z), step * half]
        super().__init__(system, whole, half, stages, [step / 6 * whole, step / 3 * half, torch.full_like(z, step / 6)])


class RK4CN:
    """λ by Crank and Nicolson, N by a low-storage Runge-Kutta method of order four in five stages: of order two, with a small constant.

    Source: Carpenter and Kennedy, NASA TM 109112 (1994); Canuto, Hussaini, Quarteroni and Zang, Spectral Methods: Evolution to Complex
    Geometries (2007), appendix D.3, to thirteen digits.
    """

    order, evaluations, courant = 2, 5, 1.0
    times = (0.0, 0.1496590219993, 0.3704009573644, 0.6222557631345, 0.9582821306748, 1.0)
    memory = (0.0, -0.4178904745, -1.192151694643, -1.697784692471, -1.514183444257)
    gains = (0.1496590219993, 0.3792103129999, 0.8229550293869, 0.6994504559488, 0.1530572479681)

    def __init__(self, system: Galerkin, step: float) -> None:
        self.system, self.stages = system, []
        for k, (memory, gain) in enumerate(zip(self.memory, self.gains, strict=True)):
            z = step * (self.times[k + 1] - self.times[k]) / 2 * system.linear
            self.stages.append((memory, _twice((1 + z) / (1 - z)), _twice(gain * step / (1 - z))))
        self.sum, self.new = system.new().view(torch.float64), system.new().view(torch.float64)

    @torch.inference_mode()
    def advance(self, w: Box, steps: int) -> None:
        system, kept, new = self.system, self.sum, self.new
        for chunk in w.split(self.system.flows):
            parts = chunk.view(torch.float64)
            for _ in range(steps):
                for memory, decay, gain in self.stages:
                    torch.mul(chunk, system.to_velocity, out=system.at)
                    system.tendency(new)
                    kept.mul_(memory).add_(new) if memory else kept.copy_(new)
                    parts.mul_(decay).addcmul_(gain, kept)


class HeunCN:
    """λ by Crank and Nicolson, N by Heun's method, of order two.

    Source: Chandler and Kerswell, J. Fluid Mech. 722 (2013), section 3.
    """

    order, evaluations, courant = 2, 2, 0.25

    def __init__(self, system: Galerkin, step: float) -> None:
        z = step / 2 * system.linear
        self.system, self.decay, self.gain = system, _twice((1 + z) / (1 - z)), _twice(step / (1 - z))
        self.stage = system.new()
        self.first, self.second = (system.new().view(torch.float64) for _ in range(2))

    @torch.inference_mode()
    def advance(self, w: Box, steps: int) -> None:
        for chunk in w.split(self.system.flows):
            for _ in range(steps):
                self.step(chunk, chunk.view(torch.float64))

    def step(self, w: Tensor, parts: Tensor) -> None:
        """One step; N(w) is left in `first`."""
        system, stage = self.system, self.stage.view(torch.float64)
        torch.mul(w, system.to_velocity, out=system.at)
        system.tendency(self.first)
        parts.mul_(self.decay)
        torch.addcmul(parts, self.gain, self.first, out=stage)
        torch.mul(self.stage, system.to_velocity, out=system.at)
        system.tendency(self.second)
        parts.addcmul_(self.gain, self.second.add_(self.first), value=0.5)


class CNAB2(HeunCN):
    """λ by Crank and Nicolson, N by the method of Adams and Bashforth of order two, whose first step is Heun's. One evaluation a step."""

    order, evaluations, courant = 2, 1, 0.125

    @torch.inference_mode()
    def advance(self, w: Box, steps: int) -> None:
        new, old = self.second, self.first
        for chunk in w.split(self.system.flows):
            parts = chunk.view(torch.float64)
            self.step(chunk, parts)
            for _ in range(steps - 1):
                torch.mul(chunk, self.system.to_velocity, out=self.system.at)
                self.system.tendency(new)
                parts.mul_(self.decay).addcmul_(self.gain, old.mul_(-0.5).add_(new, alpha=1.5))
                old.copy_(new)


def _twice(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A real multiplier, for real and imaginary parts side by side."""
    assert x.dtype == torch.float64
    return x.repeat_interleave(2, -1)


METHODS: dict[str, type[Stepper]] = {"etdrk4": ETDRK4, "ifrk4": IFRK4, "rk4-cn": RK4CN, "cnab2": CNAB2, "heun-cn": HeunCN}
