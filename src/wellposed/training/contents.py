"""What goes into the files of a run: nothing is pickled, and the same content gives the same bytes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tomli_w


def toml(config: Mapping[str, Any]) -> bytes:
    """TOML has no null: entries that are None are left out."""
    return tomli_w.dumps(_given(config)).encode()


def lines(history: Iterable[Mapping[str, Any]]) -> bytes:
    """One JSON object each line.

    Raises:
        ValueError: a number that is not finite.
    """
    try:
        return "".join(json.dumps(dict(row), allow_nan=False, default=lambda x: x.item()) + "\n" for row in history).encode()
    except ValueError as error:
        raise ValueError(f"history: received a number that is not finite ({error}); write None where nothing is known") from None


def npz(arrays: Mapping[str, Any]) -> bytes:
    """Named arrays, numpy's or torch's.

    Raises:
        ValueError: an array of objects, which could only be pickled.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, x in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), _npy(name, np.asarray(x)))
    return stream.getvalue()


def _npy(name: str, x: np.ndarray) -> bytes:
    if x.dtype.hasobject:
        raise ValueError(f"arrays: received {name!r} of the type {x.dtype}, expected numbers")
    stream = io.BytesIO()
    np.lib.format.write_array(stream, x, allow_pickle=False)
    return stream.getvalue()


def _given(x: Any) -> Any:
    return {k: _given(v) for k, v in x.items() if v is not None} if isinstance(x, Mapping) else x
