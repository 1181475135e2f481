"""A convex network as a witness describes it: signs proved, then psi and f = grad psi with running bounds of their rounding.

    psi(x) = sum_k <w_k, r(z_k)> + mu/2 |x|^2,  z_k = g(a_k),  a_k = W_k z_{k-1} + H_k S_k x + b_k,  g(t) = log(1 + e^(beta t)) / beta

W_k, w_k >= 0 and r(z) = z or z^2/2 make psi convex: SPEC.md, section 11.2, has the argument and the bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wellposed_check.canonical import decode, demand
from wellposed_check.proximal.maps import Act, Pair, Resampling, read_act, read_resampling
from wellposed_check.proximal.rounding import ELEMENTARY, LEAST, SECOND, TINY, UNIT, Array, column, dot, gamma, norm, total
from wellposed_check.statement import Evidence

LARGEST, MOST, PIXELS = 2.0**100, 64, 2**16


@dataclass(frozen=True)
class Layer:
    """W and w may be None: a layer that sees the input alone, or is not read out (power 0)."""

    through: Act
    skip: Array
    source: int
    across: Act | None
    weight: Array | None
    bias: Array | None
    readout: Array | None
    power: int


@dataclass(frozen=True)
class Both:
    """psi (samples,) and f of the shape of the input; of f the error is bounded in the Euclidean norm of each sample."""

    psi: Array
    psi_error: Array
    f: Array
    f_error: Array


@dataclass(frozen=True)
class Network:
    """With a tiling (t, s) f is the sum over tiles of t x t pixels, at all multiples of s, over (t/s)^2: what is outside is zero."""

    layers: tuple[Layer, ...]
    resamplings: tuple[Resampling, ...]
    beta: float
    modulus: float
    tiling: tuple[int, int] | None

    def both(self, x: Array) -> Both:
        """In portions, for the memory."""
        demand(x.ndim >= 2 and x.size > 0, f"an input has the shape {x.shape}")
        count = max(1, PIXELS * len(x) // x.size)
        parts = [(self._tiled if self.tiling else self._one)(x[i : i + count]) for i in range(0, len(x), count)]
        found = Both(*(np.concatenate([vars(p)[name] for p in parts]) for name in vars(parts[0])))
        demand(all(np.isfinite(y).all() for y in vars(found).values()), "psi or its gradient overflows")
        return found

    def _tiled(self, x: Array) -> Both:
        t, s = self.tiling or (1, 1)
        cover, (rows, columns) = (t // s) ** 2, x.shape[2:]
        wide = np.pad(x, ((0, 0), (0, 0), (t - s, t), (t - s, t)))
        corners = [(i, j) for i in range(0, rows + t - s, s) for j in range(0, columns + t - s, s)]
        own = self._one(np.stack([wide[:, :, i : i + t, j : j + t] for i, j in corners], 1).reshape(-1, x.shape[1], t, t))
        f, out = own.f.reshape(len(x), len(corners), x.shape[1], t, t), np.zeros_like(wide)
        for k, (i, j) in enumerate(corners):
            out[:, :, i : i + t, j : j + t] += f[:, k]
        psi, psi_error, size, f_error = (y.reshape(len(x), -1) for y in (own.psi, own.psi_error, norm(own.f), own.f_error))
        lost = SECOND * total(psi_error + gamma(len(corners) + 4) * psi) / cover
        off = SECOND * norm(f_error + gamma(cover + 4) * size) / np.sqrt(cover)  # each pixel lies in `cover` tiles
        return Both(total(psi) / cover, lost, out[:, :, t - s : t - s + rows, t - s : t - s + columns] / cover, off)

    def _one(self, x: Array) -> Both:
        sources = [s.apply((x, np.zeros_like(x))) for s in self.resamplings]
        psi, lost = dot(x, 0.5 * self.modulus * x)
        a: list[Pair] = []
        z: list[Pair] = []
        slopes: list[Pair] = []
        for layer in self.layers:
            a.append(_argument(layer, sources[layer.source], z))
            value, slope = self._softplus(*a[-1])
            z, slopes = [*z, value], [*slopes, slope]
            if layer.readout is not None:
                w, (y, e) = column(layer.readout, value[0]), value
                terms, off = (w * y, w * e) if layer.power == 1 else (w * (0.5 * y * y), w * ((y + e) * e))
                psi, lost = psi + total(terms), lost + SECOND * (total(off) + gamma(sum(y.shape[1:]) + 8) * total(terms)) + TINY
        f, f_error = self._gradient(x, sources, z, slopes)
        return Both(psi, SECOND * (lost + gamma(len(self.layers) + 4) * psi), f, f_error)

    def _softplus(self, a: Array, wrong: Array) -> tuple[Pair, Pair]:
        """g and g' at a, which errs by `wrong`: g' is at most 1, and grows at most like e^(beta t)."""
        t = self.beta * a
        tail = np.exp(-np.abs(t))
        z, slope = (np.maximum(t, 0) + np.log1p(tail)) / self.beta, np.where(t >= 0, 1.0, tail) / (1 + tail)
        steep = np.minimum(1, (slope + LEAST) * np.exp(2 * self.beta * wrong) + ELEMENTARY)
        lost = SECOND * (steep * wrong + ELEMENTARY * (z + np.abs(a))) + LEAST
        return (z, lost), (slope, np.minimum(1, self.beta / 4 * wrong + ELEMENTARY))

    def _gradient(self, x: Array, sources: list[Pair], z: list[Pair], slopes: list[Pair]) -> tuple[Array, Array]:
        """c_K = w r'(z_K); for k = K ... 1: d_k = g'(a_k) c_k, f += S' H' d_k, c_{k-1} = W' d_k + w r'(z_{k-1})."""
        f, off, below = self.modulus * x, np.zeros_like(x), (0.0, 0.0)
        for k in range(len(self.layers) - 1, -1, -1):
            layer, (y, e), (slope, bend) = self.layers[k], z[k], slopes[k]
            w = 0.0 if layer.readout is None else column(layer.readout, y)
            c = below[0] + (w * y if layer.power == 2 else w + 0 * y)
            lost = below[1] + (w * e if layer.power == 2 else 0.0) + 4 * UNIT * c + LEAST
            d = slope * c, SECOND * (c * bend + (slope + bend) * lost + 2 * UNIT * slope * c) + LEAST
            shape, s = sources[layer.source][0].shape[1:], self.resamplings[layer.source]
            part = s.transpose(layer.through.transpose(layer.skip, d, shape, len(self.layers) + 4), x.shape[1:])
            f, off, below = f + part[0], off + part[1], (0.0, 0.0)
            if layer.across is not None and layer.weight is not None:
                below = layer.across.transpose(layer.weight, d, z[k - 1][0].shape[1:])
        return f, SECOND * norm(off + 4 * UNIT * (np.abs(f) + self.modulus * np.abs(x)))


def _argument(layer: Layer, source: Pair, below: list[Pair]) -> Pair:
    """a_k."""
    a, wrong = layer.through.apply(layer.skip, source)
    if layer.across is not None and layer.weight is not None:
        demand(bool(below), "the first layer has a weight, and no layer before it")
        more, off = layer.across.apply(layer.weight, below[-1])
        demand(more.shape == a.shape, "what the layer before and the input give a layer differ in shape")
        a, wrong = a + more, wrong + off + 2 * UNIT * more
    if layer.bias is not None:
        a, wrong = a + column(layer.bias, a), wrong + 2 * UNIT * column(np.abs(layer.bias), a)
    return a, SECOND * (wrong + 2 * UNIT * np.abs(a))


def read_network(evidence: Evidence) -> Network:
    """Refuses what is not the gradient of a strongly convex potential."""
    if "network" not in evidence.memo:
        evidence.memo["network"] = _read(evidence)
    return evidence.memo["network"]


def _read(evidence: Evidence) -> Network:
    given, left = evidence.parameters["network"], {k: x for k, x in evidence.arrays.items() if k.startswith("layers.")}
    demand(set(given) == {"beta", "modulus", "layers", "resamplings"}, f"the network has the fields {sorted(given)}")
    beta, modulus = (decode(given[name]) or 0.0 for name in ("beta", "modulus"))
    demand(2.0**-40 <= beta <= 2.0**40, f"beta is {beta!r}, not positive or out of range: g is not convex and increasing")
    demand(2.0**-60 <= modulus < 1, f"the modulus is {modulus!r}, expected one between 2^-60 and 1")
    resamplings = tuple(read_resampling(s) for s in given["resamplings"])
    demand(1 <= len(given["layers"]) <= MOST, "a network has 1 to 64 layers")
    layers = tuple(_layer(layer, k, left, len(resamplings)) for k, layer in enumerate(given["layers"]))
    demand(not left, f"the witness has arrays of layers that are not there: {sorted(left)[:3]}")
    return Network(layers, resamplings, beta, modulus, _tiling(evidence.parameters["tiling"]))


def _layer(given: Any, k: int, left: dict[str, Array], sources: int) -> Layer:
    demand(set(given) == {"across", "through", "source", "power"}, f"layer {k} has the fields {sorted(given)}")
    power, source, skip = given["power"], given["source"], left.pop(f"layers.{k}.skip")
    demand(type(power) is int and power in (0, 1, 2) and type(source) is int and 0 <= source < sources, f"layer {k}: power or source")
    weight, bias, readout = rest = tuple(left.pop(f"layers.{k}.{name}", None) for name in ("weight", "bias", "readout"))
    demand((weight is None) == (given["across"] is None) and (readout is None) == (power == 0), f"layer {k} lacks an array or has more")
    demand(all(y is None or (y.size and len(y) == len(skip) and np.abs(y).max() <= LARGEST) for y in (skip, *rest)),
           f"layer {k} has arrays that are empty, too large or do not fit each other")
    demand(all(y is None or y.ndim == 1 for y in (bias, readout)), f"layer {k}: bias and readout are one number a channel")
    demand(all(y is None or bool((y >= 0).all()) for y in (weight, readout)),
           f"layer {k} has a negative weight or readout: the potential need not be convex, nor its gradient a prox")
    across = None if weight is None else read_act(given["across"], weight)
    return Layer(read_act(given["through"], skip), skip, source, across, weight, bias, readout, power)


def _tiling(given: Any) -> tuple[int, int] | None:
    if given is None:
        return None
    t, s = given["tile"], given["stride"]
    demand(set(given) == {"tile", "stride"} and type(t) is int and type(s) is int and 1 <= s <= t <= 4096 and t % s == 0,
           f"the tiling is {given!r}: the stride must divide the tile, or pixels are not covered equally, and it is no prox")
    return t, s
