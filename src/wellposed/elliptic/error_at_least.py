"""What can be proved of an answer where a good upper bound of its error is not known: evidence in, certificate out.

Such a certificate can refute an answer. It confirms none: of a Helmholtz answer nothing bounds the error from above, and of a step of
flow only what the decay of enstrophy gives. Proofs: wellposed_check/SPEC.md, section 7.6.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from wellposed.certificate import Certificate, issue, provenance
from wellposed.elliptic.evidence import array
from wellposed.elliptic.helmholtz import Array, Helmholtz, factorize, load, matrices
from wellposed.elliptic.hypercircle import admissible
from wellposed.elliptic.one_step import OneStep
from wellposed.numerics.q1 import interpolate
from wellposed_check.canonical import encode
from wellposed_check.elliptic import error_at_least as checker
from wellposed_check.statement import Evidence

CLAIM = "elliptic.error_at_least/1"
AGREEMENT = 1e-6


@dataclass(frozen=True)
class Distance:
    """Proved about each sample of an answer, in the norm of the claim; numpy, (samples,).

    Attributes:
        lower, upper: the error is between them; `upper` is infinite where none is proved.
        size: of the answer (Helmholtz, ||v||), or a bound of the truth (OneStep, M).
        relative: the claim's lower bound: lower / (size + lower), a bound of ||u - v|| / ||u||; for OneStep lower / size.
    """

    lower: np.ndarray
    upper: np.ndarray
    size: np.ndarray
    relative: np.ndarray


@torch.no_grad()
def certify_helmholtz(problem: Helmholtz, answer: Array, tol: float | None = None, *, finer: int = 2, weights: bytes | str | None = None,
                      seed: int | None = None) -> Certificate:
    """How far is this potential from the true wave, at least? NO UPPER BOUND is proved: the verdict is never that an answer is good.

    With b(v, w) = ∫ ∇v·∇w - (ω/c)² v w and ||w||² = ∫ |∇w|² + (ω/c)² w², every w with zero Dirichlet values gives
    ||u - v|| ≥ |F(w) - b(v, w)| / ||w||. The w taken is the best there is on its mesh: the residual's Riesz representative, which solves
    -Δw + (ω/c)² w = residual. ||u|| ≤ ||v|| + ||u - v|| makes the bound relative: ||u - v|| / ||u|| ≥ L / (||v|| + L). An upper bound
    would need the inf-sup constant, which is not known. Near a resonance the error can be many times the bound.

    Args:
        answer: anyone's potential, nodal values (samples, n + 1, n + 1) or on a mesh finer by a whole factor, zero on Dirichlet sides.
        tol: what is required of ||u - v|| / ||u||; the claim then fails where the answer is refuted, and is undecided otherwise.
        finer: how many times finer than the answer's the mesh of w is. On the same mesh (1) no error shows that the finite-element
            solution there has too.
        weights: of the model that answered, or their SHA-256; seed: with which it was trained.

    Raises:
        ValueError: shapes that do not fit, values that are not finite or not zero on Dirichlet sides, options out of range.
        ArithmeticError: two independent computations of the bound disagree; nothing is certified then.
    """
    _demand_tol(tol)
    if not isinstance(finer, int) or not 1 <= finer <= 64:
        raise ValueError(f"certify: received finer={finer!r}, expected a whole number from 1 to 64")
    v = admissible(cast(Any, problem), answer)
    fine = problem.refined((v.shape[-1] - 1) // problem.n * finer)
    test, size = _representative(fine, interpolate(v, finer))
    data = {"speed": problem.speed, "source": problem.source, "neumann": problem.neumann, "potential": v}
    arrays = {name: array(x) for name, x in data.items() if x is not None} | {"test": test}
    parameters = {"boundary": problem.boundary, "frequency": encode(problem.frequency)}
    proved = Distance(*checker.helmholtz(Evidence(parameters, arrays))[0])
    if (np.abs(proved.lower - size) > AGREEMENT * (size + proved.size)).any():
        raise ArithmeticError(f"the checker's bound {proved.lower.max():g} and this program's {size.max():g} disagree: nothing is "
                              "certified; please report this with the problem and the answer")
    return _certificate("elliptic.Helmholtz", parameters, arrays, tol, v, weights, seed, proved)


@torch.no_grad()
def certify_one_step(problem: OneStep, answer: Array, tol: float | None = None, *, weights: bytes | str | None = None,
                     seed: int | None = None) -> Certificate:
    """How far is this vorticity from the true one, at least and at most? CRUDE: only the mean and the decay of enstrophy are used.

    The mean of w grows by T mean f exactly, and the rest of w is at most M' = e^{-λνT} |w0| + (1 - e^{-λνT}) / (λν) |f|, λ = 4π², in the
    root mean square |.|. So the error is at least the defect of the mean, at least |v| - |mean v| - M', and at most |defect| + |v| + M'.
    It is stated over M = |mean| + M' ≥ |w(T)|, where it is at most the relative error. Nothing sharper is proved.

    Args:
        answer: anyone's vorticity at the end of the interval, (samples, n, n).
        tol: what is required of the error over M.
        weights: of the model that answered, or their SHA-256; seed: with which it was trained.

    Raises:
        ValueError: another shape, numbers that are not finite, a tolerance that is not positive.
    """
    _demand_tol(tol)
    v = problem.take(answer, "vorticity")
    v = v[None] if v.ndim == 2 else v
    if v.shape != problem.vorticity.shape:
        raise ValueError(f"vorticity: received the shape {tuple(v.shape)}, expected {tuple(problem.vorticity.shape)}, as at the start; "
                         "resample the answer to these nodes")
    data = {"vorticity": problem.vorticity, "forcing": problem.forcing, "advanced": v}
    arrays = {name: array(x) for name, x in data.items() if x is not None}
    parameters = {"viscosity": encode(problem.viscosity), "interval": encode(problem.interval)}
    proved = Distance(*checker.one_step(Evidence(parameters, arrays))[0])
    return _certificate("elliptic.OneStep", parameters, arrays, tol, v, weights, seed, proved)


def _representative(problem: Helmholtz, v: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The Riesz representative of the residual of v, on the problem's mesh, and its norm: the best test function and its bound."""
    at, found, norms = np.flatnonzero(array(problem.space().free) > 0), np.zeros(tuple(v.shape)), np.zeros(len(v))
    square, functional, values = (array(x) for x in ((problem.frequency / problem.speed) ** 2, load(problem), v))
    for k in range(len(v)):
        stiffness, mass = matrices(square[k])
        residual = (functional[k].ravel() - (stiffness - mass) @ values[k].ravel())[at]
        w = factorize((stiffness + mass)[at][:, at]).solve(residual)
        norms[k] = math.sqrt(max(float(residual @ w), 0.0))
        found[k].reshape(-1)[at] = w / max(float(np.abs(w).max()), 1e-300)  # its size says nothing; a tiny one would prove nothing
    return found, norms


def _certificate(kind: str, parameters: Mapping[str, Any], arrays: Mapping[str, np.ndarray], tol: float | None, v: Tensor,
                 weights: bytes | str | None, seed: int | None, proved: Distance) -> Certificate:
    digest = hashlib.sha256(weights).hexdigest() if isinstance(weights, bytes) else weights
    origin = provenance(v.device.type, torch.get_num_threads(), digest, seed)
    return issue(kind, parameters, arrays, {CLAIM: tol}, "margin", origin, proved)


def _demand_tol(tol: float | None) -> None:
    if tol is not None and not 0 < tol < math.inf:
        raise ValueError(f"certify: received tol={tol}, expected a positive number, or None to require nothing")
