"""Presenting the problem and the answer: the same numbers in any file are recognized, others are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cases import draw

import wellposed
from wellposed.certificate import Certificate
from wellposed_check import check


def present(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder.parent / "subject.npz"
    np.savez(path, **arrays)
    return path


def problem_of(good: Certificate) -> dict[str, np.ndarray]:
    return {name: good.arrays[name] for name in ("coefficient", "source", "neumann")}


def test_not_presented_is_said(folder: Path):
    report = check(folder)
    assert report.status is True
    assert report.headline.endswith("; subject not presented")


def test_whole_subject_in_npz(folder: Path, good: Certificate):
    problem = present(folder, **problem_of(good))
    answer = folder.parent / "u.npz"
    np.savez(answer, potential=good.arrays["potential"])
    report = check(folder, problem, answer)
    assert report.status is True
    assert "subject presented: coefficient, source, neumann, potential" in report.headline
    assert report.presented is not None
    assert report.presented.missing == ()


def test_parts_that_were_not_presented_are_named(folder: Path, good: Certificate):
    report = check(folder, present(folder, coefficient=good.arrays["coefficient"]))
    assert report.presented is not None
    assert set(report.presented.missing) == {"neumann", "source", "potential"}
    assert "not presented: " in report.headline


@pytest.mark.parametrize("squeeze", [False, True], ids=["with sample axis", "without"])
def test_one_array_in_npy_is_taken_for_the_coefficient_or_the_potential(folder: Path, good: Certificate, squeeze: bool):
    files = []
    for name in ("coefficient", "potential"):
        files.append(folder.parent / f"{name}.npy")
        np.save(files[-1], good.arrays[name][0] if squeeze else good.arrays[name])
    report = check(folder, *files)
    assert report.status is True
    assert report.presented is not None
    assert report.presented.shown == ("coefficient", "potential")


def test_one_array_of_any_name_in_npz(folder: Path, good: Certificate):
    assert check(folder, present(folder, permeability=good.arrays["coefficient"])).status is True


def test_single_precision_of_exact_numbers_is_the_same_subject(tmp_path: Path):
    problem = draw("dirichlet", 4, np.random.default_rng(0), field="constant")
    answer = np.round(problem.solve() * 2**10) / 2**10
    wellposed.certify(problem, answer, tol=5.0).save(tmp_path / "kept")
    np.save(tmp_path / "u.npy", answer.astype("f4"))
    assert check(tmp_path / "kept", answer=tmp_path / "u.npy").status is True


def test_scalar_source_is_broadcast(tmp_path: Path):
    problem = wellposed.elliptic.generate("smooth", 4, 2)
    wellposed.certify(problem, problem.solve(), tol=5.0).save(tmp_path / "kept")
    np.savez(tmp_path / "field.npz", coefficient=problem.coefficient.numpy(), source=1.0)
    assert check(tmp_path / "kept", tmp_path / "field.npz").status is True
    np.savez(tmp_path / "field.npz", coefficient=problem.coefficient.numpy(), source=1.5)
    assert check(tmp_path / "kept", tmp_path / "field.npz").status == "refused"


@pytest.mark.parametrize("change", [lambda x: x * (1 + 2**-52), lambda x: x.transpose(0, 2, 1), lambda x: -x, lambda x: x[:, :-1],
                                    lambda x: np.concatenate([x, x]), lambda x: x.astype("f4"), lambda x: np.full_like(x, np.nan),
                                    lambda x: np.full(x.shape, "text"), lambda _: np.array("text")],
                         ids=["last place", "transposed", "sign", "cropped", "two samples", "rounded", "NaN", "texts", "one text"])
@pytest.mark.parametrize("name", ["coefficient", "source", "neumann", "potential"])
def test_another_field_is_refused(folder: Path, good: Certificate, name: str, change):
    changed = present(folder, **{name: change(good.arrays[name])})
    report = check(folder, **{"answer" if name == "potential" else "problem": changed})
    assert report.status == "refused"
    assert name in report.headline


def test_arrays_of_other_names_are_refused_and_named(folder: Path, good: Certificate):
    report = check(folder, present(folder, a=good.arrays["coefficient"], f=good.arrays["source"]))
    assert report.status == "refused"
    assert "['a', 'f']" in report.headline
    assert "coefficient" in report.headline


@pytest.mark.parametrize("content", [b"", b"not an array", b"\x93NUMPY\x01\x00", b"PK\x03\x04 broken"], ids=repr)
def test_a_file_that_is_not_what_it_says_is_an_error_of_the_call(folder: Path, tmp_path: Path, content: bytes):
    (tmp_path / "field.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"field\.npy is not a \.npy or \.npz file"):
        check(folder, tmp_path / "field.npy")


def test_pickles_are_not_opened(folder: Path, tmp_path: Path):
    np.save(tmp_path / "field.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="is not a"):
        check(folder, tmp_path / "field.npy")


def test_a_file_that_is_not_there_is_an_error_of_the_call(folder: Path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        check(folder, "nowhere.npz")
