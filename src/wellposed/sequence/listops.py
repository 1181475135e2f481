"""Nested operators on digits, "[MAX 2 9 [MIN 4 7] 0]": trees grown from a seed, all of a block at once.

Own generator after the grammar of ListOps (Nangia and Bowman, 2018) with the parameters of the Long Range Arena (Tay et al., 2021): a
subtree is a digit with probability 3/4, or else one of MIN, MAX, MED (the median, rounded down) and SM (the sum modulo 10) of 2 to 10
subtrees. Trees between two lengths are kept. These are not that benchmark's files, and figures on them are not its figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

import numpy as np

from wellposed.numerics.parallel import map_parallel
from wellposed.sequence.split import Split, pad

OPERATORS = ("MIN", "MAX", "MED", "SM")
SYMBOLS = ("", *map(str, range(10)), *(f"[{name}" for name in OPERATORS), "]")
"""What each token stands for; 0 is the padding."""
FIRST_OPERATOR, CLOSE = 11, 15
DEPTH, BRANCH, CHILDREN = 10, 0.25, (2, 10)
BLOCK = 1024
SPLITS = ("train",) * 8 + ("validation", "test")
"""The split of a tree, by the last decimal of its digest: equal trees are in the same one."""


class Level(NamedTuple):
    """The nodes of one depth of many trees: siblings are neighbours, and stand in the order of their parents.

    Attributes:
        tree: (nodes,) to which tree each belongs. parent: (nodes,) its place in the level above.
        token: (nodes,) the digit's or the operator's.
    """

    tree: np.ndarray
    parent: np.ndarray
    token: np.ndarray

    @property
    def inner(self) -> np.ndarray:
        return np.flatnonzero(self.token >= FIRST_OPERATOR)


def generate(train: int, validation: int, test: int, seed: int = 0, shortest: int = 500, longest: int = 2000, *,
             executor: Executor | None = None, workers: int | None = 1) -> tuple[Split, Split, Split]:
    """Random trees and their values; no tree occurs twice.

    Sample k of a split is the k-th tree of the seed's stream whose digest belongs to that split: it does not depend on how many are asked
    for, nor on the processes.

    Args:
        train, validation, test: how many of each.
        shortest, longest: kept are lengths strictly between them; brackets and operators count, a closing bracket is one symbol.

    Returns:
        splits of tokens, as `SYMBOLS` numbers them, padded to the longest length allowed, and values 0 to 9.

    Raises:
        ValueError: lengths between which there is hardly a tree, or negative counts.
    """
    wanted = {"train": train, "validation": validation, "test": test}
    if not 4 <= shortest + 1 < longest or min(wanted.values()) < 0:
        raise ValueError(f"received lengths between {shortest} and {longest} and {train}, {validation}, {test} trees; expected a lower "
                         "length of at least 3, an upper one at least 2 above it, and no negative number of trees")
    taken: dict[str, list[tuple[np.ndarray, int]]] = {name: [] for name in wanted}
    seen: set[bytes] = set()
    for tokens, value in _stream(wanted, taken, partial(_block, seed, shortest, longest), executor, workers):
        digest = hashlib.blake2b(tokens.tobytes(), digest_size=12).digest()
        name = SPLITS[int.from_bytes(digest[:6], "little") % len(SPLITS)]
        if digest not in seen and len(taken[name]) < wanted[name]:
            seen.add(digest)
            taken[name].append((tokens, value))
    return tuple(_split(taken[name], longest) for name in wanted)  # type: ignore[return-value]


def _stream(wanted: dict, taken: dict, work: partial, executor: Executor | None, workers: int | None) -> Iterator[tuple[np.ndarray, int]]:
    """Trees of one block after another, until every split is full."""
    block, yielded = 0, 0
    while missing := max((wanted[name] - len(taken[name])) * len(SPLITS) / SPLITS.count(name) for name in wanted):
        rate = (yielded + 1) / (block * BLOCK + 1) if block else 0.3
        ahead = min(int(missing / rate / BLOCK) + 1, 256) if block else 1
        for trees in map_parallel(work, range(block, block + ahead), executor, workers, title="growing trees"):
            yielded += len(trees)
            yield from trees
        block += ahead
        if block > 64 and yielded < block:
            raise ValueError(f"{block * BLOCK:,} trees were grown and {yielded} had a length asked for; expected more than one in {BLOCK}; "
                             "allow shorter trees or a wider range")


def _split(trees: list[tuple[np.ndarray, int]], longest: int) -> Split:
    x, lengths = pad([tokens for tokens, _ in trees], longest)
    return Split(x.astype(np.int32), lengths, np.array([value for _, value in trees], np.int64))


def _block(seed: int, shortest: int, longest: int, block: int) -> list[tuple[np.ndarray, int]]:
    """The trees of a block that have a length asked for; a root is an operator, as a digit alone is too short."""
    levels = _grow(np.random.default_rng([seed, 8, block]), longest)
    lengths = _lengths(levels)
    kept = np.flatnonzero((lengths[0] > shortest) & (lengths[0] < longest))
    levels, lengths = _prune(levels, lengths, kept)
    flat = _write(levels, lengths)
    return list(zip(np.split(flat, np.cumsum(lengths[0])[:-1]), _values(levels).tolist(), strict=True)) if len(kept) else []


def _grow(rng: np.random.Generator, longest: int) -> list[Level]:
    """Level by level; a tree that is too long already stops growing, and is dropped later as it stays too long."""
    tree = parent = np.arange(BLOCK)
    levels = [Level(tree, parent, FIRST_OPERATOR + (4 * rng.random(BLOCK)).astype(np.int8))]
    nodes = np.ones(BLOCK, int)
    for depth in range(2, DEPTH + 1):
        above = levels[-1]
        growing = above.inner[nodes[above.tree[above.inner]] < longest]
        low, high = CHILDREN
        parent = np.repeat(growing, low + ((high - low + 1) * rng.random(len(growing))).astype(int))
        draw, which = rng.random(len(parent)), rng.random(len(parent))
        inner = (draw <= BRANCH) & (depth < DEPTH)
        token = np.where(inner, FIRST_OPERATOR + (4 * which).astype(np.int8), 1 + (10 * which).astype(np.int8)).astype(np.int8)
        levels.append(Level(above.tree[parent], parent, token))
        nodes += np.bincount(levels[-1].tree, minlength=BLOCK)
    return levels


def _lengths(levels: list[Level]) -> list[np.ndarray]:
    """Symbols in the subtree of each node: 1 for a digit, 2 and its children's for an operator."""
    out = [np.where(level.token >= FIRST_OPERATOR, 2, 1) for level in levels]
    for k in range(len(levels) - 1, 0, -1):
        out[k - 1] = out[k - 1] + np.bincount(levels[k].parent, out[k], minlength=len(out[k - 1])).astype(int)
    return out


