"""How many steps, and what happens after which: fixed once, kept in config.toml, the same for a resumed run."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from wellposed.certificate import write_whole
from wellposed.training.config import CONFIG, read_config
from wellposed.training.contents import toml
from wellposed.training.learner import Learner, judge
from wellposed.training.objectives import Objective
from wellposed.training.schedule import epoch_steps
from wellposed.training.settings import Settings

CHECKPOINT_SECONDS = 10.0
"""From one checkpoint to the next, by default."""
REPORTS = 200
"""At most so many reports by default."""
SHARE = 0.1
"""Of the time at most so much goes into validation, by default."""
PHASES = 8
"""Where training changes with the step, the time of a step is measured at so many places."""


@dataclass(frozen=True)
class Plan:
    """The table [plan] of config.toml.

    Attributes:
        steps: of the optimizer. epoch: steps of one pass over the data; None where they are endless.
        report_every, checkpoint_every: steps; the latter is None until the first steps have told their time.
        seconds_per_step: what was measured to keep to a time; None where none was asked for.
    """

    steps: int
    report_every: int
    epoch: int | None = None
    checkpoint_every: int | None = None
    seconds_per_step: float | None = None

    def keep(self, folder: Path, on: Accelerator) -> None:
        """Write the plan into config.toml."""
        if on.is_main_process:
            write_whole(folder / CONFIG, toml({**(read_config(folder) or {}), "plan": asdict(self)}))


def plan(model: nn.Module, objective: Objective, settings: Settings, on: Accelerator, budget: float) -> Plan:
    """The plan of a new run.

    Args:
        budget: seconds for measuring, where the settings ask for a time.

    Raises:
        ValueError: epochs of endless data.
    """
    epoch = None if objective.data is None else epoch_steps(len(objective.data), settings)
    if settings.steps is not None:
        steps = settings.steps
    elif settings.epochs is not None:
        if epoch is None:
            raise ValueError(f"train: received epochs={settings.epochs} with data that are drawn on the fly, expected steps or seconds: "
                             "such data have no end")
        steps = settings.epochs * epoch
    else:
        return _by_time(model, objective, settings, on, budget, epoch)
    return Plan(steps, settings.report_every or _reports(steps, epoch), epoch, settings.checkpoint_every)


def _reports(steps: int, epoch: int | None, least: int = 1) -> int:
    """Whole epochs, as few as give no more than `REPORTS` reports, and no less than `least` steps."""
    every = max(-(-steps // REPORTS), least)
    return min(-(-every // epoch) * epoch if epoch else every, steps)


def _by_time(model: nn.Module, objective: Objective, settings: Settings, on: Accelerator, budget: float, epoch: int | None) -> Plan:
    began = time.perf_counter()
    each, judging = measure(model, objective, settings, on, min(budget, 0.1 * (settings.seconds or 0.0)))
    left = max((settings.seconds or 0.0) - (time.perf_counter() - began), 0.0)
    each, judging, left = _agreed([each, judging, left], on)
    steps = max(1, int(left / each))
    every = settings.report_every or _reports(steps, epoch, int(judging / (SHARE * each)))
    steps = max(1, int(left / (each + judging / every)))
    return Plan(steps, min(every, steps), epoch, settings.checkpoint_every or max(1, round(CHECKPOINT_SECONDS / each)), each)


def measure(model: nn.Module, objective: Objective, settings: Settings, on: Accelerator, budget: float) -> tuple[float, float]:
    """Seconds of a step and of a validation, on a copy of the model.

    Where training changes with the step, the mean over `PHASES` places of what is measured at each.
    """
    learner, nominal, generator = Learner(copy.deepcopy(model), settings, on), 1000 * PHASES, np.random.default_rng(0)
    places = range(0, nominal, nominal // PHASES) if objective.begin is not None else [0]
    learner.model.train()

    def step(number: int) -> None:
        if objective.begin is not None:
            objective.begin(number, nominal)
        batch = objective.batch(number, settings, on.process_index, on.num_processes)
        batch = objective.augment(batch, generator) if objective.augment is not None else batch
        learner.step(objective, learner.place(batch), number, 0.0)
        if learner.device.type == "cuda":
            torch.cuda.synchronize()

    each = float(np.mean([_median(step, place, budget / len(places)) for place in places]))
    judging = 0.0
    if objective.validation is not None:
        began = time.perf_counter()
        judge(learner, objective, objective.validation, settings.batch)
        judging = time.perf_counter() - began
    on.free_memory()  # of the copy
    return each, judging


def _median(step: Callable[[int], None], first: int, budget: float) -> float:
    """Median time of steps after two that warm up; at least three, until the budget is spent."""
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - began < budget and len(times) < 1000):
        before = time.perf_counter()
        step(first + len(times))
        times.append(time.perf_counter() - before)
    return float(np.median(times[2:]))


def _agreed(numbers: list[float], on: Accelerator) -> list[float]:
    """What the first process has measured, as all must have the same plan."""
    if on.num_processes == 1:
        return numbers
    from accelerate.utils import broadcast

    told: Any = broadcast(torch.tensor(numbers, dtype=torch.float64, device=on.device))
    return [float(x) for x in told]
