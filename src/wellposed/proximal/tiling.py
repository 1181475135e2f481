"""Images of any size by patches, so that an exact prox stays one, and the published rule, by which none does.

Let P_i cut the patches of an image that is extended by zeros, at every multiple of the stride, so that each pixel lies in exactly
c = (tile/stride)² of them. Then Σ P_iᵀ P_i = c, and

    f_T(x) = (1/c) Σ P_iᵀ f(P_i x) = ∇ψ_T(x),    ψ_T(x) = (1/c) Σ ψ(P_i x):

a convex potential with the same modulus, and the same Lipschitz constant of its gradient. Where patches stay inside the image and their
number differs from pixel to pixel, each pixel divided by its own (averaging by count), the Jacobian is D^-1 Σ P_iᵀ J_i P_i, which is not
symmetric: no potential, no prox of any prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from wellposed.proximal.exact_prox import ExactProx
from wellposed.proximal.rounding import Enclosed, enclosed
from wellposed.proximal.sums import UNIT, gamma, norm, total


@dataclass(frozen=True)
class Cover:
    """The patches `tile` x `tile` at multiples of `stride` that meet an image, zeros beyond its sides."""

    tile: int
    stride: int

    @property
    def count(self) -> int:
        """c: in how many patches each pixel lies."""
        return (self.tile // self.stride) ** 2

    def cut(self, x: Float[Tensor, "batch channels y x"]) -> Float[Tensor, "patches channels tile tile"]:
        """All P_i x, those of an image after each other."""
        t, s = self.tile, self.stride
        right = [t - s + -n % s for n in x.shape[-2:]]
        wide = functional.pad(x, (t - s, right[1], t - s, right[0]))
        patches = wide.unfold(2, t, s).unfold(3, t, s)
        return patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1], t, t)

    def paste(self, patches: Float[Tensor, "patches channels tile tile"], shape: torch.Size) -> Float[Tensor, "batch channels y x"]:
        """Σ P_iᵀ, of images of this shape (batch, channels, y, x)."""
        t, s = self.tile, self.stride
        rows, width = (n + -n % s + 2 * (t - s) for n in shape[-2:])
        columns = patches.reshape(shape[0], -1, shape[1] * t * t).transpose(1, 2)
        wide = functional.fold(columns, (rows, width), t, stride=s)
        return wide[..., t - s : t - s + shape[-2], t - s : t - s + shape[-1]]

    def gather(self, numbers: Float[Tensor, " patches"], batch: int) -> Float[Tensor, " batch"]:
        """The sum of a number of each patch, over each image."""
        return total(numbers.view(batch, -1))


class TiledPotential(nn.Module):
    """ψ_T, ∇ψ_T and products with the Hessian of ψ_T."""

    def __init__(self, net: Any, cover: Cover) -> None:
        super().__init__()
        self.net, self.cover, self.modulus = net, cover, float(net.modulus)

    def forward(self, x: Tensor) -> Tensor:
        return self.cover.paste(self.net(self.cover.cut(x)), x.shape) / self.cover.count

    def value(self, x: Tensor) -> Float[Tensor, " batch"]:
        return self.cover.gather(self.net.value(self.cover.cut(x)), len(x)) / self.cover.count

    def both(self, x: Tensor) -> tuple[Float[Tensor, " batch"], Tensor]:
        values, slopes = self.net.both(self.cover.cut(x))
        return self.cover.gather(values, len(x)) / self.cover.count, self.cover.paste(slopes, x.shape) / self.cover.count

    def linearize(self, x: Tensor) -> TiledHessian:
        return TiledHessian(self.net.linearize(self.cover.cut(x)), self.cover, x.shape)


class TiledHessian:
    """v -> ∇²ψ_T(x) v.

    Attributes:
        gradient: ∇ψ_T(x). value: ψ_T(x), (batch,).
    """

    def __init__(self, patches: Any, cover: Cover, shape: torch.Size) -> None:
        self.patches, self.cover, self.shape = patches, cover, shape
        self.gradient = cover.paste(patches.gradient, shape) / cover.count
        self.value = cover.gather(patches.value, shape[0]) / cover.count

    def __matmul__(self, v: Tensor) -> Tensor:
        return self.cover.paste(self.patches @ self.cover.cut(v), self.shape) / self.cover.count


class Tiled(ExactProx):
    """An exact prox for images of any size, from one for patches: see above.

    Args:
        model: an LPN that takes (batch, channels, tile, tile).
        tile: side of the patches. stride: between them; a divisor of `tile`, half of it by default.

    Raises:
        ValueError: a stride that does not divide the tile, a model that does not take such patches.

    Example:
        >>> import torch
        >>> from wellposed.proximal import LPN, Tiled
        >>> Tiled(LPN.published("digits", width=4), tile=28)(torch.zeros(1, 1, 50, 33)).shape
        torch.Size([1, 1, 50, 33])
    """

    def __init__(self, model: ExactProx, tile: int, stride: int | None = None) -> None:
        super().__init__()
        self.model, self.cover = model, _cover(model, tile, stride)
        self._hold(TiledPotential(model.net, self.cover), (model.shape[0], None, None))

    def doubled(self) -> Tiled:
        return Tiled(self.model.doubled(), self.cover.tile, self.cover.stride)

    def enclosed(self, y: Float[Tensor, "batch channels y x"]) -> Enclosed:
        """As |Σ P_iᵀ e_i|² <= c Σ |e_i|², errors of patches add like squares."""
        cover, n = self.cover, len(y)
        patches = enclosed(self.model.net, cover.cut(y))
        values = patches.value.view(n, -1)
        sums = gamma(values.shape[1] + 4) * values.abs().sum(1) + patches.value_error.view(n, -1).sum(1)
        errors = patches.gradient_error + gamma(cover.count + 4) * norm(patches.gradient)
        return Enclosed(values.sum(1) / cover.count, cover.paste(patches.gradient, y.shape) / cover.count,
                        sums / cover.count * (1 + 1e-9), norm(errors.view(n, -1)) / cover.count**0.5 * (1 + 1e-9) + UNIT)

    def extra_repr(self) -> str:
        return f"tile={self.cover.tile}, stride={self.cover.stride}"


class AveragedByCount(nn.Module):
    """The published rule: patches inside the image alone, each pixel divided by the number of those that it lies in. NOT a prox.

    It is here to be compared with, and to be found out: `certify_map(averaged, images)` measures the asymmetry of its Jacobian.

    Args:
        model, tile, stride: as of `Tiled`.
    """

    def __init__(self, model: ExactProx, tile: int, stride: int | None = None) -> None:
        super().__init__()
        self.model, self.cover = model, _cover(model, tile, stride)

    def forward(self, y: Float[Tensor, "batch channels y x"]) -> Float[Tensor, "batch channels y x"]:
        """
        Raises:
            ValueError: an image smaller than a patch.
        """
        t = self.cover.tile
        if y.ndim != 4 or min(y.shape[-2:]) < t:
            raise ValueError(f"image: received the shape {tuple(y.shape)}, expected (batch, channels, at least {t}, at least {t}); "
                             "pad it, or take a smaller tile")
        summed, counts = torch.zeros_like(y), torch.zeros_like(y)
        for i in _starts(y.shape[-2], self.cover):
            for j in _starts(y.shape[-1], self.cover):
                summed[..., i : i + t, j : j + t] += self.model(y[..., i : i + t, j : j + t])
                counts[..., i : i + t, j : j + t] += 1
        return summed / counts


def _starts(n: int, cover: Cover) -> list[int]:
    """Of patches along a side of n pixels; the last is moved inside."""
    return sorted({*range(0, n - cover.tile + 1, cover.stride), n - cover.tile})


def _cover(model: ExactProx, tile: int, stride: int | None) -> Cover:
    stride = max(tile // 2, 1) if stride is None else stride
    if stride < 1 or tile < 1 or tile % stride:
        raise ValueError(f"Tiled: received tile={tile!r}, stride={stride!r}, expected a stride that divides the tile, so that every pixel "
                         "lies in the same number of patches; take half or a quarter of the tile")
    if len(model.shape) != 3 or any(n not in (None, tile) for n in model.shape[1:]):
        raise ValueError(f"Tiled: received a model for inputs {tuple(model.shape)}, expected one that takes (channels, {tile}, {tile}); "
                         "take its own size as the tile")
    return Cover(tile, stride)
