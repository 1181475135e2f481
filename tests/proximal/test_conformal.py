"""Conformal sets: the guarantee by simulation, groups, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from wellposed.proximal import LPN
from wellposed.proximal.conformal import ConformalSet, certify_coverage, fitted_power
from wellposed_check import Refused
from wellposed_check.proximal.coverage import assured, grouped, outward, state
from wellposed_check.statement import Evidence

SIGMA = 0.3


def pairs(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors, some of them large, and the same with noise."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=generator) * torch.rand(n, 1, generator=generator) ** 2
    return x + SIGMA * torch.randn(x.shape, generator=generator), x


def net() -> LPN:
    torch.manual_seed(0)
    return LPN(6, width=20, depth=2)


def calibrated(n: int = 300, **options: Any) -> ConformalSet:
    return ConformalSet.calibrate(net(), *pairs(n, 1), **options)


def test_a_group_is_covered_as_its_law_says() -> None:
    found = calibrated()
    y, x = pairs(20_000, 2)
    covered, group = found.covers(x, y), found.group(found.difficulty(y))
    counts = [int((group == g).sum()) for g in range(2)]
    low, high = found.expected(counts)
    assert low <= int(covered.sum()) <= high
    for g, law in enumerate(found.groups):
        share, beta = float(covered[group == g].double().mean()), stats.beta(law.k, law.n + 1 - law.k)
        assert beta.ppf(5e-4) - 0.01 < share < beta.ppf(1 - 5e-4) + 0.01
    assert torch.equal(covered, (found.model(y) - x).norm(dim=1).double() <= found.radius(y))
    assert found.law([3, 4]).sum() == pytest.approx(1.0)


def test_marginal_coverage_in_each_group_over_many_calibrations() -> None:
    """The edges are those of the calibration itself: coverage given the group is k / (n + 1) all the same."""
    rng, rounds = np.random.default_rng(0), 3000
    for groups in (1, 2, 3):
        hits, seen = np.zeros(groups), np.zeros(groups)
        difficulty = rng.exponential(size=(rounds, 26))
        scores = difficulty**2 * rng.exponential(size=difficulty.shape)  # far from independent of the difficulty
        expected = np.array([float(1 - g.missed) for g in grouped(scores[0, :-1], difficulty[0, :-1], groups, 0.75)])
        for s, d in zip(scores, difficulty, strict=True):
            for k, g in enumerate(grouped(s[:-1], d[:-1], groups, 0.75)):
                if g.above < d[-1] < g.below:
                    seen[k] += 1
                    hits[k] += s[-1] <= g.quantile
        assert (np.abs(hits / seen - expected) < 4 * np.sqrt(0.25 * 0.75 / seen)).all()
        assert (expected >= 0.75).all()


def test_quantiles_are_those_of_the_definition() -> None:
    scores = np.arange(1.0, 1000.0)
    one, = grouped(scores, scores, 1, 0.9)
    assert (one.n, one.k, one.quantile) == (999, 900, 900.0)
    low, high = grouped(scores, scores, 2, 0.9)
    assert low.below == high.above == 500.0
    assert (low.n, high.n, low.k, low.quantile) == (499, 499, 450, 450.0)
    assert outward(one.missed, np.inf) == 0.1
    assert assured(one) == pytest.approx(stats.beta.ppf(1e-3, 900, 100), abs=1.1e-4)
    assert assured(one) <= stats.beta.ppf(1e-3, 900, 100)


def test_the_same_rule_gives_the_same_numbers() -> None:
    a, b = calibrated(), calibrated(seed=1)
    y, _ = pairs(7, 3)
    assert torch.equal(a.radius(y), calibrated().radius(y))
    assert not np.array_equal(a.difficulties, b.difficulties)
    assert torch.allclose(a.difficulty(y), torch.cat([a.difficulty(each[None]) for each in y]), rtol=1e-5)


def test_many_probes_estimate_the_trace() -> None:
    model = net().doubled()
    y = pairs(3, 4)[0].double()
    j = torch.stack([torch.autograd.functional.jacobian(lambda v: model(v[None])[0], each) for each in y])
    exact = j.diagonal(dim1=1, dim2=2).sum(1).sqrt()
    found = ConformalSet(model, 0.9, 0, 2000, np.ones(20), np.arange(20.0), (), None, 1)
    assert torch.allclose(found.difficulty(y), exact, rtol=0.05)


def test_certificate_says_what_is_guaranteed_and_under_what() -> None:
    found = calibrated(399, groups=1, training=pairs(5, 9)[1])
    evidence = Evidence({"level": {"decimal": 0.9, "hex": (0.9).hex()}, "groups": 1, "items": list(found.items), "training": list(found.training or ())},
                        {"scores": found.scores, "difficulties": found.difficulties})
    said = state(evidence, "margin")
    assert said.upper == 0.1
    assert said.lower == pytest.approx(0.1)
    assert said.kind == "statistical"
    assert said.assumptions[-1] == ("no calibration image was used in training: checked against the 5 digests listed", "checked")
    assert said.assumptions[-2] == ("for the lower end alone: scores have a continuous law", "assumed")
    with pytest.raises(Refused, match="of the training"):
        state(Evidence({**evidence.parameters, "training": [found.items[3]]}, evidence.arrays), "margin")
    with pytest.raises(Refused, match="twice"):
        state(Evidence({**evidence.parameters, "items": [found.items[0]] * 399}, evidence.arrays), "margin")
    with pytest.raises(Refused, match="the whole space"):
        state(Evidence({**evidence.parameters, "groups": 399}, evidence.arrays), "margin")


def test_at_the_difficulty_at_which_groups_end_the_set_is_the_whole_space() -> None:
    found = calibrated()
    edge = torch.tensor([found.groups[0].below, found.groups[0].below * (1 + 1e-9)], dtype=torch.float64)
    assert torch.equal(found.radius_of(edge).isinf(), torch.tensor([True, False]))
    assert not calibrated(groups=1).radius_of(edge).isinf().any()


def test_difficulties_with_an_atom_at_an_end_are_refused() -> None:
    """A quarter of the images there, all missed, was in the upper group with the radius of the others."""
    rng, d = np.random.default_rng(0), np.repeat([1.0, 2.0, 3.0], [45, 30, 45])
    scores = np.concatenate([rng.random(45), 1e3 + rng.random(30), rng.random(45)])
    parameters = {"level": {"decimal": 0.9, "hex": (0.9).hex()}, "groups": 2, "items": [str(i) for i in range(120)], "training": []}
    with pytest.raises(Refused, match="share the difficulty"):
        state(Evidence(parameters, {"scores": scores, "difficulties": d}), "margin")
    said = state(Evidence({**parameters, "groups": 1}, {"scores": scores, "difficulties": d}), "margin")
    assert "the 0 digests listed" in said.assumptions[-1][0]
    tied = state(Evidence({**parameters, "groups": 1}, {"scores": np.ones(120), "difficulties": d}), "margin")
    assert tied.lower == 0.0
    assert all("continuous" not in text for text, _ in tied.assumptions)


def test_issue_and_check() -> None:
    certificate = certify_coverage(calibrated())
    assert certificate.verdict is True
    assert certificate.check().status is True
    assert certify_coverage(calibrated(), tol=0.05).verdict is False


def test_refused() -> None:
    y, x = pairs(30, 5)
    with pytest.raises(ValueError, match="the same shape"):
        ConformalSet.calibrate(net(), y[:10], x)
    with pytest.raises(ValueError, match="finite numbers"):
        ConformalSet.calibrate(net(), y / 0, x)
    with pytest.raises(ValueError, match="at least 99 for the level"):
        ConformalSet.calibrate(net(), y, x, level=0.99)
    with pytest.raises(ValueError, match="level between 0 and 1"):
        ConformalSet.calibrate(net(), y, x, level=1.0)
    with pytest.raises(ValueError, match="more than once"):
        ConformalSet.calibrate(net(), y, torch.cat([x[:1], x[:-1]]))
    with pytest.raises(ValueError, match="images of the training"):
        ConformalSet.calibrate(net(), y, x, training=x[4:6])


def test_the_power_of_the_scale_is_that_of_a_pilot() -> None:
    generator = torch.Generator().manual_seed(7)
    spread = 1 + torch.rand(4000, generator=generator, dtype=torch.float64)
    luck = torch.rand(4000, generator=generator, dtype=torch.float64)
    for p in (0.5, 1.0, 2.0):
        assert fitted_power(luck * spread**p, spread, 0.9) == pytest.approx(p, abs=0.1)
    y, x = pairs(500, 6)
    found = calibrated(pilot=(y, x))
    plain = calibrated()
    assert found.power != 1.0
    assert np.allclose(found.difficulties, plain.difficulties**found.power)
    assert np.allclose(found.scores * found.difficulties, plain.scores * plain.difficulties)
    assert "covers 0.9" in str(found)
