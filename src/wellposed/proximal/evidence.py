"""Networks, physics and runs as the parameters and arrays that a witness keeps and the checker reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.certificate import Certificate, issue, provenance
from wellposed.proximal.convex import Layer
from wellposed.proximal.exact_prox import ExactProx
from wellposed.proximal.linear_maps import Convolution, Dense, Map
from wellposed.proximal.tiling import Tiled
from wellposed_check.canonical import encode
from wellposed_check.statement import Evidence

SLACK = 1e-6
"""By how much the ends that are stored are wider than those computed here: on another machine they come out a little otherwise."""
NUMBERS = ("kind", "size", "scale")
Parameters = dict[str, Any]
Arrays = dict[str, np.ndarray]


def describe_network(model: ExactProx) -> tuple[Parameters, Arrays]:
    """Of an LPN, or one that is tiled: parameters "network" and "tiling", arrays "layers.K.skip", "weight", "bias" and "readout"."""
    tiling, exact = None, model.doubled()
    if isinstance(exact, Tiled):
        tiling, exact = {"tile": exact.cover.tile, "stride": exact.cover.stride}, exact.model
    net, arrays = exact.net, {}
    for k, layer in enumerate(net.ordered()):
        for name in ("skip", "weight", "bias", "readout"):
            if getattr(layer, name) is not None:
                arrays[f"layers.{k}.{name}"] = array(getattr(layer, name))
    network = {"beta": encode(net.activation.beta), "modulus": encode(net.modulus), "layers": [_layer(x) for x in net.ordered()],
               "resamplings": [s.describe() for s in net.resamplings]}
    return {"network": network, "tiling": tiling}, arrays


def _layer(layer: Layer) -> Parameters:
    return {"across": None if layer.weight is None else _map(layer.across), "through": _map(layer.through), "source": layer.source,
            "power": 0 if layer.readout is None else layer.power}


def _map(act: Map) -> Parameters:
    if isinstance(act, Convolution):
        return {"kind": "convolution", "stride": act.stride, "padding": act.padding}
    if isinstance(act, Dense):
        return {"kind": "dense"}
    raise ValueError(f"network: received a layer with a {type(act).__name__}, expected Dense or Convolution: the checker knows no others")


def describe_physics(physics: Any) -> tuple[Parameters, Arrays]:
    """The kind with what rebuilds it, and arrays "physics.NAME"; of an operator that is anyone's no more than that."""
    if physics.kind == "foreign":
        return {"kind": "foreign"}, {}
    parameters, arrays = physics.describe()
    return {k: parameters[k] for k in NUMBERS if k in parameters}, {f"physics.{k}": np.asarray(x, dtype=float) for k, x in arrays.items()}


def array(x: Tensor) -> np.ndarray:
    return x.detach().to("cpu", torch.float64).contiguous().numpy()


def widened(ends: Callable[[Evidence, float], tuple[float, float]], evidence: Evidence) -> np.ndarray:
    """The ends of a claim, apart by what rounding may do to them on another machine."""
    return np.array(ends(evidence, 3.0))


def issued(kind: str, parameters: Parameters, arrays: Arrays, requirements: Mapping[str, float | None], weights: bytes | str | None,
           seed: int | None, bound: Any = None) -> Certificate:
    """The certificate, its weights known by their SHA-256."""
    digest = hashlib.sha256(weights).hexdigest() if isinstance(weights, bytes) else weights
    return issue(kind, parameters, arrays, requirements, "margin", provenance("cpu", torch.get_num_threads(), digest, seed), bound)
