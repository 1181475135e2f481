"""The command: exit 0 holds, 1 fails, 2 the call is wrong, 3 undecided, 4 refused; and what it prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import wellposed
from wellposed.certificate import Certificate
from wellposed.elliptic import generate
from wellposed_check import check
from wellposed_check.__main__ import main

PROBLEM = generate("smooth", 8, 1)
ANSWER = PROBLEM.solve()
WRONG = 2.0 * ANSWER  # relative error about 1, so the lower bound refutes 5 %


@pytest.mark.parametrize(("answer", "tol", "code"), [(ANSWER, 0.5, 0), (WRONG, 0.05, 1), (ANSWER, 0.05, 3), (ANSWER, None, 0)],
                         ids=["holds", "fails", "undecided", "nothing required"])
def test_honest_certificates(answer: np.ndarray, tol: float | None, code: int, tmp_path: Path, capsys: pytest.CaptureFixture):
    wellposed.certify(PROBLEM, answer, tol=tol).save(tmp_path)
    assert main([str(tmp_path)]) == main([str(tmp_path / "certificate.json")]) == code
    printed = capsys.readouterr().out
    word = {0: "holds", 1: "fails", 3: "undecided"}[code] if tol else "nothing was required"
    assert printed.startswith(word)
    assert "subject not presented" in printed


def test_lower_bound_refutes():
    claim = wellposed.certify(PROBLEM, WRONG, tol=0.05).claim("energy_error")
    assert claim.holds is False
    assert claim.lower is not None
    assert 0.05 < claim.lower <= 1.0 + 1e-12


def test_without_a_test_function_nothing_is_refuted():
    assert wellposed.certify(PROBLEM, WRONG, tol=0.05, lower="none").verdict is None


def test_forged_is_refused(folder: Path, capsys: pytest.CaptureFixture):
    path = folder / "certificate.json"
    path.write_text(path.read_text().replace('"holds": true', '"holds": null', 1))
    assert main([str(folder)]) == 4
    assert capsys.readouterr().out.startswith("refused: ")


def test_witness_that_is_missing_is_refused(folder: Path):
    (folder / "witness.safetensors").unlink()
    assert main([str(folder)]) == 4


@pytest.mark.parametrize("name", ["../witness.safetensors", "/etc/passwd", "certificate.json", "..", "", "a b", 1, None, ["x"]], ids=repr)
def test_witness_elsewhere_is_refused(good: Certificate, folder: Path, name: object):
    from wellposed_check.canonical import dumps

    document = {**good.document, "witness": {**good.document["witness"], "file": name}}
    (folder / "certificate.json").write_text(dumps(document))
    assert check(folder).status == "refused"


@pytest.mark.parametrize("arguments", [["nowhere.json"], ["{folder}", "--problem", "nowhere.npz"], ["{folder}", "--answer", "{folder}"]])
def test_wrong_calls(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture):
    assert main([a.format(folder=folder) for a in arguments]) == 2
    assert capsys.readouterr().err.startswith("wellposed check: ")


def test_unknown_option_is_a_wrong_call(folder: Path):
    with pytest.raises(SystemExit, match="2"):
        main([str(folder), "--trust-me"])


def test_report_prints_interval_requirement_and_assumptions(folder: Path, good: Certificate):
    printed = str(check(folder))
    for text, status in good.claim("energy_error").assumptions:
        assert f"{status}: {text}" in printed
    assert "required <= 0.9: holds" in printed
    assert "elliptic.compliance/1" in printed


def test_presentation_on_the_command_line(folder: Path, good: Certificate, tmp_path: Path):
    np.savez(tmp_path / "field.npz", coefficient=good.arrays["coefficient"])
    np.save(tmp_path / "u.npy", good.arrays["potential"])
    assert main([str(folder), "--problem", str(tmp_path / "field.npz"), "--answer", str(tmp_path / "u.npy")]) == 0
    assert main([str(folder), "--problem", str(tmp_path / "u.npy")]) == 4
