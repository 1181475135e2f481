"""Problems whose exact solution is known: the bound holds, is sharp to a constant, and falls like h."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cases import BOUNDARIES
from numpy import cos, exp, pi, sin

from wellposed.elliptic import Bound, Darcy, bound, clamp

Function = Callable[[np.ndarray, np.ndarray], np.ndarray]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)
NODES, WEIGHTS = (NODES + 1) / 2, WEIGHTS / 2
ALONG = {"bottom": lambda s: (s, 0 * s), "right": lambda s: (1 + 0 * s, s), "top": lambda s: (s, 1 + 0 * s), "left": lambda s: (0 * s, s)}


@dataclass(frozen=True)
class Known:
    """-Laplace u = f with u = 0 on the Dirichlet sides, and the fluxes du/dn on the others."""

    boundary: str
    u: Function
    gradient: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    f: Function

    def problem(self, n: int) -> Darcy:
        """The cellwise problem with its oscillation terms stated, from Gauss quadrature on every cell and edge."""
        x, y = points(n)
        mean, oscillation = moments(self.f(x, y), n)
        s = (np.arange(n)[:, None] + NODES) / n
        sides = BOUNDARIES[self.boundary]
        g, og = np.zeros((1, 4, n)), np.zeros((1, 4, n))
        for k, side in enumerate(ALONG):
            if (sides if isinstance(sides, str) else sides[side]) == "neumann":
                dx, dy = self.gradient(*ALONG[side](s))
                flux = {"bottom": -dy, "right": dx, "top": dy, "left": -dx}[side] + 0 * s
                g[0, k] = flux @ WEIGHTS
                og[0, k] = np.sqrt(np.maximum((flux - g[0, k][:, None]) ** 2 @ WEIGHTS / n, 0))
        if "dirichlet" not in str(sides):  # quadrature balances up to rounding
            mean = mean - mean.mean() - g.mean(2).sum()
        return Darcy(np.ones((1, n, n)), mean[None], sides, neumann=g if g.any() else None, source_oscillation=oscillation[None],
                     neumann_oscillation=og if og.any() else None)

    def error(self, v: np.ndarray) -> float:
        """|u - v|_a of the bilinear interpolant of nodal values."""
        n = len(v) - 1
        x, y = points(n)
        s, t = NODES[None, None, None, :], NODES[None, None, :, None]
        c00, c10, c01, c11 = (part[:, :, None, None] for part in (v[:-1, :-1], v[:-1, 1:], v[1:, :-1], v[1:, 1:]))
        vx = n * ((c10 - c00) * (1 - t) + (c11 - c01) * t)
        vy = n * ((c01 - c00) * (1 - s) + (c11 - c10) * s)
        ux, uy = self.gradient(x, y)
        return float(np.sqrt(integrals((ux - vx) ** 2 + (uy - vy) ** 2, n).sum()))

    def energy(self, n: int = 32) -> float:
        x, y = points(n)
        ux, uy = self.gradient(x, y)
        return float(integrals(ux**2 + uy**2 + 0 * x, n).sum())


def points(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss points (row, column, point in y, point in x)."""
    s = (np.arange(n)[:, None] + NODES) / n
    return s[None, :, None, :] + np.zeros((n, 1, 6, 1)), s[:, None, :, None] + np.zeros((1, n, 1, 6))


def integrals(x: np.ndarray, n: int) -> np.ndarray:
    return np.einsum("ijkl,k,l->ij", x, WEIGHTS, WEIGHTS) / n**2


