"""Total variation and wavelets: their transforms are what they are said to be, and they minimise what they say."""

from __future__ import annotations

import pytest
import torch

from wellposed.proximal import total_variation as tv
from wellposed.proximal import wavelets
from wellposed.proximal.baselines import oracle, psnr, total_variation, wavelet_shrinkage
from wellposed.proximal.data_terms import LeastSquares
from wellposed.proximal.phantoms import ellipses
from wellposed.proximal.physics import Mask
from wellposed.proximal.problem import Inverse

SIZE, NOISE, WEIGHT = 16, 0.05, 0.03
CLEAN = ellipses(SIZE, 2, seed=5)


@pytest.fixture(scope="module")
def problem() -> Inverse:
    g = torch.Generator().manual_seed(0)
    physics = Mask((torch.rand(SIZE, SIZE, generator=g) > 0.2).double())
    y = physics.A(CLEAN)
    return Inverse(physics, y + NOISE * torch.randn(y.shape, dtype=y.dtype, generator=g), NOISE)


def energy(problem: Inverse, x: torch.Tensor) -> torch.Tensor:
    return LeastSquares(problem).at(x).value + WEIGHT * tv.gradient(x).square().sum((0, 2)).sqrt().flatten(1).sum(1)


def test_the_divergence_is_the_transpose_of_the_gradient() -> None:
    g = torch.Generator().manual_seed(1)
    x, d = torch.randn(2, 1, 7, 5, generator=g), torch.randn(2, 2, 1, 7, 5, generator=g)
    torch.testing.assert_close((tv.gradient(x) * d).sum(), (x * tv.divergence_adjoint(d)).sum())


@pytest.mark.parametrize("filters", list(wavelets.FILTERS))
@pytest.mark.parametrize("shape", [(16, 16), (24, 8), (12, 20)])
def test_wavelets_are_orthonormal(filters: str, shape: tuple[int, int]) -> None:
    x, levels = torch.randn(3, *shape, dtype=torch.float64), wavelets.levels_of(shape)
    assert levels >= 2
    c = wavelets.analysis(x, levels, filters)
    torch.testing.assert_close(c.norm(), x.norm())
    torch.testing.assert_close(wavelets.synthesis(c, levels, filters), x)
    smooth = wavelets.analysis(torch.ones_like(x), levels, filters)
    smooth[..., : shape[0] >> levels, : shape[1] >> levels] = 0
    assert float(smooth.abs().max()) < 1e-12


def test_total_variation_is_a_minimum(problem: Inverse) -> None:
    x = total_variation(problem, WEIGHT, steps=1500, tol=1e-10)
    least, g = energy(problem, x), torch.Generator().manual_seed(2)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(5):
            other = x + size * torch.randn(x.shape, dtype=x.dtype, generator=g)
            assert bool((energy(problem, other) > least).all())
    for other in (CLEAN, problem.measurement, x.mean((2, 3), keepdim=True).expand_as(x), 0.99 * x, 1.01 * x):
        assert bool((energy(problem, other) > least).all())
    torch.testing.assert_close(energy(problem, total_variation(problem, WEIGHT)), least, rtol=1e-3, atol=0)


def test_wavelet_shrinkage_of_noise_alone_is_soft_thresholding() -> None:
    problem = Inverse(Mask(torch.ones(SIZE, SIZE)), CLEAN + 0.1, NOISE)
    x = wavelet_shrinkage(problem, WEIGHT, steps=2000, tol=1e-12, shifts=1)
    torch.testing.assert_close(x, wavelets.soft_threshold(CLEAN + 0.1, WEIGHT, wavelets.levels_of((SIZE, SIZE))), rtol=0, atol=1e-8)


def test_both_improve_and_the_oracle_finds_the_best_weight(problem: Inverse) -> None:
    before = float(psnr(problem.measurement, CLEAN).mean())
    for method in (total_variation, wavelet_shrinkage):
        found = oracle(lambda w, m=method: m(problem, w, steps=60), CLEAN, grid=(0.003, 0.03, 0.3), halvings=1)
        assert found.psnr > before + 3
        assert found.psnr == pytest.approx(float(psnr(found.image, CLEAN).mean()))
        assert all(found.psnr >= float(psnr(method(problem, w, steps=60), CLEAN).mean()) for w in (0.003, 0.03, 0.3))


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_weights_are_refused(problem: Inverse, weight: float) -> None:
    for method in (total_variation, wavelet_shrinkage):
        with pytest.raises(ValueError, match="weight: received"):
            method(problem, weight)


def test_images_of_odd_sides_have_no_wavelets() -> None:
    with pytest.raises(ValueError, match="expected even ones"):
        wavelet_shrinkage(Inverse(Mask(torch.ones(7, 7)), torch.zeros(1, 1, 7, 7), NOISE), WEIGHT)
