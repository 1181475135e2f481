"""Tones, and where they are looked for."""

import numpy as np
import pytest
import torch

from wellposed.sequence import S4, S5, SequenceModel, damped_hippo
from wellposed.sequence.exam import initial_certificates, streamed, trained_gaps
from wellposed.sequence.robustness import accuracy, input_tone, layer_tones, search, spikes
from wellposed.sequence.split import Split


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SequenceModel(1, 3, 4, 2, state=8, mixing="linear").eval()


@pytest.fixture
def split(rng=None):
    rng = np.random.default_rng(0)
    return Split(rng.standard_normal((12, 30, 1)).astype(np.float32), np.full(12, 30), rng.integers(0, 3, 12))


def test_a_tone_is_heard_by_every_layer_and_goes_again(model):
    x = torch.randn(2, 30, 1)
    clean = model(x)
    with layer_tones(model, 5.0):
        toned = model(x)
    assert not torch.equal(clean, toned)
    assert torch.equal(clean, model(x))
    layer, u = S4(2, 4, theta=0.2), torch.randn(1, 20, 2)
    with layer_tones(torch.nn.Sequential(layer), 3.0, 2.0, seed=4):
        heard = layer(u)
    loud = 2 * torch.rand(1, 1, 1, generator=torch.Generator().manual_seed(4))
    assert torch.allclose(heard, layer(u + loud * torch.cos(3.0 * layer.log_step.exp() * torch.arange(20.0)[:, None])), atol=1e-5)
    with pytest.raises(ValueError, match="S4"), layer_tones(S5(2, 4, theta=0.2), 1.0):
        pass


def test_accuracy_and_search(model, split):
    found = accuracy(model, split)
    right = model(torch.from_numpy(split.x)).argmax(-1).numpy() == split.y
    assert found == np.mean(right)
    assert accuracy(model, split, batch=5) == found
    worst = search([3.0, 1.0, 2.0], lambda f: abs(f - 2))
    assert worst.frequency == 2.0
    assert [f for f, _ in worst.tried] == [1.0, 2.0, 3.0]
    assert torch.equal(input_tone(0.5, 0.0)(torch.ones(1, 4, 1)), torch.ones(1, 4, 1))
    assert torch.allclose(input_tone(0.5, 2.0)(torch.zeros(1, 4, 1))[0, :, 0], 2 * torch.cos(0.5 * torch.arange(4.0)))


def test_spikes_lie_where_the_gap_peaks_times_the_steps(model):
    bank = damped_hippo(8, 1.0)
    found = spikes(model, bank)
    assert all(0 < f <= np.pi for f in found)
    steps = np.exp(model.blocks[0].layer.log_step.detach().numpy())
    assert min(abs(f - 20.57 * steps.min()) for f in found) < 0.05 * 20.57 * steps.min() + 1e-3 or len(found) > 5


@pytest.mark.parametrize(("init", "holds"), [("damped", True), ("s4d", False)])
def test_layers_are_certified_as_they_begin(init, holds):
    model = SequenceModel(1, 3, 4, 2, state=16, init=init)
    certificates = initial_certificates(model)
    assert len(certificates) == 1
    assert certificates[0].verdict is holds
    gaps = trained_gaps(model)
    claim = certificates[0].claim("initial_transfer_gap")
    assert len(gaps) == 8
    assert all(0.9 * claim.lower <= g <= claim.upper * (1 + 1e-9) for g in gaps)


def test_a_sequence_is_streamed(model, split):
    found = streamed(model, split)
    assert found.difference < 1e-5
    assert found.steps[0] == 0
    assert found.steps[-1] == 29
    assert len(found.probability) == len(found.steps)
