"""∇ψ as a single step of autograd, its own pass back derived by hand too: what training on a prox differentiates.

For the v that comes back from the loss, φ = ⟨v, ∇ψ(x)⟩ is the slope of ψ along v. The pass forward has tangents ȧ_k and ż_k = g'(a_k) ȧ_k
along v; with p_k = g''(a_k) c_k ȧ_k + g'(a_k) q_k and q_{k-1} = W_kᵀ p_k + w_{k-1} r''(z_{k-1}) ż_{k-1}, and c_k, d_k as in `potential`,

    ∂φ/∂W_k = d_k ż_{k-1}ᵀ + p_k z_{k-1}ᵀ,  ∂φ/∂H_k = d_k (S_k v)ᵀ + p_k (S_k x)ᵀ,  ∂φ/∂b_k = Σ p_k,  ∂φ/∂w_k = Σ r'(z_k) ż_k,

and ∂φ/∂x = ∇²ψ(x) v. Autograd, left to itself, forms the same products, with half as many passes over activations again, each of which
writes an array of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from wellposed.proximal.linear_maps import channelwise
from wellposed.proximal.potential import Held, Potential

Found = list[Tensor | None]


def applies(potential: Potential, x: Tensor) -> bool:
    """Whether some weight needs a gradient, and no compiler, transform, dual number or autocast is at work, which must see each operation.

    Batched and repeated differentiation are met in `backward`.
    """
    tensors = [t for t in potential.tensors if t is not None]
    if not torch.is_grad_enabled() or torch.compiler.is_compiling() or not any(t.requires_grad for t in tensors):
        return False
    transforms: Any = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)
    if transforms() or (_may_autocast(x) and torch.is_autocast_enabled(x.device.type)):
        return False
    return all(forward_ad.unpack_dual(t).tangent is None for t in (x, *tensors))


def gradient(potential: Potential, x: Tensor) -> Tensor:
    """∇ψ(x)."""
    found: Any = _Gradient.apply(potential, x, *potential.tensors)
    return found


def _may_autocast(x: Tensor) -> bool:
    return torch.amp.is_autocast_available(x.device.type)


def _exactly(x: Tensor) -> AbstractContextManager[Any]:
    """Without autocast, where there is such a thing."""
    return torch.autocast(x.device.type, enabled=False) if _may_autocast(x) else nullcontext()


def _batched(v: Tensor) -> bool:
    """Whether v stands for many (`is_grads_batched`). Where torch's own names for it have gone, everything is taken to be."""
    kinds = getattr(torch._C, "_functorch", None)
    return any(getattr(kinds, name, lambda _: True)(v) for name in ("is_legacy_batchedtensor", "is_functorch_wrapped_tensor"))


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, potential: Potential, x: Tensor, *tensors: Tensor | None) -> Tensor:  # type: ignore[override]
        layers, last, slopes, pulled = potential.layers, [], [], []
        sources = [s.apply(x) for s in potential.resamplings]
        for layer in layers:
            a = _forward(layer, sources, last)
            if layer.bias is not None:
                a.add_(channelwise(layer.bias, a))
            last.append(potential.activation.value(a))  # first, as a is overwritten: one array less to keep for each layer
            slopes.append(a.mul_(potential.activation.beta).sigmoid_())
        below = None
        for k in range(len(layers) - 1, -1, -1):
            d = _with_readout(layers[k], below, last[k]).mul_(slopes[k])
            pulled.append(d)
            below = _back(layers[k], d, last[k - 1])
        pulled.reverse()
        ctx.bare = potential.of([None] * len(tensors))  # tensors are for save_for_backward to hold, which sees changes and cycles
        ctx.save_for_backward(x, *tensors, *last, *slopes, *pulled)
        return torch.add(potential.pulled(x, sources, pulled), x, alpha=potential.modulus)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, *saved = ctx.saved_tensors
        layers, needed = len(ctx.bare.layers), ctx.needs_input_grad[1:]
        tensors, arrays = saved[: 4 * layers], saved[4 * layers :]
        potential = ctx.bare.of(tensors)
        with _exactly(v):
            if torch.is_grad_enabled() or _batched(v):
                return None, *_through_autograd(potential, [x, *tensors], v, needed)
            return None, *_by_hand(potential, x, [arrays[k : k + layers] for k in range(0, 3 * layers, layers)], v, needed)


