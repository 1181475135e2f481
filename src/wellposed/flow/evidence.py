"""Flows and polynomials in time as the arrays and parameters that a witness keeps and the checker reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.flow.band import Band
from wellposed.flow.bound import Bound
from wellposed.flow.problem import Evolution, navier_stokes
from wellposed.flow.slabs import Slabs
from wellposed.flow.trajectory import Trajectory
from wellposed_check.canonical import encode


def parameters(problem: Evolution) -> dict[str, Any]:
    """What of the problem is not an array."""
    e = navier_stokes(problem)
    return {"viscosity": encode(e.viscosity), "drag": encode(e.drag), "length": encode(e.length)}


def problem_arrays(problem: Evolution) -> dict[str, np.ndarray]:
    """The initial vorticity, and the forcing if there is one."""
    f = navier_stokes(problem).forcing
    return {"initial": array(problem.vorticity)} | ({} if f is None else {"forcing": array(f)})


def answer_arrays(trajectory: Trajectory) -> dict[str, np.ndarray]:
    return {"frames": array(trajectory.vorticity), "times": array(trajectory.times)}


def slab_arrays(problem: Evolution, slabs: Slabs, prefix: str = "") -> dict[str, np.ndarray]:
    """Node values in the box of the modes kept, (samples, slabs, degree + 1, rows, columns, 2), Hermitian to the last bit."""
    box = band_of(problem).cut(slabs.values)
    mirrored = box[..., -torch.arange(box.shape[-2]), 0].conj()
    box[..., 0] = (box[..., 0] + mirrored) / 2
    return {f"{prefix}edges": array(slabs.edges), f"{prefix}nodes": array(torch.view_as_real(box.resolve_conj()))}


def proof_arrays(problem: Evolution, found: Bound, prefix: str = "") -> dict[str, np.ndarray]:
    """The polynomials, the grid on which their strain was looked for, and abscissas with the boxes of their proofs."""
    own = slab_arrays(problem, found.slabs, prefix) | {f"{prefix}grid": np.array([float(found.rates.grid)])}
    return own if found.rates.abscissas is None else own | {f"{prefix}abscissas": array(found.rates.abscissas)}


def hermitian(problem: Evolution, slabs: Slabs) -> Slabs:
    """The polynomials as a witness keeps them."""
    stored = torch.view_as_complex(torch.from_numpy(slab_arrays(problem, slabs)["nodes"]))
    return Slabs(slabs.edges, band_of(problem).spread(stored, problem.equation.resolution))


def band_of(problem: Evolution) -> Band:
    return Band.kept(problem.equation.resolution, problem.equation.length)


def array(x: Tensor) -> np.ndarray:
    return x.detach().cpu().contiguous().numpy()
