"""The released MgNO: as many parameters as released, the released computation, and each defect that its docstrings name."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from wellposed.elliptic.published import PublishedCycle, PublishedMgNO

RELEASED = {"darcy_rough": (572_661, 64), "darcy_smooth": (678_093, 83), "navier_stokes": (2_885_194, 64), "helmholtz": (5_351_806, 101)}
EACH = pytest.mark.parametrize("name", RELEASED)
DARCY = pytest.mark.parametrize("name", ["darcy_rough", "darcy_smooth"])


def released(name: str, seed: int = 0) -> PublishedMgNO:
    torch.manual_seed(seed)
    return getattr(PublishedMgNO, name)()


def noise(name: str, *shape: int, seed: int = 1) -> Tensor:
    size = RELEASED[name][1]
    return torch.randn(*shape, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@torch.no_grad()
def additivity_defect(cycle: PublishedCycle, f: Tensor, g: Tensor) -> float:
    whole = cycle(f + g)
    return float((whole - cycle(f) - cycle(g)).norm() / whole.norm())


@EACH
def test_number_of_parameters(name: str):
    assert sum(p.numel() for p in released(name).parameters()) == RELEASED[name][0]


@EACH
def test_fields_of_the_released_size_pass(name: str):
    model, x = released(name), noise(name, 2, 1).float()
    y = model(x)
    assert y.shape == x.shape
    assert y.isfinite().all()


def test_smooth_takes_the_grid_of_its_data():
    assert released("darcy_smooth")(torch.ones(1, 1, 211, 211)).shape == (1, 1, 211, 211)


def test_cycle_by_hand():
    """Two levels, written out with torch's functions."""
    torch.manual_seed(0)
    W = PublishedMgNO("MgNO_DC", 2, 1, channels=3, layers=1, steps=(1, 2), kernels=(4,)).double().cycles[0]
    kernel = dict(W.named_parameters())
    f = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    fine = F.conv2d(f, kernel["start.weight"], padding=1)
    u, r = F.conv2d(fine, kernel["Pi.0.weight"], stride=2, padding=1), F.conv2d(f, kernel["R.0.weight"], stride=2, padding=1)
    for step in range(2):
        defect = r - F.conv2d(u, kernel[f"A.1.{step}.weight"], padding=1)
        u = u + F.conv2d(defect, kernel[f"S.1.{step}.weight"], padding=1)
    torch.testing.assert_close(W(f), fine + F.conv_transpose2d(u, kernel["P.0.weight"], stride=2, padding=1), rtol=0, atol=1e-14)


@DARCY
def test_linear_without_layer_norm(name: str):
    for cycle in released(name).double().cycles:
        f, g = noise(name, 2, 1, cycle.start.in_channels)
        assert additivity_defect(cycle, f, g) < 1e-12
        torch.testing.assert_close(cycle(-3 * f), -3 * cycle(f), rtol=0, atol=1e-12)


def test_layer_norm_makes_w_nonlinear():
    for cycle in released("navier_stokes").double().cycles:
        f, g = noise("navier_stokes", 2, 1, cycle.start.in_channels)
        assert 0.4 < additivity_defect(cycle, f, g) < 0.8
        assert cycle(0 * f).norm() > 0.9 * cycle(f).norm()


def test_helmholtz_is_affine():
    for cycle in released("helmholtz").double().cycles:
        f, g = noise("helmholtz", 2, 1, cycle.start.in_channels)
        zero = cycle(0 * f)
        torch.testing.assert_close(cycle(f + g), cycle(f) + cycle(g) - zero, rtol=0, atol=1e-12)
        assert zero.abs().max() > 1e-3


@DARCY
def test_zero_padding_does_not_make_boundary_values_zero(name: str):
    y = released(name)(noise(name, 1, 1).float())[0, 0].detach().abs()
    rim = max(y[0].max(), y[-1].max(), y[:, 0].max(), y[:, -1].max())
    assert rim > 0.4 * y.max()


def test_periodic_but_not_equivariant():
    """A shift by 16 nodes, the coarsest mesh width, which the circular convolutions alone would commute with."""
    cycle = released("navier_stokes").double().cycles[1]
    f = noise("navier_stokes", 1, 32)
    shifted = cycle(f.roll(16, -1))
    assert 0.03 < (shifted - cycle(f).roll(16, -1)).norm() / shifted.norm() < 0.3


def test_layer_norm_holds_most_parameters_of_navier_stokes():
    count = {name: p.numel() for name, p in released("navier_stokes").named_parameters()}
    assert sum(n for name, n in count.items() if "norms" in name) / sum(count.values()) == pytest.approx(0.6, abs=0.01)


@EACH
def test_gradients_reach_all_but_the_dead_parameters(name: str):
    model = released(name)
    model(noise(name, 1, 1).float()).square().sum().backward()
    dead = {key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert dead == {key for key, _ in model.named_parameters() if "unused" in key}
    assert (name == "helmholtz") == bool(dead)


def test_dead_parameters_of_helmholtz():
    dead = {key: p.numel() for key, p in released("helmholtz").named_parameters() if "unused" in key}
    places = [*(f"cycles.{k}" for k in range(4)), "head"]
    assert set(dead) == {f"{place}.unused.{part}" for place in places for part in ("weight", "bias")}
    assert sum(dead.values()) == 11_241


@pytest.mark.parametrize(("name", "shape", "expected"), [
    ("darcy_rough", (1, 1, 64, 65), "sides of 32, 64, 96"),
    ("darcy_rough", (1, 1, 48, 64), "sides of 32, 64, 96"),
    ("darcy_smooth", (1, 1, 64, 64), "sides of 19, 51, 83"),
    ("navier_stokes", (1, 1, 128, 128), "64 x 64"),
    ("helmholtz", (1, 1, 100, 101), "101 x 101"),
    ("darcy_rough", (1, 2, 64, 64), r"\(batch, 1, x, y\)"),
    ("darcy_rough", (1, 64, 64), r"\(batch, 1, x, y\)"),
])
def test_other_sizes_are_refused(name: str, shape: tuple[int, ...], expected: str):
    with pytest.raises(ValueError, match=expected):
        released(name)(torch.zeros(shape))


@pytest.mark.parametrize(("settings", "expected"), [
    ({"kind": "MgNO"}, "MgNO_DC, MgNO_NS, MgNO_helm"),
    ({"kind": "MgNO_DC", "kernels": (4, 4)}, "steps"),
    ({"kind": "MgNO_DC", "steps": (1, 0), "kernels": (4,)}, "steps"),
    ({"kind": "MgNO_DC", "size": 64}, "size 64"),
    ({"kind": "MgNO_NS"}, "size None"),
    ({"kind": "MgNO_NS", "size": 65}, "size 65"),
    ({"kind": "MgNO_NS", "size": 64, "in_channels": 3}, "3 channels in and 1 out"),
])
def test_settings_that_do_not_fit(settings: dict, expected: str):
    with pytest.raises(ValueError, match=expected):
        PublishedMgNO(**settings)


@EACH
def test_weights_pass_through_safetensors(name: str, tmp_path):
    model, x = released(name), noise(name, 1, 1).float()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    config = model.config
    assert config.pop("name") == "published-mgno"
    other = PublishedMgNO(**config)
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(model(x), other(x))


@EACH
def test_config_is_toml(name: str):
    tomli_w, tomllib = pytest.importorskip("tomli_w"), pytest.importorskip("tomllib")
    config = released(name).config
    assert tomllib.loads(tomli_w.dumps(config)) == config
