"""The conformance suite of a claim: "a certificate that cannot fail is not evidence"."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wellposed.certificate import CERTIFICATE, WITNESS, Certificate, Claim, load
from wellposed.testing.tamper import survivors
from wellposed_check import Refused, check
from wellposed_check.canonical import dumps, loads


def check_claim(good: Certificate, broken: Certificate | Callable[[], Certificate], claim: str | None = None,
                rng: np.random.Generator | None = None, share: float = 1.0) -> None:
    """What every claim must pass: it holds for a good operator and not for a broken one, survives files, and forgeries do not.

    Args:
        good: a certificate whose requirements hold, with a requirement on `claim`.
        broken: a certificate that requires the same of a deliberately broken operator; or what makes one, which may
            raise `ValueError` or `wellposed_check.Refused`.
        claim: the id under test, as `Certificate.claim` takes it; None for each that has a requirement.
        rng: draws the forgeries, by default with seed 0. share: the part of them that is tried.

    Raises:
        AssertionError: what is not as it must be.

    Example:
        ``check_claim(certify(problem, problem.solve(), tol=0.2), certify(problem, 0 * problem.solve(), tol=0.2))``
    """
    check_good(good, claim)
    check_broken(broken, claim)
    check_round_trip(good)
    check_forgeries(good, rng, share)


def check_good(good: Certificate, claim: str | None = None) -> None:
    """It holds, something was required of it, and the checker says so too."""
    assert good.verdict is True, f"the good operator does not pass: {good.headline}"
    assert all(c.holds for c in _required(good, claim)), f"the claim does not hold for the good operator: {good.headline}"
    assert good.check().status is True, f"the checker disagrees about the good operator: {good.check().headline}"


def check_broken(broken: Certificate | Callable[[], Certificate], claim: str | None = None) -> None:
    """It does not pass: an error, a refusal, or a verdict that is not True."""
    try:
        certificate = broken if isinstance(broken, Certificate) else broken()
        passed = certificate.verdict is True or certificate.check().status is True
    except (Refused, ValueError):
        return
    passed = passed or any(c.holds for c in _required(certificate, claim))
    assert not passed, f"the broken operator passes: {certificate.headline}"


def _required(certificate: Certificate, claim: str | None) -> list[Claim]:
    asked = [certificate.claim(claim)] if claim else list(certificate.claims)
    asked = [c for c in asked if c.required is not None]
    assert asked, f"nothing is required of {claim or 'any claim'}: a certificate that cannot fail is not evidence"
    return asked


def check_round_trip(certificate: Certificate) -> None:
    """Save, load and save again: the same bytes, the same numbers, the same verdict of the checker."""
    text = dumps(certificate.document)
    assert dumps(loads(text)) == text, "the JSON text is not canonical"
    with tempfile.TemporaryDirectory() as name:
        first, second = Path(name, "first"), Path(name, "second")
        certificate.save(first)
        again = load(first)
        again.save(second)
        assert again.document == certificate.document, "the document has changed on its way through a file"
        for file in (CERTIFICATE, WITNESS):
            same = (first / file).read_bytes() == (second / file).read_bytes()
            assert same, f"{file} is not the same after it was saved, loaded and saved"
        assert check(first).status == certificate.verdict, "the checker judges the file otherwise than the certificate itself"


def check_forgeries(certificate: Certificate, rng: np.random.Generator | None = None, share: float = 1.0) -> None:
    """No forgery is accepted as the certificate itself is."""
    left = survivors(certificate, rng or np.random.default_rng(0), share)
    assert not left, f"{len(left)} forgeries are accepted, such as {left[0].description} ({left[0].strength})"
