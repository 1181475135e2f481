"""The sequence model: an operator, streamed, masked, trained, stored, certified or declined."""

import numpy as np
import pytest
import torch
from torch import nn

import wellposed
from wellposed.sequence import S4, S5, SequenceModel
from wellposed.sequence.stages import Declined
from wellposed.testing import check_operator

VARIANTS = {
    "plain": {}, "s5": {"layer": "s5", "state": 12, "blocks": 3}, "post-norm": {"norm": "layer", "prenorm": False}, "no norm": {"norm": "none"},
    "half glu": {"mixing": "half_glu"}, "linear": {"mixing": "linear"}, "no mixing": {"mixing": "none", "activation": nn.Softplus()},
    "own norm": {"norm": lambda features: nn.GroupNorm(2, features)}, "last": {"head": "last"}, "steps": {"head": "step"},
    "both ways": {"bidirectional": True}, "bilinear": {"discretization": "bilinear"}}


def small(**options):
    return SequenceModel(3, 4, 6, 2, **{"state": 8, **options})


@pytest.mark.parametrize("variant", ["plain", "s5", "linear"])
def test_it_is_an_operator(variant):
    check_operator(lambda: small(**VARIANTS[variant]), torch.randn(3, 20, 3), channel_axis=2, train_differs=True, skip=["export"])


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "both ways"])
@torch.no_grad()
def test_step_by_step_is_all_at_once(variant):
    torch.manual_seed(0)
    model, x = small(**VARIANTS[variant]).double().eval(), torch.randn(2, 40, 3, dtype=torch.float64)
    state = model.initial_state(2)
    for k in range(40):
        y, state = model.step(x[:, k], state)
        expected = model(x[:, : k + 1]) if k % 13 == 0 or k == 39 else None
        if expected is not None:
            expected = expected[:, -1] if variant == "steps" else expected
            assert (y - expected).abs().max() < 1e-12


@pytest.mark.parametrize("variant", ["plain", "s5", "last", "both ways", "post-norm"])
@torch.no_grad()
def test_padding_does_not_matter(variant):
    torch.manual_seed(0)
    model, x = small(**VARIANTS[variant]).double().eval(), torch.randn(2, 30, 3, dtype=torch.float64)
    padded = torch.cat([x, torch.randn(2, 9, 3, dtype=torch.float64)], 1)
    assert (model(padded, torch.tensor([30, 30])) - model(x)).abs().max() < 1e-12


def test_tokens_train_and_come_back_from_a_folder(tmp_path):
    torch.manual_seed(0)
    x = torch.randint(1, 5, (64, 12))
    y = (x[:, 0] + x[:, 5]) % 2
    model = SequenceModel(1, 2, 8, 1, vocabulary=5, state=4, theta=0.2, mixing="half_glu")
    run = wellposed.train(model, (x, y), loss="cross_entropy", steps=30, lr=0.01, folder=tmp_path / "run", quiet=True)
    again = SequenceModel.load(tmp_path / "run")
    assert torch.equal(again(x), run.model(x))
    assert run.config["model"]["name"] == "sequence"


def test_own_modules_are_passed_again(tmp_path):
    x, y = torch.randn(8, 10, 3), torch.zeros(8, dtype=torch.long)
    given = {"norm": VARIANTS["own norm"]["norm"], "activation": nn.Softplus()}
    run = wellposed.train(small(**given), (x, y), loss="cross_entropy", steps=1, folder=tmp_path / "run", quiet=True)
    assert torch.equal(SequenceModel.load(tmp_path / "run", **given)(x), run.model(x))
    with pytest.raises(ValueError, match="expected one of"):
        SequenceModel.load(tmp_path / "run")


def test_every_parameter_is_in_one_group():
    model = small(layer="s5", state=12, blocks=3)
    groups = model.parameter_groups()
    assert sorted(id(p) for g in groups for p in g["params"]) == sorted(id(p) for p in model.parameters())
    slow = groups[0]
    assert slow["lr_factor"] == 0.25
    assert slow["weight_decay"] == 0.0
    assert len(slow["params"]) == 2 * 4


@pytest.mark.parametrize("layer", ["s4", "s5"])
@pytest.mark.parametrize("head", ["mean", "step"])
@torch.no_grad()
def test_the_gain_is_never_below_what_is_found(layer, head):
    torch.manual_seed(1)
    model = small(layer=layer, mixing="linear", head=head).double().eval()
    upper = wellposed.certify(model, length=25).claim("gain").upper
    largest = 0.0
    for _ in range(4):
        x, d = torch.randn(2, 1, 25, 3, dtype=torch.float64)
        for _ in range(5):  # towards the direction that grows most
            with torch.enable_grad():
                direction = d.clone().requires_grad_()
                change = (model(x + 1e-3 * direction / direction.norm()) - model(x)).norm()
                (d,) = torch.autograd.grad(change, direction)
        largest = max(largest, float((model(x + 1e-3 * d / d.norm()) - model(x)).norm() / 1e-3))
    assert 0 < largest <= upper


def test_what_gates_is_declined_and_its_stability_proved():
    for options, word in (({"mixing": "glu"}, "GLU"), ({"mixing": "half_glu"}, "HalfGLU"), ({"mixing": "linear", "norm": "layer"}, "LayerNorm")):
        model = small(**options).eval()
        with pytest.raises(Declined, match=word):
            wellposed.certify(model, length=10)
        assert wellposed.certify(model, gain=False).verdict is True
    with pytest.raises(Declined, match="tokens"):
        wellposed.certify(SequenceModel(1, 2, 4, 1, vocabulary=5, state=4, theta=0.2, mixing="linear").eval(), length=10)
    with pytest.raises(Declined, match="eval"):
        wellposed.certify(small(mixing="linear").train(), length=10)
    with pytest.raises(ValueError, match="length"):
        wellposed.certify(small(mixing="linear").eval())


@pytest.mark.parametrize("layer", [S4(5, 8), S4(5, 7, bidirectional=True), S5(5, 12, 3), S5(5, 8, bidirectional=True, discretization="bilinear")],
                         ids=repr)
@torch.no_grad()
def test_a_layer_has_a_gain_that_its_answers_keep(layer):
    layer = layer.double()
    certificate = wellposed.certify(layer)
    assert certificate.verdict is True
    claim = certificate.claim("gain")
    assert claim.upper <= 1.01 * claim.lower
    theta, best = np.linspace(0, np.pi, 257), 0.0
    n = torch.arange(4000, dtype=torch.float64)
    for k in range(5):
        for t in theta[::16]:
            u = torch.zeros(1, 4000, 5, dtype=torch.float64)
            u[0, :, k] = torch.cos(t * n)
            best = max(best, float(layer(u).norm() / u.norm()))
    assert 0.3 * claim.lower < best <= claim.upper


def test_bad_input_is_named():
    model = small().eval()
    for x in (torch.randn(2, 5), torch.randn(2, 5, 4), torch.zeros(2, 5, 3, dtype=torch.long), torch.randn(2, 0, 3)):
        with pytest.raises(ValueError, match=r"received .* expected"):
            model(x)
    with pytest.raises(ValueError, match="lengths"):
        model(torch.randn(2, 5, 3), torch.tensor([5, 6]))
    for options in ({"layer": "s6"}, {"mixing": "both"}, {"head": "tail"}, {"norm": "evo"}, {"dropout": 1.0}, {"ssm_lr": 0}):
        with pytest.raises(ValueError, match=r"received .* expected"):
            small(**options)
    with pytest.raises(ValueError, match="training mode"):
        small().train().step(torch.randn(2, 3), small().initial_state(2))
