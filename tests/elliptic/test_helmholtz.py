"""Waves: the solver against exact ones and scikit-fem, and a lower bound of the error that is one, and says that it is no more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases import BOUNDARIES, sides
from referees import prolong
from scipy.linalg import eigh
from skfem import Basis, BilinearForm, ElementQuad1, FacetBasis, LinearForm, MeshQuad, condense, solve
from skfem.helpers import dot, grad

import wellposed
from wellposed.certificate import Certificate, issue
from wellposed.elliptic import Darcy, Helmholtz, clamp, generate_helmholtz
from wellposed.elliptic.helmholtz import matrices
from wellposed.testing import survivors
from wellposed.testing.conformance import check_broken, check_round_trip
from wellposed_check import Refused, check
from wellposed_check.canonical import encode

CLAIM = "elliptic.error_at_least/1"
WALLS = {k: v for k, v in BOUNDARIES.items() if k != "periodic"}
EVERYWHERE = pytest.mark.parametrize("boundary", WALLS)


def draw(boundary: str = "dirichlet", n: int = 4, seed: int = 0, frequency: float = 8.0, samples: int = 1) -> Helmholtz:
    """Speeds between 1 and 2, a source and a boundary flux, each cell and edge on its own; far from a resonance by luck only."""
    rng = np.random.default_rng(seed)
    g = {side: rng.standard_normal((samples, n)) for side, kind in zip(("bottom", "right", "top", "left"), sides(boundary), strict=True)
         if kind == "neumann"}
    return Helmholtz(rng.uniform(1, 2, (samples, n, n)), rng.standard_normal((samples, n, n)), frequency, BOUNDARIES[boundary], neumann=g or None)


def guess(problem: Helmholtz, seed: int = 1, factor: int = 1) -> np.ndarray:
    size = problem.n * factor + 1
    return clamp(problem, np.random.default_rng(seed).standard_normal((len(problem), size, size)))  # type: ignore[arg-type]


def distance(certificate: Certificate) -> tuple[float, float, float]:
    """Of the first sample: the error at least, the norm of the answer, the relative error at least."""
    d = certificate.bound
    return float(d.lower[0]), float(d.size[0]), float(d.relative[0])


# ---- the solver


@pytest.mark.parametrize("rule", ["galerkin", "low-dispersion"])
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "top and bottom neumann"])
def test_order_two_against_an_exact_solution(boundary: str, rule: str):
    """u a product of waves that fits the sides, c = 1, f the cell means of (λ - ω²) u."""
    p, q = {"dirichlet": (np.sin, np.sin), "neumann": (np.cos, np.cos), "top and bottom neumann": (np.cos, np.sin)}[boundary]
    errors = []
    for n in (16, 32, 64):
        x = np.pi * np.arange(n + 1) / n
        u = p(x)[:, None] * q(2 * x)

        def means(wave: Callable, k: int, x: np.ndarray = x) -> np.ndarray:
            whole = {np.sin: lambda t: -np.cos(t), np.cos: np.sin}[wave]
            return np.diff(whole(k * x) / k) / np.diff(x)

        f = (5 * np.pi**2 - 10.0**2) * means(p, 1)[:, None] * means(q, 2)
        found = Helmholtz(np.ones((n, n)), f, 10.0, BOUNDARIES[boundary]).solve(1, rule)[0]
        errors.append(np.abs(found - u).max())
    assert errors[-1] < 5e-3
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize(("rule", "order"), [("galerkin", 2), ("low-dispersion", 4)])
def test_order_of_the_resonances(rule: str, order: int):
    """Between walls that reflect the squares of the wave numbers are π² (j² + k²): 13 π² is the tenth that is not zero, from (2, 3)."""
    errors = []
    for n in (8, 16, 32):
        stiffness, mass = (x.toarray() for x in matrices(np.ones((n, n)), rule))
        found = eigh(stiffness, mass, eigvals_only=True, subset_by_index=[0, 14])
        errors.append(np.abs(found - 13 * np.pi**2).min())
    assert [np.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([order, order], abs=0.2)


@EVERYWHERE
def test_matrices_and_solution_against_scikit_fem(boundary: str):
    problem = draw(boundary, 6, seed=3)
    line = np.linspace(0, 1, 7)
    where = {"bottom": lambda x: x[1] == 0, "right": lambda x: x[0] == 1, "top": lambda x: x[1] == 1, "left": lambda x: x[0] == 0}
    mesh = MeshQuad.init_tensor(line, line).with_boundaries(where)
    basis = Basis(mesh, ElementQuad1(), intorder=4)
    column, row = np.rint(mesh.p * 6).astype(int)
    cell = np.floor(np.asarray(basis.global_coordinates()) * 6).astype(int)[::-1]
    square, f = (x[0].numpy()[tuple(cell)] for x in ((problem.frequency / problem.speed) ** 2, problem.source))
    stiffness = BilinearForm(lambda u, v, w: dot(grad(u), grad(v))).assemble(basis)
    mass = BilinearForm(lambda u, v, w: w["k"] * u * v).assemble(basis, k=square)
    b = LinearForm(lambda v, w: w["f"] * v).assemble(basis, f=f)
    for k, side in enumerate(where):
        if problem.neumann is not None and problem.sides[k] == "neumann":
            facets = FacetBasis(mesh, ElementQuad1(), facets=side, intorder=4)
            along = np.asarray(facets.global_coordinates())[0 if side in ("bottom", "top") else 1]
            g = problem.neumann[0, k].numpy()[np.floor(along * 6).astype(int)]
            b = b + LinearForm(lambda v, w: w["g"] * v).assemble(facets, g=g)
    order = row * 7 + column
    for ours, theirs in zip(matrices(((problem.frequency / problem.speed[0]) ** 2).numpy()), (stiffness, mass), strict=True):
        assert np.abs(ours[order][:, order] - theirs).max() < 1e-13
    fixed = [side for side, kind in zip(where, problem.sides, strict=True) if kind == "dirichlet"]
    ends = basis.get_dofs(fixed).all() if fixed else np.zeros(0, int)
    theirs = np.zeros((7, 7))
    theirs[row, column] = solve(*condense(stiffness - mass, b, x=np.zeros(basis.N), D=ends))
    assert problem.solve(1, "galerkin")[0] == pytest.approx(theirs, abs=1e-10 * np.abs(theirs).max())


def test_low_dispersion_is_worth_it():
    """Four waves on 50 cells, not near a resonance: at a quarter of Galerkin's nodes a fifth of its error."""
    problem = generate_helmholtz(50, 1, frequency=500.0)
    truth, galerkin, ours = problem.solve(8), problem.solve(2, "galerkin"), problem.solve(1)
    size = np.linalg.norm(truth)
    assert np.linalg.norm(galerkin - truth) > 5 * np.linalg.norm(ours - truth)
    assert np.linalg.norm(ours - truth) < 0.1 * size
    assert np.linalg.norm(problem.solve() - truth) < 0.002 * size


