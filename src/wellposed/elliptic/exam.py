"""How good are a network's answers, and how sharp are its bounds, on fields that it has never seen?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from wellposed.certificate import Certificate
from wellposed.elliptic.claims import certify_darcy
from wellposed.elliptic.hypercircle import bound
from wellposed.elliptic.problem import Darcy
from wellposed.elliptic.trial import Surrogate, answer
from wellposed.numerics.q1 import gradient, interpolate

FINER = 4


@dataclass(frozen=True)
class Exam:
    """What is proved, and what is estimated, of a network's answers to one family; arrays have one entry per field.

    Attributes:
        inside: whether the network was trained on this family.
        potential, stream: what it answered. With the stream function certifying takes no solve; None if it gives none.
        relative: guaranteed upper bounds of |u - v|_a / |u|_a, as the certificates state them.
        width: of the enclosure of the compliance, relative to |u|_a^2.
        effectivity: eta / |u_h - v|_a with u_h from a mesh four times finer, of the first fields. An estimate, and on the large
            side: the error of u_h itself is missing below the line.
        cells: each cell's part of eta.
    """

    name: str
    inside: bool
    problem: Darcy = field(repr=False)
    potential: np.ndarray = field(repr=False)
    stream: np.ndarray | None = field(repr=False)
    relative: np.ndarray = field(repr=False)
    width: np.ndarray = field(repr=False)
    effectivity: np.ndarray = field(repr=False)
    cells: np.ndarray = field(repr=False)

    @property
    def violations(self) -> int:
        """Bounds below the estimated error; as the estimate is too small, one would be a refutation."""
        return int((self.effectivity < 1).sum())

    def certificate(self, sample: int, **options: Any) -> Certificate:
        """The certificate of one field, with the network's own stream function."""
        one = slice(sample, sample + 1)
        found = self.potential[one] if self.stream is None else (self.potential[one], self.stream[one])
        return certify_darcy(self.problem[sample], found, **options)


def examine(model: Surrogate, problem: Darcy, name: str, inside: bool = True, references: int = 0) -> Exam:
    """Answer, certify each field, and compare the first `references` with a much finer solution."""
    found = answer(model, problem)
    v, psi = found if isinstance(found, tuple) else (found, None)
    b = bound(problem, v, psi)
    v, psi = np.asarray(v), None if psi is None else np.asarray(psi)
    eta, low, high, norm = (np.asarray(x) for x in (b.eta, b.compliance_lower, b.compliance_upper, b.norm_lower))
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.where(norm > 0, (high - low) / np.square(norm), np.inf)
    error = estimated_error(problem[:references], v[:references]) if references else np.zeros(0)
    exam = Exam(name, inside, problem, v, psi, np.zeros(0), width, eta[: len(error)] / np.maximum(error, 1e-300), np.asarray(b.cells))
    certified = [exam.certificate(k, lower="none").claim("energy_error").upper for k in range(len(problem))]
    return replace(exam, relative=np.array([np.inf if x is None else x for x in certified]))


@torch.no_grad()
def estimated_error(problem: Darcy, potential: np.ndarray) -> np.ndarray:
    """|u_h - v|_a, u_h the finite-element solution on a mesh four times finer: by Galerkin orthogonality not above |u - v|_a."""
    errors = []
    for k in range(len(problem)):  # one at a time: a finer mesh has sixteen times the numbers
        finer = problem[k].refined(FINER)
        u = torch.as_tensor(finer.solve(1e-8)).to(problem.coefficient)
        v = torch.as_tensor(potential[k : k + 1]).to(problem.coefficient)
        x, y, twist = gradient(u - interpolate(v, FINER))
        errors.append(float((finer.coefficient * (x**2 + y**2 + twist**2 / 6)).sum().sqrt()))
    return np.array(errors)

