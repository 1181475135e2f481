"""What a claim owes its users, as code: `check_claim` for conformance, `forgeries` for attacks on a certificate."""

from wellposed.testing.conformance import check_claim
from wellposed.testing.tamper import Forgery, forgeries, outcome, survivors

__all__ = ["Forgery", "check_claim", "forgeries", "outcome", "survivors"]
