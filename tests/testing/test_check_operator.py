"""A good operator passes the suite, and each check catches the operator that was broken for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wellposed.testing import check_operator
from wellposed.testing import operators as module


class Good(nn.Module):
    """Circular convolution along the last axis and a mixing of channels, with complex weights."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.mix = nn.Parameter(torch.randn(channels, channels) / channels)
        self.symbol = nn.Parameter(torch.randn(channels, 4, dtype=torch.complex64))
        self.register_buffer("scale", torch.tensor([1.0, 0.5, 0.25, 0.125]))

    def checked(self, x: Tensor) -> Tensor:
        if x.ndim != 3 or x.shape[1] != self.channels or not x.is_floating_point():
            raise ValueError(f"Good: received {x.dtype} of shape {tuple(x.shape)}, expected floats (samples, {self.channels}, length)")
        return x

    def forward(self, x: Tensor) -> Tensor:
        x = self.checked(x)
        modes = torch.fft.rfft(x)
        low = modes[..., :4] * (self.symbol * self.scale)
        y = torch.fft.irfft(torch.cat([low, torch.zeros_like(modes[..., 4:])], -1), n=x.shape[-1])
        return torch.einsum("ij,bjn->bin", self.mix, y) + x


class Unused(Good):
    def __init__(self) -> None:
        super().__init__()
        self.left_over = nn.Parameter(torch.ones(2))


class RootAtZero(Good):
    def forward(self, x):
        return super().forward(x) + (self.mix[0, 0] * 0).abs().sqrt()


class Detached(Good):
    def forward(self, x):
        return super().forward(x).detach()


class Clocked(Good):
    def __init__(self) -> None:
        super().__init__()
        self.mix.data += torch.from_numpy(np.random.default_rng().normal(size=(3, 3))).float()


class Counting(Good):
    count = 0

    def forward(self, x):
        self.count += 1
        return super().forward(x) * self.count


class Writing(Good):
    def forward(self, x):
        y = super().forward(x)
        x += 1
        return y


class Dropping(Good):
    def forward(self, x):
        return nn.functional.dropout(super().forward(x), 0.5, self.training)


class Normed(Good):
    def forward(self, x):
        y = super().forward(x)
        return y - y.mean(0, keepdim=True)


class Summed(Good):
    def forward(self, x):
        return super().forward(x).sum(0)


class Single(Good):
    def forward(self, x):
        return super().forward(x).float()


class Rounded(Good):
    def forward(self, x):
        return super().forward(x) * (1.0 if x.dtype == torch.float32 else 1.01)


class Here(Good):
    def forward(self, x):
        return super().forward(x) + torch.ones(3, 1)


class Looking(Good):
    """It looks at numbers, which is its right."""

    def forward(self, x):
        if not bool(torch.isfinite(x).all()):
            raise ValueError("received infinity, expected numbers")
        return super().forward(x)


class Outside(Good):
    """A random buffer that is not stored."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("lost", torch.randn(3, 1), persistent=False)

    def forward(self, x):
        return super().forward(x) + self.lost


class Extra(Good):
    def get_extra_state(self):
        return {"not": "a tensor"}

    def set_extra_state(self, state):
        pass


class Branching(Good):
    def forward(self, x):
        y = super().forward(x)
        return y if y.sum() > 0 else -y


class Mute(Good):
    def checked(self, x):
        return x


class AnyChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x):
        if x.ndim != 3 or not x.is_floating_point():
            raise TypeError(f"received {x.dtype}, expected floats")
        return self.gain * torch.tanh(x)


class Terse(Good):
    def checked(self, x):
        if x.ndim != 3 or x.shape[1] != 3 or not x.is_floating_point():
            raise ValueError("bad shape")
        return x


@pytest.fixture
def x() -> Tensor:
    return torch.randn(4, 3, 16, generator=torch.Generator().manual_seed(1))


def test_a_good_operator_passes(x):
    check_operator(Good, x)


def test_any_number_of_channels_may_be_declared(x):
    check_operator(AnyChannels, x, channel_axis=None)


def test_training_mode_may_be_declared(x):
    check_operator(Dropping, x, train_differs=True, skip=["export"])
    with pytest.raises(AssertionError, match="train_differs"):
        check_operator(Dropping, x)


def test_an_operator_may_look_at_numbers(x):
    check_operator(Looking, x, skip=["export"])


@pytest.mark.parametrize(("broken", "check", "said"), [
    (Unused, "gradients", "left_over gets no gradient"),
    (RootAtZero, "gradients", "the gradient of mix is not finite"),
    (Detached, "gradients", "no answer depends on the parameters"),
    (Clocked, "determinism", "torch.manual_seed"),
    (Counting, "determinism", "two calls"),
    (Writing, "input_kept", "clone it"),
    (Dropping, "modes", "training mode"),
    (Normed, "batch", "sample 0 alone"),
    (Summed, "batch", "must count samples"),
    (Single, "dtype", r"after .double\(\) it answers in torch.float32"),
    (Rounded, "dtype", "in float64 it answers otherwise"),
    (Here, "devices", "on another device it fails"),
    (Outside, "files", "persistent buffer"),
    (Extra, "files", "cannot be stored"),
    (Branching, "export", "torch.export fails"),
    (Mute, "errors", "check the input first|gets an answer"),
    (Terse, "errors", "received and expected"),
])
def test_each_check_catches_its_broken_operator(x, broken, check, said):
    others = set(module.CHECKS) - {check}
    with pytest.raises(AssertionError, match=said):
        check_operator(broken, x, skip=others)


def test_every_check_has_a_broken_operator():
    cases = next(m for m in test_each_check_catches_its_broken_operator.pytestmark if m.name == "parametrize").args[1]
    assert {check for _, check, _ in cases} == set(module.CHECKS)


def test_bad_calls_of_the_suite():
    with pytest.raises(ValueError, match="two samples"):
        check_operator(Good, torch.zeros(1, 3, 16))
    with pytest.raises(ValueError, match="skip="):
        check_operator(Good, torch.zeros(2, 3, 16), skip=["speed"])
