"""The claims of the room through the conformance suite: broken banks do not pass, forgeries are refused."""

from __future__ import annotations

import numpy as np
import pytest

import wellposed
from wellposed.certificate import issue
from wellposed.sequence import Bank, audit, damped_hippo, legs, ptd
from wellposed.testing import check_claim
from wellposed.testing.conformance import check_broken, check_round_trip
from wellposed_check import Refused

N = 8
GOOD = damped_hippo(N, 0.1)
BROKEN = {
    "S4D": damped_hippo(N, 1.0), "half of the gain": Bank(GOOD.eigenvalues, GOOD.eigenvectors, GOOD.B / 2),
    "twice the gain": Bank(GOOD.eigenvalues, GOOD.eigenvectors, 2 * GOOD.B),
    "conjugated eigenvalues": Bank(GOOD.eigenvalues.conj(), GOOD.eigenvectors, GOOD.B),
    "one sign flipped": Bank(GOOD.eigenvalues * np.where(np.arange(N) == 3, -1, 1), GOOD.eigenvectors, GOOD.B),
    "rows swapped": Bank(GOOD.eigenvalues, GOOD.eigenvectors[::-1], GOOD.B), "zero": Bank(GOOD.eigenvalues, GOOD.eigenvectors, 0 * GOOD.B)}


def certified(bank: Bank, tol: float = 0.01):
    return audit(bank.eigenvalues, bank.eigenvectors, bank.B, tol=tol)


def test_conformance():
    check_claim(certified(GOOD), certified(BROKEN["S4D"]), "initial_transfer_gap")
    check_claim(certified(GOOD), certified(BROKEN["one sign flipped"]), "stable", share=0.3)


@pytest.mark.parametrize("how", BROKEN)
def test_broken_banks_do_not_pass(how):
    check_broken(lambda: certified(BROKEN[how]), "stable" if how == "one sign flipped" else "initial_transfer_gap")


def test_what_is_required_by_default():
    """HiPPO's own peak gain: above it, answering zero would be nearer."""
    certificate = wellposed.certify(GOOD)
    assert certificate.claim("initial_transfer_gap").required == pytest.approx(1 / N)
    assert certificate.verdict is True
    for n in (16, 32, 64):
        s4d, ours = damped_hippo(n, 1.0), damped_hippo(n)
        assert wellposed.certify(s4d).verdict is False
        assert wellposed.certify(ours).verdict is True


def test_an_unstable_bank_fails_by_its_stability():
    certificate = certified(BROKEN["one sign flipped"])
    assert [c.id for c in certificate.claims] == ["sequence.stable/1"]
    assert certificate.verdict is False
    zero = certified(Bank(GOOD.eigenvalues * np.where(np.arange(N) == 3, 1j, 1) * 0, GOOD.eigenvectors, GOOD.B))
    assert zero.verdict is False  # zero is not stable


def test_other_peoples_matrices():
    """A perturbation of HiPPO itself that is small beside it moves eigenvalues across the axis."""
    random = ptd(legs(64).matrix(), 1e-2)
    b = np.linalg.solve(random.eigenvectors, legs(64).B.astype(complex))
    assert certified(Bank(random.eigenvalues, random.eigenvectors, b)).verdict is False


@pytest.mark.parametrize("reference", ["legs", "lagt"])
def test_round_trip(reference):
    bank = damped_hippo(9, 0.2, reference)
    check_round_trip(audit(bank.eigenvalues, bank.eigenvectors, bank.B, reference))


def altered(**changes):
    """The good evidence with arrays exchanged, issued anew: what the checker itself refuses."""
    good = certified(GOOD)
    requirements = {c.id: c.required for c in good.claims}
    return lambda: issue("sequence.Bank", {"reference": "legs"}, good.arrays | changes, requirements, "margin",
                         good.document["provenance"])


EDGES, BRACKET = (certified(GOOD).arrays[name] for name in ("edges", "bracket"))


@pytest.mark.parametrize(("changes", "said"), [
    ({"edges": EDGES[::2]}, "does not follow"), ({"edges": EDGES[len(EDGES) // 2 :]}, "does not follow"), ({"edges": EDGES[::-1]}, "increase"),
    ({"edges": EDGES[:1]}, "increase"), ({"bracket": BRACKET * np.array([0.5, 0.999])}, "upper end"), ({"bracket": BRACKET * np.array([1.01, 1.1])}, "lower end"),
    ({"bracket": BRACKET[::-1]}, "least, most"), ({"b": legs(N).B + 1e-15}, "not the input vector"), ({"b": np.ones(N)}, "not the input vector"),
    ({"eigenvalues": np.zeros((N, 3))}, "shape"), ({"coordinates": np.zeros((N, 2))}, "does not follow")])
def test_what_the_checker_refuses(changes, said):
    with pytest.raises(Refused, match=said):
        altered(**changes)()


@pytest.mark.parametrize(("call", "said"), [
    (lambda: audit(GOOD.eigenvalues, GOOD.eigenvectors, GOOD.B, "hippo"), "'hippo'"), (lambda: certified(GOOD, tol=-1.0), "tol=-1.0"),
    (lambda: audit(GOOD.eigenvalues, GOOD.eigenvectors[:2], GOOD.B), r"eigenvectors \(2, 8\)")])
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
