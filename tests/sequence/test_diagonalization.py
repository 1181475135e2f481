"""A diagonalization is as near to its matrix as it says, and no nearer is proved than is true."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import wellposed
from wellposed.certificate import issue
from wellposed.sequence import Diagonalization, certify_diagonalization, legs, ptd
from wellposed.testing import check_claim
from wellposed.testing.conformance import check_broken
from wellposed_check import Refused

MATRICES = {"jordan": np.diag(np.ones(11), 1), "legs": legs(12).matrix(), "one number": np.array([[2.5]]),
            "complex": np.random.default_rng(0).normal(size=(7, 7)) * np.exp(1j), "tiny": 1e-80 * legs(5).matrix(),
            "huge": 1e80 * legs(5).matrix()}


def exactly(a, values, vectors):
    """|V Lambda V^-1 - A|_F / |A|_F in rational arithmetic, by Gauss and Jordan, on real pairs [[x, -y], [y, x]]."""
    def real(x):
        return np.block([[x.real, -x.imag], [x.imag, x.real]])

    def rational(x):
        return [[Fraction(float(v)) for v in row] for row in x]

    n = 2 * len(values)
    v, spread, target = (rational(real(np.asarray(x, complex))) for x in (vectors, np.diag(values), a))
    left = [[sum(v[i][k] * spread[k][j] for k in range(n)) - sum(target[i][k] * v[k][j] for k in range(n)) for j in range(n)] for i in range(n)]
    rows = [[v[j][i] for j in range(n)] + [left[j][i] for j in range(n)] for i in range(n)]  # V^T X^T = R^T
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [x / rows[k][k] for x in rows[k]]
        rows = [row if i == k or not row[k] else [x - row[k] * y for x, y in zip(row, rows[k], strict=True)] for i, row in enumerate(rows)]
    return np.array([[float(rows[j][n + i]) for j in range(n)] for i in range(n)])


@pytest.mark.parametrize("delta", [1e-3, 1e-8])
@pytest.mark.parametrize("name", MATRICES)
def test_it_holds_the_true_error(name, delta):
    a = MATRICES[name]
    found = ptd(a, delta)
    claim = wellposed.certify(found, a).claim("diagonalization")
    wrong = exactly(a, found.eigenvalues, found.eigenvectors) if len(a) <= 7 else None
    true = np.linalg.norm(wrong, 2) / np.linalg.norm(a, 2) if wrong is not None else delta
    assert claim.lower <= true * (1 + 1e-6)
    assert true <= claim.upper * (1 + (1e-6 if wrong is not None else 0.1))
    assert claim.upper <= 1.01 * delta + 1e-3 * found.condition**2 * 2.0**-40
    assert f"{claim.assumptions[0][0]}".startswith("the condition number")
    low, high = (float(x) for x in claim.assumptions[0][0].split("between ")[1].split(" and "))
    assert low <= found.condition * (1 + 1e-9)
    assert found.condition * (1 - 1e-9) <= high <= low * 1.02


def test_conformance():
    a = MATRICES["jordan"][:4, :4]
    found = ptd(a, 1e-3)
    turned = Diagonalization(**{**vars(found), "eigenvalues": found.eigenvalues.conj() * 1j})
    check_claim(wellposed.certify(found, a, tol=1.001e-3), wellposed.certify(turned, a, tol=1.001e-3), "diagonalization")


@pytest.mark.parametrize("how", ["bare eigenvectors", "another matrix", "swapped columns", "halved"])
def test_broken_ones_do_not_pass(how):
    a = MATRICES["legs"]
    found = ptd(a, 1e-4)
    values, vectors = found.eigenvalues, found.eigenvectors
    broken = {"bare eigenvectors": lambda: certify_diagonalization(legs(64).matrix(), *np.linalg.eig(legs(64).matrix()), tol=1e-3),
              "another matrix": lambda: certify_diagonalization(a.T, values, vectors, tol=1e-3),
              "swapped columns": lambda: certify_diagonalization(a, values, vectors[:, ::-1], tol=1e-3),
              "halved": lambda: certify_diagonalization(a, values / 2, vectors, tol=1e-3)}
    check_broken(broken[how])


def test_what_the_checker_refuses():
    a = MATRICES["complex"]
    kept = wellposed.certify(ptd(a, 1e-3), a)
    for changes in ({"bracket": kept.arrays["bracket"] * [1.0, 0.99]}, {"bracket": kept.arrays["bracket"] * 1.01},
                    {"condition": kept.arrays["condition"] * [1.0, 0.9]}, {"condition": kept.arrays["condition"] * 1.1},
                    {"inverse": 0 * kept.arrays["inverse"]}, {"matrix": kept.arrays["matrix"][:3]}, {"matrix": 0 * kept.arrays["matrix"]}):
        with pytest.raises(Refused):
            issue("sequence.Diagonalization", {}, {**kept.arrays, **changes}, {"sequence.diagonalization/1": None}, "margin",
                  kept.document["provenance"])


@pytest.mark.parametrize(("call", "said"), [
    (lambda: certify_diagonalization(np.eye(2), np.ones(3), np.eye(3)), r"A \(2, 2\)"), (lambda: certify_diagonalization(np.zeros((2, 2)), np.ones(2), np.eye(2)), "zero"),
    (lambda: certify_diagonalization(np.eye(2), np.ones(2), np.ones((2, 2))), "condition"), (lambda: certify_diagonalization(np.eye(2), np.ones(2), np.eye(2), tol=0), "tol=0"),
    (lambda: certify_diagonalization(np.eye(2) * np.inf, np.ones(2), np.eye(2)), "finite")])
def test_bad_input_is_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
