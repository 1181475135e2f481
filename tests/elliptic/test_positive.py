"""Cycles with weights of any kind are symmetric positive definite, and conjugate gradients with them always solve."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from cases import BOUNDARIES, draw
from hypothesis import given, settings
from hypothesis import strategies as st
from referees import Data, Gauss
from torch import Tensor

from wellposed.elliptic import Darcy, generate
from wellposed.elliptic.kernels import BILINEAR, POISSON
from wellposed.elliptic.multigrid import Multigrid
from wellposed.elliptic.positive import (
    LONGEST,
    CoefficientCycle,
    PositiveMultigrid,
    Solved,
    gather,
    preconditioned_solve,
    spread,
    trapezoid,
)
from wellposed.numerics.multigrid import VCycle, average, prolong, restrict
from wellposed.numerics.q1 import Stiffness, pair
from wellposed.numerics.space import NodalSpace

EVERYWHERE = pytest.mark.parametrize("boundary", BOUNDARIES)
N = 8


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def channel_matrix(cycle: torch.nn.Module, boundary: Any, n: int = N) -> Tensor:
    rows, columns = PositiveMultigrid(1, 1, boundary).ends.unknowns(n)
    with torch.no_grad():
        return cycle(torch.eye(rows * columns, dtype=torch.float64).reshape(-1, 1, rows, columns)).flatten(1).T


def nodal_matrix(space: NodalSpace, operator: Any) -> Tensor:
    """An operator from functionals to fields of a space as a matrix on its unknowns."""
    number, count = space.numbering
    unit = torch.zeros(count, space.n + 1, space.n + 1, dtype=torch.float64)
    unit[:, number >= 0] = torch.eye(count, dtype=torch.float64)[:, number[number >= 0]]
    first = torch.stack([(number.flatten() == k).nonzero()[0, 0] for k in range(count)])
    with torch.no_grad():
        return operator(unit).flatten(1)[:, first].T


def demand_positive(b: Tensor, floor: Tensor) -> None:
    """B symmetric to rounding, and B >= floor > 0, as far as float64 can tell from the largest eigenvalue."""
    assert bool(b.isfinite().all())
    assert float((b - b.T).abs().max()) <= 1e-14 * float(b.abs().max())
    assert float(floor.min()) > 0
    values = torch.linalg.eigvalsh(b - torch.diag(floor))
    assert float(values[0]) >= -1e-13 * float(values[-1].abs() + floor.max())


def channel_floor(cycle: PositiveMultigrid, n: int = N) -> Tensor:
    """2 (1 - share) s D^-1, what the theory says that B is at least."""
    kernel, step = (x.detach() for x in cycle.level(0))
    size = sum(float(torch.linalg.matrix_norm(kernel[:, :, i, j], ord=2)) for i in range(3) for j in range(3))
    return (step * (2 - step * size) / trapezoid(cycle.ends, n, kernel)).flatten()


def randomized(channels: int, levels: int, boundary: Any, seed: int, size: float = 1.0) -> PositiveMultigrid:
    """Every weight drawn anew, from a normal distribution."""
    cycle = PositiveMultigrid(channels, levels, boundary).double()
    g = generator(seed)
    with torch.no_grad():
        for p in cycle.parameters():
            p.copy_(size * torch.randn(p.shape, dtype=p.dtype, generator=g))
    return cycle


@EVERYWHERE
@pytest.mark.parametrize("channels", [1, 3])
def test_channel_cycle_with_random_weights(boundary: str, channels: int):
    sides = BOUNDARIES[boundary]
    for seed in range(5):
        cycle = randomized(channels, 3, sides, seed)
        b = channel_matrix(cycle, sides)
        demand_positive(b, channel_floor(cycle))
        assert float(torch.linalg.eigvalsh(b)[0]) > 0


WEIGHTS = st.fixed_dictionaries({
    "seed": st.integers(0, 10**6), "operator": st.sampled_from([0.0, 1e-20, 1e-3, 1.0, 1e6, 1e20]), "transfer": st.sampled_from([0.0, 1e-6, 1.0, 1e3]),
    "share": st.sampled_from([-1e6, -40.0, 0.0, 40.0, 1e6]), "lift": st.sampled_from([0.0, 1.0, 1e3]), "boundary": st.sampled_from(sorted(BOUNDARIES)),
    "channels": st.integers(1, 3), "levels": st.integers(1, 3)})


@settings(max_examples=60, deadline=None)
@given(WEIGHTS)
def test_channel_cycle_with_extreme_weights(w: dict[str, Any]):
    sides = BOUNDARIES[w["boundary"]]
    cycle = randomized(w["channels"], w["levels"], sides, w["seed"])
    with torch.no_grad():
        for name in ("operator", "transfer"):
            for kernel in getattr(cycle, name):
                kernel.weight.mul_(w[name])
        cycle.share.fill_(w["share"])
        cycle.lift.mul_(w["lift"])
    n = 2 ** max(2, w["levels"])
    demand_positive(channel_matrix(cycle, sides, n), channel_floor(cycle, n))


@EVERYWHERE
def test_channel_cycle_starts_as_the_classical_one(boundary: str):
    """W of `Multigrid`, after D^-1; one smoothing on the coarsest level."""
    sides = BOUNDARIES[boundary]
    ours, theirs = PositiveMultigrid(1, 3, sides, noise=0.0).double(), Multigrid(1, 1, 3, sides, noise=0.0).double()
    with torch.no_grad():
        for k in range(3):
            ours.operator[k].set(POISSON)
            theirs.operator[k].set(POISSON)
            for smoother in (theirs.before[0], theirs.after[0]):
                smoother[k].weight[0, 0, 1, 1] = ours.level(k)[1]
        assert float(ours.level(0)[1]) == pytest.approx(0.8 / (8 / 3), rel=0.01)
        d = trapezoid(ours.ends, N, torch.ones((), dtype=torch.float64))
        f = torch.randn(2, 1, *ours.ends.unknowns(N), dtype=torch.float64, generator=generator(0))
        assert torch.allclose(ours(f), theirs(f / d), rtol=1e-12, atol=1e-14)


class FreeSteps(PositiveMultigrid):
    """The trap: symmetric A, the same smoother before and after, R = P^T, but a step that is any number."""

    def level(self, k: int) -> tuple[Tensor, Tensor]:
        return super().level(k)[0], self.share[k]


def test_symmetry_is_not_enough():
    """With steps that are free, 20 of 20 draws are symmetric to rounding, and most of them indefinite."""
    indefinite = 0
    for seed in range(20):
        cycle = FreeSteps(2, 2).double()
        cycle.load_state_dict(randomized(2, 2, "dirichlet", seed).state_dict())
        b = channel_matrix(cycle, "dirichlet")
        assert float((b - b.T).abs().max()) <= 1e-14 * float(b.abs().max())
        values = torch.linalg.eigvalsh(b)
        indefinite += bool(values[0] < -1e-6 * values[-1].abs() and values[-1] > 0)
    assert indefinite >= 15


@pytest.mark.parametrize("step", [1.9, 2.1])
def test_the_interval_of_the_step_cannot_be_longer(step: float):
    """For the Laplacian with periodic sides the bound on |A| is off by less than a factor 4/3; with -A, not at all."""
    cycle = FreeSteps(1, 1, "periodic").double()
    with torch.no_grad():
        cycle.operator[0].set(torch.ones(3, 3, dtype=torch.float64) / 9)  # |A| = sum |K| = 1, attained by constants
        cycle.share.fill_(step)
    assert bool(torch.linalg.eigvalsh(channel_matrix(cycle, "periodic"))[0] > 0) == (step < 2)


@pytest.mark.parametrize(("arguments", "shape", "what"), [
    ((0, 2), None, "channels=0"), ((1, 0), None, "levels=0"), ((1, 2, "robin"), None, "'robin'"), ((1, 2), (1, 2, 7, 7), "1, rows"),
    ((1, 3), (1, 1, 9, 9), "10 x 10 cells"), ((1, 4), (1, 1, 7, 7), "at least 2"), ((1, 2), (1, 1, 7, 8), "square grid")], ids=str)
def test_channel_cycle_says_what_is_wrong(arguments: tuple[Any, ...], shape: tuple[int, ...] | None, what: str):
    with pytest.raises(ValueError, match=what):
        PositiveMultigrid(*arguments)(torch.zeros(shape or (1, 1, 7, 7)))


def weighted_cycle(a: Tensor, space: NodalSpace, seed: int, size: float = 1.0) -> tuple[CoefficientCycle, Tensor]:
    """A cycle whose shares, transfers and coarse coefficients are random fields; and the share of the finest level."""
    n, depth = a.shape[-1], (a.shape[-1] // 4).bit_length() - 1
    shares = [torch.sigmoid(size * normal(seed + k, 1, (n >> k) + 1, (n >> k) + 1)) for k in range(depth)]
    coarse = [torch.exp(size * normal(seed + 20 + k, 1, n >> k, n >> k)) for k in range(1, depth + 1)]
    transfers = [size * normal(seed + 40 + k, 1, 3, 3, (n >> k) + 1, (n >> k) + 1) for k in range(1, depth + 1)]
    return CoefficientCycle(a, space, coarse=coarse, shares=shares, transfers=transfers), shares[0]


@EVERYWHERE
@pytest.mark.parametrize("contrast", [4.0, 1e4])
@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_coefficient_cycle_with_random_weights(boundary: str, contrast: float, size: float):
    problem = draw(boundary, 16, np.random.default_rng(0), field="cells", contrast=contrast)
    a, space = problem.coefficient, problem.space()
    number, count = space.numbering
    for seed in range(2):
        cycle, share = weighted_cycle(a, space, seed, size)
        b = nodal_matrix(space, cycle)
        diagonal = space.identify(Stiffness(a).diagonal)[0]
        if space.periodic:
            share = torch.cat([share[..., :-1], share[..., :1]], -1)
            share = torch.cat([share[..., :-1, :], share[..., :1, :]], -2)
        floor = torch.zeros(count, dtype=torch.float64)
        floor[number[number >= 0]] = (2 * (1 - share[0]) * LONGEST * share[0] / diagonal)[number >= 0]
        demand_positive(b, floor)
        assert size > 1 or float(torch.linalg.eigvalsh(b)[0]) > 0


@EVERYWHERE
def test_coefficient_cycle_with_defaults_is_the_classical_one(boundary: str):
    problem = draw(boundary, 16, np.random.default_rng(1), field="cells", samples=2)
    a, space = problem.coefficient, problem.space()
    f = space.assemble(normal(0, 2, 17, 17))
    classical = VCycle(a, space)(f)
    for cycle in (CoefficientCycle(a, space), CoefficientCycle(a, space, coarse=[average(a), average(average(a))], transfers=[BILINEAR] * 2)):
        v = cycle(f)
        assert torch.allclose(v, classical, rtol=1e-11, atol=1e-13 * float(classical.abs().max()))


@EVERYWHERE
def test_fitted_cycle_is_positive(boundary: str):
    problem = draw(boundary, N, np.random.default_rng(2), field="cells", contrast=1e4)
    space = problem.space()
    number, count = space.numbering
    diagonal = space.identify(Stiffness(problem.coefficient).diagonal)[0]
    floor = torch.zeros(count, dtype=torch.float64)
    floor[number[number >= 0]] = (2 * 0.4 * 0.8 / diagonal)[number >= 0]
    for seed in range(3):
        b = nodal_matrix(space, randomized(2, 3, BOUNDARIES[boundary], seed).fitted(problem))
        demand_positive(b, floor)
        assert float(torch.linalg.eigvalsh(b)[0]) > 0


def test_transfers_are_adjoint_and_bilinear_by_default():
    stencils, fine, coarse = normal(0, 2, 3, 3, 5, 5), normal(1, 2, 9, 9), normal(2, 2, 5, 5)
    assert torch.allclose(pair(fine, spread(coarse, stencils)), pair(gather(fine, stencils), coarse), rtol=1e-13)
    constant = BILINEAR[None, :, :, None, None]
    assert torch.allclose(spread(coarse, constant), prolong(coarse), rtol=1e-14)
    assert torch.allclose(gather(fine, constant), restrict(fine), rtol=1e-13, atol=1e-15)


def test_a_network_can_be_trained_through_the_cycle():
    problem = draw("corner neumann", 8, np.random.default_rng(3), field="cells")
    space = problem.space()
    weights = [w.requires_grad_() for w in (torch.rand(1, 4, 4).double() + 1, torch.full((1, 9, 9), 0.5).double(), normal(0, 1, 3, 3, 5, 5))]
    f = space.assemble(normal(1, 1, 9, 9))

    def energy(coarse: Tensor, share: Tensor, transfer: Tensor) -> Tensor:
        return pair(f, CoefficientCycle(problem.coefficient, space, coarse=[coarse], shares=[share], transfers=[transfer])(f)).sum()

    energy(*weights).backward()
    for w in weights:
        assert w.grad is not None
        step = 1e-6 * normal(5, *w.shape)
        moved = [energy(*(v + sign * step if v is w else v for v in weights)) for sign in (1, -1)]
        assert float((moved[0] - moved[1]).detach()) / 2 == pytest.approx(float((w.grad * step).sum()), rel=1e-5)


@pytest.mark.parametrize(("options", "what"), [
    ({"shares": 0.0}, r"shares: received numbers from 0 to 0, expected them in \(0, 1\)"), ({"shares": [1.0]}, "shares"),
    ({"shares": [float("nan")]}, "shares"), ({"shares": [0.5, 0.5]}, "2 shares"), ({"coarse": []}, "0 coarse fields"),
    ({"coarse": [torch.zeros(1, 4, 4)]}, "positive, finite"), ({"coarse": [torch.ones(1, 8, 8)]}, r"expected \(samples, 4, 4\)"),
    ({"transfers": []}, "0 transfers"), ({"transfers": [torch.ones(1, 3, 3)]}, r"expected \(3, 3\)")], ids=str)
def test_coefficient_cycle_says_what_is_wrong(options: dict[str, Any], what: str):
    problem = Darcy(np.ones((N, N)))
    with pytest.raises(ValueError, match=what):
        CoefficientCycle(problem.coefficient, problem.space(), **options)


def solvers(problem: Darcy, boundary: Any) -> dict[str, Any]:
    """Preconditioners that were never trained."""
    levels = problem.n.bit_length() - 1
    torch.manual_seed(0)
    return {"default": None, "channels": PositiveMultigrid(2, levels, boundary).double(), "float32": PositiveMultigrid(2, levels, boundary),
            "random channels": randomized(2, levels, boundary, 0, 0.5),
            "random coefficient": weighted_cycle(problem.coefficient, problem.space(), 0, 0.2)[0]}


@EVERYWHERE
@pytest.mark.parametrize("name", ["default", "channels", "float32", "random channels", "random coefficient"])
def test_untrained_cycles_solve(boundary: str, name: str):
    problem = draw(boundary, 16, np.random.default_rng(4), field="two-phase", contrast=1e4, samples=2, dirichlet=True)
    solved = preconditioned_solve(problem, solvers(problem, BOUNDARIES[boundary])[name])
    assert bool(solved.converged.all()), solved.message
    assert float(solved.residual.max()) <= 2e-10
    for k, u in enumerate(solved.potential):
        gauss = Gauss(Data.of(problem, k))
        exact = gauss.solve()
        assert math.sqrt(gauss.energy(u - exact) / gauss.energy(exact)) <= 1e-8
        if problem.balanced:
            assert abs(gauss.integral(gauss.value @ u.ravel())) <= 1e-12 * np.abs(u).max()


@pytest.mark.parametrize("field", ["two-phase", "lognormal", "multiscale", "smooth"])
def test_number_of_steps_at_contrast_ten_thousand(field: str):
    """From the classical cycle, with noise: in step with the contrast neither of the two."""
    problem = generate(field, 32, 4, seed=1, contrast=1e4)
    assert int(preconditioned_solve(problem).steps.max()) <= 40
    assert int(preconditioned_solve(problem, solvers(problem, "dirichlet")["channels"]).steps.max()) <= 110


def test_steps_obey_the_bound_of_the_condition_number():
    """At most ceil(sqrt(kappa) / 2 log(2 / tol)) steps in energy; kappa by an eigensolver."""
    problem = draw("dirichlet", 16, np.random.default_rng(5), field="cells", contrast=100.0)
    space, (cycle, _) = problem.space(), weighted_cycle(problem.coefficient, problem.space(), 1, 0.2)
    k = nodal_matrix(space, lambda v: space.assemble(Stiffness(problem.coefficient)(v)))
    root = torch.linalg.cholesky(k)
    values = torch.linalg.eigvalsh(root.T @ nodal_matrix(space, cycle) @ root)
    limit = math.ceil(math.sqrt(float(values[-1] / values[0])) / 2 * math.log(2e6))
    solved = preconditioned_solve(problem, cycle, tol=0, most=limit)
    gauss = Gauss(Data.of(problem))
    exact = gauss.solve()
    assert math.sqrt(gauss.energy(solved.potential[0] - exact) / gauss.energy(exact)) <= 1e-6


def test_the_residual_is_that_of_the_answer():
    problem = draw("corner neumann", 16, np.random.default_rng(6), field="cells", samples=2, dirichlet=True)
    solved = preconditioned_solve(problem, tol=1e-3)
    for k, u in enumerate(solved.potential):
        gauss = Gauss(Data.of(problem, k))
        free = problem.space().free.numpy() > 0
        lift = np.where(free, 0.0, u)
        f, r = ((gauss.load_vector - (gauss.matrix(gauss.a) @ v.ravel()).reshape(u.shape))[free] for v in (lift, u))
        assert float(solved.residual[k]) == pytest.approx(np.linalg.norm(r) / np.linalg.norm(f), rel=1e-9)


def test_what_is_said_of_systems_that_are_not_solved():
    problem = draw("dirichlet", 16, np.random.default_rng(7), field="cells", contrast=1e3, samples=3)
    solved = preconditioned_solve(problem, most=3)
    assert isinstance(solved, Solved)
    assert solved.steps.tolist() == [-1, -1, -1]
    assert "0 of 3 systems solved" in solved.message
    assert "allow more steps" in solved.message
    assert "3 of 3 systems solved" in preconditioned_solve(problem).message


def test_nothing_to_solve():
    solved = preconditioned_solve(Darcy(np.ones((2, 8, 8)), np.stack([np.zeros((8, 8)), np.ones((8, 8))])))
    assert solved.steps[0] == 0
    assert solved.steps[1] > 0
    assert solved.residual[0] == 0
    assert np.abs(solved.potential[0]).max() == 0


def test_kind_of_the_input_is_kept():
    assert isinstance(preconditioned_solve(Darcy(np.ones((8, 8)))).potential, np.ndarray)
    assert isinstance(preconditioned_solve(Darcy(torch.ones(8, 8))).potential, Tensor)


def test_a_cycle_for_other_sides_is_refused():
    with pytest.raises(ValueError, match="expected neumann, neumann, neumann, neumann, for which"):
        preconditioned_solve(Darcy(np.ones((8, 8))), PositiveMultigrid(1, 2, "neumann"))
