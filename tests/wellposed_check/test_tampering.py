"""Forgeries of certificates are refused, whatever is changed, however carefully; and what hashes cannot show is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import disturbed, draw

import wellposed
from wellposed.certificate import Certificate
from wellposed.testing import Forgery, forgeries, outcome, survivors
from wellposed.testing.document_edits import seal
from wellposed.testing.witness_edits import encode_arrays
from wellposed_check.canonical import dumps, encode

KINDS: dict[str, dict[str, Any]] = {
    "dirichlet, lower bound above zero": {"boundary": "dirichlet", "wrong": 0.2},
    "goal": {"boundary": "one side dirichlet", "goal": True},
    "values on mixed sides": {"boundary": "top and bottom neumann", "dirichlet": True},
    "periodic, enclosed": {"boundary": "periodic", "arithmetic": "enclosed", "wrong": 0.1},
    "oscillation, inexact coefficient": {"boundary": "neumann", "source_oscillation": np.full((4, 4), 0.01), "coefficient_error": 0.1,
                                         "neumann_oscillation": np.full((4, 4), 0.01)},
    "three samples": {"boundary": "corner neumann", "samples": 3},
}


def certified(boundary: str, *, wrong: float = 0.0, goal: bool = False, arithmetic: str = "margin", **more: Any) -> Certificate:
    rng = np.random.default_rng(11)
    problem = draw(boundary, 4, rng, field="cells", **more)
    answer = disturbed(problem, rng, wrong)
    return wellposed.certify(problem, answer, tol=50.0, arithmetic=arithmetic, goal=rng.standard_normal((1, 4, 4)) if goal else None)


@pytest.mark.parametrize("kind", KINDS)
def test_no_forgery_is_accepted(kind: str):
    certificate = certified(**KINDS[kind])
    assert certificate.verdict is True
    left = survivors(certificate, np.random.default_rng(0), share=0.4 if kind == "goal" else 1.0)
    assert not left, [(f.description, f.strength) for f in left]


@pytest.mark.parametrize("seed", range(4))
def test_other_seeds_change_other_places(good: Certificate, seed: int):
    assert survivors(good, np.random.default_rng(100 + seed), share=0.25) == []


def test_everything_is_changed_once(good: Certificate):
    told = {(f.description, f.strength) for f in forgeries(good, np.random.default_rng(0))}
    everything = " ".join(description for description, _ in told)
    for name in good.arrays:
        for place in (f"witness.arrays.{name}.sha256", f"{name}: one number", f"{name}: sign"):
            assert place in everything, place
    for field in ("lower", "upper", "required", "holds", "kind", "arithmetic", "id", "quantity", "reference", "assumptions[0].text",
                  "assumptions[0].status"):
        assert f"claims[1].{field}" in everything, field
    for field in ("verdict", "headline", "format", "sha256", "provenance.device", "provenance.versions.torch", "provenance.seed",
                  "provenance.threads", "subject.problem_sha256", "subject.problem.parameters.boundary.top", "claims[0] dropped",
                  "claims[0] repeated", "document: truncated", "witness: truncated", "coefficient: transposed", "swapped"):
        assert field in everything, field
    assert {strength for _, strength in told} == {"naive", "document", "full"}


def test_none_leaves_the_files_as_they_were(good: Certificate):
    own = (dumps(good.document).encode(), encode_arrays(good.arrays))
    assert all((f.document, f.witness) != own for f in forgeries(good, np.random.default_rng(0)))


def test_the_seed_decides(good: Certificate):
    first, again, other = (list(forgeries(good, np.random.default_rng(seed))) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_a_share_is_drawn(good: Certificate):
    few, whole = (len(list(forgeries(good, np.random.default_rng(0), share))) for share in (0.1, 1.0))
    assert 0.05 * whole < few < 0.2 * whole


def test_outcomes(good: Certificate, tmp_path: Path):
    own = Forgery("none", "naive", dumps(good.document).encode(), encode_arrays(good.arrays))
    assert outcome(own.write(tmp_path / "own"), good) == "accepted"
    assert outcome(own._replace(witness=b"").write(tmp_path / "damaged"), good) == "refused"
    worse = certified("dirichlet", wrong=0.2)
    undecided = wellposed.certificate.issue("elliptic.Darcy", worse.document["subject"]["problem"]["parameters"], worse.arrays,
                                            {"elliptic.energy_error/1": 1e-9}, "margin", worse.document["provenance"])
    assert outcome(undecided.save(tmp_path / "worse").parent, good) == "worse"


@pytest.mark.parametrize(("where", "value"), [("device", "abacus"), ("seed", 7), ("threads", 99), ("weights", "0" * 64), ("versions", {})])
def test_limit_provenance_is_the_authors_word(good: Certificate, tmp_path: Path, where: str, value: Any):
    """Integrity, not authorship: whoever recomputes the document's digest may say what cannot be recomputed."""
    document = good.document | {"provenance": good.document["provenance"] | {where: value}}
    forged = [Forgery(where, s, dumps(seal(document, s)).encode(), encode_arrays(good.arrays)) for s in ("naive", "document")]
    assert outcome(forged[0].write(tmp_path / "naive"), good) == "refused"
    assert outcome(forged[1].write(tmp_path / "document"), good) == "accepted"


def test_limit_a_looser_requirement_is_another_honest_certificate(good: Certificate, tmp_path: Path):
    claims = [c | {"required": c["required"] and encode(99.0)} for c in good.document["claims"]]
    document = seal(good.document | {"claims": claims}, "document")
    forged = Forgery("required", "document", dumps(document).encode(), encode_arrays(good.arrays))
    assert outcome(forged.write(tmp_path), good) == "accepted"
    assert "required <= 99: holds" in str(wellposed.check(tmp_path))
