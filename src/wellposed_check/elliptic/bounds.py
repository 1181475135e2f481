"""What the hypercircle proves about one potential: error, norm and compliance of each sample, rounding included.

Margin arithmetic. A computed flux difference errs, per cell, by at most (n + 16) 2^-53 times the same expression with
absolute values of the differences of nodal values and running sums of |f|: n from the running sum, 16 from the rest.
In the norm |.|_* these absolute values cost at most a factor 2 (X^2, T^2/4 <= X^2 + T^2/4), and rebuilt
boundary values of psi, wrong by at most 5 (n + 16) 2^-53 R, at most 32 R sqrt(n / min a). Hence `rounding` below.
All relative errors of later operations are within 2^-44, and TINY covers underflow. SPEC.md derives each constant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from wellposed_check.canonical import Refused
from wellposed_check.elliptic.arithmetic import UNIT, Arithmetic, Array, Enclosure, Floats, Interval, Number
from wellposed_check.elliptic.darcy import Flux, Hypercircle, Problem, components, interpolate

SAFE = 1.0 + 2.0**-44
TINY = 2.0**-250  # more than underflow can take from a norm, given 2^-500 <= a <= 2^500; its square: from an energy
EDGE_CELLS = ((0, slice(None)), (slice(None), -1), (-1, slice(None)), (slice(None), 0))  # in the order of SIDES


@dataclass(frozen=True)
class Pair:
    """Evidence for one problem: a potential, a stream function and, with periodic sides, a constant flux (samples, 2)."""

    potential: Array
    stream: Array
    drift: Array | None = None


@dataclass(frozen=True)
class Bounds:
    """Proved numbers, each (samples,). `cells` (samples, n, n) are the local parts of `eta`."""

    eta: Array
    error_lower: Array
    norm_lower: Array
    norm_upper: Array
    compliance_lower: Array
    compliance_upper: Array
    cells: Array


class Evaluation:
    """A pair on its own mesh, with the integrals that every statement needs."""

    def __init__(self, problem: Problem, pair: Pair, arithmetic: Arithmetic) -> None:
        self.h = Hypercircle(problem.refined((pair.potential.shape[-1] - 1) // problem.n), arithmetic)
        self.m, self.pair, self.v = arithmetic, pair, arithmetic.exact(pair.potential)
        self.energy_cells = self.h.energy_cells(self.v)
        self.energy = arithmetic.total(self.energy_cells)

    @cached_property
    def psi(self) -> Number:
        return self.h.trace(self.pair.stream)

    @cached_property
    def t(self) -> Flux:
        return self.h.flux(self.psi, self.pair.drift)

    @cached_property
    def rounding(self) -> Array:
        """By how much the computed |a grad v - t|_* may be wrong, (samples,)."""
        if self.m is Enclosure:
            return np.zeros(len(self.pair.potential))
        h, n, pair = self.h, self.h.p.n, self.pair
        size = np.abs(h.f)
        along_y: Array | float = 0.0
        if h.p.periodic:
            size = size + _row_means(size)
            along_y = np.cumsum(_row_means(size), 1)
        t0 = Floats.total((np.square(np.cumsum(size, 2)) + np.square(along_y) + np.square(size)) / h.a) / n**4
        x, y, s = map(np.square, h.gradient(self.psi))
        total = 2.0 * np.sqrt(self.energy) + 2.0 * np.sqrt(Floats.total((x + y + s / 6.0) / h.a)) + np.sqrt(t0)
        if pair.drift is not None:
            total = total + np.sqrt(Floats.total(1.0 / h.a)) * np.abs(pair.drift).max(1) / n
        if components(h.p.sides):
            reach = self.load_density() + np.abs(pair.stream).max((1, 2))
            total = total + 32.0 * reach * np.sqrt(n / h.a.min((1, 2)))
        return (n + 16) * UNIT * total + TINY

    def load_density(self) -> Array:
        """int |f| + int |g|, (samples,)."""
        p = self.h.p
        return (Floats.total(np.abs(p.source)) / p.n**2 + Floats.total(np.abs(self.h.g)) / p.n) * SAFE

    def load_size(self, w: Array) -> Array:
        """F(w) without cancellation; where a mean was removed from f, that of its rounding too."""
        density = self.load_density()[:, None, None] if self.h.p.balanced else 0.0
        return self.h.load(np.abs(w), np.abs(self.h.f) + density, np.abs(self.h.g)) + TINY * TINY

    def load_range(self, w: Number) -> tuple[Array, Array]:
        """Lower and upper end of F(w), rounding and oscillation of the data included."""
        h, m = self.h, self.m
        value = h.load(w, h.f, h.g)
        slack = m.upper(0.0 * value)
        if m is Floats:
            slack = 2.0**-46 * self.load_size(w)
        oscillation = self.oscillation()
        if oscillation is not None:
            slack = slack + m.upper(m.total(oscillation * m.sqrt(h.energy_cells(w) / h.a))) * SAFE
        return m.lower(value) - slack * SAFE, m.upper(value) + slack * SAFE

    def oscillation(self) -> Number | None:
        """c_K with |int (f - f_K) w + int (g - g_e) w| <= sum_K c_K |grad w|_K: Poincare and Steklov constants."""
        p, m, total = self.h.p, self.m, None
        if p.source_oscillation is not None:
            total = m.exact(p.source_oscillation) / (m.pi * float(p.n))
        if p.neumann_oscillation is not None:
            edge = m.sqrt(1.0 / (m.pi * m.tanh_pi * float(p.n)))
            total = m.exact(np.zeros_like(p.source)) if total is None else total
            for side, (rows, columns) in enumerate(EDGE_CELLS):
                if p.sides[side] == "neumann":
                    widened = np.zeros_like(p.source)
                    widened[:, rows, columns] = p.neumann_oscillation[:, side]
                    total = total + edge * widened
        return total

    def eta_cells(self) -> Number:
        """Local bounds, with a coefficient known within (1 -+ r) and data that oscillate."""
        m, r = self.m, self.h.p.coefficient_error
        root, oscillation = m.sqrt(self.h.difference_cells(self.v, self.t)), self.oscillation()
        if r == 0.0 and oscillation is None:
            return root
        if r > 0.0:
            root = root + r * m.sqrt(self.energy_cells)
        if oscillation is not None:
            root = root + oscillation / m.sqrt(self.h.a)
        return root / m.sqrt(m.exact(1.0) - r)

    def eta(self) -> Array:
        """Upper bound of |u - v|_a."""
        m, r = self.m, self.h.p.coefficient_error
        return (m.upper(m.sqrt(m.total(m.square(self.eta_cells())))) + self.rounding / (1.0 - r)) * SAFE


def _row_means(x: Array) -> Array:
    return np.cumsum(x, 2)[:, :, -1:] / x.shape[2]  # not numpy's mean: its order of summation depends on the processor


def enclose(problem: Problem, pair: Pair, test: Array | None = None, arithmetic: Arithmetic = Floats) -> Bounds:
    """Bounds for the answer `pair.potential`, whose mesh may be finer than the problem's by a whole factor.

    Args:
        test: any w that vanishes on the Dirichlet sides, on the same or a finer mesh, for the lower error bound.
    """
    e, r = Evaluation(problem, pair, arithmetic), problem.coefficient_error
    eta, m = e.eta(), arithmetic
    energy_lower, energy_upper = m.lower(e.energy) * (2.0 - SAFE) * (1.0 - r), m.upper(e.energy) * SAFE * (1.0 + r)
    load_lower, load_upper = e.load_range(e.v)
    step = 2.0**-50 * (np.abs(load_lower) + np.abs(load_upper) + energy_upper) + TINY * TINY
    lower = 2.0 * load_lower - energy_upper - step
    upper = (2.0 * load_upper - energy_lower + eta * eta) + step + eta * eta * 2.0**-50
    if problem.dirichlet is None:  # then the compliance is |u|_a^2
        norm_lower, norm_upper = np.sqrt(np.maximum(lower, 0.0)), np.sqrt(np.maximum(upper, 0.0))
    else:
        norm_lower, norm_upper = np.sqrt(energy_lower) - eta, np.sqrt(energy_upper) + eta
    error_lower = np.zeros_like(eta) if test is None else _error_lower(problem, pair, test, arithmetic)
    if e.h.p.blur is not None:  # u has the data's boundary values, v their rounded interpolant: move u by d, |d| <= blur
        d = 4.0 * e.h.p.blur * np.sqrt(np.cumsum(e.h.p.coefficient.reshape(len(eta), -1), 1)[:, -1])
        change = (2.0 * (d * norm_upper + e.h.p.blur * e.load_density()) + d * d) * SAFE
        lower, upper, eta, error_lower = lower - change, upper + change, eta + d * SAFE, np.maximum(error_lower - d * SAFE, 0.0)
        norm_lower, norm_upper = norm_lower - d * SAFE, norm_upper + d * SAFE
    return Bounds(eta, error_lower, np.maximum(norm_lower * (2.0 - SAFE), 0.0), norm_upper * SAFE, lower, upper,
                  m.upper(e.eta_cells()))


def _error_lower(problem: Problem, pair: Pair, test: Array, arithmetic: Arithmetic) -> Array:
    """|u - v|_a >= |F(w) - a(v, w)| / |w|_a for every test function w (Cauchy-Schwarz)."""
    m, k = arithmetic, (test.shape[-1] - 1) // (pair.potential.shape[-1] - 1)
    zero = Pair(test, np.zeros_like(test))
    e = Evaluation(replace(problem, dirichlet=None), zero, arithmetic)
    v, blur = pair.potential, np.zeros(len(test))
    if k > 1:  # the interpolant at the finer nodes is rounded by at most `blur`
        blur = 2.0**-50 * np.abs(v).max((1, 2))
        v, reach = interpolate(v, k), blur[:, None, None]
        v = v if m is Floats else Interval(v - 2.0 * reach, v + 2.0 * reach)
    product = e.h.energy_product(m.exact(v) if not isinstance(v, Interval) else v, e.v)
    load_lower, load_upper = e.load_range(e.v)
    r, size = problem.coefficient_error, m.upper(e.energy)
    sizes = np.sqrt(m.upper(m.total(e.h.energy_cells(v))) * size)
    blurred = 2.0 * blur * np.sqrt(m.upper(m.total(e.h.a)) * size)  # a nodal error d has the energy norm 2 d sqrt(sum a) at most
    slack = (r + 2.0**-44) * sizes * SAFE + blurred * SAFE + 2.0**-50 * (np.abs(load_lower) + np.abs(load_upper)) + TINY * TINY
    below, above = load_lower - m.upper(product) - slack, load_upper - m.lower(product) + slack
    least = np.maximum(np.maximum(below, -above), 0.0)
    norm = np.sqrt(size * (1.0 + r)) * SAFE
    return np.where(norm > 2.0**-200, least / np.where(norm > 2.0**-200, norm, 1.0), 0.0) * (2.0 - SAFE)


def goal(problem: Problem, weight: Array, primal: Pair, adjoint: Pair, arithmetic: Arithmetic = Floats) -> tuple[Array, Array]:
    """Lower and upper end of l(u) = int weight u, from a pair for the problem and a pair for its adjoint.

    |l(u) - 1/2 [F(z) + l(v) - a(v, z) + int t.s / a]| <= 1/2 eta eta*, with (z, s) for -div(a grad z) = weight.
    """
    if problem.dirichlet is not None or problem.coefficient_error or problem.source_oscillation is not None \
            or problem.neumann_oscillation is not None:
        raise Refused("a goal needs zero Dirichlet data, an exactly known coefficient and cellwise data")
    m = arithmetic
    p, q = Evaluation(problem, primal, m), Evaluation(replace(problem, source=weight, neumann=None), adjoint, m)
    h, weighted = p.h, q.h.f
    middle = h.load(q.v, h.f, h.g) + h.load(p.v, weighted) - h.energy_product(p.v, q.v) + h.flux_product(p.t, q.t)
    half = p.eta() * q.eta() / 2.0 * SAFE
    if m is Floats:
        flux = [np.sqrt(h.flux_product(t, t)) for t in (p.t, q.t)]
        half = half + SAFE * (p.rounding * flux[1] + q.rounding * flux[0] + p.rounding * q.rounding) + 2.0**-45 * (
            p.load_size(q.v) + q.load_size(p.v)
            + 4.0 * np.sqrt(p.energy * q.energy) + flux[0] * flux[1])
    lower, upper = m.lower(middle / 2.0), m.upper(middle / 2.0)
    half = half + 2.0**-50 * (np.abs(lower) + np.abs(upper) + half)
    return lower - half, upper + half
