"""Seeded work spread over processes, with progress."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import TypeVar

from rich.progress import track

T = TypeVar("T")
R = TypeVar("R")


def map_parallel(work: Callable[[T], R], tasks: Sequence[T], executor: Executor | None = None, workers: int | None = None,
           title: str = "working") -> list[R]:
    """[work(t) for t in tasks], in order.

    Args:
        executor: any `concurrent.futures.Executor`; it is left open.
        workers: processes of a pool of our own (spawned, never forked); 1 works in this process; by default one per core.
    """
    if executor is None and (workers == 1 or len(tasks) == 1):
        return list(_watch(map(work, tasks), len(tasks), title))
    if executor is not None:
        return list(_watch(executor.map(work, tasks), len(tasks), title))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=context) as pool:
        return list(_watch(pool.map(work, tasks), len(tasks), title))


def _watch(results: Iterable[R], total: int, title: str) -> Iterable[R]:
    return track(results, description=title, total=total, disable=not sys.stderr.isatty(), transient=True)