def _by_hand(potential: Potential, x: Tensor, kept: Sequence[Sequence[Tensor]], v: Tensor, needed: Sequence[bool]) -> Found:
    """∂φ/∂x and ∂φ/∂ each of the weights, where they are needed; `kept`: z_k, g'(a_k) and d_k of all layers."""
    layers, beta, (last, slopes, pulled) = potential.layers, potential.activation.beta, kept
    sources, along = ([s.apply(t) for s in potential.resamplings] for t in (x, v))
    arrived: list[Tensor] = []
    tangents: list[Tensor] = []
    for layer, slope in zip(layers, slopes, strict=True):
        arrived.append(_forward(layer, along, tangents))
        tangents.append(slope * arrived[-1])
    found: list[Found] = []
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
        found.append(_of_layer(layer, (d, p), (along[layer.source], sources[layer.source]), (tangents[k], last[k]),
                               (tangents[k - 1], last[k - 1]), needed[4 * k + 1 : 4 * k + 5]))
        below = _back(layer, p, last[k - 1])
    of_x = torch.add(potential.pulled(x, sources, moved[::-1]), v, alpha=potential.modulus) if needed[0] else None
    return [of_x, *(each for of_layer in reversed(found) for each in of_layer)]


Pair = tuple[Tensor, Tensor]
"""Of the tangent, or of d, first."""


def _of_layer(layer: Held, d: Pair, sources: Pair, own: Pair, below: Pair, needed: Sequence[bool]) -> Found:
    """∂φ/∂H, ∂φ/∂W, ∂φ/∂b and ∂φ/∂w, where they are needed."""
    skip, weight, bias, readout = needed
    of_skip = layer.through.of_weights(layer.skip, sources[0], d[0]).add_(layer.through.of_weights(layer.skip, sources[1], d[1])) \
        if skip else None
    of_weight = layer.across.of_weights(layer.weight, below[0], d[0]).add_(layer.across.of_weights(layer.weight, below[1], d[1])) \
        if weight and layer.weight is not None else None
    of_readout = _by_channel(own[0] if layer.power == 1 else own[0] * own[1]) if readout else None
    return [of_skip, of_weight, _by_channel(d[1]) if bias else None, of_readout]


def _by_channel(x: Tensor) -> Tensor:
    """Sums over samples and pixels."""
    return x.sum([n for n in range(x.ndim) if n != 1])


def _forward(layer: Held, sources: Sequence[Tensor], last: Sequence[Tensor]) -> Tensor:
    """W z + H S x, in an array of its own, which the caller may overwrite."""
    a = layer.through.apply(layer.skip, sources[layer.source])
    return a if layer.weight is None else a.add_(layer.across.apply(layer.weight, last[-1]))


def _back(layer: Held, d: Tensor, below: Tensor) -> Tensor | None:
    """Wᵀ d."""
    return None if layer.weight is None else layer.across.transpose(layer.weight, d, below.shape[1:])


def _with_readout(layer: Held, below: Tensor | None, z: Tensor) -> Tensor:
    """below + w r'(z), where below is overwritten; with ż for z, and r quadratic, below + w r''(z) ż."""
    if layer.readout is None:
        assert below is not None
        return below
    w = channelwise(layer.readout, z).expand_as(z)
    if below is None:
        return w * z if layer.power == 2 else w.clone()
    return below.addcmul_(w, z) if layer.power == 2 else below.add_(w)


def _through_autograd(potential: Potential, inputs: Sequence[Tensor | None], v: Tensor, needed: Sequence[bool]) -> Found:
    """The same with every operation in the graph, for those who differentiate again."""
    with torch.enable_grad():
        y = potential.backward_pass(potential.forward_pass(inputs[0]))  # type: ignore[arg-type]
    wanted = [t if asked and t is not None and t.requires_grad else None for t, asked in zip(inputs, needed, strict=True)]
    found = iter(torch.autograd.grad(y, [t for t in wanted if t is not None], v, create_graph=torch.is_grad_enabled(), allow_unused=True))
    return [None if t is None else next(found) for t in wanted]
