"""Is the problem and the answer in the user's hands the one that the certificate is about?"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wellposed_check.canonical import Refused, digest_array


@dataclass(frozen=True)
class Presented:
    """Which arrays of the subject were shown and agree, which were not shown, and which are none of the subject's."""

    shown: tuple[str, ...]
    missing: tuple[str, ...]
    ignored: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.shown:
            return "subject not presented"
        rest = f", not presented: {', '.join(self.missing)}" if self.missing else ""
        rest += f", ignored: {', '.join(self.ignored)}" if self.ignored else ""
        return f"subject presented: {', '.join(self.shown)}{rest}"


def load(path: str | Path) -> dict[str, np.ndarray]:
    """Arrays of a `.npy` (under the name "") or `.npz` file. Nothing is unpickled."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with open(path, "rb") as file:
            content = np.load(file, allow_pickle=False)
            arrays = {"": content} if isinstance(content, np.ndarray) else {k: content[k] for k in content.files}
        if not all(isinstance(x, np.ndarray) for x in arrays.values()):
            raise ValueError("it holds something that is not an array")
        return arrays
    except (ValueError, OSError, EOFError, KeyError, AttributeError, SyntaxError, MemoryError, RecursionError, RuntimeError,
            tokenize.TokenError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a .npy or .npz file that can be read: {error}") from None


def compare(subject: Mapping[str, Any], witness: Mapping[str, np.ndarray], problem: str | Path | None,
            answer: str | Path | None, known: Iterable[str] = ()) -> Presented:
    """Compare presented files with the digests of the subject.

    A file with one array is taken for the first array of its part (the coefficient; the potential), whatever its name.

    Args:
        known: names of arrays that such a problem can have; one that the certificate lacks must be zero everywhere.

    Raises:
        Refused: an array differs, the problem presented has data that the certificate's has not, or a file has none of
            the subject's arrays.
    """
    shown: list[str] = []
    ignored: list[str] = []
    for part, path in (("problem", problem), ("answer", answer)):
        if path is None:
            continue
        digests, arrays = subject[part]["arrays"], load(path)
        if len(arrays) == 1 and not set(arrays) & set(digests):
            arrays = {min(digests): next(iter(arrays.values()))}
        names = [name for name in arrays if name in digests]
        if not names:
            raise Refused(f"{path} has the arrays {sorted(arrays)}, the {part} of this certificate has {sorted(digests)}")
        for name in names:
            if digest_array(_as_witnessed(arrays[name], witness[name].shape)) != digests[name]:
                raise Refused(f"the {name} in {path} is not the one that the certificate is about")
        others = [name for name in arrays if name not in digests]
        if part == "problem" and any(name in known and np.any(arrays[name] != 0) for name in others):
            raise Refused(f"{path} has {', '.join(n for n in others if n in known)}, the problem of this certificate has not")
        shown, ignored = shown + names, ignored + others
    everything = [*subject["problem"]["arrays"], *subject["answer"]["arrays"]]
    return Presented(tuple(shown), tuple(name for name in everything if name not in shown), tuple(ignored))


def _as_witnessed(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array in float64 and in the shape of the witness; an empty one if that changes its numbers."""
    if x.dtype.kind not in "fiu" or not np.array_equal(x.astype(float).astype(x.dtype), x):
        return np.zeros(0)
    try:
        return np.broadcast_to(x.astype(float), shape)
    except ValueError:
        return np.zeros(0)
