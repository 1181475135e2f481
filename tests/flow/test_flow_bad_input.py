"""Bad input gets one clear error: what was received, what was expected, what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from flows import N, equation, field, own, short

import wellposed
from wellposed.flow import Evolution, NavierStokes2D, Slabs, Trajectory, bound, enclose, solve

W = field(N, 0, 2)
TIMES = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
FRAMES = W[:, None].expand(-1, 3, -1, -1).contiguous()
E = equation()


def refused(call: Callable[[], Any], *words: str) -> None:
    """A ValueError of one line that has each of the words, and says what was received and expected."""
    with pytest.raises(ValueError, match="received") as caught:
        call()
    message = str(caught.value)
    for word in (*words, "expected"):
        assert word in message, message
    assert "\n" not in message
    assert len(message) < 700


def holed(x: torch.Tensor, value: float = float("nan")) -> torch.Tensor:
    x = x.clone()
    x[(0,) * (x.ndim - 2) + (3, 2)] = value
    return x


@pytest.mark.parametrize("n", [6, 15, 17, 0, -8, 16.0, "16", None])
def test_resolution(n: Any):
    refused(lambda: NavierStokes2D(1e-3, n), "resolution", str(n), "even whole number of at least 8")


@pytest.mark.parametrize("value", [0.0, -1e-3, np.nan, np.inf, "0.1", None])
@pytest.mark.parametrize("name", ["viscosity", "length"])
def test_numbers_that_are_not_positive(name: str, value: Any):
    refused(lambda: NavierStokes2D(**({"viscosity": 1e-3, "resolution": N} | {name: value})), name, str(value), "a positive number")


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_drag(value: float):
    refused(lambda: NavierStokes2D(1e-3, N, drag=value), "drag", str(value), "zero")


@pytest.mark.parametrize("forcing", [np.ones((N, N)), lambda x, y: 0 * x + 1])
def test_a_forcing_with_a_mean(forcing: Any):
    refused(lambda: NavierStokes2D(1e-3, N, forcing), "forcing", "mean of 1", "subtract the mean")


@pytest.mark.parametrize("forcing", [np.zeros((N, N + 1)), np.zeros(N), np.full((N, N), np.nan), lambda x, y: x[0]])
def test_a_forcing_of_another_shape_or_not_finite(forcing: Any):
    refused(lambda: NavierStokes2D(1e-3, N, forcing), "forcing", f"({N}, {N})")


@pytest.mark.parametrize("times", [[0.0], [], [0.0, 1.0, 1.0], [1.0, 0.0], [0.0, np.nan], [0.0, np.inf], [[0.0, 1.0]]])
def test_times_that_do_not_increase(times: list):
    frames = torch.zeros(1, max(len(times), 1), N, N)
    refused(lambda: Trajectory(times, frames), "times", "increase")
    refused(lambda: Evolution(E, W, times), "times", "increase")
    refused(lambda: solve(E, W, times), "times", "increase")


@pytest.mark.parametrize("shape", [(3, N, N + 2), (2, N, N), (1, 4, N, N), (N, N), (1, 1, 3, N, N)])
def test_frames_of_another_shape(shape: tuple[int, ...]):
    refused(lambda: Trajectory(TIMES, np.zeros(shape)), "vorticity", "(batch, 3, n, n)")


def test_complex_frames():
    refused(lambda: Trajectory(TIMES, FRAMES.cdouble()), "vorticity", "complex", "real numbers")


@pytest.mark.parametrize("field", [np.zeros((N + 2, N + 2)), np.zeros((2, N, N - 2)), np.zeros(N), np.zeros((0, N, N)), np.zeros((N, N), complex)])
def test_fields_that_do_not_fit_the_equation(field: np.ndarray):
    refused(lambda: Evolution(E, field), "vorticity", f"{N} x {N} grid", "resample")
    refused(lambda: solve(E, field, TIMES), "vorticity", f"{N} x {N} grid")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(value: float):
    refused(lambda: Evolution(E, holed(W, value)), "vorticity", str(value), "(0, 3, 2)", "finite")
    refused(lambda: bound(E, Trajectory(TIMES, holed(FRAMES, value))), "trajectory", str(value), "(0, 0, 3, 2)", "finite")
    refused(lambda: bound(E, Trajectory(TIMES, FRAMES), start=holed(W, value)), "start", str(value))


CALLS: dict[str, Callable[[Evolution, Trajectory], Any]] = {
    "bound": lambda p, v: bound(p.equation, v, start=p.vorticity), "enclose": lambda p, v: enclose(p, v),
    "certify": lambda p, v: wellposed.certify(p, v), "refine": lambda p, v: wellposed.refine(p, v, 0.1)}


@pytest.mark.parametrize("call", CALLS)
def test_polynomials_that_are_not_finite(call: str):
    e, flow = short()
    values = own(flow).values.clone()
    values[1, 2, 3, 1, 1] = float("nan")
    refused(lambda: CALLS[call](Evolution(e, flow.vorticity[:, 0]), Trajectory(flow.times, flow.vorticity, Slabs(own(flow).edges, values))),
            "coefficients", "finite")


@pytest.mark.parametrize("call", CALLS)
def test_polynomials_that_begin_before_the_initial_time(call: str):
    e, flow = short()
    late = Trajectory(flow.times[1:], flow.vorticity[:, 1:], own(flow))
    refused(lambda: CALLS[call](Evolution(e, late.vorticity[:, 0]), late), "0.2")


@pytest.mark.parametrize("call", CALLS)
def test_polynomials_that_end_before_the_frames(call: str):
    e, flow = short()
    longer = Trajectory(torch.cat([flow.times, flow.times[-1:] + 0.1]), torch.cat([flow.vorticity, flow.vorticity[:, -1:]], 1), own(flow))
    refused(lambda: CALLS[call](Evolution(e, flow.vorticity[:, 0]), longer), "times", "0.7", "0.6")


@pytest.mark.parametrize("call", CALLS)
def test_polynomials_whose_edges_do_not_increase(call: str):
    e, flow = short()
    edges = own(flow).edges.clone()
    edges[2] = edges[1]
    refused(lambda: CALLS[call](Evolution(e, flow.vorticity[:, 0]), Trajectory(flow.times, flow.vorticity, Slabs(edges, own(flow).values))), "edges")


@pytest.mark.parametrize("change", [lambda v: v[:1], lambda v: v[..., :-2, :-1], lambda v: v[:, :-1], lambda v: v[..., :-1], lambda v: v.real],
                         ids=["samples", "grid", "slabs", "columns", "real"])
def test_polynomials_of_another_shape(change: Callable):
    e, flow = short()
    refused(lambda: bound(e, Trajectory(flow.times, flow.vorticity, Slabs(own(flow).edges, change(own(flow).values)))), "coefficients")


@pytest.mark.parametrize("call", [c for c in CALLS if c != "bound"])
def test_a_trajectory_of_another_question(call: str):
    e, flow = short()
    w = flow.vorticity[:, 0]
    refused(lambda: CALLS[call](Evolution(e, w[:1]), flow), "2 samples", "1 on 16")
    refused(lambda: CALLS[call](Evolution(e, w, flow.times + 1.0), flow), "first time of 0", "the problem's 1")
    refused(lambda: CALLS[call](Evolution(equation(2 * N), field(2 * N, 0, 2)), flow), "16 nodes per axis", "32")


@pytest.mark.parametrize("options", [{"tol": 0.0}, {"tol": -1.0}, {"tol": np.nan}, {"tol": np.inf}, {"against": "euler"}, {"against": None}], ids=str)
def test_options(options: dict[str, Any]):
    e, flow = short()
    problem = Evolution(e, flow.vorticity[:, 0])
    name, value = next(iter(options.items()))
    said = f"{name}={value!r}" if name == "against" else f"tol={value}"
    refused(lambda: wellposed.certify(problem, flow, **options), "certify", said)
    refused(lambda: wellposed.refine(problem, flow, **options), "refine", said)


@pytest.mark.parametrize("options", [{"mesh": "finer"}, {"passes": -1}])
def test_options_of_refine(options: dict[str, Any]):
    refused(lambda: wellposed.refine(Evolution(E, W, TIMES), None, 0.1, **options), "refine", str(next(iter(options.values()))))


@pytest.mark.parametrize("options", [{"step": 0.0}, {"step": -0.1}, {"slab": 0.0}, {"degree": 1}, {"method": "euler"}], ids=str)
def test_options_of_solve(options: dict[str, Any]):
    name, value = next(iter(options.items()))
    refused(lambda: solve(E, W, TIMES, **options), name, str(value))


def test_no_times_anywhere():
    with pytest.raises(ValueError, match=r"refine: received no trajectory, and a problem without times; give the problem times"):
        wellposed.refine(Evolution(E, W), None, 0.1)
    with pytest.raises(ValueError, match=r"guard: received frames without times; give the problem times"):
        wellposed.guard(lambda p: FRAMES, 0.1)(Evolution(E, W))


def test_guarded_models_that_answer_something_else():
    problem = Evolution(E, W, TIMES)
    refused(lambda: wellposed.guard(lambda p: FRAMES[:1], 0.1)(problem), "1 trajectories", "2, one for each sample")
    refused(lambda: wellposed.guard(lambda p: FRAMES[:, :2], 0.1)(problem), "vorticity", "with 3 times")


def test_messages_name_the_argument_first():
    for call in (lambda: NavierStokes2D(-1.0, N), lambda: Trajectory([1.0, 0.0], FRAMES[:, :2]), lambda: Evolution(E, holed(W))):
        with pytest.raises(ValueError, match="received") as caught:
            call()
        assert re.match(r"[a-z]+: received .*", str(caught.value))


def test_inputs_are_left_as_they_were():
    e, flow = short()
    before = flow.vorticity.clone(), own(flow).values.clone(), own(flow).edges.clone()
    problem = Evolution(e, flow.vorticity[:, 0])
    bound(e, flow, "pde")
    wellposed.certify(problem, flow)
    wellposed.refine(problem, flow, 1e-12, passes=1)
    assert all(torch.equal(x, y) for x, y in zip(before, (flow.vorticity, own(flow).values, own(flow).edges), strict=True))
