"""A convex potential and its gradient, by one pass forward and one pass back through transposed weights.

ψ(x) = Σ_k ⟨w_k, r(z_k)⟩ + (μ/2)|x|²,  z_k = g(a_k),  a_k = W_k z_{k-1} + H_k S_k x + b_k,  g(t) = log(1 + e^{βt})/β,  W_k, w_k >= 0,
S_k linear: an input-convex network (Amos, Xu and Kolter, ICML 2017) with a readout of every layer, r(z) = z or z²/2: as z >= 0 is convex,
both are. A gradient that shrinks, y -> (y - θ)₊, has a potential that grows like a square; with linear readouts it takes many units. The
gradient is derived by hand, so that training needs one backward pass through it, which is in `adjoint`, rather than a double one:

    c_K = w_K r'(z_K);  for k = K ... 1:  d_k = g'(a_k) c_k,  ∇ψ += S_kᵀ H_kᵀ d_k,  c_{k-1} = W_kᵀ d_k + w_{k-1} r'(z_{k-1}).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.linear_maps import Map, Resampling, channelwise
from wellposed.proximal.softplus import Softplus
from wellposed.proximal.sums import total


@dataclass(frozen=True)
class Held:
    """The tensors of a layer and how they act, apart from the module that owns them.

    Attributes:
        across: how W acts. through: how H acts. source: index of the resampled input. power: 1 or 2 of r(z) = z^power / power, 0 without
            a readout.
        skip: H, (out, in) or (out, in, k, k). weight: W, likewise; None without a layer before. bias, readout: (out,), or None.
    """

    across: Map
    through: Map
    source: int
    power: int
    skip: Tensor
    weight: Tensor | None
    bias: Tensor | None
    readout: Tensor | None

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return self.skip, self.weight, self.bias, self.readout


@dataclass(frozen=True)
class Pass:
    """What the pass forward leaves to the pass back: the input, its resampled forms, and of each layer a_k, z_k and g'(a_k)."""

    x: Tensor
    sources: list[Tensor]
    before: list[Tensor]
    last: list[Tensor]
    slopes: list[Tensor]


