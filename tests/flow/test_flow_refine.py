"""Refinement reaches what was asked, says when it cannot, and what it says is true."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from flows import N, changed, distance, equation, field, frozen, jump_error, noisy, own, reference, rough_error, short, smooth_error

import wellposed
from wellposed.flow import Evolution, Trajectory, bound
from wellposed.flow.error_equation import corrected
from wellposed.flow.refine import held
from wellposed.numerics.vorticity import resample, to_field, to_spectrum

TIMES = torch.tensor([0.0, 0.2, 0.4, 0.6], dtype=torch.float64)


def problem(viscosity: float = 2e-2, samples: int = 2) -> Evolution:
    return Evolution(equation(N, viscosity), field(N, 1, samples), TIMES)


@cache
def exact(viscosity: float) -> torch.Tensor:
    return reference(equation(N, viscosity), field(N, 1, 3), TIMES, 1e-3)


def relative(p: Evolution, answer: Trajectory) -> np.ndarray:
    """The true relative errors, (batch, time)."""
    samples = next(k for k in range(3) if torch.equal(p.vorticity[0], field(N, 1, 3)[k]))
    true = exact(p.equation.viscosity)[samples : samples + len(p)]
    return distance(answer.vorticity, true) / distance(true, 0.0)


def start(kind: str, p: Evolution) -> Trajectory | None:
    flow = short(len(p))[1]
    return {"nothing": lambda: None, "frozen": lambda: frozen(p.equation, p.vorticity, TIMES), "smooth error": lambda: changed(flow, smooth_error(flow, 0.3)),
            "rough error": lambda: changed(flow, rough_error(flow, 1e-2)), "plain frames": lambda: noisy(flow, 0.1),
            "wrong start": lambda: noisy(flow, 0.1, first=1.0), "slabs that do not join": lambda: changed(flow, jump_error(flow, 1e-2))}[kind]()


@pytest.mark.parametrize("tol", [1e-5, 1e-10])
@pytest.mark.parametrize("kind", ["nothing", "frozen", "smooth error", "rough error", "plain frames", "wrong start", "slabs that do not join"])
def test_it_reaches_what_was_asked(kind, tol):
    p = problem()
    found = wellposed.refine(p, start(kind, p), tol)
    assert found.status == "reached", found.message
    assert found.reached.tolist() == [True, True]
    assert bool((found.value <= tol).all())
    assert (relative(p, found.answer) <= found.bound.relative.numpy() + 1e-12).all()
    assert torch.equal(found.bound.relative.amax(1), found.value)
    assert found.history[-1].bound == pytest.approx(float(found.value.max()))
    assert float(found.cycles.max()) == len(found.history) <= 5
    assert "proved until t = 0.6" in found.message
    assert found.horizon == pytest.approx(0.6)
    certificate = found.certificate
    assert certificate.verdict is True
    assert certificate.claim("galerkin_error").upper == pytest.approx(float(found.value.max()), rel=1e-4)


def test_what_is_good_enough_is_left_alone():
    p = problem()
    flow = short()[1]
    found = wellposed.refine(p, flow, 1e-3)
    assert found.answer is flow
    assert found.cycles.tolist() == [0, 0]
    assert found.history == []


def test_a_pass_gains_digits():
    """The error of integration is relative to what is corrected: each pass leaves at most 1e-4 of an error."""
    p, flow = problem(), short()[1]
    bad = changed(flow, smooth_error(flow, 1.0))
    first = wellposed.refine(p, bad, None, passes=1).answer
    second = wellposed.refine(p, bad, None, passes=2).answer
    errors = [relative(p, v)[:, -1].max() for v in (bad, first, second)]
    assert errors[0] > 0.1
    assert errors[1] < 1e-4 * errors[0]
    assert errors[2] < 1e-11


def test_without_a_tolerance_it_goes_to_the_floor():
    p = problem()
    found = wellposed.refine(p, None)
    assert found.status == "reached"
    assert float(found.value.max()) < 1e-9
    assert found.tol is None


def test_each_sample_of_a_batch_gets_better():
    """One that is at the floor already must not keep the others from improving."""
    p = problem(samples=3)
    best = wellposed.refine(p, None).answer
    wrong = changed(best, smooth_error(best, 0.1) * torch.tensor([0.0, 1.0, 1e-4])[:, None, None, None, None])
    for tol in (1e-6, None):
        found = wellposed.refine(p, wrong, tol)
        assert found.status == "reached", found.message
        assert float(found.value.max()) <= (tol or 1e-9)
        assert float(found.bound.error[0, -1]) <= 1.01 * float(bound(p.equation, wrong, start=p.vorticity).error[0, -1])


def test_no_pass_is_wasted():
    """What the one pass that was allowed has found is the answer."""
    p = problem()
    found = wellposed.refine(p, None, 1e-12, passes=1)
    assert found.status in ("passes", "floor")
    assert float(found.value.max()) < 1e-3
    assert found.cycles.tolist() == [1, 1]
    none = wellposed.refine(p, None, 1e-12, passes=0)
    assert none.history == []
    assert none.status != "reached"


def test_no_answer_is_worse_than_the_start():
    p, flow = problem(), short()[1]
    for tol in (1e-14, 1e-7):
        found = wellposed.refine(p, flow, tol)
        assert bool((found.bound.error[:, -1] <= bound(p.equation, flow, start=p.vorticity).error[:, -1]).all())


def test_what_float64_cannot_give_is_said():
    p = problem(samples=1)
    found = wellposed.refine(p, None, 1e-16)
    assert found.status == "floor"
    assert found.reached.tolist() == [False]
    assert f"tol = {1e-16:g} was asked" in found.message
    achievable = float(found.message.rsplit("tol = ", 1)[1])
    assert wellposed.refine(p, None, achievable).status == "reached"


def test_samples():
    p = problem(samples=2)
    found = wellposed.refine(p, None, 1e-6)
    for k in range(2):
        one = found.sample(k)
        assert len(one.answer) == len(one.problem) == 1
        assert torch.equal(one.value, found.value[k : k + 1])
        assert torch.equal(one.bound.error, found.bound.error[k : k + 1])
        assert torch.equal(one.answer.vorticity, found.answer.vorticity[k : k + 1])
        assert torch.equal(own(one.again).values, own(found.again).values[k : k + 1])
        assert one.certificate.claim("galerkin_error").upper == pytest.approx(float(found.value[k]), rel=1e-4)
        again = bound(p.equation, one.answer, start=p.vorticity[k : k + 1])
        torch.testing.assert_close(again.error, one.bound.error, rtol=1e-6, atol=1e-14)


def test_the_same_alone_as_in_a_batch():
    p = problem(samples=2)
    together = wellposed.refine(p, None, 1e-6).answer.vorticity
    for k in range(2):
        torch.testing.assert_close(wellposed.refine(p[k], None, 1e-6).answer.vorticity, together[k : k + 1], rtol=0, atol=1e-6)


def test_a_flow_that_is_forced_from_rest():
    """Nothing relative can be proved at the start; the flow is found all the same."""
    p = Evolution(equation(), torch.zeros(1, N, N), TIMES)
    found = wellposed.refine(p, None)
    true = reference(p.equation, p.vorticity, TIMES, 1e-3)
    assert distance(true, 0.0)[0, -1] > 0.05
    assert (distance(found.answer.vorticity, true) <= found.bound.error.numpy() + 1e-12).all()
    assert float(found.bound.error.max()) < 1e-6


def test_what_a_grid_cannot_give_against_the_equation_is_said_with_one_that_can():
    viscosity, n, tol = 0.2, 16, 1e-4
    start_field = field(n, 2, 1, 1.0, 5.0)
    p = Evolution(equation(n, viscosity), start_field, TIMES)
    short_of = wellposed.refine(p, None, tol, against="pde")
    assert short_of.status == "floor"
    needed = short_of.needed
    assert needed in (32, 64)
    assert f"about {needed} x {needed} nodes" in short_of.message
    finer = Evolution(equation(needed, viscosity), to_field(resample(to_spectrum(start_field), n, needed), needed), TIMES)
    assert wellposed.refine(finer, None, tol, against="pde").status == "reached"
    assert wellposed.refine(p, None, tol).needed is None


def test_halving_slabs_and_steps():
    """Where passes on the slabs that are there end too early, finer ones go on."""
    p = problem(5e-3)
    coarse = held(p)
    fixed, auto = (wellposed.refine(p, coarse, 1e-10, mesh=mesh) for mesh in ("fixed", "auto"))
    assert auto.status == "reached"
    assert bool((auto.value <= fixed.value).all())


def test_the_error_equation_keeps_the_flow_in_one_piece():
    """u = v + e is continuous and starts where it was asked to, whatever v does."""
    p, flow = problem(), short()[1]
    for v in (changed(flow, jump_error(flow, 0.1)), changed(flow, rough_error(flow, 1e-2)), noisy(flow, 0.1, first=1.0)):
        slabs = bound(p.equation, v, start=p.vorticity).slabs if v.coefficients is None else own(v)
        better, error = corrected(p.equation, slabs, to_spectrum(p.vorticity), 0.02)
        torch.testing.assert_close(better.values[:, 1:, 0], better.values[:, :-1, -1], rtol=0, atol=1e-15)
        torch.testing.assert_close(better.values[:, 0, 0], to_spectrum(p.vorticity) * p.equation.modes.kept, rtol=0, atol=1e-15)
        assert error.values.shape == better.values.shape


def test_steps_that_are_too_long_are_said_to_be():
    p = Evolution(equation(N, 1e-4), field(N, 1, 1, 1e4), TIMES)
    with pytest.raises(ArithmeticError, match=r"the error equation has diverged between .* take shorter steps"):
        corrected(p.equation, bound(p.equation, held(p)).slabs, to_spectrum(p.vorticity), 1.0)


def test_guard_counts_what_it_releases_refines_and_refuses():
    p = problem(samples=3)
    flow = short(3)[1]
    wrong = changed(flow, smooth_error(flow, 1.0) * torch.tensor([0.0, 1.0, 1.0])[:, None, None, None, None])
    gap = Trajectory(wrong.times, wrong.vorticity * torch.tensor([1.0, 1.0, float("nan")])[:, None, None, None], own(wrong))
    for given, released, refused in ((flow, 3, 0), (wrong, 1, 0), (gap, 1, 1)):
        guarded = wellposed.guard(lambda p, given=given: given, 1e-4, solve=False)
        found = guarded(p)
        assert [found.counts[name] for name in ("released", "refined", "refused")] == [released, 3 - released - refused, refused]
        assert dict(guarded.counts) == found.counts
        for k, answer in enumerate(found.answers):
            if answer is not None:
                assert relative(p[k], answer).max() <= found.value[k] <= 1e-4
                assert found.certificate(k).verdict is True
    released = wellposed.guard(lambda p: flow, 1e-4)(p)
    assert torch.equal(released.answers[1].vorticity, flow.vorticity[1:2])


def test_guard_solves_what_no_model_answers():
    p = problem()
    gap = Trajectory(TIMES, torch.full((2, 4, N, N), math.nan))
    for model in (lambda q: gap, None, lambda q: gap.vorticity):
        found = wellposed.guard(model, 1e-5)(p)
        assert found.counts["refused"] == 0
        assert all(relative(p[k], found.answers[k]).max() <= 1e-5 for k in range(2))


def test_guard_refuses_what_cannot_be_proved():
    p = problem(samples=1)
    found = wellposed.guard(lambda q: short(1)[1], 1e-18, solve=False)(p)
    assert found.outcome == ["refused"]
    assert found.answers == [None]
    assert bool((found.value > 1e-18).all())
    assert "tol = 1e-18 was asked" in found.messages[0]
    assert found.certificate(0).verdict is not True


def test_guard_takes_frames_alone():
    p = Evolution(equation(), field(N, 1, 2), torch.linspace(0, 0.6, 31, dtype=torch.float64))
    frames = reference(p.equation, p.vorticity, p.times, 5e-3)
    found = wellposed.guard(lambda q: frames, 0.1)(p)
    assert found.outcome == ["released", "released"]
