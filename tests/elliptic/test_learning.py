"""What is minimized is what the certificate will state, and a few steps make it smaller."""

from typing import Any

import numpy as np
import pytest
import torch
from cases import BOUNDARIES
from cases import draw as drawn

import wellposed
from wellposed.elliptic import Darcy, MgNO, bound, generate
from wellposed.elliptic.hypercircle import energy_cells
from wellposed.elliptic.learning import darcy_objective
from wellposed.elliptic.lift import lift
from wellposed.elliptic.trial import trial

N = 16


def model(boundary: Any = "dirichlet", **options: Any) -> MgNO:
    torch.manual_seed(0)
    return MgNO.darcy(boundary, channels=4, layers=2, levels=3, **options)


def proved(network, problem):
    return float(np.mean(bound(problem, *network(problem)).relative))


@torch.no_grad()
def test_the_loss_is_the_squared_bound():
    problem, network = generate("two-phase", N, 3, seed=0), model().double()
    objective: Any = darcy_objective(problem, network)
    indices = torch.arange(3)
    loss = float(objective.loss(network.eval(), (objective.data, indices)))
    start = lift(problem)
    found = trial(network, start, amplitudes=False)
    assert found.stream is not None
    eta2 = torch.as_tensor(bound(problem, found.potential.double().numpy(), found.stream.psi.double().numpy()).eta) ** 2
    assert loss == pytest.approx(float((eta2 / (start.mean * start.p**2)[:, 0, 0]).mean()), rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("loss", ["bound", "energy", "l2"])
@pytest.mark.parametrize("factor", [1, 2])
def test_units_play_no_part(loss, factor):
    problem, network = generate("two-phase", N, 3, seed=0), model()
    other = Darcy(1e-21 * problem.coefficient, -1e30 * problem.source)
    network.train()
    found = []
    for asked in (problem, other):
        objective: Any = darcy_objective(asked, network, loss=loss)
        objective.data.factor = factor
        found.append(float(objective.loss(network, (objective.data, torch.arange(3)))))
    assert found[1] == pytest.approx(found[0], rel=1e-4)


@pytest.mark.parametrize("options", [{}, {"loss": "energy"}, {"loss": "l2"}], ids=str)
def test_training_makes_the_error_smaller(options, tmp_path):
    problem, network = generate("smooth", N, 40, seed=0), model()
    before = proved(network, problem)
    run = wellposed.train(network, problem, steps=60, folder=tmp_path, quiet=True, threads=1, **options)
    u = np.asarray(problem.solve())
    found = run.model(problem)[0]
    if not options:
        assert proved(run.model, problem) < 0.8 * before
    assert np.linalg.norm(found - u) < 0.5 * np.linalg.norm(u)


def test_labels_may_be_given():
    problem = generate("smooth", N, 2, seed=0)
    u = np.asarray(problem.solve())
    own: Any = darcy_objective(problem, model(), loss="l2")
    given: Any = darcy_objective(problem, model(), loss="l2", labels=u)
    np.testing.assert_allclose(given.data.labels[1].numpy(), own.data.labels[1].numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="labels"):
        darcy_objective(problem, model(), loss="l2", labels=u[:, :-1])


def test_what_cannot_be_learned_is_refused():
    problem = generate("smooth", N, 2, seed=0)
    with pytest.raises(ValueError, match="sample 0 with source, fluxes and boundary values of zero"):
        darcy_objective(Darcy(problem.coefficient, 0.0), model())
    u = np.asarray(problem.solve())
    with pytest.raises(ValueError, match="on the Dirichlet sides of sample 1"):
        darcy_objective(problem, model(), loss="l2", labels=u + np.array([0.0, 1.0])[:, None, None])


def test_a_refused_call_leaves_the_model_to_other_meshes():
    network = model()
    with pytest.raises(ValueError, match="labels"):
        darcy_objective(generate("smooth", 32, 2, seed=0), network, loss="l2", labels=np.zeros((2, 5, 5)))
    darcy_objective(generate("smooth", N, 2, seed=0), network)
    assert network.resolution == N


def test_the_first_steps_are_on_half_of_the_mesh():
    objective: Any = darcy_objective(generate("smooth", N, 2, seed=0), model())
    factors = []
    for step in range(10):
        objective.begin(step, 10)
        factors.append(objective.data.factor)
    assert factors == [2] * 8 + [1] * 2
    start = objective.data.start(torch.tensor([0, 1]), 2)
    assert start.coefficient.shape == (2, N // 2, N // 2)


@torch.no_grad()
def test_validation_never_is():
    objective: Any = darcy_objective(generate("smooth", N, 2, seed=0), model())
    objective.begin(0, 10)
    network = model()
    network.resolution = N
    indices = torch.tensor([0, 1])
    first = float(objective.loss(network.eval(), (objective.data, indices)))
    objective.begin(9, 10)
    assert float(objective.loss(network.eval(), (objective.data, indices))) == first


def test_validation_has_labels_of_its_own(tmp_path):
    """Those of the training fields must not be taken for them, not even where there are as many."""
    train, other = generate("smooth", N, 4, seed=0), generate("smooth", N, 4, seed=1)
    losses = []
    each: dict[str, dict[str, Any]] = {"given": {"labels": train.solve()}, "solved": {}}
    for name, labels in each.items():
        run = wellposed.train(model(), train, loss="l2", validation=other, steps=2, threads=1, folder=tmp_path / name, quiet=True, **labels)
        losses.append(run.history[-1]["validation_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_low_precision_takes_effect(tmp_path):
    weights = []
    for precision in ("float32", "bf16"):
        run = wellposed.train(model(), generate("smooth", N, 4, seed=0), steps=2, threads=1, folder=tmp_path / precision, quiet=True,
                              precision=precision)
        weights.append(torch.cat([p.detach().flatten() for p in run.model.parameters()]))
        assert bool(weights[-1].isfinite().all())
    assert not torch.equal(*weights)


def test_what_cannot_be_trained_is_said():
    problem = generate("smooth", N, 2, seed=0)
    with pytest.raises(ValueError, match="bound, energy, l2"):
        darcy_objective(problem, model(), loss="h1")
    with pytest.raises(ValueError, match="sides"):
        darcy_objective(problem, MgNO.darcy("neumann", channels=2, levels=2))
    with pytest.raises(ValueError, match="needs none"):
        darcy_objective(problem, model(), labels=np.zeros(3))
    with pytest.raises(ValueError, match="resolution = 16"):
        darcy_objective(problem, model(resolution=32))
    with pytest.raises(ValueError, match="Linear"):
        darcy_objective(problem, torch.nn.Linear(2, 2))


def judged(objective: Any, network: Any) -> float:
    with torch.no_grad():
        return float(objective.loss(network.eval(), (objective.data, torch.arange(len(objective.data)))))


def factors(objective: Any, steps: int) -> list[int]:
    out = []
    for step in range(steps):
        objective.begin(step, steps)
        out.append(objective.data.factor)
    return out


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_losses_on_labels_are_those_of_the_definition(boundary):
    """The squared relative energy error and the relative L2 error of nodal values, with data on all sides."""
    problem, network = drawn(boundary, N, np.random.default_rng(0), samples=2, dirichlet=True), model(BOUNDARIES[boundary])
    u = torch.as_tensor(problem.solve())
    with torch.no_grad():
        v = trial(network, lift(problem), amplitudes=False).potential
    e, size = (energy_cells(problem.coefficient, x).sum((1, 2)) for x in (v - u, u))
    l2 = (v - u).flatten(1).norm(dim=1) / u.flatten(1).norm(dim=1)
    for labels in (None, u):
        assert judged(darcy_objective(problem, network, loss="energy", labels=labels), network) == pytest.approx(float((e / size).mean()), rel=1e-4)
        assert judged(darcy_objective(problem, network, loss="l2", labels=labels), network) == pytest.approx(float(l2.mean()), rel=1e-4)


@pytest.mark.parametrize("loss", ["bound", "energy", "l2"])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_both_meshes_of_every_problem_teach(boundary, loss):
    problem, network = drawn(boundary, N, np.random.default_rng(0), samples=2, dirichlet=True), model(BOUNDARIES[boundary])
    assert network.stream is not None
    objective: Any = darcy_objective(problem, network, loss=loss)
    losses = []
    for step in (0, 9):
        objective.begin(step, 10)
        network.zero_grad()
        value = objective.loss(network.train(), objective.data[[1, 0]])
        value.backward()
        losses.append(float(value.detach()))
        taught = [p.grad for p in network.potential.parameters()]
        assert all(g is not None and bool(g.isfinite().all()) for g in taught[:-1])
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in network.stream.parameters()) == (loss == "bound")
    assert losses[0] != losses[1]


def test_a_model_without_stream_function_learns_the_energy():
    """|v|_a^2 - 2 F(v) = |v - u|_a^2 - |u|_a^2."""
    problem, network = generate("two-phase", N, 3, seed=0), MgNO(5, 1, channels=4, layers=2, levels=3)
    u, start = torch.as_tensor(problem.solve()), lift(problem)
    with torch.no_grad():
        v = trial(network, start, amplitudes=False).potential
    e, size = (energy_cells(problem.coefficient, x).sum((1, 2)) for x in (v - u, u))
    expected = ((e - size) / (start.mean * start.p**2)[:, 0, 0]).mean()
    assert judged(darcy_objective(problem, network), network) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(("coarse", "expected"), [(0.0, [1, 1, 1, 1]), (0.5, [2, 2, 1, 1]), (1.0, [2, 2, 2, 2])])
def test_the_share_of_coarse_steps_can_be_chosen(coarse, expected):
    assert factors(darcy_objective(generate("smooth", N, 2, seed=0), model(), coarse=coarse), 4) == expected


def test_where_there_is_no_coarser_mesh_all_steps_are_fine():
    a = generate("smooth", N, 2, seed=0).coefficient
    fixed = Darcy(a, 1.0, source_oscillation=np.full((2, N, N), 1e-3))
    assert factors(darcy_objective(fixed, model()), 5) == [1] * 5
    assert factors(darcy_objective(Darcy(a), MgNO.darcy(channels=4, layers=2, levels=2)), 5) == [1] * 5


def test_runs_on_other_data_are_told_apart():
    one, options = generate("smooth", N, 2, seed=0), {"labels": 2 * np.asarray(generate("smooth", N, 2, seed=0).solve())}
    asked = [(one, {}), (generate("smooth", N, 2, seed=1), {}), (Darcy(one.coefficient, 2.0), {}), (one, {"coarse": 0.0}),
             (one, {"loss": "energy"}), (one, {"loss": "l2"}), (one, {"loss": "l2", **options})]
    described = [darcy_objective(p, model(), **more).describe(0) for p, more in asked]
    assert len({(d["loss"], d["sha256"]) for d in described}) == len(asked)
    assert described[0] == darcy_objective(generate("smooth", N, 2, seed=0), model()).describe(0)


def test_training_keeps_the_mesh_that_its_levels_refer_to():
    network = model()
    darcy_objective(generate("smooth", N, 2, seed=0), network)
    assert network.resolution == N
