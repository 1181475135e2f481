"""What is asked of a trained network beside its accuracy: its banks before and after, tones, streaming, and who else could answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from wellposed.certificate import Certificate
from wellposed.sequence.bank import Bank
from wellposed.sequence.claims import certify_bank
from wellposed.sequence.model import SequenceModel
from wellposed.sequence.robustness import BATCH, accuracy, layer_tones, search
from wellposed.sequence.s4 import S4
from wellposed.sequence.split import Split, Task
from wellposed.sequence.transfer_gap import sampled_gap

SEARCHED = 24


class Streamed(NamedTuple):
    """One sequence, step by step: the steps at which the answer was read, the probability of the true class there, and how far the last
    answer is from that to the whole sequence at once."""

    steps: Sequence[int]
    probability: Sequence[float]
    difference: float


def s4_layers(model: nn.Module) -> list[S4]:
    return [m for m in model.modules() if isinstance(m, S4)]


def initial_certificates(model: nn.Module) -> list[Certificate]:
    """Of each layer's bank, which all its features share before training: is it HiPPO's system, and stable? One for equal layers."""
    found: dict[bytes, Certificate] = {}
    for layer in s4_layers(model):
        bank = layer.bank(0)
        key = b"".join(np.ascontiguousarray(x).tobytes() for x in (bank.eigenvalues, bank.eigenvectors, bank.B))
        if key not in found:
            found[key] = certify_bank(bank, layer.measure)
    return list(found.values())


def trained_gaps(model: nn.Module) -> list[float]:
    """Of each feature of each layer as it is now, the gap at the frequencies where it may peak: seen, not proved."""
    return [sampled_gap(layer.bank(k), layer.measure) for layer in s4_layers(model) for k in range(layer.features)]


def toned(model: nn.Module, split: Split, frequency: float, seed: int = 0) -> float:
    """Accuracy with a tone U(0, 1) cos(frequency D k) at the input of each layer."""
    with layer_tones(model, frequency, seed=seed):
        return accuracy(model, split)


def searched(model: nn.Module, split: Split, peak: float, count: int = SEARCHED) -> Any:
    """The worst of `count` tones: frequency 0, `peak`, and 1 to 3,000 in equal ratios; on the first 100 sequences of the split."""
    few = Split(*(x[: 2 * BATCH] for x in split))
    frequencies = [0.0, peak, *np.geomspace(1.0, 3000.0, count - 2)]
    return search(frequencies, lambda frequency: toned(model, few, frequency))


@torch.no_grad()
def streamed(model: SequenceModel, split: Split, sample: int = 0) -> Streamed:
    """A sequence fed to the network one step at a time, with the state carried."""
    model.eval()
    x = torch.from_numpy(split.x[sample : sample + 1, : split.lengths[sample]])
    state, probability, reads = model.initial_state(1), [], sorted({*np.linspace(0, x.shape[1] - 1, 33).astype(int).tolist()})
    answer = x
    for k in range(x.shape[1]):
        answer, state = model.step(x[:, k], state)
        if k in reads:
            probability.append(float(answer.softmax(-1)[0, split.y[sample]]))
    return Streamed(reads, probability, float((answer - model(x)).abs().max()))


def others(task: Task) -> dict[str, float]:
    """Accuracy on the test part of who needs no network: the commonest class, and for real inputs of one length the nearest sample."""
    counts = np.bincount(task.train.y, minlength=task.classes)
    found = {"the commonest class": float(np.mean(task.test.y == counts.argmax()))}
    if task.vocabulary is None and len(task.train.y) * task.train.x[0].size < 2**24:
        a, b = (split.x.reshape(len(split.x), -1).astype(np.float64) for split in (task.train, task.test))
        far = np.square(a).sum(1) - 2 * b @ a.T
        found["the nearest training sequence"] = float(np.mean(task.train.y[far.argmin(1)] == task.test.y))
    if task.name == "own-listops":
        from wellposed.sequence.shallow import floors

        found |= floors(task.train, task.test)
    return found


def curve(bank: Bank, reference: str, frequencies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|x(iw) - y(iw)| and |x(iw)|, both over |b|: what the bank misses of the system it stands for."""
    from wellposed.sequence.transfer_gap import admit
    from wellposed_check.sequence.transfer import REFERENCES, norm

    system, diagonal = REFERENCES[reference](len(bank)), admit(bank)
    x, y = system.state(frequencies)[0], diagonal.state(frequencies)[0]
    size = np.linalg.norm(system.b)
    return norm(x - y) / size, norm(x) / size
