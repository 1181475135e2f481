"""A flow over time: frames, and where the source has them, polynomials between."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.flow.equation import Array
from wellposed.flow.slabs import Slabs
from wellposed.numerics.vorticity import to_field


@dataclass(frozen=True, init=False, eq=False)
class Trajectory:
    """Vorticity at increasing times, nodal values (batch, time, y, x) in float64.

    Args:
        times: (time,), increasing, the first of them the initial time; at least two.
        vorticity: (batch, time, n, n) or (time, n, n).
        coefficients: polynomials in time between the frames, if the source has them; otherwise frames are splined.

    Raises:
        ValueError: times that do not increase or are not finite; shapes that do not fit.
    """

    times: Float[Tensor, " time"]
    vorticity: Float[Tensor, "batch time y x"]
    coefficients: Slabs | None = field(repr=False)

    def __init__(self, times: Array, vorticity: Array, coefficients: Slabs | None = None) -> None:
        t, w = increasing(times), torch.as_tensor(vorticity)
        w = (w[None] if w.ndim == 3 else w).detach()
        if w.ndim != 4 or w.shape[1] != len(t) or w.shape[2] != w.shape[3] or w.is_complex():
            raise ValueError(f"vorticity: received {w.dtype} of the shape {tuple(w.shape)} with {len(t)} times, expected real numbers "
                             f"(batch, {len(t)}, n, n), axes (batch, time, y, x), on a square grid")
        for name, value in (("times", t), ("vorticity", w.to(torch.float64)), ("coefficients", coefficients)):
            object.__setattr__(self, name, value)

    @staticmethod
    def of(slabs: Slabs, times: Array) -> Trajectory:
        """The frames of polynomials at `times`, which lie within their slabs."""
        t = torch.as_tensor(times, dtype=torch.float64)
        return Trajectory(t, to_field(slabs.at(t), slabs.values.shape[-2]), slabs)

    def __len__(self) -> int:
        return len(self.vorticity)

    def __getitem__(self, which: int | slice | Tensor) -> Trajectory:
        """Some of the samples."""
        which = range(len(self))[which] if isinstance(which, int) else which
        which = slice(which, which + 1) if isinstance(which, int) else which
        own = self.coefficients
        return Trajectory(self.times, self.vorticity[which], None if own is None else Slabs(own.edges, own.values[which]))


def increasing(times: Array) -> Float[Tensor, " time"]:
    """Times in float64, checked.

    Raises:
        ValueError: fewer than two, not finite, or not increasing.
    """
    t = torch.as_tensor(times, dtype=torch.float64).cpu()
    if t.ndim != 1 or len(t) < 2 or not torch.isfinite(t).all() or not (t.diff() > 0).all():
        raise ValueError(f"times: received {_short(t)}, expected at least two finite times that increase, the first that of the initial "
                         "field; sort the frames, and leave out those that are there twice")
    return t


def _short(t: Tensor) -> str:
    text = ", ".join(f"{float(x):g}" for x in t.flatten()[:6])
    return f"{text}, ... ({t.numel()} numbers)" if t.numel() > 6 else text or "none"
