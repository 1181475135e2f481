"""Time-harmonic waves, -Δu - (ω/c)² u = f on the unit square: problems, seeded data, labels by sparse LU.

The equation is indefinite: Prager and Synge's bound does not apply, and `certify` proves a lower bound of the error only.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float
from scipy.sparse.linalg import splu
from torch import Tensor

from wellposed.elliptic.boundary import edge_data, fit, parse_boundary, to_tensor
from wellposed.numerics.grf import gaussian_field
from wellposed.numerics.parallel import map_parallel
from wellposed.numerics.q1 import cell_load
from wellposed.numerics.space import SIDES, NodalSpace

Array = np.ndarray | Tensor
RULES = {"galerkin": 1 / 3, "low-dispersion": 2 / 3}
"""Square of the points of the 2 x 2 rule on [-1, 1]²: Gauss's, and the one that makes the wave number right to order four."""
AMPLIFIED = 1e12  # a solution that much larger than its data has hardly a digit that is right
RANGE = 2.0**190  # of ω/c: beyond, squares leave float64


@dataclass(frozen=True, init=False, eq=False)
class Helmholtz:
    """-Δu - (ω/c)² u = f on (0, 1)², u = 0 on Dirichlet sides, ∂u/∂n = g on Neumann sides; a batch of samples.

    Arrays have the axes (sample, y, x); one sample may come without the first, and its results still have it. Everything is kept in
    float64, on the device of `speed`; results are numpy arrays or tensors, as `speed` was.

    Args:
        speed: c > 0 on each cell, (samples, n, n).
        source: f on each cell, (samples, n, n), or anything that broadcasts to it.
        frequency: ω > 0 in radians per unit of time, one for all samples. A wave has 2πc/ω as its length; ten cells to a wave
            is little: see `solve`.
        boundary: "dirichlet", "neumann", or a dict with one of them for each of "bottom" (y = 0), "right", "top", "left".
        neumann: g, outward, as a dict side -> number or (samples, n), or an array (samples, 4, n) in the order bottom, right, top,
            left. Zero where not given.

    Raises:
        ValueError: a speed or frequency that is not positive, numbers that are not finite, shapes that do not fit, an unknown boundary.
    """

    speed: Float[Tensor, "samples n n"]
    source: Float[Tensor, "samples n n"]
    frequency: float
    sides: tuple[str, str, str, str]
    neumann: Float[Tensor, "samples 4 n"] | None
    as_numpy: bool
    dirichlet = None  # values on Dirichlet sides are zero
    periodic = False

    def __init__(self, speed: Array, source: Array | float, frequency: float, boundary: str | Mapping[str, str] = "dirichlet", *,
                 neumann: Array | Mapping[str, Any] | None = None) -> None:
        c = to_tensor(speed, "speed")
        c = c[None] if c.ndim == 2 else c
        if c.ndim != 3 or c.shape[1] != c.shape[2] or len(c) < 1 or c.shape[1] < 2:
            raise ValueError(f"speed: received the shape {tuple(c.shape)}, expected (samples, n, n) or (n, n) with n at least 2, one "
                             "number per cell of a square grid; resample or crop it to a square")
        if not (c > 0).all():
            where = tuple(int(i) for i in (~(c > 0)).nonzero()[0])
            raise ValueError(f"speed: received {c[where].item():g} at {where}, expected positive wave speeds everywhere; model a wall "
                             "by its boundary condition")
        if not 0 < frequency < math.inf or not 1 / RANGE < frequency / float(c.max()) <= frequency / float(c.min()) < RANGE:
            raise ValueError(f"frequency: received {frequency} with speeds from {float(c.min()):g} to {float(c.max()):g}, expected a "
                             "positive angular frequency with frequency / speed between 1e-57 and 1e57; choose other units")
        (s, n), sides = c.shape[:2], parse_boundary(boundary)
        if "periodic" in sides:
            raise ValueError("boundary: received 'periodic', expected 'dirichlet' or 'neumann' for each side: waves are not periodic here")
        fields = {"speed": c, "source": fit(source, "source", (s, n, n), c), "frequency": float(frequency), "sides": sides,
                  "neumann": edge_data(neumann, sides, s, n, c), "as_numpy": not isinstance(speed, Tensor)}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def n(self) -> int:
        """Cells per axis."""
        return self.speed.shape[-1]

    @property
    def boundary(self) -> dict[str, str]:
        return dict(zip(SIDES, self.sides, strict=True))

    @property
    def waves(self) -> float:
        """Waves that fit along a side where the speed is least."""
        return self.frequency / float(self.speed.min()) / (2 * math.pi)

    def __len__(self) -> int:
        return len(self.speed)

    def __getitem__(self, key: int | slice | Array) -> Helmholtz:
        """The problem of some samples, or of one.

        Raises:
            IndexError: there is no such sample.
        """
        if not isinstance(key, slice) and np.ndim(key) == 0:
            k = operator.index(key)  # type: ignore[arg-type]
            if not -len(self) <= k < len(self):
                raise IndexError(f"sample {k} of a problem with {len(self)} samples")
            key = slice(k % len(self), k % len(self) + 1)
        neumann = None if self.neumann is None else self.neumann[key]
        return self._with(speed=self.speed[key], source=self.source[key], neumann=neumann)

    def __iter__(self) -> Iterator[Helmholtz]:
        return (self[k] for k in range(len(self)))

    def refined(self, factor: int) -> Helmholtz:
        """The same problem on a mesh `factor` times finer."""
        speed, source = (x.repeat_interleave(factor, 1).repeat_interleave(factor, 2) for x in (self.speed, self.source))
        return self._with(speed=speed, source=source, neumann=None if self.neumann is None else self.neumann.repeat_interleave(factor, 2))

    def space(self, n: int | None = None) -> NodalSpace:
        """Potentials that vanish on the Dirichlet sides."""
        bottom, right, top, left = (side == "dirichlet" for side in self.sides)
        return NodalSpace(n or self.n, (bottom, right, top, left), False, self.speed)

    def solve(self, finer: int = 4, rule: str = "low-dispersion", executor: Executor | None = None, workers: int | None = 1) -> Array:
        """Bilinear finite elements and sparse LU, sample by sample: the label.

        Galerkin's waves have a wrong length, by (kh)²/24 with k = ω/c on cells of side h, and so resonate elsewhere. Of 24 samples of
        `generate_helmholtz` (8 waves a side, 12 cells each), the median error of nodal values on meshes finer by 1, 2, 4 was 103, 61, 21
        percent, and by the rule of low dispersion 6, 0.6, 0.08; the worst, next to a resonance, 115, 85, 2.

        Args:
            finer: how many times finer the mesh is on which the problem is solved; values at this problem's nodes are returned.
            rule: how cells are integrated, "low-dispersion" or "galerkin" (exactly).
            executor, workers: where samples are solved, as `wellposed.numerics.parallel.map_parallel`.

        Returns:
            nodal values (samples, n + 1, n + 1).

        Raises:
            ValueError: an unknown rule. ArithmeticError: the frequency is a resonance of the mesh.

        Source: Guddati and Yue, Modified integration rules for reducing dispersion error in finite element methods, Comput. Methods
        Appl. Mech. Eng. 193 (2004) 275-287.
        """
        if rule not in RULES or finer < 1:
            raise ValueError(f"solve: received rule={rule!r}, finer={finer}; expected a rule of {', '.join(RULES)} and a factor from 1")
        fine = self.refined(finer)
        square, free = ((fine.frequency / fine.speed) ** 2).cpu().numpy(), fine.space().free.cpu().numpy() > 0
        tasks = list(zip(square, load(fine).cpu().numpy(), strict=True))
        found = map_parallel(partial(_solve, free, rule), tasks, executor, workers, title="solving Helmholtz problems")
        return self.give(torch.from_numpy(np.stack(found)[:, ::finer, ::finer].copy()))

    def give(self, x: Tensor) -> Any:
        """A result in the kind of the user's input."""
        return x.detach().cpu().numpy() if self.as_numpy else x.to(self.speed.device)

    def take(self, x: Array, name: str) -> Tensor:
        """A user's array as float64 on this problem's device.

        Raises:
            ValueError: it is not numeric or not finite.
        """
        return to_tensor(x, name).to(self.speed.device)

    def _with(self, **changes: Any) -> Helmholtz:
        new = object.__new__(Helmholtz)
        for name in self.__dataclass_fields__:
            object.__setattr__(new, name, changes.get(name, getattr(self, name)))
        return new


