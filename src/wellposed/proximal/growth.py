"""By how much the prox of images grows at infinity, and a penalty that keeps it from growing.

With readouts of squares f is asymptotically linear along each ray: f(t v)/t -> g(v). Where <v, g(v)> > |v|² the prior R falls like -t², so
that it has no lower bound, and what measurements do not see may run away. Training by the mean square alone ends at 1.4 to 1.7.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

FAR = 1e3
"""Amplitude, for images of size about 1 and kinks well below it."""
ITERATIONS = 6
WEIGHT = 0.03
"""Beside a mean square over pixels."""

Images = Float[Tensor, "batch channels y x"]


def growth(prox: Callable[[Tensor], Tensor], directions: Images, iterations: int = 100) -> Float[Tensor, " batch"]:
    """<v, f(t v)> / (t |v|²) after power iterations from `directions`, t large: a lower bound of the largest growth, (batch,)."""
    with torch.no_grad():
        v = _normalized(directions)
        for _ in range(iterations):
            v = _normalized(prox(FAR * v))
    return (v * prox(FAR * v)).flatten(1).sum(1) / FAR


def penalty(prox: Callable[[Tensor], Tensor], noise: Images) -> Float[Tensor, ""]:
    """WEIGHT times the square of what growth is above 1, after few iterations from the noise of the batch's first image: it depends on
    the batch alone, so that a resumed run sees the same."""
    excess = growth(prox, noise[:1], ITERATIONS) - 1
    return WEIGHT * torch.relu(excess).square().mean()


def _normalized(v: Images) -> Images:
    return v / torch.linalg.vector_norm(v.flatten(1), dim=1)[:, None, None, None].clamp(min=1e-30)
