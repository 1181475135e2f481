"""The hypercircle of Prager and Synge (1947) for -div(a grad u) = f on the unit square, per cell and in closed form.

    u = g_D on Dirichlet sides,  a du/dn = g on Neumann sides;  arrays are (samples, y, x), n cells a side, h = 1/n.

For any v with v = g_D on the Dirichlet sides and any flux t with div t = -f and t.n = g on the Neumann sides

    |u - v|_a^2 + |a grad u - t|_*^2 = |a grad v - t|_*^2 = eta^2,

with |w|_a^2 = int a |grad w|^2 and |s|_*^2 = int |s|^2 / a. Here v is the bilinear interpolant of nodal values and
t = t0 + curl psi with t0 = (-int_0^x f, 0), curl psi = (psi_y, -psi_x), psi bilinear: t0 and the values of psi along
the Neumann sides are rebuilt here, and the witness must agree with them. Formulas: SPEC.md, "elliptic".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wellposed_check.canonical import Refused
from wellposed_check.elliptic.arithmetic import Arithmetic, Array, Number

SIDES = ("bottom", "right", "top", "left")  # counter-clockwise from the origin


@dataclass(frozen=True)
class Problem:
    """The question, as arrays: the checker's own reading of the subject of a certificate.

    Args:
        sides: "dirichlet", "neumann" or "periodic" for bottom, right, top, left.
        coefficient: a > 0 on each cell, (samples, n, n).
        source: f on each cell, (samples, n, n).
        neumann: g on each boundary edge in the order of `SIDES`, each from its lower index up, (samples, 4, n).
        dirichlet: nodal values, of which those on Dirichlet sides count, (samples, n + 1, n + 1).
        coefficient_error: r, if the true a is only known to lie within (1 -+ r) of the stated value in each cell.
        source_oscillation: |f - f_K| in L2 of each cell, (samples, n, n).
        neumann_oscillation: |g - g_e| in L2 of each edge, (samples, 4, n).
        cellwise: False declares that data vary inside cells by an amount nobody has bounded.
    """

    sides: tuple[str, str, str, str]
    coefficient: Array
    source: Array
    neumann: Array | None = None
    dirichlet: Array | None = None
    coefficient_error: float = 0.0
    source_oscillation: Array | None = None
    neumann_oscillation: Array | None = None
    cellwise: bool = True
    blur: Array | None = None  # by how much Dirichlet values on a finer mesh may differ from the data's, (samples,)

    @property
    def n(self) -> int:
        return self.coefficient.shape[-1]

    @property
    def periodic(self) -> bool:
        return "periodic" in self.sides

    @property
    def balanced(self) -> bool:
        """Whether the data must have mean zero: no Dirichlet side."""
        return "dirichlet" not in self.sides

    def refined(self, k: int) -> Problem:
        """The same problem on a mesh k times finer; only for data that are constant on each cell and edge."""
        if k == 1:
            return self
        if self.source_oscillation is not None or self.neumann_oscillation is not None:
            raise Refused("data with oscillation terms cannot be moved to a finer mesh without new terms")
        cells = [np.repeat(np.repeat(x, k, 1), k, 2) for x in (self.coefficient, self.source)]
        g, values = self.neumann, self.dirichlet
        return replace(self, coefficient=cells[0], source=cells[1], neumann=None if g is None else np.repeat(g, k, 2),
                       dirichlet=None if values is None else interpolate(values, k),
                       blur=None if values is None else 2.0**-50 * np.abs(values).max((1, 2)))


def perimeter(n: int) -> tuple[Array, Array]:
    """Rows and columns of the 4n boundary nodes, counter-clockwise from the origin."""
    up, down, zero, full = np.arange(n), np.arange(n, 0, -1), np.zeros(n, int), np.full(n, n)
    return np.concatenate([zero, up, full, down]), np.concatenate([up, full, down, zero])


def components(sides: tuple[str, ...]) -> list[tuple[int, int]]:
    """The connected pieces of the Neumann boundary: (first side, number of sides), counter-clockwise."""
    flags = [s == "neumann" for s in sides]
    if all(flags):
        return [(0, 4)]
    return [(k, next(m for m in range(1, 5) if not flags[(k + m) % 4]))
            for k in range(4) if flags[k] and not flags[k - 1]]


def interpolate(v: Array, k: int) -> Array:
    """The bilinear interpolant of nodal values, at the nodes of a mesh k times finer."""
    s = np.arange(k) / k
    for axis in (1, 2):
        v = np.moveaxis(v, axis, -1)
        w = v[..., :-1, None] * (1.0 - s) + v[..., 1:, None] * s
        v = np.moveaxis(np.concatenate([w.reshape(*v.shape[:-1], -1), v[..., -1:]], -1), -1, axis)
    return v


@dataclass(frozen=True)
class Flux:
    """h t on each cell: its value (x, y) at the centre and its slopes (sx, sy) times h."""

    x: Number
    y: Number
    sx: Number
    sy: Number


class Hypercircle:
    """The integrals of one problem, in one arithmetic. Nodal fields are (samples, n + 1, n + 1)."""

    def __init__(self, problem: Problem, arithmetic: Arithmetic) -> None:
        self.p, self.m, n = problem, arithmetic, problem.n
        self.a, self.f = arithmetic.exact(problem.coefficient), arithmetic.exact(problem.source)
        self.g = np.zeros((len(problem.coefficient), 4, n)) if problem.neumann is None else problem.neumann
        if problem.balanced:  # the problem is defined with the mean of its data removed
            self.f = self.f - self.imbalance()[:, None, None]

    def imbalance(self) -> Number:
        """int f + int_boundary g of each sample."""
        return self.m.total(self.f) / (self.p.n * self.p.n) + self.m.total(self.m.exact(self.g)) / self.p.n

    def gradient(self, v: Number) -> tuple[Number, Number, Number]:
        """h grad v at the centre of each cell, and the twist of the bilinear function."""
        south, north = v[:, :-1, 1:] - v[:, :-1, :-1], v[:, 1:, 1:] - v[:, 1:, :-1]
        west, east = v[:, 1:, :-1] - v[:, :-1, :-1], v[:, 1:, 1:] - v[:, :-1, 1:]
        return (south + north) / 2.0, (west + east) / 2.0, north - south

    def energy_cells(self, v: Number) -> Number:
        """int_K a |grad v|^2."""
        x, y, t = map(self.m.square, self.gradient(v))
        return self.a * (x + y + t / 6.0)

    def energy_product(self, v: Number, w: Number) -> Number:
        """a(v, w) of each sample."""
        (x, y, t), (p, q, s) = self.gradient(v), self.gradient(w)
        return self.m.total(self.a * (x * p + y * q + t * s / 6.0))

    def load(self, v: Number, f: Number, g: Number | None = None) -> Number:
        """int f v + int_Neumann g v of each sample."""
        n = self.p.n
        total = self.m.total(f * (v[:, :-1, :-1] + v[:, :-1, 1:] + v[:, 1:, :-1] + v[:, 1:, 1:])) / (4 * n * n)
        sides = (v[:, 0, :], v[:, :, -1], v[:, -1, :], v[:, :, 0])
        for k in range(4):
            if g is not None and self.p.sides[k] == "neumann":
                total = total + self.m.total(g[:, k] * (sides[k][:, :-1] + sides[k][:, 1:])) / (2 * n)
        return total

    def particular(self, f: Number) -> Flux:
        """h t0, with div t0 = -f: integrated along x, and where sides are periodic the row means along y."""
        n, m = self.p.n, self.m
        mean = 0.0 * f
        if self.p.periodic:
            mean = mean + m.running_sum(f, 2)[:, :, -1:] / n
        rest = f - mean
        return Flux(-(m.running_sum(rest, 2) - rest / 2.0) / (n * n),
                    -(m.running_sum(mean, 1) - mean / 2.0) / (n * n),
                    -rest / (n * n), -mean / (n * n))

    def steps(self) -> Number:
        """What psi gains from boundary node to boundary node: h (g - t0.n), counter-clockwise, (samples, 4n)."""
        n, m = self.p.n, self.m
        g = np.concatenate([self.g[:, 0], self.g[:, 1], self.g[:, 2, ::-1], self.g[:, 3, ::-1]], 1)
        outflow = m.write(m.exact(0.0 * g[:, None]), 0, np.arange(n, 2 * n), m.running_sum(self.f, 2)[:, :, -1] / n)
        return (outflow[:, 0] + g) / n

    def trace(self, stream: Array) -> Number:
        """psi with its values along the Neumann sides rebuilt from the first node of each component."""
        n, m, psi, steps = self.p.n, self.m, self.m.exact(stream), self.steps()
        rows, columns = perimeter(n)
        for first, count in components(self.p.sides):
            at = (first * n + np.arange(count * n + 1)) % (4 * n)
            value = stream[:, rows[at[0]], columns[at[0]]][:, None] + m.running_sum(steps[:, at[:-1]], 1)
            last = len(at) - (count == 4)  # a closed loop ends where it began
            psi = m.write(psi, rows[at[1:last]], columns[at[1:last]], value[:, : last - 1])
        return psi

    def flux(self, psi: Number, drift: Array | None = None) -> Flux:
        """h t with t = t0 + curl psi + drift."""
        t0, (x, y, s) = self.particular(self.f), self.gradient(psi)
        cx, cy = (0.0, 0.0) if drift is None else (self.m.exact(drift[:, k, None, None]) / self.p.n for k in (0, 1))
        return Flux(t0.x + y + cx, t0.y - x + cy, t0.sx + s, t0.sy - s)

    def difference_cells(self, v: Number, t: Flux) -> Number:
        """eta_K^2 = int_K |a grad v - t|^2 / a."""
        (x, y, w), a, square = self.gradient(v), self.a, self.m.square
        return (square(a * x - t.x) + square(a * y - t.y)
                + (2.0 * square(a * w) + square(t.sx) + square(t.sy)) / 12.0) / a

    def flux_product(self, s: Flux, t: Flux) -> Number:
        """int s.t / a of each sample."""
        return self.m.total((s.x * t.x + s.y * t.y + (s.sx * t.sx + s.sy * t.sy) / 12.0) / self.a)
