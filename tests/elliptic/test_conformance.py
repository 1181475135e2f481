"""Each claim of the room through the shipped conformance suite: a broken operator does not pass, a forgery is refused."""

from __future__ import annotations

import numpy as np
import pytest
from cases import disturbed, draw

import wellposed
from wellposed.certificate import Certificate, issue
from wellposed.elliptic import Darcy, clamp
from wellposed.testing import check_claim
from wellposed.testing.conformance import check_broken, check_good, check_round_trip
from wellposed_check import Refused

RNG = np.random.default_rng(2)
PROBLEM = draw("corner neumann", 4, RNG, field="cells")
GOOD = disturbed(PROBLEM, RNG, 0.01)
WEIGHT = np.ones((1, 4, 4))
TOLERANCES = {"energy_error": 0.9, "compliance_width": 0.8, "compliance": 0.2, "goal": 1.0}


def requiring(certificate: Certificate, claim: str, tol: float) -> Certificate:
    """The same evidence, with one claim and a requirement on it."""
    return issue("elliptic.Darcy", certificate.document["subject"]["problem"]["parameters"], certificate.arrays,
                 {f"elliptic.{claim}/1": tol}, "margin", certificate.document["provenance"])


def certified(claim: str, answer: np.ndarray) -> Certificate:
    """Requires hardly more of `claim` than what a good answer has."""
    goal = WEIGHT if claim == "goal" else None
    good = requiring(wellposed.certify(PROBLEM, GOOD, goal=goal), claim, 1e9).claim(claim).upper
    assert good is not None
    return requiring(wellposed.certify(PROBLEM, answer, goal=goal), claim, good + 0.05 * abs(good))


BROKEN = {
    "zero": np.zeros((1, 5, 5)),
    "scaled": clamp(PROBLEM, 1.5 * GOOD),
    "upside down": clamp(PROBLEM, GOOD[:, ::-1].copy()),
    "transposed": clamp(PROBLEM, GOOD.transpose(0, 2, 1).copy()),
    "noise": clamp(PROBLEM, np.random.default_rng(3).standard_normal((1, 5, 5))),
}


@pytest.mark.parametrize("claim", TOLERANCES)
def test_conformance(claim: str):
    check_claim(certified(claim, GOOD), certified(claim, BROKEN["noise"]), claim, share=0.5)


@pytest.mark.parametrize("claim", TOLERANCES)
@pytest.mark.parametrize("how", BROKEN)
def test_broken_operators_do_not_pass(claim: str, how: str):
    check_broken(lambda: certified(claim, BROKEN[how]), claim)


def test_a_broken_operator_may_raise():
    def raises() -> Certificate:
        return wellposed.certify(PROBLEM, GOOD + 1.0, tol=0.9)  # not its Dirichlet values

    def refuses() -> Certificate:
        raise Refused("no")

    check_broken(raises)
    check_broken(refuses)


def test_the_suite_sees_a_broken_operator_that_passes():
    good = certified("energy_error", GOOD)
    with pytest.raises(AssertionError, match="the broken operator passes"):
        check_claim(good, good)


def test_the_suite_sees_a_good_operator_that_does_not():
    bad = certified("energy_error", BROKEN["noise"])
    with pytest.raises(AssertionError, match="the good operator does not pass"):
        check_claim(bad, bad)


def test_the_suite_wants_a_requirement():
    free = wellposed.certify(PROBLEM, GOOD)
    with pytest.raises(AssertionError, match="nothing is required of any claim: a certificate that cannot fail"):
        check_good(free)
    with pytest.raises(AssertionError, match="nothing is required of compliance"):
        check_good(certified_both(), "compliance")


def certified_both() -> Certificate:
    return wellposed.certify(PROBLEM, GOOD, tol=5.0)


def test_the_suite_sees_arrays_that_were_changed():
    good = certified("energy_error", GOOD)
    tampered = Certificate(good.document, good.arrays | {"stream": good.arrays["stream"] + 1.0})
    with pytest.raises(AssertionError, match="the checker disagrees"):
        check_good(tampered)
    with pytest.raises(Refused):
        check_round_trip(tampered)


@pytest.mark.parametrize("arithmetic", ["margin", "enclosed"])
@pytest.mark.parametrize("boundary", ["dirichlet", "top and bottom neumann", "neumann", "periodic"])
def test_round_trip_of_every_kind(arithmetic: str, boundary: str):
    rng = np.random.default_rng(4)
    problem = draw(boundary, 4, rng, samples=2, dirichlet=True)
    check_round_trip(wellposed.certify(problem, disturbed(problem, rng, 0.01), tol=0.5, arithmetic=arithmetic))


@pytest.mark.parametrize("wrong", [1e-2, 1e-6, pytest.param(1e-8, marks=pytest.mark.xfail(
    strict=True, raises=ArithmeticError, reason="claims._agree compares relative errors, ill-conditioned where the norm of u is barely proved"))])
def test_answers_whose_norm_is_barely_proved_are_certified_too(wrong: float):
    """v = (2 - e) u: 2 F(v) - |v|^2 is almost nothing, and eta over its root is large, but nothing is wrong."""
    problem = Darcy(np.ones((1, 8, 8)))
    claim = wellposed.certify(problem, (2 - wrong) * problem.solve()).claim("energy_error")
    assert claim.upper is not None
    assert claim.upper == pytest.approx(1 / np.sqrt(2 * wrong), rel=0.2)
