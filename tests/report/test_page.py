"""The page holds together by itself, says what the numbers say, and escapes what it is given."""

import re
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

import wellposed
from wellposed.elliptic import Darcy, clamp, generate
from wellposed.report import certified
from wellposed.report.certified import outward
from wellposed.report.darcy import DarcyCase, GuardRow, darcy_report
from wellposed.report.earned import judgement
from wellposed.report.page import Section, badge, commands, page, paragraph, table

EVIL = '<script src="http://x.example/a.js">&"\''
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Strict(HTMLParser):
    """Refuses tags that do not match; gathers what would be loaded."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data", "srcset", "poster")]
        assert tag not in ("script", "link", "iframe", "object")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag]
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)


def read(html):
    parser = Strict()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def answer_of(problem, size=0.05):
    n = problem.n
    x = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    return clamp(problem, torch.as_tensor(problem.solve()) * (1 + size * torch.sin(9 * x)[:, None] * torch.cos(7 * x))).numpy()


def case_of(problem, name="a case", tol=0.05, **more):
    answer = answer_of(problem)
    runs = {"network": wellposed.refine(problem, answer), "zero start": wellposed.refine(problem)}
    return DarcyCase(name, problem, answer, wellposed.certify(problem, answer, tol), runs, **more)


@pytest.fixture(scope="module")
def full():
    problem = generate("two-phase", 16, 1)
    guards = [GuardRow("network", 3, 4, 1, 0, 50.0, 1.5), GuardRow(EVIL, 0, 8, 0, 0, 100.0, 3.0)]
    return case_of(problem, f"medium {EVIL}", finer=wellposed.refine(problem, None, 0.12, mesh="auto"), guards=guards,
                   commands=[(f"wellposed check 'a b' {EVIL}", f"again {EVIL}")], note=f"a note {EVIL}")


def test_report_is_whole_loads_nothing_and_escapes(full):
    html = darcy_report(full)
    parsed = read(html)
    assert parsed.loads
    assert all(v.startswith(("data:image/png;base64,", "#")) for v in parsed.loads)
    assert "http://x.example" in "".join(parsed.words)
    assert "url(http" not in html
    assert "@import" not in html
    assert html.count("http") == html.count("http-equiv") + html.count("http://x.example") + html.count("http://www.w3.org/2000/svg")
    for title in ("On what this rests", "The certificate", "The bounds, cycle by cycle", "What refinement reached",
                  "Does the network earn its place?", "What to type next"):
        assert f"<h2>{title}</h2>" in html


def test_report_is_deterministic(full):
    assert darcy_report(full) == darcy_report(full)


@pytest.mark.parametrize("make", [
    lambda: Darcy(np.ones((1, 16, 16)), 1.0, {"bottom": "dirichlet", "right": "neumann", "top": "neumann", "left": "dirichlet"}),
    lambda: Darcy(np.ones((1, 16, 16)), np.tile(np.repeat([1.0, -1.0], 8), (1, 16, 1)), "periodic"),
    lambda: Darcy(torch.ones(1, 16, 16), 1.0, dirichlet={"left": 1.0, "right": 1.0, "top": 1.0, "bottom": 1.0}),
    lambda: Darcy(10.0 ** np.random.default_rng(0).uniform(-3, 3, (1, 16, 16)), 1.0),
    lambda: Darcy(np.ones((1, 16, 16)), 1.0, coefficient_error=0.02, cellwise=False),
])
def test_report_of_other_problems(make):
    problem = make()
    answer = answer_of(problem)
    runs = {"zero start": wellposed.refine(problem, tol=1e-3)}
    read(darcy_report(DarcyCase("other", problem, answer, wellposed.certify(problem, answer, 0.5), runs)))


def test_report_needs_one_sample_and_the_numbers_behind_the_certificate(tmp_path):
    problem = generate("smooth", 16, 2)
    certificate = wellposed.certify(problem, problem.solve())
    with pytest.raises(ValueError, match="2 samples"):
        darcy_report(DarcyCase("x", problem, problem.solve(), certificate))
    one = problem[0]
    loaded = wellposed.load(wellposed.certify(one, one.solve()).save(tmp_path))
    with pytest.raises(ValueError, match="loaded"):
        darcy_report(DarcyCase("x", one, one.solve(), loaded))


@pytest.mark.parametrize(("tol", "word", "tone"), [
    (0.9, "Holds", "good"), (1e-3, "Fails", "bad"), (None, "Nothing was required", "plain")])
def test_verdict_says_what_the_certificate_says(tol, word, tone):
    problem = generate("two-phase", 16, 1)
    banner = certified.verdict(wellposed.certify(problem, answer_of(problem), tol))
    assert f'class="verdict {tone}"' in banner
    assert f">{word}<" in banner


def test_undecided_and_violated_are_loud():
    problem = Darcy(np.ones((1, 16, 16)), 1.0, cellwise=False)
    certificate = wellposed.certify(problem, problem.solve(), 0.9)
    assert 'class="verdict open"' in certified.verdict(certificate)
    assert "violated" in certified.verdict(certificate)
    first = re.search(r"<li>(.*?)</li>", certified.assumptions(certificate))
    assert first
    assert "badge bad" in first[1]
    assert "violated" in first[1]


@pytest.mark.parametrize("x", [0.0942647649, 7.38e-17, 123456.7, 1.0, 0.99996, 3.3e12])
def test_printed_bounds_are_as_true_as_the_proved_ones(x):
    assert Decimal(outward(x, False)) <= Decimal(x) <= Decimal(outward(x, True))
    assert float(outward(x, True)) <= x * 1.0011


def test_outward_without_an_end():
    assert outward(float("inf"), True) == "∞"
    assert outward(0.0, False) == "0"


def test_judgement_follows_the_numbers():
    def row(name, rate, cycles):
        return GuardRow(name, 1, 1, 1, 0, rate, cycles)

    zero = row("zero start", 100.0, 4.0)
    for rate, cycles, verdict, saved in ((150.0, 2.0, "Yes", "2.00 cycles fewer"), (50.0, 5.0, "No", "1.00 cycles more"),
                                         (101.0, 4.0, "It makes no difference", "as many cycles")):
        said = judgement([row("network", rate, cycles), zero])
        assert said.startswith(verdict)
        assert saved in said
    assert "nothing can be said" in judgement([zero])
    assert "some" in judgement([zero, row("broken", 0.0, 0.0)])


def test_pieces_escape():
    for html in (page(EVIL, [Section(EVIL, paragraph(EVIL))], lead=EVIL), table((EVIL,), [(EVIL,)]), commands([(EVIL, EVIL)])):
        assert "<script" not in html
        read(html)
    with pytest.raises(ValueError, match="tone"):
        badge("x", "red")