def load(problem: Helmholtz) -> Float[Tensor, "samples n+1 n+1"]:
    """The raw functional v -> int f v + int_Neumann g v."""
    out, n = cell_load(problem.source), problem.n
    if problem.neumann is not None:
        for edge, g in zip((out[:, 0], out[:, :, -1], out[:, -1], out[:, :, 0]), problem.neumann.unbind(1), strict=True):
            edge[:, :-1] += g / (2 * n)
            edge[:, 1:] += g / (2 * n)
    return out


def matrices(square: np.ndarray, rule: str = "galerkin") -> tuple[Any, Any]:
    """Stiffness matrix and k² times mass matrix on all (n + 1)² nodes, row by row; sparse.

    Args:
        square: k² on each cell, (n, n). rule: of `RULES`.
    """
    n, a = len(square), RULES[rule]
    slope, value = np.array([[1, -1], [-1, 1]]), np.array([[1 + a, 1 - a], [1 - a, 1 + a]]) / 4
    stiffness, mass = np.kron(slope, value) + np.kron(value, slope), np.kron(value, value) / n**2
    node = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    corners = np.stack([node[:-1, :-1], node[:-1, 1:], node[1:, :-1], node[1:, 1:]], -1).reshape(-1, 4)
    where = np.repeat(corners, 4, 1).ravel(), np.tile(corners, 4).ravel()
    entries = np.tile(stiffness.ravel(), n * n), np.outer(square.ravel(), mass.ravel()).ravel()
    a, b = (sp.csc_matrix((x, where), shape=(node.size, node.size)) for x in entries)
    return a, b


