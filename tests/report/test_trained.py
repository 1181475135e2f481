"""The report of a trained operator: its numbers are those that were proved, and it says what was not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_page import EVIL, read

import wellposed
from wellposed.elliptic import MgNO
from wellposed.elliptic.exam import examine
from wellposed.elliptic.families import draw
from wellposed.report.certified import outward
from wellposed.report.earned import GuardRow
from wellposed.report.trained import TrainedCase, family_row, percent, summary, trained_report

TOL = 0.3


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("runs") / "run"
    model = MgNO.darcy(channels=4, layers=2, levels=3)
    run = wellposed.train(model, draw("smooth", 16, 8), validation=draw("smooth", 16, 4, seed=2), steps=6, report_every=2,
                          folder=folder, quiet=True)
    exams = [examine(model, draw("smooth", 16, 3, seed=1), "smooth", references=2),
             examine(model, draw("checkerboard", 16, 2, seed=1, source="random"), f"squares {EVIL}", inside=False, references=1)]
    rows = [GuardRow("network", 2, 1, 0, 0, 51.5, 0.75), GuardRow("zero start", 0, 3, 0, 0, 33.5, 2.25)]
    return TrainedCase(f"a case {EVIL}", f"about {EVIL}", run.history, exams, {"all at once": rows, "one by one": rows[::-1]}, TOL,
                       exams[0].certificate(1, tol=TOL), 1, [(f"wellposed check 'a b' {EVIL}", "again")], f"a note {EVIL}")


def text(html):
    return " ".join("".join(read(html).words).split())


def test_report_is_whole_loads_nothing_and_escapes(case):
    html = trained_report(case)
    parsed = read(html)
    assert parsed.loads
    assert all(v.startswith(("data:image/png;base64,", "#")) for v in parsed.loads)
    assert "http://x.example" in "".join(parsed.words)
    assert "url(http" not in html
    assert "@import" not in html
    assert html.count("http") == html.count("http-equiv") + html.count("http://x.example") + html.count("http://www.w3.org/2000/svg")
    for title in ("What is proved of fields it has never seen", "How sharp the bounds are", "One certificate", "How it learned",
                  "Does the network earn its place?", "What to type next", "Two of the fields, and where their answers may be wrong"):
        assert f"<h2>{title}</h2>" in html


def test_report_is_deterministic(case):
    assert trained_report(case) == trained_report(case)


def test_the_numbers_are_those_of_the_exams(case):
    html = trained_report(case)
    for exam in case.exams:
        row = family_row(exam)
        assert (row.fields, row.median, row.largest) == (len(exam.relative), np.median(exam.relative), max(exam.relative))
        for x in (row.median, row.largest, row.width):
            assert f">{percent(x)}<" in html
        assert row.effectivity is not None
        assert row.largest_effectivity is not None
        assert f">{row.effectivity:.2f}<" in html
        assert (row.references, row.violations) == (len(exam.effectivity), 0)
        assert 1 <= row.effectivity <= row.largest_effectivity
    assert "5 of 5 unseen answers carry a bound" in text(html)
    assert "0 of 3" in text(html)
    assert outward(100 * case.certificate.claim("energy_error").upper, True) in html
    for number in ("51.5", "33.5", "0.75", "2.25"):
        assert f">{number}<" in html


def test_bounds_are_those_of_the_certificates(case):
    for exam in case.exams:
        for k, bound in enumerate(exam.relative):
            assert exam.certificate(k, lower="none").claim("energy_error").upper == bound
            assert float(percent(bound).split("\u00a0")[0]) >= 100 * bound


def test_one_unproved_answer_is_not_hidden(case):
    first = case.exams[0]
    html = trained_report(replace(case, exams=[replace(first, relative=np.array([0.1, np.inf, 0.1]))]))
    assert "Not every unseen answer carries a bound" in html
    assert "unseen answers carry a bound" not in html
    assert "∞" in html


def test_a_bound_below_the_error_is_counted(case):
    html = trained_report(replace(case, exams=[replace(case.exams[0], effectivity=np.array([1.2, 0.9]))]))
    assert "1 of 2" in text(html)


def test_what_was_not_asked_for_is_said(case):
    bare = replace(case, exams=[replace(case.exams[0], effectivity=np.zeros(0))], guards={}, history=[], commands=())
    html = trained_report(bare)
    read(html)
    assert "the recipe asked for no references" in html
    assert "No report was made" in html
    assert "Does the network earn its place?" not in html
    with pytest.raises(ValueError, match="received no exam"):
        trained_report(replace(case, exams=[]))


def test_the_summary_separates_what_it_was_trained_on(case):
    rows = [family_row(exam) for exam in case.exams]
    assert percent(rows[0].largest) in summary(rows[:1])
    assert "other kinds" not in summary(rows[:1])
    assert f"on other kinds at most {percent(rows[1].largest)}" in summary(rows)
    assert summary(rows).endswith("proved for each of 5 answers, with no solve.")
