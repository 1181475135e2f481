"""Bad input gets one clear error: what was received, what was expected, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import wellposed
from wellposed.elliptic import Darcy, bound, clamp, generate, goal

A = np.ones((2, 8, 8))
U = np.zeros((2, 9, 9))
PROBLEM = Darcy(A)
TABLE = {"bottom": "neumann", "right": "dirichlet", "top": "dirichlet", "left": "dirichlet"}


def changed(value: float) -> np.ndarray:
    a = A.copy()
    a[1, 2, 3] = value
    return a


def refused(call: Callable[[], Any], *words: str) -> None:
    """A ValueError whose message has each of the words, and says what was received and expected."""
    with pytest.raises(ValueError, match="received") as caught:
        call()
    message = str(caught.value)
    for word in (*words, "expected"):
        assert word in message, message
    assert "\n" not in message


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_coefficient_that_is_not_positive(value: float):
    refused(lambda: Darcy(changed(value)), "coefficient", f"{value:g}", "(1, 2, 3)", "small positive permeability")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["coefficient", "source"])
def test_numbers_that_are_not_finite(name: str, value: float):
    data = {"coefficient": A, "source": A} | {name: changed(value)}
    refused(lambda: Darcy(**data), name, str(value), "(1, 2, 3)", "numpy.isnan")


@pytest.mark.parametrize("value", [1e200, 1e-200])
def test_coefficient_beyond_what_squares_can_hold(value: float):
    refused(lambda: Darcy(changed(value)), "coefficient", "1e150", "units")


@pytest.mark.parametrize("shape", [(8,), (8, 9), (2, 8, 9), (2, 1, 8, 8), (0, 8, 8), (2, 0, 0), (2, 1, 1), ()])
def test_coefficient_of_another_shape(shape: tuple[int, ...]):
    refused(lambda: Darcy(np.ones(shape)), "coefficient", str(shape).strip("()"), "(samples, n, n)")


@pytest.mark.parametrize("x", ["text", None, [[1.0, "a"], [2.0, 3.0]], np.ones((2, 2), complex), np.ones((2, 2), bool),
                               np.array([[{}, {}], [{}, {}]]), [[1.0], [2.0, 3.0]]], ids=repr)
def test_coefficient_that_is_no_array_of_real_numbers(x: Any):
    with pytest.raises(ValueError, match=r"coefficient: received .* expected"):
        Darcy(x)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 8, 9), (2, 9, 9), (2,), (4, 2, 8, 8)])
def test_source_of_another_shape(shape: tuple[int, ...]):
    refused(lambda: Darcy(A, np.ones(shape)), "source", str(shape), "(2, 8, 8)")


@pytest.mark.parametrize("boundary", [
    "robin", "Dirichlet", "", {"bottom": "dirichlet"}, {**TABLE, "back": "neumann"}, {**TABLE, "top": "robin"}, {**TABLE, "top": None},
    {**TABLE, "top": "periodic"}, None, 4, ("dirichlet",) * 4], ids=str)
def test_unknown_boundary(boundary: Any):
    refused(lambda: Darcy(A, 1.0, boundary), "boundary", str(boundary)[:12])


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_data_that_do_not_balance(boundary: str):
    with pytest.raises(ValueError, match=r"do not balance.* received 1 in sample 0; subtract the mean \(source - "):
        Darcy(A, 1.0, boundary)


def test_neumann_data_that_do_not_balance():
    with pytest.raises(ValueError, match="balance"):
        Darcy(A, 0.0, "neumann", neumann={"left": 1.0, "right": -0.5})
    assert len(Darcy(A, 0.0, "neumann", neumann={"left": 1.0, "right": -1.0})) == 2


@pytest.mark.parametrize("data", [{"right": 1.0}, {"front": 1.0}, np.ones((2, 4, 8))], ids=["dirichlet side", "no side", "array"])
def test_neumann_data_for_other_sides(data: Any):
    refused(lambda: Darcy(A, 1.0, TABLE, neumann=data), "neumann", "['bottom']")


def test_neumann_data_of_another_shape():
    refused(lambda: Darcy(A, 1.0, TABLE, neumann={"bottom": np.ones(9)}), "neumann['bottom']", "(9,)", "(2, 8)")
    refused(lambda: Darcy(A, 1.0, TABLE, neumann=np.ones((2, 8))), "neumann", "(2, 8)", "(2, 4, 8)")


def test_dirichlet_data_for_other_sides():
    with pytest.raises(ValueError, match="dirichlet: received values for 'bottom', which is a neumann side"):
        Darcy(A, 1.0, TABLE, dirichlet={"bottom": 1.0})
    refused(lambda: Darcy(A, 1.0, TABLE, dirichlet={"front": 1.0}), "dirichlet", "front")
    refused(lambda: Darcy(A, 0.0, "periodic", dirichlet={"left": 1.0}), "dirichlet")
    refused(lambda: Darcy(A, 0.0, "neumann", dirichlet=np.zeros((2, 9, 9))), "dirichlet")


def test_dirichlet_data_that_jump_at_a_corner():
    with pytest.raises(ValueError, match=r"dirichlet: the values of 'left' differ .* at the corner .* expected one value there; make them agree"):
        Darcy(A, 1.0, dirichlet={"bottom": 0.0, "left": 1.0})


def test_dirichlet_data_of_another_shape():
    refused(lambda: Darcy(A, 1.0, dirichlet={"left": np.ones(8)}), "dirichlet['left']", "(8,)", "(2, 9)")
    refused(lambda: Darcy(A, 1.0, dirichlet=np.ones((2, 8, 8))), "dirichlet", "(2, 8, 8)", "(2, 9, 9)")


@pytest.mark.parametrize("r", [-0.1, 1.0, 2.0, np.nan])
def test_coefficient_error_out_of_range(r: float):
    refused(lambda: Darcy(A, 1.0, coefficient_error=r), "coefficient_error", str(r), "[0, 1)")


@pytest.mark.parametrize("name", ["source_oscillation", "neumann_oscillation"])
def test_oscillation_that_is_negative_or_of_another_shape(name: str):
    shape = (2, 8, 8) if name.startswith("source") else (2, 4, 8)
    refused(lambda: Darcy(A, 1.0, TABLE, **{name: np.full(shape, -1.0)}), name, "-1", "not negative")
    refused(lambda: Darcy(A, 1.0, TABLE, **{name: np.ones((5, 5))}), name, "(5, 5)", str(shape))


CALLS: dict[str, Callable[[Any], Any]] = {
    "bound": lambda u: bound(PROBLEM, u), "certify": lambda u: wellposed.certify(PROBLEM, u), "refine": lambda u: wellposed.refine(PROBLEM, u, 0.1),
    "clamp": lambda u: clamp(PROBLEM, u), "goal": lambda u: goal(PROBLEM, 1.0, u), "guard": lambda u: wellposed.guard(lambda p: u, 0.1)(PROBLEM)}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("shape", [(2, 8, 8), (1, 9, 9), (3, 9, 9), (2, 9, 10), (9, 9), (2, 1, 9, 9), (2, 5, 5), (2, 10, 10)])
def test_answer_of_another_shape(call: str, shape: tuple[int, ...]):
    received = (1, 9, 9) if shape == (9, 9) else shape
    refused(lambda: CALLS[call](np.zeros(shape)), "received the shape", str(received), "(2, 9, 9)", "one value at each node")


def test_cell_values_get_a_hint():
    refused(lambda: bound(PROBLEM, np.zeros((2, 8, 8))), "these look like cell values", "average them to the nodes")


@pytest.mark.parametrize("call", [c for c in CALLS if c != "guard"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answer_that_is_not_finite(call: str, value: float):
    u = U.copy()
    u[1, 4, 5] = value
    refused(lambda: CALLS[call](u), "potential", str(value), "(1, 4, 5)")


@pytest.mark.parametrize("call", ["bound", "certify", "refine", "goal"])
@pytest.mark.parametrize(("side", "at"), [("bottom", (1, 0, 3)), ("top", (1, 8, 3)), ("left", (0, 3, 0)), ("right", (0, 3, 8))])
def test_value_on_a_dirichlet_side_names_clamp(call: str, side: str, at: tuple[int, ...]):
    u = U.copy()
    u[at] = 1e-300
    refused(lambda: CALLS[call](u), f"on the {side} side", "is not the Dirichlet value", "wellposed.elliptic.clamp(problem, potential)")
    CALLS[call](clamp(PROBLEM, u))


def test_value_that_does_not_wrap_names_clamp():
    problem = Darcy(A, np.where(np.arange(8) < 4, 1.0, -1.0), "periodic")
    u = U.copy()
    u[0, 2, 8] = 1.0
    refused(lambda: bound(problem, u), "does not repeat the opposite side", "clamp")
    assert clamp(problem, u)[0, 2, 8] == 0.0


@pytest.mark.parametrize("n", [33, 66, 129])
@pytest.mark.parametrize("call", ["solve", "bound", "refine"])
def test_mesh_that_cycles_cannot_halve(n: int, call: str):
    problem = Darcy(np.ones((1, n, n)))
    zero = np.zeros((1, n + 1, n + 1))
    calls = {"solve": problem.solve, "bound": lambda: bound(problem, zero), "refine": lambda: wellposed.refine(problem, zero, 0.1)}
    refused(calls[call], f"received n = {n}", "nearest are")


def test_mesh_that_cycles_cannot_halve_is_bounded_with_a_stream_function():
    n = 33
    zero = np.zeros((1, n + 1, n + 1))
    assert bound(Darcy(np.ones((1, n, n))), zero, zero).eta[0] > 0


@pytest.mark.parametrize("options", [{"tol": 0.0}, {"tol": -1.0}, {"tol": np.nan}, {"tol": np.inf}, {"quantity": "error"},
                                     {"quantity": "goal"}, {"lower": "coarser"}, {"arithmetic": "exact"}], ids=str)
def test_options_of_certify(options: dict[str, Any]):
    name, value = next(iter(options.items()))
    refused(lambda: wellposed.certify(PROBLEM, U, **options), "certify", f"{name}={value!r}" if name != "tol" else "tol")


def test_unknown_problem_types_name_the_known_ones():
    for verb in (wellposed.certify, wellposed.refine):
        with pytest.raises(TypeError, match=r"received a problem of the type dict, expected .* \(.*\bDarcy\b"):
            verb({"a": 1}, U)


def test_sample_that_is_not_there():
    with pytest.raises(IndexError, match="sample 2 of a problem with 2 samples"):
        PROBLEM[2]
    assert [len(PROBLEM[k]) for k in (0, -1, np.int64(1))] == [1, 1, 1]
    assert len(list(PROBLEM)) == 2
    assert len(PROBLEM[[0, 1, 1]]) == 3


def test_goal_weight_of_another_shape():
    refused(lambda: goal(PROBLEM, np.ones((5, 5)), U), "(5, 5)", "(2, 8, 8)")


def test_oscillation_terms_cannot_move():
    with pytest.raises(ValueError, match="cannot be moved to a finer mesh"):
        Darcy(A, 1.0, source_oscillation=A).refined(2)


def test_messages_name_the_argument_first():
    with pytest.raises(ValueError, match=r"^source: ") as caught:
        Darcy(A, "one")
    assert re.match(r"source: received .*, expected .*", str(caught.value))


def test_inputs_are_left_as_they_were():
    a, u = generate("smooth", 8, 2).coefficient.numpy().copy(), U.copy()
    before = a.copy(), u.copy()
    problem = Darcy(a)
    bound(problem, u)
    wellposed.refine(problem, u, 0.3)
    clamp(problem, u)
    wellposed.guard(lambda p: u, 0.3)(problem)
    assert np.array_equal(a, before[0])
    assert np.array_equal(u, before[1])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_problems_and_certificates_keep_their_own_numbers(kind: Callable):
    """Writing into the arrays that were handed over changes neither the problem nor what was certified."""
    a, u = kind(generate("smooth", 8, 1).coefficient.numpy().copy()), kind(np.zeros((1, 9, 9)))
    problem = Darcy(a)
    certificate = wellposed.certify(problem, u)
    solved = problem.solve()
    a[:], u[:] = 7.0, 5.0
    assert certificate.check().status is True
    assert np.array_equal(np.asarray(problem.solve()), np.asarray(solved))
