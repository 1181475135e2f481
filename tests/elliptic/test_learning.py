"""What is minimized is what the certificate will state, and a few steps make it smaller."""

import numpy as np
import pytest
import torch

import wellposed
from wellposed.elliptic import MgNO, bound, generate
from wellposed.elliptic.learning import darcy_objective, judge
from wellposed.elliptic.trial import trial

N = 16


def model(**options):
    torch.manual_seed(0)
    return MgNO.darcy(channels=4, layers=2, levels=3, **options)


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
    before = judge(network, problem)["bound"]
    run = wellposed.train(network, problem, steps=60, folder=tmp_path, quiet=True, threads=1, **options)
    u = np.asarray(problem.solve())
    found = run.model(problem)[0]
    if not options:
        assert judge(run.model, problem)["bound"] < 0.8 * before
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


def test_what_cannot_be_trained_is_said():
    problem = generate("smooth", N, 2, seed=0)
    with pytest.raises(ValueError, match="bound, energy, l2"):
        darcy_objective(problem, model(), loss="h1")
    with pytest.raises(ValueError, match="sides"):
        darcy_objective(problem, MgNO.darcy("neumann", channels=2, levels=2))
    with pytest.raises(ValueError, match="Linear"):
        darcy_objective(problem, torch.nn.Linear(2, 2))