@dataclass(frozen=True)
class Potential:
    """ψ with the weights of one moment: the passes forward and back."""

    layers: Sequence[Held]
    resamplings: Sequence[Resampling]
    activation: Softplus
    modulus: float

    @property
    def tensors(self) -> list[Tensor | None]:
        """Four of each layer."""
        return [t for layer in self.layers for t in layer.tensors]

    def of(self, tensors: Sequence[Any]) -> Potential:
        """The same with other tensors."""
        layers = [replace(layer, **dict(zip(("skip", "weight", "bias", "readout"), tensors[4 * k : 4 * k + 4], strict=True)))
                  for k, layer in enumerate(self.layers)]
        return replace(self, layers=layers)

    def forward_pass(self, x: Tensor) -> Pass:
        sources = [s.apply(x) for s in self.resamplings]
        before: list[Tensor] = []
        last: list[Tensor] = []
        slopes: list[Tensor] = []
        for layer in self.layers:
            a = layer.through.apply(layer.skip, sources[layer.source])
            if layer.weight is not None:
                a = a + layer.across.apply(layer.weight, last[-1])
            if layer.bias is not None:
                a = a + channelwise(layer.bias, a)
            before.append(a)
            z, s = self.activation.both(a)
            last.append(z)
            slopes.append(s)
        return Pass(x, sources, before, last, slopes)

    def value_of(self, kept: Pass) -> Float[Tensor, " batch"]:
        value = 0.5 * self.modulus * total(kept.x.square())
        for layer, z in zip(self.layers, kept.last, strict=True):
            if layer.readout is not None:
                value = value + total(channelwise(layer.readout, z) * (z if layer.power == 1 else 0.5 * z.square()))
        return value

    def backward_pass(self, kept: Pass) -> Tensor:
        return self.gradient_of(kept, self.costates(kept, kept.slopes))

    def gradient_of(self, kept: Pass, costates: Sequence[Tensor]) -> Tensor:
        """∇ψ(x), from the c_k."""
        return self.modulus * kept.x + self.pulled(kept.x, kept.sources, [s * c for s, c in zip(kept.slopes, costates, strict=True)])

    def costates(self, kept: Pass, slopes: Sequence[Tensor]) -> list[Tensor]:
        """c_k = ∂ψ/∂z_k."""
        layers, below = self.layers, None
        found: list[Tensor] = []
        for k in range(len(layers) - 1, -1, -1):
            layer, c = layers[k], below
            if layer.readout is not None:
                w = channelwise(layer.readout, slopes[k])
                own = w.expand_as(slopes[k]) if layer.power == 1 else w * kept.last[k]
                c = own if c is None else c + own
            assert c is not None
            found.append(c)
            below = None if layer.weight is None else layer.across.transpose(layer.weight, slopes[k] * c, kept.last[k - 1].shape[1:])
        return found[::-1]

    def pulled(self, x: Tensor, sources: Sequence[Tensor], d: Sequence[Tensor], layers: Sequence[Held] | None = None,
               absolute: bool = False) -> Tensor:
        """Σ S_kᵀ H_kᵀ d_k, or with |H_k|, of the shape of x; the resampling of each source is transposed once."""
        sums: list[Any] = [None] * len(self.resamplings)
        for layer, each in zip(layers or self.layers, d, strict=True):
            h = layer.skip.abs() if absolute else layer.skip
            found = layer.through.transpose(h, each, sources[layer.source].shape[1:])
            sums[layer.source] = found if sums[layer.source] is None else sums[layer.source] + found
        parts = [s.transpose(y, x.shape[1:]) for s, y in zip(self.resamplings, sums, strict=True) if y is not None]
        return sum(parts[1:], parts[0])


class Hessian:
    """v -> ∇²ψ(x) v at points x that are held; each product costs a pass forward and a pass back.

    Attributes:
        gradient: ∇ψ(x). value: ψ(x), (batch,).
    """

    def __init__(self, potential: Potential, kept: Pass) -> None:
        self.potential, self.kept = potential, kept
        self.slopes = kept.slopes
        self.costates = potential.costates(kept, self.slopes)
        beta = potential.activation.beta
        self.bends = [beta * s * (1 - s) * c for s, c in zip(self.slopes, self.costates, strict=True)]
        self.gradient = potential.gradient_of(kept, self.costates)
        self.value = potential.value_of(kept)

    def __matmul__(self, v: Tensor) -> Tensor:
        """Forward with tangents ȧ, ż; back with ḋ = g''(a) c ȧ + g'(a) ċ, p and q of `adjoint`, where the same is done in place."""
        potential, layers = self.potential, self.potential.layers
        sources = [s.apply(v) for s in potential.resamplings]
        tangents: list[Tensor] = []
        for k, layer in enumerate(layers):
            t = layer.through.apply(layer.skip, sources[layer.source])
            if layer.weight is not None:
                t = t + layer.across.apply(layer.weight, self.slopes[k - 1] * tangents[-1])
            tangents.append(t)
        moved: list[Tensor] = []
        below: Tensor | None = None
        for k in range(len(layers) - 1, -1, -1):
            layer, d = layers[k], self.bends[k] * tangents[k]
            if below is not None:
                d = d + self.slopes[k] * below
            if layer.readout is not None and layer.power == 2:
                d = d + channelwise(layer.readout, d) * self.slopes[k].square() * tangents[k]
            moved.append(d)
            below = None if layer.weight is None else layer.across.transpose(layer.weight, d, self.kept.last[k - 1].shape[1:])
        return potential.modulus * v + potential.pulled(self.kept.x, self.kept.sources, moved[::-1])
