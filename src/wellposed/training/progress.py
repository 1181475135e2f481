"""What a person sees while a model is trained: a bar on a terminal, otherwise a line per report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

FIRST = 1.0
"""Seconds after which the first steps tell how long it will take."""


class Watcher:
    """Tells how training goes; nothing if `quiet`."""

    def __init__(self, quiet: bool) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.quiet, self.told = quiet, quiet
        self.bar: Progress | None = None

    def begin(self, step: int, steps: int, folder: Path) -> None:
        """From now on the steps are timed; `step` of `steps` are done."""
        self.first, self.steps, self.began = step, steps, time.perf_counter()
        self.say(f"training in {folder}" + (f", from step {step} of {steps}" if step else f", {steps} steps"))
        if self.console.is_terminal and not self.quiet:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
                       TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
            self.bar = Progress(*columns, console=self.console, refresh_per_second=4)
            self.bar.start()
            self.task = self.bar.add_task("training", total=steps, completed=step, note="")

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def step(self, step: int) -> None:
        if self.bar is not None:
            self.bar.update(self.task, completed=step)
        spent, done = time.perf_counter() - self.began, step - self.first
        if not self.told and done > 1 and spent > FIRST:
            self.told = True
            each = spent / done
            self.say(f"{self.steps - self.first} steps of about {duration(each)} will take {duration(each * (self.steps - self.first))}; "
                     "Ctrl-C keeps a checkpoint, and the same command goes on from it")

    def report(self, row: Mapping[str, Any]) -> None:
        keys = [k for k in row if k not in ("step", "epoch", "seconds", "lr")]
        numbers = "  ".join(f"{k.replace('_', ' ')} {number(row[k])}" for k in keys if row[k] is not None)
        if self.bar is not None:
            self.bar.update(self.task, note=numbers)
            return
        epoch = "" if row["epoch"] is None else f"epoch {row['epoch']:g}  "
        self.say(f"step {row['step']:>{len(str(self.steps))}}/{self.steps}  {epoch}{numbers}  lr {number(row['lr'])}  "
                 f"{duration(row['seconds'])}")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()


def number(x: Any) -> str:
    return f"{x:.4g}" if isinstance(x, int | float) else str(x)


def duration(seconds: float) -> str:
    """A time that a person can read: 12 ms, 3.4 s, 2 min 5 s, 1 h 4 min."""
    if seconds < 0.0995:
        return f"{1000 * seconds:.2g} ms"
    if seconds < 59.5:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
