"""Convolutional networks that see means of the image too: exact proxes of any size, with certificates that another numpy network shares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import wellposed
from wellposed.proximal import LPN, Denoising, Inverse, Tiled
from wellposed.proximal.evidence import describe_network
from wellposed.proximal.linear_maps import Average, Padded, channelwise
from wellposed.proximal.lipschitz import lipschitz, lipschitz_bound
from wellposed.proximal.physics import Blur
from wellposed.proximal.reconstruct import reconstruct
from wellposed_check import Refused
from wellposed_check.proximal.network import read_network
from wellposed_check.statement import Evidence

CASES: list[tuple[int, int, dict[str, Any], tuple[int, int]]] = [
    (1, 2, {"kernel": 4, "stride": 2}, (9, 7)), (3, 2, {"kernel": 4, "stride": 2}, (5, 6)), (1, 3, {"kernel": 4, "stride": 2}, (8, 8)),
    (1, 3, {"kernel": 6, "stride": 2, "depth": 1}, (11, 5)),
    (2, 2, {"kernel": 8, "stride": 4, "depth": 3}, (3, 10)), (1, 2, {"kernel": 3, "stride": 1}, (1, 1))]


def network(channels: int, scales: int, options: dict[str, Any]) -> LPN:
    """Weights as training could leave them, in float64."""
    torch.manual_seed(0)
    model = LPN.convolutional(channels, 5, scales=scales, **options)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model.doubled()


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("factor", "multiple"), [(2, 2), (2, 8), (4, 8), (3, 12), (1, 4)])
@pytest.mark.parametrize("size", [(1, 1), (7, 13), (16, 24), (9, 2)])
def test_means_of_padded_images_and_their_transpose(factor, multiple, size):
    average = Average(factor, multiple)
    x = random(2, 3, *size)
    own, padded = average.apply(x), Padded(multiple).apply(x)
    by_hand = padded.unflatten(-1, (-1, factor)).mean(-1).unflatten(-2, (-1, factor)).mean(-2)
    assert torch.allclose(own, by_hand, rtol=0, atol=1e-15)
    assert all(n * factor % multiple == 0 for n in own.shape[-2:])
    y = random(*own.shape, seed=2)
    back = average.transpose(y, x.shape[1:])
    assert back.shape == x.shape
    assert (own * y).sum().item() == pytest.approx((x * back).sum().item(), rel=1e-12, abs=1e-12)
    eye = torch.eye(size[0] * size[1], dtype=torch.float64).view(-1, 1, *size)
    assert torch.linalg.matrix_norm(average.apply(eye).flatten(1), 2) <= (1 + 1e-12) / factor


@pytest.mark.parametrize("case", range(len(CASES)))
def test_several_scales_are_an_exact_prox(case):
    channels, scales, options, size = CASES[case]
    model, shape = network(channels, scales, options), (channels, *size)
    x = random(1, *shape)
    eye = torch.eye(x.numel(), dtype=torch.float64).view(-1, *shape)
    with torch.no_grad():
        jacobian = (model.linearize(x.expand_as(eye)) @ eye).flatten(1)
    assert (jacobian - jacobian.T).abs().max() <= 1e-12 * max(1.0, float(jacobian.abs().max()))
    assert torch.linalg.eigvalsh(jacobian).min() >= model.modulus - 1e-10
    leaf = x.clone().requires_grad_()
    psi, f = model.both(leaf)
    by_autograd = torch.autograd.grad(psi.sum(), leaf)[0]
    assert torch.allclose(f, by_autograd, rtol=1e-12, atol=1e-12)
    assert torch.allclose(psi, model.potential(x), rtol=1e-14)
    tangent = random(1, *shape, seed=3)
    moved = torch.autograd.functional.jvp(model, x, tangent)[1]
    assert torch.allclose(model.linearize(x) @ tangent, moved, rtol=1e-10, atol=1e-10)
    assert torch.allclose(model.linearize(x).gradient, f, rtol=1e-14, atol=1e-14)


def test_the_potential_is_the_sum_of_those_of_the_scales():
    """By autograd alone, of a potential that is written down again, so that a costate that leaks from scale to scale would show."""
    model = network(1, 3, {"kernel": 4, "stride": 2})
    x = random(2, 1, 9, 14).requires_grad_()
    psi = model.modulus / 2 * x.square().sum((1, 2, 3))
    for s in range(3):
        seen = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (0, -14 % (2 * 2**s), 0, -9 % (2 * 2**s))), 2**s)
        z: Tensor | None = None
        for layer in model.net.ordered()[2 * s : 2 * s + 2]:
            assert layer.source == s
            a = torch.nn.functional.conv2d(seen, layer.skip, layer.bias, 2, 2)
            assert (z is None) == (layer.weight is None)
            a = a if z is None else a + torch.nn.functional.conv2d(z, layer.weight)
            z = torch.nn.functional.softplus(50 * a, threshold=1e9) / 50
            psi = psi + (channelwise(layer.readout, z) * z.square() / 2).sum((1, 2, 3))
    assert torch.allclose(psi, model.potential(x.detach()), rtol=1e-12)
    assert torch.allclose(torch.autograd.grad(psi.sum(), x)[0], model(x.detach()), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.parametrize("size", [None, (17, 22), (1, 13)])
def test_the_checker_computes_the_same_to_rounding(case, size):
    """Far from where it was made, and of any size: within the bounds of both, which are small."""
    channels, scales, options, own = CASES[case]
    model, x = network(channels, scales, options), torch.cat([by * random(1, channels, *(size or own), seed=4) for by in (1e-3, 1.0, 1e3)])
    with torch.no_grad():
        ours, theirs = model.enclosed(x), read_network(Evidence(*describe_network(model))).both(x.numpy())
    off = np.linalg.norm((ours.gradient.numpy() - theirs.f).reshape(3, -1), axis=1)
    assert (off <= ours.gradient_error.numpy() + theirs.f_error).all()
    assert (np.abs(ours.value.numpy() - theirs.psi) <= ours.value_error.numpy() + theirs.psi_error).all()
    size_of_f = np.linalg.norm(theirs.f.reshape(3, -1), axis=1)
    assert (off <= 1e-13 * size_of_f).all()
    assert (theirs.f_error <= 1e-7 * size_of_f).all()
    assert (ours.gradient_error.numpy() <= 1e-7 * size_of_f).all()


def test_bounds_of_rounding_hold_in_single_precision_too():
    """What is lost in single precision is far above the bounds in double: they are not met by accident."""
    model = network(1, 3, {"kernel": 4, "stride": 2})
    x = random(1, 1, 13, 9)
    with torch.no_grad():
        rough, exact = model.float()(x.float()).double(), model.double().enclosed(x)
    assert torch.linalg.vector_norm(rough - exact.gradient) > 10 * exact.gradient_error


@pytest.mark.parametrize("tiled", [False, True])
def test_certificates_hold_and_forgeries_are_refused(tiled):
    model: Any = LPN.convolutional(1, 4, kernel=4, stride=2, scales=3)
    model = Tiled(model, 8, 4) if tiled else model
    c = wellposed.certify(model)
    assert c.verdict is True
    assert c.check().status is True
    assert c.claim("exact_prox").upper == 0.0
    parameters, arrays = describe_network(model)
    kinds = [s["kind"] for s in parameters["network"]["resamplings"]]
    assert kinds == ["padded", "average", "average"]
    arrays["layers.2.weight"] = np.ones((8, 8, 1, 1))
    with pytest.raises(Refused, match="lacks an array or has more"):
        read_network(Evidence(parameters, arrays))
    for name in ("layers.3.weight", "layers.4.readout"):
        forged, held = describe_network(model)
        held[name].flat[1] = -1e-9
        with pytest.raises(Refused, match="negative weight or readout"):
            read_network(Evidence(forged, held))
    for changed in ({"multiple": 3}, {"factor": 0}, {"factor": 2.0}, {"side": 8}):
        forged, held = describe_network(model)
        forged["network"]["resamplings"][1] |= changed
        with pytest.raises(Refused):
            read_network(Evidence(forged, held))


@pytest.mark.parametrize("change", [{"factor": 4}, {"factor": 1}])
def test_other_means_are_another_network(change):
    """The images of the certificate do not follow from what is put in the place of the means."""
    from wellposed.certificate import issue

    torch.manual_seed(0)
    c = wellposed.certify(network(1, 2, {"kernel": 4, "stride": 2}))
    problem = c.document["subject"]["problem"]
    problem["parameters"]["network"]["resamplings"][1] |= change
    arrays = {k: np.asarray(x) for k, x in c.arrays.items()}
    with pytest.raises(Refused):
        issue(problem["type"], problem["parameters"], arrays, {x.id: x.required for x in c.claims}, "margin", c.document["provenance"])


def test_priors_and_reconstructions_are_certified():
    torch.manual_seed(0)
    model = LPN.convolutional(1, 6, kernel=4, stride=2, scales=2).double()
    x = torch.rand(2, 1, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model(model.inverse(x)), x, rtol=0, atol=1e-9)
    prior = model.prior(x)
    assert (prior.upper - prior.lower <= 1e-8).all()
    physics = Blur(np.ones((3, 3)) / 9, (9, 7))
    found = reconstruct(Inverse(physics, physics.A(x), 0.02), model, weight=0.3, tol=1e-6, steps=90)
    assert found.certificate is not None
    assert found.certificate.verdict is True


def test_a_run_folder_keeps_the_scales(tmp_path: Path):
    torch.manual_seed(0)
    model, images = LPN.convolutional(1, 4, 1, kernel=4, stride=2, scales=2), torch.rand(4, 1, 16, 16)
    run = wellposed.train(model, Denoising(images, 0.1), steps=3, batch=4, patch=16, folder=tmp_path / "run", quiet=True, threads=1)
    again = LPN.load(tmp_path / "run")
    assert again.config["scales"] == 2
    assert torch.equal(again(images), run.model(images))
    assert LPN.from_config(again.config).config == again.config


def test_one_scale_is_what_it_was():
    """Configurations without scales load, and say nothing of them."""
    torch.manual_seed(0)
    model = LPN.convolutional(1, 4)
    assert "scales" not in model.config
    torch.manual_seed(0)
    again = LPN.from_config(model.config | {"scales": 1})
    assert again.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert len(model.net.ordered()) == 2


@pytest.mark.parametrize("scales", [0, -1, 1.5, True, 9])
def test_other_scales_are_refused(scales):
    with pytest.raises(ValueError, match="scales"):
        LPN.convolutional(1, 4, scales=scales)


def test_a_new_network_denoises_as_one_of_one_scale_does():
    """A slope at constants near 1, and no more shrinkage of a smooth image than with one scale."""
    y, x = torch.meshgrid(*(torch.linspace(0, 3, 64),) * 2, indexing="ij")
    smooth = (0.5 + 0.3 * torch.sin(x) * torch.cos(y))[None, None]
    noisy = smooth + 0.1 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    errors = []
    for scales in (1, 2, 3):
        torch.manual_seed(0)
        model = LPN.convolutional(1, 64, scales=scales).eval()
        with torch.no_grad():
            inner = (model(noisy) - smooth)[..., 8:-8, 8:-8]
        errors.append(float(inner.square().mean().sqrt()))
    assert max(errors) <= 1.3 * errors[0] <= 0.1


def test_averages_over_shifts_are_of_each_scale_by_its_own_pixels():
    model = network(1, 2, {"kernel": 4, "stride": 2})
    spun = model.spun(1)
    assert spun.config["scales"] == 2
    assert spun.config["stride"] == 1
    x = torch.zeros(1, 1, 40, 40, dtype=torch.float64)
    x[..., 16:24, 16:24] = random(1, 1, 8, 8, seed=5)
    shifted = []
    for s in range(2):
        alone = network(1, 2, {"kernel": 4, "stride": 2})
        with torch.no_grad():
            for layer in alone.net.ordered():
                if layer.source != s:
                    layer.readout_root.zero_()
        steps = [(i, j) for i in (0, 2**s) for j in (0, 2**s)]
        shifted.append(sum(torch.roll(alone(torch.roll(x, d, (2, 3))), (-d[0], -d[1]), (2, 3)) for d in steps) / 4 - alone.modulus * x)
    inside = (..., slice(12, 28), slice(12, 28))
    assert torch.allclose(spun(x)[inside], (sum(shifted) + spun.modulus * x)[inside], rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_single_layers_of_several_scales_have_a_lipschitz_bound(channels):
    model = network(channels, 3, {"kernel": 4, "stride": 2, "depth": 1})
    images = torch.cat([by * torch.randn(3, channels, 12, 12, generator=torch.Generator().manual_seed(0)) for by in (0.1, 1.0, 10.0)])
    found = lipschitz(model, images)
    assert found.upper is not None
    assert 0.2 * found.upper < found.lower <= found.upper
    each = []
    for s in range(3):
        alone = network(channels, 3, {"kernel": 4, "stride": 2, "depth": 1})
        with torch.no_grad():
            for layer in alone.net.ordered():
                if layer.source != s:
                    layer.readout_root.zero_()
        upper = lipschitz_bound(alone)
        assert upper is not None
        each.append(upper - alone.modulus)
    assert found.upper == pytest.approx(sum(each) + model.modulus, rel=1e-5)


def test_exact_pairs_of_each_scale_count_once():
    model = LPN.convolutional(1, 16, 1, kernel=4, stride=2, scales=2).doubled()
    before = lipschitz_bound(model)
    with torch.no_grad():
        for layer in model.net.ordered():
            layer.skip[16:] = -layer.skip[:16]
            layer.bias.fill_(-0.15)
    found = lipschitz(model, torch.randn(4, 1, 24, 24))
    assert before is not None
    assert found.upper is not None
    assert 0.5 * found.upper < found.lower <= found.upper < 0.7 * before


def test_deeper_scales_have_no_lipschitz_bound():
    assert lipschitz_bound(LPN.convolutional(1, 4, kernel=4, stride=2, scales=2)) is None