def test_samples_are_solved_apart_and_anywhere():
    problem = draw("corner neumann", 5, samples=3)
    with ThreadPoolExecutor(2) as pool:
        assert np.array_equal(problem.solve(executor=pool), problem.solve())
    assert np.array_equal(problem[1].solve(), problem.solve()[1:2])
    assert [len(one) for one in problem] == [1, 1, 1]
    assert np.array_equal(problem[-1].solve(), problem[2:].solve())
    with pytest.raises(IndexError, match="sample 3"):
        problem[3]


def test_tensors_in_tensors_out():
    problem = Helmholtz(torch.ones(4, 4, dtype=torch.float32), 1.0, 3.0)
    assert isinstance(problem.solve(), torch.Tensor)
    assert torch.equal(problem.solve(), torch.from_numpy(Helmholtz(np.ones((4, 4)), 1.0, 3.0).solve()))  # type: ignore[arg-type]


def test_a_resonance_is_an_error():
    """The only free node of 2 x 2 cells: stiffness 8/3, mass ω² 4/9 h² = ω²/9."""
    with pytest.raises(ArithmeticError, match="resonance of this problem on 2 x 2 cells"):
        Helmholtz(np.ones((2, 2)), 1.0, np.sqrt(24)).solve(1, "galerkin")


