"""What a sceptic tried: each of these was once accepted, or could be computed, and is not true."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import wellposed
from wellposed.flow import Evolution, NavierStokes2D, Slabs, Trajectory, bound
from wellposed.numerics.vorticity import to_spectrum
from wellposed_check.canonical import Refused, encode
from wellposed_check.flow.evidence import read_flow
from wellposed_check.flow.velocity_error import enclosure
from wellposed_check.statement import Evidence

N = 8


def wave(amplitude: float = 1.0) -> torch.Tensor:
    return amplitude * torch.cos(2 * math.pi * torch.arange(N, dtype=torch.float64) / N).expand(1, N, N).contiguous()


def held(w: torch.Tensor, times: list[float]) -> Trajectory:
    t, v = torch.tensor(times, dtype=torch.float64), to_spectrum(w)
    return Trajectory.of(Slabs(t[[0, -1]], v[:, None, None].expand(-1, 1, 2, -1, -1).contiguous()), t)


def test_an_error_that_decays_counts_when_it_is_large():
    """One slab far longer than what is between its first frames: what is left at its end says nothing of them."""
    flow = held(wave(1.0), [0.0, 20.0, 1e11])
    e = NavierStokes2D(10.0, N)
    found = bound(e, flow, start=wave(3.0))
    assert float(found.error[0, 0]) >= 0.99 * 2.0 / math.sqrt(2)
    assert float(found.relative.max()) >= 0.6


@pytest.mark.parametrize("amplitude", [1e-162, 1e-170])
def test_squares_that_vanish_prove_nothing(amplitude: float):
    e, start = NavierStokes2D(1.0, N), torch.cat([wave(), wave(amplitude)])
    flow = held(torch.cat([wave(), wave(3 * amplitude)]), [0.0, 1e-3])
    claim = wellposed.certify(Evolution(e, start), flow, two_sided=False).claim("galerkin_error")
    assert claim.upper is None


def test_a_frame_of_zeros_of_a_flow_that_is_not_zero_proves_nothing():
    flow = held(wave(), [0.0, 1.0])
    gone = Trajectory(flow.times, flow.vorticity * torch.tensor([1.0, 0.0])[:, None, None], flow.coefficients)
    assert math.isinf(float(bound(NavierStokes2D(1.0, N), gone).relative.max()))


def test_forces_that_the_grid_drops_round_those_that_it_keeps():
    x = 2 * math.pi * torch.arange(N, dtype=torch.float64) / N
    big, small = 2.0**40, 2.0**10
    f = (small * torch.cos(x) + big * torch.cos(3 * x)).expand(N, N)
    found = bound(NavierStokes2D(1.0, N, f), held(wave(small), [0.0, 1.0]))
    assert float(found.error[0, -1]) > 1e-16 * big
    with pytest.raises(ValueError, match=r"frequencies of n/2"):
        NavierStokes2D(1.0, N, torch.cos(4 * x).expand(N, N))


@pytest.mark.parametrize("change", [{"drag": None}, {"viscosity": 2.0**-70}, {"length": 2.0**70}])
def test_parameters_out_of_range_are_refused(change: dict):
    numbers = {"viscosity": 1.0, "drag": 0.0, "length": 1.0} | change
    arrays = {"initial": wave().numpy()}
    with pytest.raises(Refused):
        enclosure(Evidence({k: encode(v) for k, v in numbers.items()}, arrays), read_flow(Evidence(
            {k: encode(v) for k, v in numbers.items()}, arrays)), "galerkin")


def test_times_too_close_to_be_told_apart_are_said_to_be():
    flow = held(wave(), [1e12, 1e12 + 1e-4, 1e12 + 1.0])
    with pytest.raises(ValueError, match=r"received .*expected"):
        wellposed.certify(Evolution(NavierStokes2D(1.0, N), wave()), flow)
    assert np.all(np.diff(flow.times) > 0)
