"""The truncated system that is integrated, dw/dt for the modes kept, by as few transforms as exactness allows.

The state is the square of modes |k_y|, |k_x| ≤ N = ⌈n/3⌉ - 1 in increasing order, both signs of k_x. Everything is float64 and complex128.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from wellposed.flow.arithmetic import Arithmetic, Array, OnArrays, OnTensors
from wellposed.flow.equation import NavierStokes2D
from wellposed.numerics.vorticity import Spectrum

Box = Complex[Tensor, "*batch rows columns"]
CACHE = 2**15  # complex numbers in one transform: half a megabyte, so that a processor's cache holds it
WHOLE = 112  # below so many nodes per axis, transforms in two dimensions are faster than skipping their zero rows
SKEW = 4  # with rows a power of two apart, columns collide in the cache: a quarter of a transform at 256


class Galerkin:
    """dw/dt = `linear` w + `explicit`(w), the latter -u·∇w + f truncated to the modes kept.

    With z = u + i v, whose coefficients are ŵ / (k_x - i k_y) for real w,

        -u·∇w = (∂_yy - ∂_xx)(u v) + ∂_x∂_y (u² - v²) = Im (-(∂_x - i ∂_y)² z² / 2):

    one complex transform back and one forth, the work of four real ones. Modes of z² above N alias to modes above N only, so those kept
    are exact. In the transforms mode -N comes first, which turns z by a phase and puts mode k of z² at index k + 2 N.

    Args:
        batch: of flows. arithmetic: None for what suits device and size.

    Attributes:
        linear: -ν |k|² - α, (rows, columns), real. to_velocity: 1 / (k_x - i k_y), 0 for the mean.
        flows: so many are advanced at a time, a divisor of `batch`. Buffers are kept: one object serves one thread.
        highest: the largest k_x kept. slowest: the least decay rate. push: the greatest acceleration by the force.

    Source: Basdevant, J. Comput. Phys. 50 (1983), for the two products; Orszag, J. Atmos. Sci. 28 (1971), for the truncation.
    """

    def __init__(self, equation: NavierStokes2D, batch: int = 1, device: torch.device | None = None,
                 arithmetic: type[Arithmetic] | None = None) -> None:
        n, self.device = equation.resolution, torch.device(device or "cpu")
        self.n, self.top, self.batch = n, (n - 1) // 3, batch
        self._middle = slice(self.top, 3 * self.top + 1)
        k = equation.lowest * torch.arange(-self.top, self.top + 1, dtype=torch.float64, device=self.device)
        x, y = torch.broadcast_tensors(k[None, :], k[:, None])
        square = x**2 + y**2
        self.linear, self.wave_number = -equation.viscosity * square - equation.drag, square.sqrt()
        self.highest, self.slowest = float(k[-1]), equation.viscosity * equation.lowest**2 + equation.drag
        inverse = torch.where(square > 0, 1 / square, 0.0)
        self.to_velocity = torch.complex(x * inverse, y * inverse)
        force = None if equation.forcing_spectrum is None else self.pack(equation.forcing_spectrum.to(self.device))
        self.push = 0.0 if force is None else self.speed(force)
        self._buffers(arithmetic)
        self._constants = self.array(self.to_velocity), self.array(torch.complex(x**2 - y**2, -2 * x * y) / (4j * n**2))
        self._half_force = None if force is None else self.array(force / 2)

    def _buffers(self, arithmetic: type[Arithmetic] | None) -> None:
        n, m, on_cpu = self.n, 2 * self.top + 1, self.device.type == "cpu"
        self.whole = not on_cpu or n < WHOLE
        most = self.batch if not on_cpu else max(1, CACHE // n**2 if self.whole else 1)
        self.flows = max(c for c in range(1, most + 1) if self.batch % c == 0)
        wide = n if self.whole else n + SKEW
        self._grid = torch.zeros(self.flows, n, wide, dtype=torch.complex128, device=self.device)[..., :n]
        self.arithmetic: Arithmetic = (arithmetic or (OnArrays if on_cpu and self.whole and self.flows == 1 else OnTensors))(self._new())
        of = self.arithmetic.of
        self._sum, self._mirrored, self._at = of(self._new()), of(self._new()), of(self._grid[:, :m, :m])
        if not self.whole:
            self._rows, self._kept = self._grid.new_zeros(m, n), self._grid.new_zeros(n, m)
            self._at, width = of(self._rows[None, :, :m]), max(1, CACHE // n)
            self._blocks = list(zip(self._grid[0].split(width, 1), self._kept.split(width), strict=True))

    def _new(self) -> Complex[Tensor, "flows rows columns"]:
        return torch.zeros(self.flows, *self.linear.shape, dtype=torch.complex128, device=self.device)

    def array(self, multiplier: Tensor) -> Array:
        """A function of the modes (rows, columns), ready to multiply flows."""
        return self.arithmetic.of(multiplier.contiguous()[None])

    def twice(self, multiplier: Float[Tensor, "rows columns"]) -> Array:
        """A real function of the modes, ready to multiply real and imaginary parts side by side."""
        assert multiplier.dtype == torch.float64
        return self.array(multiplier.repeat_interleave(2, -1))

    def both(self, w: Tensor) -> tuple[Array, Array]:
        """The same as complex numbers, and as real and imaginary parts side by side."""
        return self.arithmetic.of(w), self.arithmetic.of(w.view(torch.float64))

    def buffer(self) -> tuple[Array, Array]:
        """Room for the flows that are advanced at a time, as `both`."""
        return self.both(self._new())

    def chunks(self, w: Box) -> list[tuple[Array, Array]]:
        """The flows of a batch that are advanced together, as `both`."""
        return [self.both(chunk) for chunk in w.split(self.flows)]

    def explicit(self, w: Box, out: Box) -> Box:
        """-u·∇w + f of a batch, into `out`."""
        with torch.inference_mode():
            for chunk, result in zip(w.split(self.flows), out.split(self.flows), strict=True):
                self.vorticity(self.arithmetic.of(chunk))
                self.tendency(self.arithmetic.of(result))
        return out

    def vorticity(self, w: Array) -> None:
        """Takes the vorticity of the flows that `tendency` is asked about, (flows, rows, columns)."""
        self.arithmetic.multiply(w, self._constants[0], self._at)

    def velocity(self, z: Array, factor: Array, w: Array) -> None:
        """Takes z + `factor` w instead, the coefficients of u + i v."""
        self.arithmetic.add_product(z, factor, w, self._at)

    def tendency(self, out: Array) -> None:
        """-u·∇w + f of these flows, (flows, rows, columns)."""
        a, half = self.arithmetic, self._sum
        square = self._square_whole() if self.whole else self._square_pruned()
        if self._half_force is None:
            a.multiply(square, self._constants[1], half)
        else:
            a.add_product(self._half_force, self._constants[1], square, half)
        a.mirror(half, self._mirrored)
        a.add(half, self._mirrored, out)

    def _square_whole(self) -> Array:
        z = torch.fft.ifft2(self._grid, norm="forward")
        return self.arithmetic.of(torch.fft.fft2(z.mul_(z)))[:, self._middle, self._middle]

    def _square_pruned(self) -> Array:
        """Rows that are zero, or not kept, are not transformed; columns are in blocks."""
        self._grid[0, : len(self.linear)] = torch.fft.ifft(self._rows, norm="forward")
        for columns, kept in self._blocks:
            z = torch.fft.ifft(columns, dim=0, norm="forward")
            kept.copy_(torch.fft.fft(z.mul_(z), dim=0)[self._middle].t())
        return self.arithmetic.of(torch.fft.fft(self._kept, dim=0)[self._middle].t()[None])

    def pack(self, spectrum: Spectrum) -> Box:
        """The modes that are kept of whole spectra (..., n, n/2 + 1), without their means."""
        kept = slice(0, self.top + 1)
        half = torch.cat([spectrum[..., -self.top:, kept], spectrum[..., kept, kept]], -2)
        w = torch.cat([half[..., 1:].flip(-1, -2).conj(), half], -1)
        w = (w + w.flip(-1, -2).conj()) / 2  # on k_x = 0 both signs of k_y are given, and may disagree
        w[..., self.top, self.top] = 0.0
        return w

    def unpack(self, w: Box) -> Spectrum:
        """Whole spectra, zero where no mode is kept."""
        out, kept = w.new_zeros(*w.shape[:-2], self.n, self.n // 2 + 1), slice(0, self.top + 1)
        out[..., -self.top:, kept], out[..., kept, kept] = w[..., : self.top, self.top:], w[..., self.top:, self.top:]
        return out

    def speed(self, w: Box) -> float:
        """The greatest, at the nodes."""
        return float(torch.fft.ifft2(w * self.to_velocity, s=(self.n, self.n), norm="forward").abs().max())
