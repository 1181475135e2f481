"""State-space models from HiPPO by perturb-then-diagonalize: is this the system HiPPO meant? is it stable?"""

from wellposed import certificate
from wellposed.sequence.bank import Bank, damped_hippo
from wellposed.sequence.claims import audit, certify_bank
from wellposed.sequence.hippo import Hippo, lagt, legs, legt
from wellposed.sequence.ptd import Diagonalization, ptd
from wellposed.sequence.transfer_gap import TransferGap, transfer_gap

__all__ = ["Bank", "Diagonalization", "Hippo", "TransferGap", "audit", "damped_hippo", "lagt", "legs", "legt", "ptd", "transfer_gap"]

certificate.certify.register(Bank, certify_bank)
