"""What a claim says, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wellposed_check.canonical import encode

STATUSES = ("checked", "assumed", "violated")
KINDS = {"theorem": "proved", "statistical": "statistical", "observation": "observed"}
VERDICTS = {True: "holds", False: "fails", None: "undecided"}


@dataclass(frozen=True)
class Evidence:
    """What a claim is recomputed from: the problem's parameters and the arrays of the witness.

    `memo` keeps what several claims share while one certificate is recomputed.
    """

    parameters: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    memo: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class Statement:
    """A claim as the checker itself states it. `assumptions` are pairs (text, status); `witness` names arrays."""

    id: str
    quantity: str
    lower: float | None
    upper: float | None
    kind: str
    arithmetic: str
    assumptions: tuple[tuple[str, str], ...]
    reference: str
    witness: tuple[str, ...]

    def holds(self, required: float | None) -> bool | None:
        """True iff upper <= required, False iff lower > required, else undecided; nothing is decided on a violated assumption."""
        if required is None or any(status == "violated" for _, status in self.assumptions):
            return None
        if self.upper is not None and self.upper <= required:
            return True
        return False if self.lower is not None and self.lower > required else None

    def document(self, required: float | None, digests: Mapping[str, str]) -> dict[str, Any]:
        """The claim as it stands in a certificate."""
        return {
            "id": self.id, "quantity": self.quantity, "lower": encode(self.lower), "upper": encode(self.upper),
            "required": encode(required), "holds": self.holds(required), "kind": self.kind,
            "arithmetic": self.arithmetic, "reference": self.reference,
            "assumptions": [{"status": status, "text": text} for text, status in self.assumptions],
            "witness": {name: digests[name] for name in self.witness},
        }


def verdict(claims: Iterable[Mapping[str, Any]]) -> bool | None:
    """Any False beats any None beats True, over the theorems and statistics that have a requirement.

    A violated assumption of any claim counts as None, so that a certificate that requires nothing does not pass on one.
    """
    claims = list(claims)
    votes = [c["holds"] for c in claims if c["required"] is not None and c["kind"] != "observation"]
    votes += [None for c in claims for a in c["assumptions"] if a["status"] == "violated"]
    return False if False in votes else None if None in votes else True


def headline(claims: list[dict[str, Any]]) -> str:
    """One line: the verdict, how it is known, and what of it can only be refuted."""
    counts = ", ".join(f"{sum(c['kind'] == kind for c in claims)} {word}" for kind, word in KINDS.items())
    free = all(c["required"] is None for c in claims) and verdict(claims)
    head = "nothing was required, the intervals speak" if free else VERDICTS[verdict(claims)]
    half = ", ".join(c["id"] for c in claims if c["kind"] == "theorem" and c.get("upper", c) is None)
    return f"{head} ({counts})" + (f"; NO UPPER BOUND of {half}" if half else "")
