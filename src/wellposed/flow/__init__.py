"""Incompressible flow in two dimensions: how far is this trajectory from the true flow?"""

from __future__ import annotations

from wellposed import certificate
from wellposed.flow import initial
from wellposed.flow.bound import Bound, bound
from wellposed.flow.claims import Enclosure, certify_flow, enclose
from wellposed.flow.duhamel import exact_error
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.learning import evolution_objective, flow_objective
from wellposed.flow.linear import Heat2D, Oseen2D, Stokes2D
from wellposed.flow.linear_claims import certify_linear
from wellposed.flow.parabolic import ParabolicError, parabolic_error
from wellposed.flow.problem import Evolution, admit_trajectory
from wellposed.flow.refine import Refinement, refine_flow
from wellposed.flow.slabs import Slabs
from wellposed.flow.solver import solve
from wellposed.flow.spacetime_fno import SpacetimeFNO
from wellposed.flow.trajectory import Trajectory
from wellposed.training import objective

__all__ = ["Bound", "Enclosure", "Evolution", "Heat2D", "NavierStokes2D", "Oseen2D", "ParabolicError", "Refinement", "Slabs",
           "SpacetimeFNO", "Stokes2D", "Trajectory", "bound", "certify_linear", "enclose", "exact_error", "initial",
           "parabolic_error", "solve"]

certificate.certify.register(Evolution, certify_flow)
certificate.refine.register(Evolution, refine_flow)
certificate.admit.register(Evolution, admit_trajectory)
objective.register(Trajectory)(flow_objective)
objective.register(Evolution)(evolution_objective)
