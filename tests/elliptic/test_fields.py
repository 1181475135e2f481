"""Random coefficients: seeded sample by sample, positive, of the contrast that was asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from wellposed.elliptic import Darcy, generate
from wellposed.elliptic.fields import FIELDS
from wellposed.numerics.grf import gaussian_field

EACH = pytest.mark.parametrize("field", FIELDS)


def drawn(*arguments, **more) -> np.ndarray:
    return generate(*arguments, **more).coefficient.numpy()


@EACH
def test_sample_k_does_not_depend_on_the_number_of_samples(field: str):
    few, many = drawn(field, 16, 3), drawn(field, 16, 40)  # more than one batch of draws
    assert np.array_equal(few, many[:3])


@EACH
def test_sample_k_does_not_depend_on_who_draws_it(field: str):
    with ThreadPoolExecutor(3) as pool:
        shared = drawn(field, 8, 70, executor=pool)
    assert np.array_equal(shared, drawn(field, 8, 70))


def test_processes_draw_the_same():
    assert np.array_equal(drawn("two-phase", 8, 40, workers=2), drawn("two-phase", 8, 40))


@EACH
def test_seeds_and_samples_differ(field: str):
    first, other = drawn(field, 16, 2, seed=0), drawn(field, 16, 2, seed=1)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


@EACH
@pytest.mark.parametrize("contrast", [1.01, 4.0, 1e4])
def test_positive_and_finite(field: str, contrast: float):
    a = drawn(field, 16, 8, contrast=contrast)
    assert np.isfinite(a).all()
    assert (a > 0).all()


@pytest.mark.parametrize("contrast", [2.0, 4.0, 1e4])
def test_two_phase_takes_two_values(contrast: float):
    a = drawn("two-phase", 16, 4, contrast=contrast)
    assert set(np.unique(a)) == {3.0, 3.0 * contrast}
    assert np.array_equal(a[0] > 3, gaussian_field(16, np.random.default_rng([0, 0])) >= 0)


@pytest.mark.parametrize("contrast", [4.0, 1e4])
def test_contrast_is_exact_or_an_upper_limit(contrast: float):
    smooth, multiscale = drawn("smooth", 16, 4, contrast=contrast), drawn("multiscale", 16, 4, contrast=contrast)
    assert smooth.min() >= 3.0
    assert smooth.max() <= 3.0 * contrast
    assert multiscale.max((1, 2)) / multiscale.min((1, 2)) == pytest.approx(contrast, rel=1e-12)


def test_lognormal_spans_the_contrast_in_four_deviations():
    logs = np.log(drawn("lognormal", 32, 4, contrast=100.0) / 3.0)
    assert logs.std((1, 2)) == pytest.approx(np.log(100) / 4, rel=1e-10)


@pytest.mark.parametrize("field", ["smooth", "lognormal"])
def test_one_seed_is_one_field_at_every_resolution(field: str):
    coarse, fine = drawn(field, 32, 1), drawn(field, 64, 1)
    means = fine.reshape(1, 32, 2, 32, 2).mean((2, 4))
    assert np.abs(means - coarse).mean() < 0.05 * coarse.std()


def test_result_is_a_darcy_problem_in_numpy():
    problem = generate("smooth", 8, 2, source=2.0, boundary={"bottom": "neumann", "right": "dirichlet", "top": "neumann", "left": "dirichlet"})
    assert isinstance(problem, Darcy)
    assert len(problem) == 2
    assert (problem.source == 2.0).all()
    assert problem.sides == ("neumann", "dirichlet", "neumann", "dirichlet")
    assert isinstance(problem.solve(), np.ndarray)


@pytest.mark.parametrize(("arguments", "what"), [
    (("rough", 16, 1), "field: received 'rough', expected one of smooth, two-phase, multiscale, lognormal"),
    (("smooth", 1, 1), "resolution 1"), (("smooth", 16, 0), "samples 0"), (("smooth", 16, 1, 0, 1.0), "contrast 1.0"),
    (("smooth", 16, 1, 0, float("nan")), "contrast nan"), (("smooth", 16, 1, 0, -4.0), "contrast -4.0")])
def test_bad_requests(arguments: tuple, what: str):
    with pytest.raises(ValueError, match=what):
        generate(*arguments)


def test_no_dirichlet_side_needs_a_source_that_balances():
    with pytest.raises(ValueError, match="balance"):
        generate("smooth", 8, 1, boundary="periodic")
    f = np.where(np.arange(8) < 4, 1.0, -1.0)
    assert len(generate("smooth", 8, 2, source=f, boundary="periodic")) == 2
