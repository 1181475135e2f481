"""How to train: one flat, frozen table that goes into config.toml."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

LENGTHS = ("steps", "epochs", "seconds")


@dataclass(frozen=True)
class Settings:
    """How to train. Exactly one of `steps`, `epochs`, `seconds` says how long.

    AdamW; the learning rate rises linearly over the first part `warmup` of the steps and falls along a cosine to
    `final_lr` times `lr`. Good values: lr 1e-3 (3e-4 for deep models), batch 8 to 32, average 0.999 for noisy losses.

    Raises:
        ValueError: not exactly one length, or a value out of range; it is named.
    """

    steps: int | None = None
    """Steps of the optimizer."""
    epochs: int | None = None
    """Passes over the data."""
    seconds: float | None = None
    """Wall-clock time: the time of a step is measured first, which fixes the number of steps; a resumed run keeps it."""
    batch: int = 8
    """Samples per step, over all processes."""
    lr: float = 1e-3
    """The largest learning rate."""
    final_lr: float = 0.0
    """The last learning rate, as a part of lr."""
    weight_decay: float = 0.0
    """Of AdamW."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""
    warmup: float = 0.05
    """The part of the steps in which the learning rate rises."""
    clip: float | None = 1.0
    """The largest norm of the gradient; None does not clip."""
    patience: int | None = None
    """Stop after so many reports without a smaller validation loss; None goes to the end."""
    average: float | None = None
    """Decay of an exponential moving average of the weights, which is then evaluated and saved instead of them."""
    seed: int = 0
    """Of the order of the data, and of all that is random while training."""
    precision: Literal["float32", "bf16"] = "float32"
    """bf16 computes in bfloat16 where that is safe, and keeps the weights as they are."""
    channels_last: bool = True
    """Store 4-d tensors with the channels last, which makes convolutions faster."""
    report_every: int | None = None
    """Steps from one report, with its validation, to the next; by default one epoch, or more where there are many."""
    checkpoint_every: int | None = None
    """Steps from one checkpoint to the next; by default about every ten seconds."""
    threads: int | None = None
    """Of torch, while training; None leaves them as they are."""
    device: Literal["cpu", "cuda"] | None = None
    """None takes a GPU where there is one."""

    def __post_init__(self) -> None:
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"train: received {' and '.join(given) or 'no length'}, expected exactly one of steps, epochs and seconds, as "
                             "in train(model, data, epochs=10)")
        object.__setattr__(self, "betas", tuple(self.betas) if isinstance(self.betas, list) else self.betas)
        for name, expected in _EXPECTED.items():
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if not _RULES[expected](value):
                raise ValueError(f"train: received {name}={value!r}, expected {expected}{' or None' if name in _OPTIONAL else ''}")


def _whole(x: object) -> bool:
    return isinstance(x, int) and not isinstance(x, bool)


def _real(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)


_RULES = {
    "a whole number of at least 1": lambda x: _whole(x) and x >= 1,
    "a whole number of at least 0": lambda x: _whole(x) and x >= 0,
    "a positive number": lambda x: _real(x) and x > 0,
    "a number of at least 0": lambda x: _real(x) and x >= 0,
    "a number from 0 to 1": lambda x: _real(x) and 0 <= x <= 1,
    "a number from 0 to below 1": lambda x: _real(x) and 0 <= x < 1,
    "two numbers from 0 to below 1": lambda x: isinstance(x, tuple) and len(x) == 2 and all(_real(b) and 0 <= b < 1 for b in x),
    "'float32' or 'bf16'": lambda x: x in ("float32", "bf16"),
    "'cpu', 'cuda'": lambda x: x in ("cpu", "cuda"),
    "True or False": lambda x: isinstance(x, bool),
}
_EXPECTED = {
    **dict.fromkeys(("steps", "epochs", "batch", "patience", "threads"), "a whole number of at least 1"),
    **dict.fromkeys(("report_every", "checkpoint_every"), "a whole number of at least 1"),
    **dict.fromkeys(("seconds", "lr", "clip"), "a positive number"),
    "seed": "a whole number of at least 0", "weight_decay": "a number of at least 0", "final_lr": "a number from 0 to 1",
    "warmup": "a number from 0 to 1", "average": "a number from 0 to below 1", "betas": "two numbers from 0 to below 1",
    "precision": "'float32' or 'bf16'", "device": "'cpu', 'cuda'", "channels_last": "True or False",
}
_OPTIONAL = {"steps", "epochs", "seconds", "patience", "report_every", "checkpoint_every", "threads", "clip", "average", "device"}
