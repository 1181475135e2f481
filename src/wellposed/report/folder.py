"""The run folder: whole or not there, and every file accounted for.

It is written beside its place under a temporary name, flushed to disk and renamed. Where a run was before, that one is
moved aside, the new one moved in and the old one deleted; what a kill in between leaves is mended by the next call.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from wellposed.certificate import Certificate, write_whole
from wellposed.report.contents import lines, npz, toml
from wellposed_check.canonical import Refused, dumps, loads

MANIFEST, FORMAT = "manifest.json", "wellposed-run/1"


def write_run(folder: str | Path, *, config: Mapping[str, Any], certificate: Certificate, history: Iterable[Mapping[str, Any]],
              report: str, card: str, problem: Mapping[str, Any] | None = None, answer: Mapping[str, Any] | None = None,
              arrays: Mapping[str, Any] | None = None) -> Path:
    """Write a run; a kill at any moment leaves the old run or the new one.

    Args:
        config: becomes config.toml; entries that are None are left out. history: one line each of history.jsonl.
        report: report.html. card: README.md.
        problem, answer, arrays: named arrays, which become problem.npz, answer.npz and arrays.npz; the first two are what
            `wellposed check --problem --answer` reads.

    Returns:
        the folder. Files in an old run that its manifest does not list, such as checkpoints or notes, are kept.

    Raises:
        ValueError: `folder` is there, not empty and not a run; a file that is not the run's is in the way; numbers that are
            not finite in the history; arrays of objects.
    """
    groups = {"problem": problem, "answer": answer, "arrays": arrays}
    contents = {"config.toml": toml(config), "history.jsonl": lines(history), "report.html": report.encode(),
                "README.md": card.encode(), **{f"{name}.npz": npz(group) for name, group in groups.items() if group}}
    place = Path(folder).resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    recover(place)
    kept, fresh = _unlisted(place), place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        _fill(fresh, certificate, contents)
        _keep(kept, place, fresh)
        _swap(place, fresh)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        recover(place)
    return Path(folder)


def verify_run(folder: str | Path) -> dict[str, str]:
    """The files of a run with their SHA-256, after each has been compared with the manifest.

    Raises:
        ValueError: this is no run folder, or a file differs or is missing; it is named.
    """
    place = Path(folder).resolve()
    if not place.exists():
        recover(place)
    listed = _manifest(place)
    if listed is None:
        raise ValueError(f"{folder} is not a run folder: there is no {MANIFEST} of the format {FORMAT} in it; name the folder of "
                         "a run")
    for name, digest in listed.items():
        if not (place / name).is_file():
            raise ValueError(f"{Path(folder) / name} is missing: the run's {MANIFEST} lists it; restore it, or run again")
        if _sha256(place / name) != digest:
            raise ValueError(f"{Path(folder) / name} differs from what the run wrote (its SHA-256 is not the one in {MANIFEST}); "
                             "restore it, or run again")
    return listed


def recover(folder: str | Path) -> None:
    """Mend what a kill has left: put back an old run that has no successor, delete what is superseded or half written."""
    place = Path(folder).resolve()
    aside = _aside(place)
    whole = _manifest(aside) is not None
    if whole and (not place.exists() or _empty(place)):
        os.replace(aside, place)
    elif aside.exists() and (not whole or _manifest(place) is not None):
        shutil.rmtree(aside)
    for entry in place.parent.iterdir() if place.parent.is_dir() else ():
        writer = re.fullmatch(rf"\.{re.escape(place.name)}\.(\d+)\.new", entry.name)
        if writer and not _alive(writer[1]):
            shutil.rmtree(entry, ignore_errors=True)


def _fill(fresh: Path, certificate: Certificate, contents: Mapping[str, bytes]) -> None:
    certificate.save(fresh)
    for name, data in contents.items():
        write_whole(fresh / name, data)
    files = {p.name: _sha256(p) for p in sorted(fresh.iterdir())}
    write_whole(fresh / MANIFEST, dumps({"files": files, "format": FORMAT}).encode())


def _unlisted(place: Path) -> list[Path]:
    """Files of an old run that its manifest does not list."""
    if not place.exists() or _empty(place):
        return []
    listed = _manifest(place)
    if listed is None:
        raise ValueError(f"{place} is not empty, and not a run folder (no {MANIFEST} of the format {FORMAT}): nothing was "
                         "written; name a new folder, or empty this one")
    paths = (p.relative_to(place) for p in sorted(place.rglob("*")) if p.is_symlink() or not p.is_dir())
    return [p for p in paths if p.as_posix() not in {*listed, MANIFEST}]


def _keep(kept: Iterable[Path], place: Path, fresh: Path) -> None:
    for name in kept:
        if (fresh / name).exists():
            raise ValueError(f"{place / name} is in the way: the run that is there did not write it, and the new one would; "
                             "nothing was written; move it elsewhere")
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(place / name, fresh / name, follow_symlinks=False)
        if not (fresh / name).is_symlink():
            _flush(fresh / name)


def _swap(place: Path, fresh: Path) -> None:
    _flush(fresh)
    if place.exists():
        os.rename(place, _aside(place))
    os.rename(fresh, place)
    _flush(place.parent)


def _aside(place: Path) -> Path:
    return place.with_name(f".{place.name}.wellposed-old")


def _manifest(place: Path) -> dict[str, str] | None:
    """File -> SHA-256, or None where there is no manifest of a run."""
    try:
        document = loads((place / MANIFEST).read_text("utf-8"))
        names = [PurePosixPath(name) for name in document["files"]]
        inside = all(".." not in name.parts and not name.is_absolute() for name in names)
        return dict(document["files"]) if document["format"] == FORMAT and inside else None
    except (OSError, UnicodeDecodeError, Refused, KeyError, TypeError, AttributeError, ValueError):
        return None


def _empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _alive(process: str) -> bool:
    """Whether another process of this number runs; where that cannot be told, it may."""
    return int(process) != os.getpid() and (not Path("/proc").is_dir() or Path("/proc", process).exists())


def _flush(path: Path) -> None:
    """To disk; systems that cannot open a folder do without."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
