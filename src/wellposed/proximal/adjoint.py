"""∇ψ as a single step of autograd, its own pass back derived by hand too: what training on a prox differentiates.

For the v that comes back from the loss, φ = ⟨v, ∇ψ(x)⟩ is the slope of ψ along v. The pass forward has tangents ȧ_k and ż_k = g'(a_k) ȧ_k
along v; with p_k = g''(a_k) c_k ȧ_k + g'(a_k) q_k and q_{k-1} = W_kᵀ p_k + w_{k-1} r''(z_{k-1}) ż_{k-1}, and c_k, d_k as in `convex`,

    ∂φ/∂W_k = d_k ż_{k-1}ᵀ + p_k z_{k-1}ᵀ,  ∂φ/∂H_k = d_k (S_k v)ᵀ + p_k (S_k x)ᵀ,  ∂φ/∂b_k = Σ p_k,  ∂φ/∂w_k = Σ r'(z_k) ż_k,

and ∂φ/∂x = ∇²ψ(x) v. Autograd, left to itself, forms the same products, with half as many passes over activations again, each of which
writes an array of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call

from wellposed.proximal.linear_maps import channelwise

if TYPE_CHECKING:
    from wellposed.proximal.convex import ConvexNetwork, Layer


def differentiated_once(network: ConvexNetwork, x: Tensor) -> bool:
    """Whether a pass back may follow, and nothing else: no compiler, transform or dual number, for which each operation must be seen."""
    parameters = list(network.parameters())
    if not torch.is_grad_enabled() or not any(p.requires_grad for p in parameters) or torch.compiler.is_compiling():
        return False
    transforms: Any = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)
    if transforms() or torch.is_autocast_enabled(x.device.type):
        return False
    return all(forward_ad.unpack_dual(t).tangent is None for t in (x, *parameters))


def _batched(v: Tensor) -> bool:
    """Whether v stands for many (`is_grads_batched`). Where torch's own names for it have gone, everything is taken to be."""
    kinds = getattr(torch._C, "_functorch", None)
    return any(getattr(kinds, name, lambda _: True)(v) for name in ("is_legacy_batchedtensor", "is_functorch_wrapped_tensor"))


def gradient(network: ConvexNetwork, x: Tensor) -> Tensor:
    """∇ψ(x)."""
    found: Any = _Gradient.apply(network, x, *network.parameters())
    return found


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, network: ConvexNetwork, x: Tensor, *parameters: Tensor) -> Tensor:  # type: ignore[override]
        layers, last, slopes, pulled = network.ordered(), [], [], []
        sources = [s.apply(x) for s in network.resamplings]
        for layer in layers:
            a = _forward(layer, sources, last)
            if layer.bias is not None:
                a.add_(channelwise(layer.bias, a))
            last.append(network.activation.value(a))
            slopes.append(a.mul_(network.activation.beta).sigmoid_())
        below = None
        for k in range(len(layers) - 1, -1, -1):
            d = _with_readout(layers[k], below, last[k]).mul_(slopes[k])
            pulled.append(d)
            below = _back(layers[k], d, last[k - 1])
        pulled.reverse()
        ctx.network = network
        ctx.save_for_backward(x, *parameters, *last, *slopes, *pulled)
        return network.pulled(x, sources, pulled).add_(x, alpha=network.modulus)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        network: ConvexNetwork = ctx.network
        x, *saved = ctx.saved_tensors
        named, layers = dict(network.named_parameters()), len(network.layers)
        parameters, arrays = saved[: len(named)], saved[len(named) :]
        changed = any(p is not q for p, q in zip(parameters, named.values(), strict=True))  # by functional_call, or off the device
        if torch.is_grad_enabled() or changed or _batched(v):
            return None, *_through_autograd(network, x, dict(zip(named, parameters, strict=True)), v, ctx.needs_input_grad[1:])
        of_x, found = _by_hand(network, x, [arrays[k : k + layers] for k in range(0, 3 * layers, layers)], v, ctx.needs_input_grad[1])
        return None, of_x, *(found.get(p) for p in parameters)


