"""Whatever a network says, what is made of it is admissible, and its bound is above the error."""

import numpy as np
import pytest
import torch
from cases import BOUNDARIES
from cases import draw as drawn
from torch import nn

from wellposed import certify
from wellposed.elliptic import Darcy, MgNO, bound, clamp, flux, generate
from wellposed.elliptic.ends import Ends
from wellposed.elliptic.exam import estimated_error
from wellposed.elliptic.families import draw
from wellposed.elliptic.hypercircle import difference_cells
from wellposed.elliptic.lift import lift
from wellposed.elliptic.trial import answer, trial

N = 16


class Anything(nn.Module):
    """The protocol `Surrogate` and nothing else: pooled features, times weights."""

    def __init__(self, ends, channels=3):
        super().__init__()
        self.in_channels, self.ends = channels, ends
        self.weight = nn.Parameter(torch.randn(channels))

    def both(self, fields, stream_fields):
        inside = nn.functional.avg_pool2d((fields * self.weight[:, None, None]).sum(1, keepdim=True), 2, 1)
        return nn.functional.pad(inside, (1, 1, 1, 1)), None


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_random_network_is_admissible_and_its_bound_holds(boundary, dtype):
    torch.manual_seed(0)
    sides = BOUNDARIES[boundary]
    problem = draw("two-phase", N, 2, source="random", boundary=sides)
    model = MgNO.darcy(sides, channels=4, layers=2, levels=3).to(dtype)
    v, psi = answer(model, problem)
    np.testing.assert_array_equal(np.asarray(clamp(problem, v)), np.asarray(v))
    eta = np.asarray(bound(problem, v, psi).eta)
    assert bool((eta >= estimated_error(problem, np.asarray(v))).all())
    claim = certify(problem[0], (v[:1], psi[:1])).claim("energy_error")
    assert claim.upper is None or claim.upper > 0


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", "one side dirichlet"])
def test_finer_meshes_are_answered_from_its_own_and_bounded_there(boundary):
    torch.manual_seed(0)
    sides = BOUNDARIES[boundary]
    model = MgNO.darcy(sides, channels=4, layers=2, levels=3, resolution=8)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()  # the lift alone: a decent answer
    problem = draw("smooth", 32, 2, source="random", boundary=sides)
    v, psi = model(problem)
    np.testing.assert_array_equal(np.asarray(clamp(problem, v)), np.asarray(v))
    b = bound(problem, v, psi)
    assert bool((np.asarray(b.eta) >= estimated_error(problem, np.asarray(v))).all())
    assert float(np.asarray(b.relative).max()) < 1.5


def test_any_network_can_stand_in():
    problem = generate("smooth", N, 3, seed=0)
    v = answer(Anything(MgNO(1, 1).ends), problem)
    assert v.shape == (3, N + 1, N + 1)
    assert bool((np.asarray(bound(problem, v).eta) >= estimated_error(problem, v)).all())


def test_a_model_for_other_problems_says_so():
    problem = generate("smooth", N, 1, seed=0)
    with pytest.raises(ValueError, match="expected those of the model"):
        answer(MgNO.darcy("neumann", channels=2, levels=2), problem)
    with pytest.raises(ValueError, match="in_channels=9"):
        answer(MgNO(9, 1, channels=2, levels=2), problem)
    with pytest.raises(ValueError, match="multiple of 16"):
        answer(MgNO.darcy(channels=2, levels=5), generate("smooth", 24, 1, seed=0))


class Wild(nn.Module):
    """Noise of any size, in both trunks."""

    def __init__(self, ends, size):
        super().__init__()
        self.in_channels, self.ends, self.size = 1, ends, nn.Parameter(torch.tensor(size))

    def both(self, fields, stream_fields):
        return self.noise(len(fields), fields.shape[-1], self.ends), self.noise(len(fields), fields.shape[-1], self.ends.dual)

    def noise(self, samples, n, ends):
        x = torch.randn(samples, 1, *ends.unknowns(n), generator=torch.Generator().manual_seed(0))
        y = ends.nodes(self.size * x)
        return nn.functional.pad(y, (0, 1, 0, 1), mode="circular") if ends.periodic else y


def with_data(boundary, samples=2):
    """Cells that know nothing of each other, and data on all sides."""
    return drawn(boundary, N, np.random.default_rng(1), samples=samples, dirichlet=True, field="cells", contrast=100.0)


