"""Files named on the command line; a certificate and, beside it, what it is about."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import tyro

from wellposed.cli.main import program

File = Annotated[str, tyro.conf.arg(metavar="FILE")]


def show(certificate: Any) -> None:
    from wellposed.cli.console import console

    console().print(certificate)


def keep(folder: Path, certificate: Any, problem: Iterable[str], answer: Iterable[str]) -> str:
    """Write a certificate with the arrays of its subject beside it; the command that re-verifies it against them."""
    arrays = certificate.arrays
    certificate.save(folder)
    for name, names in (("problem.npz", problem), ("answer.npz", answer)):
        write_arrays(folder / name, {k: arrays[k] for k in names if k in arrays})
    return shlex.join([program(), "check", str(folder), "--problem", str(folder / "problem.npz"), "--answer", str(folder / "answer.npz")])


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """An .npz file, old or new after a kill."""
    import numpy as np

    from wellposed.certificate import write_whole

    content = io.BytesIO()
    np.savez(content, **arrays)
    write_whole(path, content.getvalue())
