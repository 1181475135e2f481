"""Initial fields: their laws, and that resolutions and samples share them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from wellposed.flow.initial import gaussian_field, mcwilliams, taylor_green
from wellposed.numerics.vorticity import Modes, resample, to_field, to_spectrum, velocity

RANDOM = {"mcwilliams": mcwilliams, "gaussian": gaussian_field}


@pytest.mark.parametrize("name", RANDOM)
def test_sample_k_depends_on_seed_and_k_alone(name: str):
    draw = RANDOM[name]
    w = draw(16, 3, seed=5)
    assert w.shape == (3, 16, 16)
    assert w.dtype == torch.float64
    assert torch.equal(draw(16, 2, seed=5), w[:2])
    assert torch.equal(draw(16, 1, 5), w[:1])
    assert float((draw(16, 1, seed=6) - w[:1]).abs().max()) > 0.1 * float(w.abs().max())
    assert float((w[1] - w[0]).abs().max()) > 0.1 * float(w.abs().max())
    assert float(w.mean((1, 2)).abs().max()) < 1e-15


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize(("n", "m"), [(32, 20), (256, 48), (300, 256), (64, 8)])
def test_resolutions_share_a_field(name: str, n: int, m: int):
    fine, coarse = to_spectrum(RANDOM[name](n, 1)), to_spectrum(RANDOM[name](m, 1))
    inside = Modes.of(m)
    below = (inside.x.abs() < math.pi * m) & (inside.y.abs() < math.pi * m)
    assert float((resample(fine, n, m) * below - coarse).abs().max()) < 1e-15 * n
    assert float((coarse * ~below).abs().max()) < 1e-15 * n


@pytest.mark.parametrize("length", [1.0, 2 * math.pi, 10.0])
def test_mcwilliams_has_the_mean_square_velocity_one_half(length: float):
    w = mcwilliams(256, 2, 3, length)
    u, v = (to_field(x, 256) for x in velocity(to_spectrum(w), Modes.of(256, length=length)))
    assert (u**2 + v**2).mean((1, 2)).tolist() == pytest.approx([0.5, 0.5], abs=1e-12)


def test_mcwilliams_has_its_spectrum():
    w = to_spectrum(mcwilliams(64, 40)).abs().square().mean(0)
    k = (Modes.of(64).square / (4 * math.pi**2)).sqrt()
    shells = [w[(k > a) & (k <= a + 1)].mean() for a in range(1, 20)]
    expected = [((k / (1 + (k / 4) ** 4)) ** 2)[(k > a) & (k <= a + 1)].mean() for a in range(1, 20)]
    ratio = torch.stack(shells) / torch.stack(expected)
    assert float((ratio / ratio.mean() - 1).abs().max()) < 0.35
    assert float((ratio / ratio.mean() - 1)[4:].abs().max()) < 0.2


@pytest.mark.parametrize(("alpha", "tau"), [(2.5, 7.0), (3.0, 3.0)])
def test_gaussian_fields_have_their_variance_and_spectrum(alpha: float, tau: float):
    w = to_spectrum(gaussian_field(32, 100, 1, alpha, tau)).abs().square().mean(0).numpy()
    k = np.hypot(np.arange(17), np.fft.fftfreq(32, 1 / 32)[:, None])
    expected = 2 * tau ** (2 * alpha - 2) * (4 * np.pi**2 * k**2 + tau**2) ** -alpha
    inside = (k > 0) & (np.arange(17) < 16) & (abs(np.fft.fftfreq(32, 1 / 32))[:, None] < 16)
    ratio = w[inside] / expected[inside]
    assert ratio.mean() == pytest.approx(1, abs=0.03)
    assert ratio.std() < 0.15


def test_the_public_generator_has_the_same_law():
    """Re ifft2 of s_k ξ_k, ξ of unit real and imaginary parts, s_k = n² √2 7^1.5 (4π²|k|² + 49)^-1.25: variances agree."""
    n, rng = 64, np.random.default_rng(0)
    k = np.fft.fftfreq(n, 1 / n)
    s = n**2 * 2**0.5 * 7**1.5 * (4 * np.pi**2 * (k[:, None] ** 2 + k**2) + 49) ** -1.25
    s[0, 0] = 0
    theirs = np.fft.ifft2(s * (rng.standard_normal((150, n, n)) + 1j * rng.standard_normal((150, n, n)))).real
    assert float(gaussian_field(n, 60).square().mean()) == pytest.approx((theirs**2).mean(), rel=0.07)


@pytest.mark.parametrize("length", [1.0, 2 * math.pi])
def test_taylor_green(length: float):
    w = taylor_green(24, 3, 1.7, length)
    u, v = (to_field(x, 24) for x in velocity(to_spectrum(w), Modes.of(24, length=length)))
    assert float(u.max()) == pytest.approx(1.7, rel=1e-12)
    assert float(v.max()) == pytest.approx(1.7, rel=1e-12)
    k = 3 * 2 * math.pi / length
    later = taylor_green(24, 3, 1.7, length, viscosity=0.01, drag=0.2, time=0.5)
    assert torch.allclose(later, w * math.exp(-(0.02 * k**2 + 0.2) * 0.5), atol=1e-14)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: mcwilliams(7), "resolution 7"), (lambda: mcwilliams(6), "at least 8"), (lambda: mcwilliams(16, 0), "one sample"),
    (lambda: mcwilliams(16, length=0.0), "length: received 0.0"), (lambda: mcwilliams(16, peak=-1.0), "peak"),
    (lambda: gaussian_field(16, alpha=1.0), "alpha - 1"), (lambda: gaussian_field(16, tau=0.0), "tau"),
    (lambda: gaussian_field(16, length=math.inf), "length"), (lambda: taylor_green(9), "resolution 9"),
    (lambda: taylor_green(12, 4), "wave: received 4 on 12 nodes"), (lambda: taylor_green(12, 0), "wave: received 0"),
])
def test_bad_input(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
