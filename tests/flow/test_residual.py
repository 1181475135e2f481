"""The residual is what it is said to be: against a naive evaluation, manufactured solutions, and arithmetic with more digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.fft
import torch
from flows import N, at, equation, field, frozen, own, rough_error, short
from hypothesis import given, settings
from hypothesis import strategies as st

from wellposed.flow import NavierStokes2D, Slabs
from wellposed.flow.residual import at_gauss, residual, spectrum
from wellposed.flow.slabs import Slabs as Polynomials
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import to_field, to_spectrum


def naive(e: NavierStokes2D, slabs: Slabs, time: float, against: str) -> np.ndarray:
    """|R| at a time, in advective form on four times the grid, with whole complex transforms."""
    n, m = e.resolution, 4 * e.resolution
    k = np.fft.fftfreq(m, 1 / m)
    kx, ky = 2 * np.pi / e.length * k, 2 * np.pi / e.length * k[:, None]
    square = kx**2 + ky**2
    inverse = np.where(square > 0, 1 / np.where(square > 0, square, 1), 0)

    def fine(w: np.ndarray) -> np.ndarray:
        nodal = np.fft.fft2(np.fft.irfft2(w, (n, n), norm="forward"), norm="forward")
        wide, half = np.zeros((*w.shape[:-2], m, m), complex), n // 2
        for rows in (slice(0, half), slice(-half + 1, None)):
            for columns in (slice(0, half), slice(-half + 1, None)):
                wide[..., rows, columns] = nodal[..., rows, columns]
        return wide

    def nodal(w: np.ndarray) -> np.ndarray:
        return np.fft.ifft2(w, norm="forward").real

    value, slope = (fine(x) for x in at(slabs, time))
    psi = value * inverse
    u, v, along_x, along_y = nodal(1j * ky * psi), nodal(-1j * kx * psi), nodal(1j * kx * value), nodal(1j * ky * value)
    f = 0.0 if e.forcing is None else fine(np.fft.rfft2(e.forcing.numpy(), norm="forward"))
    r = slope + np.fft.fft2(u * along_x + v * along_y, norm="forward") + e.viscosity * square * value + e.drag * value - f
    if against == "galerkin":
        r = r * ((3 * np.abs(k) < n) & (3 * np.abs(k[:, None]) < n))
    return np.sqrt((np.abs(r) ** 2 * inverse).sum((-2, -1)))


def exactly(slabs: Slabs, gram: torch.Tensor, time: float) -> np.ndarray:
    """|R| at a time from its inner products."""
    s = max(int(np.searchsorted(slabs.edges.numpy(), time)) - 1, 0)
    place = (time - float(slabs.edges[s])) / float(slabs.widths[s])
    p = chebyshev.from_gauss(gram.shape[-1], np.array([place]))[0]
    return np.sqrt(np.maximum(np.einsum("i,bij,j->b", p, gram[:, s].numpy(), p), 0.0))


@pytest.mark.parametrize("against", ["galerkin", "pde"])
@pytest.mark.parametrize(("n", "length", "drag", "degree"), [(16, 2 * math.pi, 0.0, 4), (22, 1.0, 0.3, 3), (32, 5.0, 0.1, 1)])
def test_it_equals_a_naive_evaluation_at_any_time(against, n, length, drag, degree):
    rng, e = np.random.default_rng(n), equation(n, 1e-2, drag, length)
    w = to_spectrum(field(n, 3, 2 * 3 * (degree + 1))).unflatten(0, (2, 3, degree + 1)) * e.modes.kept
    slabs = Slabs(torch.tensor([0.5, 0.6, 1.0, 1.3], dtype=torch.float64), w)
    found = residual(e, slabs, against)
    for time in rng.uniform(0.5, 1.3, 6):
        np.testing.assert_allclose(exactly(slabs, found.gram, time), naive(e, slabs, time, against), rtol=1e-11)


@settings(max_examples=15, deadline=None)
@given(time=st.floats(1e-3, 0.6), against=st.sampled_from(["galerkin", "pde"]))
def test_of_a_solution_it_is_small_everywhere_and_still_right(time, against):
    e, flow = short()
    found = residual(e, own(flow), against)
    expected = naive(e, own(flow), time, against)
    np.testing.assert_allclose(exactly(own(flow), found.gram, time), expected, rtol=1e-6, atol=3 * float(found.rounding.max()))
    if against == "galerkin":
        assert expected.max() < 1e-4


def test_its_norm_is_the_integral_of_its_square():
    e, flow = short()
    slabs, found = own(flow), residual(*(e, own(flow)), "pde")
    x, weights = np.polynomial.legendre.leggauss(12)
    mean = sum(w / 2 * naive(e, slabs, float(slabs.edges[1]) + float(slabs.widths[1]) * (1 + p) / 2, "pde") ** 2 for p, w in zip(x, weights, strict=True))
    np.testing.assert_allclose(found.norm[:, 1], np.sqrt(mean), rtol=1e-8)


@pytest.mark.parametrize("against", ["galerkin", "pde"])
def test_frozen_it_is_the_right_hand_side(against):
    """The residual of a field that does not move, over time T, is |right-hand side| √T."""
    e = equation(24, 1e-2, 0.2)
    flow = frozen(e, field(24, 4, 3), torch.tensor([0.0, 0.3, 0.7], dtype=torch.float64))
    expected = naive(e, own(flow), 0.1, against) * math.sqrt(0.7)
    found = residual(e, own(flow), against)
    np.testing.assert_allclose((found.norm**2 * own(flow).widths).sum(-1).sqrt(), expected, rtol=1e-10)


@pytest.mark.parametrize("against", ["galerkin", "pde"])
def test_shear_that_accelerates(against):
    """w = a(t) cos 3y: nothing is advected, and R = (a' + ν 9 a + α a - f) cos 3y, the velocity's size a third over √2."""
    viscosity, drag = 0.05, 0.1
    e = NavierStokes2D(viscosity, N, lambda x, y: 0.7 * torch.cos(3 * y) + 0 * x, drag)
    t = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    nodes = Slabs(t, torch.zeros(1, 2, 4, N, N // 2 + 1, dtype=torch.complex128)).nodes
    a, slope = (lambda t: 1 - t + 2 * t**3), (lambda t: -1 + 6 * t**2)
    slabs = Slabs(t, a(nodes)[None, ..., None, None] * to_spectrum(torch.cos(3 * e.nodes[1])))
    found = residual(e, slabs, against)
    for time in (0.1, 0.4, 0.77):
        expected = abs(slope(time) + (9 * viscosity + drag) * a(time) - 0.7) / (3 * math.sqrt(2))
        assert exactly(slabs, found.gram, time)[0] == pytest.approx(expected, rel=1e-12)


def test_a_steady_flow_has_none():
    """Of a field with few modes, f = u·∇w - νΔw + αw holds all of it on the grid: nothing is left but rounding, which is announced."""
    n, viscosity, drag = 32, 0.03, 0.2
    m = equation(n).modes
    w = to_spectrum(field(n, 5)) * (m.x.abs() < 4) * (m.y.abs() < 4)
    u, v, along_x, along_y = (to_field(x, n) for x in (1j * m.y * m.inverse * w, -1j * m.x * m.inverse * w, 1j * m.x * w, 1j * m.y * w))
    f = to_field((viscosity * m.square + drag) * w, n) + u * along_x + v * along_y
    e = NavierStokes2D(viscosity, n, f[0], drag)
    found = residual(e, own(frozen(e, to_field(w, n), torch.tensor([0.0, 1.0]))), "pde")
    assert 0 < float(found.norm.max()) <= float(found.rounding.min()) < 1e-11


def test_viscous_decay_has_none():
    """One shell of |k| decays without advection; what a polynomial of degree 8 misses of the exponential is below rounding."""
    e = NavierStokes2D(0.1, N)
    x, y = e.nodes
    t = torch.linspace(0, 1, 6, dtype=torch.float64)
    empty = Slabs(t, torch.zeros(1, 5, 9, N, N // 2 + 1, dtype=torch.complex128))
    decay = torch.exp(-0.1 * 5 * empty.nodes)[None, ..., None, None]
    slabs = Slabs(t, decay * to_spectrum(torch.cos(x + 2 * y) + torch.sin(2 * x - y)))
    assert bool((residual(e, slabs, "pde").norm <= residual(e, slabs, "pde").rounding).all())


def test_rounding_is_bounded():
    """Against extended precision, at every Gauss node of rough and of smooth polynomials."""
    e, flow = short()
    slabs = own(flow)
    for values in (slabs.values, slabs.values + rough_error(flow, 1.0)):
        v = Slabs(slabs.edges, values)
        for s, (r, rounding) in enumerate(at_gauss(e, v, "galerkin")):
            off = np.abs(r.numpy() - extended(e, v, s)).astype(float)
            apart = np.sqrt((off**2).sum((-2, -1)).max(-1))
            assert (apart <= rounding.numpy()).all()
            assert (rounding.numpy() <= 1e4 * np.maximum(apart, 1e-16)).all(), "a margin that wide says nothing"


def extended(e: NavierStokes2D, slabs: Polynomials, s: int) -> np.ndarray:
    """The weighted residual at Gauss nodes (as float64 has them) in extended precision, in the modes kept."""
    n, degree, long = e.resolution, slabs.degree, np.longdouble
    pi = long("3.14159265358979323846264338327950288")
    k = np.fft.fftfreq(n, 1 / n).astype(long)
    kx, ky = (long(2) * pi / long(e.length) * x for x in (np.arange(n // 2 + 1).astype(long), k[:, None]))
    square = kx**2 + ky**2
    inverse = np.where(square > 0, 1 / np.where(square > 0, square, 1), 0)
    nodes = -np.cos(pi * np.arange(degree + 1) / degree)
    x = 2 * chebyshev.gauss(2 * degree + 1)[0].astype(long) - 1
    t, slope = [np.ones_like(x), x], [np.zeros_like(x), np.ones_like(x)]
    at_nodes = [np.ones_like(nodes), nodes]
    for _ in range(degree - 1):
        slope.append(2 * t[-1] + 2 * x * slope[-1] - slope[-2])
        t.append(2 * x * t[-1] - t[-2])
        at_nodes.append(2 * nodes * at_nodes[-1] - at_nodes[-2])
    j = np.arange(degree + 1)
    ends = np.where((j == 0) | (j == degree), long(0.5), long(1))
    inverse_vandermonde = 2 / long(degree) * np.stack(at_nodes) * ends * ends[:, None]
    v = slabs.values[:, s].numpy().astype(np.clongdouble)
    width = slabs.edges[s + 1].numpy().astype(long) - slabs.edges[s].numpy().astype(long)

    def along(matrix: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.einsum("gj,bjyx->bgyx", matrix, v)

    def nodal(w: np.ndarray) -> np.ndarray:
        return scipy.fft.irfft2(w, (n, n), norm="forward")

    w, rate = along(np.stack(t, -1) @ inverse_vandermonde, v), along(2 / width * np.stack(slope, -1) @ inverse_vandermonde, v - v[:, :1])
    u1, u2, nodal_w = nodal(1j * ky * inverse * w), nodal(-1j * kx * inverse * w), nodal(w)
    spectra = [scipy.fft.rfft2(u * nodal_w, norm="forward") for u in (u1, u2)]
    f = scipy.fft.rfft2(e.forcing.numpy().astype(long), norm="forward") if e.forcing is not None else 0.0
    r = rate + 1j * kx * spectra[0] + 1j * ky * spectra[1] + (long(e.viscosity) * square + long(e.drag)) * w - f
    r = r * np.sqrt(inverse * np.where(np.arange(n // 2 + 1) > 0, 2, 1))
    top = (n - 1) // 3
    return np.concatenate([r[..., : top + 1, : top + 1], r[..., n - top :, : top + 1]], -2)


@pytest.mark.parametrize("against", ["galerkin", "pde"])
def test_its_spectra_add_up(against):
    e, flow = short()
    slabs = own(flow)
    shells, over_time = spectrum(e, slabs, against)
    found = residual(e, slabs, against)
    np.testing.assert_allclose(shells.sum(-1), (found.norm**2 * slabs.widths).sum(-1), rtol=1e-12)
    assert over_time.shape == (2, len(slabs.widths) * (2 * slabs.degree + 1))
    np.testing.assert_allclose(over_time[:, 3], exactly(slabs, found.gram, float(slabs.edges[1]) * chebyshev.gauss(2 * slabs.degree + 1)[0][3]), rtol=1e-10)


def test_what_the_grid_does_not_keep_counts_against_the_equation_alone():
    e, flow = short()
    kept, whole = (residual(e, own(flow), system).norm for system in ("galerkin", "pde"))
    assert bool((whole > 1e3 * kept).all())


def test_another_system_is_named():
    e, flow = short()
    with pytest.raises(ValueError, match=r"against: received 'euler', expected one of galerkin, pde"):
        residual(e, own(flow), "euler")
