"""The loop: step, report, checkpoint, until the steps are done, patience ends, or someone interrupts."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wellposed.training.checkpoints import newest, write_checkpoint
from wellposed.training.data import Data
from wellposed.training.history import History
from wellposed.training.interrupts import interruptible
from wellposed.training.learner import Learner, judge
from wellposed.training.objectives import Objective
from wellposed.training.plan import CHECKPOINT_SECONDS, Plan
from wellposed.training.progress import Watcher, number
from wellposed.training.randomness import Randomness
from wellposed.training.schedule import learning_rate
from wellposed.training.settings import Settings
from wellposed.training.weights import decode, encode
from wellposed_check.canonical import dumps

STATE = "state.json"
SYNC = 16
"""Steps after which losses are read from a GPU: reading each would make it wait."""


@dataclass
class Position:
    """Where training is: what a checkpoint holds beside tensors.

    Attributes:
        total, count: sum and number of the losses since the last report.
        best: the report with the least criterion; value: that criterion. stale: reports since.
        seconds: of training so far, over all resumed parts.
    """

    step: int = 0
    total: float = 0.0
    count: int = 0
    best: dict[str, Any] | None = None
    value: float | None = None
    stale: int = 0
    seconds: float = 0.0


@dataclass
class Loop:
    """One training run in its folder.

    Attributes:
        identity: of the run: a checkpoint of another one is not resumed.
        best: the weights of the best report, on the CPU.
    """

    learner: Learner
    objective: Objective
    settings: Settings
    plan: Plan
    folder: Path
    identity: str
    watcher: Watcher
    random: Randomness
    position: Position = field(default_factory=Position)
    best: dict[str, Tensor] | None = None
    history: History | None = None
    _pending: list[tuple[int, float, Tensor, Tensor | None]] = field(default_factory=list)
    _saved: int = -1

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        found = newest(self.folder)
        if found is not None:
            _, files = found
            state = json.loads(files[STATE])
            if state["identity"] != self.identity:
                raise ValueError(f"{self.folder}: received checkpoints of another run; start anew with resume=False, or in another folder")
            groups = {name.removesuffix(".safetensors"): decode(data, name) for name, data in files.items() if name != STATE}
            self.learner.restore(groups)
            self.best = groups.get("best")
            self.random.restore(groups["random"], state["random"])
            self.position = Position(**state["position"])
            self._saved = self.position.step
        if self.learner.on.is_main_process:
            self.history = History(self.folder, self.position.step)

    def run(self) -> str:
        """To the end; "finished" or "patience".

        Raises:
            FloatingPointError: a loss or a gradient is not finite. KeyboardInterrupt, SystemExit: someone interrupted.
        """
        self.learner.model.train()
        with interruptible(self.learner.on.num_processes == 1) as interrupted:
            while not (outcome := self._outcome()):
                began = time.perf_counter()
                self._step()
                self.position.seconds += time.perf_counter() - began
                self.watcher.step(self.position.step)
                if self.position.step % self.plan.report_every == 0 or self.position.step == self.plan.steps:
                    self._report()
                self._fix_checkpoints()
                if interrupted or self.position.step % (self.plan.checkpoint_every or self.plan.steps) == 0:
                    self.checkpoint()
                if interrupted:
                    self._leave(interrupted[0])
        self.checkpoint()
        return outcome

    def checkpoint(self) -> None:
        """Write all that a resumed run needs."""
        self._read_losses()
        if self.history is None or self._saved == self.position.step:
            return
        if not all(bool(torch.isfinite(p).all()) for p in self.learner.trained.values()):
            raise self._failed(self.position.step, "a parameter")
        self.history.flush()
        write_checkpoint(self.folder, self.position.step, self._files())
        self._saved = self.position.step

    def _outcome(self) -> str:
        if self.position.step >= self.plan.steps:
            return "finished"
        patience = self.settings.patience
        return "patience" if patience is not None and self.position.stale >= patience else ""

    def _step(self) -> None:
        step, plan, on = self.position.step, self.plan, self.learner.on
        if on.num_processes > 1:
            self.random.begin(step)  # so that no process but the first has a state to keep
        if self.objective.begin is not None:
            self.objective.begin(step, plan.steps)
        lr = learning_rate(step, plan.steps, self.settings)
        batch = self.objective.batch(step, self.settings, on.process_index, on.num_processes)
        if self.objective.augment is not None:
            batch = self.objective.augment(batch, self.random.generator)
        loss, norm = self.learner.step(self.objective, self.learner.place(batch), step, lr)
        self._pending.append((step, lr, loss, norm))
        self.position.step += 1
        if self.learner.device.type == "cpu" or len(self._pending) >= SYNC:
            self._read_losses()

    def _read_losses(self) -> None:
        """Add up the losses of the last steps, in their order.

        Raises:
            FloatingPointError: one is not finite.
        """
        pending, self._pending = self._pending, []
        for step, lr, loss, norm in pending:
            value = float(loss)
            if not math.isfinite(value) or (norm is not None and not math.isfinite(float(norm))):
                raise self._failed(step, f"the loss ({value})" if not math.isfinite(value) else "the gradient", lr)
            self.position.total += value
            self.position.count += 1

    def _failed(self, step: int, what: str, lr: float | None = None) -> FloatingPointError:
        at = "" if lr is None else f" at a learning rate of {number(lr)}"
        return FloatingPointError(
            f"train: {what} was not finite in step {step + 1}{at}; try lr={number(self.settings.lr / 10)}, a smaller clip or a longer "
            + ("warmup" if self._saved < 0 else f"warmup, in another folder or with resume=False; the last checkpoint is kept in "
               f"{self.folder}"))

    def _report(self) -> None:
        self._read_losses()
        place, steps = self.position, self.plan.epoch
        row: dict[str, Any] = {"step": place.step, "epoch": round(place.step / steps, 4) if steps else None,
                               "train_loss": place.total / place.count if place.count else None}
        place.total, place.count = 0.0, 0
        if self.objective.validation is not None:
            row.update(self._judge(self.objective.validation, place))
        row |= {"lr": learning_rate(place.step - 1, self.plan.steps, self.settings), "seconds": round(place.seconds, 3)}
        if place.stale == 0 and place.value is not None:
            place.best = row
        if self.history is not None:
            self.history.append(row)
            self.watcher.report(row)

    def _judge(self, validation: Data, place: Position) -> dict[str, float | None]:
        began = time.perf_counter()
        found = judge(self.learner, self.objective, validation, self.settings.batch)
        value = found.get(self.objective.criterion)
        if value is None:
            raise ValueError(f"Objective: received criterion={self.objective.criterion!r}, expected loss or one of the metrics "
                             f"{', '.join(k for k in found if k != 'loss')}")
        value = self._agreed(value)
        if math.isfinite(value) and (place.value is None or value < place.value):
            place.value, place.stale = value, 0
            self.best = {name: x.detach().to("cpu", copy=True) for name, x in self.learner.weights().items()}
        else:
            place.stale += 1
        place.seconds += time.perf_counter() - began
        return {"validation_loss" if k == "loss" else k: x if math.isfinite(x) else None for k, x in found.items()}

    def _agreed(self, value: float) -> float:
        """What the first process has found, as all must decide the same."""
        if self.learner.on.num_processes == 1:
            return value
        from accelerate.utils import broadcast

        return float(broadcast(torch.tensor([value], dtype=torch.float64, device=self.learner.device))[0])  # type: ignore[index]

    def _fix_checkpoints(self) -> None:
        """The first steps tell how many take ten seconds; config.toml keeps the number."""
        place = self.position
        if self.plan.checkpoint_every is None and ((place.seconds >= 1.0 and place.step >= 3) or place.seconds >= CHECKPOINT_SECONDS):
            each = place.seconds / place.step
            self.plan = replace(self.plan, checkpoint_every=max(1, round(CHECKPOINT_SECONDS / each)))
            self.plan.keep(self.folder, self.learner.on)

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for name, tensors in self.learner.state():
            yield f"{name}.safetensors", encode(tensors)
        if self.best is not None:
            yield "best.safetensors", encode(self.best)
        yield "random.safetensors", encode(self.random.arrays())
        state = {"position": asdict(self.position), "random": self.random.numbers(), "identity": self.identity}
        yield STATE, dumps(state).encode()

    def _leave(self, number: int) -> None:
        text = (f"stopped after step {self.position.step} of {self.plan.steps}; the checkpoint is in {self.folder}: give the same command "
                "again to go on from it")
        self.watcher.say(text)
        raise KeyboardInterrupt(text) if number == signal.SIGINT else SystemExit(128 + number)
