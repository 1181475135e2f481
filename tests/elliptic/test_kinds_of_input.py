"""Results are of the input's kind, in double precision, whatever was handed in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import wellposed
from wellposed.elliptic import Darcy, bound, clamp, generate, goal

A = generate("smooth", 8, 2).coefficient.numpy()
RESULTS = ("eta", "relative", "compliance_lower", "compliance_upper", "norm_lower", "cells", "stream")


def numbers(x: Any) -> np.ndarray:
    return x.numpy() if isinstance(x, torch.Tensor) else x


@pytest.mark.parametrize(("coefficient", "kind"), [
    (A, np.ndarray), (torch.as_tensor(A), torch.Tensor), (A.astype("f4"), np.ndarray), (torch.as_tensor(A).float(), torch.Tensor),
    (A.tolist(), np.ndarray), (np.asfortranarray(A), np.ndarray), (A.astype(">f8"), np.ndarray), (A[:, ::-1], np.ndarray),
    (np.broadcast_to(A[:1], A.shape), np.ndarray), (torch.as_tensor(A).half(), torch.Tensor)],
    ids=["numpy", "torch", "numpy f4", "torch f4", "list", "fortran", "big endian", "reversed view", "read-only", "half"])
def test_every_result_is_of_the_coefficients_kind(coefficient: Any, kind: type):
    problem = Darcy(coefficient, np.ones((2, 8, 8)))
    u = problem.solve()
    b, r, g = bound(problem, u), wellposed.refine(problem, u, 0.5), goal(problem, 1.0, u)
    results = [u, r.answer, r.value, r.reached, r.cycles, r.floor, g.lower, g.upper, *(getattr(b, name) for name in RESULTS)]
    assert all(isinstance(x, kind) for x in results)
    floats = [x for x in results if not str(x.dtype).endswith(("bool", "int64"))]
    assert all(str(x.dtype).endswith("float64") for x in floats)


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, lambda u: torch.as_tensor(u).float(), lambda u: u.astype("f4"), lambda u: u.tolist()],
                         ids=["numpy", "torch", "torch f4", "numpy f4", "list"])
@pytest.mark.parametrize("coefficient", [A, torch.as_tensor(A)], ids=["numpy problem", "torch problem"])
def test_answers_may_be_of_another_kind_than_the_problem(kind: Any, coefficient: Any):
    problem = Darcy(coefficient)
    u = np.asarray(problem.solve()).astype("f4").astype("f8")
    assert numbers(bound(problem, kind(u)).eta) == pytest.approx(numbers(bound(problem, u).eta), rel=1e-12)


def test_single_precision_is_exact_in_double():
    """The same numbers in float32 and float64 have the same certificate."""
    a = torch.as_tensor(A).float()
    u = torch.as_tensor(Darcy(a).solve()).float()
    single, double = (wellposed.certify(Darcy(x), v) for x, v in ((a, u), (a.double(), u.double())))
    assert single.document == double.document


def test_one_sample_without_its_axis():
    problem = Darcy(A[0], 1.0)
    assert len(problem) == 1
    u = problem.solve()
    assert u.shape == (1, 9, 9)
    assert np.array_equal(bound(problem, u[0]).eta, bound(problem, u).eta)
    assert clamp(problem, np.ones((9, 9))).shape == (1, 9, 9)


@pytest.mark.parametrize("source", [2.0, 2, np.float32(2), torch.tensor(2.0), np.full((8, 8), 2.0), np.full((1, 8, 8), 2.0), np.full((2, 1, 1), 2.0),
                                    [[[2.0]]], np.full(8, 2)], ids=lambda s: f"{type(s).__name__} {np.shape(s)}")
def test_sources_broadcast(source: Any):
    assert torch.equal(Darcy(A, source).source, torch.full((2, 8, 8), 2.0, dtype=torch.float64))


def test_axes_are_sample_y_x():
    """A source in the row y near 0 pushes the potential up near the bottom."""
    f = np.zeros((1, 8, 8))
    f[0, 0] = 1.0
    u = Darcy(np.ones((1, 8, 8)), f).solve()[0]
    assert u[1].max() > 10 * u[7].max()
    assert u[:, 1] == pytest.approx(u[:, 7])


def test_sides_are_named_by_where_they_lie():
    table = {"bottom": "neumann", "right": "dirichlet", "top": "dirichlet", "left": "dirichlet"}
    problem = Darcy(np.ones((1, 8, 8)), 0.0, table, neumann={"bottom": 1.0}, dirichlet={"right": 2.0, "top": 2.0, "left": 2.0})
    u = problem.solve()[0]
    assert (u[-1] == 2).all()
    assert (u[:, -1] == 2).all()
    assert u[0, 4] == u.max()


def test_clamp_gives_the_kind_of_the_potential():
    problem = Darcy(A, dirichlet={"left": 1.0, "bottom": 1.0, "right": 1.0, "top": 1.0})
    for u in (np.zeros((2, 9, 9)), torch.zeros(2, 9, 9)):
        v = clamp(problem, u)
        assert isinstance(v, type(u))
        assert numbers(v)[:, 0].tolist() == np.ones((2, 9)).tolist()
        assert (numbers(u) == 0).all()


def test_bound_is_differentiable():
    """d eta^2 / d v by autograd is that of the closed form: the label-free training loss."""
    problem = Darcy(torch.as_tensor(A))
    v = torch.as_tensor(clamp(problem, torch.rand(2, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))))
    stream = bound(problem, v).stream
    v = v.clone().requires_grad_()
    bound(problem, v, stream).eta.square().sum().backward()
    assert v.grad is not None
    direction = torch.as_tensor(clamp(problem, torch.rand(2, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))))
    with torch.no_grad():
        ends = [float(bound(problem, v + s * direction, stream).eta.square().sum()) for s in (-1e-4, 1e-4)]
    assert float((v.grad * direction).sum()) == pytest.approx((ends[1] - ends[0]) / 2e-4, rel=1e-6)


@pytest.mark.parametrize("verb", ["certify", "refine", "guard", "goal"])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_answers_that_carry_gradients_are_taken_as_numbers(verb: str, kind: str):
    """A network's output, straight from a forward pass."""
    problem = Darcy(A if kind == "numpy" else torch.as_tensor(A))
    u = torch.as_tensor(problem.solve()).requires_grad_() * 1.0
    assert u.requires_grad
    calls = {"certify": lambda: wellposed.certify(problem, u, tol=0.5), "refine": lambda: wellposed.refine(problem, u, 0.5),
             "guard": lambda: wellposed.guard(lambda p: u, 0.5)(problem), "goal": lambda: goal(problem, 1.0, u)}
    result = calls[verb]()
    if verb == "certify":
        assert result.verdict is True
    answers = {"refine": lambda: [result.answer], "guard": lambda: result.answers, "goal": lambda: [result.lower], "certify": list}[verb]()
    assert not any(isinstance(x, torch.Tensor) and x.requires_grad for x in answers)


def test_problem_of_some_samples():
    problem = Darcy(A, np.arange(2.0)[:, None, None] + np.zeros((2, 8, 8)))
    assert torch.equal(problem[1].source, problem.source[1:])
    assert torch.equal(problem[-1].coefficient, problem.coefficient[1:])
    assert torch.equal(problem[np.array([True, False])].source, problem.source[:1])
    assert [float(p.source[0, 0, 0]) for p in problem] == [0.0, 1.0]
