"""Gaussian random fields: the law they are drawn from, and one function at every resolution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn

from wellposed.numerics.grf import MODES, gaussian_field


def test_the_seed_decides():
    fields = [gaussian_field(16, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    assert np.array_equal(fields[0], fields[1])
    assert not np.array_equal(fields[0], fields[2])


@pytest.mark.parametrize(("coarse", "fine"), [(16, 32), (8, 64)])
def test_one_seed_is_one_function_at_every_resolution(coarse: int, fine: int):
    """The coefficients of the modes cos(pi j x) cos(pi k y) that both resolutions hold agree."""
    modes = [dctn(gaussian_field(n, np.random.default_rng(0)), norm="ortho")[:coarse, :coarse] / n for n in (coarse, fine)]
    assert modes[0] == pytest.approx(modes[1], abs=1e-14)


def test_variance_of_modes_is_that_of_the_covariance():
    """n tau^(alpha-1) (pi^2 |k|^2 + tau^2)^(-alpha/2) is the standard deviation of the mode's coefficient."""
    draws = np.stack([dctn(gaussian_field(8, np.random.default_rng(seed)), norm="ortho") for seed in range(60)])
    k = np.arange(8) ** 2
    expected = 8 * 3.0 / (np.pi**2 * (k[:, None] + k) + 9.0)
    expected[0, 0] = 0.0
    scaled = draws[:, expected > 0] / expected[expected > 0]
    assert np.abs(draws[:, 0, 0]).max() < 1e-14
    assert scaled.std() == pytest.approx(1.0, abs=0.05)
    assert scaled.mean() == pytest.approx(0.0, abs=0.05)


def test_resolutions_beyond_the_block_of_modes():
    n = MODES + 16
    field = gaussian_field(n, np.random.default_rng(0))
    coarse = dctn(gaussian_field(32, np.random.default_rng(0)), norm="ortho")
    assert field.shape == (n, n)
    assert dctn(field, norm="ortho")[:32, :32] / n == pytest.approx(coarse / 32, abs=1e-13)
