"""Is the problem and the answer in the user's hands the one that the certificate is about?"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wellposed_check.canonical import Refused, digest_array


@dataclass(frozen=True)
class Presented:
    """Which arrays of the subject were shown and agree, and which were not shown."""

    shown: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        if not self.shown:
            return "subject not presented"
        rest = f", not presented: {', '.join(self.missing)}" if self.missing else ""
        return f"subject presented: {', '.join(self.shown)}{rest}"


def load(path: str | Path) -> dict[str, np.ndarray]:
    """Arrays of a `.npy` (under the name "") or `.npz` file. Nothing is unpickled."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with open(path, "rb") as file:
            content = np.load(file, allow_pickle=False)
            return {"": content} if isinstance(content, np.ndarray) else {k: content[k] for k in content.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a .npy or .npz file that can be read: {error}") from None


def compare(subject: Mapping[str, Any], witness: Mapping[str, np.ndarray],
            problem: str | Path | None, answer: str | Path | None) -> Presented:
    """Compare presented files with the digests of the subject.

    A file with one array is taken for the first array of its part (the coefficient; the potential), whatever its name.

    Raises:
        Refused: an array differs, or a file has none of the subject's arrays.
    """
    shown: list[str] = []
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
            try:
                x = np.broadcast_to(arrays[name].astype(float), witness[name].shape)
            except (ValueError, TypeError):
                x = np.zeros(0)
            if digest_array(x) != digests[name]:
                raise Refused(f"the {name} in {path} is not the one that the certificate is about")
        shown += names
    everything = [*subject["problem"]["arrays"], *subject["answer"]["arrays"]]
    return Presented(tuple(shown), tuple(name for name in everything if name not in shown))
