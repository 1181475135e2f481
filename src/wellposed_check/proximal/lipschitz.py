"""By how much can the prox move two images apart? docs/theorems/proximal.md, "Lipschitz constants", has the proof of

    |J| <= mu + sum_k (|m_k^(1/2) H_k| + |m_k^(1/2) W_k| a_(k-1))^2,  a_k = |H_k| + |W_k| a_(k-1),  H_k with S_k,
    m_k = (beta/4) c_k,  c_k = w_k + W_(k+1)' c_(k+1); or KAPPA w_k + (beta/4) W_(k+1)' c_(k+1) if r(z) = z^2/2 in a layer without W_k,

for images of every size: a convolution has at most the norm of the one on the infinite lattice. Its symbol is bounded at n x n frequencies,
and between them by 1/cos(pi d / n) for each of the two directions, d the degree (Riesz 1914; Ehlich and Zeller 1964).
"""

from __future__ import annotations

import math

import numpy as np

from wellposed_check.canonical import demand
from wellposed_check.proximal.evidence import LARGEST
from wellposed_check.proximal.maps import Act
from wellposed_check.proximal.network import Network, read_network
from wellposed_check.proximal.rounding import LEAST, SECOND, UNIT, Array, norm
from wellposed_check.statement import Evidence, Statement

KAPPA = 1.0454


def state(evidence: Evidence, arithmetic: str) -> Statement:
    """The ends of the witness, once they are shown to follow; without "lipschitz.upper" no upper end is claimed."""
    demand(arithmetic == "margin", f"this claim is made in margin arithmetic, not in {arithmetic!r}")
    network, high = read_network(evidence), evidence.arrays.get("lipschitz.upper")
    low, first, second = (evidence.arrays[f"lipschitz.{name}"] for name in ("lower", "first", "second"))
    demand(low.shape == (1,) and first.shape == second.shape, "the lower end is not one number, or pairs of images do not fit")
    demand(all(np.abs(x).max() <= LARGEST for x in (first, second)), "there are images above 2^100")
    demand(0 <= low[0] <= reached(network, first, second), "the lower end does not follow from the pairs of images")
    if high is not None:
        found = bound(network)
        demand(high.shape == (1,) and found is not None and found <= high[0], f"the upper end does not follow: weights show {found}")
        demand(low[0] <= high[0], "the lower end is above the upper one")
        demand(large(network, first.shape[2:]), "pairs are smaller than what they are resampled to: the upper end is not for such images")
    resized = high is not None and any(s.kind == "bilinear" for s in network.resamplings)
    return Statement(
        id="proximal.lipschitz/1", quantity="least L with |f(x) - f(y)|_2 <= L |x - y|_2 for all images x, y of any size that f takes",
        lower=float(low[0]), upper=None if high is None else float(high[0]), kind="theorem", arithmetic=arithmetic,
        assumptions=(("images have at least the pixels to which they are resampled", "assumed"),) if resized else (),
        reference="docs/theorems/proximal.md; wellposed_check/SPEC.md, section 11",
        witness=tuple(sorted(name for name in evidence.arrays if name.startswith(("layers.", "lipschitz.")))))


def large(network: Network, sides: tuple[int, ...]) -> bool:
    """Whether images, or their tiles, have at least the pixels to which they are resampled."""
    own = sides if network.tiling is None else network.tiling[:1] * 2
    return all(s.kind != "bilinear" or all(n >= m for n, m in zip(own, s.numbers, strict=True)) for s in network.resamplings)


def reached(network: Network, x: Array, y: Array) -> float:
    """The steepest of the slopes between the images of a pair, less what rounding may have added."""
    f, g = network.both(x), network.both(y)
    moved = norm(f.f - g.f) / SECOND - SECOND * (f.f_error + g.f_error)
    return max(0.0, float((moved / (SECOND * norm(x - y))).max()))


def bound(network: Network) -> float | None:
    """Of |J|, rounded up; None where there is none."""
    if any(layer.power == 2 and layer.weight is not None for layer in network.layers):
        return None
    most, before, last = network.modulus, 0.0, len(network.layers) - 1
    for k, (layer, m) in enumerate(zip(network.layers, _curvatures(network), strict=True)):
        maps = [(layer.skip, layer.through, network.resamplings[layer.source].most)]
        maps += [] if layer.across is None or layer.weight is None else [(layer.weight, layer.across, before)]
        most += sum(math.sqrt(squared(w, act, m)) * a for w, act, a in maps) ** 2
        if k < last:
            before = sum(math.sqrt(squared(w, act, np.ones(len(m)))) * a for w, act, a in maps)
    return most * SECOND


