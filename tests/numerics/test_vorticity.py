"""The pseudo-spectral solver against exact flows, an independent integrator, and its own order."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from wellposed.numerics.vorticity import (
    ETDRK4,
    Modes,
    advance,
    advection,
    converge,
    first_steps,
    resample,
    to_field,
    to_spectrum,
    velocity,
    whole_grid,
)


def nodes(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
    return x[None, :], x[:, None]


def random_field(n: int, seed: int = 0, top: int = 3, samples: int = 2) -> torch.Tensor:
    """Frequencies up to `top`, mean zero, unit root mean square."""
    rng, (x, y) = np.random.default_rng(seed), nodes(n)
    w = torch.zeros(samples, n, n, dtype=torch.float64)
    for k in range(-top, top + 1):
        for m in range(top + 1):
            a, b = torch.from_numpy(rng.standard_normal((2, samples, 1, 1)))
            w += a * torch.cos(k * x + m * y) + b * torch.sin(k * x + m * y)
    w -= w.mean((1, 2), keepdim=True)
    return w / w.square().mean((1, 2), keepdim=True).sqrt()


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


@pytest.mark.parametrize("n", [8, 9, 16])
@pytest.mark.parametrize("steps", [1, 7])
def test_taylor_green_vortices_decay_exactly(n: int, steps: int):
    """cos 2πx cos 2πy is an eigenfunction of the Laplacian, and its advection vanishes."""
    x, y = nodes(n)
    w = 3 * (torch.cos(x) * torch.cos(y))[None]
    assert rms(advance(w, 0.01, 0.7, steps) - w * math.exp(-8 * math.pi**2 * 0.01 * 0.7)) < 1e-14


def test_a_steady_flow_stays_where_it_is():
    """w = cos x + sin 2y (in units of 2π) is held by f = u·∇w - νΔw, worked out by hand: psi = (cos x + sin(2y)/4) / 4π²."""
    nu, (x, y) = 0.02, nodes(16)
    w = torch.cos(x) + torch.sin(2 * y)
    u, v = 2 * torch.cos(2 * y) / 4 / (2 * math.pi), torch.sin(x) / (2 * math.pi)
    f = u * 2 * math.pi * -torch.sin(x) + v * 2 * math.pi * 2 * torch.cos(2 * y) + nu * 4 * math.pi**2 * (torch.cos(x) + 4 * torch.sin(2 * y))
    assert rms(advance(w[None], nu, 1.0, 64, f[None]) - w[None]) < 1e-11
    assert rms(advance(w[None], nu, 1.0, 64) - w[None]) > 0.1
    assert rms(advance(w[None], nu, 1.0, 64, -f[None]) - w[None]) > 0.1


def test_velocity_is_that_of_the_stream_function():
    n, (x, y) = 12, nodes(12)
    u, v = (to_field(z, n) for z in velocity(to_spectrum((torch.sin(x) * torch.cos(2 * y))[None]), Modes.of(n)))
    scale = 5 * 2 * math.pi  # psi = w / (20 π²)
    assert rms(u + 2 * torch.sin(x) * torch.sin(2 * y) / scale) < 1e-15
    assert rms(v + torch.cos(x) * torch.cos(2 * y) / scale) < 1e-15


def test_order_four_in_the_step():
    w = 20 * random_field(24)
    truth = advance(w, 2e-3, 0.5, 2048)
    errors = [rms(advance(w, 2e-3, 0.5, steps) - truth) for steps in (64, 128, 256)]
    assert [math.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([4, 4], abs=0.15)


def full_right_side(n: int, nu: float, f: np.ndarray):
    """The same truncated system in full complex transforms, products on a grid twice as fine."""
    k = 2 * np.pi * np.fft.fftfreq(n, 1 / n)
    x, y, kept = k[None], k[:, None], np.maximum(abs(k[None]), abs(k[:, None])) < 2 * np.pi * n / 3
    square = x**2 + y**2
    inverse = np.divide(1, square, out=np.zeros_like(square), where=square > 0)

    def fine(z: np.ndarray) -> np.ndarray:
        out = np.zeros((2 * n, 2 * n), complex)
        at = np.fft.fftfreq(n, 1 / n).astype(int)
        out[np.ix_(at, at)] = z
        return np.fft.ifft2(out, norm="forward").real

    def right(_: float, flat: np.ndarray) -> np.ndarray:
        w = np.fft.fft2(flat.reshape(n, n), norm="forward") * kept
        product = fine(1j * y * inverse * w) * fine(1j * x * w) - fine(1j * x * inverse * w) * fine(1j * y * w)
        at = np.fft.fftfreq(n, 1 / n).astype(int)
        out = -np.fft.fft2(product, norm="forward")[np.ix_(at, at)] * kept - nu * square * w + f
        return np.fft.ifft2(out, norm="forward").real.ravel()

    return right


def test_against_an_integrator_of_order_eight():
    n, nu = 12, 3e-3
    w, f = 8 * random_field(n, top=2, samples=1), random_field(n, 1, top=2, samples=1)
    right = full_right_side(n, nu, np.fft.fft2(f[0].numpy(), norm="forward"))
    found = solve_ivp(right, (0, 1), w[0].numpy().ravel(), method="DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    ours = advance(w, nu, 1.0, 3200, f, grid=n)[0].numpy().ravel()
    assert np.abs(ours - found).max() < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_advection_conserves_mean_energy_and_enstrophy(seed: int):
    n = 24
    modes, w = Modes.of(n), to_spectrum(random_field(n, seed, top=7))
    change = to_field(advection(w, modes), n)
    assert rms(change) > 0.1
    assert abs(change.mean()) < 1e-16
    assert abs((change * to_field(w, n)).mean()) < 1e-14
    assert abs((change * to_field(w * modes.inverse, n)).mean()) < 1e-15


def test_the_mean_grows_by_its_forcing_only():
    w, f = 2 + random_field(12), torch.full((2, 12, 12), 0.5, dtype=torch.float64) + random_field(12, 5)
    assert advance(w, 1e-2, 0.3, 8).mean((1, 2)) == pytest.approx(2, abs=1e-14)
    assert advance(w, 1e-2, 0.3, 8, f).mean((1, 2)) == pytest.approx(2.15, abs=1e-12)


def test_coefficients_against_sixty_digits():
    mp = pytest.importorskip("mpmath")
    mp.mp.dps = 60
    method = ETDRK4(Modes.of(64), 1e-2, 0.05)
    z = (-0.05 * 1e-2 * method.modes.square).ravel()
    for k in torch.linspace(0, len(z) - 1, 40).long().tolist():
        x = mp.mpf(float(z[k]))
        phi = [mp.nsum(lambda j, s=s, x=x: x**j / mp.factorial(j + s), [0, mp.inf]) for s in (1, 2, 3)]
        half = mp.nsum(lambda j, x=x: (x / 2) ** j / mp.factorial(j + 1), [0, mp.inf]) / 2
        exact = [half, phi[0] - 3 * phi[1] + 4 * phi[2], phi[1] - 2 * phi[2], 4 * phi[2] - phi[1]]
        ours = [c.ravel()[k].item() / 0.05 for c in (method.stage, method.first, method.middle, method.last)]
        assert ours == pytest.approx([float(e) for e in exact], abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(8, 12), (8, 13), (7, 12), (7, 9), (6, 24), (9, 27)])
def test_interpolants_go_through_the_samples_and_have_least_norm(n: int, m: int):
    w = torch.randn(2, n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(n * m))
    fine = resample(to_spectrum(w), n, m)
    assert rms(to_field(resample(fine, m, m * n), m * n)[:, ::m, ::m] - w) < 1e-14
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(n)[:n] * (n % 2 == 0)
    rows, columns = (w * signs).mean(2).square().mean(1), (w * signs[:, None]).mean(1).square().mean(1)
    corner = (w * signs * signs[:, None]).mean((1, 2)).square()
    expected = w.square().mean((1, 2)) - rows / 2 - columns / 2 + corner / 4
    assert to_field(fine, m).square().mean((1, 2)) == pytest.approx(expected, abs=1e-13)


def test_resampling_down_drops_what_does_not_fit():
    w = random_field(24, top=3)
    assert rms(to_field(resample(to_spectrum(w), 24, 8), 8) - w[:, ::3, ::3]) < 1e-14
    high = torch.cos(5 * nodes(24)[0]).expand(1, 24, 24)
    assert rms(to_field(resample(to_spectrum(high), 24, 8), 8)) < 1e-15


@pytest.mark.parametrize("n", [4, 7, 8, 31, 64, 100])
def test_the_grid_keeps_every_frequency_of_the_data(n: int):
    m = whole_grid(n)
    assert 3 * (n // 2) < m < 1.7 * n + 8
    assert Modes.of(m).kept[n // 2, n // 2] == 1


def test_single_precision_is_computed_in_double():
    w = random_field(12).float()
    out = advance(w, 1e-2, 0.2, 4)
    assert out.dtype == torch.float64
    assert torch.equal(out, advance(w.double(), 1e-2, 0.2, 4))


@pytest.mark.parametrize("tol", [1e-4, 1e-8])
def test_the_tolerance_is_met(tol: float):
    w = 5 * random_field(16)
    found, steps = converge(w, 1e-3, 0.5, tol=tol)
    assert steps >= 2 * first_steps(w, 0.5)
    assert rms(found - advance(w, 1e-3, 0.5, 4 * steps)) < 2 * tol * 5


def test_what_does_not_converge_is_not_returned():
    with pytest.raises(ArithmeticError, match="has not converged to 1e-13 within 64 steps"):
        converge(20 * random_field(16), 1e-3, 0.5, tol=1e-13, most=64)
