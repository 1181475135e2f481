"""A convex potential and its gradient, by one pass forward and one pass back through transposed weights.

ψ(x) = Σ_k ⟨w_k, r(z_k)⟩ + (μ/2)|x|²,  z_k = g(a_k),  a_k = W_k z_{k-1} + H_k S_k x + b_k,  g(t) = log(1 + e^{βt})/β,  W_k, w_k >= 0,
S_k linear: an input-convex network (Amos, Xu and Kolter, ICML 2017) with a readout of every layer, r(z) = z or z²/2: as z >= 0 is convex,
both are. A gradient that shrinks, y -> (y - θ)₊, has a potential that grows like a square; with linear readouts it takes many units.
Signs are kept by writing W = V²: they cannot be violated by training. The gradient is derived by hand, so that training needs one
backward pass through it rather than a double one (and that one is in `adjoint`):

    c_K = w_K r'(z_K);  for k = K ... 1:  d_k = g'(a_k) c_k,  ∇ψ += S_kᵀ H_kᵀ d_k,  c_{k-1} = W_kᵀ d_k + w_{k-1} r'(z_{k-1}).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wellposed.proximal.adjoint import differentiated_once, gradient
from wellposed.proximal.linear_maps import Map, Resampling, channelwise
from wellposed.proximal.softplus import Softplus
from wellposed.proximal.sums import total

SCALE = 0.7
"""Roots V of weights begin at random from 0 to about this times what keeps the size of activations."""


class Layer(nn.Module):
    """One z_k. Its weights are `weight` (W >= 0, of the layer before; None in the first), `skip` (H, of the input) and `bias`.

    Args:
        out: channels or units. skip: shape of H. weight: shape of W, or None.
        across: how W acts; through: how H acts. source: which resampled input H sees.
        readout: 1 for r(z) = z, 2 for z²/2, 0 for a layer that is not read out.
    """

    def __init__(self, skip: Sequence[int], weight: Sequence[int] | None, across: Map, through: Map, source: int = 0, *,
                 bias: bool = True, readout: int = 1, scale: float = SCALE) -> None:
        super().__init__()
        self.across, self.through, self.source, self.power = across, through, source, readout
        out, inputs = skip[0], _fan_in(skip)
        self.skip = nn.Parameter(torch.randn(*skip) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None
        self.root = None if weight is None else nn.Parameter(torch.rand(*weight) * (2 / _fan_in(weight)) ** 0.5 * scale)
        self.readout_root = nn.Parameter(torch.rand(out) * (2 / out) ** 0.5 * scale) if readout > 0 else None

    @property
    def weight(self) -> Tensor | None:
        """W >= 0."""
        return None if self.root is None else self.root.square()

    @property
    def readout(self) -> Tensor | None:
        """w >= 0, one number a channel."""
        return None if self.readout_root is None else self.readout_root.square()


def _fan_in(shape: Sequence[int]) -> int:
    return int(torch.Size(shape[1:]).numel())


@dataclass(frozen=True)
class Pass:
    """What the pass forward leaves to the pass back: the input, its resampled forms, and of each layer a_k, z_k and g'(a_k)."""

    x: Tensor
    sources: list[Tensor]
    before: list[Tensor]
    last: list[Tensor]
    slopes: list[Tensor]


class ConvexNetwork(nn.Module):
    """ψ, ∇ψ and products with the Hessian of ψ.

    Args:
        layers, resamplings: as above. beta: of the softplus. modulus: μ >= 0, of strong convexity.
    """

    def __init__(self, layers: Sequence[Layer], resamplings: Sequence[Resampling], beta: float, modulus: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.resamplings, self.activation, self.modulus = list(resamplings), Softplus(beta), modulus

    def forward(self, x: Tensor, differentiable: bool = False) -> Tensor:
        """∇ψ(x), of the shape of x; `differentiable`: by operations that autograd sees one by one, whatever follows."""
        if not differentiable and differentiated_once(self, x):
            return gradient(self, x)
        return self.backward_pass(self.forward_pass(x))

    def value(self, x: Tensor) -> Float[Tensor, " batch"]:
        """ψ(x)."""
        return self.value_of(self.forward_pass(x))

    def both(self, x: Tensor) -> tuple[Float[Tensor, " batch"], Tensor]:
        """ψ(x) and ∇ψ(x)."""
        kept = self.forward_pass(x)
        return self.value_of(kept), self.backward_pass(kept)

    def forward_pass(self, x: Tensor) -> Pass:
        sources = [s.apply(x) for s in self.resamplings]
        before: list[Tensor] = []
        last: list[Tensor] = []
        slopes: list[Tensor] = []
        for layer in self.ordered():
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
        for layer, z in zip(self.ordered(), kept.last, strict=True):
            if layer.readout is not None:
                value = value + total(channelwise(layer.readout, z) * (z if layer.power == 1 else 0.5 * z.square()))
        return value

    def backward_pass(self, kept: Pass) -> Tensor:
        costates = self.costates(kept, kept.slopes)
        return self.modulus * kept.x + self.pulled(kept.x, kept.sources, [s * c for s, c in zip(kept.slopes, costates, strict=True)])

    def costates(self, kept: Pass, slopes: Sequence[Tensor]) -> list[Tensor]:
        """c_k = ∂ψ/∂z_k."""
        layers, below = self.ordered(), None
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

    def pulled(self, x: Tensor, sources: Sequence[Tensor], d: Sequence[Tensor], layers: Sequence[Layer] | None = None,
               absolute: bool = False) -> Tensor:
        """Σ S_kᵀ H_kᵀ d_k, or with |H_k|, of the shape of x; the resampling of each source is transposed once."""
        sums: list[Any] = [None] * len(self.resamplings)
        for layer, each in zip(layers or self.ordered(), d, strict=True):
            h = layer.skip.abs() if absolute else layer.skip
            found = layer.through.transpose(h, each, sources[layer.source].shape[1:])
            sums[layer.source] = found if sums[layer.source] is None else sums[layer.source] + found
        parts = [s.transpose(y, x.shape[1:]) for s, y in zip(self.resamplings, sums, strict=True) if y is not None]
        return sum(parts[1:], parts[0])

    def linearize(self, x: Tensor) -> Hessian:
        """The symmetric Jacobian of ∇ψ at x."""
        return Hessian(self, self.forward_pass(x))

    def ordered(self) -> list[Layer]:
        """The layers, first to last."""
        return list(self.layers)  # type: ignore[arg-type]


class Hessian:
    """v -> ∇²ψ(x) v at points x that are held; each product costs a pass forward and a pass back.

    Attributes:
        gradient: ∇ψ(x). value: ψ(x), (batch,).
    """

    def __init__(self, network: ConvexNetwork, kept: Pass) -> None:
        self.network, self.kept = network, kept
        self.slopes = kept.slopes
        self.costates = network.costates(kept, self.slopes)
        beta = network.activation.beta
        self.bends = [beta * s * (1 - s) * c for s, c in zip(self.slopes, self.costates, strict=True)]
        d = [s * c for s, c in zip(self.slopes, self.costates, strict=True)]
        self.gradient = network.modulus * kept.x + network.pulled(kept.x, kept.sources, d)
        self.value = network.value_of(kept)

    def __matmul__(self, v: Tensor) -> Tensor:
        """Forward with tangents ȧ, ż; back with ḋ = g''(a) c ȧ + g'(a) ċ."""
        network, layers = self.network, self.network.ordered()
        sources = [s.apply(v) for s in network.resamplings]
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
        return network.modulus * v + network.pulled(self.kept.x, self.kept.sources, moved[::-1])
