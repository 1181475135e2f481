"""What a claim owes its users, as code: `check_claim` for conformance, `forgeries` for attacks on a certificate; and what an operator
owes them: `check_operator`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wellposed.testing.conformance import check_claim
from wellposed.testing.tamper import Forgery, forgeries, outcome, survivors

if TYPE_CHECKING:
    from wellposed.testing.operators import check_operator

__all__ = ["Forgery", "check_claim", "check_operator", "forgeries", "outcome", "survivors"]


def __getattr__(name: str) -> Any:
    if name == "check_operator":  # it imports torch, which forging certificates does without
        from wellposed.testing.operators import check_operator

        return check_operator
    raise AttributeError(f"module 'wellposed.testing' has no attribute {name!r}; it has {', '.join(__all__)}")
