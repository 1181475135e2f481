"""Canonical JSON, numbers in hex beside decimal, and the SHA-256 of an array."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np


class Refused(ValueError):
    """The certificate is forged, damaged or not what it says. This is not the same as one that honestly fails."""


def demand(condition: bool | np.bool_, message: str) -> None:
    """Raises: Refused, with this message, unless the condition holds."""
    if not condition:
        raise Refused(message)


def dumps(document: Any) -> str:
    """Canonical text: sorted keys, one space of indentation, no NaN, one newline at the end."""
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def loads(text: str) -> Any:
    """Parse canonical text; refuse any other (reordered or repeated keys, NaN, changed spacing)."""
    def no_constant(name: str) -> None:
        raise Refused(f"the certificate contains {name}, which is not JSON")

    try:
        document = json.loads(text, parse_constant=no_constant)
        if dumps(document) != text:
            raise Refused("the certificate is not in canonical form: it was edited after it was written")
    except Refused:
        raise
    except (ValueError, RecursionError) as error:
        raise Refused(f"the certificate is not JSON: {error}") from None
    return document


def encode(x: float | None) -> dict[str, Any] | None:
    """A float as ``{"decimal": 0.1, "hex": "0x1.999999999999ap-4"}``; `None` where there is none or it is not finite."""
    if x is None or not math.isfinite(x):
        return None
    x = float(x) + 0.0  # no negative zero
    return {"decimal": x, "hex": x.hex()}


def decode(x: Any) -> float | None:
    """The float of `encode`; refuse when decimal and hex differ."""
    if x is None:
        return None
    try:
        value = float.fromhex(x["hex"])
        if dumps(x) != dumps(encode(value)):
            raise ValueError
    except (TypeError, KeyError, ValueError, OverflowError):
        raise Refused(f"a number of the certificate contradicts itself: {x!r}") from None
    return value


def digest_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def digest_array(x: np.ndarray) -> str:
    """SHA-256 of an array's numbers as little-endian float64 in C order, headed by its shape.

    Precision and file format do not enter: the same numbers in float32, `.npy` or `.npz` have the same digest.
    """
    data = np.ascontiguousarray(np.asarray(x), dtype="<f8")
    return hashlib.sha256(json.dumps(list(data.shape)).encode() + data.tobytes()).hexdigest()