def _by_hand(network: ConvexNetwork, x: Tensor, kept: Sequence[Sequence[Tensor]], v: Tensor, asked: bool
             ) -> tuple[Tensor | None, dict[Tensor, Tensor]]:
    """∂φ/∂x, where it is asked for, and ∂φ/∂θ; `kept`: z_k, g'(a_k) and d_k of all layers."""
    layers, beta, (last, slopes, pulled) = network.ordered(), network.activation.beta, kept
    sources, along = ([s.apply(t) for s in network.resamplings] for t in (x, v))
    arrived: list[Tensor] = []
    tangents: list[Tensor] = []
    for layer, slope in zip(layers, slopes, strict=True):
        arrived.append(_forward(layer, along, tangents))
        tangents.append(slope * arrived[-1])
    found: dict[Tensor, Tensor] = {}
    moved: list[Tensor] = []
    below: Tensor | None = None
    for k in range(len(layers) - 1, -1, -1):
        layer, d, p, s = layers[k], pulled[k], arrived[k].mul_(pulled[k]), slopes[k]
        p.addcmul_(p, s, value=-1).mul_(beta)  # β (1 - s) d ȧ = g'' c ȧ
        if layer.power == 2:
            below = _with_readout(layer, below, tangents[k])
        if below is not None:
            p.addcmul_(s, below)
        moved.append(p)
        found |= _of_layer(layer, (d, p), (along[layer.source], sources[layer.source]), tangents[k], last[k],
                           (tangents[k - 1], last[k - 1]))
        below = _back(layer, p, last[k - 1])
    of_x = network.pulled(x, sources, moved[::-1]).add_(v, alpha=network.modulus) if asked else None
    return of_x, found


Pair = tuple[Tensor, Tensor]


def _of_layer(layer: Layer, d: Pair, sources: Pair, tangent: Tensor, z: Tensor, below: Pair) -> dict[Tensor, Tensor]:
    """∂φ/∂ of each of its parameters."""
    found: dict[Tensor, Tensor] = {layer.skip: layer.through.of_weights(layer.skip, sources[0], d[0]).add_(
        layer.through.of_weights(layer.skip, sources[1], d[1]))}
    if layer.bias is not None:
        found[layer.bias] = _by_channel(d[1])
    if layer.root is not None:
        of_weight = layer.across.of_weights(layer.root, below[0], d[0]).add_(layer.across.of_weights(layer.root, below[1], d[1]))
        found[layer.root] = of_weight.mul_(layer.root).mul_(2)
    if layer.readout_root is not None:
        found[layer.readout_root] = _by_channel(tangent if layer.power == 1 else tangent * z).mul_(layer.readout_root).mul_(2)
    return found


def _by_channel(x: Tensor) -> Tensor:
    """Sums over samples and pixels."""
    return x.sum([n for n in range(x.ndim) if n != 1])


def _forward(layer: Layer, sources: Sequence[Tensor], last: Sequence[Tensor]) -> Tensor:
    """W z + H S x, in an array of its own."""
    a = layer.through.apply(layer.skip, sources[layer.source])
    return a if layer.weight is None else a.add_(layer.across.apply(layer.weight, last[-1]))


def _back(layer: Layer, d: Tensor, below: Tensor) -> Tensor | None:
    """Wᵀ d."""
    return None if layer.weight is None else layer.across.transpose(layer.weight, d, below.shape[1:])


def _with_readout(layer: Layer, below: Tensor | None, z: Tensor) -> Tensor:
    """below + w r'(z), in an array of its own."""
    if layer.readout is None:
        assert below is not None
        return below
    w = channelwise(layer.readout, z).expand_as(z)
    if below is None:
        return w * z if layer.power == 2 else w.clone()
    return below.addcmul_(w, z) if layer.power == 2 else below.add_(w)


def _through_autograd(network: ConvexNetwork, x: Tensor, parameters: dict[str, Tensor], v: Tensor, needed: Sequence[bool]
                      ) -> list[Tensor | None]:
    """The same with every operation in the graph, for those who differentiate again."""
    with torch.enable_grad():
        y = functional_call(network, parameters, (x,), {"differentiable": True})
    inputs = [t for t, asked in zip((x, *parameters.values()), needed, strict=True) if asked]
    found = iter(torch.autograd.grad(y, inputs, v, create_graph=torch.is_grad_enabled(), allow_unused=True))
    return [next(found) if asked else None for asked in needed]
