"""Linear maps between images with their exact transposes: dense and convolutional layers, and the resampling of inputs.

A map and its transpose must be each other's to the last digit but rounding: the gradient of a potential is made of both. The transpose of
bilinear interpolation is not bilinear interpolation, that of an average is not a nearest neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

Size = Sequence[int]
GATHERED = 2**24
"""Entries of the matrix of patches, 128 MiB, up to which convolutions in float64 are products of matrices."""


@runtime_checkable
class Map(Protocol):
    """x -> W x for weights that are given on the call.

    `apply`: (batch, *in) -> (batch, *out); `transpose`: back, to samples of the shape `size`, without the batch; `of_weights`: the gradient
    of ⟨y, W x⟩ with respect to W, of its shape.
    """

    def apply(self, w: Tensor, x: Tensor) -> Tensor: ...
    def transpose(self, w: Tensor, y: Tensor, size: Size) -> Tensor: ...
    def of_weights(self, w: Tensor, x: Tensor, y: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Dense:
    """Of flattened inputs: W x, W of shape (out, in)."""

    def apply(self, w: Float[Tensor, "out in"], x: Tensor) -> Float[Tensor, "batch out"]:
        return functional.linear(x.flatten(1), w)

    def transpose(self, w: Float[Tensor, "out in"], y: Float[Tensor, "batch out"], size: Size) -> Tensor:
        """`size`: the shape of one input, without the batch."""
        return functional.linear(y, w.T).reshape(len(y), *size)

    def of_weights(self, w: Tensor, x: Tensor, y: Float[Tensor, "batch out"]) -> Float[Tensor, "out in"]:  # noqa: ARG002
        return y.T @ x.flatten(1)


@dataclass(frozen=True)
class Convolution:
    """Of images (batch, channels, y, x), zeros beyond their sides; W of shape (out, in, k, k).

    Where the stride divides k, pixels are first gathered into blocks of the stride's size: steps of 1 from block to block, and their
    transpose as a convolution with the mirrored weights, are several times faster on a CPU than what torch has for longer steps. In
    float64, for which torch has no fast convolution, patches are gathered and multiplied.
    """

    stride: int = 1
    padding: int = 0

    def apply(self, w: Float[Tensor, "out in k k"], x: Float[Tensor, "batch in y x"]) -> Float[Tensor, "batch out v u"]:
        k, step, before = w.shape[-1], self.stride, self.padding
        if self._gathers(w, x, x.shape[-2:]):
            patches = functional.unfold(x, k, padding=before, stride=step)
            return torch.bmm(w.flatten(1).expand(len(x), -1, -1), patches).unflatten(2, self._places(k, x.shape[-2:]))
        if step == 1 or k % step:
            return functional.conv2d(_laid_out(x, k), _laid_out(w, k), stride=step, padding=before)
        return functional.conv2d(self._to_blocks(x, k), self._blocks(w).flatten(1, 3))

    def transpose(self, w: Float[Tensor, "out in k k"], y: Float[Tensor, "batch out v u"], size: Size) -> Float[Tensor, "batch in y x"]:
        k, step, before = w.shape[-1], self.stride, self.padding
        if self._gathers(w, y, size[-2:]):
            patches = torch.bmm(w.flatten(1).T.expand(len(y), -1, -1), y.flatten(2))
            return functional.fold(patches, (size[-2], size[-1]), k, padding=before, stride=step)
        if k % step:
            rest = [(n + 2 * before - k) % step for n in size[-2:]]
            return functional.conv_transpose2d(_laid_out(y, k), _laid_out(w, k), stride=step, padding=before, output_padding=rest)
        if step == 1 and before < k:
            return functional.conv2d(_laid_out(y, k), _laid_out(w.transpose(0, 1).flip(-1, -2), k), padding=k - 1 - before)
        mirrored = self._blocks(w).flatten(1, 3).transpose(0, 1).flip(-1, -2)
        x = functional.pixel_shuffle(functional.conv2d(y, mirrored, padding=k // step - 1), step)
        after = [n + before - m for n, m in zip(size[-2:], x.shape[-2:], strict=True)]
        return functional.pad(x, (-before, after[1], -before, after[0]))

    def of_weights(self, w: Tensor, x: Float[Tensor, "batch in y x"], y: Float[Tensor, "batch out v u"]) -> Float[Tensor, "out in k k"]:
        k, step, before = w.shape[-1], self.stride, self.padding
        if self._gathers(w, x, x.shape[-2:]):
            patches = functional.unfold(x, k, padding=before, stride=step)
            return torch.einsum("bop,bip->oi", y.flatten(2), patches).view(w.shape)
        if step == 1 or k % step:
            return conv2d_weight(_laid_out(x, k), list(w.shape), _laid_out(y, k), step, before)
        blocks = self._blocks(w)
        found = conv2d_weight(self._to_blocks(x, k), list(blocks.flatten(1, 3).shape), y)
        return found.view(blocks.shape).permute(0, 1, 4, 2, 5, 3).reshape(w.shape)

    def _to_blocks(self, x: Tensor, k: int) -> Tensor:
        """Padded, or cut, to what the filters see; channels come first whatever x has, as torch goes by the strides
        and what channels last cost here is a quarter of a training step."""
        before = self.padding
        after = [(n + 2 * before - k) // self.stride * self.stride + k - n - before for n in x.shape[-2:]]
        return functional.pixel_unshuffle(functional.pad(x, (before, after[1], before, after[0])), self.stride).contiguous()

    def _gathers(self, w: Tensor, x: Tensor, size: Size) -> bool:
        return x.dtype == torch.float64 and len(x) * w[0].numel() * math.prod(self._places(w.shape[-1], size)) <= GATHERED

    def _places(self, k: int, size: Size) -> list[int]:
        """Of the filters, along both sides of an image of this size."""
        return [(n + 2 * self.padding - k) // self.stride + 1 for n in size]

    def _blocks(self, w: Float[Tensor, "out in k k"]) -> Float[Tensor, "out in step step m m"]:
        """The weights by the place within a block, then by the block."""
        m = w.shape[-1] // self.stride
        return w.unflatten(-1, (m, self.stride)).unflatten(-3, (m, self.stride)).permute(0, 1, 3, 5, 2, 4)


def _laid_out(x: Tensor, k: int) -> Tensor:
    """Channels last, where filters are wider than a pixel: a quarter faster on a CPU."""
    return x if k == 1 else x.to(memory_format=torch.channels_last)  # of one channel `contiguous` would leave the strides as they are


@runtime_checkable
class Resampling(Protocol):
    """x -> S x, S >= 0, of what a layer sees of the input; `roundings`: how many follow each other in one of its numbers."""

    @property
    def roundings(self) -> int: ...

    def apply(self, x: Tensor) -> Tensor: ...
    def transpose(self, y: Tensor, size: Size) -> Tensor: ...
    def describe(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Same:
    """The input itself."""

    @property
    def roundings(self) -> int:
        return 0

    def apply(self, x: Tensor) -> Tensor:
        return x

    def transpose(self, y: Tensor, size: Size) -> Tensor:  # noqa: ARG002
        return y

    def describe(self) -> dict[str, Any]:
        return {"kind": "same"}


@dataclass(frozen=True)
class Bilinear:
    """Bilinear interpolation to (`rows`, `columns`) pixels, between the centres of pixels, constant beyond the outermost."""

    rows: int
    columns: int

    @property
    def roundings(self) -> int:
        return 8

    def apply(self, x: Float[Tensor, "batch channels y x"]) -> Tensor:
        left, right = self._matrices(x, x.shape[-2:])
        return left @ x @ right.T

    def transpose(self, y: Float[Tensor, "batch channels v u"], size: Size) -> Tensor:
        left, right = self._matrices(y, size[-2:])
        return left.T @ y @ right

    def _matrices(self, like: Tensor, size: Size) -> tuple[Tensor, Tensor]:
        return interpolation(self.rows, size[0], like), interpolation(self.columns, size[1], like)

    def describe(self) -> dict[str, Any]:
        return {"kind": "bilinear", "rows": self.rows, "columns": self.columns}


def interpolation(out: int, n: int, like: Tensor) -> Float[Tensor, "out n"]:
    """The matrix of linear interpolation from the centres of n cells to those of `out`."""
    at = ((torch.arange(out, dtype=torch.float64) + 0.5) * n / out - 0.5).clamp(0, n - 1)
    weights = (1 - (at[:, None] - torch.arange(n)).abs()).clamp(min=0)
    return weights.to(like.device, like.dtype)


@dataclass(frozen=True)
class Padded:
    """Zeros to the right and below, up to sides that are multiples of `multiple`."""

    multiple: int

    @property
    def roundings(self) -> int:
        return 0

    def apply(self, x: Float[Tensor, "batch channels y x"]) -> Tensor:
        rows, columns = (-n % self.multiple for n in x.shape[-2:])
        return functional.pad(x, (0, columns, 0, rows)) if rows or columns else x

    def transpose(self, y: Float[Tensor, "batch channels v u"], size: Size) -> Tensor:
        return y[..., : size[-2], : size[-1]]

    def describe(self) -> dict[str, Any]:
        return {"kind": "padded", "multiple": self.multiple}


@dataclass(frozen=True)
class Average:
    """Means over squares of `factor` pixels of an image that is first padded: `factor` divides `multiple`, so that any image will do.

    The norm of the map is at most 1/`factor`: white noise in the means is so much smaller.
    """

    factor: int
    multiple: int

    @property
    def roundings(self) -> int:
        return self.factor**2 + 2

    def apply(self, x: Float[Tensor, "batch channels y x"]) -> Float[Tensor, "batch channels v u"]:
        return functional.avg_pool2d(Padded(self.multiple).apply(x), self.factor)

    def transpose(self, y: Float[Tensor, "batch channels v u"], size: Size) -> Float[Tensor, "batch channels y x"]:
        wide = functional.interpolate(y, scale_factor=float(self.factor), mode="nearest") / self.factor**2
        return Padded(self.multiple).transpose(wide, size)

    def describe(self) -> dict[str, Any]:
        return {"kind": "average", "factor": self.factor, "multiple": self.multiple}


def channelwise(w: Tensor, like: Tensor) -> Tensor:
    """A number for each channel or unit, to be multiplied with what is `like` a batch of them."""
    return w.view(-1, *(1,) * (like.ndim - 2))
