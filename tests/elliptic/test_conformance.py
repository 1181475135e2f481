"""Each claim of the room through the shipped conformance suite: a broken operator does not pass, a forgery is refused."""

from __future__ import annotations

import numpy as np
import pytest
from cases import disturbed, draw

import wellposed
from wellposed.certificate import Certificate, issue
from wellposed.elliptic import bound, clamp, generate
from wellposed.testing import check_claim
from wellposed.testing.conformance import check_broken, check_good, check_round_trip
from wellposed_check import Refused

RNG = np.random.default_rng(2)
PROBLEM = draw("corner neumann", 4, RNG, field="cells")
GOOD = disturbed(PROBLEM, RNG, 0.01)
STREAM = bound(PROBLEM, GOOD).stream
NOISE = np.random.default_rng(3).standard_normal((1, 5, 5))
POTENTIALS = {"zero": 0 * GOOD, "scaled": 1.5 * GOOD, "upside down": GOOD[:, ::-1], "transposed": GOOD.transpose(0, 2, 1), "noise": NOISE}
STREAMS = {"stream zero": 0 * STREAM, "stream scaled": 1.5 * STREAM, "stream of the other sign": -STREAM, "stream noise": NOISE}
BROKEN = {k: (clamp(PROBLEM, v.copy()), STREAM) for k, v in POTENTIALS.items()} | {k: (GOOD, psi) for k, psi in STREAMS.items()}
ANSWERS = {"energy_error": tuple(BROKEN), "compliance_width": tuple(BROKEN), "compliance": tuple(STREAMS), "goal": ("noise", "stream noise")}
"""What breaks which claim: the upper end of the compliance is int |t|^2 / a, and does not depend on the potential at all."""


def requiring(certificate: Certificate, claim: str, tol: float) -> Certificate:
    """The same evidence, with one claim and a requirement on it."""
    return issue("elliptic.Darcy", certificate.document["subject"]["problem"]["parameters"], certificate.arrays,
                 {f"elliptic.{claim}/1": tol}, "margin", certificate.document["provenance"])


def certified(claim: str, answer: np.ndarray, stream: np.ndarray) -> Certificate:
    """Requires hardly more of `claim` than what the good answer has."""
    good, given = (wellposed.certify(PROBLEM, v, stream=psi, goal=np.ones((1, 4, 4)) if claim == "goal" else None)
                   for v, psi in ((GOOD, STREAM), (answer, stream)))
    proved = requiring(good, claim, 1e9).claim(claim).upper
    assert proved is not None
    return requiring(given, claim, proved + 0.05 * abs(proved))


@pytest.mark.parametrize("claim", ANSWERS)
def test_conformance(claim: str):
    check_claim(certified(claim, GOOD, STREAM), certified(claim, *BROKEN[ANSWERS[claim][-1]]), claim, share=0.5)


@pytest.mark.parametrize(("claim", "how"), [(claim, how) for claim, names in ANSWERS.items() for how in names])
def test_broken_operators_do_not_pass(claim: str, how: str):
    check_broken(lambda: certified(claim, *BROKEN[how]), claim)


def test_a_broken_operator_may_raise():
    def raises() -> Certificate:
        return wellposed.certify(PROBLEM, GOOD + 1.0, tol=0.9)  # not its Dirichlet values

    def refuses() -> Certificate:
        raise Refused("no")

    check_broken(raises)
    check_broken(refuses)


def test_the_suite_sees_a_broken_operator_that_passes():
    good = certified("energy_error", GOOD, STREAM)
    with pytest.raises(AssertionError, match="the broken operator passes"):
        check_claim(good, good)


def test_the_suite_sees_a_good_operator_that_does_not():
    bad = certified("energy_error", *BROKEN["noise"])
    with pytest.raises(AssertionError, match="the good operator does not pass"):
        check_claim(bad, bad)


def test_the_suite_wants_a_requirement():
    free = wellposed.certify(PROBLEM, GOOD)
    with pytest.raises(AssertionError, match="nothing is required of any claim: a certificate that cannot fail"):
        check_good(free)
    with pytest.raises(AssertionError, match="nothing is required of compliance"):
        check_good(wellposed.certify(PROBLEM, GOOD, tol=5.0), "compliance")


def test_the_suite_sees_arrays_that_were_changed():
    good = certified("energy_error", GOOD, STREAM)
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


@pytest.mark.parametrize("wrong", [1e-2, 1e-6, 1e-10])
def test_answers_whose_norm_is_barely_proved_are_certified_too(wrong: float):
    """v = (2 - e) u: 2 F(v) - |v|^2 is almost nothing, and eta over its root is large, but nothing is wrong."""
    problem = generate("smooth", 16, 1)
    claim = wellposed.certify(problem, (2 - wrong) * problem.solve()).claim("energy_error")
    assert claim.upper is not None
    assert claim.upper == pytest.approx(1 / np.sqrt(2 * wrong), rel=0.2)