def _prune(levels: list[Level], lengths: list[np.ndarray], kept: np.ndarray) -> tuple[list[Level], list[np.ndarray]]:
    """The trees in `kept` alone."""
    keep = np.zeros(BLOCK, bool)
    keep[kept] = True
    number = np.arange(0)
    out, sizes = [], []
    for level, size in zip(levels, lengths, strict=True):
        here = keep[level.tree]
        out.append(Level(level.tree[here], number[level.parent[here]] if out else np.arange(len(kept)), level.token[here]))
        sizes.append(size[here])
        number = np.cumsum(here) - 1
    return out, sizes


def _write(levels: list[Level], lengths: list[np.ndarray]) -> np.ndarray:
    """All trees as symbols, one after the other."""
    flat = np.zeros(lengths[0].sum(), np.int8)
    start = np.cumsum(lengths[0]) - lengths[0]
    for k, level in enumerate(levels):
        if k:
            before = np.cumsum(lengths[k]) - lengths[k]
            first = np.searchsorted(level.parent, level.parent)  # the eldest of each one's siblings
            start = start[level.parent] + 1 + before - before[first]
        flat[start] = level.token
        flat[(start + lengths[k] - 1)[level.inner]] = CLOSE
    return flat


def _values(levels: list[Level]) -> np.ndarray:
    """Of the roots, from the leaves up."""
    values = np.zeros(0, np.int64)
    for k in range(len(levels) - 1, -1, -1):
        own = levels[k].token.astype(np.int64) - 1
        if len(inner := levels[k].inner):
            own[inner] = _apply(levels[k].token[inner], levels[k + 1].parent, values)
        values = own
    return values


def _apply(tokens: np.ndarray, parent: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each operator on its children, whose parents' places are ascending."""
    values = values[np.lexsort((values, parent))]
    first = np.flatnonzero(np.diff(parent, prepend=-1))
    count = np.diff(first, append=len(parent))
    last = first + count - 1
    median = (values[first + (count - 1) // 2] + values[first + count // 2]) // 2
    return np.choose(tokens - FIRST_OPERATOR, [values[first], values[last], median, np.add.reduceat(values, first) % 10])
