"""Darcy problems, -div(a grad u) = f: how far is this potential from the true solution of the equation? MgNO, which answers them; and
Helmholtz and one step of flow, where errors are bounded from below only."""

from wellposed import certificate
from wellposed.elliptic.claims import certify_darcy
from wellposed.elliptic.error_at_least import certify_helmholtz, certify_one_step
from wellposed.elliptic.fields import generate
from wellposed.elliptic.goals import GoalBound, goal
from wellposed.elliptic.helmholtz import Helmholtz, generate_helmholtz
from wellposed.elliptic.hypercircle import Bound, bound
from wellposed.elliptic.learning import darcy_objective
from wellposed.elliptic.mgno import MgNO
from wellposed.elliptic.multigrid import Multigrid
from wellposed.elliptic.one_step import OneStep, generate_one_step
from wellposed.elliptic.problem import Darcy, admit_potential, clamp
from wellposed.elliptic.refine import Refinement, refine_darcy
from wellposed.elliptic.relief import Relief, load_relief
from wellposed.elliptic.trial import Surrogate
from wellposed.training.objectives import objective

__all__ = ["Bound", "Darcy", "GoalBound", "Helmholtz", "MgNO", "Multigrid", "OneStep", "Refinement", "Relief", "Surrogate", "bound",
           "clamp", "generate", "generate_helmholtz", "generate_one_step", "goal", "load_relief"]

certificate.certify.register(Darcy, certify_darcy)
certificate.certify.register(Helmholtz, certify_helmholtz)
certificate.certify.register(OneStep, certify_one_step)
certificate.refine.register(Darcy, refine_darcy)
certificate.admit.register(Darcy, admit_potential)
objective.register(Darcy)(darcy_objective)
