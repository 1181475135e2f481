"""What the best denoiser of a law would answer, by quadrature: its distance from the prox, the floor, is
what perfect training would leave; imperfect training may land below it.

At each y the loss E[m(f - x) | y] is a function of one number f. Its least is the posterior's mode after it has been mollified (proximal
matching), its median (l1) or its mean (l2); the prox of -σ² log p is the mode itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.laws import Law, Points

HALVINGS = 40
NODES, FINE = 5, 0.02
"""Of Gauss's rule in each panel, of half a γ or, for medians, which are interpolated between nodes, of half this part of σ."""
FAR, NEAR = 9.0, 6.0
"""Standard deviations of the noise, and widths γ of the mollifier, beyond which nothing is integrated."""


@dataclass(frozen=True, eq=False)
class Floor:
    """On a grid of y.

    Attributes:
        y: (points,), equidistant. best: what minimises the loss. prox: of -σ² log p. density: of y.
    """

    y: Points
    best: Points
    prox: Points
    density: Points

    def mean(self, answer: Points | None = None) -> float:
        """E|answer - prox| over the density of y, of the best answer where none is given."""
        error = ((self.best if answer is None else answer) - self.prox).abs()
        return float((error * self.density).sum() / self.density.sum())

    def within(self, bound: float, answer: Points | None = None) -> tuple[float, float]:
        """The largest and the mean of |answer - prox| over |y| <= bound."""
        error = ((self.best if answer is None else answer) - self.prox).abs()[self.y.abs() <= bound + 1e-9]
        return float(error.max()), float(error.mean())


def floor(law: Law, sigma: float, loss: float | str, y: Points) -> Floor:
    """The floor of a loss: γ of proximal matching, "l1" or "l2".

    Raises:
        ValueError: another loss.
    """
    x, mass = _quadrature(law, sigma, y, loss if isinstance(loss, float) else FINE * sigma)
    joint = mass * torch.exp(-0.5 * ((y[:, None] - x) / sigma).square()) / (sigma * math.sqrt(2 * math.pi))
    if isinstance(loss, float):
        best = _mode(joint, x, loss)
    elif loss in ("l1", "l2"):
        best = _median(joint, x) if loss == "l1" else (joint * x).sum(1) / joint.sum(1)
    else:
        raise ValueError(f"floor: received loss={loss!r}, expected a number (gamma), 'l1' or 'l2'")
    return Floor(y, best, law.prox(y, sigma), joint.sum(1))


def _quadrature(law: Law, sigma: float, y: Points, gamma: float) -> tuple[Points, Points]:
    """Nodes x, and weights times the density there; panels end at kinks."""
    low, high, width = float(y.min()) - FAR * sigma, float(y.max()) + FAR * sigma, min(0.5 * gamma, 0.25 * sigma)
    edges = np.linspace(low, high, math.ceil((high - low) / width) + 1)
    edges = np.unique(np.concatenate([edges, [k for k in law.kinks if low < k < high]]))
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = 0.5 * np.diff(edges)[:, None]
    x = torch.from_numpy((edges[:-1, None] + half * (1 + nodes)).ravel())
    mass = torch.from_numpy((half * weights).ravel()) * torch.exp(-law.negative_log_density(x))
    return x[mass > 0], mass[mass > 0]


def _mode(joint: Float[Tensor, "points nodes"], x: Points, gamma: float) -> Points:
    """Of the joint density mollified by exp(-(c - x)²/γ²), over c: the best of points γ/4 apart, then bisection of the derivative."""
    c = torch.arange(float(x.min()), float(x.max()) + gamma / 4, gamma / 4, dtype=x.dtype)
    start = c[(joint @ torch.exp(-((x[:, None] - c) / gamma).square())).argmax(1)]
    first, last = torch.searchsorted(x, start - NEAR * gamma), torch.searchsorted(x, start + NEAR * gamma)
    near = first[:, None] + torch.arange(int((last - first).max()))
    mass = joint.gather(1, near.clamp(max=len(x) - 1)) * (near < len(x))
    at = x[near.clamp(max=len(x) - 1)]
    low, high = start - gamma / 4, start + gamma / 4
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        gap = at - middle[:, None]
        rising = (mass * gap * torch.exp(-(gap / gamma).square())).sum(1) > 0
        low, high = torch.where(rising, middle, low), torch.where(rising, high, middle)
    return 0.5 * (low + high)


def _median(joint: Float[Tensor, "points nodes"], x: Points) -> Points:
    below = joint.cumsum(1) - 0.5 * joint
    half = 0.5 * joint.sum(1, keepdim=True)
    at = torch.searchsorted(below, half).clamp(1, len(x) - 1)
    left, right = below.gather(1, at - 1), below.gather(1, at)
    return (x[at - 1] + (x[at] - x[at - 1]) * (half - left) / (right - left))[:, 0]


def prior_of(y: Points, f: Points) -> tuple[Points, Points]:
    """z = f(y) and R(z) = ⟨y, z⟩ - z²/2 - ψ(y), ψ by the trapezoidal rule: the prior of which an increasing f on a grid is the prox."""
    psi = torch.cat([f.new_zeros(1), (0.5 * (f[1:] + f[:-1]) * y.diff()).cumsum(0)])
    return f, y * f - 0.5 * f.square() - psi


def up_to_constant(found: Points, truth: Points) -> float:
    """The largest |found - truth - c| for the best constant c."""
    gap = found - truth
    return float(gap.max() - gap.min()) / 2
