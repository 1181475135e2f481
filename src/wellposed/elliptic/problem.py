"""The question: -div(a grad u) = f on the unit square, with data of each sample constant on n x n cells."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wellposed.elliptic.boundary import LARGEST, dirichlet_data, edge_data, fit, oscillation, parse_boundary, to_tensor
from wellposed.numerics.q1 import interpolate
from wellposed.numerics.space import SIDES, NodalSpace

Array = np.ndarray | Tensor
IMBALANCE = 1e-10


@dataclass(frozen=True, init=False, eq=False)
class Darcy:
    """-div(a grad u) = f on (0, 1)^2, u = g_D on Dirichlet sides, a du/dn = g on Neumann sides; a batch of samples.

    Arrays have the axes (sample, y, x); one sample may come without the first, and its results still have it. What needs
    cycles (a stream function, `solve`, `refine`) needs n = m 2^k cells a side with m at most 32. Everything is kept in float64, on the
    device of `coefficient`; results are numpy arrays or tensors, as `coefficient` was.

    Args:
        coefficient: a > 0 on each cell, (samples, n, n).
        source: f on each cell, (samples, n, n), or anything that broadcasts to it.
        boundary: "dirichlet", "neumann", "periodic", or a dict with "dirichlet" or "neumann" for each of
            "bottom" (y = 0), "right", "top", "left".
        neumann: g, outward, as a dict side -> number or (samples, n), or an array (samples, 4, n) in the order bottom,
            right, top, left. Zero where not given.
        dirichlet: g_D as a dict side -> number or (samples, n + 1), or nodal values (samples, n + 1, n + 1). Zero where
            not given.
        coefficient_error: r in [0, 1) if the true a is known only to lie within a factor 1 -+ r of `coefficient`.
        source_oscillation: the L2 norm over each cell of f minus its mean, (samples, n, n), if f is not constant there.
        neumann_oscillation: the same for g on each edge, (samples, 4, n).
        cellwise: False says that the data vary inside cells by an unknown amount: bounds are then computed for the
            cellwise problem, and certificates stay undecided.

    Raises:
        ValueError: a coefficient that is not positive, numbers that are not finite, shapes that do not fit, an unknown
            boundary, or data without a Dirichlet side that do not balance.
    """

    coefficient: Float[Tensor, "samples n n"]
    source: Float[Tensor, "samples n n"]
    sides: tuple[str, str, str, str]
    neumann: Float[Tensor, "samples 4 n"] | None = None
    dirichlet: Float[Tensor, "samples n+1 n+1"] | None = None
    coefficient_error: float = 0.0
    source_oscillation: Float[Tensor, "samples n n"] | None = None
    neumann_oscillation: Float[Tensor, "samples 4 n"] | None = None
    cellwise: bool = True
    as_numpy: bool = False
    blur: Float[Tensor, " samples"] | None = None

    def __init__(self, coefficient: Array, source: Array | float = 1.0,
                 boundary: str | Mapping[str, str] = "dirichlet", *,
                 neumann: Array | Mapping[str, Any] | None = None, dirichlet: Array | Mapping[str, Any] | None = None,
                 coefficient_error: float = 0.0, source_oscillation: Array | None = None,
                 neumann_oscillation: Array | None = None, cellwise: bool = True) -> None:
        a = to_tensor(coefficient, "coefficient")
        a = a[None] if a.ndim == 2 else a
        if a.ndim != 3 or a.shape[1] != a.shape[2] or len(a) < 1 or a.shape[1] < 2:
            raise ValueError(f"coefficient: received the shape {tuple(a.shape)}, expected (samples, n, n) or (n, n) with n at least 2, "
                             "one number per cell of a square grid; resample or crop it to a square")
        if not (a > 0).all():
            where = tuple(int(i) for i in (~(a > 0)).nonzero()[0])
            raise ValueError(f"coefficient: received {a[where].item():g} at {where}, expected positive numbers everywhere; "
                             "replace impermeable cells by a small positive permeability")
        if a.max() > 2.0**500 or a.min() < 2.0**-500:
            raise ValueError(f"coefficient: received values from {a.min():.3g} to {a.max():.3g}, expected them between 1e-150 and 1e150, "
                             "where float64 neither overflows nor underflows; choose other units")
        s, n = a.shape[:2]
        sides = parse_boundary(boundary)
        if not 0.0 <= coefficient_error < 1.0:
            raise ValueError(f"coefficient_error: received {coefficient_error}, expected a relative error in [0, 1)")
        g = edge_data(neumann, sides, s, n, a)
        values = dirichlet_data(dirichlet, sides, s, n, a)
        fields = {
            "coefficient": a, "source": fit(source, "source", (s, n, n), a), "sides": sides, "neumann": g,
            "dirichlet": values, "coefficient_error": float(coefficient_error),
            "source_oscillation": oscillation(source_oscillation, "source_oscillation", (s, n, n), a),
            "neumann_oscillation": oscillation(neumann_oscillation, "neumann_oscillation", (s, 4, n), a),
            "cellwise": bool(cellwise), "as_numpy": not isinstance(coefficient, Tensor), "blur": None}
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self._demand_balance()

    @property
    def n(self) -> int:
        """Cells per axis."""
        return self.coefficient.shape[-1]

    @property
    def boundary(self) -> dict[str, str]:
        return dict(zip(SIDES, self.sides, strict=True))

    @property
    def periodic(self) -> bool:
        return "periodic" in self.sides

    @property
    def balanced(self) -> bool:
        """Without a Dirichlet side the data must have mean zero, and u is known up to a constant."""
        return "dirichlet" not in self.sides

    @property
    def balanced_source(self) -> Float[Tensor, "samples n n"]:
        """f, and where the data must balance, f less what rounding left of their mean."""
        return self.source - self._imbalance()[:, None, None] if self.balanced else self.source

    @property
    def trivial(self) -> Bool[Tensor, " samples"]:
        """Samples without any data: u is zero, or a constant, and a relative error is not defined."""
        none = (self.source == 0).flatten(1).all(1)
        for data in (self.neumann, self.dirichlet):
            none = none if data is None else none & (data == 0).flatten(1).all(1)
        return none

    @property
    def movable(self) -> bool:
        """Whether it can be stated on a finer mesh: oscillation terms tie it to its own."""
        return self.source_oscillation is None and self.neumann_oscillation is None

    def __len__(self) -> int:
        return len(self.coefficient)

    def __getitem__(self, key: int | slice | Array) -> Darcy:
        """The problem of some samples, or of one.

        Raises:
            IndexError: there is no such sample.
        """
        if not isinstance(key, slice) and np.ndim(key) == 0:
            k = operator.index(key)  # type: ignore[arg-type]
            if not -len(self) <= k < len(self):
                raise IndexError(f"sample {k} of a problem with {len(self)} samples")
            key = slice(k % len(self), k % len(self) + 1)
        return self._map(lambda x: x[key])

    def __iter__(self) -> Iterator[Darcy]:
        return (self[k] for k in range(len(self)))

    def chunks(self, numbers: int) -> Iterator[slice]:
        """Slices of samples with about `numbers` cells in each."""
        step = max(1, numbers // self.n**2)
        return (slice(k, min(k + step, len(self))) for k in range(0, len(self), step))

    def refined(self, factor: int) -> Darcy:
        """The same problem on a mesh `factor` times finer.

        Raises:
            ValueError: oscillation terms belong to one mesh.
        """
        if factor == 1:
            return self
        if not self.movable:
            raise ValueError("data with oscillation terms cannot be moved to a finer mesh: the terms belong to this one; "
                             "state the data and their oscillation on the finer mesh and build the problem there")
        cells = [x.repeat_interleave(factor, 1).repeat_interleave(factor, 2) for x in (self.coefficient, self.source)]
        g, values = self.neumann, self.dirichlet
        return self._with(coefficient=cells[0], source=cells[1], neumann=None if g is None else g.repeat_interleave(factor, 2),
                          dirichlet=None if values is None else interpolate(values, factor),
                          blur=None if values is None else 2.0**-50 * values.abs().amax((1, 2)))

    def coarsened(self, factor: int) -> Darcy:
        """A problem like it on a mesh `factor` times coarser: geometric means of a, means of f and g, Dirichlet values at the nodes left.

        Raises:
            ValueError: the mesh is no multiple.
        """
        s, n = len(self), self.n // factor
        if self.n % factor:
            raise ValueError(f"received a mesh of {self.n} x {self.n} cells to take {factor} x {factor} together, expected a multiple of "
                             f"{factor}; crop or resample the fields")
        a, f = (x.reshape(s, n, factor, n, factor).mean((2, 4)) for x in (self.coefficient.log(), self.source))
        g, values = self.neumann, self.dirichlet
        return self._with(coefficient=a.exp(), source=f, neumann=None if g is None else g.reshape(s, 4, n, factor).mean(3),
                          dirichlet=None if values is None else values[:, ::factor, ::factor].contiguous())

    def space(self, n: int | None = None, essential: str = "dirichlet") -> NodalSpace:
        """Potentials that vanish on the Dirichlet sides; or, with "neumann", stream functions that vanish on those."""
        bottom, right, top, left = (side == essential for side in self.sides)
        return NodalSpace(n or self.n, (bottom, right, top, left), self.periodic, self.coefficient)

    def solve(self, tol: float = 1e-10) -> Array:
        """The finite-element solution by multigrid-preconditioned conjugate gradients: the classical solver.

        Args:
            tol: relative algebraic error in the energy norm.

        Returns:
            nodal values (samples, n + 1, n + 1); mean zero where there is no Dirichlet side.
        """
        from wellposed.elliptic.finite_elements import solve

        return self.give(solve(self, tol))

    def give(self, x: Tensor) -> Any:
        """A result in the kind of the user's input."""
        return x.detach().cpu().numpy() if self.as_numpy else x.to(self.coefficient.device)

    def take(self, x: Array, name: str) -> Tensor:
        """A user's array as float64 on this problem's device.

        Raises:
            ValueError: it is not numeric or not finite.
        """
        return to_tensor(x, name).to(self.coefficient.device)

    def _map(self, change: Any) -> Darcy:
        names = ("coefficient", "source", "neumann", "dirichlet", "source_oscillation", "neumann_oscillation", "blur")
        return self._with(**{k: change(getattr(self, k)) for k in names if getattr(self, k) is not None})

    def _with(self, **changes: Any) -> Darcy:
        new = object.__new__(Darcy)
        for name in self.__dataclass_fields__:
            object.__setattr__(new, name, changes.get(name, getattr(self, name)))
        return new

    def _imbalance(self) -> Float[Tensor, " samples"]:
        edges = 0.0 if self.neumann is None else self.neumann.sum((1, 2)) / self.n
        return self.source.mean((1, 2)) + edges

    def _demand_balance(self) -> None:
        if not self.balanced:
            return
        size = self.source.abs().mean((1, 2)) + (0.0 if self.neumann is None else self.neumann.abs().sum((1, 2)) / self.n)
        excess = self._imbalance()
        if (excess.abs() > IMBALANCE * size).any():
            worst = int((excess.abs() / size.clamp_min(1e-300)).argmax())
            raise ValueError(
                f"data that do not balance: without a Dirichlet side int f + int g must be 0, received {excess[worst]:.6g} in "
                f"sample {worst}; subtract the mean (source - source.mean((1, 2), keepdims=True)) or give one side Dirichlet values")


