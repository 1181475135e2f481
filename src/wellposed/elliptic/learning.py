"""What a model is trained on: the guaranteed bound itself, which needs no labels; or labels, in energy or in L2.

The squared bound splits into the energies of potential and flux, eta^2 = (|v|_a^2 - 2 F(v)) + |t|_*^2 where Dirichlet values
are zero, so each trunk learns by itself, and what is minimized is what `bound` will prove.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wellposed.elliptic.ends import Ends
from wellposed.elliptic.hypercircle import difference_cells
from wellposed.elliptic.lift import Lift, lift
from wellposed.elliptic.mgno import MgNO
from wellposed.elliptic.problem import Array, Darcy, clamp, fit_potential
from wellposed.elliptic.trial import trial
from wellposed.numerics.q1 import gradient, pair
from wellposed.training import Objective

LOSSES = ("bound", "energy", "l2")
COARSE = 0.8
"""The first part of the steps is made on a mesh half as fine: three times cheaper, and kernels are shared between meshes."""
OFF = 1e-2
"""By how much of the largest value labels may miss the Dirichlet values: solvers and file formats round."""
SETTINGS = {"batch": 4, "lr": 3e-3, "betas": (0.9, 0.99)}
"""What training takes where the caller does not say; measured in dev/LOG.md."""


class Questions:
    """A problem as data, in units of its own: batches are indices of the fields of its mesh, or of one half as fine."""

    def __init__(self, problem: Darcy, labels: Tensor | None = None) -> None:
        self.problem, self._labels = problem, labels if labels is not None else torch.zeros(0)
        start = lift(problem)
        self.starts = {1: start.normalized().to(torch.zeros(()))}
        self.labels = None if labels is None else {1: (labels / start.p).float()}
        self.factor = 1

    def halve(self) -> None:
        """Make the mesh half as fine available."""
        start = lift(_coarse(self.problem))
        self.starts[2] = start.normalized().to(torch.zeros(()))
        if self.labels is not None:
            self.labels[2] = (self._labels[:, ::2, ::2] / start.p).float()

    def __len__(self) -> int:
        return len(self.problem)

    def __getitem__(self, indices: Sequence[int]) -> tuple[Questions, Tensor]:
        return self, torch.as_tensor(indices)

    def start(self, indices: Tensor, factor: int) -> Lift:
        return self.starts[factor][indices.cpu()].to(torch.zeros((), device=indices.device))

    def label(self, indices: Tensor, factor: int) -> Tensor:
        assert self.labels is not None
        return self.labels[factor][indices.cpu()].to(indices.device)


def darcy_objective(problem: Darcy, model: nn.Module, *, loss: str | None = None, labels: Array | None = None,
                    coarse: float = COARSE) -> Objective:
    """How a model of this room learns a problem.

    Args:
        loss: "bound", the default (for a model without a second trunk its potential part); or on labels, "energy", the
            square of the relative energy norm, or "l2", the relative L2 norm.
        labels: nodal values (samples, n + 1, n + 1); the finite-element solutions where not given.
        coarse: the part of the steps that is made on a mesh half as fine, where that is possible.

    Raises:
        ValueError: an unknown loss, a model of another room, sides other than the model's.
    """
    if loss is not None and loss not in LOSSES:
        raise ValueError(f"train: received loss={loss!r}, expected one of {', '.join(LOSSES)}")
    ends = getattr(model, "ends", None)
    if not hasattr(model, "both") or ends != Ends(problem.sides):
        kind = f"sides {ends.sides}" if isinstance(ends, Ends) else f"type {type(model).__name__}"
        raise ValueError(f"train: received a model with the {kind} for a Darcy problem with the sides {problem.sides}, expected "
                         "wellposed.elliptic.MgNO with the same, or a `Surrogate`; train other models on arrays (x, y)")
    if isinstance(model, MgNO) and model.resolution not in (None, problem.n):
        raise ValueError(f"train: received {problem.n} x {problem.n} cells for a model whose levels refer to {model.resolution} x "
                         f"{model.resolution}, expected the same, of training and validation fields alike (it answers finer meshes "
                         f"without being trained there); to go over to this mesh set model.resolution = {problem.n}")
    wanted = loss or "bound"
    if wanted == "bound" and labels is not None:
        raise ValueError("train: received labels with loss='bound', which needs none; expected loss='energy' or loss='l2' with them")
    if wanted != "bound":
        labels = fit_potential(problem, problem.solve() if labels is None else labels, "labels")
        if labels.shape[-1] != problem.n + 1:
            raise ValueError(f"labels: received {labels.shape[-1]} x {labels.shape[-1]} nodes, expected {problem.n + 1} x {problem.n + 1}, "
                             "those of the problem's mesh; take every other one until they fit")
        _admit_labels(problem, labels)
    if isinstance(model, MgNO):
        model.resolution = problem.n
    data = Questions(problem, labels if wanted != "bound" else None)  # type: ignore[arg-type]
    silent = (data.starts[1].potential == 0).flatten(1).all(1)
    if bool(silent.any()):
        raise ValueError(f"train: received sample {int(silent.nonzero()[0])} with source, fluxes and boundary values of zero, expected "
                         "some that are not: its solution is zero, and there is nothing to learn")
    halves = coarse > 0 and problem.n % 2 == 0 and problem.movable and _can_halve(model, problem.n)
    if halves:
        data.halve()

    def begin(step: int, steps: int) -> None:
        data.factor = 2 if halves and step < coarse * steps else 1

    def evaluate(network: nn.Module, batch: tuple[Questions, Tensor]) -> Tensor:
        return _loss(network, *batch, wanted)

    evaluate.__dict__["called"] = wanted
    return Objective(evaluate, data, begin=begin, name="darcy", fingerprint=_fingerprint(problem, data.labels, coarse * halves))


darcy_objective.settings = SETTINGS  # type: ignore[attr-defined]
darcy_objective.per_sample = ("labels",)  # type: ignore[attr-defined]


def _admit_labels(problem: Darcy, labels: Tensor) -> None:
    """Refuse labels that cannot be solutions of the problem."""
    silent = [k for k, u in enumerate(labels) if not bool((u != 0).any())]
    if silent:
        raise ValueError(f"labels: received zeros everywhere in sample {silent[0]}, expected a solution that is not zero: the loss is "
                         "relative; leave the sample out, or train on loss='bound'")
    off = (torch.as_tensor(clamp(problem, labels)) - labels).abs().flatten(1).amax(1) / labels.abs().flatten(1).amax(1)
    if float(off.max()) > OFF:
        raise ValueError(f"labels: received values on the Dirichlet sides of sample {int(off.argmax())} that differ from the problem's "
                         f"by {float(off.max()):.0%} of the largest, expected the same; check the axes (y, x), the sides and their values")


def _loss(model: nn.Module, data: Questions, indices: Tensor, wanted: str) -> Tensor:
    factor = data.factor if model.training else 1
    start = data.start(indices, factor)
    # the forward pass of MgNO, and of what accelerate wraps around it, carries bf16; other surrogates have none for a lift
    plain = hasattr(model, "both") and not isinstance(model, MgNO)
    found = trial(model, start, amplitudes=False) if plain else model(start, False)  # type: ignore[arg-type]
    a, v = start.coefficient, found.potential
    if wanted == "l2":
        u = data.label(indices, factor)
        return ((v - u).flatten(1).norm(dim=1) / u.flatten(1).norm(dim=1)).mean()
    if wanted == "energy":
        u = data.label(indices, factor)
        return (_energy(a, v - u) / _energy(a, u)).mean()
    if found.flux is None:
        return (_energy(a, v) - 2 * pair(start.load, v)).mean()
    return difference_cells(a, v, found.flux).sum((1, 2)).mean()


def _energy(a: Tensor, v: Tensor) -> Tensor:
    x, y, twist = gradient(v)
    return (a * (x**2 + y**2 + twist**2 / 6)).sum((1, 2))


def _coarse(problem: Darcy) -> Darcy:
    """A problem of the same kind on a mesh half as fine, with values of the coefficient that it has: means would be new ones."""
    return problem.coarsened(2)._with(coefficient=problem.coefficient[:, ::2, ::2].contiguous())


def _can_halve(model: nn.Module, n: int) -> bool:
    if not isinstance(model, MgNO):
        return True
    levels = model.config["levels"]
    return levels > 2 and (n // 2) % 2 ** (levels - 2) == 0


def _fingerprint(problem: Darcy, labels: Any, coarse: float) -> str:
    digest = hashlib.sha256(f"{problem.sides} {coarse} {problem.coefficient.shape}".encode())
    for x in (problem.coefficient, problem.source, problem.neumann, problem.dirichlet, None if labels is None else labels[1]):
        digest.update(b"none" if x is None else np.ascontiguousarray(x.cpu().numpy()).tobytes())
    return digest.hexdigest()
