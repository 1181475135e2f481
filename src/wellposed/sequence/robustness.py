"""Tones: one Fourier mode added to a sequence, at the input of the network or of each of its layers, and what accuracy is left.

A diagonal system that stands for HiPPO only weakly has spikes in its transfer function that HiPPO has not; a tone at such a frequency
w, which a layer with the step size D hears as w D per step, is amplified. `spikes` finds them; `search` tries frequencies.
Source of the question: Yu et al., *Robustifying State-space Models ...* (ICLR 2024), section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from wellposed.sequence.s4 import S4
from wellposed.sequence.s5 import S5
from wellposed.sequence.split import Split
from wellposed.sequence.transfer_gap import Diagonal, enclose

BATCH = 50


class Worst(NamedTuple):
    """The frequency with the least accuracy of a search, and all that was tried: (frequency, accuracy) in the order of frequency."""

    frequency: float
    accuracy: float
    tried: tuple[tuple[float, float], ...]


@torch.no_grad()
def accuracy(model: nn.Module, split: Split, change: Callable[[Tensor], Tensor] = lambda x: x, *, batch: int = BATCH) -> float:
    """The share of sequences of which the class is found, `change` done to each batch of real inputs first."""
    model.eval()
    right, padded = 0, bool((split.lengths < split.x.shape[1]).any())
    for k in range(0, len(split.y), batch):
        part = slice(k, k + batch)
        x = torch.from_numpy(split.x[part])
        x = change(x) if x.is_floating_point() else x
        found = model(x, torch.from_numpy(split.lengths[part])) if padded else model(x)
        right += int((found.argmax(-1) == torch.from_numpy(split.y[part])).sum())
    return right / len(split.y)


@contextmanager
def layer_tones(model: nn.Module, frequency: float, amplitude: float = 1.0, seed: int = 0) -> Iterator[None]:
    """While it lasts, amplitude U(0, 1) cos(frequency D_i k) is added to feature i of the input of each S4 layer, at step k.

    Args:
        frequency: 1/time, in the time of the layer's system. seed: of U(0, 1), drawn for each sequence.
    """
    generator = torch.Generator().manual_seed(seed)

    def hear(layer: S4, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        u = inputs[0]
        k = torch.arange(u.shape[1], dtype=u.dtype)[:, None]
        loud = amplitude * torch.rand(len(u), 1, 1, generator=generator)
        return (u + loud * torch.cos(frequency * layer.log_step.detach().exp() * k), *inputs[1:])

    layers: list[Any] = [m for m in model.modules() if isinstance(m, S4)]
    if not layers:
        raise ValueError("layer_tones: received a model without S4 layers, expected at least one: S5 has a step size for each mode, not "
                         "for each input; use input_tone")
    hooks = [layer.register_forward_pre_hook(hear) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def input_tone(frequency: float, amplitude: float) -> Callable[[Tensor], Tensor]:
    """x -> x + amplitude cos(frequency k), k = 0, 1, ...; frequency in radians per step."""
    def add(x: Tensor) -> Tensor:
        return x + amplitude * torch.cos(frequency * torch.arange(x.shape[1], dtype=torch.float64)).to(x.dtype)[:, None]

    return add


def spikes(model: nn.Module, bank: Diagonal, reference: str = "legs") -> list[float]:
    """Where the bank's gap peaks, in radians per step through the quantiles of each layer's step sizes; folded into (0, pi]."""
    peak = abs(enclose(bank, reference, 1e-2).peak)
    found = set()
    for layer in model.modules():
        if isinstance(layer, S4 | S5):
            steps = np.exp(layer.log_step.detach().double().numpy())
            for step in np.quantile(steps, [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]):
                angle = peak * step % (2 * np.pi)
                found.add(round(float(min(angle, 2 * np.pi - angle)), 6))
    return sorted(found)


def search(frequencies: Sequence[float], measure: Callable[[float], float]) -> Worst:
    """The frequency at which `measure`, an accuracy, is least."""
    tried = tuple((float(f), float(measure(f))) for f in sorted(frequencies))
    frequency, least = min(tried, key=lambda pair: pair[1])
    return Worst(frequency, least, tried)
