"""Whatever a network says, what is made of it is admissible, and its bound is above the error."""

import numpy as np
import pytest
import torch
from cases import BOUNDARIES
from torch import nn

from wellposed import certify
from wellposed.elliptic import MgNO, bound, clamp, generate
from wellposed.elliptic.exam import estimated_error
from wellposed.elliptic.families import draw
from wellposed.elliptic.trial import answer

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
