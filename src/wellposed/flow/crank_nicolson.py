"""Steps that treat dw/dt = λ w implicitly by Crank and Nicolson's rule, and advection explicitly. In place, float64."""

from __future__ import annotations

import torch

from wellposed.flow.arithmetic import Array
from wellposed.flow.galerkin import Box, Galerkin


class RK4CN:
    """λ by Crank and Nicolson, N by a low-storage Runge-Kutta method of order four in five stages: of order two, with a small constant.

    Source: Carpenter and Kennedy, NASA TM 109112 (1994); Canuto, Hussaini, Quarteroni and Zang, Spectral Methods: Evolution to Complex
    Geometries (2007), appendix D.3, to thirteen digits.
    """

    order: int = 2
    evaluations: int = 5
    courant: float = 1.0
    times = (0.0, 0.1496590219993, 0.3704009573644, 0.6222557631345, 0.9582821306748, 1.0)
    memory = (0.0, -0.4178904745, -1.192151694643, -1.697784692471, -1.514183444257)
    gains = (0.1496590219993, 0.3792103129999, 0.8229550293869, 0.6994504559488, 0.1530572479681)

    def __init__(self, system: Galerkin, step: float) -> None:
        self.system, self.stages = system, []
        for k, (memory, gain) in enumerate(zip(self.memory, self.gains, strict=True)):
            z = step * (self.times[k + 1] - self.times[k]) / 2 * system.linear
            self.stages.append((memory, system.twice((1 + z) / (1 - z)), system.twice(gain * step / (1 - z))))
        self.buffers = [system.buffer() for _ in range(2)]

    @torch.inference_mode()
    def advance(self, w: Box, steps: int) -> None:
        system, a = self.system, self.system.arithmetic
        (total, total_parts), (new, new_parts) = self.buffers
        for chunk, parts in system.chunks(w):
            for _ in range(steps):
                for memory, decay, gain in self.stages:
                    system.vorticity(chunk)
                    system.tendency(new if memory else total)
                    if memory:
                        a.add_multiple(new_parts, memory, total_parts, total_parts)
                    a.multiply(parts, decay, parts)
                    a.add_product(parts, gain, total_parts, parts)


class HeunCN:
    """λ by Crank and Nicolson, N by Heun's method, of order two.

    Source: Chandler and Kerswell, J. Fluid Mech. 722 (2013), section 3.
    """

    order: int = 2
    evaluations: int = 2
    courant: float = 0.25

    def __init__(self, system: Galerkin, step: float) -> None:
        z, self.system = step / 2 * system.linear, system
        self.decay, self.gain, self.half_gain = (system.twice(x) for x in ((1 + z) / (1 - z), step / (1 - z), step / 2 / (1 - z)))
        self.gain_of_two = system.twice(1.5 * step / (1 - z))
        self.stage, self.first, self.second = (system.buffer() for _ in range(3))

    @torch.inference_mode()
    def advance(self, w: Box, steps: int) -> None:
        for chunk, parts in self.system.chunks(w):
            for _ in range(steps):
                self.step(chunk, parts)

    def step(self, w: Array, parts: Array) -> None:
        """One step; N(w) is left in `first`."""
        system, a = self.system, self.system.arithmetic
        system.vorticity(w)
        system.tendency(self.first[0])
        a.multiply(parts, self.decay, parts)
        a.add_product(parts, self.gain, self.first[1], self.stage[1])
        system.vorticity(self.stage[0])
        system.tendency(self.second[0])
        a.add(self.second[1], self.first[1], self.second[1])
        a.add_product(parts, self.half_gain, self.second[1], parts)


class CNAB2(HeunCN):
    """λ by Crank and Nicolson, N by the method of Adams and Bashforth of order two, whose first step is Heun's. One evaluation a step."""

    evaluations: int = 1
    courant: float = 0.125

    @torch.inference_mode()
    def advance(self, w: Box, steps: int) -> None:
        system, a, slope = self.system, self.system.arithmetic, self.stage[1]
        for chunk, parts in system.chunks(w):
            self.step(chunk, parts)
            (_, old), new = self.first, self.second
            for _ in range(steps - 1):
                system.vorticity(chunk)
                system.tendency(new[0])
                a.add_multiple(new[1], -1 / 3, old, slope)
                a.multiply(parts, self.decay, parts)
                a.add_product(parts, self.gain_of_two, slope, parts)
                self.first, self.second = self.second, self.first
                (_, old), new = self.first, self.second
