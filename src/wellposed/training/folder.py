"""The run folder: whole or not there, and every file accounted for.

It is written beside its place under a temporary name, flushed to disk and renamed. Where a run was before, that one is
moved aside, the new one moved in and the old one deleted; what a kill in between leaves is mended by the next call.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wellposed.certificate import CERTIFICATE, WITNESS, Certificate, write_whole
from wellposed.training.config import CONFIG, unfinished
from wellposed.training.contents import lines, npz, toml
from wellposed.training.manifest import MANIFEST, first_damage, flush, read_manifest, write_manifest

FORMAT = "wellposed-run/1"
HISTORY, WEIGHTS, REPORT, CARD = "history.jsonl", "weights.safetensors", "report.html", "README.md"


def write_run(folder: str | Path, *, config: Mapping[str, Any], history: Iterable[Mapping[str, Any]], card: str,
              certificate: Certificate | None = None, report: str | None = None, weights: Any = None,
              problem: Mapping[str, Any] | None = None, answer: Mapping[str, Any] | None = None,
              arrays: Mapping[str, Any] | None = None, files: Mapping[str, bytes] | None = None) -> Path:
    """Write a run; a kill at any moment leaves the old run or the new one.

    Args:
        config: becomes config.toml; entries that are None are left out. history: one line each of history.jsonl.
        card: README.md. report: report.html.
        weights: a module, a mapping of tensors, or the bytes of weights.safetensors.
        problem, answer, arrays: named arrays, which become problem.npz, answer.npz and arrays.npz; the first two are what
            `wellposed check --problem --answer` reads.
        files: further files, by name.

    Returns:
        the folder. Files in an old run that its manifest does not list, such as checkpoints or notes, are kept.

    Raises:
        ValueError: `folder` is there, not empty and not a run; a file that is not the run's is in the way; numbers that are
            not finite in the history; arrays of objects.
    """
    groups = {"problem": problem, "answer": answer, "arrays": arrays}
    contents = {CONFIG: toml(config), HISTORY: lines(history), CARD: card.encode(), **(files or {}),
                **{f"{name}.npz": npz(group) for name, group in groups.items() if group}}
    if report is not None:
        contents[REPORT] = report.encode()
    if weights is not None:
        contents[WEIGHTS] = _encoded(weights)
    return _replace(folder, certificate, contents)


def add_to_run(folder: str | Path, *, certificate: Certificate | None = None, report: str | None = None, card: str | None = None,
               files: Mapping[str, bytes] | None = None) -> Path:
    """Add to a run, or replace, what is given; the rest of it stays. As `write_run`, all or nothing.

    Raises:
        ValueError: this is no run folder, or one of its files is damaged.
    """
    listed = verify_run(folder)
    contents = dict(files or {})
    if report is not None:
        contents[REPORT] = report.encode()
    if card is not None:
        contents[CARD] = card.encode()
    new = {*contents, *((CERTIFICATE, WITNESS) if certificate else ())}
    return _replace(folder, certificate, contents, [Path(name) for name in listed if name not in new])


def verify_run(folder: str | Path) -> dict[str, str]:
    """The files of a run with their SHA-256, after each has been compared with the manifest.

    Raises:
        ValueError: this is no run folder, or a file differs or is missing; it is named.
    """
    place = Path(folder).resolve()
    if not place.exists():
        recover(place)
    listed = read_manifest(place, FORMAT)
    if listed is None and unfinished(place):
        raise ValueError(f"{folder} is a run that has not finished (no {MANIFEST} yet): give the command that began it again, and it "
                         "goes on from its last checkpoint")
    if listed is None:
        raise ValueError(f"{folder} is not a run folder: there is no {MANIFEST} of the format {FORMAT} in it; name the folder of "
                         "a run")
    damage = first_damage(Path(folder), listed)
    if damage:
        raise ValueError(f"{damage}; restore it, or run again")
    return listed


def recover(folder: str | Path) -> None:
    """Mend what a kill has left: put back an old run that has no successor, delete what is superseded or half written."""
    place = Path(folder).resolve()
    aside = _aside(place)
    whole = read_manifest(aside, FORMAT) is not None or unfinished(aside)
    if whole and (not place.exists() or _empty(place)):
        os.replace(aside, place)
    elif aside.exists() and (not whole or read_manifest(place, FORMAT) is not None):
        shutil.rmtree(aside)
    for entry in place.parent.iterdir() if place.parent.is_dir() else ():
        writer = re.fullmatch(rf"\.{re.escape(place.name)}\.(\d+)\.new", entry.name)
        if writer and not alive(writer[1]):
            shutil.rmtree(entry, ignore_errors=True)


def alive(process: str) -> bool:
    """Whether another process of this number runs; where that cannot be told, it may."""
    return int(process) != os.getpid() and (not Path("/proc").is_dir() or Path("/proc", process).exists())


def unlisted(place: Path) -> list[Path]:
    """Files in the folder of a run, finished or not, that are not the run's own.

    Raises:
        ValueError: `place` is there, not empty and not a run.
    """
    if not place.exists() or _empty(place):
        return []
    listed = read_manifest(place, FORMAT)
    if listed is None and unfinished(place):
        listed = dict.fromkeys((CONFIG, HISTORY), "")
    if listed is None:
        raise ValueError(f"{place} is not empty, and not a run folder (no {MANIFEST} of the format {FORMAT}): nothing was "
                         "written; name a new folder, or empty this one")
    paths = (p.relative_to(place) for p in sorted(place.rglob("*")) if p.is_symlink() or not p.is_dir())
    return [p for p in paths if p.as_posix() not in {*listed, MANIFEST}]


def _replace(folder: str | Path, certificate: Certificate | None, contents: Mapping[str, bytes], carried: Iterable[Path] = ()) -> Path:
    place = Path(folder).resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    recover(place)
    kept, fresh = unlisted(place), place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        fresh.mkdir(exist_ok=True)
        if certificate is not None:
            certificate.save(fresh)
        for name, data in contents.items():
            write_whole(fresh / name, data)
        _keep(carried, place, fresh)
        write_manifest(fresh, FORMAT)
        _keep(kept, place, fresh)
        _swap(place, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        recover(place)
    return Path(folder)


def _keep(kept: Iterable[Path], place: Path, fresh: Path) -> None:
    for name in kept:
        if (fresh / name).exists():
            raise ValueError(f"{place / name} is in the way: the run that is there did not write it, and the new one would; "
                             "nothing was written; move it elsewhere")
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        if (place / name).is_symlink():
            shutil.copy2(place / name, fresh / name, follow_symlinks=False)
            continue
        try:
            os.link(place / name, fresh / name)  # checkpoints can be large
        except OSError:
            shutil.copy2(place / name, fresh / name)
        flush(fresh / name)


def _swap(place: Path, fresh: Path) -> None:
    flush(fresh)
    if place.exists():
        os.rename(place, _aside(place))
    os.rename(fresh, place)
    flush(place.parent)


def _encoded(weights: Any) -> bytes:
    if isinstance(weights, bytes):
        return weights
    from wellposed.training.weights import encode

    return encode(weights)


def _aside(place: Path) -> Path:
    return place.with_name(f".{place.name}.wellposed-old")


def _empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
