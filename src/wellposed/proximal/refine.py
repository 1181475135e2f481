"""`wellposed.refine` for inverse problems: from anyone's image, or none, to a stationary point of the objective."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from wellposed.proximal.descent import Descent
from wellposed.proximal.inversion import invert
from wellposed.proximal.methods import scheme, weight_of
from wellposed.proximal.problem import Array, Inverse, number
from wellposed.proximal.reconstruct import Reconstruction, followed, proximal_model, tikhonov

TOL, STEPS, PATIENT = 1e-5, 300, 10
NEAR = 1e-9
"""To what residual the given image is written as prox_R(w)."""


@torch.no_grad()
def refine_image(problem: Inverse, image: Array | None = None, tol: float | None = None, *, prior: Any = None, weight: float | None = None,
                 algorithm: str = "pgd", steps: int = STEPS, mesh: str = "fixed") -> Reconstruction:
    """Steps of `reconstruct` until |∇F| is at most `tol`, from the image or, where its objective is less, from the network's own start.

    Args:
        image: anyone's, (batch, c, y, x); None starts from the Tikhonov solution.
        tol: of |∇F| for each image, by default 1e-5. prior: an LPN. weight, algorithm, steps: as of `reconstruct`.
        mesh: "fixed"; or "auto" for ten times as many steps.

    Raises:
        ValueError: as `reconstruct`; no prior.
    """
    if prior is None:
        raise ValueError("refine: received no prior, expected refine(problem, image, tol, prior=model) with a proximal network, such as "
                         "wellposed.proximal.LPN.load(folder)")
    if mesh not in ("fixed", "auto"):
        raise ValueError(f"refine: received mesh={mesh!r}, expected 'fixed' or 'auto'")
    tol = TOL if tol is None else tol
    if not 0 < number(tol) < math.inf:
        raise ValueError(f"refine: received tol={tol!r}, expected a positive number, what |∇F| of each image is to be at most, or None")
    model = proximal_model(problem, prior)
    λ = weight_of(problem, prior, weight)
    method = scheme(problem, model, algorithm, λ, None)
    here = method.begin(tikhonov(problem, λ))
    if image is not None:
        given = method.begin(_point(model, problem.images(image)))
        better = ((given.stationarity <= tol) | (given.objective < here.objective)).nonzero()[:, 0]
        here = here.put(better, given[better])
    return followed(Descent(method, here), problem, algorithm, λ, number(tol), steps * (PATIENT if mesh == "auto" else 1), True)


def _point(model: Any, image: Tensor) -> Tensor:
    """w with prox_R(w) near the image; where Newton's method does not get there the image itself, which is then denoised once."""
    found = invert(model, image, NEAR)
    good = (found.residual <= 1e-6).view(-1, *(1,) * (image.ndim - 1))
    return torch.where(good, found.point, image)
