"""history.jsonl: one line per report, appended while a run goes on, cut back to its checkpoint when it goes on again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wellposed.certificate import write_whole
from wellposed.training.contents import lines
from wellposed.training.folder import HISTORY


class History:
    """The reports of a run, in memory and in its file.

    Args:
        run: its folder. step: later reports are forgotten, as they will be made again.
    """

    def __init__(self, run: Path, step: int) -> None:
        self.path = run / HISTORY
        self.rows = [row for row in read_history(run) if row["step"] <= step]
        write_whole(self.path, lines(self.rows))

    def append(self, row: Mapping[str, Any]) -> None:
        data = lines([row])
        self.rows.append(json.loads(data))
        with open(self.path, "ab") as file:
            file.write(data)

    def flush(self) -> None:
        """To disk: a checkpoint must not be there before the reports that lead to it."""
        with open(self.path, "ab") as file:
            os.fsync(file.fileno())


def read_history(run: Path) -> list[dict[str, Any]]:
    """The reports in the file, up to the first line that a kill has cut."""
    rows: list[dict[str, Any]] = []
    try:
        for line in (run / HISTORY).read_text("utf-8").splitlines():
            row = json.loads(line)
            rows.append({**row, "step": int(row["step"])})
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return rows