def _curvatures(network: Network) -> list[Array]:
    """m_k, a number for each channel or unit; of exact pairs the second ones count nothing."""
    layers, above, found = network.layers, np.zeros(1), []
    for k in range(len(layers) - 1, -1, -1):
        layer, channels = layers[k], len(layers[k].skip)
        w = np.zeros(channels) if layer.readout is None else layer.readout
        square, c = (KAPPA * w, above + 0 * w) if layer.power == 2 else (0 * w, above + w)
        half = channels // 2
        if not above.any() and layer.power == 2 and layer.bias is not None and np.array_equal(layer.skip[:half], -layer.skip[half:]):
            q, (u, v) = rising(network.beta * (layer.bias[:half] + layer.bias[half:]) / 2), (w[:half], w[half:])
            square = np.append(KAPPA * np.maximum(u, v) + q * np.minimum(u, v), np.zeros(half))
        found.append(SECOND * (square + 0.25 * network.beta * c) + LEAST)
        above = np.zeros(1)
        if layer.across is not None and layer.weight is not None:  # W' c, the largest in each channel below
            pulled, s = np.tensordot(c, layer.weight, 1), layer.across.stride
            pulled = _phases(pulled[None], s).sum((0, 1, 2)) if s else pulled
            above = SECOND * pulled.reshape(len(layers[k - 1].skip), -1).max(1) + LEAST
    return found[::-1]


def rising(t: Array) -> Array:
    """q, or KAPPA where it no longer increases."""
    p = 1 / (1 + np.exp(-np.clip(t, -300.0, 3.0)))
    return np.where(t < 3.0, SECOND * (p * p - p * (1 - p) * np.log1p(-p)), KAPPA)


def _phases(w: Array, s: int) -> Array:
    """(out, in, k, l) -> (out, taps, taps, in, s, s), zeros beyond the kernel."""
    rows, columns = (-(-k // s) for k in w.shape[2:])
    wide = np.pad(w, ((0, 0), (0, 0), (0, rows * s - w.shape[2]), (0, columns * s - w.shape[3])))
    return wide.reshape(*w.shape[:2], rows, s, columns, s).transpose(0, 2, 4, 1, 3, 5)


def squared(w: Array, act: Act, m: Array) -> float:
    """At least |m^(1/2) W|^2, m a number for each channel of the output."""
    x = np.sqrt(m).reshape(-1, *(1,) * (w.ndim - 1)) * w
    x = _phases(x, act.stride) if act.stride else x[:, None, None]
    x = x.reshape(*x.shape[:3], -1)
    x = x if len(x) >= x.shape[3] else x.transpose(3, 1, 2, 0)
    n, taps, most = len(x), x.shape[1:3], 0.0
    sizes = [1 if k == 1 else max(64, 8 * k) for k in taps]
    rows, columns = (np.exp(2j * math.pi / n * np.multiply.outer(np.arange(n), np.arange(k))) for n, k in zip(sizes, taps, strict=True))
    wrong = 16 * UNIT * (n + x.shape[3] + sum(taps) + 64) * math.prod(taps) * float((x * x).sum())
    for row in rows:
        symbol = np.einsum("tb,obi->toi", columns, np.tensordot(row, x, ((0,), (1,))))
        most = max(most, _top(symbol.conj().swapaxes(1, 2) @ symbol, wrong))
    return SECOND * most * math.prod(math.cos(math.pi * (k - 1) / n) ** -1 for k, n in zip(taps, sizes, strict=True))


def _top(g: Array, wrong: float) -> float:
    """A number that no eigenvalue of the Hermitian matrices (k, n, n) exceeds: the factorization of that number minus them ends."""
    n = g.shape[-1]
    level = float(np.linalg.eigvalsh(g).max()) * (1 + 2.0**-30 + 32 * UNIT * n * (n + 8)) + 2 * wrong + 2.0**-600
    demand(math.isfinite(level), "a norm overflows")
    try:
        np.linalg.cholesky((level - wrong - 16 * UNIT * (n + 8) * n * level) * np.eye(n) - g)
    except np.linalg.LinAlgError:
        return math.inf
    return level
