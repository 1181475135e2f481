"""MgNO keeps what the paper promises: linear W, exact sides, symmetries, any grid; and what the package promises of any operator."""

import json
from typing import Any

import pytest
import torch
from cases import BOUNDARIES
from torch import nn

import wellposed
from wellposed.elliptic import MgNO, generate
from wellposed.elliptic.multigrid import Multigrid
from wellposed.testing import check_operator

MIXED = {"bottom": "neumann", "right": "dirichlet", "top": "dirichlet", "left": "neumann"}
VARIANTS = {
    "plain": {}, "dense": {"separable": 0}, "shared": {"shared": True, "separable": 0}, "galerkin": {"transfers": "galerkin", "separable": 0},
    "modes": {"modes": 3}, "down only": {"smoothing": (1, 0)}, "more smoothing": {"smoothing": (2, 1)}, "repeated": {"repeated": 1, "separable": 1},
    "own activation": {"activation": nn.Softplus()}}


def small(boundary: Any = "dirichlet", **options: Any) -> MgNO:
    return MgNO(2, 1, channels=4, layers=3, levels=3, boundary=boundary, **options)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", MIXED], ids=str)
def test_it_is_an_operator(boundary):
    check_operator(lambda: small(boundary), torch.randn(3, 2, 16, 16))


@pytest.mark.parametrize("variant", VARIANTS)
def test_so_is_every_variant(variant):
    skip = [] if variant in ("galerkin", "modes", "repeated") else ["export"]  # slow, and the others have nothing of their own to export
    check_operator(lambda: small(**VARIANTS[variant]), torch.randn(3, 2, 16, 16), skip=skip)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", MIXED], ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_every_w_is_linear(boundary, variant):
    torch.manual_seed(0)
    for layer in small(boundary, **VARIANTS[variant]).double().potential.layers:
        w: Any = layer.cycle
        u, v = torch.randn(2, 1, w.in_channels, *w.ends.unknowns(16), dtype=torch.float64)
        both = w(2 * u - 3 * v)
        torch.testing.assert_close(both, 2 * w(u) - 3 * w(v), rtol=0, atol=1e-12 * float(both.abs().max()))


@pytest.mark.parametrize("resolution", [None, 8])
@torch.no_grad()
def test_dirichlet_values_are_exactly_zero(resolution):
    y = small(resolution=resolution).eval()(torch.randn(2, 2, 32, 32))
    edges = torch.cat([y[..., 0, :], y[..., -1, :], y[..., 0], y[..., -1]], -1)
    assert bool((edges == 0.0).all())
    assert float(y.abs().max()) > 0
    mixed = small(MIXED, resolution=resolution)(torch.randn(2, 2, 32, 32))
    assert bool((mixed[..., -1, :] == 0.0).all())
    assert bool((mixed[..., :, -1] == 0.0).all())
    assert float(mixed[..., 0, :-1].abs().min()) > 0


@pytest.mark.parametrize("boundary", ["dirichlet", "periodic", MIXED], ids=str)
def test_grids(boundary):
    model = small(boundary)
    for n in (8, 12, 20, 32):
        nodes = n if boundary == "periodic" else n + 1
        assert model(torch.randn(1, 2, n, n)).shape == (1, 1, nodes, nodes)
    trained = small(boundary, resolution=16)
    assert [trained.extra(n) for n in (8, 16, 24, 64)] == [-1, 0, 0, 0]
    assert [trained.factor(n) for n in (8, 16, 24, 32, 64)] == [1, 1, 1, 2, 4]
    levels = small(boundary, resolution=16, finer="levels")
    assert [levels.extra(n) for n in (8, 16, 64)] == [-1, 0, 2]
    assert levels(torch.randn(1, 2, 64, 64)).shape == trained(torch.randn(1, 2, 64, 64)).shape


def test_repeated_levels_share_kernels():
    """On half of the grid, one with a repeated level is one without it."""
    torch.manual_seed(0)
    deep, x = small(repeated=1, separable=1, resolution=16), torch.randn(1, 2, 8, 8)
    shallow = MgNO(2, 1, channels=4, layers=3, levels=2, separable=1)
    shallow.load_state_dict(deep.state_dict())
    torch.testing.assert_close(deep(x), shallow(x))


