"""Results of single runs in a JSONL file, keyed by all their settings: a benchmark resumes after a kill, and processes share its work.

A run is locked while it is done; the system takes the lock away from a process that has died, so that another does the run.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

Settings = Mapping[str, Any]


class Cache:
    """Args: path, the file. part: i and n, where this process begins in the list of runs; None is the same as 0 of 1."""

    def __init__(self, path: Path, part: tuple[int, int] | None = None) -> None:
        self.path, self.part = path, part or (0, 1)
        path.parent.mkdir(parents=True, exist_ok=True)

    def rows(self) -> dict[str, dict[str, Any]]:
        """What is known: results by the keys of their settings."""
        return {key(row["settings"]): row["result"] for row in self.entries()}

    def entries(self) -> list[dict[str, Any]]:
        """"settings" and "result" of each. A line that a kill has torn does not count."""
        found = []
        for line in self.path.read_text().splitlines() if self.path.exists() else []:
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return found

    def get(self, settings: Settings) -> dict[str, Any]:
        """Raises: KeyError, not known yet."""
        return self.rows()[key(settings)]

    def fill(self, wanted: Sequence[Settings], run: Callable[[Settings], dict[str, Any]]) -> None:
        """Do what is missing of these runs, except what another process is doing; return when all are known."""
        first = len(wanted) * self.part[0] // self.part[1]
        order = [*wanted[first:], *wanted[:first]]
        for wait in (False, True):  # what others are doing is done when their locks are gone
            for settings in order:
                if key(settings) not in self.rows():
                    with self._held(settings, wait) as held:
                        if held and key(settings) not in self.rows():
                            self._append({"settings": settings, "result": run(settings)})

    @contextmanager
    def _held(self, settings: Settings, wait: bool) -> Iterator[bool]:
        folder = self.path.with_suffix(".locks")
        folder.mkdir(exist_ok=True)
        with (folder / hashlib.sha256(key(settings).encode()).hexdigest()[:24]).open("wb") as file:
            yield _lock(file, wait)

    def _append(self, row: Mapping[str, Any]) -> None:
        with self.path.open("a+b") as file:
            _lock(file, True)
            end = file.seek(0, os.SEEK_END)
            torn = b""
            if end:
                file.seek(end - 1)
                torn = b"" if file.read(1) == b"\n" else b"\n"
            file.write(torn + json.dumps(row).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def key(settings: Settings) -> str:
    return json.dumps(settings, sort_keys=True)


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """--cache and --part."""
    parser.add_argument("--cache", type=Path, default=Path("runs/benchmarks") / f"{name}.jsonl", help="JSONL file of single results")
    parser.add_argument("--part", metavar="i/n", help="one of n processes that share the missing runs, i from 0; prints no table")


def opened(options: argparse.Namespace) -> Cache:
    """The cache that the command line asks for.

    Raises:
        SystemExit: --part is not i/n with 0 <= i < n.
    """
    if options.part is None:
        return Cache(options.cache)
    try:
        i, n = (int(x) for x in options.part.split("/"))
    except ValueError:
        i, n = 0, 0
    if not 0 <= i < n:
        raise SystemExit(f"--part: received {options.part!r}, expected i/n with 0 <= i < n, such as 0/2")
    return Cache(options.cache, (i, n))


def _lock(file: BinaryIO, wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
