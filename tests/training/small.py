"""Small models, data and a training that can be stopped at any step."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from wellposed.training import Objective
from wellposed.training.data import Arrays
from wellposed.training.learner import Learner
from wellposed.training.losses import relative_l2


class Stop(Exception):
    """Training is over here."""


class StopAt:
    """The relative L2 loss, which raises in the call of this number."""

    def __init__(self, call: int | None = None) -> None:
        self.call, self.calls = call, 0

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.call:
            raise Stop
        return relative_l2(prediction, target)


def stop_before(number: int, monkeypatch) -> None:
    """Training stops before the step of this number; steps that are only timed have the learning rate zero."""
    step = Learner.step

    def stopping(self, objective, batch, at, lr):
        if at == number and lr > 0:
            raise Stop
        return step(self, objective, batch, at, lr)

    monkeypatch.setattr(Learner, "step", stopping)


class Convolutions(nn.Module):
    """All that has a state: batch statistics, dropout, a complex parameter, a frozen one, an unused buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.config = {"name": "Convolutions", "width": 4, "sizes": [3, 3], "bias": None}
        self.first, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.symbol = nn.Parameter(torch.randn(4, 1, 1, dtype=torch.complex64))
        self.frozen = nn.Parameter(torch.ones(4, 1, 1), requires_grad=False)
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.dropout(nn.functional.gelu(self.norm(self.first(x))), 0.1, self.training)
        return self.last(y + (self.symbol * y).real * self.frozen)


def convolutions(seed: int = 0) -> Convolutions:
    torch.manual_seed(seed)
    return Convolutions()


def perceptron(seed: int = 0, **kind: object) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 2)).to(**kind)


def images(samples: int = 22, n: int = 8) -> tuple[Tensor, Tensor]:
    """Odd numbers of samples leave a smaller last batch."""
    x = torch.randn(samples, 2, n, n, generator=torch.Generator().manual_seed(1))
    return x, (x[:, :1] - x[:, 1:]).cumsum(-1) + 0.1


def vectors(samples: int = 30) -> tuple[Tensor, Tensor]:
    x = torch.randn(samples, 3, generator=torch.Generator().manual_seed(1))
    return x, torch.stack([x.sum(1) + 4, x[:, 0] - x[:, 1] + 2], 1)


class Random(Dataset):
    """Samples that are changed by every generator that there is."""

    def __init__(self, samples: int = 22) -> None:
        self.x, self.y = vectors(samples)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.x[i] + torch.randn(3) + np.random.normal() + random.gauss(), self.y[i]  # noqa: NPY002


def on_the_fly(step: int, seed: int) -> tuple[Tensor, Tensor]:
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(1000 * seed + step))
    return x, x[:, :2] + 3


class Endless:
    """An objective that is drawn on the fly, and that changes with the step."""

    scale = 1.0

    def begin(self, step: int, steps: int) -> None:
        self.scale = 1.0 if step < steps // 2 else 2.0

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        x, y = batch
        return self.scale * (model(x) - y).square().mean()

    def objective(self) -> Objective:
        return Objective(self.loss, sample_on_the_fly=on_the_fly, begin=self.begin, augment=noise,
                         validation=Arrays(vectors(6)))


def noise(batch: tuple[Tensor, Tensor], generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    return batch[0] + 0.1 * torch.from_numpy(generator.normal(size=batch[0].shape)).float(), batch[1]


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    """Bit for bit."""
    return all(torch.equal(x, y) for x, y in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def untimed(history: list[dict]) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]
