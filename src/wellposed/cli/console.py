"""Where the command line writes."""

from __future__ import annotations

import sys

from rich.console import Console

COLUMNS = 140


def console() -> Console:
    """As wide as the terminal; where there is none, so wide that no table is cut."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else COLUMNS)
