"""Files that are broken rather than forged: truncated, scrambled, not in canonical form."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

DEEP = 100_000


def damaged_documents(text: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """certificate.json damaged, or written otherwise than canonically with the same content."""
    document, cut = json.loads(text), int(rng.integers(1, len(text)))
    yield "document: truncated", text[:cut]
    yield "document: one byte short", text[:-1]
    yield "document: empty", b""
    yield "document: one byte lost", text[:cut] + text[cut + 1 :]
    yield "document: bytes that are not text", text[:cut] + b"\xff\xfe" + text[cut:]
    yield "document: other line ends", text.replace(b"\n", b"\r\n")
    yield "document: a byte order mark", b"\xef\xbb\xbf" + text
    yield "document: other spacing", json.dumps(document, sort_keys=True).encode()
    yield "document: other order", json.dumps(dict(reversed(document.items())), indent=1).encode() + b"\n"
    yield "document: a repeated key", text.replace(b"{\n", b'{\n "verdict": "fails",\n', 1)
    yield "document: NaN", text.replace(b'"decimal": ', b'"decimal": NaN, "was": ', 1)
    yield "document: an infinite number", text.replace(b'"decimal": ', b'"decimal": 1e999, "was": ', 1)
    yield "document: a list", b"[]\n"
    yield "document: deep", b"[" * DEEP + b"]" * DEEP + b"\n"


def damaged_witnesses(data: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """witness.safetensors damaged in its header length, header or numbers."""
    length = int.from_bytes(data[:8], "little")
    body, header = data[8 + length :], data[8 : 8 + length]
    cut, at = int(rng.integers(1, len(data))), int(rng.integers(len(body)))
    yield "witness: truncated", data[:cut]
    yield "witness: empty", b""
    yield "witness: bytes appended", data + bytes(8)
    yield "witness: longer header announced", (length + 8).to_bytes(8, "little") + data[8:]
    yield "witness: endless header announced", b"\xff" * 8 + data[8:]
    yield "witness: header of another kind", _with_header(b"[1, 2, 3]", body)
    yield "witness: header cut", _with_header(header[: int(rng.integers(1, length))].rstrip(b" }"), body)
    yield "witness: deep header", _with_header(b"[" * DEEP + b"]" * DEEP, body)
    yield "witness: wrong type named", _with_header(header.replace(b"F64", b"I64", 1), body)
    yield "witness: unknown type named", _with_header(header.replace(b"F64", b"F99", 1), body)
    yield "witness: shape of no array", _with_header(header.replace(b'"shape":[', b'"shape":[2,', 1), body)
    yield "witness: a number not finite", data[: 8 + length] + b"\xff" * 8 + body[8:]
    yield "witness: one bit", data[: 8 + length] + body[:at] + bytes([body[at] ^ 1 << int(rng.integers(8))]) + body[at + 1 :]


def _with_header(header: bytes, body: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + body
