"""State-space models from HiPPO by perturb-then-diagonalize: is this the system HiPPO meant? is it stable? what is its gain?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wellposed import certificate
from wellposed.sequence.bank import Bank, damped_hippo
from wellposed.sequence.claims import audit, certify_bank, certify_diagonalization, certify_ptd
from wellposed.sequence.gain import certify_stages, gain
from wellposed.sequence.hippo import Hippo, lagt, legs, legt
from wellposed.sequence.ptd import Diagonalization, ptd
from wellposed.sequence.transfer_gap import TransferGap, transfer_gap

if TYPE_CHECKING:
    from wellposed.sequence.model import SequenceModel as SequenceModel
    from wellposed.sequence.s4 import S4 as S4
    from wellposed.sequence.s5 import S5 as S5

LAYERS = {"S4": "s4", "S5": "s5", "SequenceModel": "model"}  # they import torch, which audits do without
__all__ = ["S4", "S5", "Bank", "Diagonalization", "Hippo", "SequenceModel", "TransferGap", "audit", "certify_diagonalization",
           "certify_stages", "damped_hippo", "gain", "lagt", "legs", "legt", "ptd", "transfer_gap"]

certificate.certify.register(Bank, certify_bank)
certificate.certify.register(Diagonalization, certify_ptd)


def __getattr__(name: str) -> Any:
    if name in LAYERS:
        return getattr(import_module(f"wellposed.sequence.{LAYERS[name]}"), name)
    raise AttributeError(f"module 'wellposed.sequence' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)
