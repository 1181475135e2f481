"""What a network of this room is trained on: windows of trajectories, each a field and the values at the nodes of the slabs that follow.

A trajectory has as many windows as one likes: the equation is autonomous, so that every time of it is an initial time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from wellposed.flow.band import Band
from wellposed.flow.equation import NavierStokes2D
from wellposed.flow.families import Family, frames
from wellposed.flow.problem import Evolution
from wellposed.flow.slabs import Slabs, spline
from wellposed.flow.solver import solve
from wellposed.flow.spacetime_fno import SpacetimeFNO, Start
from wellposed.flow.spectral_layer import Planes, planes
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import to_spectrum
from wellposed.training import Objective
from wellposed.training.data import digest_batch

LOSSES = ("vorticity", "velocity")
SETTINGS = {"batch": 32, "lr": 4e-3, "betas": (0.9, 0.99)}
"""What training takes where the caller does not say."""
EACH = 4
"""Windows begin so many times in a slab, by default."""
LONGER = 1.5
"""Trajectories to train on last so many times as long as answers should: later in an answer the flow is another than at its start."""


class Window(NamedTuple):
    """A batch: where windows start, and the truth at the nodes of their slabs but the first."""

    start: Start
    truth: Planes


class Windows:
    """Windows of trajectories as data; window i is the start i % starts of the trajectory i // starts.

    Args:
        trajectory: with polynomials in time, or frames that a spline can follow.
        model: which says the width of slabs, their degree, and the modes that are kept here.
        slabs: of a window. every: time from one start to the next.

    Raises:
        ValueError: trajectories shorter than a window.
    """

    def __init__(self, trajectory: Trajectory, model: SpacetimeFNO, slabs: int, every: float) -> None:
        own = trajectory.coefficients or spline(trajectory.times, to_spectrum(trajectory.vorticity))
        n, kind = own.values.shape[-2], model.lift.weight.dtype
        band = Band.kept(n, model.length)
        values = band.widened(band.cut(own.values), model.modes).to(kind.to_complex())
        self.held, self.count, self.every = Slabs(own.edges, values), slabs, every
        first, last, width = float(trajectory.times[0]), float(trajectory.times[-1]), slabs * model.slab
        if last - first < width * (1 - 1e-9):
            raise ValueError(f"train: received trajectories of the length {last - first:g} for windows of {slabs} slabs of {model.slab:g}, "
                             "expected at least one window; train on longer ones, or build the model with a smaller slab")
        self.starts = first + every * torch.arange(int((last - first - width) / every + 1e-9) + 1, dtype=torch.float64)
        nodes = model.slab * torch.from_numpy(chebyshev.lobatto(model.degree))
        later = (nodes[1:] + model.slab * torch.arange(slabs, dtype=torch.float64)[:, None]).flatten()
        self.offsets = torch.cat([nodes[:1], later])

    def __len__(self) -> int:
        return len(self.held.values) * len(self.starts)

    def __getitem__(self, indices: Sequence[int]) -> Window:
        sample, start = np.divmod(np.asarray(indices), len(self.starts))
        v = self._at(torch.from_numpy(sample), self.starts[start][:, None] + self.offsets)
        v = planes(v)
        return Window(Start(v[:, :, :, :1], self.count), v[:, :, :, 1:])

    def _at(self, sample: Tensor, t: Float[Tensor, "window time"]) -> Tensor:
        """Of each window its own times."""
        edges = self.held.edges
        which = (torch.searchsorted(edges, t) - 1).clamp(0, len(edges) - 2)
        s = ((t - edges[which]) / self.held.widths[which]).clamp(0.0, 1.0)
        weights = torch.from_numpy(chebyshev.values(self.held.degree, s.flatten().numpy())).view(*s.shape, -1)
        values = self.held.values[sample[:, None], which]
        return (values * weights[..., None, None].to(values.real.dtype)).sum(2)

    def digest(self) -> str:
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return digest_batch((self.held.edges, self.held.values, self.starts, self.offsets))


def trajectories(family: Family, resolution: int, samples: int, seed: int = 0, duration: float | None = None) -> Trajectory:
    """Flows of a family to train on, from the end of its warm-up; a spline leads through their frames.

    Args:
        duration: one and a half times the family's horizon where not given.

    Raises:
        ArithmeticError: the flow is not resolved and has diverged.
    """
    count = round((LONGER * family.horizon if duration is None else duration) / family.spacing) + 1
    w = frames(family, resolution, samples, count, seed)
    return Trajectory(family.warm_up + family.spacing * torch.arange(count, dtype=torch.float64), w)


def flow_objective(trajectory: Trajectory, model: nn.Module, *, loss: str | None = None, slabs: int = 1,
                   every: float | None = None) -> Objective:
    """How a `SpacetimeFNO` learns trajectories: the relative error at the nodes, a mean over nodes and windows.

    Args:
        loss: of the "vorticity", the default, or of the "velocity", in the mean square.
        slabs: of a window. Through more than one, errors that the network itself makes are learned from, at as many times the cost.
        every: from the start of one window to that of the next; a quarter of a slab where not given.

    Raises:
        ValueError: an unknown loss, a model of another kind, trajectories shorter than a window.
    """
    if loss not in (None, *LOSSES):
        raise ValueError(f"train: received loss={loss!r}, expected one of {', '.join(LOSSES)}")
    if not isinstance(model, SpacetimeFNO):
        raise ValueError(f"train: received a model of the type {type(model).__name__} for trajectories, expected "
                         "wellposed.flow.SpacetimeFNO; train other models on arrays (x, y)")
    if not isinstance(slabs, int) or slabs < 1 or (every is not None and not 0 < every < float("inf")):
        raise ValueError(f"train: received slabs={slabs!r} and every={every!r}, expected at least one slab, and a positive time or None")
    data = Windows(trajectory, model, slabs, model.slab / EACH if every is None else every)
    if model.scale is None:
        model.scale = float(f"{float(trajectory.vorticity.square().mean().sqrt()):.6g}")
    band = Band(model.modes, model.length)
    weights = band.twice.expand_as(band.square) if loss != "velocity" else band.twice * band.inverse

    def evaluate(network: nn.Module, batch: Window) -> Tensor:
        return relative(network(batch.start), batch.truth, weights.to(batch.truth.device, batch.truth.dtype))

    evaluate.__dict__["called"] = loss or LOSSES[0]
    return Objective(evaluate, data, name="flow")


def evolution_objective(problem: Evolution, model: nn.Module, *, loss: str | None = None, slabs: int = 1, every: float | None = None,
                        labels: Trajectory | None = None) -> Objective:
    """As `flow_objective`, on the trajectories that `solve` finds from the problem's fields, or on labels.

    Raises:
        ValueError: neither labels nor times; as `flow_objective`.
    """
    if labels is None:
        if problem.times is None or not isinstance(problem.equation, NavierStokes2D):
            given = "without" if problem.times is None else "with"
            raise ValueError(f"train: received a problem of {type(problem.equation).__name__} {given} times, expected "
                             "Evolution(NavierStokes2D(...), vorticity, times), or labels")
        labels = solve(problem.equation, problem.vorticity, problem.times)
    return flow_objective(labels, model, loss=loss, slabs=slabs, every=every)


for _registered in (flow_objective, evolution_objective):
    _registered.settings = SETTINGS  # type: ignore[attr-defined]
evolution_objective.per_sample = ("labels",)  # type: ignore[attr-defined]


def relative(found: Planes, truth: Planes, weights: Float[Tensor, "rows columns"]) -> Float[Tensor, ""]:
    """The mean of |v - u| / |u| over all channels (nodes in time) and samples, |u|² = Σ weights |û_k|²."""
    def size(v: Planes) -> Tensor:
        return torch.einsum("pyxcb,yx->cb", v.square(), weights).sqrt()

    return (size(found - truth) / size(truth)).mean()
