"""Perturb, then diagonalize: any matrix."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import companion, toeplitz

from wellposed.sequence import legs, ptd

N = 64
MATRICES = {
    "jordan": np.diag(np.ones(N - 1), 1), "grcar": np.triu(np.tril(np.ones((N, N)), 3)) - np.diag(np.ones(N - 1), -1),
    "companion": companion(np.concatenate([[1.0], np.random.default_rng(0).standard_normal(N)])),
    "toeplitz": toeplitz(np.r_[0.0, -1, np.zeros(N - 2)], np.r_[0.0, 2, 1, 0.5, np.zeros(N - 4)]), "legs": legs(N).matrix()}


@pytest.mark.parametrize("delta", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("name", MATRICES)
def test_backward_error(name, delta):
    found = ptd(MATRICES[name], delta)
    assert found.backward_error <= 1.05 * delta
    assert found.delta == pytest.approx(delta, rel=1e-9)
    a = MATRICES[name]
    again = found.eigenvectors @ np.diag(found.eigenvalues) @ np.linalg.inv(found.eigenvectors)
    assert np.linalg.norm(again - a, 2) <= 1.1 * delta * np.linalg.norm(a, 2)
    assert found.spectral_abscissa <= found.numerical_abscissa + 1e-9
    assert found.condition == pytest.approx(np.linalg.cond(found.eigenvectors))


@pytest.mark.parametrize("name", MATRICES)
def test_the_size_is_chosen(name):
    assert ptd(MATRICES[name]).backward_error <= 1e-6


def test_the_seed_decides():
    one, two, other = (ptd(MATRICES["jordan"], 1e-3, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.eigenvalues, two.eigenvalues)
    assert not np.array_equal(one.eigenvalues, other.eigenvalues)


def test_optimised_is_better_conditioned():
    a = np.diag(np.ones(11), 1)
    plain, moved = ptd(a, 1e-2), ptd(a, 1e-2, method="optimised")
    assert moved.condition < 0.7 * plain.condition
    assert moved.backward_error <= 1.05e-2
    assert moved.perturbation_norm == pytest.approx(1e-2, rel=1e-6)


def test_a_zero_matrix_and_a_single_number():
    assert np.isfinite(ptd(np.zeros((3, 3)), 1e-3).backward_error)
    assert ptd(np.array([[2.0]]), 1e-3).condition == pytest.approx(1)


@pytest.mark.parametrize(("call", "said"), [
    (lambda: ptd(np.ones(3)), r"shape \(3,\)"), (lambda: ptd(np.ones((2, 3))), r"\(2, 3\)"), (lambda: ptd(np.full((2, 2), np.nan)), "finite"),
    (lambda: ptd(np.eye(2), 0.0), "delta=0.0"), (lambda: ptd(np.eye(2), "big"), "delta='big'"), (lambda: ptd(np.eye(2), method="luck"), "luck")])
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
