"""Edits of a certificate's document, each with the strengths of forger that must not get away with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np

from wellposed_check.canonical import decode, digest_text, dumps, encode
from wellposed_check.statement import KINDS, STATUSES
from wellposed_check.verify import CLAIMS, subject_digests

Document = dict[str, Any]
Path = tuple[str | int, ...]
WORDS = (tuple(STATUSES), tuple(KINDS), ("margin", "enclosed", "exact"), ("holds", "fails", "undecided"),
         ("dirichlet", "neumann", "periodic"), tuple(CLAIMS))
Edit = tuple[str, Document, tuple[str, ...]]
NAIVE, RESEALED, ALL = ("naive",), ("naive", "document"), ("naive", "document", "full")


def seal(document: Document, strength: str) -> Document:
    """The document with the digests recomputed that a forger of this strength recomputes."""
    if strength == "naive":
        return document
    document = deepcopy(document)
    if strength == "full":
        document["subject"] |= subject_digests(document["subject"]["problem"], document["subject"]["answer"])
    rest = {k: v for k, v in document.items() if k != "sha256"}
    return {**rest, "sha256": digest_text(dumps(rest))} if "sha256" in document else rest


def document_edits(document: Document, rng: np.random.Generator) -> Iterator[Edit]:
    """(what was done, the edited document, strengths at which it must not pass)."""
    for path, value in leaves(document):
        strengths = _strengths(path)
        for what, new in _numbers(value, rng, strengths != ALL) if _is_number(value) else _values(value, rng):
            yield f"{_name(path)}: {what}", _replaced(document, path, new), strengths
    yield from _structure(document, rng)


def leaves(x: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value of a document that is not made of others; a number in decimal and hex is one."""
    if isinstance(x, dict | list) and not _is_number(x):
        for key in x if isinstance(x, dict) else range(len(x)):
            yield from leaves(x[key], (*path, key))
    else:
        yield path, x


def _is_number(x: Any) -> bool:
    return isinstance(x, dict) and set(x) == {"decimal", "hex"}


def _strengths(path: Path) -> tuple[str, ...]:
    if path[0] == "provenance" or path[-1] == "required":
        return NAIVE
    return ALL if path[:3] == ("subject", "problem", "parameters") else RESEALED


def _numbers(number: Document, rng: np.random.Generator, last_place: bool) -> Iterator[tuple[str, Any]]:
    """A stored number changed: much, in sign, in the last place (which may not show in what follows from it), removed."""
    x = decode(number)
    assert x is not None
    changed = [x * (1 + rng.uniform(0.001, 1)) + (x == 0), x / 2 + (x == 0) / 3, -x]
    for y in [*changed, float(np.nextafter(x, np.inf))] if last_place else changed:
        yield f"decimal {x:g} -> {y:g}", {**number, "decimal": y}
        yield f"hex {x:g} -> {y:g}", {**number, "hex": y.hex()}
        yield f"{x:g} -> {y:g}", encode(y)
    yield f"{x:g} removed", None


def _values(x: Any, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    """A text, a truth value, a count or nothing, changed."""
    if isinstance(x, str):
        yield from ((f"{x[:24]!r} -> {y[:24]!r}", y) for y in _texts(x, rng))
    elif isinstance(x, bool) or x is None:
        yield from ((f"{x} -> {y}", y) for y in (True, False, None) if y is not x)
        yield f"{x} -> a number", encode(float(rng.uniform()))
    else:
        yield f"{x} -> {x + 1}", x + 1


def _texts(x: str, rng: np.random.Generator) -> Iterator[str]:
    k = int(rng.integers(max(len(x), 1)))
    other = "0123456789abcdef" if re.fullmatch("[0-9a-f]{64}", x) else "abcxyz 019"
    yield x[:k] + str(rng.choice([c for c in other if c != x[k : k + 1]])) + x[k + 1 :]
    for family in WORDS:
        if x in family:
            yield from (word for word in family if word != x)


def _structure(document: Document, rng: np.random.Generator) -> Iterator[Edit]:
    """Claims and assumptions dropped, repeated, reversed; fields removed and added."""
    def edited(where: str, change: Callable[[Document], Any]) -> Edit:
        copy = deepcopy(document)
        change(copy)
        return where, copy, RESEALED

    for i, claim in enumerate(document["claims"]):
        yield edited(f"claims[{i}] dropped", lambda d, i=i: d["claims"].pop(i))
        yield edited(f"claims[{i}] repeated", lambda d, i=i: d["claims"].append(d["claims"][i]))
        for j in range(len(claim["assumptions"])):
            yield edited(f"claims[{i}].assumptions[{j}] dropped", lambda d, i=i, j=j: d["claims"][i]["assumptions"].pop(j))
        for key in claim:
            yield edited(f"claims[{i}].{key} removed", lambda d, i=i, key=key: d["claims"][i].pop(key))
        for name in claim["witness"]:
            yield edited(f"claims[{i}].witness.{name} removed", lambda d, i=i, name=name: d["claims"][i]["witness"].pop(name))
    yield edited("claims reversed", lambda d: d["claims"].reverse())
    yield edited("a field added", lambda d: d.update({f"note{rng.integers(100)}": "all is well"}))
    for key in document:
        yield edited(f"{key} removed", lambda d, key=key: d.pop(key))


def _replaced(document: Document, path: Path, new: Any) -> Document:
    copy = deepcopy(document)
    parent: Any = copy
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = new
    return copy


def _name(path: Path) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")