def clamp(problem: Darcy, potential: Array) -> Any:
    """`potential` with the problem's Dirichlet values, or the periodic wrap, written into it.

    Args:
        potential: nodal values (samples, n + 1, n + 1), or on a mesh finer by a whole factor.
    """
    v = boundary_values(problem, fit_potential(problem, potential))
    return v if isinstance(potential, Tensor) else v.cpu().numpy()


def admit_potential(problem: Darcy, prediction: Array | tuple[Array, Array]) -> tuple[Callable[[np.ndarray], Any], np.ndarray]:
    """A model's potentials, or (potentials, stream functions): samples -> their answers with boundary values written, and
    which of the potentials are finite and no larger than 2^500, (samples,); zeros stand for what is not.

    Raises:
        ValueError: the shape does not fit: that is an error in the caller's code, not a bad sample.
    """
    potential, stream = prediction if isinstance(prediction, tuple) else (prediction, None)
    raw = to_tensor(potential, "the model's answer", finite=False)
    sound = raw.abs() <= LARGEST
    usable = (sound.flatten(1).all(1) if raw.ndim == 3 else sound.all()[None]).cpu().numpy()
    answer = clamp(problem, torch.where(sound, raw, 0.0))
    if stream is None:
        return lambda samples: answer[samples], usable
    given = to_tensor(stream, "the model's stream function", finite=False)
    psi = fit_potential(problem, torch.where(given.abs() <= LARGEST, given, 0.0), "stream")
    return lambda samples: (answer[samples], psi[samples]), usable


