"""Certificates: what they say, how they are kept, and the verbs that rooms teach to their own problems."""

from __future__ import annotations

import html
import io
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as to_safetensors

import wellposed_check
from wellposed_check.canonical import decode, dumps, loads
from wellposed_check.statement import VERDICTS, Evidence
from wellposed_check.verify import Report, assemble, verify

CERTIFICATE, WITNESS = "certificate.json", "witness.safetensors"
VERDICT = {word: value for value, word in VERDICTS.items()}


@dataclass(frozen=True)
class Claim:
    """One claim of a certificate, read-only; the fields are those of DESIGN's table."""

    id: str
    quantity: str
    lower: float | None
    upper: float | None
    required: float | None
    holds: bool | None
    kind: str
    arithmetic: str
    assumptions: tuple[tuple[str, str], ...]
    reference: str

    @staticmethod
    def read(c: Mapping[str, Any]) -> Claim:
        return Claim(c["id"], c["quantity"], decode(c["lower"]), decode(c["upper"]), decode(c["required"]), c["holds"],
                     c["kind"], c["arithmetic"], tuple((a["text"], a["status"]) for a in c["assumptions"]), c["reference"])


@dataclass(frozen=True, eq=False)
class Certificate:
    """A document, its witness arrays, and what is known beside them.

    Attributes:
        document: what `certificate.json` holds. arrays: the witness.
        bound: the per-sample and per-cell numbers behind the claims; None for a certificate that was loaded.
    """

    document: dict[str, Any] = field(repr=False)
    arrays: dict[str, np.ndarray] = field(repr=False)
    bound: Any = field(default=None, repr=False, compare=False)

    @property
    def verdict(self) -> bool | None:
        """True: all that was required is proved. False: some of it is refuted. None: undecided."""
        return VERDICT[self.document["verdict"]]

    @property
    def headline(self) -> str:
        return self.document["headline"]

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(Claim.read(c) for c in self.document["claims"])

    def claim(self, id: str) -> Claim:
        """The claim whose id is, or ends in, `id`: "elliptic.energy_error/1" or "energy_error".

        Raises:
            KeyError: there is none.
        """
        found = [c for c in self.claims if id in (c.id, c.id.split(".")[1].split("/")[0])]
        if not found:
            raise KeyError(f"this certificate has no claim {id!r}; it has {', '.join(c.id for c in self.claims)}")
        return found[0]

    def save(self, folder: str | Path) -> Path:
        """Write the certificate and its witness; returns the path of certificate.json."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / WITNESS, to_safetensors(self.arrays))
        return write_whole(folder / CERTIFICATE, dumps(self.document).encode())

    def check(self) -> Report:
        """What the independent checker says of it."""
        try:
            claims, _ = verify(self.document, to_safetensors(self.arrays))
        except wellposed_check.Refused as refusal:
            return Report("refused", f"refused: {refusal}")
        return Report(self.verdict, f"{self.headline}; subject not presented", claims)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=118, record=True, file=io.StringIO())
        console.print(self.__rich__())
        return console.export_text().rstrip()

    def __repr__(self) -> str:
        return f"Certificate({self.headline!r}, {', '.join(c.id for c in self.claims)})"

    def __rich__(self) -> Any:
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table("claim", "at least", "at most", "required", "holds", box=SIMPLE_HEAD)
        for c in self.claims:
            table.add_row(c.id, _number(c.lower), _number(c.upper), _number(c.required),
                          "-" if c.required is None else VERDICTS[c.holds])
        quantities = [Text(f"{c.id} ({c.kind}, {c.arithmetic}): {c.quantity}") for c in self.claims]
        lines = {f"{status}: {text}": None for c in self.claims for text, status in c.assumptions}
        return Group(Text(self.headline, style="bold"), table, *quantities, *(Text(line) for line in [*_undecided(self.claims), *lines]))

    def _repr_html_(self) -> str:
        cell = "<td style='text-align:left'>{}</td>".format
        rows = "".join("<tr>" + "".join(map(cell, (
            html.escape(c.id), _number(c.lower), _number(c.upper), _number(c.required),
            "-" if c.required is None else VERDICTS[c.holds], c.kind, html.escape(c.quantity)))) + "</tr>" for c in self.claims)
        assumed = {f"<li>{html.escape(line)}</li>": None for line in _undecided(self.claims)}
        assumed |= {f"<li><b>{s}</b>: {html.escape(t)}</li>": None for c in self.claims for t, s in c.assumptions}
        head = "".join(f"<th style='text-align:left'>{h}</th>" for h in
                       ("claim", "lower", "upper", "required", "holds", "kind", "quantity"))
        return f"<p><b>{html.escape(self.headline)}</b></p><table><tr>{head}</tr>{rows}</table><ul>{''.join(assumed)}</ul>"


def _undecided(claims: tuple[Claim, ...]) -> list[str]:
    """Why claims are neither proved nor refuted."""
    found = []
    for c in claims:
        if any(status == "violated" for _, status in c.assumptions):
            found.append(f"{c.id} is undecided: an assumption is violated")
        elif c.required is not None and c.holds is None:
            known = "no upper bound is known" if c.upper is None else \
                f"all that is known, rounding included, is that it lies between {_number(c.lower, 12)} and {_number(c.upper, 12)}"
            found.append(f"{c.id} is undecided: {_number(c.required, 12)} is asked, and {known}")
    return found


def _number(x: float | None, digits: int = 6) -> str:
    return "-" if x is None else f"{x:.{digits}g}"


def issue(kind: str, parameters: Mapping[str, Any], arrays: Mapping[str, np.ndarray], requirements: Mapping[str, float | None],
          arithmetic: str, provenance: Mapping[str, Any], bound: Any = None) -> Certificate:
    """A certificate whose every number the checker has stated from the evidence.

    Args:
        kind: the type of the problem, "elliptic.Darcy".
        requirements: claim id -> what is required of it, or None.
        arithmetic: "margin" or "enclosed".
    """
    kept = {name: np.ascontiguousarray(x, dtype="<f8") for name, x in sorted(arrays.items())}
    witness = to_safetensors(kept)
    return Certificate(assemble(kind, Evidence(parameters, kept), requirements, arithmetic, provenance, witness), kept, bound)


def provenance(device: str = "cpu", threads: int = 1, weights: str | None = None, seed: int | None = None) -> dict[str, Any]:
    """Where an answer came from: bound to the certificate by its digest, not provable from it."""
    versions = {"python": platform.python_version()}
    for name in ("wellposed", "numpy", "torch"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return {"device": device, "threads": threads, "weights": weights, "seed": seed, "versions": versions}


def load(path: str | Path) -> Certificate:
    """A certificate that was saved, after the checker has verified it.

    Args:
        path: its folder or its certificate.json.

    Raises:
        wellposed_check.Refused: forged or damaged. FileNotFoundError: there is none.
    """
    path = Path(path)
    path = path / CERTIFICATE if path.is_dir() else path
    if not path.is_file() or not (path.parent / WITNESS).is_file():
        raise FileNotFoundError(f"there is no {CERTIFICATE} with its {WITNESS} at {path}; name the folder that holds both")
    try:
        document, witness = loads(path.read_bytes().decode("utf-8")), (path.parent / WITNESS).read_bytes()
    except UnicodeDecodeError:
        raise wellposed_check.Refused(f"{path} is not a certificate: it is not UTF-8 text") from None
    _, evidence = verify(document, witness)
    return Certificate(document, dict(evidence.arrays))


def save(certificate: Certificate, folder: str | Path) -> Path:
    """`certificate.save(folder)`."""
    return certificate.save(folder)


def check(certificate: Certificate | str | Path, problem: str | Path | None = None, answer: str | Path | None = None) -> Report:
    """What the independent checker says of a certificate, in memory or in a file; see `wellposed_check.check`."""
    if isinstance(certificate, Certificate):
        if problem is not None or answer is not None:
            raise ValueError("the subject can be presented to a certificate in a file: save it first, then check the file")
        return certificate.check()
    return wellposed_check.check(certificate, problem, answer)


def write_whole(path: Path, data: bytes) -> Path:
    """Write under a temporary name, flush to disk, rename: a kill leaves the old file or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


