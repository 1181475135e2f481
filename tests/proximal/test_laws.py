"""Laws of one dimension: densities, samples, proximal operators, and what the best denoisers would answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wellposed.proximal.floors import floor, prior_of, up_to_constant
from wellposed.proximal.laws import GaussianMixture, Laplace, Product, StudentT, Uniform, strata, stratified

LAWS = [Laplace(0.7), Uniform(-1.0, 2.0), StudentT(3.0, 0.8), GaussianMixture(), GaussianMixture((0.2, 0.5, 0.3), (-2.0, 0.0, 3.0), (0.3, 1.0, 0.2))]
Y = torch.linspace(-6, 6, 241, dtype=torch.float64)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_densities_have_mass_one_and_fit_their_quantiles(law):
    p = torch.linspace(0.001, 0.999, 4001, dtype=torch.float64)
    x = law.quantile(p)
    middle = 0.5 * (x[1:] + x[:-1])
    mass = torch.exp(-law.negative_log_density(middle)) * x.diff()
    away = torch.stack([((x[:-1] - k) * (x[1:] - k) > 0) for k in law.kinks or (1e9,)]).all(0)
    assert torch.allclose(mass[away], p.diff()[away], rtol=2e-2)
    assert float(mass.sum()) == pytest.approx(0.998, abs=1e-3)


@pytest.mark.parametrize("law", LAWS, ids=repr)
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_the_prox_is_the_global_minimiser(law, sigma):
    x = law.prox(Y, sigma)
    at = torch.linspace(-8, 8, 6401, dtype=torch.float64)
    energies = 0.5 * (at - Y[:, None]).square() + sigma**2 * law.negative_log_density(at)
    assert bool((0.5 * (x - Y).square() + sigma**2 * law.negative_log_density(x) <= energies.min(1).values + 1e-12).all())
    assert bool((x.diff() >= -1e-12).all())


@pytest.mark.parametrize("law", [
    GaussianMixture((0.1, 0.4, 0.5), (0.01, 0.0, 0.0), (1e-3, 10.0, 0.05)), GaussianMixture((0.5, 0.5), (0.0, 1000.0), (1e-3, 1e-3)),
    GaussianMixture((0.3, 0.3, 0.4), (0.2, 0.0, 0.1), (1e-5, 1.0, 0.01)), GaussianMixture((1.0,), (0.0,), (1.0,))], ids=repr)
def test_quantiles_of_nested_mixtures(law):
    """A narrow law in a wide one: Newton's method by itself goes round in circles."""
    p = torch.cat([torch.linspace(1e-4, 1 - 1e-4, 4001, dtype=torch.float64), torch.tensor([1e-12, 1 - 1e-12], dtype=torch.float64)])
    x = law.quantile(p)
    away = (law._cumulative(x) - p).abs()
    assert bool((away <= 1e-9 * torch.minimum(p, 1 - p) + 1e-15).all())
    assert torch.equal(law.quantile(p[-1:]), x[-1:])
    assert bool((x[:-2].diff() >= 0).all())


def test_soft_thresholding():
    assert torch.equal(Laplace(0.5).prox(torch.tensor([-3.0, 0.1, 2.5]), 1.0), torch.tensor([-1.0, 0.0, 0.5]))


def test_samples_fill_their_law_evenly():
    x = stratified(Product(Laplace(), 3), 1000, np.random.default_rng(0))
    assert x.shape == (1000, 3)
    assert x.dtype == torch.float64
    levels = Laplace().quantile(torch.linspace(0.1, 0.9, 9, dtype=torch.float64))
    counts = (x[:, :, None] < levels).sum(0)
    assert bool(((counts - torch.arange(100, 1000, 100)).abs() <= 1).all())
    assert float(torch.corrcoef(x.T).fill_diagonal_(0).abs().max()) < 0.15
    assert sorted((strata(50, np.random.default_rng(1)) * 50).long().tolist()) == list(range(50))


@pytest.mark.parametrize(("loss", "largest", "mean"), [(1.0, 0.408, 0.134), (0.3, 0.235, 0.052), (0.1, 0.111, 0.018), ("l1", 0.429, 0.161), ("l2", 0.503, 0.210)])
def test_the_floor_of_the_laplace_law(loss, largest, mean):
    found = floor(Laplace(), 1.0, loss, torch.linspace(-3, 3, 301, dtype=torch.float64))
    assert found.within(3.0) == (pytest.approx(largest, abs=2.5e-3), pytest.approx(mean, abs=2.5e-3))


def test_floors_of_gaussians_are_known():
    """The posterior is Gaussian: mode, median and mean are one, and the mollified mode is there too."""
    law, y = GaussianMixture((1.0,), (0.5,), (2.0,)), Y[::10]
    exact = (4 * y + 0.5) / 5
    assert torch.allclose(law.prox(y, 1.0), exact, atol=1e-9)
    for loss in (0.3, "l1", "l2"):
        found = floor(law, 1.0, loss, y)
        assert torch.allclose(found.best, exact, atol=1e-4)
    assert torch.allclose(found.density, torch.exp(-((y - 0.5) ** 2) / 10) / (10 * torch.pi) ** 0.5, atol=1e-9)


def test_an_unknown_loss():
    with pytest.raises(ValueError, match="floor: received loss='huber'"):
        floor(Laplace(), 1.0, "huber", Y)


def test_the_prior_of_soft_thresholding():
    y = torch.linspace(-5, 5, 2001, dtype=torch.float64)
    z, r = prior_of(y, Laplace().prox(y, 1.0))
    assert up_to_constant(r, z.abs()) < 1e-4
    assert up_to_constant(r + 3, 2 * z.abs()) == pytest.approx(2.0, abs=1e-3)
