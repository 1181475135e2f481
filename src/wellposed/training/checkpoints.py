"""Checkpoints: each is whole or not there, verified when it is read, and the last two are kept."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterable
from os import getpid, rename
from pathlib import Path

from wellposed.certificate import write_whole
from wellposed.training.folder import alive
from wellposed.training.manifest import MANIFEST, first_damage, flush, read_manifest, write_manifest

FOLDER, FORMAT, KEPT = "checkpoints", "wellposed-checkpoint/1", 2


def write_checkpoint(run: Path, step: int, files: Iterable[tuple[str, bytes]]) -> Path:
    """Write `checkpoints/<step>/`; a kill at any moment leaves it whole or not there, and the one before as it was.

    Args:
        files: names and contents, taken one after the other, so that they need not be in memory together.
    """
    place = run / FOLDER
    fresh = place / f".{step}.{getpid()}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, data in files:
        write_whole(fresh / name, data)
    write_manifest(fresh, FORMAT)
    flush(fresh)
    if (place / str(step)).exists():  # a damaged one that was passed over
        shutil.rmtree(place / str(step))
    rename(fresh, place / str(step))
    flush(place)
    _tidy(place)
    return place / str(step)


def newest(run: Path) -> tuple[int, dict[str, bytes]] | None:
    """Step and files of the newest checkpoint that is whole; damaged ones are passed over with a warning."""
    for step in steps(run):
        folder = run / FOLDER / str(step)
        listed = read_manifest(folder, FORMAT)
        damage = f"{folder / MANIFEST} is missing or damaged" if listed is None else first_damage(folder, listed)
        if listed is not None and damage is None:
            return step, {name: (folder / name).read_bytes() for name in listed}
        warnings.warn(f"{damage}: this checkpoint is passed over for the one before it, or for the beginning", stacklevel=2)
    return None


def steps(run: Path) -> list[int]:
    """Steps of the checkpoints that are there, the newest first."""
    place = run / FOLDER
    return sorted((int(p.name) for p in place.iterdir() if p.name.isdigit()), reverse=True) if place.is_dir() else []


def _tidy(place: Path) -> None:
    for step in steps(place.parent)[KEPT:]:
        shutil.rmtree(place / str(step), ignore_errors=True)
    for entry in place.iterdir():
        writer = re.fullmatch(r"\.\d+\.(\d+)\.new", entry.name)
        if writer and not alive(writer[1]):
            shutil.rmtree(entry, ignore_errors=True)
