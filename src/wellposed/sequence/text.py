"""Text as bytes: which folder is a file from? And a task that every Python brings: which package is this source from?"""

from __future__ import annotations

import hashlib
import platform
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wellposed.sequence.split import Split, Task, pad, shares

VOCABULARY = 257
"""Bytes are kept as 1 to 256; 0 is the padding."""
PARTS = (0.7, 0.15, 0.15)
PACKAGES = {"asyncio": ("asyncio",), "email": ("email",), "unittest": ("unittest",), "http": ("http", "urllib", "wsgiref"), "xml": ("xml",),
            "processes": ("concurrent", "multiprocessing"), "importlib": ("importlib",), "formats": ("json", "re", "tomllib", "html")}
"""Classes of "stdlib-bytes": packages that Python 3.11 to 3.13 have, some of them together."""


def folder_bytes(folder: str | Path | None, length: int = 1024, per_file: int = 32, seed: int = 0) -> Task:
    """Windows of the files under the subfolders of `folder`, one class to a subfolder; split by file, 70, 15 and 15 %.

    Args:
        length: bytes in a window; windows do not overlap, and a file's last one is kept if it is at least half as long, or the only one.
        per_file: at most so many of a file, its first.
        seed: of the split.

    Raises:
        FileNotFoundError: no such folder. ValueError: fewer than two classes of at least three files.
    """
    path = None if folder is None else Path(folder)
    if path is None or not path.is_dir():
        raise FileNotFoundError(f"folder: received {folder}, expected a folder with a subfolder of files for each class; name one")
    files = {sub.name: sorted(f for f in sub.rglob("*") if f.is_file()) for sub in sorted(path.iterdir()) if sub.is_dir()}
    return _task("folder-bytes", files, length, per_file, seed, "files of the user's", f"the classes are {', '.join(files)}")


def stdlib_bytes(length: int = 1024, per_file: int = 32, seed: int = 0) -> Task:
    """Windows of the running Python's standard library, whose classes are eight of its packages; arguments as `folder_bytes`.

    Raises:
        ValueError: a Python without its sources.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = {name: [f for p in packages for f in sorted((root / p).rglob("*.py")) if not {"test", "tests"} & set(f.relative_to(root).parts)]
             for name, packages in PACKAGES.items()}
    source = f"the standard library of Python {platform.python_version()}, PSF licence 2"
    return _task("stdlib-bytes", files, length, per_file, seed, source,
                 "a stand-in for text: figures compare only under the same version of Python")


def _task(name: str, files: Mapping[str, list[Path]], length: int, per_file: int, seed: int, source: str, note: str) -> Task:
    if length < 1 or per_file < 1:
        raise ValueError(f"received windows of {length} bytes and {per_file} to a file, expected at least 1 of each")
    texts, y = _distinct(files)
    counts = np.bincount(y, minlength=len(files))
    if len(files) < 2 or counts.min() < 3:
        found = ", ".join(f"{c} ({n})" for c, n in zip(files, counts, strict=True)) or "none"
        raise ValueError(f"received the classes (files) {found}; expected at least two of at least three distinct files; add files"
                         + (", or use a Python installed with its sources" if name == "stdlib-bytes" else ""))
    seen: set[bytes] = set()
    train, validation, test = (_split([(texts[k], int(y[k])) for k in part], length, per_file, seen) for part in shares(y, PARTS, seed))
    return Task(name, train, validation, test, len(files), VOCABULARY, source, f"{length} bytes, split by file; {note}")


def _distinct(files: Mapping[str, list[Path]]) -> tuple[list[bytes], np.ndarray]:
    """Texts that are not empty, each once, and their classes."""
    found: dict[bytes, tuple[bytes, int]] = {}
    for c, paths in enumerate(files.values()):
        for text in (path.read_bytes() for path in paths):
            if text.strip():
                found.setdefault(hashlib.sha256(text).digest(), (text, c))
    return [text for text, _ in found.values()], np.array([c for _, c in found.values()], np.int64)


def _split(files: list[tuple[bytes, int]], length: int, per_file: int, seen: set[bytes]) -> Split:
    """Windows in a file's order; none that occurred before, in this part or another."""
    rows, y = [], []
    for text, c in files:
        for start in range(0, min(len(text), per_file * length), length):
            window = text[start: start + length]
            digest = hashlib.sha256(window).digest()
            if digest not in seen and (start == 0 or 2 * len(window) >= length):
                seen.add(digest)
                rows.append(np.frombuffer(window, np.uint8).astype(np.int32) + 1)
                y.append(c)
    x, lengths = pad(rows, length)
    return Split(x, lengths, np.array(y, np.int64))