def test_load_gives_back_what_a_run_kept(tmp_path):
    torch.manual_seed(0)
    problem = generate("smooth", 16, 4, seed=0)
    model = MgNO.darcy(channels=4, layers=2, levels=3)
    wellposed.train(model, problem, steps=3, folder=tmp_path / "run", quiet=True, threads=1)
    again = MgNO.load(tmp_path / "run")
    assert again.config == model.config
    assert again.resolution == 16
    for one, two in zip(again.state_dict().values(), model.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_config_is_json_and_builds_it_again():
    model = small(MIXED, modes=2, repeated=1, separable=1, smoothing=(2, 1), resolution=32)
    again = MgNO.from_config(json.loads(json.dumps(model.config)))
    assert again.config == model.config
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, 2, 32, 32)
    assert torch.equal(again(x), model(x))


@pytest.mark.parametrize(("make", "said"), [
    (lambda: MgNO(0, 1), "in_channels=0"), (lambda: MgNO(1, 1, activation="gulu"), "gulu"), (lambda: MgNO(1, 1, repeated=5), "repeated=5"),
    (lambda: MgNO(1, 1, finer="magic"), "magic"), (lambda: MgNO(1, 2, stream=True), "stream=True"), (lambda: MgNO(1, 1, boundary="robin"), "robin"),
    (lambda: Multigrid.from_stencil(torch.zeros(3, 3), 3), "positive centre"), (lambda: small()(torch.ones(1, 2, 18, 18)), "multiple of 4"),
    (lambda: small()(torch.ones(1, 3, 16, 16)), "1, 3, 16, 16"), (lambda: small()(torch.ones(1, 2, 16, 8)), "16, 8"),
    (lambda: small()(torch.ones(1, 2, 16, 16, dtype=torch.long)), "int64"),
    (lambda: small(resolution=8)(torch.ones(1, 2, 33, 33)), "multiple of 4")])
def test_bad_input_is_named(make, said):
    with pytest.raises(ValueError, match=said):
        make()


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(x)


def test_an_own_activation_is_the_callers_to_rebuild(tmp_path):
    model = MgNO(5, 1, channels=4, layers=2, levels=2, activation=Swish())
    wellposed.train(model, generate("smooth", 8, 2, seed=0), steps=2, folder=tmp_path / "run", quiet=True, threads=1)
    with pytest.raises(ValueError, match=r"'Swish\(\)', expected one of gelu"):
        MgNO.load(tmp_path / "run")
    with pytest.raises(ValueError, match=r"received tanh, expected Swish\(\)"):
        MgNO.load(tmp_path / "run", nn.Tanh())
    x = torch.randn(1, 5, 8, 8)
    assert torch.equal(MgNO.load(tmp_path / "run", Swish())(x), model(x))


def test_runs_of_other_models_are_not_loaded(tmp_path):
    wellposed.train(nn.Linear(3, 2), (torch.randn(8, 3), torch.randn(8, 2)), steps=2, folder=tmp_path / "run", quiet=True, threads=1)
    with pytest.raises(ValueError, match="named 'Linear', expected 'mgno'"):
        MgNO.load(tmp_path / "run")
    with pytest.raises(ValueError, match="not a run folder"):
        MgNO.load(tmp_path)


