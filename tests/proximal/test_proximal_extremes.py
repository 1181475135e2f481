"""Numbers at the ends of binary64, and what is not of the problem that is claimed: no claim may follow from what overflows or underflows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from wellposed.certificate import Certificate, issue, provenance
from wellposed.proximal import LPN
from wellposed.proximal.network_claims import certify_network
from wellposed_check.canonical import Refused, encode
from wellposed_check.proximal.lipschitz import bound, reached
from wellposed_check.proximal.lipschitz import state as lipschitz
from wellposed_check.proximal.network import read_network
from wellposed_check.proximal.rounding import TINY, norm
from wellposed_check.statement import Evidence

DENSE, POINTWISE = {"kind": "dense"}, {"kind": "convolution", "stride": 1, "padding": 0}
LEAST = 5e-324
ZERO = np.zeros((1, 1, 1, 1))


def described(*layers: dict[str, Any], modulus: float = 0.5, resampling: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"network": {"beta": encode(1.0), "modulus": encode(modulus), "layers": list(layers), "resamplings": [resampling or {"kind": "same"}]},
            "tiling": None}


def layer(through: dict[str, Any] = DENSE, power: int = 0, across: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"across": across, "through": through, "source": 0, "power": power}


def issued(kind: str, parameters: dict[str, Any], requirements: dict[str, float], **arrays: Any) -> Certificate:
    given = {name.replace("__", "."): np.array(x, dtype=float) for name, x in arrays.items()}
    with np.errstate(all="ignore"):
        return issue(kind, parameters, given, requirements, "margin", provenance())


def run(how: str | None, step: float = 2.0, physics: dict[str, Any] | None = None, required: dict[str, float] | None = None, **arrays: Any) -> Certificate:
    """Of images of one pixel, f(w) = w / 2, y = 0 and A = 1, where nothing else is said."""
    parameters = described(layer(POINTWISE, 1)) | {"physics": physics or {"kind": "mask"}, "weight": encode(1.0),
                                                   "run": how and {"algorithm": how, "step": encode(step), "first": 0}}
    own = {"layers__0__skip": ZERO, "layers__0__readout": [1.0], "image": ZERO, "measurement": ZERO, "norm": [1.001], "stationarity": [0.0, 1.0]}
    own |= {} if physics else {"physics__mask": [[1.0]]}
    return issued("proximal.Inverse", parameters, required or {"proximal.decrease/1": 1e-10}, **own | {"decrease": [0.0, 1e-12]} | arrays)


def pixels(*values: float) -> np.ndarray:
    return np.array(values).reshape(-1, 1, 1, 1, 1)


@pytest.mark.parametrize("how", ["hqs", "admm"])
@pytest.mark.parametrize("size", [1e31, 1e155, 1e200, 1e308])
def test_splits_that_overflow_hide_no_rise(how, size):
    """The merit was inf - inf, and the largest of 0 and NaN is 0."""
    with pytest.raises(Refused, match="numbers above"):
        run(how, points=pixels(0.0, 1e6, 3.0, 1e9), splits=pixels(size, size, size, 0.0), image=ZERO + 0.5e9)


def test_a_run_that_rises_is_refused_and_one_that_stays_holds():
    assert run("hqs", points=pixels(0.0, 0.0), splits=pixels(0.0, 0.0)).verdict is True
    with pytest.raises(Refused, match="decrease"):
        run("hqs", points=pixels(0.0, 1e9), splits=pixels(0.0, 0.0))


def test_ends_that_are_not_numbers_are_none(monkeypatch):
    monkeypatch.setattr("wellposed_check.proximal.decrease.envelope", lambda *_: (np.full(1, np.nan), np.full(1, np.nan)))
    with pytest.raises(Refused, match="not finite"):
        run("hqs", points=pixels(0.0, 0.0), splits=pixels(0.0, 0.0))


def test_the_decrease_names_the_bound_that_it_promises_by():
    c = run("hqs", points=pixels(0.0, 0.0), splits=pixels(0.0, 0.0))
    assert "step + L" in c.claim("decrease").quantity
    assert "L = 1.001 >= |A|^2" in c.claim("decrease").quantity


@pytest.mark.parametrize(("vector", "data", "bound"), [([LEAST], [0.4], 1e-300), ([1e-30], [0.4], 0.2), ([LEAST], [0.4], 1e-50)])
def test_a_vector_that_underflows_proves_no_norm(vector, data, bound):
    """|A|^2 = 0.16 was shown to be at most 1e-300."""
    sparse = {"physics__data": data, "physics__columns": [0.0], "physics__rows": [0.0, 1.0], "physics__vector": vector}
    with pytest.raises(Refused, match=r"underflows|2\^-200"):
        run("pgd", 1.0, {"kind": "sparse"}, points=pixels(0.0, 0.0), measurement=np.zeros((1, 1)), norm=[bound], **sparse)


def test_a_vector_of_two_sizes_proves_no_norm():
    sparse: dict[str, Any] = {"physics__data": [0.4, 0.4], "physics__columns": [0.0, 1.0], "physics__rows": [0.0, 1.0, 2.0], "physics__vector": [1.0, LEAST]}
    with pytest.raises(Refused, match="underflows"):
        run("pgd", 1.0, {"kind": "sparse"}, points=np.zeros((2, 1, 1, 1, 2)), image=np.zeros((1, 1, 1, 2)), measurement=np.zeros((1, 2)), norm=[0.5],
            **sparse)


def test_projections_are_those_of_the_image():
    with pytest.raises(Refused, match="do not fit images"):
        run(None, physics={"kind": "radon", "size": 2, "scale": encode(2.0)}, required={"proximal.stationarity/1": 1.0}, norm=[50.0], physics__angles=[0.0, 1.0],
            physics__vector=np.ones(15), image=np.zeros((1, 1, 3, 5)), points=np.zeros((1, 1, 1, 3, 5)), measurement=np.zeros((1, 2, 3)))


def test_a_gradient_that_underflows_when_squared_is_not_zero():
    with pytest.raises(Refused, match="stationarity"):
        run(None, required={"proximal.stationarity/1": 1.0}, points=pixels(0.0), measurement=ZERO + 1e-170, stationarity=[0.0, 1e-179])


@pytest.mark.parametrize("scale", [LEAST, 1e-310, 1e-170, 1.0, 1e170, 1e307])
def test_norms_of_any_size(scale):
    found = float(norm(np.full((1, 2, 2), scale))[0])
    assert 2 * scale <= found * (1 + 1e-10)
    assert found <= 2 * scale * (1 + 1e-10) + TINY


@pytest.mark.parametrize("image", [1e200, 1e31])
def test_images_that_overflow_are_not_those_of_the_points(image):
    with pytest.raises(Refused, match="above"):
        issued("proximal.Network", described(layer(power=1)), {"proximal.exact_prox/1": 0.0}, layers__0__skip=np.ones((2, 2)), layers__0__readout=[1.0, 1.0],
               points=np.zeros((1, 2)), images=np.full((1, 2), image))


def chain(*weights: float, readout: float, power: int, skip: float = 0.0) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One unit a layer."""
    layers, n = [layer(), *(layer(across=DENSE) for _ in weights)], len(weights)
    layers[n] = layer(power=power, across=DENSE)
    arrays = {f"layers.{k}.skip": np.array([[skip if k == 0 else 0.0]]) for k in range(n + 1)}
    arrays |= {f"layers.{k + 1}.weight": np.array([[w]]) for k, w in enumerate(weights)}
    return described(*layers), arrays | {f"layers.{n}.readout": np.array([readout])}


