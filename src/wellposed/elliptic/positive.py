"""Multigrid cycles that are symmetric positive definite for every weight: slow preconditioners at worst.

Symmetric A, the adjoint smoother after, and R = P^T make a cycle symmetric, not positive. One level of such a cycle is

    B = N + T^T B_c T,    N = S + S^T - S^T A S,    T = P^T (I - A S),

so B is positive definite, whatever P is, once B_c and N are; and N is, as long as the step S stays below 2 / |A|. Every step
here is a share in (0, 1) of the longest that is proved to be allowed, and then B >= N >= 2 (1 - share) S. That is so in exact
arithmetic: weights so large that the condition number of the cycle comes near 1 / eps are beyond floating point, and the
iteration then says that it has not converged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from wellposed.elliptic.ends import Ends, Fields
from wellposed.elliptic.finite_elements import load
from wellposed.elliptic.kernels import BILINEAR, POISSON, Kernel, Modules, even_axes
from wellposed.elliptic.problem import Darcy, boundary_values
from wellposed.numerics.krylov import ConjugateGradients
from wellposed.numerics.multigrid import VCycle, average, halvings, prolong, restrict
from wellposed.numerics.q1 import Cells, Nodes, Stiffness, cell_load, pair
from wellposed.numerics.space import NodalSpace

LONGEST = 4 / 3
"""Of Jacobi steps for Q1: an element matrix is at most 3/2 of its diagonal (eigenvalues 0, 2/3, 1, 1 against 2/3)."""
SHARE, MARGIN, LEAST = 0.6, 0.01, 1e-6


class PositiveMultigrid(nn.Module):
    """B: a V-cycle between channels, L^T cycle L, symmetric positive definite for every value of its weights.

    Operators are K(-s) = K(s)^T, steps s I with s below 2 / sum_s |K(s)|_2, restrictions P^T, and L = [1, l] has full rank.
    It starts as the classical cycle for the Laplacian, damped by 0.8, with noise. A grid of n cells a side must be halved
    levels - 1 times.

    With Neumann sides kernels are even across them, and the answer is symmetric in the Euclidean product: fields are first
    divided by D (`trapezoid`), which turns functionals into fields.

    Args:
        channels: of the cycle; fields have one.
        levels: number of grids; log2 of the cells a side takes the coarsest to two cells.
        boundary: "dirichlet", "neumann", "periodic" or a dict of four sides.
        noise: standard deviation of the initial noise relative to the classical kernels.

    Raises:
        ValueError: numbers out of range, an unknown boundary.
    """

    def __init__(self, channels: int, levels: int, boundary: str | Mapping[str, str] = "dirichlet", *, noise: float = 0.05) -> None:
        super().__init__()
        if min(channels, levels) < 1 or not noise >= 0:
            raise ValueError(f"PositiveMultigrid: received channels={channels}, levels={levels} and noise={noise}, expected at least "
                             "1 channel and 1 level, and noise that is not negative")
        self.ends, self.levels = Ends.of(boundary), levels
        even = even_axes(self.ends)
        self.operator = Modules(Kernel(channels, channels, POISSON, even=even, noise=noise) for _ in range(levels))
        self.transfer = Modules(Kernel(channels, channels, BILINEAR, even=even, noise=noise) for _ in range(levels - 1))
        self.share = nn.Parameter(torch.full((levels,), math.log(0.8 / 0.2)))
        self.lift = nn.Parameter(noise * torch.randn(channels - 1))

    def forward(self, f: Fields) -> Fields:
        """B f.

        Raises:
            ValueError: more than one channel, a shape that is no square grid, one that cannot be halved.
        """
        if f.ndim != 4 or f.shape[1] != 1:
            raise ValueError(f"PositiveMultigrid: received the shape {tuple(f.shape)}, expected (batch, 1, rows, columns)")
        n, times = self.ends.cells(f.shape), 2 ** (self.levels - 1)
        if n % times or n < 2 * times:
            raise ValueError(f"PositiveMultigrid: received a grid of {n} x {n} cells, expected one that can be halved {self.levels - 1} "
                             f"times down to at least 2, a multiple of {times}; use fewer levels")
        lift = torch.cat([self.lift.new_ones(1), self.lift])[:, None, None]
        u = self._cycle(lift * (f / trapezoid(self.ends, n, f)), 0, [self.level(k) for k in range(self.levels)])
        return (lift * u).sum(1, keepdim=True)

    def level(self, k: int) -> tuple[Float[Tensor, "channels channels 3 3"], Float[Tensor, ""]]:
        """Kernel and step of level k, in their sets for every value of the weights."""
        a = self.operator[k].value
        a = (a + a.flip(-1, -2).transpose(0, 1)) / 2
        # kernels that vanish admit any step; the margin keeps saturated sigmoids and rounded norms inside the interval
        size = torch.linalg.matrix_norm(a.permute(2, 3, 0, 1), ord=2).sum().clamp_min(LEAST)
        return a, 2 * (MARGIN + (1 - 2 * MARGIN) * self.share[k].sigmoid()) / size

    def _cycle(self, f: Fields, k: int, levels: list[tuple[Tensor, Tensor]]) -> Fields:
        (a, step), ends = levels[k], self.ends
        u = step * f
        if k < self.levels - 1:
            p = self.transfer[k]
            u = u + p.prolong(self._cycle(p.transposed(f - ends.convolve(u, a), ends), k + 1, levels), ends)
        return u + step * (f - ends.convolve(u, a))

    def fitted(self, problem: Darcy) -> Callable[[Nodes], Nodes]:
        """A preconditioner for the problem: C B C, C^2 = (8/3) / diag K, between two Jacobi steps of the problem's own K.

        One level N + (I - K S) C B C (I - S K), and so positive definite for every weight and coefficient.

        Raises:
            ValueError: the problem has other sides.
        """
        if problem.sides != self.ends.sides:
            raise ValueError(f"fitted: received a problem with the sides {', '.join(problem.sides)} (bottom, right, top, left), expected "
                             f"{', '.join(self.ends.sides)}, for which this cycle was made")
        level = _Level.of(problem.coefficient, problem.space(), SHARE)
        scale = (level.space.identify(level.stiffness.diagonal) / POISSON[1, 1]).rsqrt()

        def correction(f: Nodes) -> Nodes:
            return scale * _on_unknowns(self, scale * f)

        return lambda f: level.around(f, correction)


def trapezoid(ends: Ends, n: int, like: Tensor) -> Float[Tensor, "rows columns"]:
    """D, the weight of each unknown in sums that stand for integrals: 1/2 at Neumann ends, their product in corners."""
    left, right, bottom, top = ends.neumann
    rows, columns = (like.new_ones(count) for count in ends.unknowns(n))
    for line, low, high in ((rows, bottom, top), (columns, left, right)):
        line[0] /= 1 + low
        line[-1] /= 1 + high
    return rows[:, None] * columns


def _on_unknowns(cycle: PositiveMultigrid, f: Nodes) -> Nodes:
    """A cycle on channels applied to nodal functionals, in its own precision."""
    ends, n = cycle.ends, f.shape[-1] - 1
    left, right, bottom, top = (0, 1, 0, 1) if ends.periodic else ends.dirichlet
    inside = f[:, None, bottom : n + 1 - top, left : n + 1 - right].to(cycle.share.dtype)
    u = cycle(inside).to(f.dtype)
    return (F.pad(u, (0, 1, 0, 1), mode="circular") if ends.periodic else ends.nodes(u))[:, 0]


@dataclass
class _Level:
    """K of one mesh and its smoother S."""

    space: NodalSpace
    stiffness: Stiffness
    smoother: Nodes

    @classmethod
    def of(cls, a: Cells, space: NodalSpace, share: float | Nodes) -> _Level:
        shares = torch.as_tensor(share)
        if not bool(((shares > 0) & (shares < 1)).all()):
            raise ValueError(f"shares: received numbers from {float(shares.min()):g} to {float(shares.max()):g}, expected them in (0, 1): "
                             "shares of the longest step that keeps the cycle positive")
        stiffness = Stiffness(a)
        return cls(space, stiffness, _same_copies(space, share * LONGEST * space.free / space.identify(stiffness.diagonal)))

    def assemble(self, raw: Nodes) -> Nodes:
        """As `NodalSpace.assemble`, but constants stay, so that the cycle is symmetric on all functionals for every P."""
        return self.space.identify(raw) * self.space.free

    def around(self, f: Nodes, correction: Callable[[Nodes], Nodes]) -> Nodes:
        """The smoother before and after a correction."""
        v = self.smoother * f
        v = v + self.space.free * correction(f - self.assemble(self.stiffness(v)))
        return v + self.smoother * (f - self.assemble(self.stiffness(v)))

class CoefficientCycle:
    """B: a V-cycle for the stiffness matrix of a coefficient, symmetric positive definite whatever a network puts into it.

    Level matrices are Q1 stiffness matrices of any positive cell fields, the smoother is diagonal, transfers are any. With
    the defaults it is `numerics.multigrid.VCycle`, damped by 0.8.

    Args:
        a: positive cell field (samples, n, n), n = m 2^k with m <= 32.
        space: the admissible fields.
        coarse: positive cell fields (samples, n / 2, n / 2), ... of the coarser meshes, the last of which is solved directly;
            by default averages over 2 x 2 cells.
        shares: of the longest Jacobi step, 4/3, on each smoothed mesh, finest first: in (0, 1), numbers or nodal fields.
        transfers: P from each coarser mesh, finest first: what a coarse node gives to the 3 x 3 fine nodes around it, (3, 3)
            or for each node (samples, 3, 3, m + 1, m + 1); by default bilinear interpolation.

    Raises:
        ValueError: too few fields, shapes that do not fit, coefficients that are not positive, shares outside (0, 1).
    """

    def __init__(self, a: Cells, space: NodalSpace, *, coarse: Sequence[Cells] | None = None,
                 shares: float | Sequence[float | Nodes] = SHARE, transfers: Sequence[Tensor] | None = None) -> None:
        depth = halvings(a.shape[-1])
        steps = [shares] * depth if isinstance(shares, (int, float)) else list(shares)
        cells = [a, *(_averages(a, depth) if coarse is None else coarse)]
        stencils = [None] * depth if transfers is None else list(transfers)
        if (len(cells), len(steps), len(stencils)) != (depth + 1, depth, depth):
            raise ValueError(f"CoefficientCycle: received {len(cells) - 1} coarse fields, {len(steps)} shares and {len(stencils)} "
                             f"transfers, expected {depth} of each for {a.shape[-1]} x {a.shape[-1]} cells")
        self._levels, self._spaces, self._transfers = [], [space], []
        for k, field in enumerate(cells):
            _demand(field, a.shape[-1] >> k)
            if k < depth:
                self._levels.append(_Level.of(field, self._spaces[-1], steps[k]))
                self._spaces.append(self._spaces[-1].coarser())
                self._transfers.append(_transfer(self._spaces[-1], stencils[k]))
        self._direct = VCycle(cells[-1], self._spaces[-1])

    def __call__(self, functional: Nodes) -> Nodes:
        return self._cycle(functional, 0)

    def _cycle(self, f: Nodes, k: int) -> Nodes:
        if k == len(self._levels):
            return self._direct(f)
        fine, coarse, (up, down) = self._spaces[k], self._spaces[k + 1], self._transfers[k]

        def correction(residual: Nodes) -> Nodes:
            return up(self._cycle(coarse.identify(down(residual * fine.share)) * coarse.free, k + 1))

        return self._levels[k].around(f, correction)


def spread(coarse: Nodes, stencils: Float[Tensor, "samples 3 3 rows columns"]) -> Nodes:
    """P: each coarse node gives its value, times its stencil, to the 3 x 3 nodes around it on a mesh twice as fine."""
    end = 2 * coarse.shape[-1] - 1
    fine = coarse.new_zeros(len(coarse), end + 2, end + 2)
    for y in range(3):
        for x in range(3):
            fine[:, y : y + end : 2, x : x + end : 2] += stencils[:, y, x] * coarse
    return fine[:, 1:-1, 1:-1]


def gather(fine: Nodes, stencils: Float[Tensor, "samples 3 3 rows columns"]) -> Nodes:
    """P^T, the adjoint of `spread`."""
    end, padded = fine.shape[-1], F.pad(fine, (1, 1, 1, 1))
    return torch.stack([stencils[:, y, x] * padded[:, y : y + end : 2, x : x + end : 2] for y in range(3) for x in range(3)]).sum(0)


def _averages(a: Cells, depth: int) -> list[Cells]:
    out = [a]
    for _ in range(depth):
        out.append(average(out[-1]))
    return out[1:]


def _demand(a: Cells, n: int) -> None:
    if a.shape[-2:] != (n, n) or not bool((a > 0).all()) or not bool(a.isfinite().all()):
        raise ValueError(f"CoefficientCycle: received a cell field of the shape {tuple(a.shape)} with values from {a.min():.3g} to "
                         f"{a.max():.3g}, expected (samples, {n}, {n}) and positive, finite numbers")


def _transfer(space: NodalSpace, p: Tensor | None) -> tuple[Callable[[Nodes], Nodes], Callable[[Nodes], Nodes]]:
    """P and P^T between a coarse space and the mesh twice as fine."""
    if p is None:
        return prolong, restrict
    if p.shape == (3, 3):
        p = p[None, :, :, None, None]
    elif p.ndim == 5 and p.shape[1:] == (3, 3, space.n + 1, space.n + 1):
        p = _same_copies(space, p)
    else:
        raise ValueError(f"transfers: received the shape {tuple(p.shape)}, expected (3, 3), or stencils for all nodes of the coarser mesh, "
                         f"(samples, 3, 3, {space.n + 1}, {space.n + 1})")
    return partial(spread, stencils=p), partial(gather, stencils=p)


def _same_copies(space: NodalSpace, x: Tensor) -> Tensor:
    """Nodal values that agree at identified nodes."""
    if not space.periodic:
        return x
    x = torch.cat([x[..., :-1], x[..., :1]], -1)
    return torch.cat([x[..., :-1, :], x[..., :1, :]], -2)


@dataclass(frozen=True)
class Solved:
    """What preconditioned conjugate gradients reached.

    Attributes:
        potential: nodal values (samples, n + 1, n + 1), in the kind of the user's input.
        steps: taken until the residual met the tolerance, (samples,); -1 where it did not.
        residual: |f - K u| / |f| of what is returned, recomputed from u, Euclidean over unknowns, (samples,); f is the load
            less K times the Dirichlet data. Zero where f is.
    """

    potential: Any
    steps: Int[Tensor, " samples"]
    residual: Float[Tensor, " samples"]

    @property
    def converged(self) -> Bool[Tensor, " samples"]:
        return self.steps >= 0

    @property
    def message(self) -> str:
        done, all_of_them = int(self.converged.sum()), len(self.steps)
        said = f"{done} of {all_of_them} systems solved, largest relative residual {float(self.residual.max()):.2g}"
        if done == all_of_them:
            return f"{said}, after {int(self.steps.max())} steps at most"
        return f"{said}; allow more steps with most=, or take a better preconditioner: None is the classical cycle"


def preconditioned_solve(problem: Darcy, precondition: PositiveMultigrid | Callable[[Nodes], Nodes] | None = None, tol: float = 1e-10,
                         most: int = 2000) -> Solved:
    """The finite-element solution by conjugate gradients, preconditioned by anything symmetric positive definite.

    A bad preconditioner costs steps, not correctness: the residual that stops the iteration is computed from u itself.

    Args:
        precondition: a `PositiveMultigrid`, fitted to the problem here; or a map from assembled functionals to admissible
            fields, such as a `CoefficientCycle`; by default the classical one, `numerics.multigrid.VCycle`.
        tol: relative residual, as in `Solved`.
        most: steps after which to give up.

    Raises:
        ValueError: the preconditioner is one for other sides or another mesh.
    """
    a, space = problem.coefficient, problem.space()
    if precondition is None:
        precondition = VCycle(a, space)
    elif isinstance(precondition, PositiveMultigrid):
        precondition = precondition.fitted(problem)
    stiffness, functional = Stiffness(a), load(problem)
    start = boundary_values(problem, a.new_zeros(len(a), problem.n + 1, problem.n + 1))

    def norm(x: Nodes) -> Tensor:
        r = space.assemble(functional - stiffness(x))
        return pair(r * r, space.share.expand_as(r)).sqrt()

    with torch.no_grad():
        size = norm(start)
        iteration = ConjugateGradients(stiffness, functional, start, precondition, space)
        steps = torch.where(size > 0, -1, 0)
        while bool((steps < 0).any()) and iteration.steps < most:
            iteration.step()
            steps = torch.where((steps < 0) & (norm(iteration.x) <= tol * size), iteration.steps, steps)
        u = iteration.x
        residual = norm(u) / torch.where(size > 0, size, 1.0)
        if problem.balanced:
            u = u - pair(cell_load(torch.ones_like(a)), u)[:, None, None]
    return Solved(problem.give(u), steps, residual)
