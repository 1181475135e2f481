"""The question: which flow starts from this field, and what a model's answer to it looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.equation import Array, NavierStokes2D
from wellposed.flow.linear import Parabolic
from wellposed.flow.trajectory import Trajectory, increasing


@dataclass(frozen=True, init=False, eq=False)
class Evolution:
    """The flow of an equation, Navier-Stokes or a linear one, from its initial vorticity; a batch of samples.

    Args:
        equation: the equation.
        vorticity: the initial field, nodal values (batch, n, n) or (n, n); or what was seen up to then, (batch, steps, n, n), of
            which the last is the initial field.
        times: (time,), increasing, at which an answer is wanted, the first of them the initial time; needed where no trajectory is given.

    Raises:
        ValueError: fields that do not fit the equation or are not finite; times that do not increase.
    """

    equation: NavierStokes2D | Parabolic
    vorticity: Float[Tensor, "batch y x"]
    history: Float[Tensor, "batch steps y x"]
    times: Float[Tensor, " time"] | None

    def __init__(self, equation: NavierStokes2D | Parabolic, vorticity: Array, times: Array | None = None) -> None:
        w = torch.as_tensor(vorticity)
        seen = equation.fields(w, "vorticity", 4) if w.ndim == 4 else equation.fields(w, "vorticity", 3)[:, None]
        t = None if times is None else increasing(times)
        for name, value in (("equation", equation), ("vorticity", seen[:, -1]), ("history", seen), ("times", t)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.vorticity)

    def __getitem__(self, which: Any) -> Evolution:
        """Some of the samples: a number, a slice or an array of numbers."""
        if isinstance(which, int | np.integer):
            k = range(len(self))[which]
            which = slice(k, k + 1)
        which = torch.from_numpy(which) if isinstance(which, np.ndarray) else which
        return Evolution(self.equation, self.history[which], self.times)


def navier_stokes(problem: Evolution) -> NavierStokes2D:
    """The problem's equation, if errors of it are bounded and refined rather than known.

    Raises:
        ValueError: a linear equation.
    """
    if isinstance(problem.equation, Parabolic):
        raise ValueError(f"received {problem.equation!r}, expected NavierStokes2D: of linear equations the error is known exactly, see "
                         "wellposed.flow.parabolic_error and exact_error, and certify")
    return problem.equation


def admit_trajectory(problem: Evolution, prediction: Trajectory | Array) -> tuple[Callable[[np.ndarray], Trajectory], np.ndarray]:
    """What a model answered as trajectories, and which samples are usable: those that are finite.

    Raises:
        ValueError: frames without times in the problem; shapes that fit no trajectory of it.
    """
    if not isinstance(prediction, Trajectory):
        if problem.times is None:
            raise ValueError("guard: received frames without times; give the problem times, or let the model return a Trajectory")
        prediction = Trajectory(problem.times, prediction)
    if len(prediction) != len(problem):
        raise ValueError(f"guard: received {len(prediction)} trajectories, expected {len(problem)}, one for each sample")
    usable = torch.isfinite(prediction.vorticity).flatten(1).all(1)
    if prediction.coefficients is not None:
        usable &= torch.isfinite(torch.view_as_real(prediction.coefficients.values)).flatten(1).all(1)
    return lambda where: prediction[torch.from_numpy(where)], usable.numpy()
