"""W: one linear multigrid V-cycle between channels, the building block of MgNO and a solver in its own right.

    u = S f;   u += P cycle(R (f - A u));   u += S' (f - A u)         on each level; the coarsest has no correction.

No norm, bias or activation: W is linear. Source: He, Liu and Xu, *MgNO: Efficient Parameterization of Linear Operators via
Multigrid* (ICLR 2024). Unlike the released code, the residual is restricted, not f, and the ends of the grid are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from wellposed.elliptic.ends import Ends, Fields, layout
from wellposed.elliptic.kernels import BILINEAR, POISSON, Kernel, Modules, even_axes, galerkin, point

OMEGA = 0.8


class Multigrid(nn.Module):
    """W: (batch, in_channels, rows, columns) of unknowns -> (batch, out_channels, rows, columns). Linear.

    Kernels start as the classical cycle for the Laplacian, input channel k feeding output channel k, plus noise. A grid
    of n cells a side has n - 1 unknowns per axis between Dirichlet ends, n + 1 between Neumann ends, n otherwise, and
    must be halved levels - 1 times.

    Args:
        levels: number of grids.
        coarsest: how often the smoothing is repeated on the coarsest grid, which has no correction.
        boundary: "dirichlet", "neumann", "periodic" or a dict of four sides.
        channels: how many the cycle itself works on, after a mixing of the input and before one of the output at each
            point; by default none is mixed, and kernels lead from input to output channels.
        separable: on this many of the finest levels kernels act within channels (depthwise); below, every channel acts
            on every other.
        smoothing: steps before, and after, the coarse correction; at least one before.
        shared: one set of kernels for all levels.
        transfers: "learned"; or "galerkin": R is the transpose of P and the operator of a coarser level is R A P, which
            takes as many output as input channels.
        even: whether kernels are even in x, in y, so that reflections commute with W; by default on axes with a Neumann
            end.
        noise: standard deviation of the initial noise relative to the classical kernels.

    Raises:
        ValueError: numbers out of range, an unknown boundary.
    """

    def __init__(self, in_channels: int, out_channels: int, levels: int, boundary: str | Mapping[str, str] = "dirichlet", *,
                 channels: int | None = None, separable: int = 0, smoothing: tuple[int, int] = (1, 1), shared: bool = False,
                 transfers: str = "learned", even: tuple[bool, bool] | None = None,
                 coarsest: int = 1, noise: float = 0.05, omega: float = OMEGA) -> None:
        super().__init__()
        if min(in_channels, out_channels, levels, smoothing[0], coarsest) < 1 or smoothing[1] < 0 or separable < 0:
            raise ValueError(f"Multigrid: received in_channels={in_channels}, out_channels={out_channels}, levels={levels}, smoothing="
                             f"{smoothing}, separable={separable}; expected at least 1 channel, 1 level and 1 step before")
        inner = (in_channels, out_channels) if channels is None else (channels, channels)
        if transfers not in ("learned", "galerkin") or ((transfers == "galerkin" or separable) and inner[0] != inner[1]):
            raise ValueError(f"Multigrid: received transfers={transfers!r}, separable={separable} and {inner[0]} to {inner[1]} channels, "
                             "expected 'learned' and 0 where these differ; give channels= to mix them before and after the cycle")
        if transfers == "galerkin" and separable:
            raise ValueError(f"Multigrid: received transfers='galerkin' with separable={separable}, expected 0 there")
        self.ends, self.levels, self.separable, self.shared = Ends.of(boundary), levels, separable, shared
        self.coarsest = coarsest
        self.in_channels, self.out_channels, self.galerkin = in_channels, out_channels, transfers == "galerkin"
        symmetric = even_axes(self.ends) if even is None else even

        def kernels(inputs: int, outputs: int, classical: Tensor, count: int) -> Modules[Kernel]:
            return Modules(Kernel(inputs, outputs, classical, depthwise=level < separable, even=symmetric, noise=noise)
                           for level in range(min(count, 1) if shared else count))

        self.enter = None if channels in (None, in_channels) else nn.Conv2d(in_channels, inner[0], 1, bias=False)
        self.leave = None if channels in (None, out_channels) else nn.Conv2d(inner[1], out_channels, 1, bias=False)
        inputs, outputs = inner
        jacobi = point(omega / POISSON[1, 1])
        self.before = Modules(kernels(inputs, outputs, jacobi, levels) for _ in range(smoothing[0]))
        self.after = Modules(kernels(inputs, outputs, jacobi, levels) for _ in range(smoothing[1]))
        used = sum(smoothing) * coarsest > 1  # a single step before leaves the coarsest level without a residual
        self.operator = kernels(outputs, inputs, POISSON, 1 if self.galerkin else levels - (not used))
        self.prolongation = kernels(outputs, outputs, BILINEAR, levels - 1)
        self.restriction = kernels(inputs, inputs, BILINEAR, 0 if self.galerkin else levels - 1)

    @classmethod
    def from_stencil(cls, kernel: Tensor, levels: int, omega: float = OMEGA, *, boundary: str | Mapping[str, str] = "dirichlet",
                     smoothing: tuple[int, int] = (1, 1)) -> Multigrid:
        """The classical cycle for one stencil, in float64: damped Jacobi, bilinear transfers, Galerkin coarse stencils.

        Args:
            kernel: (3, 3), with a positive centre; even along axes with a Neumann end.
            levels: log2 of the cells a side takes the coarsest grid to two cells.
            omega: damping of Jacobi.

        Raises:
            ValueError: another shape, numbers that are not finite, a centre that is not positive, a kernel that is not
                even where it must be, or an omega outside (0, 2).
        """
        k = torch.as_tensor(kernel, dtype=torch.float64)
        if k.shape != (3, 3) or not bool(k.isfinite().all()) or not float(k[1, 1]) > 0 or not 0 < omega < 2:
            raise ValueError(f"from_stencil: received a kernel of the shape {tuple(k.shape)} and omega={omega}, expected a finite 3 x 3 "
                             "stencil with a positive centre and omega in (0, 2)")
        new = cls(1, 1, levels, boundary, smoothing=smoothing, coarsest=8, noise=0.0, omega=omega).double()
        for transfer in (*new.prolongation, *new.restriction):
            transfer.set(BILINEAR)
        for level in range(levels):
            for smoother in (*new.before, *new.after):
                smoother[level].set(point(omega / k[1, 1]))
            if level < len(new.operator):
                new.operator[level].set(k)
                if not torch.allclose(new.operator[level].value[0, 0], k, rtol=0, atol=1e-13 * float(k.abs().max())):
                    raise ValueError(f"kernel: received {k.tolist()}, expected a stencil even along the axes with a Neumann end")
                if level < levels - 1:
                    k = galerkin(k[None, None], new.prolongation[level])[0, 0].detach()
        return new

    def forward(self, f: Fields, extra: int = 0) -> Fields:
        """W f.

        Args:
            extra: how many levels to add at the fine end, with the kernels of the finest one; or, if negative, how many
                of the finest to leave out.

        Raises:
            ValueError: another number of channels, a shape that is no square grid, one that cannot be halved.
        """
        if f.ndim != 4 or f.shape[1] != self.in_channels:
            raise ValueError(f"Multigrid: received the shape {tuple(f.shape)}, expected (batch, {self.in_channels}, rows, columns)")
        n, halvings = self.ends.cells(f.shape), self.levels - 1 + extra
        if extra > 0 and self.levels == 1:
            raise ValueError(f"Multigrid: received extra={extra} with a single level, expected at least two: its transfers are repeated")
        if halvings < 0 or n % 2**halvings or n < 2 ** (halvings + 1):
            times = 2 ** max(halvings, 0)
            raise ValueError(f"Multigrid: received a grid of {n} x {n} cells, expected a multiple of {times} from {2 * times} on, which "
                             f"can be halved {halvings} times down to at least 2; pad or resample the fields, or use fewer levels")
        f = f if self.enter is None else self.enter(f)
        u = self._cycle(f, -extra, self._operators() if self.galerkin else [])
        return u if self.leave is None else self.leave(u)

    def _cycle(self, f: Fields, level: int, coarse: list[Tensor]) -> Fields:
        k, ends = 0 if self.shared else max(level, 0), self.ends

        # sums are written into what a convolution has just made: no backward pass needs that, and memory is most of the time
        def residual(u: Fields) -> Fields:
            a, groups = (coarse[max(level, 0)], 1) if coarse else (self.operator[k].value, self.operator[k].groups)
            return ends.convolve(u, -a, groups).add_(f)

        def smooth(u: Fields, smoothers: Iterable[Modules[Kernel]]) -> Fields:
            for smoother in smoothers:
                u = smoother[k].convolve(residual(u), ends).add_(u)
            return u

        u = smooth(self.before[0][k].convolve(f, ends), list(self.before)[1:])
        if level == self.levels - 1:
            u = smooth(u, (*self.after, *self.before) * (self.coarsest - 1))
        else:
            down = self.prolongation[k].transposed if self.galerkin else self.restriction[k].restrict
            correction = self._cycle(down(residual(u), ends), level + 1, coarse)
            # on small grids the library's convolution forgets the layout, and all that follows would mix two of them
            correction = correction.contiguous(memory_format=layout(u))
            u = self.prolongation[k].prolong(correction, ends).add_(u)
        return smooth(u, self.after)

    def _operators(self) -> list[Tensor]:
        """A on every level: R A P of the one above."""
        out = [self.operator[0].value]
        for level in range(self.levels - 1):
            out.append(galerkin(out[-1], self.prolongation[0 if self.shared else level]))
        return out
