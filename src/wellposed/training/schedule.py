"""What depends on the step alone: the learning rate, and which samples come when. So neither has a state to keep."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from wellposed.training.settings import Settings


def learning_rate(step: int, steps: int, settings: Settings) -> float:
    """Of the step that follows `step` finished ones: linear warm-up, then a cosine from lr to final_lr lr."""
    rise = round(settings.warmup * steps)
    if step < rise:
        return settings.lr * (step + 1) / rise
    fall = (step - rise) / max(1, steps - rise)
    return settings.lr * (settings.final_lr + (1 - settings.final_lr) * 0.5 * (1 + math.cos(math.pi * fall)))


def indices(step: int, samples: int, settings: Settings, rank: int = 0, processes: int = 1) -> list[int]:
    """The samples of a step: each epoch is a permutation, drawn from (seed, epoch), cut into batches.

    Of several processes each takes its share of the batch; the last batch of an epoch is then filled up from its first
    samples, so that all have the same number.
    """
    per_epoch = epoch_steps(samples, settings)
    epoch, position = divmod(step, per_epoch)
    order = _permutation(settings.seed, epoch, samples)
    chosen = order[position * settings.batch : (position + 1) * settings.batch]
    if processes > 1:
        missing = -len(chosen) % processes
        chosen = np.concatenate([chosen, np.resize(order, missing)])[rank::processes]
    return chosen.tolist()


def epoch_steps(samples: int, settings: Settings) -> int:
    return -(-samples // settings.batch)


@lru_cache(2)
def _permutation(seed: int, epoch: int, samples: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(samples)
