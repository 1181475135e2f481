"""What Prager and Synge's theorem says exactly, checked with Galerkin solutions, for which it holds exactly too."""

from __future__ import annotations

import numpy as np
import pytest
from cases import BOUNDARIES, disturbed, draw
from referees import Data, Gauss, prolong

from wellposed.elliptic import Darcy, bound, clamp

EVERYWHERE = pytest.mark.parametrize("boundary", BOUNDARIES)
VALUES = pytest.mark.parametrize("dirichlet", [False, True], ids=["zero", "values"])
Vector = tuple[np.ndarray, np.ndarray]


def galerkin(boundary: str, dirichlet: bool) -> tuple[Gauss, np.ndarray, Vector, Vector, Vector, float]:
    """On a mesh four times finer: the solution U, a grad U, a grad v and t of a coarse pair; and eta^2."""
    rng = np.random.default_rng(5)
    problem = draw(boundary, 8, rng, field="cells", dirichlet=dirichlet)
    v = disturbed(problem, rng, 0.1)
    b, fine = bound(problem, v), Gauss(Data.of(problem, factor=4))
    u, w = fine.solve(), prolong(v[0], 4)
    (ux, uy), (wx, wy) = fine.gradient(u), fine.gradient(w)
    return fine, u - w, (fine.a * ux, fine.a * uy), (fine.a * wx, fine.a * wy), fine.flux(prolong(b.stream[0], 4)), (b.cells**2).sum()


def combined(p: float, x: Vector, q: float, y: Vector) -> Vector:
    return p * x[0] + q * y[0], p * x[1] + q * y[1]


@EVERYWHERE
@VALUES
def test_hypercircle(boundary: str, dirichlet: bool):
    """|U - v|_a^2 + |a grad U - t|_*^2 = eta^2."""
    fine, error, du, _, t, eta2 = galerkin(boundary, dirichlet)
    assert fine.energy(error) + fine.flux_energy(combined(1, du, -1, t)) == pytest.approx(eta2, rel=1e-11)


@EVERYWHERE
@VALUES
def test_midpoint_flux_has_a_known_error(boundary: str, dirichlet: bool):
    """|a grad U - (a grad v + t)/2|_* = eta/2, exactly (Thales)."""
    fine, _, du, dv, t, eta2 = galerkin(boundary, dirichlet)
    middle = combined(0.5, dv, 0.5, t)
    assert fine.flux_energy(combined(1, du, -1, middle)) == pytest.approx(eta2 / 4, rel=1e-11)


@EVERYWHERE
def test_eta_splits_into_two_energies(boundary: str):
    """eta^2 = |v|_a^2 - 2 F(v) + |t|_*^2 where Dirichlet values are zero."""
    rng = np.random.default_rng(6)
    problem = draw(boundary, 8, rng, field="cells")
    v = disturbed(problem, rng, 0.1)
    b, gauss = bound(problem, v), Gauss(Data.of(problem))
    t = gauss.flux_energy(gauss.flux(b.stream[0]))
    split = gauss.energy(v[0]) - 2 * gauss.load(v[0]) + t
    assert split == pytest.approx((b.cells**2).sum(), abs=1e-12 * (gauss.energy(v[0]) + t))
    assert b.compliance_upper[0] == pytest.approx(t, rel=1e-10)


@EVERYWHERE
def test_flux_balances_the_source_and_carries_the_boundary_flux(boundary: str):
    """int t.grad w = F(w) for every nodal w that vanishes on the Dirichlet sides."""
    rng = np.random.default_rng(7)
    problem = draw(boundary, 8, rng, field="cells")
    gauss = Gauss(Data.of(problem))
    t = gauss.flux(bound(problem, disturbed(problem, rng, 0.1)).stream[0])
    w = rng.standard_normal((9, 9))
    w = (w if not problem.periodic else np.pad(w[:8, :8], (0, 1), mode="wrap")) * (problem.space().free.numpy() > 0)
    x, y = gauss.gradient(w)
    assert gauss.integral(t[0] * x + t[1] * y) == pytest.approx(gauss.load(w), abs=1e-12)


@EVERYWHERE
def test_bound_is_the_same_on_a_finer_mesh(boundary: str):
    rng = np.random.default_rng(8)
    problem = draw(boundary, 4, rng, field="cells", dirichlet=True)
    v = disturbed(problem, rng, 0.1)
    b = bound(problem, v)
    fine = bound(problem, prolong_all(problem, v, 4), prolong(b.stream[0], 4)[None])
    for name in ("eta", "compliance_lower", "compliance_upper"):
        assert getattr(fine, name) == pytest.approx(getattr(b, name), rel=1e-10), name
    parts = (fine.cells[0] ** 2).reshape(4, 4, 4, 4).sum((1, 3))
    assert parts == pytest.approx(b.cells[0] ** 2, rel=1e-9, abs=1e-13 * parts.sum())


def prolong_all(problem: Darcy, v: np.ndarray, factor: int) -> np.ndarray:
    """Prolonged as the package does it: Dirichlet values on the finer mesh are defined by its own rounding."""
    return clamp(problem, prolong(v[0], factor)[None])


@pytest.mark.parametrize("scale", [1e-6, 3.0, 1e6])
def test_scaling(scale: float):
    """a -> c a with v -> v / c: eta falls like c^(-1/2). f, v -> c f, c v: eta grows like c."""
    rng = np.random.default_rng(9)
    problem = draw("corner neumann", 8, rng, field="cells")
    a, f, g = (x.numpy() for x in (problem.coefficient, problem.source, problem.neumann))  # type: ignore[union-attr]
    v = disturbed(problem, rng, 0.1)
    b = bound(problem, v)
    stiffer = bound(Darcy(scale * a, f, problem.boundary, neumann=g), v / scale, b.stream)
    louder = bound(Darcy(a, scale * f, problem.boundary, neumann=scale * g), scale * v, scale * b.stream)
    assert stiffer.eta * scale**0.5 == pytest.approx(b.eta, rel=1e-9)
    assert louder.eta / scale == pytest.approx(b.eta, rel=1e-9)
    assert stiffer.relative == pytest.approx(b.relative, rel=1e-8)
    assert louder.relative == pytest.approx(b.relative, rel=1e-8)


@pytest.mark.parametrize("turn", [lambda x: x[:, ::-1], lambda x: x[:, :, ::-1], lambda x: x.transpose(0, 2, 1)],
                         ids=["upside down", "mirrored", "transposed"])
def test_turning_the_square_changes_nothing(turn):
    """The flux -int_0^x f singles out an axis; the best stream function makes up for it."""
    rng = np.random.default_rng(10)
    problem = draw("dirichlet", 8, rng, field="cells")
    v = disturbed(problem, rng, 0.05)
    turned = Darcy(*(turn(x.numpy()).copy() for x in (problem.coefficient, problem.source)))
    b, c = bound(problem, v), bound(turned, turn(v).copy())
    assert c.compliance_lower == pytest.approx(b.compliance_lower, rel=1e-9)
    assert c.eta == pytest.approx(b.eta, rel=0.02)
    assert turned.solve() == pytest.approx(turn(problem.solve()), abs=1e-10)
