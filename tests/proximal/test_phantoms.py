"""Phantoms: one seed is one image at every size, and sinograms that no inverse crime has made."""

from __future__ import annotations

import math

import pytest
import torch

from wellposed.proximal.phantoms import ellipses, simulate
from wellposed.proximal.physics import Radon


def test_sample_k_depends_on_seed_and_k_alone():
    x = ellipses(24, 3, seed=5)
    assert x.shape == (3, 1, 24, 24)
    assert x.dtype == torch.float64
    assert torch.equal(ellipses(24, 2, seed=5), x[:2])
    assert not torch.equal(ellipses(24, 1, seed=6), x[:1])
    assert float((x[1] - x[0]).abs().max()) > 0.1


def test_values_are_about_those_of_images():
    x = ellipses(32, 40)
    assert float(x.median()) >= 0
    assert float(x.min()) > -0.6
    assert 0.5 < float(x.max()) < 2
    assert float(x[:, :, 0].abs().max()) == 0  # nothing at the sides
    assert 0.25 < float((x != 0).double().mean()) < 0.75


def test_sizes_share_a_phantom():
    fine, coarse = ellipses(128, 4, 1), ellipses(32, 4, 1)
    averaged = torch.nn.functional.avg_pool2d(fine, 4)
    assert float((averaged - coarse).square().mean().sqrt()) < 0.04  # edges are two pixels wide, of either
    assert float(averaged.std()) > 0.1


@pytest.mark.parametrize(("size", "oversampling"), [(24, 2), (25, 3), (32, 4)])
def test_sinograms_are_near_those_of_the_matrix_and_not_the_same(size: int, oversampling: int):
    radon = Radon(size, 10)
    x, y = simulate(radon, 3, seed=2, oversampling=oversampling)
    assert torch.equal(x, ellipses(size, 3, seed=2))
    assert y.shape == (3, *radon.measurement_shape)
    own = radon.A(x)
    off = float((y - own).norm() / own.norm())
    assert 1e-4 < off < 0.01
    assert torch.allclose(y.sum((1, 2, 3)), own.sum((1, 2, 3)), rtol=3e-3)


def test_noise_has_its_standard_deviation():
    radon = Radon(32, 20)
    _, clean = simulate(radon, 4, seed=1)
    _, noisy = simulate(radon, 4, seed=1, noise=0.05)
    assert float((noisy - clean).std()) == pytest.approx(0.05, rel=0.05)
    assert torch.equal(simulate(radon, 4, seed=1, noise=0.05)[1], noisy)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: ellipses(0), "size: received 0"), (lambda: ellipses(8, 0), "samples: received 0"),
    (lambda: simulate(Radon(8, 3), noise=-1.0), "noise=-1.0"), (lambda: simulate(Radon(8, 3), noise=math.nan), "noise=nan"),
    (lambda: simulate(Radon(8, 3), oversampling=1), "share a matrix"),
])
def test_bad_input(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