def test_what_underflows_and_grows_again_is_in_the_bound_or_refused():
    """f is 1.0066e8, computed 1.342e8: 3/4 of the least number was rounded to it, and weights of 2^100 make much of that."""
    x = np.array([[2.0**-80]])
    network = read_network(Evidence(*chain(*[2.0**100] * 10, 1.5, readout=LEAST, power=1, skip=2.0**100)))
    with np.errstate(over="ignore"):
        found = network.both(x)
    assert abs(float(found.f[0, 0]) - 1.006633e8) <= float(found.f_error[0])
    parameters, arrays = chain(*[2.0**100] * 10, 1.5, readout=LEAST, power=1, skip=2.0**100)
    with pytest.raises(Refused, match="does not map"):
        issued("proximal.Network", parameters, {"proximal.exact_prox/1": 0.0}, **arrays, points=x, images=found.f)


def test_a_readout_that_underflows_beside_a_large_square():
    """R(0) is -2.04e37 and was found to be 0."""
    parameters, arrays = chain(*[2.0**100] * 6, readout=LEAST, power=2)
    with pytest.raises(Refused):
        issued("proximal.Prior", parameters, {"proximal.prior/1": 1.0}, **arrays, image=[[0.0]], point=[[0.0]], prior=[-1e-6, 1e-6])


