"""MgNO keeps what the paper promises: linear W, exact sides, symmetries, any grid; and what the package promises of any operator."""

import json

import pytest
import torch
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


def small(boundary="dirichlet", **options):
    return MgNO(2, 1, channels=4, layers=3, levels=3, boundary=boundary, **options)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", MIXED], ids=str)
def test_it_is_an_operator(boundary):
    check_operator(lambda: small(boundary), torch.randn(3, 2, 16, 16))


@pytest.mark.parametrize("variant", VARIANTS)
def test_so_is_every_variant(variant):
    check_operator(lambda: small(**VARIANTS[variant]), torch.randn(3, 2, 16, 16))


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", "periodic", MIXED], ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_w_is_linear(boundary, variant):
    torch.manual_seed(0)
    for layer in small(boundary, **VARIANTS[variant]).double().potential.layers:
        rows, columns = layer.cycle.ends.unknowns(16)
        u, v = torch.randn(2, 1, layer.cycle.in_channels, rows, columns, dtype=torch.float64)
        both = layer.cycle(2 * u - 3 * v)
        torch.testing.assert_close(both, 2 * layer.cycle(u) - 3 * layer.cycle(v), rtol=0, atol=1e-12 * float(both.detach().abs().max()))


@pytest.mark.parametrize("resolution", [None, 8])
def test_dirichlet_values_are_exactly_zero(resolution):
    y = small(resolution=resolution).eval()(torch.randn(2, 2, 32, 32))
    edges = torch.cat([y[..., 0, :], y[..., -1, :], y[..., 0], y[..., -1]], -1)
    assert bool((edges == 0.0).all())
    assert float(y.abs().max()) > 0
    mixed = small(MIXED, resolution=resolution)(torch.randn(2, 2, 32, 32))
    assert bool((mixed[..., -1, :] == 0.0).all())
    assert bool((mixed[..., :, -1] == 0.0).all())
    assert float(mixed[..., 0, :-1].abs().min()) > 0


@pytest.mark.parametrize("variant", ["plain", "dense", "repeated"])
def test_shifts_of_a_periodic_square_commute(variant):
    model, x = small("periodic", **VARIANTS[variant]).double(), torch.randn(1, 2, 16, 16, dtype=torch.float64)
    for shift in ((4, 0), (8, 4)):
        difference = model(x.roll(shift, (-2, -1))) - model(x).roll(shift, (-2, -1))
        assert float(difference.abs().max()) <= 1e-12 * float(model(x).abs().max())


@pytest.mark.parametrize("axis", [-1, -2])
def test_reflections_of_neumann_sides_commute(axis):
    model, x = small("neumann").double(), torch.randn(1, 2, 16, 16, dtype=torch.float64)
    difference = model(x.flip(axis)) - model(x).flip(axis)
    assert float(difference.abs().max()) <= 1e-12 * float(model(x).abs().max())


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
    file = tmp_path / "run" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ValueError, match="weights.safetensors"):
        MgNO.load(tmp_path / "run")


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
