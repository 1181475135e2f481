"""One step of two-dimensional flow: from the vorticity now to the vorticity an interval later, on the periodic unit square.

What is proved of an answer is crude (its mean, and how far enstrophy can have decayed): see `wellposed.elliptic.error_at_least`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.elliptic.boundary import to_tensor
from wellposed.numerics.parallel import map_parallel
from wellposed.numerics.vorticity import converge

Array = np.ndarray | Tensor
CHUNK = 2**17  # nodes that are advanced at once
BLOCK = 64  # frequencies that are drawn: beyond, the field of `generate_one_step` is zero
SMOOTHNESS, INVERSE_LENGTH = 2.5, 7.0


@dataclass(frozen=True, init=False, eq=False)
class OneStep:
    """∂w/∂t + u·∇w = ν Δw + f on the periodic unit square, w = curl u: given w now, what is it an interval later? A batch of samples.

    Arrays have the axes (sample, y, x), values at the nodes (j/n, i/n); one sample may come without the first axis, and its results
    still have it. The question is about the equation started from the trigonometric interpolant of the samples. On a square of side
    L take ν/L² for ν. Results are float64, numpy arrays or tensors, as `vorticity` was.

    Args:
        vorticity: w at the start, (samples, n, n), n at least 4. Its mean is conserved.
        viscosity: ν > 0, in the square's area per unit of time.
        interval: T > 0.
        forcing: f, the curl of the body force, constant in time, (samples, n, n) or what broadcasts to it; None for none.

    Raises:
        ValueError: numbers that are not finite or not positive, shapes that do not fit.
    """

    vorticity: Float[Tensor, "samples n n"]
    viscosity: float
    interval: float
    forcing: Float[Tensor, "samples n n"] | None
    as_numpy: bool

    def __init__(self, vorticity: Array, viscosity: float, interval: float, forcing: Array | float | None = None) -> None:
        w = to_tensor(vorticity, "vorticity")
        w = w[None] if w.ndim == 2 else w
        if w.ndim != 3 or w.shape[1] != w.shape[2] or len(w) < 1 or w.shape[1] < 4:
            raise ValueError(f"vorticity: received the shape {tuple(w.shape)}, expected (samples, n, n) or (n, n) with n at least 4, one "
                             "value at each node of a periodic square; leave out the repeated last row and column")
        for name, x in (("viscosity", viscosity), ("interval", interval)):
            if not 2.0**-200 < x < 2.0**200:
                raise ValueError(f"{name}: received {x}, expected a positive finite number; flow without viscosity is not covered")
        fields = {"vorticity": w, "viscosity": float(viscosity), "interval": float(interval), "as_numpy": not isinstance(vorticity, Tensor),
                  "forcing": None if forcing is None else _fit(forcing, w)}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @property
    def n(self) -> int:
        """Nodes per axis."""
        return self.vorticity.shape[-1]

    def __len__(self) -> int:
        return len(self.vorticity)

    def __getitem__(self, key: int | slice | Array) -> OneStep:
        """The problem of some samples, or of one.

        Raises:
            IndexError: there is no such sample.
        """
        if not isinstance(key, slice) and np.ndim(key) == 0:
            k = operator.index(key)  # type: ignore[arg-type]
            if not -len(self) <= k < len(self):
                raise IndexError(f"sample {k} of a problem with {len(self)} samples")
            key = slice(k % len(self), k % len(self) + 1)
        w, f = self.vorticity[key], None if self.forcing is None else self.forcing[key]
        return OneStep(w.cpu().numpy() if self.as_numpy else w, self.viscosity, self.interval, f)

    def __iter__(self) -> Iterator[OneStep]:
        return (self[k] for k in range(len(self)))

    @torch.no_grad()
    def solve(self, tol: float = 1e-8, grid: int | None = None) -> Array:
        """The vorticity an interval later, pseudo-spectral in space and ETDRK4 in time: the label.

        Args:
            tol: relative error of the integration in time, root mean square, estimated by halving the steps.
            grid: nodes per axis to compute on; by default so many (3n/2) that no frequency of the data is truncated. Whether they
                resolve the flow shows in a second call with more.

        Returns:
            nodal values (samples, n, n), without a mode at the Nyquist frequency.

        Raises:
            ArithmeticError: not converged within 65536 steps.
        """
        step, w, f = max(1, CHUNK // self.n**2), self.vorticity, self.forcing
        parts = [slice(k, k + step) for k in range(0, len(self), step)]
        return self.give(torch.cat([converge(w[part], self.viscosity, self.interval, None if f is None else f[part], tol=tol, grid=grid)[0]
                                    for part in parts]))

    def give(self, x: Tensor) -> Any:
        """A result in the kind of the user's input."""
        return x.detach().cpu().numpy() if self.as_numpy else x.to(self.vorticity.device)

    def take(self, x: Array, name: str) -> Tensor:
        """A user's array as float64 on this problem's device.

        Raises:
            ValueError: it is not numeric or not finite.
        """
        return to_tensor(x, name).to(self.vorticity.device)


