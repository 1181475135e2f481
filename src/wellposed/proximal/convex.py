"""The module of a convex potential ψ (see `potential`), whose weights are W = V², so that no step of training can violate their signs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wellposed.proximal.adjoint import applies, gradient
from wellposed.proximal.linear_maps import Map, Resampling
from wellposed.proximal.potential import Held, Hessian, Potential
from wellposed.proximal.softplus import Softplus

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

    def held(self) -> Held:
        """Its tensors as they are."""
        return Held(self.across, self.through, self.source, self.power, self.skip, self.weight, self.bias, self.readout)


def _fan_in(shape: Sequence[int]) -> int:
    return int(torch.Size(shape[1:]).numel())


class ConvexNetwork(nn.Module):
    """ψ, ∇ψ and products with the Hessian of ψ.

    Args:
        layers: first to last. resamplings: the S_k; Layer.source is an index into them. beta: of the softplus.
        modulus: μ >= 0, of strong convexity.
    """

    def __init__(self, layers: Sequence[Layer], resamplings: Sequence[Resampling], beta: float, modulus: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.resamplings, self.activation, self.modulus = list(resamplings), Softplus(beta), modulus

    def forward(self, x: Tensor, stepwise: bool = False) -> Tensor:
        """∇ψ(x), of the shape of x; `stepwise`: by operations that autograd sees one by one, never by `adjoint`, which tests hold to it."""
        potential = self.held()
        if not stepwise and applies(potential, x):
            return gradient(potential, x)
        return potential.backward_pass(potential.forward_pass(x))

    def value(self, x: Tensor) -> Float[Tensor, " batch"]:
        """ψ(x)."""
        potential = self.held()
        return potential.value_of(potential.forward_pass(x))

    def both(self, x: Tensor) -> tuple[Float[Tensor, " batch"], Tensor]:
        """ψ(x) and ∇ψ(x)."""
        potential = self.held()
        kept = potential.forward_pass(x)
        return potential.value_of(kept), potential.backward_pass(kept)

    def held(self) -> Potential:
        """ψ with the weights as they are."""
        return Potential([layer.held() for layer in self.ordered()], self.resamplings, self.activation, self.modulus)

    def linearize(self, x: Tensor) -> Hessian:
        """The symmetric Jacobian of ∇ψ at x."""
        potential = self.held()
        return Hessian(potential, potential.forward_pass(x))

    def ordered(self) -> list[Layer]:
        """The layers, first to last."""
        return list(self.layers)  # type: ignore[arg-type]
