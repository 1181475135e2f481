"""HiPPO in normal plus low-rank form, and the damped family with its theorem."""

from __future__ import annotations

import numpy as np
import pytest

from wellposed.sequence import damped_hippo, lagt, legs, legt
from wellposed.sequence.bank import merging
from wellposed.sequence.hippo import MEASURES

SIZES = (1, 2, 3, 8, 17, 64)


def written_out(measure: str, n: int) -> np.ndarray:
    """The definitions, entry by entry."""
    a = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            r = np.sqrt((2 * i + 1) * (2 * j + 1))
            if measure == "legs":
                a[i, j] = -r if i > j else -(i + 1) if i == j else 0
            elif measure == "lagt":
                a[i, j] = -1 if i > j else -0.5 if i == j else 0
            else:
                a[i, j] = -r if i >= j else -((-1) ** (i - j)) * r
    return a


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("measure", MEASURES)
def test_matrices_are_normal_less_a_low_rank(measure, n):
    system = MEASURES[measure](n)
    size = np.linalg.norm(written_out(measure, n))
    np.testing.assert_allclose(system.matrix(), written_out(measure, n), atol=1e-14 * size)
    normal = system.normal
    np.testing.assert_allclose(normal @ normal.T, normal.T @ normal, atol=1e-13 * size**2)
    assert system.low_rank.shape == (n, min(n, 2) if measure == "legt" else 1)
    assert len(system) == n
    assert all(x.dtype == np.float64 for x in (system.normal, system.low_rank, system.B))
    coordinates = np.linalg.lstsq(system.low_rank, system.B, rcond=None)[0]
    np.testing.assert_allclose(system.low_rank @ coordinates, system.B, atol=1e-12)  # b lies in the low rank


def test_legs_has_the_eigenvalues_that_it_has():
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(legs(6).matrix()).real), -np.arange(6, 0, -1), rtol=1e-9)


@pytest.mark.parametrize("theta", [0.2, 0.1, 0.05])
@pytest.mark.parametrize("n", [16, 17, 33, 64, 65, 128, 255, 256])
def test_the_damped_family(n, theta):
    bank, system = damped_hippo(n, theta), legs(n)
    a = system.normal - (1 - theta) * system.low_rank @ system.low_rank.T
    v, values = bank.eigenvectors, bank.eigenvalues
    assert bank.condition <= (2 - theta) / theta
    assert values.real.max() <= -0.5
    assert np.linalg.norm(a @ v - v * values, 2) <= 1e-12 * np.linalg.norm(a, 2)
    np.testing.assert_allclose(np.linalg.norm(v, axis=0), 1, rtol=1e-13)
    np.testing.assert_allclose(v @ bank.B, (1 - theta / 2) * system.B, atol=1e-11 * n)


@pytest.mark.parametrize(("gain", "bound"), [("dc", lambda t: t / (2 * (1 - t))), ("minimax", lambda t: t / (2 - t))])
@pytest.mark.parametrize("measure", ["legs", "lagt"])
@pytest.mark.parametrize("n", [5, 16, 64])
def test_the_theorem(n, measure, gain, bound):
    theta, system = 0.1, MEASURES[measure](n)
    bank = damped_hippo(n, theta, measure, gain)
    frequencies = np.concatenate([[0.0], np.geomspace(1e-3, 1e5, 60)])
    for w in frequencies if measure == "legs" else frequencies[1:]:
        x = np.linalg.solve(1j * w * np.eye(n) - system.matrix(), system.B)
        y = bank.eigenvectors @ (bank.B / (1j * w - bank.eigenvalues))
        assert np.linalg.norm(x - y) <= bound(theta) * np.linalg.norm(x) * (1 + 1e-6) + 1e-12
    if gain == "dc" and measure == "legs":
        still = np.linalg.solve(-system.matrix(), system.B)
        assert np.linalg.norm(still - bank.eigenvectors @ (bank.B / -bank.eigenvalues)) <= 1e-9


def test_theta_one_is_the_normal_part():
    bank = damped_hippo(32, 1.0)
    np.testing.assert_allclose(bank.condition, 1, rtol=1e-12)
    np.testing.assert_allclose(bank.eigenvalues.real, -0.5, atol=1e-12)


@pytest.mark.parametrize(("n", "theta"), [(2, 0.134), (4, 0.0454), (8, 0.0171), (16, 0.0068), (3, 0.0189)])
def test_where_eigenvalues_merge(n, theta):
    assert merging(n) == pytest.approx(theta, abs=1e-4)


@pytest.mark.parametrize(("call", "said"), [
    (lambda: legs(0), "n=0"), (lambda: lagt(2.5), "n=2.5"), (lambda: legt(True), "n=True"), (lambda: damped_hippo(8, 0.0), "theta=0.0"),
    (lambda: damped_hippo(8, 1.5), "theta=1.5"), (lambda: damped_hippo(8, 0.1, gain="ac"), "'ac'"),
    (lambda: damped_hippo(8, 1.0, gain="minimax"), "below 1"), (lambda: damped_hippo(8, 0.1, "legq"), "legq"),
    (lambda: damped_hippo(2, 0.1), "two eigenvalues merge at 0.13")])
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
