"""What is minimized is what the certificate will state, and a few steps make it smaller."""

import numpy as np
import pytest
import torch

import wellposed
from wellposed.elliptic import MgNO, bound, generate
from wellposed.elliptic.learning import darcy_objective
from wellposed.elliptic.trial import trial

N = 16


def model(**options):
    torch.manual_seed(0)
    return MgNO.darcy(channels=4, layers=2, levels=3, **options)


def proved(network, problem):
    return float(np.mean(bound(problem, *network(problem)).relative))


def test_the_loss_is_the_squared_bound():
    problem, network = generate("two-phase", N, 3, seed=0), model().double()
    objective = darcy_objective(problem, network)
    indices = torch.arange(3)
    loss = float(objective.loss(network.eval(), (objective.data, indices)))
    start = objective.data.start(indices, 1)
    found = trial(network, start, amplitudes=False)
    eta2 = torch.as_tensor(bound(problem, found.potential.detach().double().numpy(),
                                 found.stream.psi.detach().double().numpy()).eta) ** 2
    assert loss == pytest.approx(float((eta2 / (start.mean * start.p**2)[:, 0, 0]).mean()), rel=1e-4)


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
    own, given = (darcy_objective(problem, model(), loss="l2", **labels) for labels in ({}, {"labels": u}))
    np.testing.assert_allclose(given.data.labels[1].numpy(), own.data.labels[1].numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="labels"):
        darcy_objective(problem, model(), loss="l2", labels=u[:, :-1])


def test_the_first_steps_are_on_half_of_the_mesh():
    objective = darcy_objective(generate("smooth", N, 2, seed=0), model())
    factors = []
    for step in range(10):
        objective.begin(step, 10)
        factors.append(objective.data.factor)
    assert factors == [2] * 8 + [1] * 2
    start = objective.data.start(torch.tensor([0, 1]), 2)
    assert start.coefficient.shape == (2, N // 2, N // 2)


def test_validation_never_is():
    objective = darcy_objective(generate("smooth", N, 2, seed=0), model())
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
    for name, labels in (("given", {"labels": train.solve()}), ("solved", {})):
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
