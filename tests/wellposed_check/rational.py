"""The hypercircle in exact rational numbers, by Simpson's rule (exact for biquadratic integrands): the referee for rounding.

One sample. Arrays hold `fractions.Fraction`. The flux is that of the checker: t = t0 + curl psi + drift, where t0 integrates f
along x, or on a periodic square f less its row means along x and the row means along y.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np

from wellposed_check.elliptic.bounds import Pair
from wellposed_check.elliptic.darcy import Problem, components, perimeter

SIMPSON = ((Fraction(0), Fraction(1, 6)), (Fraction(1, 2), Fraction(2, 3)), (Fraction(1), Fraction(1, 6)))
rational = np.vectorize(Fraction, otypes=[object])


class Rational:
    """Exact energy |v|^2, load F(v), eta^2 = |a grad v - t|_*^2 of a sample of a problem."""

    def __init__(self, problem: Problem, pair: Pair, sample: int = 0) -> None:
        self.n, self.sides = problem.n, problem.sides
        self.a, self.f = rational(problem.coefficient[sample]), rational(problem.source[sample])
        g = problem.neumann[sample] if problem.neumann is not None else np.zeros((4, self.n))
        self.g = rational(g)
        if problem.balanced:
            self.f = self.f - (self.f.sum() / self.n**2 + self.g.sum() / self.n)
        self.v, self.psi = rational(pair.potential[sample]), self.trace(rational(pair.stream[sample]))
        self.drift = rational(pair.drift[sample]) if pair.drift is not None else rational(np.zeros(2))

    def trace(self, psi: np.ndarray) -> np.ndarray:
        """psi with the exact values along the Neumann sides, from the first node of each piece."""
        n, rows, columns = self.n, *perimeter(self.n)
        inflow = [self.g[0], self.g[1] + self.f.sum(1) / n, self.g[2, ::-1], self.g[3, ::-1]]
        steps = np.concatenate(inflow) / n
        for first, count in components(self.sides):
            for k in range(first * n, (first + count) * n - (count == 4)):
                i, j = k % (4 * n), (k + 1) % (4 * n)
                psi[rows[j], columns[j]] = psi[rows[i], columns[i]] + steps[i]
        return psi

    def gradient(self, v: np.ndarray, s: Fraction, t: Fraction) -> tuple[np.ndarray, np.ndarray]:
        """At the point (s, t) of every cell."""
        x = (v[:-1, 1:] - v[:-1, :-1]) * (1 - t) + (v[1:, 1:] - v[1:, :-1]) * t
        y = (v[1:, :-1] - v[:-1, :-1]) * (1 - s) + (v[1:, 1:] - v[:-1, 1:]) * s
        return x * self.n, y * self.n

    def flux(self, s: Fraction, t: Fraction) -> tuple[np.ndarray, np.ndarray]:
        mean = self.f.sum(1, keepdims=True) / self.n if "periodic" in self.sides else 0 * self.f[:, :1]
        rest, rows = self.f - mean, mean + 0 * self.f
        x, y = self.gradient(self.psi, s, t)
        return (-(np.cumsum(rest, 1) - rest * (1 - s)) / self.n + y + self.drift[0],
                -(np.cumsum(rows, 0) - rows * (1 - t)) / self.n - x + self.drift[1])

    def integral(self, integrand) -> Fraction:
        parts = (p * q * integrand(s, t).sum() for (s, p), (t, q) in product(SIMPSON, SIMPSON))
        return sum(parts, Fraction(0)) / self.n**2

    def eta2(self) -> Fraction:
        def density(s: Fraction, t: Fraction) -> np.ndarray:
            (x, y), (p, q) = self.gradient(self.v, s, t), self.flux(s, t)
            return ((self.a * x - p) ** 2 + (self.a * y - q) ** 2) / self.a

        return self.integral(density)

    def energy(self, w: np.ndarray | None = None) -> Fraction:
        """a(v, w)."""
        def density(s: Fraction, t: Fraction) -> np.ndarray:
            (x, y), (p, q) = self.gradient(self.v, s, t), self.gradient(self.v if w is None else w, s, t)
            return self.a * (x * p + y * q)

        return self.integral(density)

    def load(self, w: np.ndarray | None = None) -> Fraction:
        """F(w)."""
        w = self.v if w is None else w
        value = (self.f * (w[:-1, :-1] + w[1:, :-1] + w[:-1, 1:] + w[1:, 1:])).sum() / (4 * self.n**2)
        for k, edge in enumerate((w[0], w[:, -1], w[-1], w[:, 0])):
            if self.sides[k] == "neumann":
                value += (self.g[k] * (edge[:-1] + edge[1:])).sum() / (2 * self.n)
        return value

    def flux_product(self, other: Rational) -> Fraction:
        """int t.s / a."""
        def density(s: Fraction, t: Fraction) -> np.ndarray:
            (x, y), (p, q) = self.flux(s, t), other.flux(s, t)
            return (x * p + y * q) / self.a

        return self.integral(density)
