"""Raw spoken digits, a speaker that was never heard, and a tone added to the audio: accuracy over amplitude of four initializations.

    python benchmarks/sequence_speech.py --folder recordings.tar.gz [--epochs 30] [--seeds 3] [--part 0/2]

The tone is searched for: at the frequencies at which S4D's gap peaks, mapped through the step sizes of each layer, and at 12 others, with
amplitude 0.1 of a clip's peak; the worst of each network is then played at all amplitudes. Audio at 8 kHz, 4,096 samples a clip, 16 samples
(2 ms) a step; training varies speed, microphone and noise. A trained network hears each clip at five speeds and answers by the mean of its
logarithms of probability. Results are kept in runs/benchmarks/speech.jsonl, and two processes share the work with --part 0/2 and --part
1/2; without it the table is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.cache import add_arguments, opened
from torch import Tensor, nn

import wellposed
from wellposed.sequence import SequenceModel, damped_hippo
from wellposed.sequence.exam import initial_certificates
from wellposed.sequence.robustness import accuracy, input_tone, search, spikes
from wellposed.sequence.speech import spoken_digits
from wellposed.sequence.split import Split, Task
from wellposed.training.data import Arrays
from wellposed.training.losses import supervised
from wellposed.training.objectives import Objective

FRAME, LENGTH, STATE = 16, 4096, 32
SPEEDS = (0.8, 0.9, 1.0, 1.15, 1.25)
AMPLITUDES = (0.0, 0.03, 0.1, 0.3, 1.0)
LOUD = 0.1
INITS = ("s4d", "s5", "published", "damped")


class Ear(nn.Module):
    """Raw audio (batch, samples, 1) -> classes: pre-emphasis, one loudness, sixteen samples to a step, a sequence model."""

    def __init__(self, init: str) -> None:
        super().__init__()
        self.model = SequenceModel(FRAME, 10, 64, 4, state=STATE, init=init, bidirectional=True, mixing="glu", dropout=0.15)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        flat = x[..., 0]
        sharp = torch.cat([flat[:, :1], flat[:, 1:] - 0.95 * flat[:, :-1]], 1)
        loud = (sharp.square().sum(1) / lengths).sqrt().clamp(min=1e-5)
        return self.model((0.3 * sharp / loud[:, None]).view(len(x), -1, FRAME), -(-lengths // FRAME))

    def parameter_groups(self) -> list[dict[str, Any]]:
        return self.model.parameter_groups()


class Listener(nn.Module):
    """A trained ear that plays each clip at five speeds."""

    def __init__(self, ear: Ear) -> None:
        super().__init__()
        self.ear = ear.eval()

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        answers = [self.ear(*played(x, lengths, speed)).log_softmax(-1) for speed in SPEEDS]
        return torch.stack(answers).mean(0)


def played(x: Tensor, lengths: Tensor, speed: float) -> tuple[Tensor, Tensor]:
    """A clip (batch, samples, 1) at another speed, linearly between samples."""
    samples = x.shape[1]
    place = torch.arange(samples) * speed
    left = place.floor().long().clamp(max=samples - 2)
    part = (place - left)[:, None]
    heard = (place < samples - 1)[:, None]
    return (x[:, left] * (1 - part) + x[:, left + 1] * part) * heard, (lengths / speed).ceil().long().clamp(FRAME, samples)


def varied(batch: Any, rng: np.random.Generator) -> Any:
    """Played at another speed that wavers, through another microphone, with noise: other voices."""
    def drawn(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (len(x), 1)).astype(np.float32))

    x, lengths, y = batch
    flat, samples = x[..., 0], x.shape[1]
    speed, k = drawn(0.75, 1.35), torch.arange(samples, dtype=torch.float32)
    period, phase = drawn(1500, 6000) / (2 * np.pi), drawn(0, 2 * np.pi)
    place = k * speed + drawn(0, 0.15) * speed * period * (torch.sin(k / period + phase) - torch.sin(phase))
    left = place.floor().long().clamp(min=0)
    heard, left, part = left < samples - 1, left.clamp(max=samples - 2), place - left
    played = (flat.gather(1, left) * (1 - part) + flat.gather(1, left + 1) * part) * heard
    tilt = torch.from_numpy(rng.standard_normal((len(x), 1, 9)).astype(np.float32)) * 0.8
    tilt = nn.functional.interpolate(tilt, size=samples // 2 + 1, mode="linear", align_corners=True)[:, 0]
    played = torch.fft.irfft(torch.fft.rfft(played) * tilt.exp(), n=samples)
    loud = played.square().mean(1, keepdim=True).sqrt()
    played = played + loud * 10 ** -drawn(0.5, 2.5) * torch.from_numpy(rng.standard_normal(played.shape).astype(np.float32))
    return played[..., None], (1.1 * lengths / speed[:, 0]).ceil().long().clamp(FRAME, samples), y


def one(task: Task, init: str, seed: int, epochs: int) -> dict[str, Any]:
    """Train a network, find its worst tone, and play that at every amplitude."""
    torch.manual_seed(seed)
    model, test = Ear(init), task.test
    claim = initial_certificates(model)[0].claim("initial_transfer_gap")
    data, validation = Arrays(tuple(task.train)), Arrays(tuple(task.validation))
    wellposed.train(model, Objective(supervised("cross_entropy"), data, validation, augment=varied), epochs=epochs, batch=32, lr=0.008,
                    weight_decay=0.05, warmup=0.1, seed=seed, threads=torch.get_num_threads(), quiet=True,
                    folder=Path(f"runs/benchmarks/speech/{init}-{seed}-{epochs}"))
    few, listener = Split(*(x[::5] for x in test)), Listener(model)
    mapped = [f / FRAME for f in spikes(model, damped_hippo(STATE, 1.0))]  # from steps to samples
    chosen = mapped[:: max(1, len(mapped) // 12)]
    worst = search([*chosen, *np.geomspace(0.01, 3.0, 12)], lambda f: accuracy(listener, few, input_tone(f, LOUD)))
    curve = [accuracy(listener, test, input_tone(worst.frequency, a)) for a in AMPLITUDES]
    return {"single": accuracy(model, test), "curve": curve, "frequency": worst.frequency, "spike": worst.frequency in chosen,
            "gap": claim.upper, "holds": claim.holds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--speaker", default=None)
    add_arguments(parser, "speech")
    o = parser.parse_args()
    torch.set_num_threads(1)
    task = spoken_digits(o.folder, LENGTH, 1, speaker=o.speaker)
    cache = opened(o)
    asked = [{"init": init, "seed": seed, "epochs": o.epochs, "speaker": o.speaker} for seed in range(o.seeds) for init in INITS]
    cache.fill(asked, lambda s: one(task, s["init"], s["seed"], s["epochs"]))
    if o.part is None:
        tell(task, asked, [cache.get(s) for s in asked])


def tell(task: Task, asked: list[dict[str, Any]], found: list[dict[str, Any]]) -> None:
    """The table: means over the seeds, and half of the range."""
    print(f"spoken digits, one speaker held out ({len(task.test.y)} clips); tone at the worst frequency found, amplitude in clip peaks")
    print(f"{'init':<11}{'gap at most':>12}{'holds':>7}" + "".join(f"{a:>9g}" for a in AMPLITUDES) + "   worst at, Hz   clean at one speed")
    for init in INITS:
        rows = [r for s, r in zip(asked, found, strict=True) if s["init"] == init]
        mean, spread = (f(100 * np.array([r["curve"] for r in rows]), 0) for f in (np.mean, np.ptp))
        hertz = ", ".join(f"{r['frequency'] * 8000 / (2 * np.pi):.0f}" for r in rows)
        shown = "".join(f"{m:>5.1f}±{s / 2:<3.1f}" for m, s in zip(mean, spread, strict=True))
        single = 100 * np.mean([r["single"] for r in rows])
        print(f"{init:<11}{rows[0]['gap']:>12.5g}{rows[0]['holds']!s:>7}{shown}   {hertz}   {single:.1f}")


if __name__ == "__main__":
    main()
