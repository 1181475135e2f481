"""Lipschitz constants of proxes: what is proved is above all that is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from wellposed.proximal import LPN
from wellposed.proximal.evidence import describe_network
from wellposed.proximal.linear_maps import Convolution
from wellposed.proximal.lipschitz import lipschitz, lipschitz_bound
from wellposed.proximal.tiling import Tiled
from wellposed_check import Refused
from wellposed_check.proximal.lipschitz import KAPPA, rising, squared, state
from wellposed_check.proximal.maps import Act
from wellposed_check.statement import Evidence


def spread(model: LPN, by: float = 1.0) -> LPN:
    """Weights as training could leave them."""
    with torch.no_grad():
        for layer in model.net.ordered():
            for root in (layer.root, layer.readout_root):
                if root is not None:
                    root.copy_(by * torch.rand_like(root) / root.shape[-1] ** 0.25)
            if layer.bias is not None:
                layer.bias.add_(0.1 * torch.randn_like(layer.bias))
    return model


def one_layer() -> LPN:
    return spread(LPN.convolutional(1, width=6, depth=1, kernel=4, stride=2))


CASES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "dense, one layer": (lambda: spread(LPN(5, width=12, depth=1)), (5,)),
    "dense, linear readouts": (lambda: spread(LPN(5, width=12, depth=3, readout="linear"), 0.7), (5,)),
    "convolutional, one layer": (one_layer, (1, 12, 9)),
    "convolutional, three channels": (lambda: spread(LPN.convolutional(3, width=6, depth=1, kernel=4, stride=2)), (3, 8, 8)),
    "digits": (lambda: spread(LPN.published("digits", width=3), 0.5), (1, 28, 28)),
    "tiled": (lambda: Tiled(one_layer(), 8, 4), (1, 13, 11)),
}


@pytest.mark.parametrize("name", CASES)
def test_no_slope_is_above_the_bound(name: str) -> None:
    torch.manual_seed(0)
    make, shape = CASES[name]
    model = make()
    images = torch.cat([scale * torch.randn(4, *shape) for scale in (0.1, 1.0, 10.0)])
    found = lipschitz(model, images)
    assert found.upper is not None
    assert 0 < found.lower <= found.upper
    assert found.first is not None
    assert found.second is not None
    x = found.first[0]
    eye = torch.eye(x.numel(), dtype=torch.float64).reshape(-1, *shape)
    with torch.no_grad():
        jacobian = (model.doubled().linearize(x.expand_as(eye)) @ eye).flatten(1)
    assert found.lower * (1 - 1e-3) <= float(torch.linalg.matrix_norm(jacobian, 2)) <= found.upper
    assert found.weak_convexity == max(0.0, 1 - 1 / found.upper)


def test_one_layer_is_within_two_of_what_is_reached() -> None:
    torch.manual_seed(0)
    model = LPN.convolutional(1, width=16, depth=1, kernel=4, stride=2)
    found = lipschitz(model, torch.rand(4, 1, 32, 32))
    assert found.upper is not None
    assert found.upper <= 2.5 * found.lower
    assert "proved" in str(found)


def test_squares_of_later_layers_have_no_bound() -> None:
    found = lipschitz(LPN.convolutional(1, width=4, depth=2, kernel=4, stride=2), torch.rand(1, 1, 8, 8))
    assert found.upper is None
    assert found.weak_convexity == 1.0
    assert "no upper bound" in str(found)


@pytest.mark.parametrize(("out", "inputs", "kernel", "stride", "padding", "side"), [
    (12, 1, 8, 4, 4, 32), (5, 2, 3, 1, 1, 14), (5, 3, 3, 2, 1, 13), (3, 8, 1, 1, 0, 4), (6, 1, 4, 2, 2, 25), (4, 1, 5, 2, 3, 21)])
def test_norm_of_a_convolution_of_any_size(out: int, inputs: int, kernel: int, stride: int, padding: int, side: int) -> None:
    rng = np.random.default_rng(0)
    w, m = rng.normal(size=(out, inputs, kernel, kernel)), rng.random(out)
    eye = torch.eye(inputs * side * side, dtype=torch.float64).view(-1, inputs, side, side)
    whole = Convolution(stride, padding).apply(torch.from_numpy(w), eye) * torch.from_numpy(np.sqrt(m))[:, None, None]
    exact = float(torch.linalg.matrix_norm(whole.flatten(1), 2)) ** 2
    assert exact <= squared(w, Act(stride, padding), m) <= 1.15 * exact


def test_the_constant_of_squared_softplus() -> None:
    """By subdivision: on [q, q + h] of q = 1 - p, p² <= (1 - q)² and -q log q is largest at an end or at 1/e."""
    q = np.linspace(1e-9, 1.0, 200_001)
    entropy = np.maximum(-q[:-1] * np.log(q[:-1]), -q[1:] * np.log(q[1:]))
    entropy[(q[:-1] <= 1 / np.e) & (q[1:] >= 1 / np.e)] = 1 / np.e + 1e-12
    assert ((1 - q[:-1]) ** 2 + (1 - q[:-1]) * entropy).max() < KAPPA
    p = 1 - q[:-1]
    assert (p**2 - p * q[:-1] * np.log(q[:-1])).max() > KAPPA - 1e-3
    t = np.linspace(-30, 60, 100_001)
    g, s = np.logaddexp(0, t), 1 / (1 + np.exp(-t))
    assert (s**2 + g * s * (1 - s) <= rising(t) + 1e-15).all()
    assert (np.diff(rising(t)) >= -1e-15).all()


def test_exact_pairs_count_once() -> None:
    """Where both of a pair are below their kinks in the middle; for means, which are not shrunk, the slope is that of both."""
    torch.manual_seed(0)
    model = LPN.convolutional(1, width=16, depth=1, kernel=4, stride=2, beta=50.0)
    layer = model.net.ordered()[0]
    with torch.no_grad():
        layer.skip[16:] = -layer.skip[:16]
        paired = lipschitz(model, torch.randn(4, 1, 16, 16))
        layer.bias.fill_(-0.15)
        shrinking = lipschitz(model, torch.randn(4, 1, 16, 16))
        layer.skip[0, 0, 0, 0] *= 1 + 1e-6
        apart = lipschitz_bound(model)
    assert paired.upper is not None
    assert shrinking.upper is not None
    assert apart is not None
    assert paired.lower <= paired.upper
    assert shrinking.lower <= shrinking.upper <= 1.1 * shrinking.lower
    assert apart - model.modulus == pytest.approx(2 * (shrinking.upper - model.modulus), rel=1e-3)


def stored(model: LPN, **changed: float) -> Evidence:
    """A witness as a certificate of the network has it."""
    found = lipschitz(model, torch.rand(2, 1, 8, 8))
    parameters, arrays = describe_network(model)
    ends = {"lower": found.lower * (1 - 1e-6), "upper": found.upper, **changed}
    assert found.first is not None
    assert found.second is not None
    pair = {"lipschitz.first": found.first.numpy(), "lipschitz.second": found.second.numpy()}
    return Evidence(parameters, arrays | pair | {f"lipschitz.{name}": np.array([x]) for name, x in ends.items() if x is not None})


def test_the_checker_states_what_follows_and_refuses_the_rest() -> None:
    torch.manual_seed(0)
    said = state(stored(one_layer()), "margin")
    assert said.lower is not None
    assert said.upper is not None
    assert 0.5 * said.upper < said.lower < said.upper
    assert said.assumptions == ()
    with pytest.raises(Refused, match="upper end does not follow"):
        state(stored(one_layer(), upper=said.upper * 0.9), "margin")
    with pytest.raises(Refused, match="lower end does not follow"):
        state(stored(one_layer(), lower=said.upper), "margin")
    deep = LPN.convolutional(1, width=4, depth=2, kernel=4, stride=2)
    assert state(stored(deep), "margin").upper is None
    with pytest.raises(Refused, match="upper end does not follow"):
        state(stored(deep, upper=1e9), "margin")


def test_what_resampling_assumes_is_said() -> None:
    model = spread(LPN.published("digits", width=2), 0.5)
    found, (parameters, arrays) = lipschitz(model, torch.rand(1, 1, 28, 28)), describe_network(model)
    assert found.upper is not None
    assert found.first is not None
    assert found.second is not None
    arrays |= {"lipschitz.first": found.first.numpy(), "lipschitz.second": found.second.numpy(), "lipschitz.lower": np.array([0.0]),
               "lipschitz.upper": np.array([found.upper])}
    assert state(Evidence(parameters, arrays), "margin").assumptions[0][1] == "assumed"
