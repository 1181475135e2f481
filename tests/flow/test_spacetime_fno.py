"""Any resolution, any input steps, any times: the same trajectory; smooth in time, joined, and learned."""

from typing import Any

import numpy as np
import pytest
import torch
from flows import LENGTH, equation, field
from hypothesis import given, settings
from hypothesis import strategies as st

import wellposed
from wellposed.flow import Evolution, Slabs, Trajectory, solve
from wellposed.flow.band import Band
from wellposed.flow.families import taylor_green
from wellposed.flow.learning import Windows, evolution_objective, flow_objective
from wellposed.flow.learning import trajectories as family_trajectories
from wellposed.flow.spacetime_fno import SpacetimeFNO, Start
from wellposed.flow.spectral_layer import SpectralLayer, box, planes, real, to_modes, to_nodes
from wellposed.numerics import chebyshev
from wellposed.numerics.vorticity import Modes, resample, to_field, to_spectrum

N, SLAB = 16, 0.3


def model(seed: int = 0, gain: float = 0.2, **options: Any) -> SpacetimeFNO:
    """In float64, with a last layer and biases that matter."""
    torch.manual_seed(seed)
    given = {"slab": SLAB, "degree": 5, "modes": 4, "channels": 4, "layers": 2, "viscosity": 0.02, **options}
    network = SpacetimeFNO(**given).double().eval()
    with torch.no_grad():
        for layer in (network.lift, network.last):
            layer.weight.mul_(gain / 0.01 if layer is network.last else 1.0)
            if layer.bias is not None and not network.homogeneous:
                layer.bias.normal_(std=0.05)
    return network.requires_grad_(False)


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def shifted(w: torch.Tensor, by: tuple[float, float]) -> torch.Tensor:
    """w(x - by), whole spectra, frequencies of n/2 excluded."""
    m = Modes.of(w.shape[-1], length=LENGTH)
    return to_field(to_spectrum(w) * torch.exp(-1j * (m.x * by[0] + m.y * by[1])), w.shape[-1])


# the layers

