"""Darcy problems, -div(a grad u) = f: how far is this potential from the true solution of the equation?"""

from wellposed import certificate
from wellposed.elliptic.claims import certify_darcy
from wellposed.elliptic.fields import generate
from wellposed.elliptic.goals import GoalBound, goal
from wellposed.elliptic.hypercircle import Bound, bound
from wellposed.elliptic.problem import Darcy, admit_potential, clamp
from wellposed.elliptic.refine import Refinement, refine_darcy
from wellposed.elliptic.relief import Relief, load_relief

__all__ = ["Bound", "Darcy", "GoalBound", "Refinement", "Relief", "bound", "clamp", "generate", "goal", "load_relief"]

certificate.certify.register(Darcy, certify_darcy)
certificate.refine.register(Darcy, refine_darcy)
certificate.admit.register(Darcy, admit_potential)
