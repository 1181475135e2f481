"""Certificates as objects: read, printed, kept, and made for a user's own kind of problem."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import wellposed
from wellposed import certificate as module
from wellposed.certificate import Certificate, Claim, write_whole
from wellposed.elliptic import Darcy, generate
from wellposed_check import Refused

PROBLEM = generate("smooth", 8, 2)
ANSWER = PROBLEM.solve()


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return wellposed.certify(PROBLEM, ANSWER, tol=0.5, weights=b"weights", seed=7)


def test_claims_are_read_only_values(certificate: Certificate):
    claim = certificate.claim("energy_error")
    assert isinstance(claim, Claim)
    assert claim is not certificate.claim("elliptic.energy_error/1")
    assert claim == certificate.claim("elliptic.energy_error/1")
    with pytest.raises(AttributeError):
        claim.upper = 0.0  # type: ignore[misc]


def test_unknown_claim_names_the_known_ones(certificate: Certificate):
    with pytest.raises(KeyError, match=r"no claim 'goal'.*elliptic\.compliance/1, elliptic\.energy_error/1"):
        certificate.claim("goal")


def test_fields_of_the_design(certificate: Certificate):
    claim = certificate.claim("energy_error")
    assert claim.kind == "theorem"
    assert claim.arithmetic == "margin"
    assert claim.required == 0.5
    assert claim.holds is True
    assert claim.lower is not None
    assert claim.upper is not None
    assert 0.0 <= claim.lower <= claim.upper <= 0.5
    assert {status for _, status in claim.assumptions} == {"assumed", "checked"}
    assert "Prager and Synge" in claim.reference


def test_claims_agree_with_the_bound(certificate: Certificate):
    b = wellposed.elliptic.bound(PROBLEM, ANSWER)
    assert certificate.claim("energy_error").upper == pytest.approx(b.relative.max(), rel=1e-9)
    assert certificate.claim("compliance").lower == pytest.approx(b.compliance_lower.mean(), rel=1e-9)
    assert certificate.claim("compliance").upper == pytest.approx(b.compliance_upper.mean(), rel=1e-9)
    assert certificate.bound.relative == pytest.approx(b.relative)


@pytest.mark.parametrize(("tol", "verdict", "head"), [(0.5, True, "holds"), (0.01, None, "undecided"), (None, True, "nothing was required")])
def test_verdict_and_headline(tol: float | None, verdict: bool | None, head: str):
    c = wellposed.certify(PROBLEM, ANSWER, tol=tol)
    assert c.verdict is verdict
    assert c.headline == f"{head}{'' if tol else ', the intervals speak'} (2 proved, 0 statistical, 0 observed)"


def test_a_refuted_requirement_fails():
    c = wellposed.certify(PROBLEM, 0.5 * ANSWER, tol=0.1)
    assert c.verdict is False
    assert c.headline.startswith("fails")


def test_width_may_be_required_by_name():
    c = wellposed.certify(PROBLEM, ANSWER, tol=0.5, quantity="compliance_width")
    assert [x.id for x in c.claims if x.required] == ["elliptic.compliance_width/1"]
    width = (c.bound.compliance_upper - c.bound.compliance_lower) / c.bound.compliance_lower
    assert c.claim("compliance_width").upper == pytest.approx(width.max(), rel=1e-6)


def test_enclosed_arithmetic_is_an_option():
    margin, enclosed = (wellposed.certify(PROBLEM, ANSWER, tol=0.5, arithmetic=m) for m in ("margin", "enclosed"))
    assert enclosed.claim("energy_error").arithmetic == "enclosed"
    assert enclosed.verdict is True
    assert enclosed.check().status is True
    assert enclosed.claim("energy_error").upper == pytest.approx(margin.claim("energy_error").upper, rel=1e-9)


def test_printed_and_shown(certificate: Certificate):
    text, page = str(certificate), certificate._repr_html_()
    for words in ("elliptic.energy_error/1", "holds (2 proved", "assumed: ", "checked: ", "theorem"):
        assert words in text, words
    for words in ("<table>", "elliptic.energy_error/1", "holds (2 proved", "<b>assumed</b>"):
        assert words in page, words
    assert "elliptic.energy_error" in repr(certificate)
    assert max(map(len, text.splitlines())) <= 118


def test_violated_assumptions_are_printed():
    loose = Darcy(PROBLEM.coefficient.numpy(), 1.0, cellwise=False)
    c = wellposed.certify(loose, ANSWER, tol=0.5)
    assert c.verdict is None
    assert "violated: " in str(c)
    assert "<b>violated</b>" in c._repr_html_()


def test_html_is_escaped(certificate: Certificate):
    claims = [{**c, "quantity": "<script>"} for c in certificate.document["claims"]]
    shown = replace(certificate, document={**certificate.document, "claims": claims})._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_saved_and_loaded(certificate: Certificate, tmp_path: Path):
    path = certificate.save(tmp_path / "a")
    assert path == tmp_path / "a" / "certificate.json"
    for place in (tmp_path / "a", path, str(path)):
        again = wellposed.load(place)
        assert again.document == certificate.document
        assert again.claims == certificate.claims
        assert set(again.arrays) == set(certificate.arrays)
        assert all(np.array_equal(again.arrays[k], certificate.arrays[k]) for k in again.arrays)
        assert again.bound is None
    wellposed.save(again, tmp_path / "b")
    for name in ("certificate.json", "witness.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_certifying_again_gives_the_same_bytes(certificate: Certificate):
    again = wellposed.certify(PROBLEM, ANSWER, tol=0.5, weights=b"weights", seed=7)
    assert again.document == certificate.document


def test_provenance_says_how_it_was_made(certificate: Certificate):
    import hashlib

    p = certificate.document["provenance"]
    assert p["weights"] == hashlib.sha256(b"weights").hexdigest()
    assert p["seed"] == 7
    assert p["threads"] == 1
    assert p["device"] == "cpu"
    assert {"python", "numpy", "torch", "wellposed"} <= set(p["versions"])


def test_json_is_readable_by_anyone(certificate: Certificate, tmp_path: Path):
    document = json.loads(certificate.save(tmp_path).read_text())
    upper = next(c for c in document["claims"] if c["id"] == "elliptic.energy_error/1")["upper"]
    assert float.fromhex(upper["hex"]) == upper["decimal"] == certificate.claim("energy_error").upper


def test_schema_describes_every_certificate(certificate: Certificate):
    import jsonschema

    import wellposed_check

    schema = json.loads((Path(wellposed_check.__file__).parent / "certificate.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    periodic = Darcy(PROBLEM.coefficient.numpy(), np.where(np.arange(8) < 4, 1.0, -1.0), "periodic")
    others = [wellposed.certify(PROBLEM, 0 * ANSWER, tol=0.1, goal=np.ones((8, 8))), wellposed.certify(periodic, periodic.solve()),
              wellposed.certify(PROBLEM, ANSWER, tol=0.1, quantity="compliance_width", arithmetic="enclosed", lower="none")]
    for c in (certificate, *others):
        validator.validate(c.document)
    for key in certificate.document:
        broken = {k: v for k, v in certificate.document.items() if k != key}
        assert not validator.is_valid(broken), key
    assert not validator.is_valid({**certificate.document, "note": 1})


@pytest.mark.parametrize("name", ["certificate.json", "witness.safetensors"])
def test_loading_what_is_not_there(certificate: Certificate, tmp_path: Path, name: str):
    certificate.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=r"certificate\.json"):
        wellposed.load(tmp_path)


@pytest.mark.parametrize("name", ["certificate.json", "witness.safetensors"])
@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b + b" ", lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:]],
                         ids=["truncated", "empty", "appended", "one bit"])
def test_loading_what_was_damaged(certificate: Certificate, tmp_path: Path, name: str, damage):
    certificate.save(tmp_path)
    before = (tmp_path / name).read_bytes()
    after = damage(before)
    (tmp_path / name).write_bytes(after)
    if after != before:
        with pytest.raises(Refused):
            wellposed.load(tmp_path)
        assert wellposed.check(tmp_path).status == "refused"
        assert (tmp_path / name).read_bytes() == after  # every file stays as it was


@pytest.mark.parametrize("damage", [lambda b: b"\xff\xfe" + b, lambda b: b.replace(b"\n", b"\r\n")], ids=["not text", "line ends"])
def test_loading_what_is_not_text_or_has_other_line_ends(certificate: Certificate, tmp_path: Path, damage):
    path = certificate.save(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert wellposed.check(tmp_path).status == "refused"
    with pytest.raises(Refused):
        wellposed.load(tmp_path)


def test_check_in_memory_and_in_a_file(certificate: Certificate, tmp_path: Path):
    certificate.save(tmp_path)
    assert wellposed.check(certificate).headline == wellposed.check(tmp_path).headline == certificate.check().headline
    np.savez(tmp_path / "field.npz", coefficient=PROBLEM.coefficient.numpy(), source=1.0)
    assert "subject presented: coefficient, source" in wellposed.check(tmp_path, tmp_path / "field.npz").headline
    with pytest.raises(ValueError, match="save it first"):
        wellposed.check(certificate, problem=tmp_path / "field.npz")


def test_changed_arrays_are_refused_in_memory(certificate: Certificate):
    arrays = certificate.arrays | {"potential": certificate.arrays["potential"] * 1.001}
    report = replace(certificate, arrays=arrays).check()
    assert report.status == "refused"
    assert report.exit_code == 4


def test_files_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    write_whole(path, b"old")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_saving_over_another_certificate_replaces_it(certificate: Certificate, tmp_path: Path):
    wellposed.certify(PROBLEM, 0 * ANSWER, tol=0.1).save(tmp_path)
    certificate.save(tmp_path)
    assert wellposed.load(tmp_path).document == certificate.document


def test_two_programs_that_disagree_certify_nothing(monkeypatch: pytest.MonkeyPatch):
    """The checker states the numbers; if this program's own are others, that is an error, not a certificate."""
    from wellposed.elliptic import hypercircle

    monkeypatch.setattr(hypercircle, "SAFE", 1.001)
    with pytest.raises(ArithmeticError, match="disagree: nothing is certified"):
        wellposed.certify(PROBLEM, ANSWER)


@dataclass(frozen=True)
class Own:
    """A user's own kind of problem."""

    number: float


def test_own_problems_have_the_rights_of_built_in_ones():
    @module.certify.register(Own)
    def certify_own(problem: Own, answer: float, **_: object) -> str:
        return f"certified {problem.number} {answer}"

    @module.refine.register(Own)
    def refine_own(problem: Own, answer: float | None = None, tol: float | None = None, **_: object) -> str:
        return f"refined {problem.number} {answer} {tol}"

    assert wellposed.certify(Own(1.0), 2.0) == "certified 1.0 2.0"
    assert wellposed.refine(Own(1.0), None, 0.1) == "refined 1.0 None 0.1"


def test_the_package_names_what_it_has():
    assert set(wellposed.__all__) <= set(dir(wellposed))
    assert callable(wellposed.guard)
    with pytest.raises(AttributeError, match="no attribute 'solve'"):
        wellposed.solve  # noqa: B018