def boundary_values(problem: Darcy, v: Tensor) -> Tensor:
    """A copy of nodal values that carries the boundary's own."""
    factor = (v.shape[-1] - 1) // problem.n
    v = v.clone()
    if problem.periodic:
        v[:, -1] = v[:, 0]
        v[:, :, -1] = v[:, :, 0]
        return v
    free = problem.space(v.shape[-1] - 1).free > 0
    if problem.dirichlet is None:
        return torch.where(free, v, 0.0)
    return torch.where(free, v, interpolate(problem.dirichlet, factor))


def fit_stream(problem: Darcy, stream: Array) -> Tensor:
    """A user's stream function as (samples, n + 1, n + 1), on the problem's own mesh.

    Raises:
        ValueError: as `fit_potential`; a finer mesh than the potential's.
    """
    psi = fit_potential(problem, stream, "stream")
    if psi.shape[-1] != problem.n + 1:
        raise ValueError(f"stream: received the shape {tuple(psi.shape)}, expected "
                         f"({len(problem)}, {problem.n + 1}, {problem.n + 1}), the potential's")
    return psi


def fit_potential(problem: Darcy, potential: Array, name: str = "potential") -> Tensor:
    """A user's nodal field as (samples, N + 1, N + 1), N a multiple of n.

    Raises:
        ValueError: another shape, or numbers that are not finite.
    """
    v = problem.take(potential, name)
    v = v[None] if v.ndim == 2 else v
    n = problem.n
    if v.ndim != 3 or v.shape[0] != len(problem) or v.shape[1] != v.shape[2] or v.shape[1] <= n or (v.shape[1] - 1) % n:
        hint = ""
        if v.ndim == 3 and v.shape[1:] == (n, n):
            hint = "; these look like cell values: average them to the nodes, or let the model answer on the nodes"
        raise ValueError(f"{name}: received the shape {tuple(v.shape)}, expected ({len(problem)}, {n + 1}, {n + 1}), one value "
                         f"at each node of the {n} x {n} cells, the boundary included (or a mesh finer by a whole factor){hint}")
    return v
