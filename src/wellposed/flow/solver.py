"""Classical solutions: pseudo-spectral in space, a fixed step in time, and polynomials in time through the very steps."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from wellposed.flow.equation import Array, NavierStokes2D
from wellposed.flow.integration import Run, keep, resolved_slab
from wellposed.flow.integration import stable_step as stable_step
from wellposed.flow.slabs import Slabs
from wellposed.flow.trajectory import Trajectory, increasing
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import Spectrum, to_field, to_spectrum


@torch.no_grad()
def solve(equation: NavierStokes2D, vorticity: Float[Tensor, "batch y x"], times: Array, method: str = "etdrk4",
          step: float | None = None, degree: int = 8, slab: float | None = None) -> Trajectory:
    """The flow at `times`, and between them polynomials whose nodes are steps of the method.

    Modes with a frequency of n/3 or more are dropped, and so is the mean: the first frame is `vorticity` so truncated.

    Args:
        equation: the equation. vorticity: at times[0], nodal values (batch, n, n) or (n, n).
        times: (time,), increasing, at least two. An interval is cut evenly into slabs.
        method: one of `METHODS`.
        step: the longest step; the gaps between Chebyshev-Lobatto nodes are divided evenly. None: `stable_step`, adapted as the flow
            changes: relative errors near 1e-5 in turbulence, 1e-8 in smooth flow, for ETDRK4; halve it to see.
        degree: of the polynomials. slab: their greatest width. None: `resolved_slab`, adapted likewise.

    Raises:
        ValueError: unknown method, times that do not increase, numbers out of range, fields that do not fit the equation.
        ArithmeticError: the run has diverged.
    """
    t, w = increasing(times), equation.fields(vorticity, "vorticity", 3)
    _positive("step", step)
    _positive("slab", slab)
    if not isinstance(degree, int) or degree < 2:
        raise ValueError(f"degree: received {degree}, expected a whole number of at least two; 8 is usual")
    run = Run(equation, to_spectrum(w), method, step)
    edges, values, width = [float(t[0])], [], slab or math.inf
    for start, end in pairwise(t.tolist()):
        run.look_ahead(end - start)
        width = slab or keep(width, resolved_slab(run.system, run.state, degree))
        pieces = max(1, math.ceil((end - start) / width * (1 - 1e-9)))
        for k in range(pieces):
            values.append(_slab(run, start + k * (end - start) / pieces, (end - start) / pieces, degree))
            edges.append(start + (k + 1) * (end - start) / pieces if k + 1 < pieces else end)
    slabs = Slabs(torch.tensor(edges, dtype=torch.float64), torch.stack(values, 1))
    last = torch.searchsorted(slabs.edges, t[1:]) - 1
    frames = torch.cat([slabs.values[:, :1, 0], slabs.values[:, last, -1]], 1)
    return Trajectory(t, to_field(frames, equation.resolution), slabs)


@torch.no_grad()
def spectra(equation: NavierStokes2D, spectrum: Spectrum, times: Array, step: float | None = None,
            method: str = "etdrk4") -> Complex[Tensor, "batch time n half"]:
    """Spectra at `times`, the first of them the truncation of `spectrum`, without polynomials: for data in bulk.

    Args:
        spectrum: `rfft2` over n² at times[0], (batch, n, n/2 + 1). step: as of `solve`, and method.

    Raises:
        ValueError: unknown method, numbers out of range.
        ArithmeticError: the run has diverged.
    """
    t = increasing(times)
    _positive("step", step)
    run = Run(equation, spectrum, method, step)
    out = [run.system.unpack(run.state)]
    for start, end in pairwise(t.tolist()):
        run.look_ahead(end - start)
        run.advance(start, end - start)
        out.append(run.system.unpack(run.state))
    return torch.stack(out, 1)


def solve_to(equation: NavierStokes2D, spectrum: Spectrum, interval: float, step: float | None = None, method: str = "etdrk4") -> Spectrum:
    """The spectrum after an interval: the last of `spectra`."""
    _positive("interval", interval)
    return spectra(equation, spectrum, torch.tensor([0.0, interval], dtype=torch.float64), step, method)[:, 1]


def _slab(run: Run, start: float, width: float, degree: int) -> Tensor:
    """Spectra at the nodes of one slab, (batch, degree + 1, n, half); the run is moved to its end."""
    out = [run.system.unpack(run.state)]
    for a, b in pairwise(chebyshev.lobatto(degree).tolist()):
        run.advance(start + width * a, width * (b - a))
        out.append(run.system.unpack(run.state))
    return torch.stack(out, 1)


def _positive(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise ValueError(f"{name}: received {value}, expected a positive number; leave it out to have one chosen")
