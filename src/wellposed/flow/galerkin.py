"""The truncated system that is integrated, dw/dt for the modes kept, by as few transforms as exactness allows.

The state is the square of modes |k_y|, |k_x| ≤ N = ⌈n/3⌉ - 1 in increasing order, both signs of k_x. Everything is float64 and complex128.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from wellposed.flow.equation import NavierStokes2D
from wellposed.numerics.vorticity import Spectrum

Box = Complex[Tensor, "*batch rows columns"]
CACHE = 2**15  # complex numbers in one transform: half a megabyte, so that a processor's cache holds it
WHOLE = 128  # below so many nodes per axis, transforms in two dimensions are faster than skipping their zero rows


class Galerkin:
    """dw/dt = `linear` w + `explicit`(w), the latter -u·∇w + f truncated to the modes kept.

    With z = u + i v, whose coefficients are ŵ / (k_x - i k_y) for real w,

        -u·∇w = (∂_yy - ∂_xx)(u v) + ∂_x∂_y (u² - v²) = Im (-(∂_x - i ∂_y)² z² / 2):

    one complex transform back and one forth, the work of four real ones. Modes of z² above N alias to modes above N only, so those kept
    are exact. In the transforms mode -N comes first, which turns z by a phase and puts mode k of z² at index k + 2 N.

    Attributes:
        linear: -ν |k|² - α, (rows, columns), real. to_velocity: 1 / (k_x - i k_y), 0 for the mean.
        flows: so many are advanced at a time, a divisor of `batch`. at: where a step leaves the coefficients of z before it asks for the
            `tendency`, (flows, rows, columns). Buffers are kept: one object serves one thread.
        highest: the largest k_x kept. slowest: the least decay rate. push: the greatest acceleration by the force.

    Source: Basdevant, J. Comput. Phys. 50 (1983), for the two products; Orszag, J. Atmos. Sci. 28 (1971), for the truncation.
    """

    def __init__(self, equation: NavierStokes2D, batch: int = 1, device: torch.device | None = None) -> None:
        n = equation.resolution
        self.n, self.top, self.batch, self.device = n, (n - 1) // 3, batch, torch.device(device or "cpu")
        k = equation.lowest * torch.arange(-self.top, self.top + 1, dtype=torch.float64, device=device)
        x, y = torch.broadcast_tensors(k[None, :], k[:, None])
        square = x**2 + y**2
        self.linear, self.wave_number = -equation.viscosity * square - equation.drag, square.sqrt()
        self.highest, self.slowest = float(k[-1]), equation.viscosity * equation.lowest**2 + equation.drag
        inverse = torch.where(square > 0, 1 / square, 0.0)
        self.to_velocity, self._from_square = torch.complex(x * inverse, y * inverse), torch.complex(x**2 - y**2, -2 * x * y) / (4j * n**2)
        self._buffers(self.device)
        self._half_force, self.push = torch.zeros_like(self.to_velocity), 0.0
        if equation.forcing_spectrum is not None:
            force = self.pack(equation.forcing_spectrum.to(k.device))
            self._half_force, self.push = force / 2, self.speed(force)

    def _buffers(self, device: torch.device) -> None:
        n, m = self.n, 2 * self.top + 1
        self.whole = device.type != "cpu" or n < WHOLE
        most = self.batch if device.type != "cpu" else max(1, CACHE // n**2 if self.whole else 1)
        self.flows = max(c for c in range(1, most + 1) if self.batch % c == 0)
        self._grid = torch.zeros(self.flows, n, n, dtype=torch.complex128, device=device)
        self._half, self._mirrored = self.new(), self.new()
        if self.whole:
            self.at = self._grid[:, :m, :m]
            return
        self._rows, self._kept = self._grid.new_zeros(m, n), self._grid.new_zeros(n, m)
        self.at, self._top, width = self._rows[None, :, :m], self._grid[0, :m], max(1, CACHE // n)
        self._blocks = list(zip(self._grid[0].split(width, 1), self._kept.split(width), strict=True))

    def new(self) -> Complex[Tensor, "flows rows columns"]:
        """Room for the flows that are advanced at a time."""
        return torch.zeros(self.flows, *self.linear.shape, dtype=torch.complex128, device=self.linear.device)

    def explicit(self, w: Box, out: Box) -> Box:
        """-u·∇w + f of a batch, into `out`."""
        for chunk, result in zip(w.split(self.flows), out.split(self.flows), strict=True):
            torch.mul(chunk, self.to_velocity, out=self.at)
            self.tendency(result.view(torch.float64))
        return out

    def tendency(self, out: Float[Tensor, "flows rows real_and_imaginary"]) -> None:
        """-u·∇w + f of the flows whose velocity is in `at`, as real and imaginary parts side by side."""
        square = self._square_whole() if self.whole else self._square_pruned()
        torch.addcmul(self._half_force, square, self._from_square, out=self._half)
        self._mirror()
        torch.add(self._half.view(torch.float64), self._mirrored.view(torch.float64), out=out)

    def _square_whole(self) -> Tensor:
        z = torch.fft.ifft2(self._grid, norm="forward")
        return torch.fft.fft2(z.mul_(z))[:, self.top: 3 * self.top + 1, self.top: 3 * self.top + 1]

    def _square_pruned(self) -> Tensor:
        """Rows that are zero, or not kept, are not transformed; columns are in blocks."""
        self._top.copy_(torch.fft.ifft(self._rows, norm="forward"))
        for columns, kept in self._blocks:
            z = torch.fft.ifft(columns, dim=0, norm="forward")
            kept.copy_(torch.fft.fft(z.mul_(z), dim=0)[self.top: 3 * self.top + 1].t())
        return torch.fft.fft(self._kept, dim=0)[self.top: 3 * self.top + 1].t()[None]

    def _mirror(self) -> None:
        """The conjugate of `_half` at -k: the rest of the coefficients of an imaginary part."""
        if self.device.type == "cpu":  # numpy reads backwards where torch copies first: a tenth of a step
            np.conjugate(self._half.numpy()[:, ::-1, ::-1], out=self._mirrored.numpy())
        else:
            self._mirrored.copy_(self._half.flip(1, 2).conj())

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
