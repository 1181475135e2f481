"""What a folder holds when training is asked for: nothing, a run to go on with, a finished one, or something else."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wellposed.certificate import write_whole
from wellposed.training import config as configs
from wellposed.training.checkpoints import FOLDER, steps
from wellposed.training.config import CONFIG, difference, read_config, unfinished
from wellposed.training.contents import toml
from wellposed.training.folder import FORMAT, HISTORY, WEIGHTS, alive, recover, unlisted, verify_run
from wellposed.training.manifest import MANIFEST, flush, read_manifest

START = "start.weights"
AGAIN = "name another folder=, or start anew with resume=False, which deletes that run"


def standing(folder: Path, config: Mapping[str, Any], resume: bool) -> str:
    """"new", "unfinished" or "finished" if another call asked for the same as `config`; "old" if it is not to be resumed.

    An unfinished run has its weights in its checkpoint, and goes on whatever the model holds; one without a checkpoint has nothing that
    could be lost, and another may take its place.

    Raises:
        ValueError: the folder holds a run that was asked for something else, whose first difference is named; a finished run that
            is damaged; files that are not a run's.
    """
    recover(folder)
    if not folder.exists() or not any(folder.iterdir()):
        return "new"
    unlisted(folder)
    if not resume:
        return "old"
    held = read_config(folder) or {}
    if held.get("format") != configs.FORMAT:
        raise ValueError(f"train: {folder} holds a run that is not one of training, expected a new folder or such a run; {AGAIN}")
    listed = read_manifest(folder, FORMAT)
    differs = difference(held, config)
    if listed is None:
        begun = bool(steps(folder))
        if differs is not None and differs[0] == START and begun:
            warnings.warn(f"{folder} goes on from its checkpoint; the weights with which the model came, other than those that this run "
                          "began with, play no part", stacklevel=3)
        elif differs is not None and begun:
            raise ValueError(_said(folder, *differs))
        return "unfinished" if differs is None or begun else "old"
    if differs is not None and not (differs[0] == START and listed.get(WEIGHTS) == differs[2]):
        raise ValueError(_said(folder, *differs))
    verify_run(folder)
    return "finished"


def going_on(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The config of an unfinished run that goes on: it began with the weights that its own names."""
    return config | {"start": (read_config(folder) or config)["start"]}


def begin(folder: Path, config: Mapping[str, Any]) -> None:
    """Make the folder of a run with its config.toml, both at once; or write that file again."""
    if folder.exists() and any(folder.iterdir()):
        for entry in folder.iterdir():
            writer = re.fullmatch(r"\..+\.(\d+)\.tmp", entry.name)
            if writer and not alive(writer[1]):
                entry.unlink()
        write_whole(folder / CONFIG, toml(config))
        return
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    write_whole(fresh / CONFIG, toml(config))
    os.replace(fresh, folder)
    flush(folder.parent)


def clear(folder: Path) -> None:
    """Delete what a run has written, and nothing else; its config.toml stays until another takes its place."""
    for name in read_manifest(folder, FORMAT) or ():
        if name != CONFIG:
            (folder / name).unlink(missing_ok=True)
    if unfinished(folder):
        (folder / HISTORY).unlink(missing_ok=True)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    (folder / MANIFEST).unlink(missing_ok=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """No other process trains in this folder meanwhile, where the system can tell; a kill lets go of it.

    Raises:
        ValueError: another one does.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ValueError(f"train: another process is training in {folder}; wait for it, or name another folder") from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(handle)


def _said(folder: Path, name: str, held: Any, asked: Any) -> str:
    have = "has none" if held is None else f"has {held!r}"
    want = "none" if asked is None else repr(asked)
    if name == START:
        return (f"train: received a model with other weights than the run in {folder} began with ({str(asked)[:12]}, expected "
                f"{str(held)[:12]}); build the model after torch.manual_seed(...), so that it begins alike; or {AGAIN}")
    if name == "start.module":
        return (f"train: received a model that is built otherwise than the one in {folder} (its modules, the parameters that are "
                f"trained, or their lr_factor), expected the same to go on with it; {AGAIN}")
    if name.startswith("data.") and name.endswith(("sha256", "validation")):
        return f"train: received other data than the run in {folder} has ({name} differs), expected the same; {AGAIN}"
    return f"train: received {name} = {want}, but the run in {folder} {have}; expected the same to go on with it; {AGAIN}"
