"""Around any model: what is proved is released, the rest refined, solved or refused; and counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from cases import disturbed

import wellposed
from wellposed.elliptic import Darcy, bound, generate
from wellposed.guarded import OUTCOMES, Guard

PROBLEM = generate("smooth", 16, 4)
SOLVED = PROBLEM.solve()
TOL = 0.15
RNG = np.random.default_rng(0)
ROUGH = SOLVED + 0.3 * (disturbed(PROBLEM, RNG, 0.2) - SOLVED)


def mixed(problem: Darcy) -> np.ndarray:
    """The solver's answer, a rough one, the solver's, noise."""
    out = SOLVED.copy()
    out[1], out[3] = ROUGH[1], RNG.standard_normal((17, 17))
    return out


def test_good_answers_are_released_as_they_are():
    g = wellposed.guard(lambda p: SOLVED, TOL)(PROBLEM)
    assert g.outcome == ["released"] * 4
    assert all(np.array_equal(u, v) for u, v in zip(g.answers, SOLVED, strict=True))
    assert (g.value <= TOL).all()
    assert g.cycles.tolist() == [0] * 4


def test_rough_answers_are_refined():
    g = wellposed.guard(mixed, TOL)(PROBLEM)
    assert g.outcome == ["released", "refined", "released", "refined"]
    assert g.counts == {"released": 2, "refined": 2, "solved": 0, "refused": 0}
    assert (g.cycles > 0).tolist() == [False, True, False, True]
    for k, u in enumerate(g.answers):
        assert bound(PROBLEM[k], u).relative[0] <= 1.02 * TOL


def test_what_the_mesh_cannot_do_is_solved_on_a_finer_one():
    g = wellposed.guard(lambda p: SOLVED, TOL / 4)(PROBLEM)
    assert g.outcome == ["solved"] * 4
    assert all(u.shape[-1] > 17 for u in g.answers)
    assert (g.value <= TOL / 4).all()
    assert g.certificate(2).verdict is True
    assert g.certificate(2).check().status is True


def test_what_nothing_can_do_is_refused():
    guard = wellposed.guard(lambda p: SOLVED, 1e-3, memory=1_000_000)
    g = guard(PROBLEM)
    assert g.outcome == ["refused"] * 4
    assert g.answers == [None] * 4
    assert np.isfinite(g.value).all()  # the best that could be proved
    assert g.certificate(0).verdict is None
    assert "tol" in g.messages[0]


def test_solving_may_be_forbidden():
    g = wellposed.guard(lambda p: SOLVED, TOL / 4, solve=False)(PROBLEM)
    assert g.outcome == ["refused"] * 4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_solved_from_zero(value: float):
    broken = SOLVED.copy()
    broken[2, 3, 4] = value
    g = wellposed.guard(lambda p: broken, TOL)(PROBLEM)
    assert g.outcome == ["released", "released", "solved", "released"]
    assert bound(PROBLEM[2], g.answers[2]).relative[0] <= 1.02 * TOL


def test_samples_that_are_not_finite_are_refused_where_solving_is_not_allowed():
    broken = SOLVED.copy()
    broken[2] = np.nan
    g = wellposed.guard(lambda p: broken, TOL, solve=False)(PROBLEM)
    assert g.outcome[2] == "refused"
    assert g.answers[2] is None
    assert g.value[2] == np.inf
    assert "not usable" in g.messages[2]
    with pytest.raises(LookupError, match="nothing could be computed"):
        g.certificate(2)


def test_all_samples_not_finite():
    g = wellposed.guard(lambda p: np.full_like(SOLVED, np.nan), TOL)(PROBLEM)
    assert g.outcome == ["solved"] * 4


@pytest.mark.parametrize("shape", [(4, 16, 16), (3, 17, 17), (4, 17), (17, 17)])
def test_a_wrong_shape_is_an_error_of_the_code(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"received the shape .* expected \(4, 17, 17\)"):
        wellposed.guard(lambda p: np.zeros(shape), TOL)(PROBLEM)


@pytest.mark.parametrize("answer", ["text", None, {"u": SOLVED}, SOLVED.astype(complex)], ids=lambda x: type(x).__name__)
def test_what_is_no_field_is_an_error_of_the_code(answer: Any):
    with pytest.raises((ValueError, TypeError)):
        wellposed.guard(lambda p: answer, TOL)(PROBLEM)


def test_boundary_values_are_written():
    """A network rarely meets them bit by bit; that is not held against it."""
    g = wellposed.guard(lambda p: SOLVED + 1e-7, TOL)(PROBLEM)
    assert g.outcome == ["released"] * 4
    assert all((u[0] == 0).all() for u in g.answers)


def test_a_model_may_give_its_own_stream_function():
    b = bound(PROBLEM, SOLVED)
    g = wellposed.guard(lambda p: (SOLVED, b.stream), TOL)(PROBLEM)
    assert g.outcome == ["released"] * 4
    assert g.value == pytest.approx(b.relative, rel=1e-9)
    poor = wellposed.guard(lambda p: (SOLVED, np.zeros_like(b.stream)), TOL)(PROBLEM)
    assert poor.outcome == ["refined"] * 4


def test_a_stream_function_that_is_not_finite_costs_only_cycles():
    broken = bound(PROBLEM, SOLVED).stream.copy()
    broken[1] = np.nan
    g = wellposed.guard(lambda p: (SOLVED, broken), TOL)(PROBLEM)
    assert "refused" not in g.outcome
    assert (g.value <= TOL).all()


def test_no_model_starts_from_zero():
    g = wellposed.guard(None, TOL)(PROBLEM)
    assert g.outcome == ["refined"] * 4


def test_counts_add_up_over_batches():
    guard = wellposed.guard(mixed, TOL)
    for _ in range(3):
        guard(PROBLEM)
    assert guard.counts == {"released": 6, "refined": 6, "solved": 0, "refused": 0}
    assert sum(guard.counts.values()) == 12
    assert guard.seconds > 0
    assert guard.rate == pytest.approx(12 / guard.seconds)
    assert str(guard(PROBLEM)) == "2 released, 2 refined, 0 solved, 0 refused"


def test_refused_answers_are_not_counted_as_guaranteed():
    guard = wellposed.guard(lambda p: SOLVED, 1e-3, solve=False)
    assert guard.rate == 0.0
    guard(PROBLEM)
    assert guard.counts["refused"] == 4
    assert guard.rate == 0.0


def test_outcomes_are_the_four():
    assert OUTCOMES == ("released", "refined", "solved", "refused")
    assert isinstance(wellposed.guard(None, 0.1), Guard)


def test_every_released_answer_has_a_certificate_that_checks(tmp_path):
    g = wellposed.guard(mixed, TOL)(PROBLEM)
    for k in range(4):
        c = g.certificate(k)
        assert c.verdict is True
        assert c.claim("energy_error").required == TOL
        c.save(tmp_path / str(k))
        assert wellposed.check(tmp_path / str(k)).exit_code == 0


def test_the_other_quantity():
    g = wellposed.guard(mixed, 0.03, quantity="compliance_width")(PROBLEM)
    assert "refused" not in g.outcome
    assert g.certificate(0).claim("compliance_width").holds is True


def test_torch_models_and_problems():
    problem = Darcy(PROBLEM.coefficient, 1.0)
    network = torch.nn.Linear(1, 1)
    g = wellposed.guard(lambda p: torch.as_tensor(SOLVED).float() + 0 * network(torch.ones(1)).squeeze(), TOL)(problem)
    assert g.outcome == ["released"] * 4
    assert all(isinstance(u, torch.Tensor) and u.dtype == torch.float64 and not u.requires_grad for u in g.answers)


def test_a_model_that_writes_into_its_input_does_no_harm():
    def careless(problem: Darcy) -> np.ndarray:
        problem.coefficient.mul_(1000.0)
        return SOLVED

    problem = generate("smooth", 16, 4)
    g = wellposed.guard(careless, TOL)(problem)
    assert torch.equal(problem.coefficient, PROBLEM.coefficient)
    assert g.value == pytest.approx(bound(PROBLEM, SOLVED).relative, rel=1e-6)


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_other_sides(boundary: str):
    f = np.cos(np.pi * (np.arange(16) + 0.5) / 8)
    problem = generate("smooth", 16, 2, source=f - f.mean(), boundary=boundary)
    g = wellposed.guard(lambda p: problem.solve(), 0.3)(problem)
    assert g.outcome == ["released"] * 2
    if boundary == "periodic":
        assert all(np.array_equal(u[0], u[-1]) for u in g.answers)


def test_a_sample_without_data_is_refused_and_the_others_are_not():
    f = np.ones((4, 16, 16))
    f[1] = 0
    g = wellposed.guard(None, TOL)(Darcy(PROBLEM.coefficient.numpy(), f))
    assert g.outcome == ["refined", "refused", "refined", "refined"]


def test_oscillation_terms_are_refused_where_the_mesh_cannot_do_it():
    problem = Darcy(PROBLEM.coefficient.numpy(), 1.0, source_oscillation=np.full((4, 16, 16), 1e-4))
    g = wellposed.guard(lambda p: SOLVED, TOL / 4)(problem)
    assert g.outcome == ["refused"] * 4


@pytest.mark.parametrize("tol", [0.0, -0.1, np.inf, np.nan])
def test_tolerance_out_of_range(tol: float):
    with pytest.raises(ValueError, match="guard: received tol="):
        wellposed.guard(None, tol)


@pytest.mark.parametrize("options", [{"mesh": "auto"}, {"stream": SOLVED}])
def test_options_that_the_guard_chooses_itself(options: dict[str, Any]):
    with pytest.raises(ValueError, match="guard: received mesh or stream"):
        wellposed.guard(None, 0.1, **options)


def test_problems_of_unknown_type():
    with pytest.raises(TypeError, match="received a problem of the type list"):
        wellposed.guard(lambda p: p, 0.1)([1, 2])
