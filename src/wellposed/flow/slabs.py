"""Polynomials in time, one for each slab of it, whose values are spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from scipy.interpolate import make_interp_spline
from torch import Tensor

from wellposed.numerics import chebyshev

SPLINE = 5


@dataclass(frozen=True, eq=False)
class Slabs:
    """On each slab [edges[s], edges[s + 1]] the polynomial through spectra at its Chebyshev-Lobatto points.

    Attributes:
        edges: (slabs + 1,), increasing.
        values: spectra (`rfft2` over n²) at the points, (batch, slabs, degree + 1, n, n/2 + 1).
    """

    edges: Float[Tensor, " edges"]
    values: Complex[Tensor, "batch slabs nodes n half"]

    def __post_init__(self) -> None:
        v, e = self.values, self.edges
        fits = v.ndim == 5 and v.is_complex() and v.shape[4] == v.shape[3] // 2 + 1 and v.shape[2] >= 2 and e.shape == (v.shape[1] + 1,)
        if not fits:
            raise ValueError(f"coefficients: received {v.dtype} of the shape {tuple(v.shape)} with {e.numel()} edges, expected complex "
                             "spectra (batch, slabs, degree + 1, n, n/2 + 1), one slab fewer than edges")

    @property
    def degree(self) -> int:
        return self.values.shape[2] - 1

    @property
    def nodes(self) -> Float[Tensor, "slabs nodes"]:
        """The times of `values`."""
        points = torch.from_numpy(chebyshev.lobatto(self.degree))
        return self.edges[:-1, None] + self.widths[:, None] * points

    @property
    def widths(self) -> Float[Tensor, " slabs"]:
        return self.edges.diff()

    def at(self, times: Tensor | Sequence[float]) -> Complex[Tensor, "batch times n half"]:
        """Spectra at any times of the slabs; at an edge, those of the slab before it.

        Raises:
            ValueError: a time outside of the slabs.
        """
        t = torch.as_tensor(times, dtype=torch.float64)
        slack = 1e-9 * float(self.edges[-1] - self.edges[0])
        if len(t) and (t.min() < self.edges[0] - slack or t.max() > self.edges[-1] + slack):
            raise ValueError(f"times: received {t.min():g} to {t.max():g}, expected them within {self.edges[0]:g} to {self.edges[-1]:g}")
        which = (torch.searchsorted(self.edges.contiguous(), t.contiguous()) - 1).clamp(0, len(self.edges) - 2)
        s = ((t - self.edges[which]) / self.widths[which]).clamp(0.0, 1.0)
        weights = torch.from_numpy(chebyshev.values(self.degree, s.numpy())).to(self.values.device)
        return torch.einsum("tj,btjyx->btyx", weights.to(self.values.dtype), self.values[:, which])

    def sampled(self, matrix: np.ndarray) -> Complex[Tensor, "batch slabs points n half"]:
        """A matrix (points, degree + 1) applied to the values of each slab."""
        return apply(matrix, self.values)


    def on(self, edges: Tensor, degree: int) -> Slabs:
        """The same polynomials on finer slabs, each within one of these, of a degree that is not less."""
        which = torch.searchsorted(self.edges.contiguous(), (edges[1:] + edges[:-1]) / 2) - 1
        a, width = self.edges[which], self.widths[which]
        out = []
        for s, k in enumerate(which.tolist()):
            left, right = (float((edges[s + i] - a[s]) / width[s]) for i in (0, 1))
            place = np.clip(left + (right - left) * chebyshev.lobatto(degree), 0.0, 1.0)
            out.append(apply(chebyshev.values(self.degree, place), self.values[:, k]))
        return Slabs(edges, torch.stack(out, 1))


def merged(first: Slabs, second: Slabs, which: Tensor) -> Slabs:
    """The samples `which` (batch,) of the first, the others of the second, on slabs that hold both."""
    near = 1e-9 * float(first.widths.min().minimum(second.widths.min()))
    edges = torch.cat([first.edges, second.edges]).sort().values
    edges = edges[torch.cat([torch.ones(1, dtype=torch.bool), edges.diff() > near])]
    degree = max(first.degree, second.degree)
    a, b = first.on(edges, degree), second.on(edges, degree)
    return Slabs(edges, torch.where(which[:, None, None, None, None], a.values, b.values))


def apply(matrix: np.ndarray, values: Tensor) -> Tensor:
    """A real matrix (points, nodes) on the axis before the last two; real arithmetic, in one product."""
    flat = torch.view_as_real(values.resolve_conj()).flatten(-3)
    out = torch.from_numpy(matrix).to(values.device) @ flat
    return torch.view_as_complex(out.view(*values.shape[:-3], len(matrix), *values.shape[-2:], 2))


def spline(times: Float[Tensor, " times"], frames: Complex[Tensor, "batch times n half"]) -> Slabs:
    """The interpolating spline of degree five through frames, "not a knot" at its ends, less where there are fewer frames.

    Args:
        frames: spectra at the times, at least two of them.
    """
    t, degree = times.numpy(), min(SPLINE, len(times) - 1)
    degree -= (degree + 1) % 2 if len(times) > degree + 1 else 0  # even degrees have no symmetric knots
    points = t[:-1, None] + np.diff(t)[:, None] * chebyshev.lobatto(degree)
    points[:, -1] = t[1:]
    basis = make_interp_spline(t, np.eye(len(t)), k=degree)(points.ravel())
    values = apply(basis, frames).unflatten(1, points.shape)
    values[:, :, 0], values[:, :, -1] = frames[:, :-1], frames[:, 1:]
    return Slabs(times, values)