def _fit(forcing: Array | float, w: Tensor) -> Tensor:
    f = to_tensor(forcing, "forcing").to(w.device)
    try:
        return f.broadcast_to(w.shape).contiguous()
    except RuntimeError:
        raise ValueError(f"forcing: received the shape {tuple(f.shape)}, expected {tuple(w.shape)}, the vorticity's, or what broadcasts to "
                         "it; give the curl of the force on the same nodes") from None


def gaussian_vorticity(n: int, rng: np.random.Generator) -> np.ndarray:
    """A Gaussian field with mean zero on n x n nodes of the periodic square, (n, n), axes (y, x).

    Covariance 2 · 7³ (-Δ + 49)^-2.5, as the initial vorticity of the Fourier neural operator's Navier-Stokes data (Li et al. 2021) is
    drawn: its root mean square is near 0.26. The frequencies up to 64 are drawn whatever n is, so that one seed gives one function at
    every resolution, truncated to frequencies below n/2.
    """
    noise = rng.standard_normal((2 * BLOCK + 1, 2 * BLOCK + 1))
    top = min(BLOCK, (n - 1) // 2)
    k = np.arange(-top, top + 1)
    noise = noise[BLOCK - top : BLOCK + top + 1, BLOCK - top : BLOCK + top + 1]
    scale = (2 * INVERSE_LENGTH**3) ** 0.5 * (4 * np.pi**2 * (k[:, None] ** 2 + k**2) + INVERSE_LENGTH**2) ** (-SMOOTHNESS / 2)
    scale[top, top] = 0.0
    even, odd = (noise + noise[::-1, ::-1]) / 2, (noise - noise[::-1, ::-1]) / 2
    spectrum = np.zeros((n, n), complex)
    spectrum[np.ix_(k, k)] = scale * (even + 1j * odd)
    return np.fft.ifft2(spectrum, norm="forward").real


def generate_one_step(resolution: int = 64, samples: int = 1, seed: int = 0, *, viscosity: float = 1e-3, interval: float = 1.0,
                      forcing: float = 0.1, spin_up: float = 0.0, executor: Executor | None = None, workers: int | None = 1) -> OneStep:
    """Random one-step problems, in numpy. Sample k depends on (seed, k) alone, whatever the number of samples or processes.

    The vorticity is `gaussian_vorticity`, or what has become of it after a time `spin_up`; the forcing is
    `forcing` (sin 2π(x + y) + cos 2π(x + y)). In the manner of the Navier-Stokes data of the Fourier neural operator (Li et al., ICLR
    2021), which has the forcing 0.1, viscosities of 1e-3 to 1e-5 and frames one unit of time apart. It is not their data.

    Args:
        resolution: nodes per axis. viscosity: ν. interval: between question and answer.
        forcing: its amplitude; 0 for none. spin_up: from the Gaussian field to the question.
        executor, workers: where samples are drawn, as `wellposed.elliptic.generate`.

    Raises:
        ValueError: numbers out of range.
    """
    if resolution < 4 or samples < 1 or not 0 <= spin_up < math.inf or not math.isfinite(forcing):
        raise ValueError(f"received resolution {resolution}, samples {samples}, spin_up {spin_up}, forcing {forcing}; expected at least 4 "
                         "nodes, 1 sample, a time that is not negative and a finite amplitude")
    x = 2 * np.pi * np.arange(resolution) / resolution
    f = forcing * (np.sin(x[:, None] + x) + np.cos(x[:, None] + x)) if forcing else None
    work = partial(_draw, resolution, seed, viscosity, spin_up, f)
    fields = map_parallel(work, range(samples), executor, workers, title="drawing vorticity")
    return OneStep(np.stack(fields), viscosity, interval, f)


def _draw(n: int, seed: int, viscosity: float, spin_up: float, forcing: np.ndarray | None, k: int) -> np.ndarray:
    w = gaussian_vorticity(n, np.random.default_rng([seed, k]))
    if not spin_up:
        return w
    return np.asarray(OneStep(w, viscosity, spin_up, forcing).solve())[0]
