"""What every exact proximal map offers, whatever its potential: that potential, the Jacobian, the inverse and the prior."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor, nn

from wellposed.numerics.heap import keep_freed_memory
from wellposed.proximal import inversion
from wellposed.proximal.prior import Prior, prior
from wellposed.proximal.rounding import Enclosed, enclosed

Own = TypeVar("Own", bound="ExactProx")


class ExactProx(nn.Module):
    """f = ∇ψ = prox_R for a μ-strongly convex ψ.

    Attributes:
        net: ψ, its gradient and products with its Hessian.
        shape: of one input; None where any size will do.
    """

    net: Any
    shape: tuple[int | None, ...]

    def _hold(self, net: nn.Module, shape: tuple[int | None, ...]) -> None:
        keep_freed_memory()
        self.net, self.shape = net, shape

    @property
    def modulus(self) -> float:
        """μ."""
        return self.net.modulus

    def doubled(self: Own) -> Own:
        """A copy in float64, in which certificates are computed."""
        return copy.deepcopy(self).double().eval()

    def check(self, x: Tensor, name: str = "image") -> None:
        """Whether the map takes x.

        Raises:
            ValueError: another shape.
        """
        expected = ", ".join(["(batch", *("any" if n is None else str(n) for n in self.shape)]) + ")"
        if not isinstance(x, Tensor):
            raise ValueError(f"{name}: received a {type(x).__name__}, expected a tensor {expected}; torch.as_tensor makes one")
        pairs = list(zip(self.shape, x.shape[1:], strict=False))
        if x.ndim == len(self.shape) + 1 and all(n in (None, m) for n, m in pairs):
            return
        channels = x.ndim == len(self.shape) + 1 == 4 and pairs[0][0] != pairs[0][1]
        advice = "give channels first, turn colour to grey, or train a network for its channels" if channels else \
            "crop or resample it, tile it (wellposed.proximal.Tiled), or build a network for its size"
        raise ValueError(f"{name}: received the shape {tuple(x.shape)}, expected {expected}; {advice}")

    def _admit(self, y: Tensor) -> None:
        """Whether y can be computed with: of the map's shape, in the precision of its weights.

        Raises:
            ValueError: another shape or precision, no samples.
        """
        self.check(y)
        own = next((p.dtype for p in self.parameters()), y.dtype)
        if y.dtype != own or len(y) == 0:
            what = f"{len(y)} samples" if len(y) == 0 else str(y.dtype)
            raise ValueError(f"image: received {what}, expected at least one sample in {own}, the precision of the weights; convert it "
                             f"with .to({own}), or compute in float64 with model.doubled()")

    def forward(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """prox_R(y) = ∇ψ(y).

        Raises:
            ValueError: a shape that the map does not take, another precision than that of its weights.
        """
        self._admit(y)
        return self.net(y)

    def potential(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
        """ψ(y).

        Raises:
            ValueError: as `forward`.
        """
        self._admit(y)
        return self.net.value(y)

    def both(self, y: Float[Tensor, "batch ..."]) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch ..."]]:
        """ψ(y) and prox_R(y), from one pass forward."""
        self._admit(y)
        return self.net.both(y)

    def linearize(self, y: Float[Tensor, "batch ..."]) -> Any:
        """The Jacobian of the prox at y: symmetric, `linearize(y) @ v` are its products."""
        self._admit(y)
        return self.net.linearize(y)

    def enclosed(self, y: Float[Tensor, "batch ..."]) -> Enclosed:
        """ψ(y) and prox_R(y) in float64, with bounds of what rounding did to them."""
        return enclosed(self.net, y)

    def inverse(self, x: Float[Tensor, "batch ..."], tol: float = 1e-10) -> Float[Tensor, "batch ..."]:
        """The y with prox_R(y) = x, in float64, to a residual |prox_R(y) - x| of about `tol`, by Newton's method.

        Raises:
            ValueError: a shape that the map does not take, numbers that are not finite.
        """
        self.check(x)
        return inversion.invert(self.doubled(), x.detach().double(), tol).point

    def prior(self, x: Float[Tensor, "batch ..."], tol: float = 1e-9) -> Prior:
        """R(x), from both sides: `lower`, `upper` (batch,), at most about `tol` apart.

        Raises:
            ValueError: a shape that the map does not take, numbers that are not finite.
        """
        self.check(x)
        return prior(self.doubled(), x.detach().double(), tol)