@pytest.mark.parametrize("modes", [1, 4])
def test_transforms_are_those_of_fourier_and_invert_each_other(modes):
    v = torch.randn(2, 2 * modes + 1, modes + 1, 3, 2, dtype=torch.float64)
    n = 3 * modes + 1
    expected = torch.fft.irfft2(Band(modes, 1.0).spread(box(v), n), s=(n, n), norm="forward")
    expected = expected - expected.mean((-2, -1), keepdim=True)
    v = real(v)
    torch.testing.assert_close(to_nodes(v).permute(3, 2, 0, 1), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(to_modes(to_nodes(v)), v, rtol=0, atol=1e-12)


def test_products_have_no_aliasing():
    """As on a grid twice as fine."""
    band = Band(4, 1.0)
    c = box(real(torch.randn(2, 9, 5, 2, 1, dtype=torch.float64)))
    one, other = to_nodes(planes(c)).chunk(2, 2)
    f = torch.fft.irfft2(band.spread(c, 32), s=(32, 32), norm="forward")
    expected = band.cut(torch.fft.rfft2(f[:, :1] * f[:, 1:], norm="forward"))
    torch.testing.assert_close(box(real(to_modes(one * other))), expected, rtol=0, atol=1e-12)


def test_a_spectral_layer_multiplies_each_mode_by_a_complex_matrix():
    layer = SpectralLayer(3, 2, 2, bias=True).double()
    with torch.no_grad():
        layer.bias.normal_()
    v = torch.randn(2, 5, 3, 3, 4, dtype=torch.float64)
    weight, bias, x = (torch.complex(t[0], t[1]) for t in (layer.weight, layer.bias, v))
    expected = torch.einsum("yxoi,yxib->yxob", weight, x) + bias
    torch.testing.assert_close(layer(v), torch.stack([expected.real, expected.imag]), rtol=0, atol=1e-12)
    assert not any(p.is_complex() for p in layer.parameters())


# what is held without learning

def test_without_a_last_layer_modes_decay_by_viscosity():
    network, w = model(), field(N, samples=2)[:, None]
    torch.nn.init.zeros_(network.last.weight), torch.nn.init.zeros_(network.last.bias)
    slabs = network.slabs(w, 2 * SLAB)
    t = slabs.nodes.flatten()
    expected = to_spectrum(w[:, 0])[:, None] * torch.exp(-0.02 * Modes.of(N, length=LENGTH).square * t[:, None, None])
    torch.testing.assert_close(slabs.values.flatten(1, 2), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("times", [[0.3], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], [1.5, 0.0]])
def test_a_held_field_keeps_its_size_however_many_times_are_asked(times):
    network, w = model(viscosity=0.0), field(N)[:, None]
    torch.nn.init.zeros_(network.last.weight), torch.nn.init.zeros_(network.last.bias)
    torch.testing.assert_close(network(w, times), w.expand(-1, len(times), -1, -1), rtol=0, atol=1e-12)


# one function of the flow, whatever the grid and the times

@pytest.mark.parametrize(("coarse", "fine"), [(32, 64), (32, 40), (24, 128), (16, 32), (8, 32)])
def test_the_resolution_does_not_matter(coarse, fine):
    """Of the same band-limited field; on 8 x 8 nodes fewer modes are kept than the network has."""
    network, kept = model(), Modes.of(coarse).kept
    w = to_field(to_spectrum(field(coarse, samples=2)) * kept, coarse)
    horizon = 1.0 if coarse > 12 else SLAB  # a second slab begins with modes that 8 x 8 nodes do not have
    small = network.slabs(w[:, None], horizon).values
    large = network.slabs(to_field(resample(to_spectrum(w), coarse, fine), fine)[:, None], horizon).values
    assert apart(resample(large, fine, coarse) * kept, small) < 1e-12
    assert apart(small[:, -1, -1], small[:, 0, 0]) > 0.05  # something has happened


@settings(max_examples=8, deadline=None)
@given(st.floats(0, LENGTH), st.floats(0, LENGTH))
def test_translations_commute_where_the_equation_is_the_same_everywhere(x, y):
    network, w = model(homogeneous=True), field(N)
    found = network(w[:, None], [0.2, 1.0])
    assert apart(network(shifted(w, (x, y))[:, None], [0.2, 1.0]), shifted(found, (x, y))) < 1e-11
    assert apart(found[:, 1:], w[:, None]) > 0.05


def test_translations_by_nodes_are_exact_too_and_a_force_ends_them():
    w = field(N)
    for homogeneous in (True, False):
        network = model(homogeneous=homogeneous)
        moved, found = network(w.roll((3, 5), (1, 2))[:, None], [1.0]), network(w[:, None], [1.0]).roll((3, 5), (2, 3))
        assert (apart(moved, found) < 1e-11) == homogeneous


def test_only_the_last_of_any_number_of_steps_is_read():
    network, w = model(), field(N, samples=5)
    expected = network(w[None, 4:], [0.4])
    for steps in (1, 2, 5):
        torch.testing.assert_close(network(w[None, 5 - steps:], [0.4]), expected, rtol=0, atol=0)


def test_a_frame_does_not_depend_on_which_others_are_asked():
    network, w = model(), field(N, samples=2)[:, None]
    times = torch.tensor([0.7, 0.05, 0.3, 0.0, 1.2, 0.31], dtype=torch.float64)
    together = network(w, times)
    for k, t in enumerate(times):
        torch.testing.assert_close(network(w, [t]), together[:, k:k + 1], rtol=0, atol=1e-14)
    torch.testing.assert_close(together[:, 3], to_field(to_spectrum(w[:, 0]) * Modes.of(N).kept, N), rtol=0, atol=1e-14)
    torch.testing.assert_close(to_field(network.slabs(w, 1.2).at(times), N), together, rtol=0, atol=1e-13)


def test_samples_do_not_depend_on_each_other():
    network, w = model(gain=0.01), field(N, samples=3)[:, None]
    alone = network(w[1:2], [0.5])
    torch.testing.assert_close(network(w, [0.5])[1:2], alone, rtol=0, atol=1e-13)
    w[0] *= 1e60
    found = network(w, [4.0])
    assert not bool(found[0].isfinite().all())
    assert bool(found[1:].isfinite().all())


def test_the_type_of_the_frames_is_that_of_the_answer():
    network, w = SpacetimeFNO(modes=4, channels=4), field(N)[:, None]
    assert network(w.float(), [0.1]).dtype == torch.float32
    assert network(w, [0.1]).dtype == torch.float64
    assert network.slabs(w.float(), 0.1).values.dtype == torch.complex128


# slabs

def test_slabs_begin_with_the_last_frame_and_join():
    w = field(N, samples=2)[:, None]
    slabs = model().slabs(w, 1.0)
    v, kept = slabs.values, Modes.of(N).kept
    first = to_spectrum(w[:, 0]) * kept
    first[:, 0, 0] = 0
    assert torch.equal(v[:, 0, 0], first)
    assert torch.equal(v[:, 1:, 0], v[:, :-1, -1])
    assert not bool((v * (1 - kept)).abs().any())
    assert not bool(v[..., 0, 0].abs().any())
    mirrored = torch.cat([v[..., :1, :1], v[..., 1:, :1].flip(-2)], -2).conj()
    torch.testing.assert_close(v[..., :1], mirrored, rtol=0, atol=1e-15)
    torch.testing.assert_close(slabs.edges, torch.tensor([0.0, 0.3, 0.6, 0.9, 1.0], dtype=torch.float64))


def test_a_horizon_within_a_slab_cuts_its_polynomial():
    network, w = model(), field(N)[:, None]
    whole, cut = network.slabs(w, 2 * SLAB), network.slabs(w, 1.4 * SLAB)
    assert cut.edges.tolist() == pytest.approx([0, SLAB, 1.4 * SLAB])
    t = torch.linspace(0, 1.4 * SLAB, 9, dtype=torch.float64)
    torch.testing.assert_close(cut.at(t), whole.at(t), rtol=0, atol=1e-13)
    for count in (1, 3, 7):
        assert len(network.slabs(w, count * SLAB).edges) == count + 1


def test_derivatives_of_slabs_are_those_of_frames():
    network, w, h = model(), field(N)[:, None], 1e-6
    slabs = network.slabs(w, 2 * SLAB)
    s = np.array([0.25, 0.6])
    slope = to_field(slabs.sampled(chebyshev.derivatives(5, s)) / SLAB, N)[0]
    for k in range(2):
        t = (k + torch.from_numpy(s)) * SLAB
        centred = (network(w, t + h) - network(w, t - h)) / (2 * h)
        torch.testing.assert_close(slope[k], centred[0], rtol=0, atol=1e-6)


# the last layer, for a refiner

def test_slabs_are_linear_in_the_last_layer():
    network, w = model(), field(N, samples=2)[:, None]
    latents = network.features(w, 1.0)
    assert latents.shape == (4, 2, 9, 5, 4, 2)
    torch.testing.assert_close(network.decode(w, latents, 1.0).values, network.slabs(w, 1.0).values, rtol=0, atol=0)
    other, values = {k: torch.randn_like(p) for k, p in network.last.named_parameters()}, []
    for factor in (0.0, 1.0, 2.0):
        changed = model()
        for k, p in changed.last.named_parameters():
            p.add_(factor * other[k])
        values.append(changed.decode(w, latents, 1.0).values)
    torch.testing.assert_close(values[2] - values[1], values[1] - values[0], rtol=0, atol=1e-11)
    assert float((values[1] - values[0]).abs().max()) > 0.1


def test_a_refiner_gets_gradients():
    network, w = model(), field(N)[:, None]
    network.last.requires_grad_()
    network.decode(w, network.features(w, 0.5), 0.5).values.abs().square().sum().backward()
    assert all(float(p.grad.abs().max()) > 0 for p in network.last.parameters())


# problems

def test_a_problem_is_answered_by_a_trajectory():
    e, w = equation(N), field(N, samples=4)
    network, t = model(), torch.tensor([5.0, 5.2, 6.1], dtype=torch.float64)
    found = network(Evolution(e, w.view(2, 2, N, N), t))
    assert isinstance(found, Trajectory)
    assert isinstance(found.coefficients, Slabs)
    assert len(found) == 2
    torch.testing.assert_close(found.vorticity, network(w.view(2, 2, N, N), t - 5), rtol=0, atol=1e-13)
    for other in (equation(N, viscosity=0.01), equation(N, length=1.0)):
        with pytest.raises(ValueError, match=r"which the network was made for; train one with SpacetimeFNO\.of"):
            network(Evolution(other, w, t))
    with pytest.raises(ValueError, match="without times"):
        network(Evolution(e, w))


def test_what_is_made_for_an_equation():
    assert SpacetimeFNO.of(equation(N), 0.2).config == {**SpacetimeFNO(0.2).config, "viscosity": 0.02}
    free = SpacetimeFNO.of(equation(N, forced=False), 0.2)
    assert free.homogeneous
    assert free.lift.bias is None
    assert not free.last.bias.requires_grad
    assert "slab=0.2" in repr(free)
    assert "viscosity=0.02" in repr(free)
    again = SpacetimeFNO.from_config(free.config)
    assert again.config == free.config
    assert repr(again) == repr(free)


@pytest.mark.parametrize("bad", [{"slab": 0.0}, {"slab": float("nan")}, {"degree": 1}, {"modes": 0}, {"channels": 2.0}, {"layers": -1},
                                 {"length": -1.0}, {"viscosity": -1e-3}, {"scale": 0.0}], ids=str)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=rf"{next(iter(bad))}=.*expected"):
        SpacetimeFNO(**bad)


