"""Tilings: gradients of convex potentials where every pixel is covered equally often, and no gradients where it is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from wellposed.proximal import LPN
from wellposed.proximal.tiling import AveragedByCount, Tiled


def shaken(model: LPN, seed: int = 0) -> LPN:
    """A network whose weights have been somewhere: no symmetry of an initialisation is left."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * p.abs().mean().clamp(min=0.05) * torch.randn(p.shape, generator=generator))
    return model.doubled()


def small(**options: Any) -> LPN:
    torch.manual_seed(0)
    return shaken(LPN.convolutional(1, width=6, kernel=4, stride=2, **options))


def wide_digits() -> LPN:
    """The published net, with weights of the size that training gives rather than those of its initialisation."""
    torch.manual_seed(0)
    model = LPN.published("digits", width=4)
    with torch.no_grad():
        for layer in model.net.ordered():
            for root in (layer.root, layer.readout_root):
                if root is not None:
                    root.copy_(0.3 * torch.rand_like(root))
    return shaken(model)


def jacobian(f: Any, x: Tensor) -> Tensor:
    found = torch.autograd.functional.jacobian(lambda y: f(y[None])[0], x, vectorize=x.numel() > 100)
    return found.detach().reshape(x.numel(), x.numel())


def asymmetry(j: Tensor) -> float:
    return float((j - j.T).abs().max() / j.abs().max())


def measured(f: Any, x: Tensor, seed: int = 1) -> tuple[float, float]:
    """Relative asymmetry, and the smaller Rayleigh quotient, at two random directions of a large image."""
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(x.shape, generator=generator, dtype=x.dtype) for _ in range(2))
    j = f.linearize(x)
    ja, jb = j @ a, j @ b
    skew = (torch.sum(b * ja) - torch.sum(a * jb)).abs() / (ja.norm() * jb.norm())
    return float(skew), min(float(torch.sum(v * jv) / torch.sum(v * v)) for v, jv in ((a, ja), (b, jb)))


CASES = {
    "dense": lambda: (shaken(LPN(7, width=9, depth=3)), (7,)),
    "dense, linear readouts": lambda: (shaken(LPN(7, width=9, depth=3, readout="linear")), (7,)),
    "convolutional, odd sides": lambda: (small(), (1, 7, 9)),
    "convolutional, below the kernel": lambda: (small(), (1, 3, 2)),
    "convolutional, one layer": lambda: (small(depth=1), (1, 8, 8)),
    "convolutional, colour": lambda: (shaken(LPN.convolutional(3, width=5, kernel=4, stride=2)), (3, 5, 6)),
    "one-dimensional": lambda: (shaken(LPN.published("one-dimensional")), (1,)),
    "digits": lambda: (wide_digits(), (1, 28, 28)),
    "tiled, half overlapping": lambda: (Tiled(small(), 8, 4), (1, 13, 10)),
    "tiled, quarters": lambda: (Tiled(small(), 8, 2), (1, 9, 9)),
    "tiled, disjoint": lambda: (Tiled(small(), 4, 4), (1, 10, 7)),
    "tiled, smaller than a tile": lambda: (Tiled(small(), 8), (1, 5, 3)),
    "tiled digits": lambda: (Tiled(wide_digits(), 28, 14), (1, 9, 15)),
}


@pytest.mark.parametrize("name", CASES)
def test_every_net_and_tiling_is_the_gradient_of_a_strongly_convex_potential(name: str) -> None:
    model, shape = CASES[name]()
    x = torch.rand(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    j = jacobian(model, x)
    assert asymmetry(j) <= 1e-12
    assert float(torch.linalg.eigvalsh((j + j.T) / 2)[0]) >= model.modulus - 1e-10
    by_products = model.linearize(x.expand(2, *shape)) @ torch.stack([x, x.flip(0)])
    assert torch.allclose(by_products[0].flatten(), j @ x.flatten(), rtol=1e-10, atol=1e-12)
    y = x[None].clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.potential(y).sum(), y)
    assert torch.allclose(slope, model(x[None]), rtol=1e-9, atol=1e-10)


@torch.no_grad()
@pytest.mark.parametrize("model", [small(), Tiled(small(), 16, 8)], ids=["whole", "tiled"])
def test_large_images(model: Any) -> None:
    x = torch.rand(1, 1, 121, 95, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    skew, least = measured(model, x)
    assert skew <= 1e-12
    assert least >= model.modulus - 1e-10


def test_averaging_by_count_is_no_gradient() -> None:
    by_count, x = AveragedByCount(small(), 8, 4), torch.rand(1, 14, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    assert asymmetry(jacobian(by_count, x)) > 1e-4
    assert torch.allclose(by_count(torch.zeros(1, 1, 8, 8).double()), small()(torch.zeros(1, 1, 8, 8).double()))
    with pytest.raises(ValueError, match="smaller tile"):
        by_count(x[None, :, :7])


def test_disjoint_tiles_are_those_of_the_net() -> None:
    model, x = small(), torch.rand(2, 1, 8, 8, dtype=torch.float64)
    assert torch.allclose(Tiled(model, 4, 4)(x)[..., 4:, :4], model(x[..., 4:, :4]), rtol=0, atol=1e-14)
    constant = Tiled(model, 8, 4)
    assert torch.allclose(constant.cover.paste(constant.cover.cut(x), x.shape), 4 * x)


def test_inverse_and_prior_of_a_tiling() -> None:
    model = Tiled(small().float(), 8, 4)
    x = model(torch.rand(2, 1, 9, 11, generator=torch.Generator().manual_seed(5))).detach()
    y = model.inverse(x)
    assert float((model.doubled()(y) - x).detach().norm()) < 1e-9
    bracket = model.prior(x)
    exact = (y * x).sum((1, 2, 3)) - 0.5 * x.double().square().sum((1, 2, 3)) - model.doubled().potential(y)
    assert bool((bracket.lower - 1e-9 <= exact).all())
    assert bool((exact <= bracket.upper + 1e-9).all())
    assert float(bracket.width.max()) < 1e-8


@torch.no_grad()
def test_errors_of_rounding_cover_those_of_another_order_of_sums() -> None:
    """The same numbers, summed in another order, lie within the bound."""
    model, x = Tiled(small(), 8, 4), torch.rand(2, 1, 9, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    at = model.enclosed(x)
    flipped = Tiled(small(), 8, 4)
    with torch.no_grad():
        for layer in flipped.net.net.ordered():
            order = torch.arange(layer.skip.shape[0] - 1, -1, -1)
            for p in (layer.skip, layer.bias, layer.readout_root):
                p.copy_(p[order].clone())
            if layer.root is not None:
                layer.root.copy_(layer.root[order][:, order].clone())
    other = flipped.enclosed(x)
    assert bool(((at.value - other.value).abs() <= at.value_error + other.value_error).all())
    assert bool(((at.gradient - other.gradient).flatten(1).norm(dim=1) <= at.gradient_error + other.gradient_error).all())
    assert float(at.value_error.max()) < 1e-10


@pytest.mark.parametrize(("tile", "stride"), [(8, 3), (8, 0), (0, None), (8, 16)])
def test_bad_covers(tile: int, stride: int | None) -> None:
    with pytest.raises(ValueError, match="divides the tile"):
        Tiled(small(), tile, stride)


def test_a_net_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="take its own size as the tile"):
        Tiled(LPN.published("digits", width=2), 32)
    with pytest.raises(ValueError, match=r"expected \(batch, 1, any, any\)"):
        Tiled(small(), 8)(torch.zeros(1, 3, 8, 8).double())
