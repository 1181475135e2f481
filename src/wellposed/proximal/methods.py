"""The three methods by name, and the steps at which their theorems hold."""

from __future__ import annotations

import math
from typing import Any

from wellposed.proximal.admm import Admm
from wellposed.proximal.data_terms import Envelope, LeastSquares
from wellposed.proximal.pgd import ProximalGradient
from wellposed.proximal.problem import Inverse, number

ALGORITHMS = ("pgd", "admm", "hqs")
INSIDE = 1.01
"""Steps are chosen so far inside the theorem: larger claims of decrease reject more of the extrapolations."""
SIGMA = 0.1
"""Noise of the training of a model that does not say."""


def weight_of(problem: Inverse, model: Any, weight: float | None) -> float:
    """λ, by default σ_n²/σ²: R is near -σ² log p for a network that removes noise σ, and the data have noise σ_n.

    Raises:
        ValueError: not positive; none given and no noise to choose one by.
    """
    if weight is None:
        if problem.noise == 0.0:
            raise ValueError("weight: received none, and a problem without noise to choose one by; give a positive weight, such as 0.01")
        return (problem.noise / float(getattr(model, "config", {}).get("sigma", SIGMA))) ** 2
    if not 0 < number(weight) < math.inf:
        raise ValueError(f"weight: received {weight!r}, expected a positive number, the λ of |Ax - y|²/2 + λR(x), or None to have it "
                         "chosen by the noise")
    return number(weight)


def scheme(problem: Inverse, model: Any, algorithm: str, weight: float, rho: float | None) -> ProximalGradient | Admm:
    """The method; `rho` is 1/η for "pgd".

    Raises:
        ValueError: another algorithm, a rho below the weight.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm: received {algorithm!r}, expected one of {', '.join(ALGORITHMS)}")
    term = LeastSquares(problem)
    if rho is None:
        rho = weight if algorithm == "hqs" else max(weight, INSIDE * term.smoothness)
    inverse_step = number(rho)
    if not weight <= inverse_step < math.inf:
        raise ValueError(f"rho: received {rho!r}, expected a number of at least the weight, {weight:g}: the prox of more than R itself is "
                         "not known; a larger rho, or None to have it chosen")
    if algorithm == "admm":
        return Admm(model, term, weight, inverse_step)
    return ProximalGradient(model, Envelope(term, inverse_step) if algorithm == "hqs" else term, weight, 1 / inverse_step)
