"""Convolutions by blocks against torch's, and the activation with its slope."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from wellposed.proximal import linear_maps
from wellposed.proximal.linear_maps import Convolution
from wellposed.proximal.softplus import Softplus


@pytest.mark.parametrize(("k", "step", "around"), [(8, 4, 4), (8, 4, 2), (4, 2, 0), (6, 3, 1), (8, 2, 3), (4, 4, 0), (1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 0)])
@pytest.mark.parametrize("size", [(17, 22), (16, 24), (23, 9)])
@pytest.mark.parametrize("gathered", [0, linear_maps.GATHERED])
def test_convolutions_are_torchs(k, step, around, size, gathered, monkeypatch):
    monkeypatch.setattr(linear_maps, "GATHERED", gathered)  # by blocks, or by gathered patches
    g = torch.Generator().manual_seed(0)
    w, x = (torch.randn(*shape, dtype=torch.float64, generator=g) for shape in ((5, 3, k, k), (2, 3, *size)))
    own, expected = Convolution(step, around).apply(w, x), functional.conv2d(x, w, stride=step, padding=around)
    assert own.shape == expected.shape
    assert torch.allclose(own, expected, rtol=0, atol=1e-12)
    y = torch.randn(own.shape, dtype=torch.float64, generator=g)
    rest = [(n + 2 * around - k) % step for n in size]
    back = Convolution(step, around).transpose(w, y, x.shape[1:])
    assert torch.allclose(back, functional.conv_transpose2d(y, w, stride=step, padding=around, output_padding=rest), rtol=0, atol=1e-12)
    assert (own * y).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-11, abs=1e-11)
    of_weights = Convolution(step, around).of_weights(w, x, y)
    assert torch.allclose(of_weights, torch.autograd.functional.vjp(lambda v: Convolution(step, around).apply(v, x), w, y)[1], atol=1e-11)


def test_the_activation_and_its_slope_have_all_derivatives():
    g, t = Softplus(3.0), torch.linspace(-2, 2, 9, dtype=torch.float64, requires_grad=True)
    value, slope = g.both(t)
    assert torch.equal(value, g.value(t))
    assert torch.equal(slope, g.slope(t))
    assert torch.autograd.gradcheck(g.both, (t,))
    assert torch.autograd.gradgradcheck(g.both, (t,))
    assert torch.autograd.gradcheck(g.both, (t,), check_forward_ad=True, check_backward_ad=False)
    each = torch.func.vmap(lambda s: g.both(s))(t)
    assert torch.allclose(each[0], value)
    tangent = torch.func.jvp(g.both, (t,), (torch.ones_like(t),))[1]
    assert torch.allclose(tangent[0], slope)
    assert torch.allclose(tangent[1], 3.0 * slope * (1 - slope))
