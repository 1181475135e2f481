"""Learned priors: is this the exact prox of some prior? has the reconstruction converged?"""

from __future__ import annotations

from wellposed import certificate
from wellposed.proximal import laws, phantoms, physics
from wellposed.proximal.claims import certificate_of_run, certify_image
from wellposed.proximal.conformal import ConformalSet, certify_coverage
from wellposed.proximal.denoising import Denoising, denoising_objective
from wellposed.proximal.exact_prox import ExactProx
from wellposed.proximal.lipschitz import Lipschitz, lipschitz, lipschitz_bound
from wellposed.proximal.lpn import LPN
from wellposed.proximal.network_claims import certify_map, certify_network, certify_prior
from wellposed.proximal.prior import Prior
from wellposed.proximal.problem import Inverse, admit_image
from wellposed.proximal.proximal_matching import ProximalMatching
from wellposed.proximal.reconstruct import Reconstruction, reconstruct
from wellposed.proximal.refine import refine_image
from wellposed.proximal.tiling import AveragedByCount, Tiled
from wellposed.training import objective

__all__ = ["LPN", "AveragedByCount", "ConformalSet", "Denoising", "ExactProx", "Inverse", "Lipschitz", "Prior", "ProximalMatching",
           "Reconstruction", "Tiled", "certificate_of_run", "certify_coverage", "certify_image", "certify_map", "certify_network",
           "certify_prior", "denoising_objective", "laws", "lipschitz", "lipschitz_bound", "phantoms", "physics", "reconstruct",
           "refine_image"]

certificate.certify.register(ExactProx, certify_network)
certificate.certify.register(Inverse, certify_image)
certificate.certify.register(ConformalSet, certify_coverage)
certificate.refine.register(Inverse, refine_image)
certificate.admit.register(Inverse, admit_image)
objective.register(Denoising)(denoising_objective)
