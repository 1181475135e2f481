"""The V-cycle: positive definite for every coefficient and boundary, and as fast as the theory's figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense import ESSENTIAL, cells, dense, space

from wellposed.numerics.multigrid import DIRECT, VCycle, average, halvings, prolong, restrict
from wellposed.numerics.q1 import pair

KINDS = pytest.mark.parametrize("kind", ESSENTIAL)
FIELDS = {
    "constant": np.ones((8, 8)),
    "contrast 100": np.exp(np.random.default_rng(0).uniform(0, np.log(100), (8, 8))),
    "contrast 1e4, two phases": np.where(np.random.default_rng(1).uniform(size=(8, 8)) < 0.5, 1.0, 1e4),
    "checkerboard": np.where(np.indices((8, 8)).sum(0) % 2 == 0, 1.0, 1e4),
}


@KINDS
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("options", [{}, {"sweeps": 2}, {"damping": 1.3}, {"damping": 0.1}], ids=str)
def test_cycle_is_symmetric_positive_definite(kind: str, field: str, options: dict[str, float]):
    d = dense(cells(FIELDS[field]), space(kind, 8), **options)
    assert np.abs(d.stiffness - d.stiffness.T).max() <= 1e-12 * np.abs(d.stiffness).max()
    assert np.abs(d.cycle - d.cycle.T).max() <= 1e-10 * np.abs(d.cycle).max()
    values = np.linalg.eigvalsh(d.cycle)[d.singular :]
    assert values[0] > 0
    assert d.rates[0] > 0  # so the error never grows in energy by preconditioned steps


@KINDS
def test_cycle_with_exact_coarse_matrices_never_overshoots(kind: str):
    """For a constant coefficient the coarse matrices are Galerkin's: 0 < B K <= 1."""
    assert dense(cells(FIELDS["constant"]), space(kind, 8)).rates[-1] <= 1 + 1e-12


@pytest.mark.parametrize(("n", "options", "rate"), [
    (16, {}, 0.178), (32, {}, 0.191), (32, {"damping": 8 / 9}, 0.177), (32, {"sweeps": 2}, 0.085)], ids=str)
def test_contraction_is_that_of_the_theory(n: int, options: dict[str, float], rate: float):
    """Contraction numbers of V(1,1) and V(2,2) for Q1 on a square, by an eigensolver."""
    rates = dense(cells(np.ones((n, n))), space("dirichlet", n), **options).rates
    assert 1 - rates[0] == pytest.approx(rate, abs=6e-4)


@KINDS
def test_contraction_on_other_sides_stays_below_the_limit(kind: str):
    assert 1 - dense(cells(np.ones((16, 16))), space(kind, 16)).rates[0] <= 0.211


def test_smallest_meshes_are_solved_directly():
    for kind in ESSENTIAL:
        for n in (2, 3, 4, 5, 7):
            a = cells(np.exp(np.random.default_rng(n).standard_normal((n, n))))
            assert dense(a, space(kind, n)).rates == pytest.approx(1, abs=1e-9)


@KINDS
def test_cycle_gives_admissible_fields(kind: str):
    s = space(kind, 8)
    f = s.assemble(torch.randn(2, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    v = VCycle(cells(FIELDS["contrast 100"]).expand(2, 8, 8), s)(f)
    assert (v * (1 - s.free)).abs().max() == 0
    if s.periodic:
        assert torch.equal(v[:, 0], v[:, -1])
        assert torch.equal(v[:, :, 0], v[:, :, -1])


def test_samples_do_not_see_each_other():
    s, generator = space("corner", 8), torch.Generator().manual_seed(0)
    a = torch.rand(3, 8, 8, dtype=torch.float64, generator=generator) + 0.1
    f = s.assemble(torch.randn(3, 9, 9, dtype=torch.float64, generator=generator))
    together, alone = VCycle(a, s)(f), torch.cat([VCycle(a[k : k + 1], s)(f[k : k + 1]) for k in range(3)])
    assert torch.allclose(together, alone, rtol=1e-12, atol=1e-14)


def test_prolongation_interpolates_and_restriction_is_its_adjoint():
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(2, 5, 5, dtype=torch.float64, generator=generator)
    f = torch.randn(2, 9, 9, dtype=torch.float64, generator=generator)
    line = np.maximum(0, 1 - np.abs(np.arange(9)[:, None] / 2 - np.arange(5)))
    assert prolong(v).numpy() == pytest.approx(line @ v.numpy() @ line.T, abs=1e-15)
    assert pair(f, prolong(v)).numpy() == pytest.approx(pair(restrict(f), v).numpy(), rel=1e-12)


def test_coarse_coefficient_is_the_mean_of_four_cells():
    assert average(torch.arange(16.0).reshape(1, 4, 4))[0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


@pytest.mark.parametrize(("n", "count"), [(1, 0), (2, 0), (4, 0), (8, 1), (16, 2), (64, 4), (12, 2), (31, 0), (62, 1), (96, 5), (448, 6)])
def test_halvings(n: int, count: int):
    assert halvings(n) == count
    assert n >> count <= DIRECT


@pytest.mark.parametrize(("n", "below", "above"), [
    (33, 32, 34), (66, 64, 68), (101, 100, 104), (129, 128, 136), (420, 416, 432), (1000, 992, 1024)])
def test_meshes_that_cannot_be_halved_name_the_nearest_that_can(n: int, below: int, above: int):
    with pytest.raises(ValueError, match=rf"received n = {n}, expected .* nearest are {below} and {above}"):
        halvings(n)
    assert halvings(below) > 0
    assert halvings(above) > 0
