"""Ctrl-C, and the signal by which clusters end a job: noted, so that a step and its checkpoint can be finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruptible(install: bool) -> Iterator[list[int]]:
    """A list that holds the number of the signal once someone has interrupted; a second one ends at once."""
    seen: list[int] = []
    if not install or threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: Any) -> None:  # noqa: ARG001
        seen.append(number)
        signal.signal(number, before[number] or signal.SIG_DFL)

    for number in before:
        signal.signal(number, note)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
