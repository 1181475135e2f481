"""Independent referees: bilinear elements by 2 x 2 Gauss quadrature and sparse LU, and the same integrals by scikit-fem.

Nothing here uses the closed forms of the package. Fields are those of one sample: cells (n, n), nodes (n + 1, n + 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from wellposed.elliptic import Darcy

POINTS = (0.5 - 0.5 / np.sqrt(3), 0.5 + 0.5 / np.sqrt(3))


@dataclass(frozen=True)
class Data:
    """One sample of a problem as numpy arrays, on a mesh `factor` times finer."""

    a: np.ndarray
    f: np.ndarray
    g: np.ndarray
    values: np.ndarray
    sides: tuple[str, ...]

    @staticmethod
    def of(problem: Darcy, sample: int = 0, factor: int = 1) -> Data:
        def one(x: Any, empty: tuple[int, ...]) -> np.ndarray:
            return np.zeros(empty) if x is None else x[sample].numpy()

        n, grow = problem.n, np.ones((factor, factor))
        a, f = (np.kron(one(x, ()), grow) for x in (problem.coefficient, problem.source))
        g = np.repeat(one(problem.neumann, (4, n)), factor, 1)
        if "dirichlet" not in problem.sides:
            f = f - (f.mean() + g.mean(1).sum())
        return Data(a, f, g, prolong(one(problem.dirichlet, (n + 1, n + 1)), factor), problem.sides)

    @property
    def n(self) -> int:
        return len(self.a)


def prolong(v: np.ndarray, factor: int) -> np.ndarray:
    """Bilinear interpolation to a mesh `factor` times finer, as a product of two matrices."""
    n = len(v) - 1
    x = np.arange(n * factor + 1) / factor
    hat = np.maximum(0.0, 1.0 - np.abs(x[:, None] - np.arange(n + 1)))
    return hat @ v @ hat.T


@lru_cache(maxsize=8)
def operators(n: int) -> tuple[sp.csr_matrix, sp.csr_matrix, sp.csr_matrix]:
    """Value, d/dx and d/dy at the 4 n^2 Gauss points (cell by cell, row by row) from nodal values."""
    parts: list[list[sp.csr_matrix]] = [[], [], []]
    for t in POINTS:
        for s in POINTS:
            value, slope = ([sp.diags([c, d], [0, 1], shape=(n, n + 1)) for c, d in pairs]  # type: ignore[list-item]
                            for pairs in (((1 - s, s), (1 - t, t)), ((-1.0 * n, 1.0 * n),) * 2))
            for part, (y, x) in zip(parts, ((value[1], value[0]), (value[1], slope[0]), (slope[1], value[0])), strict=True):
                part.append(sp.kron(y, x))
    return tuple(sp.vstack(part).tocsr() for part in parts)  # type: ignore[return-value]


class Gauss:
    """All integrals of one problem on its own mesh by quadrature, exact for biquadratic integrands."""

    def __init__(self, data: Data) -> None:
        self.d, self.n = data, data.n
        self.value, self.dx, self.dy = operators(self.n)
        self.a, self.f = (np.tile(x.ravel(), 4) for x in (data.a, data.f))

    def integral(self, x: np.ndarray) -> float:
        return float(np.sum(x) / (4 * self.n**2))

    def cells(self, x: np.ndarray) -> np.ndarray:
        """The integral over each cell."""
        return x.reshape(4, self.n, self.n).sum(0) / (4 * self.n**2)

    def gradient(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.dx @ v.ravel(), self.dy @ v.ravel()

    def energy(self, v: np.ndarray, w: np.ndarray | None = None) -> float:
        """a(v, w)."""
        (x, y), (p, q) = self.gradient(v), self.gradient(v if w is None else w)
        return self.integral(self.a * (x * p + y * q))

    @cached_property
    def load_vector(self) -> np.ndarray:
        """w -> int f w + int_Neumann g w, nodal."""
        b = (self.value.T @ (self.f / (4 * self.n**2))).reshape(self.n + 1, self.n + 1)
        for k, edge in enumerate((b[0], b[:, -1], b[-1], b[:, 0])):
            if self.d.sides[k] == "neumann":
                edge[:-1] += self.d.g[k] / (2 * self.n)
                edge[1:] += self.d.g[k] / (2 * self.n)
        return b

    def load(self, v: np.ndarray) -> float:
        return float(np.sum(self.load_vector * v))

    def flux(self, stream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """t = (-int_0^x f, 0) + (psi_y, -psi_x) at the Gauss points: the documented convention of `bound`."""
        before = (np.cumsum(self.d.f, 1) - self.d.f) / self.n
        t0 = [-(before + s * self.d.f / self.n) for _ in POINTS for s in POINTS]
        x, y = self.gradient(stream)
        return np.concatenate([t.ravel() for t in t0]) + y, -x

    def flux_energy(self, t: tuple[np.ndarray, np.ndarray], s: tuple[np.ndarray, np.ndarray] | None = None) -> float:
        """int t.s / a."""
        s = s or t
        return self.integral((t[0] * s[0] + t[1] * s[1]) / self.a)

    def eta2_cells(self, v: np.ndarray, t: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        x, y = self.gradient(v)
        return self.cells(((self.a * x - t[0]) ** 2 + (self.a * y - t[1]) ** 2) / self.a)

    def eta2(self, v: np.ndarray, t: tuple[np.ndarray, np.ndarray]) -> float:
        return float(self.eta2_cells(v, t).sum())

    def matrix(self, weight: np.ndarray) -> sp.csr_matrix:
        w = sp.diags(weight / (4 * self.n**2))
        return (self.dx.T @ w @ self.dx + self.dy.T @ w @ self.dy).tocsr()

    def solve(self) -> np.ndarray:
        """The finite-element solution; any one of them where constants are free."""
        fixed = boundary_nodes(self.n, self.d.sides, "dirichlet")
        start = np.where(fixed, self.d.values, 0.0)
        basis = identified(self.n) if "periodic" in self.d.sides else unit_columns(~fixed)
        return minimize(self.matrix(self.a), self.load_vector, start, basis if fixed.any() else basis[:, 1:])

    def best_flux(self) -> tuple[np.ndarray, np.ndarray]:
        """The flux that balances the data and has the least 1/2 int |t|^2 / a - int_Dirichlet g_D t.n."""
        x, y = self.gradient(np.where(boundary_nodes(self.n, self.d.sides, "dirichlet"), self.d.values, 0.0))
        start, basis = (periodic_stream if "periodic" in self.d.sides else walled_stream)(self.d)
        t, zero = self.flux(start), np.zeros_like(start)
        load = self.dx.T @ (t[1] / self.a - y) - self.dy.T @ (t[0] / self.a - x)  # curl psi = (psi_y, -psi_x)
        return self.flux(start + minimize(self.matrix(1 / self.a), load / (4 * self.n**2), zero, basis))


def minimize(matrix: sp.csr_matrix, load: np.ndarray, start: np.ndarray, basis: sp.csr_matrix) -> np.ndarray:
    """The least 1/2 x.Ax - b.x over start + the span of the columns of `basis`, on which A must be definite."""
    small, b = (basis.T @ matrix @ basis).tocsc(), basis.T @ (load.ravel() - matrix @ start.ravel())
    return start + (basis @ splu(small).solve(b)).reshape(start.shape)


def boundary_nodes(n: int, sides: tuple[str, ...], kind: str) -> np.ndarray:
    mark = np.zeros((n + 1, n + 1), bool)
    for k, edge in enumerate((mark[0], mark[:, -1], mark[-1], mark[:, 0])):
        edge |= sides[k] == kind
    return mark


def unit_columns(where: np.ndarray) -> sp.csr_matrix:
    """The nodal basis functions of these nodes, as columns."""
    return sp.identity(where.size, format="csr")[:, np.flatnonzero(where)]


@lru_cache(maxsize=8)
def identified(n: int) -> sp.csr_matrix:
    """Nodal values of periodic fields from those of the n^2 different nodes."""
    index = np.add.outer(n * (np.arange(n + 1) % n), np.arange(n + 1) % n).ravel()
    return sp.csr_matrix((np.ones(len(index)), (np.arange(len(index)), index)), shape=((n + 1) ** 2, n * n))


def periodic_stream(d: Data) -> tuple[np.ndarray, sp.csr_matrix]:
    """A stream function whose flux repeats itself, as (-int_0^x f, 0) does not, and a basis of what may be added."""
    n, line = d.n, np.linspace(0, 1, d.n + 1)
    gain = np.concatenate([[0.0], np.cumsum(d.f.mean(1)) / n])
    ramps = [np.add.outer(0 * line, line), np.add.outer(line, 0 * line)]  # constant fluxes
    return np.outer(gain, line), sp.hstack([identified(n)[:, 1:], *(as_column(r) for r in ramps)]).tocsr()


def walled_stream(d: Data) -> tuple[np.ndarray, sp.csr_matrix]:
    """A stream function that balances g, and a basis of what may be added: a constant on each further Neumann piece."""
    n, fixed = d.n, boundary_nodes(d.n, d.sides, "neumann")
    inside = unit_columns(~fixed)
    if not fixed.any():
        return np.zeros(fixed.shape), inside[:, 1:]
    up, full, zero = np.arange(n), np.full(n, n), np.zeros(n, int)
    rows, columns = np.concatenate([zero, up, full, n - up]), np.concatenate([up, full, n - up, zero])
    gain = np.concatenate([d.g[0], d.g[1] + d.f.sum(1) / n, d.g[2, ::-1], d.g[3, ::-1]]) / n  # h (g - t0.n)
    flags = np.repeat([s == "neumann" for s in d.sides], n)
    psi, piece, pieces = np.zeros(fixed.shape), -1, np.full(fixed.shape, -1)
    first = next(k for k in range(4 * n) if flags[k] and (flags.all() or not flags[k - 1]))
    for i in [(first + k) % (4 * n) for k in range(4 * n - flags.all())]:
        if flags[i]:
            j, opens = (i + 1) % (4 * n), i == first or not flags[i - 1]
            piece += opens
            pieces[rows[i], columns[i]] = pieces[rows[j], columns[j]] = piece
            psi[rows[j], columns[j]] = gain[i] + (0.0 if opens else psi[rows[i], columns[i]])
    return psi, sp.hstack([inside, *(as_column(pieces == k) for k in range(1, piece + 1))]).tocsr()


def as_column(x: np.ndarray) -> sp.csr_matrix:
    return sp.csr_matrix(x.reshape(-1, 1).astype(float))


@dataclass(frozen=True)
class Truth:
    """What a nested finer mesh proves about the exact solution u."""

    error: tuple[float, float]
    compliance: tuple[float, float]
    u: np.ndarray
    gauss: Gauss


def truth(problem: Darcy, v: np.ndarray, sample: int = 0, factor: int = 8) -> Truth:
    """`reference` for one sample of a problem whose data are constant on each cell, on a mesh `factor` times finer."""
    return reference(Data.of(problem, sample, factor), v[sample])


def reference(data: Data, v: np.ndarray) -> Truth:
    """Two-sided reference for |u - v|_a and for J = 2 F(u) - |u|_a^2, on the mesh of the data.

    With the Galerkin solution U and the best flux t there, 2 F(U) - |U|^2 <= J <= 2 F(U) - |U|^2 + |a grad U - t|_*^2,
    and |u - v|^2 = |U - v|^2 + (J - 2 F(U) + |U|^2).
    """
    fine = Gauss(data)
    u, t = fine.solve(), fine.best_flux()
    w = prolong(v, fine.n // (len(v) - 1))
    low = 2 * fine.load(u) - fine.energy(u)
    high = low + fine.eta2(u, t)
    distance = fine.energy(u - w)
    return Truth((np.sqrt(distance), np.sqrt(distance + high - low)), (low, high), u, fine)