@pytest.mark.parametrize("frames", [torch.zeros(1, N, N), torch.zeros(1, 1, N, N + 2), torch.zeros(1, 1, 9, 9), torch.zeros(1, 0, N, N),
                                    torch.zeros(1, 1, N, N, dtype=torch.int64), torch.full((1, 1, N, N), torch.nan)],
                         ids=["no steps", "not square", "odd", "none", "whole numbers", "nan"])
def test_frames_that_do_not_fit_are_refused(frames):
    with pytest.raises(ValueError, match="expected"):
        SpacetimeFNO(modes=4, channels=4)(frames, [0.1])


@pytest.mark.parametrize("times", [None, [], [-0.1], [0.1, float("inf")], [[0.1]]], ids=str)
def test_times_that_do_not_fit_are_refused(times):
    with pytest.raises(ValueError, match="times"):
        SpacetimeFNO(modes=4, channels=4)(torch.zeros(1, 1, N, N), times)


def test_horizons_and_latents_that_do_not_fit_are_refused():
    network, w = model(), field(N)[:, None]
    with pytest.raises(ValueError, match="horizon of 0"):
        network.slabs(w, 0.0)
    with pytest.raises(ValueError, match="latents of 1 slabs"):
        network.decode(w, network.features(w), 1.0)


