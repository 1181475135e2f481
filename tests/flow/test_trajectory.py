"""Trajectories, their polynomials and splines, and the questions they answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flows import N, at, distance, equation, field, own, rough_error, short
from hypothesis import given, settings
from hypothesis import strategies as st

from wellposed.flow import Evolution, Slabs, Trajectory
from wellposed.flow.bound import of_frames
from wellposed.flow.slabs import spline
from wellposed.numerics.vorticity import to_field, to_spectrum

EDGES = torch.tensor([1.0, 1.5, 3.0, 3.2], dtype=torch.float64)


def polynomial(times: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Σ c_j t^j, (batch, time, n, half)."""
    return torch.stack([sum(c[:, j] * t**j for j in range(c.shape[1])) for t in times.flatten()], 1)


@pytest.fixture(scope="module")
def powers() -> torch.Tensor:
    return to_spectrum(field(N, 4, 2 * 6)).unflatten(0, (2, 6))


@pytest.mark.parametrize("degree", [1, 2, 5, 8])
def test_polynomials_are_kept_exactly(degree, powers):
    c = powers[:, : degree + 1]
    nodes = Slabs(EDGES, torch.zeros(2, 3, degree + 1, N, N // 2 + 1).cdouble()).nodes
    slabs = Slabs(EDGES, polynomial(nodes, c).unflatten(1, nodes.shape))
    assert slabs.degree == degree
    times = torch.cat([torch.linspace(1, 3.2, 23, dtype=torch.float64), EDGES])
    torch.testing.assert_close(slabs.at(times), polynomial(times, c), rtol=1e-11, atol=1e-11)


@settings(max_examples=20, deadline=None)
@given(time=st.floats(0.0, 0.6))
def test_any_time_is_read_as_numpy_would(time):
    flow = short()[1]
    slabs = Slabs(own(flow).edges, own(flow).values + rough_error(flow, 1.0))
    np.testing.assert_allclose(slabs.at([time])[:, 0], at(slabs, time)[0], atol=1e-12)


def test_at_an_edge_the_slab_before_counts():
    values = torch.arange(3.0)[None, :, None, None, None].expand(1, 3, 2, 8, 5).cdouble()
    slabs = Slabs(EDGES, values)
    assert slabs.at(EDGES)[0, :, 0, 0].real.tolist() == [0.0, 0.0, 1.0, 2.0]
    assert slabs.at(EDGES[1:3] + 1e-6)[0, :, 0, 0].real.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("times", [[0.9], [1.0, 3.3]])
def test_times_outside_of_the_slabs(times):
    slabs = Slabs(EDGES, torch.zeros(1, 3, 2, 8, 5).cdouble())
    with pytest.raises(ValueError, match=r"times: received .* expected them within 1 to 3\.2"):
        slabs.at(times)


@pytest.mark.parametrize("frames", [2, 3, 4, 5, 6, 7, 12])
def test_splines_interpolate_and_are_as_exact_as_they_can_be(frames, powers):
    rng = np.random.default_rng(frames)
    times = torch.from_numpy(np.sort(rng.uniform(0, 1, frames)))
    degree = {2: 1, 3: 2, 4: 3, 5: 4}.get(frames, 5)
    values = polynomial(times, powers[:, : degree + 1])
    slabs = spline(times, values)
    assert torch.equal(slabs.edges, times)
    torch.testing.assert_close(slabs.at(times), values, rtol=1e-12, atol=1e-12)
    assert torch.equal(slabs.values[:, 1:, 0], slabs.values[:, :-1, -1]), "slabs join to the last bit"
    between = torch.linspace(float(times[0]), float(times[-1]), 17, dtype=torch.float64)
    torch.testing.assert_close(slabs.at(between), polynomial(between, powers[:, : degree + 1]), rtol=1e-8, atol=1e-8)


def test_splines_converge_with_order_six(powers):
    def error(count: int) -> float:
        times = torch.linspace(0, 2, count, dtype=torch.float64)
        between = torch.linspace(0, 2, 101, dtype=torch.float64)
        wave = lambda t: torch.sin(3 * t)[None, :, None, None] * powers[:, 0, None]  # noqa: E731
        return float((spline(times, wave(times)).at(between) - wave(between)).abs().max())

    assert error(17) / error(33) == pytest.approx(2**6, rel=0.5)


def test_frames_of_polynomials():
    flow = short()[1]
    times = torch.tensor([0.05, 0.3, 0.55], dtype=torch.float64)
    frames = Trajectory.of(own(flow), times)
    assert frames.coefficients is flow.coefficients
    torch.testing.assert_close(frames.vorticity, to_field(own(flow).at(times), N))


def test_what_is_given_is_taken():
    frames = field(8, 0, 3)
    one = Trajectory(np.array([0, 1, 3]), frames.numpy().astype(np.float32))
    assert one.vorticity.shape == (1, 3, 8, 8)
    assert one.vorticity.dtype == one.times.dtype == torch.float64
    assert len(one) == 1
    assert one.coefficients is None
    assert "vorticity" in repr(one)


def test_some_of_the_samples():
    flow = short()[1]
    for which, expected in ((0, [0]), (-1, [1]), (slice(1, 2), [1]), (torch.tensor([1, 0, 1]), [1, 0, 1]), (torch.tensor([True, False]), [0])):
        some = flow[which]
        assert len(some) == len(expected)
        assert torch.equal(some.vorticity, flow.vorticity[expected])
        assert torch.equal(own(some).values, own(flow).values[expected])


def test_samples_are_bounded_alone_as_in_their_batch():
    e, flow = short()
    together = of_frames(e, flow, "pde").error
    for k in range(2):
        torch.testing.assert_close(of_frames(e, flow[k], "pde").error, together[k : k + 1], rtol=1e-9, atol=1e-14)


def test_a_question_with_a_history():
    seen = field(N, 0, 6).unflatten(0, (2, 3))
    problem = Evolution(equation(), seen)
    assert len(problem) == 2
    assert torch.equal(problem.vorticity, seen[:, -1])
    assert torch.equal(problem.history, seen)
    assert torch.equal(Evolution(equation(), seen[:, -1]).history, seen[:, -1:])
    assert Evolution(equation(), seen[0, -1].numpy()).vorticity.shape == (1, N, N)


def test_some_questions():
    problem = Evolution(equation(), field(N, 0, 9).unflatten(0, (3, 3)), [0.0, 1.0])
    for which, expected in ((0, [0]), (-1, [2]), (np.int64(1), [1]), (slice(0, 2), [0, 1]), (np.array([2, 0]), [2, 0]),
                            (np.array([False, True, True]), [1, 2]), (torch.tensor([1]), [1])):
        some = problem[which]
        assert torch.equal(some.vorticity, problem.vorticity[expected])
        assert torch.equal(some.history, problem.history[expected])
        assert some.equation is problem.equation
        assert torch.equal(some.times, problem.times)


def test_distances_are_velocities():
    """sin(ky) has the velocity cos(ky)/k, root mean square 1/(k √2)."""
    y = equation().nodes[1]
    assert distance(torch.sin(3 * y)[None], 0.0)[0] == pytest.approx(1 / (3 * 2**0.5))