@pytest.mark.parametrize("name", ["weights.safetensors", "config.toml"])
def test_tampered_runs_are_refused(tmp_path, name):
    wellposed.train(MgNO.darcy(channels=2, layers=2, levels=2), generate("smooth", 8, 2, seed=0), steps=2, folder=tmp_path / "run", quiet=True,
                    threads=1)
    file = tmp_path / "run" / name
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match=name):
        MgNO.load(tmp_path / "run")
    file.unlink()
    with pytest.raises(ValueError, match=name):
        MgNO.load(tmp_path / "run")


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("n", [8, 24])
@torch.no_grad()
def test_both_trunks_are_exact_at_their_sides(boundary, n):
    torch.manual_seed(0)
    model = MgNO.darcy(BOUNDARIES[boundary], channels=4, layers=3, levels=3, modes=2)
    for p in model.parameters():
        p.add_(0.3 * torch.randn(p.shape))
    x = torch.randn(2, 5, n, n)
    for y, ends in zip(model.both(x, x), (model.ends, model.ends.dual), strict=True):
        assert y is not None
        assert y.shape == (2, 1, n + 1, n + 1)
        if ends.periodic:
            assert torch.equal(y[..., 0, :], y[..., -1, :])
            assert torch.equal(y[..., 0], y[..., -1])
            continue
        for edge, side in zip((y[..., 0, :], y[..., -1], y[..., -1, :], y[..., 0]), ends.sides, strict=True):
            assert bool((edge == 0).all()) == (side == "dirichlet")


@pytest.mark.parametrize("boundary", BOUNDARIES)
@torch.no_grad()
def test_finer_grids_are_interpolated(boundary):
    model, x = small(BOUNDARIES[boundary], resolution=8).double(), torch.randn(2, 2, 8, 8, dtype=torch.float64)
    for factor in (2, 4):
        y = model(x.repeat_interleave(factor, -1).repeat_interleave(factor, -2))
        torch.testing.assert_close(y[..., ::factor, ::factor], model(x), rtol=0, atol=1e-12 * float(y.abs().max()))


@pytest.mark.parametrize("variant", sorted({*VARIANTS} - {"modes"}))
@torch.no_grad()
def test_variants_keep_the_symmetries(variant):
    """Reflections along both axes, shifts by the coarsest mesh width; not by less. Modes are functions of the place."""
    x = torch.randn(1, 2, 16, 16, dtype=torch.float64)
    periodic, neumann = (small(sides, **VARIANTS[variant]).double() for sides in ("periodic", "neumann"))

    def defect(model, move):
        return float((model(move(x)) - move(model(x))).abs().max()) / float(model(x).abs().max())

    assert defect(periodic, lambda y: y.roll((4, -8), (-2, -1))) <= 1e-12
    assert defect(periodic, lambda y: y.roll(1, -1)) > 1e-9
    for axes in ((-1,), (-2,), (-1, -2)):
        assert defect(neumann, lambda y, axes=axes: y.flip(axes)) <= 1e-12


def test_both_trunks_can_be_exported():
    model, x = MgNO.darcy(channels=4, layers=2, levels=3, resolution=8), torch.randn(2, 5, 16, 16)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x, y):
            return self.model.both(x, y)

    for y, own in zip(torch.export.export(Both(), (x, x)).module()(x, x), model.both(x, x), strict=True):
        torch.testing.assert_close(y, own)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", {"bottom": "neumann", "right": "dirichlet", "top": "dirichlet",
                                                                          "left": "neumann"}], ids=str)
@pytest.mark.parametrize("smoothing", [(1, 0), (1, 1), (2, 1)])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_a_layer_is_mixing_and_cycle_in_every_layout(boundary, smoothing, order):
    torch.manual_seed(0)
    network = MgNO(1, 1, channels=4, layers=3, levels=3, boundary=boundary, smoothing=smoothing, activation="tanh").double()
    layer = network.potential.layers[1]
    u = torch.randn(2, 4, *network.ends.unknowns(16), dtype=torch.float64).contiguous(memory_format=order)
    expected = layer.mix(u) + 2 * torch.pi**2 / 16**2 * layer.cycle(u)
    torch.testing.assert_close(layer(u, 0), expected, rtol=1e-12, atol=1e-12)
    wanted = torch.autograd.grad(expected.sin().sum(), list(layer.parameters()))
    found = torch.autograd.grad(layer(u, 0).sin().sum(), list(layer.parameters()))
    for one, two in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_low_precision_by_autocast():
    network, x = small(), torch.randn(1, 2, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = network(x)
    torch.testing.assert_close(low.float(), network(x), rtol=0.2, atol=0.05 * float(network(x).abs().max()))
