"""Files named on the command line; a certificate and, beside it, what it is about."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import tyro

from wellposed.cli.main import program
from wellposed_check.verify import EXIT

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


def keep_whole(folder: Path, certificate: Any) -> str:
    """As `keep`, with the arrays that the certificate itself names as its subject."""
    certificate.save(folder)
    words = [program(), "check", str(folder)]
    for part, arrays in arrays_of(certificate).items():
        write_arrays(folder / f"{part}.npz", arrays)
        words += [f"--{part}", str(folder / f"{part}.npz")]
    return shlex.join(words)


def arrays_of(certificate: Any) -> dict[str, dict[str, Any]]:
    """Those of "problem" and "answer", where a certificate has any."""
    names = {part: certificate.document["subject"][part]["arrays"] for part in ("problem", "answer")}
    return {part: {name: certificate.arrays[name] for name in of} for part, of in names.items() if of}


def conclude(folder: Path, certificate: Any) -> int:
    """Keep a certificate, say where, and the exit code of its verdict.

    Raises:
        ValueError: the folder is that of a run.
    """
    demand_no_run(folder)
    command = keep_whole(folder, certificate)
    print(f"\nthe certificate and what it is about are in {folder}; next:\n  {command}")
    return EXIT[certificate.verdict]


def demand_no_run(folder: Path) -> None:
    """Whether files may be written there.

    Raises:
        ValueError: the folder is that of a run.
    """
    from wellposed.training.manifest import MANIFEST

    if (folder / MANIFEST).exists():
        raise ValueError(f"--out: received {folder}, which is a run folder, whose {MANIFEST} would no longer hold; expected another folder")


def demand_folder(out: Path | None) -> None:
    """Whether --out can be a folder.

    Raises:
        ValueError: it is a file.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise ValueError(f"--out: received {out}, which is a file, expected a folder, new or existing")


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """An .npz file, old or new after a kill."""
    import numpy as np

    from wellposed.certificate import write_whole

    content = io.BytesIO()
    np.savez(content, **arrays)
    write_whole(path, content.getvalue())