@singledispatch
def certify(problem: Any, answer: Any = None, **options: Any) -> Certificate:  # noqa: ARG001
    """A certificate for anyone's answer to `problem`; what it claims and takes depends on the type of the problem.

    For `wellposed.elliptic.Darcy`: `wellposed.elliptic.claims.certify_darcy`. For `Helmholtz` and `OneStep`, of which little more
    than a lower bound is proved: `wellposed.elliptic.error_at_least`. Of a `wellposed.sequence.Bank`, which is its own answer:
    `wellposed.sequence.claims.certify_bank`. Teach it your own with ``wellposed.certify.register``.
    """
    raise TypeError(_unknown("certify", problem))


@singledispatch
def refine(problem: Any, answer: Any = None, tol: float | None = None, **options: Any) -> Any:  # noqa: ARG001
    """A better answer: `.answer`, `.certificate`, `.history`, `.status`, `.message`.

    For `wellposed.elliptic.Darcy`: `wellposed.elliptic.refine.refine_darcy`.
    """
    raise TypeError(_unknown("refine", problem))


@singledispatch
def admit(problem: Any, prediction: Any) -> tuple[Callable[[np.ndarray], Any], np.ndarray]:  # noqa: ARG001
    """What a model answered, made admissible: samples -> their answers as `refine` takes them, and which are usable."""
    raise TypeError(_unknown("guard", problem))


def _unknown(verb: str, problem: Any) -> str:
    registry = {"certify": certify, "refine": refine, "guard": admit}[verb].registry
    known = ", ".join(sorted(t.__name__ for t in registry if t is not object)) or "none yet: import its room first"
    return (f"{verb}: received a problem of the type {type(problem).__name__}, expected one of a type that has been registered "
            f"({known}); build one, such as wellposed.elliptic.Darcy(coefficient, source)")