def moments(f: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell means, and the L2 norm of what is left in each cell."""
    mean = integrals(f, n) * n**2
    return mean, np.sqrt(integrals((f - mean[:, :, None, None]) ** 2, n))


KNOWN = {
    "sines": Known("dirichlet", lambda x, y: sin(pi * x) * sin(pi * y),
                   lambda x, y: (pi * cos(pi * x) * sin(pi * y), pi * sin(pi * x) * cos(pi * y)),
                   lambda x, y: 2 * pi**2 * sin(pi * x) * sin(pi * y)),
    "cosines": Known("neumann", lambda x, y: cos(pi * x) * cos(pi * y),
                     lambda x, y: (-pi * sin(pi * x) * cos(pi * y), -pi * cos(pi * x) * sin(pi * y)),
                     lambda x, y: 2 * pi**2 * cos(pi * x) * cos(pi * y)),
    "waves": Known("periodic", lambda x, y: sin(2 * pi * (x + y)) + cos(2 * pi * y),
                   lambda x, y: (2 * pi * cos(2 * pi * (x + y)), 2 * pi * cos(2 * pi * (x + y)) - 2 * pi * sin(2 * pi * y)),
                   lambda x, y: 8 * pi**2 * sin(2 * pi * (x + y)) + 4 * pi**2 * cos(2 * pi * y)),
    "half sine": Known("one side dirichlet", lambda x, y: sin(pi * x / 2) + 0 * y,
                       lambda x, y: (pi / 2 * cos(pi * x / 2) + 0 * y, 0 * x * y), lambda x, y: pi**2 / 4 * sin(pi * x / 2) + 0 * y),
    "between open walls": Known("top and bottom neumann", lambda x, y: sin(pi * x) * exp(y),
                                lambda x, y: (pi * cos(pi * x) * exp(y), sin(pi * x) * exp(y)),
                                lambda x, y: (pi**2 - 1) * sin(pi * x) * exp(y)),
}
EACH = pytest.mark.parametrize("name", KNOWN)


def fine_bound(known: Known, n: int) -> tuple[Darcy, np.ndarray, Bound]:
    problem = known.problem(n)
    u = problem.solve()
    return problem, u, bound(problem, u)


@EACH
def test_bound_holds_and_is_sharp_to_a_factor(name: str):
    known = KNOWN[name]
    _, u, b = fine_bound(known, 16)
    error = known.error(u[0])
    assert error <= b.eta[0] <= 2.1 * error
    assert b.compliance_lower[0] <= known.energy() <= b.compliance_upper[0]
    assert b.relative[0] >= error / np.sqrt(known.energy())


@EACH
def test_bound_holds_for_wrong_answers(name: str):
    known, rng = KNOWN[name], np.random.default_rng(0)
    problem = known.problem(8)
    for size in (0.01, 0.1, 1.0):
        v = clamp(problem, problem.solve() + size * rng.standard_normal((1, 9, 9)))
        b = bound(problem, v)
        assert known.error(v[0]) <= b.eta[0]
        assert b.compliance_lower[0] <= known.energy() <= b.compliance_upper[0]


@EACH
def test_bound_falls_like_h(name: str):
    etas = [fine_bound(KNOWN[name], n)[2].eta[0] for n in (8, 16, 32)]
    orders = np.log2(np.array(etas[:-1]) / etas[1:])
    assert orders == pytest.approx(1.0, abs=0.2)


@EACH
def test_error_of_the_solver_falls_like_h_and_its_compliance_like_h_squared(name: str):
    known = KNOWN[name]
    found = [fine_bound(known, n) for n in (16, 32)]
    errors = [known.error(u[0]) for _, u, _ in found]
    widths = [b.compliance_upper[0] - b.compliance_lower[0] for _, _, b in found]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.1)
    assert np.log2(widths[0] / widths[1]) == pytest.approx(2.0, abs=0.4)


# One-dimensional laminates: everything is known in closed form.

LAYERS = np.array([1.0, 10.0, 0.1, 3.0, 3.0, 100.0, 0.5, 2.0])


def laminate(f: float, direction: str, **more: Any) -> Darcy:
    """a varies along x, or along y; insulated walls beside, Dirichlet sides before and behind."""
    a = np.broadcast_to(LAYERS, (8, 8)) if direction == "x" else np.broadcast_to(LAYERS[:, None], (8, 8))
    walls = "top and bottom neumann" if direction == "x" else "left and right neumann"
    return Darcy(a.copy(), f, BOUNDARIES[walls], **more)


@pytest.mark.parametrize("direction", ["x", "y"])
def test_flow_across_a_laminate_is_exact(direction: str):
    """No source, u from 0 to 1: constant flux q = 1 / int 1/a, u piecewise linear, eta = 0."""
    ends = {"left": 0.0, "right": 1.0} if direction == "x" else {"bottom": 0.0, "top": 1.0}
    problem = laminate(0.0, direction, dirichlet=ends)
    flux = 8 / (1 / LAYERS).sum()
    profile = np.concatenate([[0], np.cumsum(flux / LAYERS) / 8])
    profile[-1] = 1.0
    u = np.broadcast_to(profile if direction == "x" else profile[:, None], (9, 9))[None].copy()
    assert problem.solve() == pytest.approx(u, abs=1e-9)
    psi = flux * np.linspace(0, 1, 9)  # t = (q, 0) = (psi_y, -psi_x)
    stream = np.broadcast_to(psi[:, None] if direction == "x" else -psi, (9, 9))[None].copy()
    assert bound(problem, u, stream).eta[0] <= 1e-12
    assert bound(problem, u).eta[0] <= 1e-4
    # 2 F(u) - |u|^2 = -|u|^2 = -q
    assert bound(problem, u, stream).compliance_lower[0] == pytest.approx(-flux, rel=1e-11)
    assert bound(problem, u, stream).compliance_upper[0] == pytest.approx(-flux, rel=1e-11)


@pytest.mark.parametrize("direction", ["x", "y"])
def test_loaded_laminate_has_an_exact_flux_and_so_an_exact_error(direction: str):
    """f = 1: the flux c - x is of lowest order, so eta is the error itself, not a bound of it."""
    problem = laminate(1.0, direction)
    inverse, middle = 1 / LAYERS / 8, (np.arange(8) + 0.5) / 8
    c = (inverse * middle).sum() / inverse.sum()  # int (c - x) / a = 0
    drops = np.concatenate([[0], np.cumsum(inverse * (c - middle))])
    drops[-1] = 0.0
    v = np.broadcast_to(drops if direction == "x" else drops[:, None], (9, 9))[None].copy()  # exact at the nodes
    y = np.linspace(0, 1, 9)
    # along y, t = (0, c - y) = (-x, 0) + curl psi: psi = x y - c x
    stream = np.broadcast_to(c * y[:, None], (9, 9)) if direction == "x" else np.outer(y, y) - c * y
    error = np.sqrt((1 / LAYERS).sum() / 8 / (12 * 64))  # int (x - middle)^2 / a
    b = bound(problem, v, stream[None].copy())
    assert b.eta[0] == pytest.approx(error, rel=1e-9)
    energy = ((c - np.arange(8) / 8) ** 3 - (c - (np.arange(8) + 1) / 8) ** 3) @ (1 / LAYERS) / 3
    assert b.compliance_upper[0] == pytest.approx(energy, rel=1e-9)
    assert bound(problem, v).eta[0] == pytest.approx(error, rel=0.02)


@pytest.mark.parametrize("n", [4, 6, 16])
def test_linear_solution_has_no_error(n: int):
    line = np.linspace(0, 1, n + 1)
    u = (0.25 + 2 * line - 3 * line[:, None])[None]
    problem = Darcy(np.full((1, n, n), 2.5), 0.0, dirichlet=u)
    assert problem.solve() == pytest.approx(u, abs=1e-9)
    psi = 2.5 * (2 * line[:, None] + 3 * line)  # (psi_y, -psi_x) = 2.5 (2, -3)
    b = bound(problem, u, psi[None])
    assert b.eta[0] <= 1e-11
    assert b.relative[0] <= 1e-11


def test_a_constant_source_between_a_warm_floor_and_a_cold_ceiling():
    """f = 1, a = 1, u = (1 - y^2)/2 over an insulated floor, under a cold ceiling."""
    table = {"bottom": "neumann", "right": "neumann", "top": "dirichlet", "left": "neumann"}
    n = 16
    problem, y = Darcy(np.ones((1, n, n)), 1.0, table), np.linspace(0, 1, n + 1)
    u = np.broadcast_to(((1 - y**2) / 2)[:, None], (n + 1, n + 1))[None].copy()
    assert problem.solve() == pytest.approx(u, abs=1e-9)
    b = bound(problem, u)
    assert b.compliance_lower[0] <= 1 / 3 <= b.compliance_upper[0]
    assert b.eta[0] == pytest.approx(1 / n / np.sqrt(12), rel=0.02)
