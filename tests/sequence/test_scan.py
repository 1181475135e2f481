"""Recurrences and kernels in real pairs, beside the same as it is written."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wellposed.sequence import scan as scans
from wellposed.sequence.discretization import RULES, discretize
from wellposed.sequence.kernel import convolve, filtered, kernel, vandermonde
from wellposed.sequence.pairs import conj, mul, pair, powers, unpair
from wellposed.sequence.scan import recurrence, scan, stepwise
from wellposed.sequence.varying import varying_scan

LENGTHS = (1, 2, 3, 15, 16, 17, 63, 64, 65, 200, 257)


def pairs(*shape: int) -> Tensor:
    return torch.randn(2, *shape, dtype=torch.float64)


def multipliers(*shape: int) -> Tensor:
    """Inside the unit circle."""
    radius, angle = 0.5 + 0.499 * torch.rand(*shape, dtype=torch.float64), 6.3 * torch.rand(*shape, dtype=torch.float64)
    return torch.stack([radius * angle.cos(), radius * angle.sin()])


def close(one: Tensor, two: Tensor, tolerance: float = 1e-12) -> None:
    assert one.shape == two.shape
    assert float((one - two).detach().abs().max()) <= tolerance * float(two.detach().abs().max())


def test_pairs_are_complex_numbers():
    a, b = pairs(3, 4), pairs(3, 4)
    assert torch.allclose(pair(unpair(a) * unpair(b)), mul(a, b), rtol=0, atol=1e-14)
    assert torch.equal(pair(unpair(a).conj()), conj(a))
    z = multipliers(5)
    for count in (1, 2, 7, 300):
        expected = pair(unpair(z)[:, None] ** torch.arange(count).numpy())
        close(powers(z, count), expected, 1e-13)


@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("length", LENGTHS)
def test_all_recurrences_agree(length, start):
    torch.manual_seed(length)
    m, b, first = multipliers(3), pairs(3, 2, length), pairs(3, 2) if start else None
    expected = stepwise(m, b, first)
    close(scan(m, b, first), expected)
    close(recurrence(m, b, first), expected)
    at_every_step = m[..., None, None].expand(b.shape)
    close(varying_scan(at_every_step, b, pairs(3, 2) * 0 if first is None else first), expected)
    if not start:
        close(filtered(m, b), expected)
    close(scan(m, b.float(), None if first is None else first.float()).double(), expected, 2e-5)


@pytest.mark.parametrize("start", [False, True])
def test_backwards_is_forwards_reversed(start):
    m, b, first = multipliers(3), pairs(3, 2, 77), pairs(3, 2) if start else None
    close(recurrence(m, b, first, backwards=True), stepwise(m, b.flip(-1), first).flip(-1))


@pytest.mark.parametrize("length", [1, 3, 40])
def test_gradients_of_the_scan(length):
    m, b, first = (x.requires_grad_() for x in (multipliers(2), pairs(2, 2, length), pairs(2, 2)))
    assert torch.autograd.gradcheck(scan, (m, b, first), fast_mode=length > 3)
    assert torch.autograd.gradcheck(lambda m, b: scan(m, b), (m, b), fast_mode=True)
    assert torch.autograd.gradgradcheck(scan, (m, b, first), fast_mode=True)


@pytest.mark.parametrize("length", [1, 5, 17])
def test_gradients_of_the_varying_scan(length):
    m, b, first = (x.requires_grad_() for x in (multipliers(2, 1, length), pairs(2, 1, length), pairs(2, 1)))
    assert torch.autograd.gradcheck(varying_scan, (m, b, first), fast_mode=length > 5)
    assert torch.autograd.gradgradcheck(varying_scan, (m, b, first), fast_mode=True)


@pytest.mark.parametrize("length", [1, 100, 128, 129, 700])
def test_kernels_and_convolutions_as_they_are_written(length):
    residue, m = pairs(3, 4), multipliers(3, 4)
    expected = vandermonde(residue, m, length)
    close(kernel(residue, m, length, torch.float64), expected)
    close(kernel(residue, m, length).double(), expected, 1e-5)
    u, forward, backward = (torch.randn(3, length, dtype=torch.float64) for _ in range(3))
    ahead = torch.stack([(forward[:, : k + 1].flip(-1) * u[:, : k + 1]).sum(-1) for k in range(length)], -1)
    behind = torch.stack([(backward[:, : length - k] * u[:, k:]).sum(-1) for k in range(length)], -1)
    close(convolve(u[None], forward)[0], ahead)
    close(convolve(u[None], forward, backward)[0], ahead + behind)


@pytest.mark.parametrize("rule", RULES)
def test_discretizations_are_what_they_say(rule):
    decay, frequency, step = (torch.randn(50, dtype=torch.float64) for _ in range(3))
    z = (torch.complex(-decay.exp(), frequency) * step.exp()).numpy()
    expected = torch.from_numpy(z).exp() if rule == "zoh" else torch.from_numpy((1 + z / 2) / (1 - z / 2))
    gain = step.exp() * ((expected - 1) / torch.from_numpy(z) if rule == "zoh" else torch.from_numpy(1 / (1 - z / 2)))
    found = discretize(decay, frequency, step, rule)
    close(found.multiplier, torch.stack([expected.real, expected.imag]))
    close(found.gain, torch.stack([gain.real, gain.imag]), 1e-11)


def test_small_steps_lose_no_digits():
    """(exp(z) - 1) / Lambda at z = 1e-4: in float32 four digits would be gone."""
    found = discretize(torch.zeros(1), torch.ones(1), torch.full((1,), -9.2))
    step = torch.tensor(-9.2).double().exp()
    z = torch.complex(-step, step)
    series = step * (1 + z / 2 * (1 + z / 3 * (1 + z / 4)))
    close(found.gain, torch.stack([series.real, series.imag])[:, None], 1e-14)



@pytest.mark.parametrize("broken", [
    lambda factor, ends, start, backwards: torch.zeros_like(ends),
    lambda factor, ends, start, backwards: ends,
    lambda factor, ends, start, backwards: stepwise(conj(factor), ends, start).roll(1, -1)],
    ids=["dropped", "not shifted", "conjugate"])
def test_a_broken_carry_would_be_seen(broken, monkeypatch):
    m, b = multipliers(3), pairs(3, 2, 65)
    expected = stepwise(m, b)
    monkeypatch.setattr(scans, "_carried", broken)
    with pytest.raises(AssertionError):
        close(scan(m, b), expected)
