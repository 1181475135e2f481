"""What would make a false claim of a prox, a prior or a run: each is refused, or does not pass."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from wellposed.certificate import Certificate, issue
from wellposed.proximal.claims import certificate_of_run, certify_image
from wellposed.proximal.lpn import LPN
from wellposed.proximal.network_claims import certify_map, certify_network, certify_prior
from wellposed.proximal.physics import Blur, Radon, RandomConvolution
from wellposed.proximal.problem import Inverse
from wellposed.proximal.reconstruct import reconstruct
from wellposed.proximal.tiling import Tiled
from wellposed_check.canonical import Refused, encode

N = 8


@cache
def network() -> LPN:
    torch.manual_seed(0)
    return LPN.convolutional(1, width=4, kernel=4, stride=2)


def images(samples: int = 1, n: int = N) -> torch.Tensor:
    return torch.rand(samples, 1, n, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@cache
def good(kind: str) -> Certificate:
    """Certificates that hold."""
    if kind in ("network", "tiled"):
        return certify_network(network() if kind == "network" else Tiled(network(), 8, 4))
    if kind == "prior":
        return certify_prior(network(), images(), required=1e6)
    physics = {"radon": lambda: Radon(N, 5), "convolution": lambda: RandomConvolution((N, N), 0.5)}.get(kind, lambda: Blur(np.ones((3, 3)) / 9, (N, N)))()
    problem = Inverse(physics, physics.A(images(2)) + 0.01, 0.02)
    r = reconstruct(problem, network(), kind if kind in ("admm", "hqs") else "pgd", weight=0.3, tol=1e-6, steps=90)
    if kind == "image":
        return certify_image(problem, r.image, 1e-5, prior=network(), weight=0.3)
    return certificate_of_run(problem, network(), r.trace, r.image, 1e-6)


def forged(c: Certificate, parameters: Callable[[dict], Any] | None = None, **arrays: Callable[[np.ndarray], Any] | None) -> Certificate:
    """Its evidence with changes, issued anew, every digest recomputed; an array of which None is made is left out."""
    problem = deepcopy(c.document["subject"]["problem"])
    if parameters is not None:
        parameters(problem["parameters"])
    kept = {name.replace("__", "."): change for name, change in arrays.items()}
    changed = {name: kept.get(name, np.asarray)(x.copy()) for name, x in c.arrays.items() if kept.get(name, np.asarray) is not None}
    changed |= {name: change(np.zeros(0)) for name, change in kept.items() if name not in c.arrays and change}
    requirements = {x.id: x.required for x in c.claims}
    with np.errstate(all="ignore"):
        return issue(problem["type"], problem["parameters"], changed, requirements, "margin", c.document["provenance"])


def put(*path: Any, to: Any) -> Callable[[dict], None]:
    def change(p: dict) -> None:
        for key in path[:-1]:
            p = p[key]
        p[path[-1]] = to

    return change


def at(index: Any, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(x: np.ndarray) -> np.ndarray:
        x[index] = value
        return x

    return change


PARAMETERS = {
    "modulus overstated": put("network", "modulus", to=encode(0.5)), "modulus one": put("network", "modulus", to=encode(1.0)),
    "modulus zero": put("network", "modulus", to=encode(0.0)), "no modulus": put("network", "modulus", to=None),
    "another beta": put("network", "beta", to=encode(10.0)), "a negative beta": put("network", "beta", to=encode(-50.0)),
    "a power of three": put("network", "layers", 0, "power", to=3), "power as a truth value": put("network", "layers", 0, "power", to=True),
    "no such source": put("network", "layers", 0, "source", to=5), "an unknown map": put("network", "layers", 0, "through", to={"kind": "attention"}),
    "a stride of zero": put("network", "layers", 0, "through", "stride", to=0), "another stride": put("network", "layers", 0, "through", "stride", to=1),
    "an unknown resampling": put("network", "resamplings", 0, to={"kind": "bicubic", "factor": 2}),
    "another resampling": put("network", "resamplings", 0, to={"kind": "average", "factor": 2, "multiple": 2}), "no layers": put("network", "layers", to=[]),
    "a field more": put("network", "activation", to="gelu"), "a tiling": put("tiling", to={"tile": 4, "stride": 2}),
    "a tiling that covers unequally": put("tiling", to={"tile": 8, "stride": 3}), "a tiling of truth values": put("tiling", to={"tile": True, "stride": True})}
ARRAYS: dict[str, dict[str, Any]] = {
    "one negative weight": {"layers__1__weight": lambda x: at((0, 0), -1e-9)(x)}, "a negative readout": {"layers__0__readout": lambda x: at(0, -1e-9)(x)},
    "weights swapped": {"layers__1__weight": lambda x: x[::-1]}, "another skip": {"layers__0__skip": lambda x: -x}, "no bias": {"layers__0__bias": None},
    "another bias": {"layers__0__bias": lambda x: x + 0.01}, "no readout": {"layers__1__readout": None}, "no weight": {"layers__1__weight": None},
    "a truncated skip": {"layers__0__skip": lambda x: x[:-1]}, "truncated kernels": {"layers__0__skip": lambda x: x[..., :-1]},
    "a layer too many": {"layers__2__skip": lambda x: np.ones((1, 1, 2, 2))}, "huge": {"layers__0__skip": lambda x: at((0, 0, 0, 0), 1e200)(x)},
    "bias of a matrix": {"layers__0__bias": lambda x: x[:, None]}}


@pytest.mark.parametrize("kind", ["network", "tiled", "prior", "image", "pgd"])
@pytest.mark.parametrize("how", [*PARAMETERS, *ARRAYS])
def test_another_network_is_refused(kind, how):
    if how in ("a tiling",) and kind == "tiled":
        pytest.skip("it is tiled")
    c = good(kind)
    assert c.verdict is True
    with pytest.raises((Refused, KeyError, ValueError, TypeError, IndexError, ArithmeticError)):
        forged(c, PARAMETERS.get(how), **ARRAYS.get(how, {}))


RUNS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "another weight": ("pgd", put("weight", to=encode(0.31)), {}), "a negative weight": ("pgd", put("weight", to=encode(-0.3)), {}),
    "no weight": ("pgd", put("weight", to=None), {}), "a run backwards": ("pgd", None, {"points": lambda x: x[::-1]}),
    "w of another image": ("pgd", None, {"points": lambda x: x[:, ::-1]}), "a truncated run": ("pgd", None, {"points": lambda x: x[:-1]}),
    "one point": ("pgd", None, {"points": lambda x: x[-1:]}), "no points": ("pgd", None, {"points": lambda x: x[:0]}),
    "a step that rises": ("pgd", None, {"points": lambda x: at(3, 0.9)(x)}), "another image": ("pgd", None, {"image": lambda x: x + 1e-6}),
    "an image permuted": ("pgd", None, {"image": lambda x: x[::-1]}), "another measurement": ("pgd", None, {"measurement": lambda x: x + 1e-5}),
    "a measurement less": ("pgd", None, {"measurement": lambda x: x[:1]}), "another kernel": ("pgd", None, {"physics__kernel": lambda x: np.roll(x, 1)}),
    "norm understated": ("pgd", None, {"norm": lambda x: 0.9 * x}), "norm negative": ("pgd", None, {"norm": lambda x: -x}),
    "decrease understated": ("admm", None, {"decrease": lambda x: 0.0 * x - 1.0}), "stationarity understated": ("pgd", None, {"stationarity": lambda x: 0.5 * x}),
    "a lower end too high": ("pgd", None, {"stationarity": lambda x: at(0, 1.0)(x)}), "decrease lower end": ("pgd", None, {"decrease": lambda x: at(0, 1e-3)(x)}),
    "splits of pgd": ("pgd", None, {"splits": lambda x: np.zeros((3, 2, 1, N, N))}), "no splits": ("admm", None, {"splits": None}),
    "splits backwards": ("admm", None, {"splits": lambda x: x[::-1]}), "splits truncated": ("admm", None, {"splits": lambda x: x[:-1]}),
    "an envelope's splits": ("hqs", None, {"splits": lambda x: x + 1e-3}),
    "an unknown method": ("pgd", put("run", "algorithm", to="adam"), {}), "a step of zero": ("pgd", put("run", "step", to=encode(0.0)), {}),
    "first as a float": ("pgd", put("run", "first", to=0.5), {}), "a run more": ("pgd", put("run", "noise", to=1), {}),
    "anyone's operator": ("pgd", put("physics", to={"kind": "foreign"}), {}), "an unknown kind": ("pgd", put("physics", to={"kind": "mri"}), {}),
    "another kind": ("pgd", put("physics", to={"kind": "mask"}), {}), "pixels kept twice": ("convolution", None, {"physics__kept": lambda x: at(1, x[0])(x)}),
    "pixels outside": ("convolution", None, {"physics__kept": lambda x: at(0, 1e4)(x)}), "a half pixel": ("convolution", None, {"physics__kept": lambda x: x + 0.5}),
    "phases doubled": ("convolution", None, {"physics__phases": lambda x: 2 * x}), "signs doubled": ("convolution", None, {"physics__signs": lambda x: 2 * x}),
    "a vector with a zero": ("radon", None, {"physics__vector": lambda x: at(0, 0.0)(x)}), "a vector with a negative": ("radon", None, {"physics__vector": lambda x: at(0, -1.0)(x)}),
    "another scale": ("radon", put("physics", "scale", to=encode(1.0)), {}), "another size": ("radon", put("physics", "size", to=7), {}),
    "an angle less": ("radon", None, {"physics__angles": lambda x: x[:-1]}), "angles turned": ("radon", None, {"physics__angles": lambda x: x + 0.1}),
    "a prior at another image": ("prior", None, {"image": lambda x: x + 0.01}), "a prior without its point": ("prior", None, {"point": lambda x: 0 * x}),
    "a prior understated": ("prior", None, {"prior": lambda x: x - 1e-6}), "another image of a prox": ("network", None, {"images": lambda x: x + 1e-6})}


@pytest.mark.parametrize("how", RUNS)
def test_what_does_not_follow_is_refused(how):
    kind, parameters, arrays = RUNS[how]
    c = good(kind)
    assert c.verdict is True, c.headline
    with pytest.raises((Refused, KeyError, ValueError, TypeError, IndexError, ArithmeticError)):
        forged(c, parameters, **arrays)


@pytest.mark.parametrize("kind", ["network", "prior", "image", "pgd", "admm", "hqs", "radon", "convolution", "map"])
def test_arrays_that_are_missing_or_not_finite(kind):
    """Every array, one after the other; the checker itself reads the files."""
    c = good(kind) if kind != "map" else certify_map(lambda x: torch.tanh(x).roll(1, -1), images())
    for name, x in c.arrays.items():
        spoilt = x.copy()
        spoilt.flat[0] = np.nan
        for changed in ({k: v for k, v in c.arrays.items() if k != name}, c.arrays | {name: spoilt}):
            assert Certificate(c.document, changed).check().status == "refused", name


def test_a_step_beyond_the_theorem_is_violated_not_refused():
    """1/|A|^2 is passed: what is promised is less than nothing, and the claim is not made."""
    c = forged(good("pgd"), put("run", "step", to=encode(50.0)), decrease=lambda x: np.array([0.0, 10.0]))
    claim = c.claim("decrease")
    assert claim.holds is None
    assert ("inside the theorem: the step is below 1 / L, L >= |A|^2", "violated") in claim.assumptions
    assert c.verdict is None


def test_a_run_of_admm_is_none_of_gradient_descent():
    c = forged(good("admm"), put("run", "algorithm", to="pgd"), splits=None)
    assert c.verdict is None
    assert "violated" in [status for _, status in c.claim("decrease").assumptions]


def test_a_step_inside_the_theorem_that_was_not_taken_promises_more():
    """With a tenth of the step ten times the decrease is promised, and the run did not do it."""
    with pytest.raises(Refused, match="decrease"):
        forged(good("pgd"), put("run", "step", to=encode(1e-4)))


def test_an_image_in_single_precision_is_not_as_stationary():
    """For the rounded image the inverse may be 1/mu times as far: the claim says so."""
    c = good("image")
    x = torch.from_numpy(c.arrays["image"]).float().double().numpy()
    with pytest.raises(Refused, match="stationarity"):
        forged(c, image=lambda _: x)


def test_products_of_a_map_that_vanish_refute_nothing():
    c = certify_map(lambda x: 0 * x, images())
    assert c.claim("exact_prox").lower == 0.0
    assert c.verdict is None


def test_an_asymmetry_that_was_not_measured_is_refused():
    c = certify_map(lambda x: x.roll(1, -1), images())
    assert c.verdict is False
    with pytest.raises(Refused, match="asymmetry"):
        forged(c, asymmetry=lambda x: 2 * x + 1)
    with pytest.raises(Refused, match="asymmetry"):
        forged(c, second_product=lambda x: c.arrays["first_product"], first=lambda x: c.arrays["second"])


@pytest.mark.parametrize("points", [0, 300])
def test_a_network_is_tied_to_its_images(points):
    """By none, or by more than the checker is ready to compute."""
    c = good("network")
    with pytest.raises(Refused, match=r"pairs|shape"):
        forged(c, points=lambda x: np.resize(x, (points, *x.shape[1:])), images=lambda x: np.resize(x, (points, *x.shape[1:])))
