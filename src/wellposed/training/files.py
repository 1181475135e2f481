"""Training data in files: .npz with the arrays x and y."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wellposed_check.subject import load

Pair = tuple[np.ndarray, np.ndarray]


def read_samples(path: Path, each: str | None = None) -> Pair:
    """x and y of a file, or of all .npz files of a folder in the order of their names.

    Args:
        each: whether every file of a folder holds one "sample" or a "batch" of them; where it is None the shapes must tell.

    Raises:
        FileNotFoundError: there is nothing. ValueError: not such files, shapes that differ or do not tell.
    """
    if each not in (None, "sample", "batch"):
        raise ValueError(f"train: received each={each!r}, expected 'sample' or 'batch': what every file of the folder holds")
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}; expected an .npz file with x and y, or a folder of them")
    if path.is_file():
        return _pair(path)
    files = sorted(path.glob("*.npz"))
    if not files:
        raise FileNotFoundError(f"{path}: received a folder without .npz files, expected files with x and y, each one sample or a batch")
    found = [_pair(file) for file in files]
    each = each or _tell(path, found)
    if each == "sample":
        found = [(x[None], y[None]) for x, y in found]
    for name, k in (("x", 0), ("y", 1)):
        other = next((i for i, pair in enumerate(found) if pair[k].shape[1:] != found[0][k].shape[1:]), None)
        if other is not None:
            raise ValueError(f"{files[other]}: received {name} of shape {found[other][k].shape[1:]} per sample, expected "
                             f"{found[0][k].shape[1:]} as in {files[0].name}; all files of a folder must agree")
    return np.concatenate([x for x, _ in found]), np.concatenate([y for _, y in found])


def _pair(file: Path) -> Pair:
    arrays = load(file)
    if not {"x", "y"} <= set(arrays):
        raise ValueError(f"{file}: received the arrays {', '.join(sorted(arrays)) or 'none'}, expected x (inputs) and y (targets)")
    return arrays["x"], arrays["y"]


def _tell(path: Path, found: list[Pair]) -> str:
    """Batches have an axis in common, of lengths that differ from file to file."""
    if any(x.ndim == 0 or y.ndim == 0 or len(x) != len(y) for x, y in found):
        return "sample"
    if len({len(x) for x, _ in found}) > 1:
        return "batch"
    raise ValueError(f"{path}: received files with x of shape {found[0][0].shape} and y of shape {found[0][1].shape}, from which it cannot "
                     "be told whether a file is one sample or a batch; say each='sample' or each='batch'")
