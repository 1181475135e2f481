"""Seeded forgeries of a certificate: everything in it changed, one thing at a time, by forgers of three strengths.

naive     the file is edited and nothing else;
document  the digest of the edited file is recomputed: the document's own, and the witness file's if that was edited;
full      every digest is recomputed: of arrays, witness file, subject and document. Only the claims no longer follow.

Hashes show integrity, not authorship. What a checker cannot recompute, a forger who recomputes the digests may choose,
and these forgeries are therefore left out here, and named in SECURITY.md:

* provenance (device, threads, seed, versions, weights) and what is required, from strength "document" on;
* a claim left out, with headline and verdict rewritten to match: that is a certificate which claims less;
* numbers that no claim depends on, at strength "full": oscillations off the Neumann sides, the sign of the test function,
  and the test function of samples that do not give the largest lower bound; how a matrix is extended to a circulant one, as every
  extension proves a bound; and how the same numbers are stored.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from wellposed.certificate import CERTIFICATE, WITNESS, Certificate
from wellposed.testing.damage import damaged_documents, damaged_witnesses
from wellposed.testing.document_edits import Document, document_edits, seal
from wellposed.testing.witness_edits import array_edits, encode_arrays, reseal
from wellposed_check import check
from wellposed_check.canonical import dumps

STRENGTHS = ("naive", "document", "full")
RANK = {True: 2, None: 1, False: 0}


class Forgery(NamedTuple):
    """A certificate that somebody has tampered with, as the bytes of its two files."""

    description: str
    strength: str
    document: bytes
    witness: bytes

    def write(self, folder: str | Path) -> Path:
        """Write both files; returns the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CERTIFICATE).write_bytes(self.document)
        (folder / WITNESS).write_bytes(self.witness)
        return folder


def forgeries(certificate: Certificate, rng: np.random.Generator, share: float = 1.0) -> Iterator[Forgery]:
    """The forgeries of `certificate`; `rng` draws by how much, and where.

    None leaves both files as they were. See the module for what is left out and why.

    Args:
        share: each forgery is made with this probability; a small share of many certificates takes less time.
    """
    text, witness = dumps(certificate.document).encode(), encode_arrays(certificate.arrays)
    for where, strength, make in _all(certificate, text, witness, rng):
        if share >= 1.0 or rng.uniform() < share:
            forgery = Forgery(where, strength, *make())
            if forgery[2:] != (text, witness):
                yield forgery


def _all(certificate: Certificate, text: bytes, witness: bytes,
         rng: np.random.Generator) -> Iterator[tuple[str, str, Callable[[], tuple[bytes, bytes]]]]:
    """What, how strong, and what makes the two files."""
    document = certificate.document
    for where, edited, strengths in document_edits(document, rng):
        for strength in strengths:
            yield where, strength, lambda d=edited, s=strength: (dumps(seal(d, s)).encode(), witness)
    for where, arrays, strengths in array_edits(certificate, rng):
        for strength in strengths:
            yield where, strength, lambda x=arrays, s=strength: _sealed(document, x, encode_arrays(x), s)
    for where, damaged in damaged_witnesses(witness, rng):
        for strength in ("naive", "document"):
            yield where, strength, lambda w=damaged, s=strength: _sealed(document, {}, w, s)
    for where, damaged in damaged_documents(text, rng):
        yield where, "naive", lambda t=damaged: (t, witness)


def _sealed(document: Document, arrays: dict[str, np.ndarray], witness: bytes, strength: str) -> tuple[bytes, bytes]:
    if strength != "naive":
        document = seal(reseal(document, arrays if strength == "full" else {}, witness), strength)
    return dumps(document).encode(), witness


def outcome(folder: str | Path, before: Certificate) -> str:
    """What became of a forgery of `before` that was written to `folder`: "refused", "worse" or "accepted".

    "worse" is an honest verdict below that of `before`; "accepted" is what must not happen. An exception of the checker
    is not caught: a checker that falls over has not refused.
    """
    status = check(folder).status
    if status == "refused":
        return "refused"
    return "worse" if RANK[status] < RANK[before.verdict] else "accepted"  # type: ignore[index]


def survivors(certificate: Certificate, rng: np.random.Generator, share: float = 1.0) -> list[Forgery]:
    """The forgeries that the checker accepts as it accepted `certificate`: none, if it is worth anything."""
    with tempfile.TemporaryDirectory() as folder:
        return [f for f in forgeries(certificate, rng, share) if outcome(f.write(folder), certificate) == "accepted"]
