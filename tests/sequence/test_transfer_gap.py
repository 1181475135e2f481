"""The gap is enclosed, and the enclosure is one: against grids, an independent bisection, and references solved directly."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from wellposed.sequence import Bank, damped_hippo, lagt, legs, transfer_gap
from wellposed.sequence.transfer_gap import enclose, peak_gain
from wellposed_check.sequence import transfer

MATRICES = {"legs": legs, "lagt": lagt}


def on_grid(bank, reference, frequencies):
    """The error at each frequency, by closed forms that tests check against direct solves."""
    system = transfer.REFERENCES[reference](len(bank.B))
    x = system.state(frequencies)[0]
    y = bank.eigenvectors @ (bank.B[:, None] / (1j * frequencies - bank.eigenvalues[:, None]))
    return np.linalg.norm(x - y, axis=0) / np.linalg.norm(system.b)


def bisected(bank, reference, tol=1e-7):
    """The H-infinity norm by the Hamiltonian matrix of Boyd, Balakrishnan and Kabamba, which shares nothing with branch and bound."""
    system, n = MATRICES[reference](len(bank.B)), len(bank.B)
    a = np.zeros((2 * n, 2 * n), complex)
    a[:n, :n], a[n:, n:] = system.matrix(), np.diag(bank.eigenvalues)
    b = np.concatenate([system.B, bank.B])[:, None] / np.linalg.norm(system.B)
    c = np.hstack([np.eye(n), -bank.eigenvectors])
    low, high = float(on_grid(bank, reference, np.linspace(-1e4, 1e4, 4001)).max()), 10.0
    while high > low * (1 + tol):
        middle = np.sqrt(low * high)
        h = np.block([[a, b @ b.conj().T / middle], [-c.conj().T @ c / middle, -a.conj().T]])
        values = np.linalg.eigvals(h)
        crosses = (np.abs(values.real) < 1e-7 * np.abs(values).max()).any()
        low, high = (middle, high) if crosses else (low, middle)
    return low, high


@pytest.mark.parametrize("n", [1, 2, 7, 24])
@pytest.mark.parametrize("reference", MATRICES)
def test_closed_forms_against_solves(reference, n):
    frequencies = np.array([-300.0, -2.0, -0.3, 0.0, 1e-3, 0.5, 7.0, 1e4])
    system, a = transfer.REFERENCES[reference](n), MATRICES[reference](n).matrix()
    np.testing.assert_array_equal(system.b, MATRICES[reference](n).B)
    x, dx, *_ = system.state(frequencies)
    for k, w in enumerate(frequencies):
        solve = 1j * w * np.eye(n) - a
        direct = np.linalg.solve(solve, system.b)
        second = -2 * np.linalg.solve(solve, np.linalg.solve(solve, direct))
        np.testing.assert_allclose(x[:, k], direct, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(dx[:, k], -1j * np.linalg.solve(solve, direct), rtol=1e-8, atol=1e-11)
        assert np.linalg.norm(direct) <= system.size(np.abs(frequencies[k : k + 1]))[0]
        assert np.linalg.norm(second) <= system.bend(np.abs(frequencies[k : k + 1]))[0] * (1 + 1e-9)


@pytest.mark.parametrize(("theta", "expected"), [(1.0, 0.63598), (0.1, 4.2675e-4)])
def test_known_values(theta, expected):
    lower, upper = transfer_gap(damped_hippo(64, theta))
    assert lower <= upper <= lower * (1 + 1e-4)
    assert (lower + upper) / 2 == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("reference", "theta"), [("legs", 1.0), ("legs", 0.3), ("legs", 0.1), ("lagt", 0.3), ("lagt", 0.1)])
@pytest.mark.parametrize("n", [4, 15, 32])
def test_it_holds_the_maximum_of_a_grid(reference, theta, n):
    """S4D of LagT has its eigenvalues on the axis: it is not stable."""
    bank = damped_hippo(n, theta, reference)
    lower, upper = transfer_gap(bank, reference)
    grid = np.concatenate([np.linspace(-4 * n, 4 * n, 10_000), np.geomspace(1e-3, 10 * n**2, 5_000), -np.geomspace(1e-3, 10 * n**2, 5_000)])
    highest = on_grid(bank, reference, grid).max()
    assert highest <= upper
    assert highest >= 0.9 * lower
    low, high = bisected(bank, reference)
    assert low <= upper * (1 + 1e-6)
    assert high >= lower * (1 - 1e-6)


def test_anyones_bank():
    """Random stable banks, without conjugate symmetry and with eigenvectors that are not well conditioned."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        n = int(rng.integers(1, 10))
        values = -rng.uniform(0.01, 5, n) + 1j * rng.normal(0, 20, n)
        bank = SimpleNamespace(eigenvalues=values, eigenvectors=rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n)),
                               B=rng.normal(size=n) + 1j * rng.normal(size=n))
        lower, upper = transfer_gap(bank, rtol=1e-3)
        grid = np.concatenate([np.linspace(-100, 100, 20_000), *(v.imag + np.abs(v.real) * np.linspace(-3, 3, 300) for v in values)])
        highest = on_grid(bank, "legs", grid).max()
        assert 0.99 * lower <= highest <= upper


def test_unstable_is_called_unstable():
    rng = np.random.default_rng(6)
    for _ in range(1000):
        n = int(rng.integers(1, 6))
        values = -rng.uniform(0, 5, n) + 1j * rng.normal(0, 20, n)
        values[rng.integers(n)] = rng.choice([0.0, 1e-300, rng.uniform(0, 9)]) + 1j * rng.normal()
        with pytest.raises(ValueError, match="unstable"):
            transfer_gap(Bank(values, np.eye(n, dtype=complex), np.ones(n, complex)))


def test_the_exact_system_has_a_gap_of_rounding():
    n = 4
    values, vectors = np.linalg.eig(legs(n).matrix())
    vectors = vectors / np.linalg.norm(vectors, axis=0)
    lower, upper = transfer_gap(Bank(values.astype(complex), vectors.astype(complex), np.linalg.solve(vectors, legs(n).B).astype(complex)))
    assert lower <= upper <= 1e-6  # of a peak of 1/4: as many intervals as there may be


def test_the_intervals_prove_it_again():
    found = enclose(damped_hippo(48, 0.1))
    system = transfer.legs(48)
    again = transfer.gap(system, transfer.Bank(*vars(damped_hippo(48, 0.1)).values()), found.edges)
    assert (again.least.max(), max(again.most.max(), again.beyond)) == pytest.approx(found.gap, rel=1e-12)
    assert on_grid(damped_hippo(48, 0.1), "legs", np.array([found.peak]))[0] == pytest.approx(found.gap.lower, rel=1e-9)
    assert peak_gain(system) == pytest.approx(1 / 48)


@pytest.mark.parametrize(("call", "said"), [
    (lambda b: transfer_gap(b, "legt"), "'legt'"), (lambda b: transfer_gap(b, rtol=0), "rtol=0"),
    (lambda b: transfer_gap(Bank(b.eigenvalues[:2], b.eigenvectors, b.B)), r"eigenvalues \(2,\)"),
    (lambda b: transfer_gap(Bank(b.eigenvalues, b.eigenvectors, b.B * np.nan)), "not finite"),
    (lambda b: transfer_gap(Bank(b.eigenvalues[::2], b.eigenvectors[:, ::2], b.B[::2])), "conjugate pair")])
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call(damped_hippo(8, 0.2))
