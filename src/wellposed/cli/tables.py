"""Tables of a TOML file, against the dataclasses that they fill. No torch here."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def parsed(text: str, name: str) -> dict[str, Any]:
    """A TOML file.

    Raises:
        ValueError: it is none.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{name} is not TOML: {error}") from None


def names(file: str, key: str) -> bool:
    """Whether a TOML file is there and has this entry: recipes of a room are known by one."""
    if not file.endswith(".toml") or not Path(file).is_file():
        return False
    try:
        return key in tomllib.loads(Path(file).read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False


def known(kind: type, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The table, if its entries are those of a dataclass, of the right types, and none is missing.

    Raises:
        ValueError: an entry that is not; it is named.
    """
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in hints:
            raise ValueError(f"{where}: received {key} = {value!r}, expected entries of {', '.join(hints)}")
        if not _fits(value, hints[key]):
            raise ValueError(f"{where}: received {key} = {value!r}, expected {_said(hints[key])}")
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    missing = [name for name in needed if name not in table]
    if missing:
        raise ValueError(f"{where}: received no {', '.join(missing)}, expected {', '.join(needed)}")
    return dict(table)


def tables(kind: type, given: Any, where: str, key: str) -> tuple[Any, ...]:
    """The entries [[key]] of a file, each as an object of a dataclass; those without a name are numbered.

    Raises:
        ValueError: they are no tables, or an entry that the dataclass does not have.
    """
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise ValueError(f"{where}: received {key} = {given!r}, expected tables [[{key}]]")
    return tuple(kind(**known(kind, {"name": f"number {k + 1}", **entry}, f"{where}, [[{key}]]")) for k, entry in enumerate(given))


def _options(hint: Any) -> tuple[Any, ...]:
    """Types of a union, or the one."""
    return get_args(hint) if get_origin(hint) is Union or type(hint).__name__ == "UnionType" else (hint,)


def _fits(value: Any, hint: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    tests = {float: number, int: number and isinstance(value, int), bool: isinstance(value, bool), str: isinstance(value, str),
             Path: isinstance(value, str | Path), type(None): value is None}
    return any(value in get_args(t) if get_origin(t) is Literal else tests.get(t, True) for t in _options(hint))


def _said(hint: Any) -> str:
    said = {float: "a number", int: "a whole number", bool: "true or false", str: "text", Path: "a path"}
    kinds = [t for t in _options(hint) if t is not type(None)]
    return " or ".join(f"one of {', '.join(map(str, get_args(t)))}" if get_origin(t) is Literal else said.get(t, str(t)) for t in kinds)
