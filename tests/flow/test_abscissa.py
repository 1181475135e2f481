"""The numerical abscissa is bounded: against physical space, dense eigenvalues, shear flows, scalings, and bounds that are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wellposed.flow.abscissa import Abscissa, abscissa
from wellposed.flow.abscissa_matrix import Stretching, half_plane, squares
from wellposed.numerics.vorticity import Modes, resample, to_field, to_spectrum
from wellposed_check.flow import abscissa as checker

L = 2 * math.pi


def draw(n: int, seed: int, slope: float = 2.0, size: float = 1.0) -> torch.Tensor:
    """The spectrum of a random vorticity, of root mean square `size`, with |ŵ_k| like |k|^-slope."""
    modes = Modes.of(n, length=L)
    white = to_spectrum(torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    w = white * torch.where(modes.square > 0, modes.square.clamp(min=1) ** (-slope / 2), 0.0) * modes.kept
    return w * size / to_field(w, n).square().mean().sqrt()


def gradients(w: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """a and b of S on m x m nodes of the box with side 2π."""
    n = w.shape[-2]
    modes = Modes.of(n, length=L)
    psi = w * modes.inverse
    return (to_field(resample(-modes.x * modes.y * psi, n, m), m),
            to_field(resample(0.5 * (modes.x**2 - modes.y**2) * psi, n, m), m))


def strain(w: torch.Tensor) -> float:
    """On a fine grid, and a bit more."""
    a, b = gradients(w, 96)
    return float((a**2 + b**2).max().sqrt()) * 1.005


def operator(w: torch.Tensor, box: int, nu: float, drag: float = 0.0) -> np.ndarray:
    k = half_plane(0, box)
    return Stretching.of(w.numpy()).matrix(k, k) - np.diag(nu * squares(k) + drag)


def truth(w: torch.Tensor, box: int, nu: float, drag: float = 0.0) -> float:
    return float(np.linalg.eigvalsh(operator(w, box, nu, drag))[-1])


def half_spectrum(w: torch.Tensor) -> np.ndarray:
    """As the checker reads it: rows 0..N, -N..-1."""
    band = (w.shape[-2] - 1) // 3
    return w.numpy()[np.r_[: band + 1, -band:0], : band + 1]


def check(w: torch.Tensor, bound: Abscissa | float, s: float, nu: float, box: int | None = None, *, galerkin: bool, drag: float = 0.0,
          length: float = L) -> bool:
    mu, box = (bound.upper, bound.box) if isinstance(bound, Abscissa) else (bound, box)
    return checker.proved(half_spectrum(w), nu, drag, length, s, box, mu, galerkin=galerkin)


def velocity_of(z: np.ndarray, k: np.ndarray, m: int) -> torch.Tensor:
    """e and its gradient on m x m nodes from the coordinates of the matrix: e_x, e_y, then their derivatives along x and y; side 2π."""
    (y, x), (real, imaginary) = torch.from_numpy(k), torch.from_numpy(z).chunk(2)
    psi = torch.zeros(m, m, dtype=torch.complex128)
    psi[y, x] = torch.complex(real, imaginary) / math.sqrt(2) / torch.sqrt((y**2 + x**2).double())
    psi[-y, -x] = psi[y, x].conj()
    kk = torch.fft.fftfreq(m, 1 / m, dtype=torch.float64)
    e = torch.stack([1j * kk[:, None] * psi, -1j * kk * psi])
    return torch.fft.ifft2(torch.cat([e, 1j * kk * e, 1j * kk[:, None] * e]), norm="forward").real


@pytest.mark.parametrize("box", [5, 9])
def test_the_matrix_is_the_quadratic_form_of_physical_space(box):
    w, k, rng, m, nu = draw(16, 0), half_plane(0, box), np.random.default_rng(1), 64, 0.03
    a, b = gradients(w, m)
    for _ in range(3):
        z = rng.standard_normal(2 * k.shape[1])
        u, v, *derivatives = velocity_of(z, k, m)
        growth = -(a * (u**2 - v**2) + 2 * b * u * v).mean() - nu * sum((d**2).mean() for d in derivatives)
        assert abs((u**2 + v**2).mean() - z @ z) < 1e-12 * (z @ z)
        assert abs(growth - z @ operator(w, box, nu) @ z) < 1e-12 * (z @ z)


def test_the_form_is_that_of_the_advected_flow():
    """With (e·∇)v itself, v by its own derivatives, and not with S."""
    w, k, m = draw(16, 3), half_plane(0, 8), 64
    z = np.random.default_rng(2).standard_normal(2 * k.shape[1])
    e = velocity_of(z, k, m)[:2]
    modes = Modes.of(16, length=L)
    psi = w * modes.inverse
    v = torch.stack([1j * modes.y * psi, -1j * modes.x * psi])
    along_x, along_y = (to_field(resample(1j * d * v, 16, m), m) for d in (modes.x, modes.y))
    growth = -((e[0] * along_x + e[1] * along_y) * e).sum(0).mean()
    assert abs(growth - z @ operator(w, 8, 0.0) @ z) < 1e-12 * (z @ z)


def test_the_checker_builds_the_same_matrix_from_the_strain():
    w = draw(16, 4)
    a, b, sizes = checker._strain(half_spectrum(w))
    own = Stretching.of(w.numpy())
    assert np.array_equal(Stretching.of(half_spectrum(w)).amplitude, own.amplitude)
    for rows, columns in ((half_plane(0, 7), half_plane(0, 7)), (half_plane(3, 11), half_plane(0, 3)), (half_plane(0, 2), half_plane(0, 2))):
        np.testing.assert_allclose(checker._entries((a, b), rows, columns), own.matrix(rows, columns), atol=1e-15)
    np.testing.assert_allclose(sizes, own.sizes, rtol=1e-14)
    full = torch.fft.fft2(to_field(w, 16), norm="forward").abs().sum() / 2
    assert sizes[0] == pytest.approx(float(full), rel=1e-12)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), slope=st.floats(0.0, 4.0), nu=st.floats(-3.0, 0.5).map(lambda p: 10**p), drag=st.sampled_from([0.0, 0.3]))
def test_never_below_the_largest_eigenvalue(seed, slope, nu, drag):
    w = draw(16, seed, slope)
    s, most = strain(w), -math.inf
    for against, box in (("galerkin", 5), ("pde", 9)):
        found = abscissa(w, viscosity=nu, drag=drag, length=L, strain=s, against=against)
        true = truth(w, max(box, found.box) if against == "pde" else box, nu, drag)
        assert true <= found.upper <= s - nu - drag + 1e-9
        assert found.ritz <= true + 1e-9
        assert check(w, found, s, nu, galerkin=against == "galerkin", drag=drag)
        assert found.upper == pytest.approx(s - nu - drag) or found.upper - true < 1.1e-3 * s or found.box == 16
        for box in range(6):
            assert not check(w, true - 1e-6 * s, s, nu, box, galerkin=against == "galerkin", drag=drag)
        assert true >= most - 1e-12  # more errors, faster ones
        most = true


@pytest.mark.parametrize("nu", [0.05, 0.2])
def test_all_errors_of_a_resolved_flow(nu):
    """The bound against the equation is sharp, far below the strain, and errors beyond the band and the box do not exceed it."""
    w = draw(16, 5, 3.0)
    s, found = strain(w), abscissa(w, viscosity=nu, drag=0.0, length=L, strain=strain(w))
    assert truth(w, 12, nu) <= found.upper <= truth(w, 12, nu) + 2e-3 * s
    assert found.upper < 0.8 * (s - nu)
    k = half_plane(0, 12)
    a, b = gradients(w, 96)
    for seed in range(3):
        z = np.random.default_rng(seed).standard_normal(2 * k.shape[1]) / squares(k) ** seed
        u, v, *derivatives = velocity_of(z, k, 96)
        growth = -(a * (u**2 - v**2) + 2 * b * u * v).mean() - nu * sum((d**2).mean() for d in derivatives)
        assert growth <= found.upper * (u**2 + v**2).mean()


def test_small_waves_left_out_of_the_coupling_are_added():
    w, nu = draw(32, 6, 6.0), 0.05
    a, b = gradients(w, 96)
    s = float((a**2 + b**2).max().sqrt()) * 1.005
    own, found = Stretching.of(w.numpy()), abscissa(w, viscosity=nu, drag=0.0, length=L, strain=s)
    assert own.sizes[9] < 1e-4 * s  # so that C has fewer modes than v
    assert truth(w, 12, nu) < found.upper < truth(w, 12, nu) + 1e-3 * s
    assert check(w, found, s, nu, galerkin=False)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), size=st.floats(1e-3, 10.0))
def test_another_flow_adds_at_most_the_sum_of_its_waves(seed, size):
    """What carries a bound from one time to others: λ_ν(v + d) ≤ λ_ν(v) + ½ Σ|d_k|, and λ_ν is convex."""
    v, d, nu = draw(16, seed), draw(16, seed + 1, 0.5, size), 0.02
    one, middle, other = (truth(v + part * d, 5, nu) for part in (0.0, 0.5, 1.0))
    assert other <= one + Stretching.of(d.numpy()).sizes[0] + 1e-12
    assert middle <= (one + other) / 2 + 1e-12


@pytest.mark.parametrize("m", [1, 2])
def test_shear_flow(m):
    """v = (sin m y, 0): errors e^{iqx} φ(y) decouple in q, and each is a matrix with two diagonals beside its main one."""
    n, nu, y = 16, 0.02, np.arange(-24, 25)
    w = torch.zeros(n, n // 2 + 1, dtype=torch.complex128)
    w[m, 0] = w[-m, 0] = -m / 2  # -∂v₁/∂y = -m cos m y
    best = -math.inf
    for q in range(1, 8):
        size = np.sqrt(y**2 + q**2)
        t = np.where(abs(np.subtract.outer(y, y)) == m, m / 4 * q * np.add.outer(y, y) / np.outer(size, size), 0.0)
        best = max(best, np.linalg.eigvalsh(t - nu * np.diag(size**2))[-1])
    assert truth(w, 12, nu) == pytest.approx(best, abs=1e-5)
    found = abscissa(w, viscosity=nu, drag=0.0, length=L, strain=m / 2 * 1.0001)
    assert best <= found.upper <= best + 1e-3 * m
    assert check(w, found, m / 2 * 1.0001, nu, galerkin=False)
    assert not check(w, best - 1e-6, m / 2 * 1.0001, nu, found.box, galerkin=False)


def test_no_flow_decays_at_the_slowest_rate():
    w = torch.zeros(16, 9, dtype=torch.complex128)
    for against in ("galerkin", "pde"):
        found = abscissa(w, viscosity=0.3, drag=0.1, length=L, strain=0.0, against=against)
        assert -0.4 <= found.upper <= -0.4 + 1e-5
        assert check(w, found, 0.0, 0.3, galerkin=against == "galerkin", drag=0.1)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), speed=st.floats(0.01, 100.0), length=st.floats(0.01, 100.0), drag=st.floats(0.0, 2.0))
def test_scalings(seed, speed, length, drag):
    """λ scales with v and ν, ν with the square of the side; drag shifts it."""
    w = draw(16, seed)
    s, plain = strain(w), abscissa(w, viscosity=0.1, drag=0.0, length=L, strain=strain(w))
    other = abscissa(w * speed, viscosity=0.1 * speed * (length / L) ** 2, drag=drag, length=length, strain=s * speed)
    assert other.upper == pytest.approx(plain.upper * speed - drag, abs=1e-3 * s * speed)
    assert check(w * speed, other, s * speed, 0.1 * speed * (length / L) ** 2, galerkin=False, drag=drag, length=length)


def test_every_box_proves_only_what_is_true():
    """Whatever the box, and however near to zero D is at its edge, what the checker takes is a bound; the whole band is sharp."""
    w, nu = draw(16, 8, 1.0), 0.02
    s = strain(w)
    for galerkin, true in ((True, truth(w, 5, nu)), (False, truth(w, 12, nu))):
        taken = []
        for box in range(9):
            bounds = np.concatenate([np.linspace(true - 0.3, true, 8, endpoint=False), np.geomspace(1e-8, s - nu - true + 1e-9, 20) + true])
            taken.append([mu for mu in bounds if check(w, float(mu), s, nu, box, galerkin=galerkin)])
            assert min(taken[-1], default=true) >= true
            assert box or max(bounds) in taken[0]
        if galerkin:
            assert min(taken[5]) == true + 1e-8 == min(taken[8])
            assert not check(w, true - 1e-10, s, nu, 5, galerkin=True)
        own = [abscissa(w, viscosity=nu, drag=0.0, length=L, strain=s, against="galerkin" if galerkin else "pde", box=k) for k in range(9)]
        assert all(true <= one.upper <= s - nu + 1e-9 and check(w, one, s, nu, galerkin=galerkin) for one in own)


def test_a_proof_about_another_problem_is_none():
    w, nu = draw(16, 9, 3.0), 0.1
    s, found = strain(w), abscissa(draw(16, 9, 3.0), viscosity=0.1, drag=0.2, length=L, strain=strain(draw(16, 9, 3.0)))
    good = {"field": half_spectrum(w), "viscosity": nu, "drag": 0.2, "length": L, "strain": s, "box": found.box, "mu": found.upper, "galerkin": False}
    assert checker.proved(**good)
    wrong = {"field": half_spectrum(w) * 1.02, "viscosity": nu * 0.95, "drag": 0.19, "length": L * 1.05, "strain": s * 20, "mu": found.upper - 0.01}
    for name, value in wrong.items():
        assert not checker.proved(**(good | {name: value})), name
    nan = good["field"].copy()
    nan[2, 2] = np.nan
    broken = {"field": [nan, good["field"][1:], good["field"][:, :1][:1]], "viscosity": [0.0, np.nan], "mu": [np.inf, np.nan], "box": [-1, 1000],
              "strain": [-1.0, np.inf], "drag": [-0.5], "length": [0.0]}
    for name, values in broken.items():
        for value in values:
            assert not checker.proved(**(good | {name: value})), name


def test_turbulence_falls_back_to_the_strain():
    w, nu = draw(16, 11, 0.0), 1e-4
    s = strain(w)
    found = abscissa(half_spectrum(w), viscosity=nu, drag=0.0, length=L, strain=s)
    assert (found.box, found.upper) == (0, pytest.approx(s - nu, rel=1e-12))
    whole = abscissa(w, viscosity=nu, drag=0.0, length=L, strain=s, against="galerkin")
    assert (whole.box, whole.upper) == (5, pytest.approx(truth(w, 5, nu), rel=1e-4))


def test_numbers_out_of_range_are_refused():
    w = draw(16, 0)
    good = {"viscosity": 0.1, "drag": 0.0, "length": L, "strain": strain(w)}
    unmasked, gap = w.clone(), w.clone()
    unmasked[7, 2], gap[1, 1] = 0.1, math.nan
    cases = [({"viscosity": 0.0}, "viscosity"), ({"drag": -1.0}, "drag"), ({"length": math.inf}, "length"), ({"strain": 0.1}, "strain"),
             ({"strain": math.nan}, "strain"), ({"box": -1}, "box"), ({"box": 2.5}, "box"), ({"box": 43}, "box"), ({"against": "dns"}, "against")]
    for change, name in cases:
        with pytest.raises(ValueError, match=rf"^{name}: received"):
            abscissa(w, **(good | change))
    for bad in (unmasked, gap, w.real, w[:, :5]):
        with pytest.raises(ValueError, match=r"^vorticity_spectrum: received"):
            abscissa(bad, **good)
