"""Small flows that the tests share; their references and distances come from other code and other formulas than those under test."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from wellposed.flow import NavierStokes2D, Slabs, Trajectory, solve
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import ETDRK4, Modes, to_field, to_spectrum

N, LENGTH = 16, 2 * math.pi


def force(x: Tensor, y: Tensor) -> Tensor:
    """That of the benchmark of the Fourier neural operator, on [0, 2π]²."""
    return 0.5 * (torch.sin(x + y) + torch.cos(x + y))


def equation(n: int = N, viscosity: float = 2e-2, drag: float = 0.0, length: float = LENGTH, forced: bool = True) -> NavierStokes2D:
    scaled = (lambda x, y: force(2 * math.pi * x / length, 2 * math.pi * y / length)) if forced else None
    return NavierStokes2D(viscosity, n, scaled, drag, length)


def field(n: int = N, seed: int = 0, samples: int = 1, size: float = 1.0, slope: float = 3.0, kept: bool = True) -> Tensor:
    """Random vorticity (samples, n, n) of root mean square `size`, amplitudes falling like |k|^-slope, on the modes kept or all of them."""
    x = torch.from_numpy(np.random.default_rng(seed).standard_normal((samples, n, n)))
    m = Modes.of(n, length=2 * math.pi)
    w = to_spectrum(x) * (m.square > 0) / (1 + m.square.sqrt() / 2) ** slope * (m.kept if kept else 1.0)
    w = to_field(w, n)
    return size * w / w.square().mean((-2, -1), keepdim=True).sqrt()


def reference(e: NavierStokes2D, vorticity: Tensor, times: Tensor, step: float = 2.5e-3) -> Tensor:
    """Frames (batch, time, n, n) of the Galerkin system, by the plain steps of `numerics.vorticity`."""
    modes, n = e.modes, e.resolution
    w, out = to_spectrum(vorticity) * modes.kept, []
    w[..., 0, 0] = 0.0
    for k, t in enumerate(times.tolist()):
        gap = t - (times[k - 1].item() if k else t)
        steps = max(1, math.ceil(gap / step - 1e-9))
        method = ETDRK4(modes, e.viscosity, gap / steps, e.forcing_spectrum, e.drag) if k else None
        for _ in range(steps if method else 0):
            assert method is not None
            w = method.step(w)
        out.append(to_field(w, n))
    return torch.stack(out, 1)


def distance(a: Tensor, b: Tensor | float, length: float = LENGTH) -> np.ndarray:
    """The root mean square of the difference of the velocities of two vorticities, by whole complex transforms."""
    d = np.fft.fft2(np.asarray(a - b), norm="forward")
    k = 2 * np.pi / length * np.fft.fftfreq(d.shape[-1], 1 / d.shape[-1])
    square = k[:, None] ** 2 + k**2
    square[0, 0] = np.inf
    return np.sqrt((np.abs(d) ** 2 / square).sum((-2, -1)))


@cache
def short(samples: int = 2, n: int = N, viscosity: float = 2e-2) -> tuple[NavierStokes2D, Trajectory]:
    """A forced flow to t = 0.6, accurate to about 1e-9, with polynomials between its frames."""
    e = equation(n, viscosity)
    return e, solve(e, field(n, 1, samples), torch.linspace(0, 0.6, 4, dtype=torch.float64), slab=0.2, step=0.02)


def own(trajectory: Trajectory) -> Slabs:
    """Its polynomials."""
    assert trajectory.coefficients is not None
    return trajectory.coefficients


def changed(trajectory: Trajectory, by: Tensor) -> Trajectory:
    """With `by` added to the values at nodes, (batch, slabs, nodes, n, half) or what broadcasts to it."""
    slabs = own(trajectory)
    return Trajectory.of(Slabs(slabs.edges, slabs.values + by), trajectory.times)


def smooth_error(trajectory: Trajectory, size: float, seed: int = 7) -> Tensor:
    """At the nodes: one field, growing from zero like sin t."""
    slabs = own(trajectory)
    w = to_spectrum(field(slabs.values.shape[-2], seed, len(trajectory), size))
    return w[:, None, None] * torch.sin(slabs.nodes - slabs.edges[0])[..., None, None]


def rough_error(trajectory: Trajectory, size: float, seed: int = 8) -> Tensor:
    """At the nodes: independent fields, joined at the edges, zero at the start."""
    slabs = own(trajectory)
    b, s, m, n, _ = slabs.values.shape
    w = to_spectrum(field(n, seed, b * s * m, size)).unflatten(0, (b, s, m))
    w[:, 1:, 0] = w[:, :-1, -1]
    w[:, 0, 0] = 0.0
    return w


def jump_error(trajectory: Trajectory, size: float, seed: int = 9) -> Tensor:
    """A constant field from the middle slab on."""
    slabs = own(trajectory)
    w = torch.zeros_like(slabs.values)
    w[:, len(slabs.widths) // 2 :] += to_spectrum(field(w.shape[-2], seed, len(w), size))[:, None, None]
    return w


def noisy(trajectory: Trajectory, size: float, seed: int = 10, first: float = 0.0) -> Trajectory:
    """Frames alone, with noise in all modes that a grid has; `first` times as much at the start."""
    w = trajectory.vorticity
    noise = field(w.shape[-1], seed, w.shape[0] * w.shape[1], size, 1.0, kept=False).unflatten(0, w.shape[:2])
    noise[:, 0] *= first
    return Trajectory(trajectory.times, w + noise)


def frozen(e: NavierStokes2D, vorticity: Tensor, times: Tensor) -> Trajectory:
    """The initial field for all times, as polynomials of degree one."""
    w = to_spectrum(vorticity) * e.modes.kept
    return Trajectory.of(Slabs(times, w[:, None, None].expand(-1, len(times) - 1, 2, -1, -1).contiguous()), times)


def at(slabs: Slabs, time: float) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (batch, n, half) and their time derivatives, by numpy's own fit of a polynomial."""
    s = max(int(np.searchsorted(slabs.edges.numpy(), time)) - 1, 0)
    domain = slabs.edges[s : s + 2].tolist()
    x = 2 * chebyshev.lobatto(slabs.degree) - 1
    flat = slabs.values[:, s].movedim(1, 0).reshape(slabs.degree + 1, -1).numpy()
    c = np.linalg.solve(np.polynomial.chebyshev.chebvander(x, slabs.degree), flat)
    place = 2 * (time - domain[0]) / (domain[1] - domain[0]) - 1
    value = np.polynomial.chebyshev.chebval(place, c)
    slope = np.polynomial.chebyshev.chebval(place, np.polynomial.chebyshev.chebder(c)) * 2 / (domain[1] - domain[0])
    shape = (len(slabs.values), *slabs.values.shape[-2:])
    return value.reshape(shape), slope.reshape(shape)
