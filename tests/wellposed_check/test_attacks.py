"""What a sceptic once got past: each stays refused, or true."""

import zipfile

import numpy as np
import pytest

from wellposed import certify, check, guard, refine
from wellposed.elliptic import Darcy, bound, clamp, generate
from wellposed_check.subject import load

WALLS = {"bottom": "neumann", "right": "dirichlet", "top": "neumann", "left": "dirichlet"}


@pytest.fixture
def kept(tmp_path):
    """A certificate in a folder, its problem and its answer as arrays."""
    problem = generate("smooth", 8, 1)
    u = problem.solve()
    certify(problem, u, 0.9).save(tmp_path / "kept")
    return tmp_path, {"coefficient": problem.coefficient.numpy(), "source": problem.source.numpy()}, u


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("arithmetic", ["margin", "enclosed"])
def test_rounded_boundary_values_on_a_finer_mesh_are_paid_for(factor, arithmetic):
    """u = c has no energy: nothing relative can be proved, and the compliance is 0."""
    problem = Darcy(np.ones((2, 2)), 0.0, dirichlet=dict.fromkeys(("bottom", "right", "top", "left"), 1.8132702392002724))
    v = clamp(problem, problem.refined(factor).solve(1e-14))
    certificate = certify(problem, v, 70.0, arithmetic=arithmetic)
    assert certificate.verdict is not True
    compliance = certificate.claim("compliance")
    assert compliance.lower <= 0.0 <= compliance.upper


def test_enclosures_of_one_problem_on_two_meshes_meet():
    nodes = np.array([[1e15, 1e15 + 0.5, 1e15 + 1]] * 3)
    problem = Darcy(np.ones((2, 2)), 0.0, dirichlet=nodes)
    for answer in (nodes, clamp(problem, problem.refined(3).solve(1e-6))):
        b = bound(problem, answer)
        assert b.compliance_lower[0] <= -1.0 <= b.compliance_upper[0]


@pytest.mark.parametrize("name", ["neumann", "dirichlet", "source_oscillation"])
def test_data_that_the_certificate_lacks_are_not_ignored(kept, name):
    folder, arrays, _ = kept
    shape = {"neumann": (1, 4, 8), "dirichlet": (1, 9, 9), "source_oscillation": (1, 8, 8)}[name]
    np.savez(folder / "more.npz", **arrays, **{name: np.ones(shape)})
    assert check(folder / "kept", problem=folder / "more.npz").status == "refused"
    np.savez(folder / "zero.npz", **arrays, **{name: np.zeros(shape)})
    assert check(folder / "kept", problem=folder / "zero.npz").status is True


def test_ignored_arrays_are_named(kept):
    folder, arrays, _ = kept
    np.savez(folder / "more.npz", **arrays, notes=np.ones(3))
    assert "ignored: notes" in check(folder / "kept", problem=folder / "more.npz").headline


@pytest.mark.parametrize("change", [lambda u: u + 5j, lambda u: u.astype(str), lambda u: u > 0])
def test_other_kinds_of_numbers_are_not_the_answer(kept, change):
    folder, _, u = kept
    np.save(folder / "u.npy", change(u))
    assert check(folder / "kept", answer=folder / "u.npy").status == "refused"


@pytest.mark.parametrize("content", [b"raw bytes", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}"])
def test_hostile_files_are_errors(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr("coefficient.npy", content)
    with pytest.raises(ValueError, match=r"not a \.npy or \.npz file"):
        load(tmp_path / "bad.npz")


def test_a_linked_witness_is_refused(kept):
    folder, _, _ = kept
    witness = folder / "kept" / "witness.safetensors"
    witness.rename(folder / "elsewhere")
    witness.symlink_to(folder / "elsewhere")
    assert check(folder / "kept").status == "refused"


def test_the_sides_are_part_of_what_is_said():
    problem = Darcy(np.ones((4, 4)), 0.0, WALLS, dirichlet={"left": 1.0})
    text = " ".join(str(certify(problem, problem.solve())).split())
    assert "bottom neumann, right dirichlet" in text
    assert "boundary data dirichlet" in text


def test_a_problem_does_not_share_memory_with_the_user_or_the_model():
    a = generate("smooth", 8, 1).coefficient.numpy()
    problem = Darcy(a)
    guarded = guard(lambda p: (p.coefficient.fill_(1.0), p.solve())[1], 0.3)(problem)
    assert np.array_equal(problem.coefficient.numpy(), a)
    assert guarded.value[0] == pytest.approx(float(bound(problem, guarded.answers[0]).relative[0]))
    a[:] = 7.0
    assert not (problem.coefficient == 7.0).any()


@pytest.mark.parametrize("quantity", ["energy_error", "compliance_width"])
def test_refine_and_certificate_agree_with_boundary_values(quantity):
    problem = Darcy(generate("lognormal", 16, 1).coefficient.numpy(), 1.0, WALLS, dirichlet={"left": 2.0})
    found = refine(problem, quantity=quantity)
    assert float(found.value[0]) == pytest.approx(found.certificate.claim("energy_error").upper if quantity == "energy_error"
                                                  else certify(problem, found.answer, 1.0, quantity=quantity).claim(quantity).upper, rel=0.05)


def test_a_sample_without_data_is_said_to_have_none():
    problem = Darcy(np.ones((2, 8, 8)), np.stack([np.zeros((8, 8)), np.ones((8, 8))]))
    found = refine(problem, tol=0.3, mesh="auto")
    assert found.answer.shape[-1] <= 33
    assert "a relative error is not defined" in found.message
