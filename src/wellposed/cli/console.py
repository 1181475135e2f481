"""Where the command line writes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress

COLUMNS = 140


def console() -> Console:
    """As wide as the terminal; where there is none, so wide that no table is cut."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else COLUMNS)


def progress_bar() -> Progress:
    """Where somebody looks; gone when it is done."""
    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def tell_next(console: Console, where: str, commands: Sequence[tuple[str, str]]) -> None:
    """Where the results are, and commands with what each does."""
    console.print(f"\n{where}. Next:", soft_wrap=True)
    for command, what in commands:
        console.print(f"  {command}\n      {what}", soft_wrap=True, markup=False)