def demand_admissible(problem, v, psi):
    """Boundary values to the bit, the flux through Neumann sides to rounding, and a bound above the error."""
    np.testing.assert_array_equal(clamp(problem, v), v)
    corrected = flux.unite(problem, flux.separate(problem, torch.as_tensor(psi))).numpy()
    np.testing.assert_allclose(psi, corrected, rtol=0, atol=1e-12 * np.abs(psi).max())
    assert (bound(problem, v, psi).eta >= estimated_error(problem, v)).all()


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 1e6])
def test_noise_is_admissible_with_data_on_all_sides(boundary, size):
    problem = with_data(boundary)
    demand_admissible(problem, *answer(Wild(Ends(problem.sides), size), problem))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("resolution", [16, 8])
def test_networks_are_admissible_with_data_on_all_sides(boundary, resolution):
    torch.manual_seed(0)
    problem, model = with_data(boundary), MgNO.darcy(BOUNDARIES[boundary], channels=4, layers=2, levels=3, resolution=resolution)
    demand_admissible(problem, *model(problem))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@torch.no_grad()
def test_amplitudes_never_make_the_bound_worse(boundary):
    torch.manual_seed(0)
    problem, model = with_data(boundary, 3), MgNO.darcy(BOUNDARIES[boundary], channels=4, layers=2, levels=3).double()
    start = lift(problem)
    eta2 = []
    for amplitudes in (True, False):
        found = trial(model, start, amplitudes)
        assert found.flux is not None
        assert found.stream is not None
        eta2.append(difference_cells(start.coefficient, found.potential, found.flux).sum((1, 2)))
        t = flux.combine(problem, flux.particular(problem), found.stream)
        for name in ("x", "y", "sx", "sy"):
            torch.testing.assert_close(getattr(found.flux, name), getattr(t, name), rtol=0, atol=1e-12 * float(t.x.abs().max()))
    assert bool((eta2[0] <= eta2[1] * (1 + 1e-12)).all())


def test_answers_are_of_the_kind_of_the_problem():
    problem, model = with_data("dirichlet"), MgNO.darcy(channels=2, layers=2, levels=2)
    assert all(isinstance(x, np.ndarray) and x.dtype == np.float64 for x in model(problem))
    for x, y in zip(model(Darcy(problem.coefficient, problem.source)), model(Darcy(problem.coefficient.numpy(), problem.source)), strict=True):
        assert isinstance(x, torch.Tensor)
        assert not x.requires_grad
        np.testing.assert_array_equal(x.numpy(), y)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@torch.no_grad()
def test_amplitudes_are_the_best_ones(boundary):
    """Of U_D + c (v - U_D), and of U's own stream function + c times what was added to it, c = 1 has the least bound."""
    torch.manual_seed(0)
    problem, model = with_data(boundary, 3), MgNO.darcy(BOUNDARIES[boundary], channels=4, layers=2, levels=3).double()
    start = lift(problem)
    found, t0 = trial(model, start), flux.particular(problem)
    own, stream = start.stream, found.stream
    assert stream is not None

    def eta2(c, d, stream=stream):
        drift = None if own.drift is None or stream.drift is None else own.drift + d * (stream.drift - own.drift)
        t = flux.combine(problem, t0, flux.Stream(own.psi + d * (stream.psi - own.psi), drift))
        v = start.essential + c * (found.potential - start.essential)
        return difference_cells(start.coefficient, v, t).sum((1, 2))

    least = eta2(1, 1)
    for one in (0.99, 1.01):
        assert bool((eta2(one, 1) > least).all())
        assert bool((eta2(1, one) > least).all())


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", {"bottom": "neumann", "right": "dirichlet", "top": "neumann", "left": "dirichlet"}], ids=str)
def test_local_steps_lower_both_energies(boundary):
    torch.manual_seed(0)
    network = MgNO.darcy(boundary, channels=4, layers=2, levels=3)
    problem = generate("two-phase", 16, 3, seed=1)
    f = np.random.default_rng(0).normal(size=(3, 16, 16))
    problem = Darcy(problem.coefficient, f - f.mean((1, 2), keepdims=True), boundary)
    before, after = (bound(problem, *answer(network, problem, relax=steps)) for steps in (0, 4))
    assert (np.asarray(after.eta) < 0.95 * np.asarray(before.eta)).all()
    spoken, relaxed = answer(network, problem, relax=0), network(problem)
    for one, two in zip(network(problem), answer(network, problem), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(spoken[0], relaxed[0])
