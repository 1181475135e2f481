"""What rounding may have done to ψ and ∇ψ: running error bounds beside the passes (Higham, Accuracy and Stability, 2002, section 3.3).

Each bound is of the computed number against the exact one for the same weights and input, in float64, whatever the order of sums. The
relative error of exp, log1p and the logistic function is taken to be at most three units in the last place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.convex import ConvexNetwork
from wellposed.proximal.linear_maps import channelwise
from wellposed.proximal.potential import Held, Pass, Potential
from wellposed.proximal.sums import UNIT, gamma, norm, sum_error, total

ELEMENTARY = 16 * UNIT
SECOND = 1 + 1e-9
"""For the roundings of the bounds themselves."""


@dataclass(frozen=True)
class Enclosed:
    """Computed numbers, and how far they may be from the exact ones.

    Attributes:
        value: ψ, (batch,). gradient: ∇ψ. value_error, gradient_error: (batch,), the second in the Euclidean norm.
    """

    value: Float[Tensor, " batch"]
    gradient: Tensor
    value_error: Float[Tensor, " batch"]
    gradient_error: Float[Tensor, " batch"]


def enclosed(net: ConvexNetwork, x: Tensor) -> Enclosed:
    """ψ(x) and ∇ψ(x), x in float64."""
    potential = net.held()
    kept = potential.forward_pass(x)
    return Enclosed(potential.value_of(kept), potential.backward_pass(kept), value_error(potential, kept), gradient_error(potential, kept))


def value_error(potential: Potential, kept: Pass) -> Float[Tensor, " batch"]:
    """Of ψ(x), (batch,)."""
    bound = (1 + 1e-10) * 0.5 * potential.modulus * sum_error(kept.x.square())
    for layer, z, e in zip(potential.layers, kept.last, _activations(potential, kept), strict=True):
        if layer.readout is not None:
            w = channelwise(layer.readout, z)
            terms, off = (w * z, w * e) if layer.power == 1 else (0.5 * w * z.square(), w * (z * e + e.square()))
            bound = bound + sum_error(terms) + total(off) + 8 * UNIT * total(terms)
    return SECOND * bound


def _activations(potential: Potential, kept: Pass) -> list[Tensor]:
    """Of z_k."""
    return [e + ELEMENTARY * (z + a.abs()) for e, z, a in zip(_arguments(potential, kept), kept.last, kept.before, strict=True)]


def _arguments(potential: Potential, kept: Pass) -> list[Tensor]:
    """Of a_k."""
    sizes = [s.apply(kept.x.abs()) for s in potential.resamplings]
    errors = [gamma(s.roundings) * size if s.roundings else torch.zeros_like(size)
              for s, size in zip(potential.resamplings, sizes, strict=True)]
    found: list[Tensor] = []
    for k, layer in enumerate(potential.layers):
        h, source = layer.skip.abs(), layer.source
        size, off = layer.through.apply(h, sizes[source]), layer.through.apply(h, errors[source])
        if layer.weight is not None:
            size = size + layer.across.apply(layer.weight, kept.last[k - 1])
            before = found[-1] + ELEMENTARY * (kept.last[k - 1] + kept.before[k - 1].abs())
            off = off + layer.across.apply(layer.weight, before)
        if layer.bias is not None:
            size = size + channelwise(layer.bias.abs(), size)
        found.append(SECOND * (off + gamma(_terms(layer)) * size))
    return found


def _terms(layer: Held) -> int:
    across = 0 if layer.weight is None else layer.weight[0].numel()
    return layer.skip[0].numel() + across + 4


def gradient_error(potential: Potential, kept: Pass) -> Float[Tensor, " batch"]:
    """Of ∇ψ(x), in the Euclidean norm, (batch,)."""
    slopes = [potential.activation.slope(a) for a in kept.before]
    arguments = _arguments(potential, kept)
    bends = [0.25 * potential.activation.beta * e + ELEMENTARY for e in arguments]
    costates = potential.costates(kept, slopes)
    size, off = _flows(potential, kept, slopes, bends, costates, arguments)
    parts = [[potential.pulled(kept.x, kept.sources, [d], [layer], absolute=True) for d in (x, e)]
             for x, e, layer in zip(size, off, potential.layers, strict=True)]
    summed = sum(p[0] for p in parts) + potential.modulus * kept.x.abs()
    wide = max(h.shape[0] * h[0, 0].numel() for h in (layer.skip for layer in potential.layers))
    wide += max(s.roundings for s in potential.resamplings)
    bound = sum(p[1] for p in parts) + gamma(wide + len(parts) + 4) * summed
    return SECOND * norm(torch.as_tensor(bound))


def _flows(potential: Potential, kept: Pass, slopes: Sequence[Tensor], bends: Sequence[Tensor], costates: Sequence[Tensor],
           arguments: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """d_k and the errors of d_k."""
    layers = potential.layers
    size: list[Tensor] = []
    off: list[Tensor] = []
    below: Tensor | None = None
    for k in range(len(layers) - 1, -1, -1):
        layer, z = layers[k], kept.last[k]
        error = torch.zeros_like(z) if below is None else below
        if layer.readout is not None and layer.power == 2:
            error = error + channelwise(layer.readout, z) * (arguments[k] + ELEMENTARY * (z + kept.before[k].abs()))
        error = error + 4 * UNIT * costates[k]
        d = slopes[k] * costates[k]
        e = SECOND * (costates[k] * bends[k] + slopes[k] * error + bends[k] * error + 2 * UNIT * d)
        size.append(d)
        off.append(e)
        below = None
        if layer.weight is not None:
            fan = layer.weight.shape[0] * layer.weight[0, 0].numel()
            below = layer.across.transpose(layer.weight, e + gamma(fan + 2) * d, kept.last[k - 1].shape[1:])
    return size[::-1], off[::-1]