def factorize(matrix: Any) -> Any:
    """LU of a symmetric matrix whose pattern is a grid's."""
    return splu(sp.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01, options={"SymmetricMode": True})


def _solve(free: np.ndarray, rule: str, task: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    square, functional = task
    stiffness, mass = matrices(square, rule)
    at = np.flatnonzero(free)
    matrix, b, u = (stiffness - mass)[at][:, at], functional.ravel()[at], np.zeros(free.size)
    try:
        u[at] = factorize(matrix).solve(b)
        residual, size, given = (np.linalg.norm(x) for x in (matrix @ u[at] - b, u, b))
        good = bool(residual <= 1e-6 * given and size <= AMPLIFIED * given)
    except RuntimeError:  # "Factor is exactly singular"
        good = False
    if not good:
        raise ArithmeticError(f"the frequency is a resonance of this problem on {len(square)} x {len(square)} cells: there is no "
                              "solution, or none that float64 can find; change the frequency a little")
    return u.reshape(free.shape)


def generate_helmholtz(resolution: int = 100, samples: int = 1, seed: int = 0, *, frequency: float = 1000.0, source: Any = 0.0,
                       boundary: str | Mapping[str, str] = "neumann", executor: Executor | None = None,
                       workers: int | None = 1) -> Helmholtz:
    """Random Helmholtz problems, in numpy. Sample k depends on (seed, k) alone, whatever the number of samples or processes.

    c = 20 + tanh(g), g a Gaussian field with covariance (-Δ + 9)^-2 and Neumann conditions, scaled as
    `wellposed.numerics.grf.gaussian_field` does; waves enter through a Neumann top with ∂u/∂n = 1 for 0.35 < x < 0.65; the other
    sides reflect. In the manner of the wave data of de Hoop, Huang, Qian and Stuart, "The cost-accuracy trade-off in operator learning
    with neural networks" (2022), which MgNO's Helmholtz experiment uses: there ω = 1000 and 101 x 101 nodes, as by default here. It is
    not their data: fields, scale and solver are ours.

    Args:
        resolution: cells per axis. frequency: ω.
        source: f, a number or array. boundary: as `Helmholtz`; without a Neumann top the source must not be zero.
        executor, workers: where the fields are drawn, as `wellposed.elliptic.generate`.

    Raises:
        ValueError: numbers out of range, or no data that excite a wave.
    """
    if resolution < 2 or samples < 1:
        raise ValueError(f"received resolution {resolution}, samples {samples}; expected at least 2 cells and 1 sample")
    top = parse_boundary(boundary)[SIDES.index("top")] == "neumann"
    if not top and not np.any(np.asarray(source) != 0):
        raise ValueError(f"source: received 0 with boundary={boundary!r}, expected a source that is not zero, or a Neumann top through "
                         "which waves enter: otherwise u = 0")
    work = partial(_draw, resolution, seed)
    speeds = map_parallel(work, range(samples), executor, workers, title="drawing wave speeds")
    return Helmholtz(np.stack(speeds), source, frequency, boundary, neumann={"top": _window(resolution)} if top else None)


def _draw(n: int, seed: int, k: int) -> np.ndarray:
    return 20 + np.tanh(gaussian_field(n, np.random.default_rng([seed, k])))


def _window(n: int) -> np.ndarray:
    """The mean over each of n edges of the indicator of (0.35, 0.65), in integers so that it is exact."""
    left = 20 * np.arange(n)
    return np.clip(np.minimum(left + 20, 13 * n) - np.maximum(left, 7 * n), 0, 20) / 20
