"""The pass back of ∇ψ that is derived by hand, against autograd through every operation, and where it gives way to that."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.utils.parametrize import register_parametrization

from wellposed.proximal import LPN, adjoint
from wellposed.proximal.layouts import dense
from wellposed.proximal.softplus import Softplus

NETWORKS: dict[str, tuple[Callable[[], LPN], tuple[int, ...]]] = {
    "dense": (lambda: LPN(3, width=8, depth=3), (3,)),
    "published, one-dimensional": (lambda: LPN.published("one-dimensional"), (1,)),
    "published, digits": (lambda: LPN.published("digits", width=6), (1, 28, 28)),
    "one layer": (lambda: LPN.convolutional(1, width=5, depth=1), (1, 13, 18)),
    "convolutional, colour": (lambda: LPN.convolutional(3, width=5), (3, 17, 12)),
    "three layers": (lambda: LPN.convolutional(1, width=5, depth=3, kernel=6, stride=2), (1, 15, 12)),
    "scales": (lambda: LPN.convolutional(1, width=4, scales=2), (1, 19, 22))}


def net(name: str, samples: int = 4) -> tuple[LPN, Tensor, Tensor]:
    """A network away from where it begins, points, and directions."""
    torch.manual_seed(3)
    build, shape = NETWORKS[name]
    model = build().double()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.rand_like(p))
    return model, *torch.randn(2, samples, *shape, dtype=torch.float64)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("of_x", [False, True])
def test_it_is_the_gradient_of_autograd(name, of_x):
    model, x, v = net(name)
    x.requires_grad_(of_x)
    inputs = [*([x] if of_x else []), *model.parameters()]
    assert adjoint.applies(model.net.held(), x)
    found, expected = model.net(x), model.net(x, stepwise=True)
    assert torch.allclose(found, expected, rtol=1e-13, atol=1e-13)
    own, theirs = (torch.autograd.grad((y * v).sum() + y.square().sum(), inputs) for y in (found, expected))
    for a, b in zip(own, theirs, strict=True):
        assert (a - b).norm() <= 1e-12 * b.norm()


def test_linear_and_square_readouts():
    torch.manual_seed(0)
    for readout in ("linear", "square"):
        network = dense(2, 6, 3, 4.0, 1e-2, readout).double()
        x, v = torch.randn(2, 5, 2, dtype=torch.float64)
        own, theirs = (torch.autograd.grad((network(x, stepwise=d) * v).sum(), list(network.parameters())) for d in (False, True))
        assert all(torch.allclose(a, b, rtol=1e-11, atol=1e-13) for a, b in zip(own, theirs, strict=True))


@pytest.mark.parametrize("name", ["dense", "convolutional, colour"])
def test_it_can_be_differentiated_again(name):
    model, x, v = net(name, 2)
    x.requires_grad_()

    def twice(stepwise: bool) -> tuple[Tensor, ...]:
        y = model.net(x, stepwise=stepwise)
        (slope,) = torch.autograd.grad((y * v).sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), [x, *model.parameters()], allow_unused=True)

    for a, b in zip(twice(False), twice(True), strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, rtol=1e-10, atol=1e-12)


def test_it_stands_back_from_transforms_duals_and_what_needs_no_gradient():
    model, x, v = net("dense")
    with torch.no_grad():
        assert not adjoint.applies(model.net.held(), x)
    seen = torch.func.jvp(model, (x,), (v,))[1]
    assert torch.allclose(seen, model.linearize(x) @ v, rtol=1e-10, atol=1e-12)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, v)
        assert not adjoint.applies(model.net.held(), dual)
        assert torch.allclose(forward_ad.unpack_dual(model(dual)).tangent, seen)
    by_vmap = torch.func.vmap(torch.func.jacrev(lambda y: model(y[None])[0]))(x)
    assert torch.allclose(by_vmap, by_vmap.mT, rtol=0, atol=1e-12)
    with torch.autocast("cpu", torch.bfloat16):
        assert not adjoint.applies(model.net.held(), x)


def test_many_directions_at_once():
    model, x, _ = net("convolutional, colour", 1)
    x.requires_grad_()
    y = model(x)
    v = torch.randn(3, *y.shape, dtype=torch.float64)
    (together,) = torch.autograd.grad(y, x, v, is_grads_batched=True, retain_graph=True)
    for each, direction in zip(together, v, strict=True):
        assert torch.allclose(each, torch.autograd.grad(y, x, direction, retain_graph=True)[0], rtol=1e-11, atol=1e-13)


def test_parameters_that_are_swapped_for_a_call_get_their_gradient():
    model, x, v = net("dense")
    others = {name: (p + 0.1).detach().requires_grad_() for name, p in model.named_parameters()}
    y = torch.func.functional_call(model, others, (x,))
    own = torch.autograd.grad((y * v).sum(), list(others.values()))
    with torch.no_grad():
        for p, q in zip(model.parameters(), others.values(), strict=True):
            p.copy_(q)
    expected = torch.autograd.grad((model.net(x, stepwise=True) * v).sum(), list(model.parameters()))
    assert all(torch.allclose(a, b, rtol=1e-11, atol=1e-13) for a, b in zip(own, expected, strict=True))


def gradients(model: LPN, x: Tensor, v: Tensor, wanted: list[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """By hand and through autograd."""
    assert adjoint.applies(model.net.held(), x)
    own, theirs = (torch.autograd.grad((model.net(x, stepwise=d) * v).sum(), wanted, retain_graph=True) for d in (False, True))
    return own, theirs


def close(own: tuple[Tensor, ...], theirs: tuple[Tensor, ...]) -> bool:
    return all(torch.allclose(a, b, rtol=1e-11, atol=1e-13) for a, b in zip(own, theirs, strict=True))


class Doubled(torch.nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return 2 * w


def test_weights_that_are_tied_made_of_others_or_given():
    model, x, v = net("dense")
    model.net.layers[2].skip = model.net.layers[0].skip
    assert close(*gradients(model, x, v, list(model.parameters())))
    register_parametrization(model.net.layers[1], "skip", Doubled())
    assert close(*gradients(model, x, v, list(model.parameters())))
    model, x, v = net("dense")
    w = model.net.layers[1].skip.detach().clone().requires_grad_()
    del model.net.layers[1].skip
    model.net.layers[1].skip = w * 1.5
    assert close(*gradients(model, x, v, [w, *model.parameters()]))
    twice = model.net.layers[2]
    model.net.layers.append(twice)
    assert close(*gradients(model, x, v, [w, *model.parameters()]))


def test_hooks_of_the_network_are_called_once():
    model, x, v = net("dense")
    calls = []
    model.net.register_forward_hook(lambda *_: calls.append(1))
    inputs = list(model.parameters())
    torch.autograd.grad((model(x) * v).sum(), inputs, create_graph=True)
    with torch.autograd.graph.save_on_cpu():
        y = model(x)
    own = torch.autograd.grad((y * v).sum(), inputs)
    assert len(calls) == 2
    assert close(own, torch.autograd.grad((model.net(x, stepwise=True) * v).sum(), inputs))


@pytest.mark.parametrize("name", NETWORKS)
def test_answers_may_be_changed_in_place(name):
    model, x, v = net(name)
    y = model(x)
    y.sub_(x).clamp_(-0.5, 0.5)
    assert y.is_contiguous()
    own = torch.autograd.grad((y * v).sum(), list(model.parameters()))
    expected = (model.net(x, stepwise=True) - x).clamp(-0.5, 0.5)
    assert close(own, torch.autograd.grad((expected * v).sum(), list(model.parameters())))


def test_a_pass_back_within_autocast_keeps_float32():
    model, x, v = net("convolutional, colour")
    model, x, v = model.float(), x.float(), v.float()
    y, expected = (model.net(x, stepwise=d) for d in (False, True))
    with torch.autocast("cpu", torch.bfloat16):
        own, theirs = (torch.autograd.grad((t * v).sum(), list(model.parameters())) for t in (y, expected))
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(own, theirs, strict=True))


def test_what_changes_after_the_pass_forward_does_not_matter():
    model, x, v = net("dense")
    y, expected = (model.net(x, stepwise=d) for d in (False, True))
    inputs = list(model.parameters())
    model.net.activation, model.net.modulus = Softplus(3.0), 5.0
    own, theirs = (torch.autograd.grad((t * v).sum(), inputs) for t in (y, expected))
    assert close(own, theirs)


def test_networks_are_freed_that_keep_their_own_loss():
    model, x, _ = net("dense")
    model.net.last = model(x).sum()
    seen = weakref.ref(model.net)
    del model
    gc.collect()
    assert seen() is None


def test_shapes_alone_go_through():
    assert LPN(3).to("meta")(torch.zeros(2, 3, device="meta")).shape == (2, 3)


def test_frozen_parameters_get_none():
    model, x, _ = net("dense")
    first, *rest = model.parameters()
    first.requires_grad_(False)
    model(x).sum().backward()
    assert first.grad is None
    assert all(p.grad is not None for p in rest)


def test_parameters_changed_in_between_are_noticed():
    model, x, _ = net("dense")
    y = model(x).sum()
    with torch.no_grad():
        next(iter(model.parameters())).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