@pytest.mark.parametrize("root", [0.0, 1e-45, 1e-150])
def test_weights_of_training_that_vanish_are_no_reason_to_refuse(root):
    torch.manual_seed(0)
    model = LPN(3, width=4, depth=2).double()
    with torch.no_grad():
        for each in model.net.ordered():
            for x in (each.root, each.readout_root):
                if x is not None:
                    x.view(-1)[0] = root
    assert certify_network(model).verdict is True


def slopes(modulus: float, skip: float, power: int, first: float, second: float, lower: float, upper: float) -> Evidence:
    pair = {"lipschitz.first": np.array([[first]]), "lipschitz.second": np.array([[second]])}
    return Evidence(described(layer(power=power), modulus=modulus), {"layers.0.skip": np.array([[skip]]), "layers.0.readout": np.ones(1), **pair,
                                                                     "lipschitz.lower": np.array([lower]), "lipschitz.upper": np.array([upper])})


@pytest.mark.parametrize("evidence", [slopes(0.5, 1e3, 2, 1e150, 0.0, 1e100, 1.1e6), slopes(0.9, 0.0, 1, 1.2 * 2.0**-537, 0.0, 0.999, 0.9000001),
                                      slopes(0.9, 0.0, 1, 1.0, 0.0, 0.5, 0.4)])
def test_no_slope_comes_from_overflow_or_underflow(evidence):
    with pytest.raises(Refused):
        lipschitz(evidence, "margin")


def test_the_upper_end_is_for_images_that_are_not_enlarged():
    x = np.full((1, 1, 1, 1), 1e-3)
    parameters = described(layer(POINTWISE, 1), modulus=0.01, resampling={"kind": "bilinear", "rows": 8, "columns": 8})
    arrays = {"layers.0.skip": np.ones((1, 1, 1, 1)), "layers.0.readout": np.ones(1), "lipschitz.first": x, "lipschitz.second": -x}
    network = read_network(Evidence(parameters, arrays))
    high, low = bound(network), reached(network, x, -x)
    assert high is not None
    assert low > high
    for lower, words in ((0.99 * low, "above the upper"), (0.5 * high, "smaller than")):
        with pytest.raises(Refused, match=words):
            lipschitz(Evidence(parameters, arrays | {"lipschitz.lower": np.array([lower]), "lipschitz.upper": np.array([high])}), "margin")
    assert lipschitz(Evidence(parameters, arrays | {"lipschitz.lower": np.array([0.99 * low])}), "margin").upper is None
    with pytest.raises(Refused, match="margin"):
        lipschitz(Evidence(parameters, arrays | {"lipschitz.lower": np.array([0.0])}), "interval")


def test_an_asymmetry_of_small_products():
    j = 1e-170 * np.array([[0.0, 1.0], [-1.0, 0.0]])
    a, b = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    given = {"points": np.zeros((1, 2)), "first": a, "second": b, "first_product": a @ j.T, "second_product": b @ j.T}
    with pytest.raises(Refused, match="asymmetry"):
        issued("proximal.Map", {}, {"proximal.exact_prox/1": 1e-10}, **given, asymmetry=[1e10])
    larger = given | {name: 1e30 * given[name] for name in ("first_product", "second_product")}
    assert issued("proximal.Map", {}, {"proximal.exact_prox/1": 1e-10}, **larger, asymmetry=[1.99]).verdict is False
    with pytest.raises(Refused, match="above"):
        issued("proximal.Map", {}, {"proximal.exact_prox/1": 1e-10}, **{k: 1e200 * x for k, x in given.items()}, asymmetry=[0.0])
