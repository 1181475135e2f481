"""Evidence in, certificate out: how far a trajectory of a linear equation is from the true one, from both sides."""

from __future__ import annotations

import math

import numpy as np
import torch

from wellposed.certificate import Certificate, issue, provenance
from wellposed.flow.equation import Array, without_nyquist
from wellposed.flow.evidence import answer_arrays, array, parameters, problem_arrays, slab_arrays
from wellposed.flow.linear import Parabolic
from wellposed.flow.parabolic import ParabolicError, parabolic_error
from wellposed.flow.problem import Evolution
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics.vorticity import to_field, to_spectrum

CLAIM = "flow.parabolic_error/1"
SLACK = 4.0  # times what rounding can do: the checker's own is among it twice
NEAR = 1 + 1e-6


@torch.no_grad()
def certify_linear(equation: Parabolic, vorticity: Array | None, trajectory: Trajectory, tol: float | None = None, *,
                   against: str = "pde") -> Certificate:
    """How far is this trajectory from the true one? From both sides, and the sides meet: what is between them is rounding.

    Args:
        vorticity: the initial field; None for the trajectory's first frame.
        tol: what is required of the combined norm of the error, absolutely, the largest of the samples.

    Raises:
        ValueError: as `parabolic_error`; tol out of range; polynomials that do not begin with the frames or end before them.
    """
    if tol is not None and not 0 < tol < math.inf:
        raise ValueError(f"certify: received tol={tol}, expected a positive number, or None to require nothing")
    own = trajectory.coefficients
    if own is not None and not (own.edges[0] == trajectory.times[0] and trajectory.times[-1] <= own.edges[-1]):
        raise ValueError(f"trajectory: received frames from {trajectory.times[0]:g} to {trajectory.times[-1]:g}, polynomials from "
                         f"{own.edges[0]:g} to {own.edges[-1]:g}; expected both to begin together and the polynomials to last; take "
                         "Trajectory.of(slabs, slabs.edges)")
    found = parabolic_error(equation, trajectory, vorticity, against)
    problem = Evolution(equation.box, found.start)
    bracket = torch.stack([(found.value - SLACK * found.rounding).clamp(min=0.0), found.value + SLACK * found.rounding])
    arrays = problem_arrays(problem) | answer_arrays(trajectory) | slab_arrays(problem, found.slabs) | {
        "bracket": array(bracket), "apart": np.array([_apart(found, trajectory)])}
    if equation.background is not None:
        arrays |= {"background": array(equation.background), "mean_velocity": np.array(equation.mean_velocity)}
    stated = parameters(problem) | {"equation": equation.name, "against": against}
    return issue("flow.Linear", stated, arrays, {CLAIM: tol}, "margin", provenance(), found)


def _apart(found: ParabolicError, trajectory: Trajectory) -> float:
    """The largest |frame - v|, v the polynomials; the mean and frequencies of n/2 count as the lowest wave number would."""
    equation, n = found.equation, found.equation.resolution
    d = trajectory.vorticity - to_field(found.slabs.at(trajectory.times), n)
    w = without_nyquist(to_spectrum(d))
    w[..., 0, 0] = 0.0
    beyond = (d - to_field(w, n)).square().mean((-2, -1)) * equation.box.lowest ** (2 * equation.order)
    inner = ((w.real.square() + w.imag.square()) * equation.energy(equation.modes)).sum((-2, -1))
    rounding = 1e-13 * equation.box.lowest**equation.order * float(trajectory.vorticity.abs().max())
    return NEAR * float((inner + beyond).sqrt().max()) + rounding
