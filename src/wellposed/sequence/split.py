"""A task of classifying sequences: what every loader and generator of the room gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64


class Split(NamedTuple):
    """Sequences and their classes.

    Attributes:
        x: real inputs (samples, length, channels) float32, or symbols (samples, length) int32; zeros after each one's length.
        lengths: steps of each sequence that count, (samples,).
        y: classes from 0, (samples,).
    """

    x: Float32[np.ndarray, "samples length channels"] | Int32[np.ndarray, "samples length"]
    lengths: Int64[np.ndarray, " samples"]
    y: Int64[np.ndarray, " samples"]


@dataclass(frozen=True, eq=False)
class Task:
    """Three splits with no sample in two of them.

    Attributes:
        classes: how many there are.
        vocabulary: how many symbols there are, the padding 0 among them; None for real inputs.
        source: where the data come from, and their licence.
        note: what to say beside a figure.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    vocabulary: int | None
    source: str
    note: str


def pad(rows: list[np.ndarray], length: int | None = None) -> tuple[np.ndarray, Int64[np.ndarray, " samples"]]:
    """Rows of a kind as one array, zeros at the end, and how long each was.

    Args:
        length: of all, at least the longest row; the longest row by default.
    """
    lengths = np.array([len(row) for row in rows], np.int64)
    x = np.zeros((len(rows), max(length or 0, lengths.max(initial=0))), rows[0].dtype if rows else np.float32)
    for out, row in zip(x, rows, strict=True):
        out[: len(row)] = row
    return x, lengths


def shares(y: Int64[np.ndarray, " samples"], parts: tuple[float, float, float], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of three splits, at random but in the same shares of every class; each in a random order.

    Args:
        parts: shares of train, validation and test, which add to 1.
    """
    rng = np.random.default_rng([seed, 77])
    places = np.empty(len(y))
    for c in np.unique(y):
        members = np.flatnonzero(y == c)
        places[members[np.argsort(rng.random(len(members)))]] = (np.arange(len(members)) + rng.random()) / len(members)
    cuts = np.cumsum(np.round(np.array(parts) * len(y)).astype(int))[:2]
    train, validation, test = np.split(np.argsort(places, kind="stable"), cuts)
    return tuple(part[np.argsort(rng.random(len(part)))] for part in (train, validation, test))  # type: ignore[return-value]
