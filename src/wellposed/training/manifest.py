"""Which files belong together, each with its SHA-256: what a run and a checkpoint are verified by."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath

from wellposed.certificate import write_whole
from wellposed_check.canonical import Refused, dumps, loads

MANIFEST = "manifest.json"


def write_manifest(folder: Path, format: str) -> None:
    """List the files that are in `folder` now, its subfolders left out."""
    files = {p.name: sha256(p) for p in sorted(folder.iterdir()) if p.is_file() and p.name != MANIFEST}
    write_whole(folder / MANIFEST, dumps({"files": files, "format": format}).encode())


def read_manifest(folder: Path, format: str) -> dict[str, str] | None:
    """File -> SHA-256, or None where there is no manifest of this format."""
    try:
        document = loads((folder / MANIFEST).read_text("utf-8"))
        names = [PurePosixPath(name) for name in document["files"]]
        inside = all(".." not in name.parts and not name.is_absolute() for name in names)
        return dict(document["files"]) if document["format"] == format and inside else None
    except (OSError, UnicodeDecodeError, Refused, KeyError, TypeError, AttributeError, ValueError):
        return None


def first_damage(folder: Path, listed: dict[str, str]) -> str | None:
    """The first file that is not what the manifest lists, and how; None where all are."""
    for name, digest in listed.items():
        if not (folder / name).is_file():
            return f"{folder / name} is missing: the {MANIFEST} beside it lists it"
        if sha256(folder / name) != digest:
            return f"{folder / name} differs from what was written (its SHA-256 is not the one in {MANIFEST})"
    return None


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """To disk; systems that cannot open a folder do without."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
