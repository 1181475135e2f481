"""How far is a trajectory from the Navier-Stokes equation itself?"""

from __future__ import annotations

from wellposed_check.flow.velocity_error import state_against
from wellposed_check.statement import Evidence, Statement


def state(evidence: Evidence, arithmetic: str) -> Statement:
    return state_against("pde", evidence, arithmetic)
