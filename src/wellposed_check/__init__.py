"""The trusted base of wellposed: an independent checker of certificates. Needs numpy, imports nothing of wellposed."""

from wellposed_check.canonical import Refused
from wellposed_check.statement import Evidence, Statement
from wellposed_check.verify import Report, check

__version__ = "0.1.0"
__all__ = ["Evidence", "Refused", "Report", "Statement", "check"]
