"""Edits of a certificate's witness arrays, and the digests that a careful forger recomputes after them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from copy import deepcopy

import numpy as np
from safetensors.numpy import save as to_safetensors

from wellposed.certificate import Certificate
from wellposed.testing.document_edits import ALL, RESEALED, Document
from wellposed_check.canonical import digest_array
from wellposed_check.elliptic.darcy import SIDES

Arrays = dict[str, np.ndarray]
BUMP = 0.01  # of the largest entry of an array


def encode_arrays(arrays: Arrays) -> bytes:
    return to_safetensors({name: np.ascontiguousarray(x) for name, x in arrays.items()})


def reseal(document: Document, arrays: Arrays, witness: bytes) -> Document:
    """The document with the digests of these arrays, wherever they stand, and of the witness file."""
    document = deepcopy(document)
    subject = document["subject"]
    tables = [c["witness"] for c in document["claims"]] + [subject[part]["arrays"] for part in ("problem", "answer")]
    for name, x in arrays.items():
        for table in tables:
            table.update({name: digest_array(x)} if name in table else {})
        document["witness"]["arrays"][name] = {"shape": list(x.shape), "sha256": digest_array(x)}
    document["witness"]["sha256"] = hashlib.sha256(witness).hexdigest()
    return document


def array_edits(certificate: Certificate, rng: np.random.Generator) -> Iterator[tuple[str, Arrays, tuple[str, ...]]]:
    """(what was done, the edited arrays, strengths at which it must not pass)."""
    arrays = certificate.arrays
    for name, x in arrays.items():
        free = name.endswith(".extension") or (name == "test" and not _decisive(certificate))
        strengths = RESEALED if free else ALL
        whole = strengths if _counts(certificate, name).all() else RESEALED
        yield f"{name}: one number", arrays | {name: _bumped(certificate, name, rng)}, strengths
        yield f"{name}: sign", arrays | {name: -x}, RESEALED if name == "test" else strengths
        if x.ndim == 3 and x.shape[1] == x.shape[2]:
            yield f"{name}: transposed", arrays | {name: x.transpose(0, 2, 1)}, whole
        for other in (k for k in arrays if k > name and arrays[k].shape == x.shape):
            if not np.array_equal(arrays[other], x):
                yield f"{name} and {other} swapped", arrays | {name: arrays[other], other: x}, ALL
    name = str(rng.choice(sorted(arrays)))
    yield f"{name}: dropped", {k: v for k, v in arrays.items() if k != name}, RESEALED


def _decisive(certificate: Certificate) -> bool:
    """Whether each number of the test function shows in a claim: one sample, and a lower bound above zero."""
    lower = next((c.lower for c in certificate.claims if c.id == "elliptic.energy_error/1"), None)
    return len(certificate.arrays["test"]) == 1 and bool(lower)


def _counts(certificate: Certificate, name: str) -> np.ndarray:
    """Which entries of a sample of this array a claim can depend on."""
    counts = np.ones(certificate.arrays[name].shape[1:], bool)
    if name == "neumann_oscillation":
        boundary = certificate.document["subject"]["problem"]["parameters"]["boundary"]
        counts[[boundary[side] != "neumann" for side in SIDES]] = False
    return counts


def _bumped(certificate: Certificate, name: str, rng: np.random.Generator) -> np.ndarray:
    x = certificate.arrays[name].copy()
    places = np.argwhere(np.broadcast_to(_counts(certificate, name), x.shape))
    x[tuple(places[rng.integers(len(places))])] += BUMP * max(float(np.abs(x).max()), 1e-3)
    return x
