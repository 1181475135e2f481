"""The solver against exact flows, its readable reference, its own orders, and what it says of bad input."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wellposed.flow import NavierStokes2D, solve
from wellposed.flow.arithmetic import OnArrays, OnTensors
from wellposed.flow.families import FAMILIES, frames
from wellposed.flow.galerkin import Galerkin
from wellposed.flow.initial import mcwilliams, taylor_green
from wellposed.flow.integration import READY, Run, resolved_slab, stable_step
from wellposed.flow.solver import solve_to, spectra
from wellposed.flow.steppers import METHODS
from wellposed.numerics.vorticity import ETDRK4, advection, to_field, to_spectrum

STEPS = {"forced": 0.01, "decaying": 1e-3}
FAST = {"etdrk4": 4, "ifrk4": 4, "rk4-cn": 2, "cnab2": 2, "heun-cn": 2}


def wave(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.sin(2 * x + y) + 0.5 * torch.cos(3 * y)


def flow(n: int = 24, viscosity: float = 5e-3, drag: float = 0.1, length: float = 2 * math.pi, forced: bool = True) -> NavierStokes2D:
    k = 2 * math.pi / length
    return NavierStokes2D(viscosity, n, (lambda x, y: wave(k * x, k * y)) if forced else None, drag, length)


def start(n: int = 24, samples: int = 1, seed: int = 0) -> torch.Tensor:
    return mcwilliams(n, samples, seed)


def size(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


def reference(e: NavierStokes2D, w: torch.Tensor, interval: float, steps: int) -> torch.Tensor:
    """The readable steps of `numerics.vorticity`: spectra."""
    method, x = ETDRK4(e.modes, e.viscosity, interval / steps, e.forcing_spectrum, e.drag), to_spectrum(w) * e.modes.kept
    x[..., 0, 0] = 0.0
    for _ in range(steps):
        x = method.step(x)
    return x


@settings(max_examples=25, deadline=None)
@given(n=st.sampled_from([8, 10, 12, 14, 16, 22, 30, 48, 160, 162]), batch=st.integers(1, 5), seed=st.integers(0, 99),
       length=st.floats(0.1, 50), forced=st.booleans(), arithmetic=st.sampled_from([OnArrays, OnTensors]))
def test_two_transforms_give_the_tendency_of_five(n, batch, seed, length, forced, arithmetic):
    e = flow(n, length=length, forced=forced)
    system, w = Galerkin(e, batch, arithmetic=arithmetic), to_spectrum(start(n, batch, seed)) * e.modes.kept
    box = system.pack(w)
    assert batch % system.flows == 0
    expected = advection(w, e.modes) + (0 if e.forcing_spectrum is None else e.forcing_spectrum * e.modes.kept)
    found = system.unpack(system.explicit(box, torch.empty_like(box)))
    assert float((found - expected).abs().max()) < 2e-14 * float(expected.abs().max() + 1)
    assert torch.equal(system.unpack(box), w.index_fill(-1, torch.tensor([0]), 0) + (system.unpack(box) * (e.modes.x == 0)))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), n=st.sampled_from([12, 26, 64, 160]))
def test_advection_conserves_energy_and_enstrophy(seed, n):
    system = Galerkin(flow(n, forced=False))
    w = system.pack(to_spectrum(start(n, 1, seed)))
    change = system.explicit(w, torch.empty_like(w))
    for weight in (1.0, system.to_velocity.abs() ** 2):
        terms = (change * w.conj() * weight).real
        assert abs(float(terms.sum())) < 1e-13 * float(terms.abs().sum())


def test_a_spectrum_that_is_none_of_a_real_field_is_made_one():
    system = Galerkin(flow(12))
    w = torch.randn(2, 12, 7, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    box = system.pack(w)
    assert torch.equal(box, box.flip(-1, -2).conj())
    assert torch.equal(system.pack(system.unpack(box)), box)
    assert float((system.pack(to_spectrum(to_field(system.unpack(box), 12))) - box).abs().max()) < 1e-15


@pytest.mark.parametrize("n", [8, 24, 64, 160])
@pytest.mark.parametrize("length", [1.0, 2 * math.pi])
def test_the_fast_steps_are_those_of_the_reference(n: int, length: float):
    e, w = flow(n, length=length), start(n, 3)
    found = solve_to(e, to_spectrum(w), 0.05, step=0.01)
    assert float((found - reference(e, w, 0.05, 5)).abs().max()) < 1e-14


def test_both_arithmetics_take_the_same_steps():
    e, w = flow(16), to_spectrum(start(16, 4))
    for name in METHODS:
        boxes = []
        for arithmetic in (OnArrays, OnTensors):
            system = Galerkin(e, 4, arithmetic=arithmetic)
            boxes.append(system.pack(w))
            METHODS[name](system, 0.02).advance(boxes[-1], 7)
        assert float((boxes[0] - boxes[1]).abs().max()) < 1e-14, name
        assert float((boxes[0] - system.pack(w)).abs().max()) > 1e-3


@pytest.mark.parametrize("name", METHODS)
def test_flows_at_once_are_flows_one_by_one(name: str):
    e, w = flow(64, forced=False), to_spectrum(start(64, 10))
    assert Galerkin(e, 10).flows == 5
    together = solve_to(e, w, 0.02, 0.004, name)
    alone = torch.cat([solve_to(e, w[k: k + 1], 0.02, 0.004, name) for k in range(10)])
    assert float((together - alone).abs().max()) < 1e-15


@pytest.mark.parametrize("name", METHODS)
def test_taylor_green_vortices_decay_exactly(name: str):
    e = NavierStokes2D(0.05, 16, drag=0.2, length=3.0)
    t = torch.tensor([0.0, 0.3, 1.0])
    found = solve(e, taylor_green(16, 2, 1.5, 3.0), t, name, step=0.002).vorticity
    for k in range(3):
        exact = taylor_green(16, 2, 1.5, 3.0, 0.05, 0.2, float(t[k]))
        assert size(found[:, k] - exact) < (1e-13 if FAST[name] == 4 else 1e-5) * size(exact) + 1e-14
    assert size(found[:, 2]) < 0.6 * size(found[:, 0])


def test_a_steady_flow_is_held_by_its_force():
    """w = cos x + sin 2y, f = u·∇w - νΔw + αw, worked out by hand: ψ = cos x + sin(2y)/4."""
    nu, drag = 0.02, 0.3

    def force(x, y):
        return torch.cos(2 * y) / 2 * -torch.sin(x) + torch.sin(x) * 2 * torch.cos(2 * y) + (nu + drag) * torch.cos(x) \
            + (4 * nu + drag) * torch.sin(2 * y)

    e = NavierStokes2D(nu, 16, force, drag)
    x, y = e.nodes
    found = solve(e, torch.cos(x) + torch.sin(2 * y), [0.0, 1.0, 3.0]).vorticity[0]
    assert size(found[2] - found[0]) < 1e-11


@pytest.mark.parametrize("name", METHODS)
def test_orders(name: str):
    e, w, count = flow(), to_spectrum(start()), (32, 64, 128) if FAST[name] == 4 else (128, 256, 512)
    truth = solve_to(e, w, 0.5, 0.5 / 1024, "etdrk4")
    errors = [float((solve_to(e, w, 0.5, 0.5 / steps, name) - truth).abs().max()) for steps in count]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == pytest.approx([FAST[name]] * 2, abs=0.2 if name != "rk4-cn" else 0.3)
    assert METHODS[name].order == FAST[name]


def test_order_four_down_to_eleven_digits():
    e, w = NavierStokes2D(5e-3, 24), to_spectrum(start(24))
    truth = solve_to(e, w, 0.5, 0.5 / 2048)
    errors = [float((to_field(solve_to(e, w, 0.5, 0.5 / steps) - truth, 24)).abs().max() / to_field(truth, 24).abs().max())
              for steps in (32, 64, 128, 256, 512)]
    assert [math.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([4, 4, 4, 4], abs=0.1)
    assert errors[-1] < 1e-11


@pytest.mark.parametrize("name", METHODS)
def test_steps_that_are_chosen_are_stable(name: str):
    family = FAMILIES["decaying"]()
    e, w = family.equation(32), to_spectrum(family.start(32, 1, 0))
    truth = to_field(solve_to(e, w, 1.0, 0.002), 32)
    assert size(to_field(solve_to(e, w, 1.0, method=name), 32) - truth) < 2e-3 * size(truth)


def test_nodes_of_the_polynomials_are_steps():
    e, w = flow(), start(24, 2)
    found = solve(e, w, [0.0, 0.1, 0.4], step=3e-3, slab=0.1)
    c = found.coefficients
    assert c.edges.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert c.values.shape == (2, 4, 9, 24, 13)
    assert torch.equal(c.values[:, 1:, 0], c.values[:, :-1, -1])
    for s, j in ((0, 3), (1, 8), (3, 5)):
        assert float((c.values[:, s, j] - reference(e, w, float(c.nodes[s, j]), 100)).abs().max()) < 1e-9
    assert torch.equal(found.vorticity[:, 1], to_field(c.values[:, 0, -1], 24))
    assert torch.equal(found.vorticity[:, 2], to_field(c.values[:, 3, -1], 24))
    between = c.at([0.033, 0.271])
    for k, t in enumerate((0.033, 0.271)):
        assert float((between[:, k] - reference(e, w, t, 100)).abs().max()) < 1e-9


def test_the_first_frame_is_the_truncation():
    x, y = flow().nodes
    w = 1 + torch.cos(7 * x) + torch.cos(8 * y) + torch.sin(8 * x + y)  # 8 = 24 / 3
    assert size(solve(flow(), w, [0.0, 0.1]).vorticity[:, 0] - torch.cos(7 * x)) < 1e-14


@pytest.mark.parametrize("family", ["forced", "decaying"])
def test_slabs_that_are_chosen_resolve_the_flow(family: str):
    f = FAMILIES[family]()
    e = f.equation(32)
    w = frames(f, 32, 1, 1)[:, 0]
    times = f.horizon * torch.arange(3, dtype=torch.float64) / 4
    found = solve(e, w, times, step=STEPS[family]).coefficients
    finer = solve(e, w, times, step=STEPS[family], slab=float(found.widths.max()) / 2.5).coefficients
    t = torch.linspace(0, float(times[-1]), 41, dtype=torch.float64)
    scale = float(finer.at(t).abs().max())
    assert float((found.at(t) - finer.at(t)).abs().max()) < 1e-9 * scale
    assert float(found.widths.max()) > 0.02 * f.horizon


def test_larger_degrees_have_wider_slabs_and_a_longer_step_is_harmless():
    e, w = flow(), start()
    at_end = [solve(e, w, [0.0, 0.5], degree=d, step=s) for d, s in ((4, 0.004), (8, 0.004), (16, 0.004))]
    assert [a > b for a, b in pairwise(len(x.coefficients.widths) for x in at_end)] == [True, True]
    assert size(at_end[0].vorticity - at_end[2].vorticity) < 1e-8
    assert size(solve(e, w, [0.0, 0.5], step=99.0, slab=0.1).vorticity - at_end[1].vorticity) < 1e-5


def test_steps_follow_the_flow_and_multipliers_are_shared():
    e = NavierStokes2D(1e-2, 16, lambda x, y: 20 * torch.sin(4 * y) + 0 * x)
    run = Run(e, to_spectrum(torch.zeros(1, 16, 16, dtype=torch.float64)), "etdrk4", None)
    assert stable_step(run.system, run.state, 1e-9, METHODS["etdrk4"]) == 1e-9
    limits = []
    for k in range(6):
        run.look_ahead(0.5)
        run.advance(0.5 * k, 0.5)
        limits.append(run.limit)
    assert limits[0] > 2 * limits[-1]
    assert len(run.ready) < READY
    w = start(24, 2)
    quiet = Run(flow(forced=False), to_spectrum(w), "etdrk4", None)
    for k in range(10):
        quiet.look_ahead(0.1)
        quiet.advance(0.1 * k, 0.1)
    assert len(quiet.ready) == 1


def test_the_least_decay_bounds_a_slab_of_nothing():
    system = Galerkin(NavierStokes2D(1e-2, 16))
    assert 0 < resolved_slab(system, system.pack(torch.zeros(1, 16, 9, dtype=torch.complex128)), 8) < 1e4
    found = solve(NavierStokes2D(1e-2, 16), np.zeros((16, 16)), [0.0, 1.0])
    assert float(found.vorticity.abs().max()) == 0.0


def test_spectra_and_solve_agree():
    e, w, t = flow(), start(24, 3), torch.tensor([0.5, 0.7, 1.0], dtype=torch.float64)
    found = spectra(e, to_spectrum(w), t, 0.01)
    assert found.shape == (3, 3, 24, 13)
    assert size(to_field(found, 24) - solve(e, w, t, step=0.002).vorticity) < 1e-7
    assert float((solve_to(e, found[:, 1], 0.3, 0.01) - found[:, 2]).abs().max()) < 1e-13


def test_gradients_and_the_input_are_left_alone():
    w = start().requires_grad_()
    before = w.detach().clone()
    found = solve(flow(), w, [0.0, 0.1])
    assert torch.equal(w.detach(), before)
    assert not found.vorticity.requires_grad
    (found.vorticity * torch.ones((), requires_grad=True)).sum().backward()  # no inference tensor comes out


@pytest.mark.parametrize("name", METHODS)
def test_what_diverges_is_not_returned(name: str):
    e, w = NavierStokes2D(1e-4, 32), 50 * start(32)
    with pytest.raises(ArithmeticError, match=rf"{name} with steps of 0.25 has diverged between the times 0 and .*try step=0.125"):
        solve_to(e, to_spectrum(w), 30.0, 0.25, name)
    with pytest.raises(ArithmeticError, match="has diverged"):
        solve(e, w, [0.0, 60.0, 120.0], name, step=1.0, slab=30.0)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"method": "euler"}, "received 'euler', expected one of etdrk4, ifrk4, rk4-cn, cnab2, heun-cn"),
    ({"times": [0.0]}, "at least two finite times"), ({"times": [0.0, 1.0, 1.0]}, "received .*increase"),
    ({"times": [0.0, math.nan]}, "finite"), ({"times": [[0.0, 1.0]]}, "times"), ({"times": list(range(9, 0, -1))}, "increase"),
    ({"step": 0.0}, "step: received 0.0"), ({"step": -1.0}, "positive"), ({"step": math.inf}, "step"), ({"slab": 0.0}, "slab: received"),
    ({"degree": 1}, "degree: received 1"), ({"degree": 2.5}, "whole number"), ({"vorticity": torch.zeros(1, 8, 8)}, "vorticity: received"),
    ({"vorticity": torch.full((24, 24), math.nan)}, "finite"),
])
def test_bad_input(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        solve(**({"equation": flow(), "vorticity": start(), "times": [0.0, 0.1]} | arguments))


@pytest.mark.parametrize(("interval", "step", "method"), [(0.0, None, "etdrk4"), (math.inf, 0.1, "etdrk4"), (1.0, 0.0, "etdrk4"), (1.0, 0.1, "rk4")])
def test_bad_input_in_bulk(interval, step, method):
    with pytest.raises(ValueError, match="received"):
        solve_to(flow(), to_spectrum(start()), interval, step, method)


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str):
    f = FAMILIES[name]()
    found = frames(f, 16, 2, 3, seed=1)
    assert found.shape == (2, 3, 16, 16)
    assert found.dtype == torch.float64
    assert torch.isfinite(found).all()
    assert size(found[:, 0] - found[:, 2]) > 1e-4
    assert float(found.mean((2, 3)).abs().max()) < 1e-14
    again = frames(f, 16, 2, 2, seed=1)
    assert size(again - found[:, :2]) < 1e-4 * size(found)
    assert size(frames(f, 16, 1, 1, seed=2)[:, 0] - found[:1, 0]) > 1e-3
    later = solve(f.equation(16), found[:, 0], [0.0, f.spacing, 2 * f.spacing], step=f.spacing / 50)
    assert size(later.vorticity - found) < 1e-3 * size(found)


def test_taylor_green_frames_are_exact():
    f = FAMILIES["taylor-green"](0.03)
    found = frames(f, 16, 3, 4, spacing=0.5)
    assert size(found - found[:, :1] * torch.exp(-0.03 * torch.arange(4.0)).view(1, 4, 1, 1)) < 1e-7


@pytest.mark.parametrize(("count", "spacing"), [(0, 0.1), (2, 0.0), (2, math.inf), (2, -1.0)])
def test_frames_that_cannot_be(count, spacing):
    with pytest.raises(ValueError, match="at least one frame"):
        frames(FAMILIES["forced"](), 16, 1, count, spacing=spacing)


def test_resolutions_share_a_flow():
    f = FAMILIES["forced"]()
    coarse, fine = (frames(f, n, 1, 2)[0, 1] for n in (48, 64))
    assert size(coarse[::3, ::3] - fine[::4, ::4]) < 1e-3 * size(fine)