# learning

def trajectories(n: int = N, samples: int = 6, length: float = 1.2, forced: bool = True) -> Trajectory:
    return solve(equation(n, forced=forced), field(n, samples=samples), torch.linspace(0, length, 7, dtype=torch.float64), step=0.02, slab=0.2)


@pytest.mark.parametrize("slabs", [1, 2])
def test_windows_are_the_truth_at_the_nodes(slabs):
    data, network = trajectories(), model()
    windows = Windows(data, network, slabs, every=0.1)
    starts = round((1.2 - slabs * SLAB) / 0.1) + 1
    assert len(windows) == 6 * starts
    assert data.coefficients is not None
    start, truth = windows[[2 * starts + 3, 0]]
    t = 0.3 + torch.cat([SLAB * torch.from_numpy(chebyshev.lobatto(5)[1:]) + k * SLAB for k in range(slabs)])
    expected = Band(4, LENGTH).cut(data.coefficients.at(t)[2])
    torch.testing.assert_close(box(truth)[0], expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(box(start.planes)[1, 0], Band(4, LENGTH).cut(data.coefficients.values[0, 0, 0]), rtol=0, atol=1e-14)


def test_frames_without_polynomials_teach_nearly_the_same():
    data, network = trajectories(), model()
    fine = torch.linspace(0, 1.2, 25, dtype=torch.float64)
    bare = Trajectory(fine, to_field(data.coefficients.at(fine), N))
    a, b = (Windows(x, network, 1, 0.1)[[5, 20]].truth for x in (data, bare))
    assert 0 < apart(b, a) < 1e-4


def test_training_sees_what_the_network_answers():
    network, w = model(), field(N, samples=2)
    start = planes(Band(4, LENGTH).cut(to_spectrum(w))[:, None])
    seen = box(network(Start(start, 3)))
    slabs = network.slabs(to_field(Band(4, LENGTH).spread(box(start)[:, 0], N), N)[:, None], 3 * SLAB)
    torch.testing.assert_close(seen, Band(4, LENGTH).cut(slabs.values[:, :, 1:].flatten(1, 2)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("loss", ["vorticity", "velocity"])
def test_the_loss_is_the_relative_error(loss):
    data, network = trajectories(), model()
    objective: Any = flow_objective(data, network, loss=loss)
    start, truth = batch = objective.data[[0, 9]]
    found = float(objective.loss(network, batch))
    m = Modes.of(N, length=LENGTH)
    weight = m.inverse.sqrt() if loss == "velocity" else m.square > 0
    size = [to_field(Band(4, LENGTH).spread(box(x), N).mul(weight), N).square().mean((-2, -1)).sqrt()
            for x in (network(start) - truth, truth)]
    assert found == pytest.approx(float((size[0] / size[1]).mean()), rel=1e-12)


def fresh() -> SpacetimeFNO:
    torch.manual_seed(0)
    return SpacetimeFNO.of(equation(N), SLAB, degree=4, modes=4, channels=6, layers=1)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_training_lowers_the_loss_and_the_folder_gives_the_model_back(precision, tmp_path):
    data, network = trajectories(samples=12), fresh()
    options: Any = {"folder": tmp_path, "steps": 80, "batch": 16, "lr": 1e-2, "betas": (0.9, 0.99), "validation": 0.2, "quiet": True,
                    "threads": 1, "precision": precision, "report_every": 20}
    run = wellposed.train(network, flow_objective(data, network), **options)
    assert run.history[-1]["validation_loss"] < 0.5 * run.history[0]["validation_loss"]
    again, w = SpacetimeFNO.load(tmp_path).requires_grad_(False), field(N, seed=9)[:, None]
    assert again.scale == network.scale == pytest.approx(float(data.vorticity.square().mean().sqrt()), rel=1e-5)
    assert torch.equal(again(w, [0.1, 1.0]), run.model(w, [0.1, 1.0]))
    truth = solve(equation(N), w[:, 0], torch.tensor([0.0, SLAB], dtype=torch.float64), step=0.02, slab=0.2).vorticity[:, 1:]
    assert float((again(w, [SLAB]) - truth).norm()) < 0.6 * float((w - truth).norm())
    network = fresh()
    assert wellposed.train(network, flow_objective(data, network), **options).seconds == run.seconds  # the finished run, recognised


def test_problems_are_solved_to_be_learned():
    e, w = equation(N), field(N, samples=2)
    t = torch.tensor([0.0, 0.5], dtype=torch.float64)
    own = evolution_objective(Evolution(e, w, t), model())
    given = evolution_objective(Evolution(e, w), model(), labels=solve(e, w, t))
    assert own.describe(0) == given.describe(0)
    with pytest.raises(ValueError, match="without times, expected Evolution"):
        evolution_objective(Evolution(e, w), model())


def test_families_give_trajectories():
    made = family_trajectories(taylor_green(0.02), 8, 3, duration=0.4)
    assert made.vorticity.shape == (3, 5, 8, 8)
    assert made.times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    decay = torch.exp(-2 * 0.02 * made.times)[:, None, None]
    torch.testing.assert_close(made.vorticity, made.vorticity[:, :1] * decay, rtol=0, atol=1e-12)
    assert len(family_trajectories(taylor_green(), 8, 1).times) == 16


def test_what_cannot_be_learned_is_refused():
    data = trajectories()
    for options, message in (({"loss": "h1"}, "vorticity, velocity"), ({"slabs": 0}, "slabs=0"), ({"slabs": 5}, "of the length 1.2"),
                             ({"every": -1.0}, "every=-1.0")):
        with pytest.raises(ValueError, match=message):
            flow_objective(data, model(), **options)
    with pytest.raises(ValueError, match="Linear"):
        flow_objective(data, torch.nn.Linear(2, 2))


def test_runs_on_other_data_are_told_apart():
    described = [flow_objective(trajectories(samples=k), model(), **options).describe(0)
                 for k, options in ((2, {}), (3, {}), (2, {"every": 0.2}), (2, {"slabs": 2}), (2, {"loss": "velocity"}))]
    assert len({(d["loss"], d["sha256"]) for d in described}) == 5
    assert described[0] == flow_objective(trajectories(samples=2), model()).describe(0)
