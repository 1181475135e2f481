"""Laws of one dimension whose proximal operator is known: densities, samples, and the prox of -σ² log p to compare a learned one with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from scipy import special
from torch import Tensor

CANDIDATES = 2001
"""Points at which an objective is compared before its least value is refined."""
HALVINGS = 60
CLOSE, EPS = 1e-13, 2**-53
"""What rounding leaves of a mass, relatively, and of one near 1."""

Points = Float[Tensor, "*points"]


class Law(Protocol):
    """A probability law on the line, with the points where its density is not smooth."""

    @property
    def kinks(self) -> tuple[float, ...]: ...

    def negative_log_density(self, x: Points) -> Points:
        """-log p(x)."""
        ...

    def quantile(self, p: Points) -> Points:
        """The x below which lies the mass p, 0 < p < 1."""
        ...

    def prox(self, y: Points, sigma: float) -> Points:
        """The global minimiser of -log p(x) + (x - y)²/(2σ²)."""
        ...


@dataclass(frozen=True)
class Laplace:
    """p(x) = exp(-|x|/scale)/(2 scale); its prox is soft-thresholding by σ²/scale."""

    scale: float = 1.0

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def negative_log_density(self, x: Points) -> Points:
        return x.abs() / self.scale + math.log(2 * self.scale)

    def quantile(self, p: Points) -> Points:
        return self.scale * torch.where(p < 0.5, torch.log(2 * p), -torch.log(2 * (1 - p)))

    def prox(self, y: Points, sigma: float) -> Points:
        return y.sign() * (y.abs() - sigma**2 / self.scale).clamp(min=0)


@dataclass(frozen=True)
class Uniform:
    """On [low, high]; its prox is the nearest point."""

    low: float = -1.0
    high: float = 1.0

    @property
    def kinks(self) -> tuple[float, ...]:
        return (self.low, self.high)

    def negative_log_density(self, x: Points) -> Points:
        return torch.where((x >= self.low) & (x <= self.high), math.log(self.high - self.low), math.inf).to(x.dtype)

    def quantile(self, p: Points) -> Points:
        return self.low + (self.high - self.low) * p

    def prox(self, y: Points, sigma: float) -> Points:  # noqa: ARG002
        return y.clamp(self.low, self.high)


@dataclass(frozen=True)
class StudentT:
    """Heavy tails: p(x) ~ (1 + x²/(freedom scale²))^{-(freedom + 1)/2}."""

    freedom: float = 3.0
    scale: float = 1.0

    @property
    def kinks(self) -> tuple[float, ...]:
        return ()

    def negative_log_density(self, x: Points) -> Points:
        n = self.freedom
        constant = special.gammaln(n / 2) - special.gammaln((n + 1) / 2) + 0.5 * math.log(math.pi * n) + math.log(self.scale)
        return 0.5 * (n + 1) * torch.log1p(x.square() / (n * self.scale**2)) + float(constant)

    def quantile(self, p: Points) -> Points:
        return self.scale * torch.from_numpy(np.asarray(special.stdtrit(self.freedom, p.double().numpy())))

    def prox(self, y: Points, sigma: float) -> Points:
        def slope(x: Tensor) -> Tensor:
            return (self.freedom + 1) * x / (self.freedom * self.scale**2 + x.square())

        return least(self.negative_log_density, slope, y, sigma, y.clamp(max=0), y.clamp(min=0))


@dataclass(frozen=True)
class GaussianMixture:
    """Σ weights N(means, scales²); its prox jumps where modes are far apart."""

    weights: Sequence[float] = (0.5, 0.5)
    means: Sequence[float] = (-1.5, 1.5)
    scales: Sequence[float] = (0.5, 0.5)

    @property
    def kinks(self) -> tuple[float, ...]:
        return ()

    def negative_log_density(self, x: Points) -> Points:
        return -torch.logsumexp(self._logarithms(x), -1)

    def quantile(self, p: Points) -> Points:
        grid, mass = self._table
        cell = torch.searchsorted(mass, p.double()).clamp(1, len(grid) - 1)
        low, high = grid[cell - 1], grid[cell]
        x, last = 0.5 * (low + high), torch.full_like(low, math.inf)
        close = CLOSE * torch.minimum(p, 1 - p) + torch.where(p > 0.5, 4 * EPS, 0.0)
        for _ in range(2 * HALVINGS):  # Newton's method, and halves where it leaves the bracket or the last step has gained little
            excess = self._cumulative(x) - p
            low, high = torch.where(excess < 0, x, low), torch.where(excess < 0, high, x)
            done = excess.abs() <= close
            if bool(done.all()):
                break
            newton = x - excess * torch.exp(self.negative_log_density(x))
            gained = excess.abs() <= 0.5 * last
            moved = torch.where((newton >= low) & (newton <= high) & gained, newton, 0.5 * (low + high))
            x, last = torch.where(done, x, moved), excess.abs()
        return x.to(p.dtype)

    @cached_property
    def _table(self) -> tuple[Points, Points]:
        """Points, and the mass below each."""
        grid = torch.linspace(*self._ends(), CANDIDATES, dtype=torch.float64)
        return grid, self._cumulative(grid)

    def prox(self, y: Points, sigma: float) -> Points:
        m, s = (y.new_tensor(list(a)) for a in (self.means, self.scales))

        def slope(x: Tensor) -> Tensor:
            return (self._logarithms(x).softmax(-1) * (x[..., None] - m) / s.square()).sum(-1)

        return least(self.negative_log_density, slope, y, sigma, y.clamp(max=float(m.min())), y.clamp(min=float(m.max())))

    def _logarithms(self, x: Tensor) -> Tensor:
        w, m, s = (x.new_tensor(list(a)) for a in (self.weights, self.means, self.scales))
        return torch.log(w / (s * math.sqrt(2 * math.pi))) - 0.5 * ((x[..., None] - m) / s).square()

    def _cumulative(self, x: Tensor) -> Tensor:
        w, m, s = (x.new_tensor(list(a)) for a in (self.weights, self.means, self.scales))
        return (w * torch.special.ndtr((x[..., None] - m) / s)).sum(-1)

    def _ends(self) -> tuple[float, float]:
        far = 12 * max(self.scales)
        return min(self.means) - far, max(self.means) + far


def least(energy: Callable[[Tensor], Tensor], slope: Callable[[Tensor], Tensor], y: Points, sigma: float, low: Points,
          high: Points) -> Points:
    """The global minimiser in [low, high] of (x - y)²/2 + σ² energy(x): the best of many points, then bisection of the derivative."""
    at = low[:, None] + (high - low)[:, None] * torch.linspace(0, 1, CANDIDATES, dtype=y.dtype)
    best = (0.5 * (at - y[:, None]).square() + sigma**2 * energy(at)).argmin(1, keepdim=True)
    low, high = (at.gather(1, (best + k).clamp(0, CANDIDATES - 1))[:, 0] for k in (-1, 1))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        rising = middle - y + sigma**2 * slope(middle) > 0
        low, high = torch.where(rising, low, middle), torch.where(rising, middle, high)
    return 0.5 * (low + high)


@dataclass(frozen=True)
class Product:
    """Independent entries of one law: vectors of `dim`."""

    law: Law
    dim: int


def stratified(law: Law | Product, count: int, generator: np.random.Generator) -> Float[Tensor, "count dim"]:
    """Samples of which each is of the law, and which together fill it evenly: one in each of `count` parts of equal probability, axis by
    axis in an order of its own (McKay, Beckman and Conover 1979), in float64."""
    one, dim = (law.law, law.dim) if isinstance(law, Product) else (law, 1)
    return torch.stack([one.quantile(strata(count, generator)) for _ in range(dim)], 1)


def strata(count: int, generator: np.random.Generator) -> Points:
    """Numbers in (0, 1), uniform each, one in each of `count` equal parts, in random order."""
    parts = (generator.permutation(count) + generator.uniform(1e-9, 1 - 1e-9, count)) / count
    return torch.from_numpy(parts)
