"""The report of flows, and the exam behind it: numbers that were proved, and contain the truth; nothing that was not computed."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_page import EVIL, read

from wellposed.certificate import load
from wellposed.flow import Evolution, NavierStokes2D, SpacetimeFNO, Trajectory, initial, solve
from wellposed.flow.exam import energy, examine, on_half_the_grid, published_losses, residual_seen, tuned_solver
from wellposed.flow.residual import speed
from wellposed.numerics.vorticity import to_spectrum
from wellposed.report.certified import outward
from wellposed.report.earned import GuardRow
from wellposed.report.flow import FlowCase, between, family_row, flow_report, percent, summary

TOL, N = 1e-4, 16
EQUATION = NavierStokes2D(2e-2, N)
TIMES = torch.linspace(0, 0.3, 4, dtype=torch.float64)


def problem_of(samples=2, seed=0, times=TIMES):
    return Evolution(EQUATION, initial.mcwilliams(N, samples, seed), times)


def model():
    torch.manual_seed(0)
    return SpacetimeFNO.of(EQUATION, 0.1, modes=3, channels=2, layers=1).eval()


def broken(problem):
    """A network whose second answer is not finite."""
    found = model()(problem)
    found.coefficients.values[1:, -1] = float("nan")
    return Trajectory.of(found.coefficients, problem.times)


@pytest.fixture(scope="module")
def exams():
    return [examine(model(), problem_of(), "kind", tol=TOL), examine(broken, problem_of(2, 7), f"lost {EVIL}", False, TOL)]


@pytest.fixture(scope="module")
def case(exams):
    rows = [GuardRow("network", 0, 2, 0, 0, 51.5, 0.75), GuardRow("held field", 0, 2, 0, 0, 33.5, 2.25)]
    losses = published_losses(exams[0], frames=9, steps=3)
    return FlowCase(f"a case {EVIL}", f"about {EVIL}", [{"step": 1, "train_loss": 0.5}, {"step": 2, "train_loss": 0.25}], exams,
                    {"all at once": rows, "one by one": rows[::-1]}, TOL, exams[0].certificate(1, TOL), exams[0].predicted(1, TOL), 1, losses,
                    [(f"wellposed check 'a b' {EVIL}", "again")], f"a note {EVIL}")


@pytest.fixture(scope="module")
def html(case):
    return flow_report(case)


def test_report_is_whole_loads_nothing_and_escapes(case, html):
    parsed = read(html)
    assert parsed.loads
    assert all(v.startswith(("data:image/png;base64,", "#")) for v in parsed.loads)
    assert "http://x.example" in "".join(parsed.words)
    assert "url(http" not in html
    assert html.count("http") == html.count("http-equiv") + html.count("http://x.example") + html.count("http://www.w3.org/2000/svg")
    for title in ("What is proved of flows it has never seen", "One of the flows", "The error, from both sides", "Energy over wave numbers",
                  "What is left over of the equation", "What this grid cannot certify", "Does the network earn its place?",
                  "What the published refiner's loss sees", "Two certificates", "How it learned", "What to type next"):
        assert f"<h2>{title.replace(chr(39), '&#x27;')}</h2>" in html
    assert html == flow_report(case)


def test_the_numbers_are_those_of_the_exams(case, html):
    for exam in case.exams:
        row = family_row(exam)
        for number in (between(row.lower, row.upper), percent(row.largest), percent(row.pde), outward(row.refined, True, 3)):
            assert f">{number}<" in html
        assert row.met == row.flows == 2
        assert row.refined <= TOL
    assert family_row(case.exams[1]).lost == 1
    assert "(1 not finite)" in html
    assert "4 of 4 unseen flows carry a certificate of 0.0001" in html
    assert summary([family_row(e) for e in case.exams], TOL).startswith("On unseen flows of the kind it was trained on")


def test_errors_are_enclosed_before_and_after_refining(exams):
    for exam in exams:
        exact = solve(EQUATION, exam.problem.vorticity, TIMES, step=2e-3, slab=0.05)
        for trajectory, low, high in ((exam.answer, exam.raw.lower, exam.raw.upper),
                                      (exam.refined.answer, torch.zeros(1), exam.refined.bound.error)):
            error = speed(to_spectrum(trajectory.vorticity - exact.vorticity) * EQUATION.modes.kept, EQUATION.modes)
            assert (error >= low - 1e-9).all()
            assert (error <= high + 1e-9).all()
        assert (exam.raw.upper[:, 1:] - exam.raw.lower[:, 1:] < 0.1 * exam.raw.upper[:, 1:]).all()


def test_what_is_not_finite_is_held(exams):
    assert exams[1].usable.tolist() == [True, False]
    start = exams[1].refined.answer.vorticity[1, 0]
    assert torch.allclose(exams[1].answer.vorticity[1], start.expand(4, N, N), atol=1e-12)
    frames_only = examine(lambda p: Trajectory(p.times, torch.where(torch.arange(2)[:, None, None, None] > 0, torch.nan, 1.0)
                                               * p.vorticity[:, None].expand(-1, 4, -1, -1)), problem_of(), "frames", tol=TOL)
    assert frames_only.usable.tolist() == [True, False]
    assert bool(frames_only.refined.reached.all())


def test_certificates_of_one_sample_hold_and_fail(exams, tmp_path):
    for sample in (0, 1):
        sharp, own = exams[0].certificate(sample, TOL), exams[0].predicted(sample, TOL)
        assert (sharp.verdict, own.verdict) == (True, False)
        assert (sharp.check().status, own.check().status) == (True, False)
        claim = own.claim("galerkin_error")
        assert claim.lower <= exams[0].raw.relative[0][sample].max() <= exams[0].raw.relative[1][sample].max() <= claim.upper
    with pytest.raises(ValueError, match="loaded"):
        flow_report(FlowCase("x", "", [], exams, {}, TOL, load(sharp.save(tmp_path)), own))
    with pytest.raises(ValueError, match="received no exam"):
        flow_report(FlowCase("x", "", [], [], {}, TOL, sharp, own))


def test_a_flow_that_is_not_refined_is_not_called_certified(case):
    short = replace(case.exams[0], refined=replace(case.exams[0].refined, reached=torch.tensor([True, False])))
    html = flow_report(replace(case, exams=[short], guards={}, losses=(), history=[], commands=()))
    assert "1 of 2 unseen flows carry a certificate" in html
    assert 'class="verdict open"' in html
    for title in ("Does the network earn its place?", "What the published refiner", "How it learned", "What to type next"):
        assert title not in html


def test_numbers_are_rounded_outwards():
    assert between(0.012345, 0.012346) == "1.23 to 1.24\u00a0%"
    assert percent(0.012341) == "1.24\u00a0%"
    assert (percent(2.0), percent(float("inf")), between(0.1, float("inf"))) == ("over 100\u00a0%", "nothing", "nothing")


def test_the_published_loss_is_blind_and_says_so(case, html):
    by_name = {x.name: x for x in case.losses}
    answer, mixed = by_name["the network's answer"], by_name["the network's frames, shuffled"]
    assert mixed.published == pytest.approx(answer.published, rel=1e-9)
    assert mixed.honest > 1.1 * answer.honest > 10 * by_name["the refined answer"].honest
    assert answer.lower <= answer.upper < by_name["the initial field, held"].upper * 1.5
    said = re.search(r"differs by a factor of ([\d.]+), their errors by one of at least ([\d.e+]+)\.", html)
    assert said
    assert float(said[1]) < float(said[2])


def test_energy_and_residual_add_up(exams):
    w = to_spectrum(exams[0].answer.vorticity[:, -1]) * EQUATION.modes.kept
    np.testing.assert_allclose(energy(w, EQUATION).sum(1), 0.5 * speed(w, EQUATION.modes) ** 2, rtol=1e-12)
    seen, pde = residual_seen(EQUATION, exams[0].refined.answer), exams[0].pde
    np.testing.assert_allclose(seen["shells"].square().sum().sqrt(), pde.residual[0], rtol=1e-10)
    assert len(seen["times"]) == len(seen["kept"]) == len(seen["whole"])
    assert (seen["kept"] <= seen["whole"] * (1 + 1e-12)).all()


def test_starts_beside_the_network():
    problem = problem_of(2, 3)
    exact = solve(EQUATION, problem.vorticity, TIMES)
    still = float(speed(to_spectrum(exact.vorticity - exact.vorticity[:, :1]), EQUATION.modes).max())
    solver = tuned_solver(problem, TOL)
    assert float(examine(solver, problem, "solver", tol=TOL).refined.cycles.max()) == 0
    guess = on_half_the_grid(problem)
    assert torch.equal(guess.times, TIMES)
    error = speed(to_spectrum(guess.vorticity - exact.vorticity) * EQUATION.modes.kept, EQUATION.modes)
    assert float(error.max()) < still
    assert float(error[:, 0].max()) < 1e-12