# ---- generated problems


def test_sample_k_depends_on_seed_and_k_alone():
    few, many = generate_helmholtz(12, 2, 5), generate_helmholtz(12, 5, 5)
    assert torch.equal(few.speed, many.speed[:2])
    with ThreadPoolExecutor(2) as pool:
        assert torch.equal(generate_helmholtz(12, 5, 5, executor=pool).speed, many.speed)
    assert not torch.equal(generate_helmholtz(12, 2, 6).speed, few.speed)
    assert not torch.equal(few.speed[0], few.speed[1])
    assert ((few.speed > 19) & (few.speed < 21)).all()
    assert few.waves == pytest.approx(8, abs=0.4)


@pytest.mark.parametrize("n", [2, 7, 20, 100, 101])
def test_waves_enter_through_a_window_of_one_length(n: int):
    g = generate_helmholtz(n).neumann
    assert g is not None
    assert g[0, 2].mean() == pytest.approx(0.3, abs=1e-15)
    assert g[0, 2].max() <= 1
    assert (g[0, [0, 1, 3]] == 0).all()
    assert n != 100 or torch.equal(g[0, 2], ((torch.arange(100) >= 35) & (torch.arange(100) < 65)).double())


# ---- the bound


def exact(problem: Helmholtz, v: np.ndarray, w: np.ndarray) -> tuple[Fraction, Fraction, Fraction]:
    """F(w) - b(v, w), ||v||², ||w||² of sample 0 in rational arithmetic: a bilinear function's integrals by Simpson's rule."""
    n, k = w.shape[-1] - 1, (w.shape[-1] - 1) // problem.n

    def field(x: np.ndarray) -> list[list[Fraction]]:
        m = n // (len(x) - 1)
        x = [[Fraction(float(y)) for y in row] for row in x]  # type: ignore[assignment]

        def at(i: int, j: int) -> Fraction:
            (a, s), (b, t) = ((min(q // m, len(x) - 2), Fraction(q - m * min(q // m, len(x) - 2), m)) for q in (i, j))
            return (1 - s) * ((1 - t) * x[a][b] + t * x[a][b + 1]) + s * ((1 - t) * x[a + 1][b] + t * x[a + 1][b + 1])

        return [[at(i, j) for j in range(n + 1)] for i in range(n + 1)]

    v, w = field(v), field(w)  # type: ignore[assignment]
    simpson = ((Fraction(0), Fraction(1, 6)), (Fraction(1, 2), Fraction(4, 6)), (Fraction(1), Fraction(1, 6)))
    total = [Fraction(0)] * 3
    for i in range(n):
        for j in range(n):
            c, f = (Fraction(float(x[0, i // k, j // k])) for x in (problem.speed, problem.source))
            square = (Fraction(problem.frequency) / c) ** 2

            def value(x: Any, s: Fraction, t: Fraction, i: int = i, j: int = j) -> tuple[Fraction, Fraction, Fraction]:
                a, b, c, d = x[i][j], x[i][j + 1], x[i + 1][j], x[i + 1][j + 1]
                return ((1 - s) * ((1 - t) * a + t * b) + s * ((1 - t) * c + t * d),
                        n * ((1 - s) * (b - a) + s * (d - c)), n * ((1 - t) * (c - a) + t * (d - b)))

            for s, p in simpson:
                for t, q in simpson:
                    (a, ax, ay), (b, bx, by), area = value(v, s, t), value(w, s, t), p * q / n**2
                    total[0] += area * (f * b - ax * bx - ay * by + square * a * b)
                    total[1] += area * (ax**2 + ay**2 + square * a**2)
                    total[2] += area * (bx**2 + by**2 + square * b**2)
    if problem.neumann is not None:
        edges = (w[0], [row[-1] for row in w], w[-1], [row[0] for row in w])
        total[0] += sum(Fraction(float(problem.neumann[0, side, e // k])) * (edge[e] + edge[e + 1]) / (2 * n)
                        for side, edge in enumerate(edges) for e in range(n))
    return total[0], total[1], total[2]


@EVERYWHERE
@pytest.mark.parametrize("kind", ["random", "solution", "large constant", "tiny", "huge"])
def test_no_rounding_makes_the_bound_lie(boundary: str, kind: str):
    problem, scale = draw(boundary, 3, seed=7), {"tiny": 1e-120, "huge": 1e120}.get(kind, 1.0)
    problem = Helmholtz(problem.speed.numpy(), scale * problem.source.numpy(), problem.frequency, problem.boundary,
                        neumann=None if problem.neumann is None else scale * problem.neumann.numpy())
    v = scale * guess(problem) if kind != "solution" else np.asarray(problem.solve(1, "galerkin"))
    v = clamp(problem, v + 1e12) if kind == "large constant" else v  # type: ignore[arg-type]
    for finer in (1, 2, 3):
        certificate = wellposed.certify(problem, v, finer=finer)
        residual, own, test = exact(problem, v[0], certificate.arrays["test"][0])
        lower, size, relative = distance(certificate)
        assert Fraction(lower) ** 2 * test <= residual**2
        assert Fraction(size) ** 2 >= own
        assert Fraction(relative) * (Fraction(size) + Fraction(lower)) <= Fraction(lower)
        best = float(abs(residual)) / float(test) ** 0.5 if test else 0.0
        assert lower >= best * (1 - 1e-9) - 1e-11 * size


@cache
def wave_problem(k: float, n: int) -> Helmholtz:
    """u = cos(kx) exactly: c = 1, no source, driven from the right."""
    return Helmholtz(np.ones((n, n)), 0.0, k, "neumann", neumann={"right": -k * np.sin(k)})


def true_error(k: float, v: np.ndarray) -> tuple[float, float]:
    """||cos(kx) - v|| and ||cos(kx)|| by Gauss's rule with eight points in x, exact in y but for rounding."""
    n = len(v) - 1
    points, weights = np.polynomial.legendre.leggauss(8)
    t, weights = (points + 1) / 2, weights / 2
    x = (np.arange(n)[:, None] + t) / n
    error = norm = 0.0
    for s, p in zip(t, weights, strict=True):
        rows = (1 - s) * v[:-1] + s * v[1:]
        value = rows[:, :-1, None] * (1 - t) + rows[:, 1:, None] * t
        along_x = n * (rows[:, 1:] - rows[:, :-1])[:, :, None]
        along_y = n * ((v[1:] - v[:-1])[:, :-1, None] * (1 - t) + (v[1:] - v[:-1])[:, 1:, None] * t)
        square = (along_x + k * np.sin(k * x)) ** 2 + along_y**2 + k**2 * (value - np.cos(k * x)) ** 2
        error += p * float((square * weights).sum()) / n**2
        norm += p * float((k**2 * weights * np.ones_like(x)).sum()) / n
    return error**0.5, norm**0.5


@pytest.mark.parametrize("k", [1.0, 9.0, 20.0, 40.0])
@pytest.mark.parametrize("seed", range(6))
def test_never_above_the_true_error_of_an_exact_wave(k: float, seed: int):
    rng, n = np.random.default_rng([seed, int(k)]), (8, 12, 20)[seed % 3]
    problem, x = wave_problem(k, n), np.arange(n + 1) / n
    wave = np.cos(k * x) * np.ones((n + 1, 1))
    smooth = np.cos(np.pi * rng.integers(5) * x) * np.cos(np.pi * rng.integers(5) * x)[:, None]
    answers = [0 * wave, wave, 0.8 * wave, -wave, wave + 0.1 * smooth, smooth, rng.standard_normal(wave.shape), problem.solve(1)[0],
               wave + 0.01 * rng.standard_normal(wave.shape)]
    for v in answers:
        error, norm = true_error(k, v)
        for finer in (1, 2, 4):
            lower, size, relative = distance(wellposed.certify(problem, v, finer=finer))
            assert lower <= error * (1 + 1e-12)
            assert relative <= error / norm * (1 + 1e-12)
            assert size <= (norm + error) * (1 + 1e-12)


@EVERYWHERE
@pytest.mark.parametrize("seed", range(3))
def test_never_above_the_true_error_of_rough_problems(boundary: str, seed: int):
    """Against a solution on a mesh 24 times finer, whose own error is taken from one 12 times finer."""
    problem = draw(boundary, 4, seed, frequency=6.0)
    fine, coarse = (np.asarray(problem.refined(k).solve(1, "galerkin"))[0] for k in (24, 12))
    stiffness, mass = matrices(((problem.refined(24).frequency / problem.refined(24).speed[0]) ** 2).numpy())

    def norm(e: np.ndarray) -> float:
        return float(e.ravel() @ ((stiffness + mass) @ e.ravel())) ** 0.5

    slack = 2 * norm(fine - prolong(coarse, 2))
    assert slack < 0.3 * norm(fine)
    for v in (guess(problem, seed), fine[None, ::24, ::24].copy(), np.asarray(problem.solve(1, "galerkin")), guess(problem, seed, 3)):
        error = norm(fine - prolong(v[0], 24 * problem.n // (v.shape[-1] - 1))) + slack
        for finer in (1, 2, 4):
            certificate = wellposed.certify(problem, v, finer=finer)
            assert distance(certificate)[0] <= error
            assert distance(certificate)[2] <= error / (norm(fine) - slack)


def test_far_from_indefinite_it_is_almost_the_error():
    """ω small: b is nearly the scalar product of the norm, and the dual norm nearly the error."""
    problem = draw("dirichlet", 6, frequency=0.01)
    v = np.zeros((1, 7, 7))
    u = np.asarray(problem.refined(12).solve(1, "galerkin"))[0]
    stiffness, mass = matrices(((0.01 / problem.refined(12).speed[0]) ** 2).numpy())
    error = float(u.ravel() @ ((stiffness + mass) @ u.ravel())) ** 0.5
    assert distance(wellposed.certify(problem, v, finer=4))[0] == pytest.approx(error, rel=0.02)


def test_no_other_test_function_on_its_mesh_is_better():
    problem = draw("corner neumann", 5)
    v = guess(problem)
    certificate = wellposed.certify(problem, v)
    best, rng = distance(certificate)[0], np.random.default_rng(0)
    for size in (1e-3, 1e-1, 10.0):
        w = certificate.arrays["test"]
        other = clamp(problem, w + size * np.abs(w).max() * rng.standard_normal(w.shape))  # type: ignore[arg-type]
        assert reissued(certificate, test=other).claim(CLAIM).lower < certificate.claim(CLAIM).lower  # type: ignore[operator]
    assert distance(wellposed.certify(problem, v, finer=4))[0] >= best


def test_its_own_mesh_sees_nothing_wrong_with_the_finite_element_solution():
    problem = draw("corner neumann", 6)
    u = problem.solve(1, "galerkin")
    assert distance(wellposed.certify(problem, u, finer=1))[2] < 1e-11
    assert distance(wellposed.certify(problem, u, finer=2))[2] > 1e-3


def test_zero_is_refuted_by_any_data():
    problem = draw("top and bottom neumann", 4)
    certificate = wellposed.certify(problem, np.zeros((1, 5, 5)), tol=0.99)
    assert certificate.verdict is False
    assert certificate.claim(CLAIM).lower == pytest.approx(1, abs=1e-9)


def test_labels_of_the_published_size_are_refuted_as_functions_but_not_as_values():
    """On 101 x 101 nodes the interpolant of even the best label is 10 percent off in this norm: eight waves, twelve cells each."""
    problem = generate_helmholtz(100, 1, seed=1)
    claim = wellposed.certify(problem, problem.solve(), tol=0.05).claim(CLAIM)
    assert claim.holds is False
    assert claim.lower == pytest.approx(0.079, abs=0.01)


# ---- the certificate


def reissued(certificate: Certificate, tol: float | None = None, kind: str = "elliptic.Helmholtz", parameters: dict[str, Any] | None = None,
             arithmetic: str = "margin", claim: str = CLAIM, **arrays: np.ndarray | None) -> Certificate:
    """A certificate of changed evidence in which everything follows."""
    changed = {k: v for k, v in (certificate.arrays | arrays).items() if v is not None}
    stated = parameters if parameters is not None else certificate.document["subject"]["problem"]["parameters"]
    return issue(kind, stated, changed, {claim: tol}, arithmetic, certificate.document["provenance"])


@pytest.fixture(scope="module")
def wrong() -> Certificate:
    problem = draw("corner neumann", 4, seed=2)
    return wellposed.certify(problem, guess(problem), tol=0.3)


@pytest.fixture(scope="module")
def unrefuted() -> Certificate:
    problem = draw("corner neumann", 4, seed=2)
    return wellposed.certify(problem, problem.refined(4).solve(), tol=0.3)


def test_it_refutes_or_leaves_open_and_says_so(wrong: Certificate, unrefuted: Certificate):
    assert (wrong.verdict, unrefuted.verdict) == (False, None)
    for certificate in (wrong, unrefuted):
        claim = certificate.claim("error_at_least")
        assert claim.upper is None
        assert claim.holds is not True
        assert certificate.headline.endswith("; NO UPPER BOUND of elliptic.error_at_least/1")
        assert "BOUNDED FROM BELOW ONLY" in claim.quantity
        assert any("NO UPPER BOUND IS PROVED" in text for text, _ in claim.assumptions)
        assert certificate.check().status == certificate.verdict
    assert wellposed.certify(draw(), draw().solve()).headline.startswith("nothing was required")


@pytest.mark.parametrize("tol", [1e-9, 0.5, 1e9])
def test_no_answer_whatever_passes(tol: float):
    problem = draw("corner neumann", 4, seed=2)
    for v in (problem.solve(1, "galerkin"), problem.solve(8), 0 * problem.solve(), problem.refined(8).solve()):
        check_broken(lambda v=v: wellposed.certify(problem, v, tol=tol), "error_at_least")


def test_round_trip_and_several_samples(wrong: Certificate, unrefuted: Certificate):
    for certificate in (wrong, unrefuted):
        check_round_trip(certificate)
    problem = draw("corner neumann", 4, samples=3)
    v = guess(problem)
    together, apart = wellposed.certify(problem, v), [wellposed.certify(problem[k], v[k]) for k in range(3)]
    check_round_trip(together)
    assert "the largest of 3 samples" in together.claim(CLAIM).quantity
    assert together.claim(CLAIM).lower == max(c.claim(CLAIM).lower for c in apart)  # type: ignore[type-var]


@pytest.mark.parametrize("seed", range(2))
def test_no_forgery_is_accepted(wrong: Certificate, unrefuted: Certificate, seed: int):
    for certificate in (wrong, unrefuted):
        left = survivors(certificate, np.random.default_rng(seed), share=0.5)
        assert not left, [(f.description, f.strength) for f in left]


@pytest.mark.parametrize("name", ["test", "potential", "speed", "source", "neumann"])
def test_another_number_is_another_claim(wrong: Certificate, name: str):
    """With every digest made to fit: the stored bound no longer follows."""
    x = wrong.arrays[name].copy()
    at = (0, 1, 1) if name != "neumann" else (0, 0, 1)
    x[at] += 0.01
    forged = replace(reissued(wrong, 0.3, **{name: x}), document=reissued(wrong, 0.3, **{name: x}).document | {"claims": wrong.document["claims"]})
    assert reissued(wrong, 0.3, **{name: x}).claim(CLAIM).lower != wrong.claim(CLAIM).lower
    assert forged.check().status == "refused"


def off_the_sides(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[0, 1, -1] = np.nextafter(0.0, 1.0)
    return x


@pytest.mark.parametrize(("changes", "what"), [
    ({"test": off_the_sides}, "test does not have its Dirichlet values on the right side"),
    ({"potential": off_the_sides}, "potential does not have its Dirichlet values"),
    ({"test": lambda x: x[:, :-1, :-1]}, "test has the shape"), ({"test": lambda x: x[:, ::4, ::4]}, "test has the shape"),
    ({"potential": lambda x: x[:, :3, :3]}, "potential has the shape"), ({"speed": lambda x: -x}, "not positive"),
    ({"speed": lambda x: x * 1e-140}, "out of range"), ({"source": lambda x: x[:, :2]}, "source has the shape"),
    ({"neumann": lambda x: np.roll(x, 1, 1)}, "flux on sides that are not Neumann")], ids=str)
def test_evidence_that_does_not_carry_the_claim(wrong: Certificate, changes: dict[str, Callable], what: str):
    with pytest.raises(Refused, match=what):
        reissued(wrong, **{name: change(wrong.arrays[name]) for name, change in changes.items()})


@pytest.mark.parametrize("name", ["test", "potential", "speed", "source"])
def test_arrays_that_are_missing(wrong: Certificate, name: str):
    with pytest.raises((Refused, KeyError, TypeError)):
        reissued(wrong, **{name: None})


@pytest.mark.parametrize("change", [{"frequency": encode(0.0)}, {"frequency": encode(-8.0)}, {"frequency": None}, {"note": "added"},
                                    {"boundary": dict.fromkeys(("bottom", "right", "top", "left"), "periodic")}], ids=str)
def test_parameters_that_make_no_problem(wrong: Certificate, change: dict[str, Any]):
    with pytest.raises(Refused):
        reissued(wrong, parameters=wrong.document["subject"]["problem"]["parameters"] | change)


def test_other_arithmetic_other_types_other_claims(wrong: Certificate):
    with pytest.raises(Refused, match="margin"):
        reissued(wrong, arithmetic="enclosed")
    with pytest.raises(Refused, match=r"elliptic\.Darcy has the parameters"):
        reissued(wrong, kind="elliptic.Darcy")
    with pytest.raises(Refused, match=r"elliptic\.OneStep has the parameters"):
        reissued(wrong, kind="elliptic.OneStep")
    with pytest.raises(Refused, match="must have the parameters"):
        reissued(wrong, claim="elliptic.energy_error/1")
    darcy = wellposed.certify(Darcy(np.ones((4, 4))), np.zeros((5, 5)))
    with pytest.raises((Refused, KeyError)):
        reissued(darcy, kind="elliptic.Darcy")


def test_a_test_function_that_is_nothing_proves_nothing(unrefuted: Certificate):
    assert reissued(unrefuted, test=0 * unrefuted.arrays["test"]).claim(CLAIM).lower == 0
    assert reissued(unrefuted, test=1e-200 * unrefuted.arrays["test"]).claim(CLAIM).lower == 0


PROBE = """
import sys
from wellposed_check.__main__ import main
status = main(sys.argv[1:])
print(status, *sorted({name.split(".")[0] for name in sys.modules} & {"torch", "scipy", "wellposed", "safetensors"}))
"""


def test_it_is_checked_with_numpy_alone_and_against_its_subject(wrong: Certificate, unrefuted: Certificate, tmp_path: Path):
    for certificate, code in ((wrong, "1"), (unrefuted, "3")):
        folder = tmp_path / code
        certificate.save(folder)
        np.savez(folder / "problem.npz", **{k: certificate.arrays[k] for k in ("speed", "source", "neumann")})
        np.save(folder / "answer.npy", certificate.arrays["potential"])
        call = [sys.executable, "-c", PROBE, str(folder), "--problem", str(folder / "problem.npz"), "--answer", str(folder / "answer.npy")]
        printed = subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip().splitlines()
        assert printed[-1] == code
        assert "subject presented: speed, source, neumann, potential" in printed[0]
        np.save(folder / "answer.npy", certificate.arrays["potential"][:, ::-1])
        assert check(folder, answer=folder / "answer.npy").status == "refused"


def test_the_schema_describes_it(wrong: Certificate):
    import json

    import jsonschema

    import wellposed_check

    schema = json.loads((Path(wellposed_check.__file__).parent / "certificate.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(wrong.document)


# ---- bad input


@pytest.mark.parametrize(("call", "words"), [
    (lambda: Helmholtz(np.zeros((4, 4)), 1.0, 2.0), ("speed", "(0, 0, 0)", "positive wave speeds")),
    (lambda: Helmholtz(np.ones((4, 5)), 1.0, 2.0), ("speed", "(1, 4, 5)", "square grid")),
    (lambda: Helmholtz(np.full((4, 4), np.nan), 1.0, 2.0), ("speed", "nan", "numpy.isnan")),
    (lambda: Helmholtz(np.ones((4, 4)), np.ones((3, 3)), 2.0), ("source", "(3, 3)")),
    (lambda: Helmholtz(np.ones((4, 4)), 1.0, 0.0), ("frequency", "0.0", "positive angular frequency")),
    (lambda: Helmholtz(np.ones((4, 4)), 1.0, float("nan")), ("frequency", "nan")),
    (lambda: Helmholtz(np.ones((4, 4)), 1.0, 1e90), ("frequency", "1e+90", "units")),
    (lambda: Helmholtz(np.ones((4, 4)), 1.0, 2.0, "periodic"), ("boundary", "periodic")),
    (lambda: Helmholtz(np.ones((4, 4)), 1.0, 2.0, "absorbing"), ("boundary", "absorbing")),
    (lambda: Helmholtz(np.ones((4, 4)), 1.0, 2.0, neumann={"top": 1.0}), ("neumann", "top", "Neumann sides")),
    (lambda: draw().solve(rule="gauss"), ("rule='gauss'", "galerkin")), (lambda: draw().solve(0), ("finer=0", "factor")),
    (lambda: generate_helmholtz(1), ("resolution 1", "2 cells")), (lambda: generate_helmholtz(8, 0), ("samples 0", "1 sample")),
    (lambda: generate_helmholtz(8, boundary="dirichlet"), ("source", "boundary='dirichlet'", "not zero")),
    (lambda: wellposed.certify(draw(), np.ones((5, 5))), ("potential", "bottom side", "clamp")),
    (lambda: wellposed.certify(draw(), np.zeros((4, 4))), ("potential", "(1, 4, 4)", "(1, 5, 5)")),
    (lambda: wellposed.certify(draw(), np.zeros((5, 5)), tol=-1.0), ("tol=-1.0", "positive number")),
    (lambda: wellposed.certify(draw(), np.zeros((5, 5)), finer=0), ("finer=0", "whole number")),
], ids=str)
def test_bad_input_gets_one_clear_error(call: Callable[[], Any], words: tuple[str, ...]):
    with pytest.raises(ValueError, match="received") as caught:
        call()
    assert all(word in str(caught.value) for word in (*words, "expected")), str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_refines_or_guards_it():
    with pytest.raises(TypeError, match=r"refine: received a problem of the type Helmholtz, expected .*Darcy") as caught:
        wellposed.refine(draw(), None, 0.1)
    assert "Helmholtz, " not in str(caught.value).split("registered")[1]
