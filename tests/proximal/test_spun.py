"""Averages over shifts are exact proxes: the same network at a smaller stride."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import wellposed
from wellposed.proximal import LPN
from wellposed.proximal.growth import growth


def test_the_average_over_shifts_is_the_network_at_a_smaller_stride():
    torch.manual_seed(0)
    model = LPN.convolutional(1, 4, kernel=6, stride=2).doubled()
    x = torch.rand(1, 1, 12, 12, dtype=torch.float64)
    wide = functional.pad(x, (8, 8, 8, 8))
    shifts = [(i, j) for i in range(2) for j in range(2)]
    mean = sum(torch.roll(model(torch.roll(wide, s, (2, 3))), (-s[0], -s[1]), (2, 3)) for s in shifts) / 4
    constant = model(torch.zeros_like(wide))[:, :, 8:-8, 8:-8]
    assert torch.allclose(model.spun(1)(x), mean[:, :, 8:-8, 8:-8], atol=1e-12), constant.abs().max()


def test_it_is_certified_like_any_other():
    torch.manual_seed(0)
    spun = LPN.convolutional(1, 4, kernel=6, stride=2).spun(1)
    assert spun.config["stride"] == 1
    assert wellposed.certify(spun).claim("exact_prox").upper == 0.0


def test_other_layouts_and_strides_are_refused():
    with pytest.raises(ValueError, match="expected a convolutional network"):
        LPN(2).spun(1)
    with pytest.raises(ValueError, match="that divides its own"):
        LPN.convolutional(1, 4, stride=4).spun(3)


def test_growth_is_found_by_power_iterations():
    scale = torch.linspace(0.5, 1.5, 9, dtype=torch.float64).view(1, 1, 3, 3)
    found = growth(lambda v: scale * v, torch.ones(1, 1, 3, 3, dtype=torch.float64))
    assert 1.45 < float(found[0]) <= 1.5
