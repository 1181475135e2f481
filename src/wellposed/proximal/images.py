"""Images to learn from: those of a folder, or arrays, and patches of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from wellposed.training.data import digest_batch

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
DEEPEST, COLOURS = 65535, 4
"""White in 16 bits. So many channels images have at most, when in doubt where they are."""


def read_images(folder: str | Path, channels: int = 1) -> list[Tensor]:
    """All images below a folder in the order of their paths, (channels, y, x); 1 channel is grey, 3 are red, green and blue.

    They are of bytes, or, where a file has more bits, all of float32 from 0 to 1.

    Raises:
        FileNotFoundError: no folder, or no images in it. ValueError: a file that is no image, other channels.
    """
    if channels not in (1, 3):
        raise ValueError(f"read_images: received channels={channels!r}, expected 1 (grey) or 3 (colour)")
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{folder}: there is no such folder, or no image in it; expected files {', '.join(SUFFIXES)}")
    found = [read_image(file, channels) for file in files]
    return found if all(x.dtype == torch.uint8 for x in found) else [unit(x).float() for x in found]


def read_image(file: Path, channels: int) -> Tensor:
    """An image (channels, y, x): of bytes, or, where the file has more bits, of float32 from 0 to 1.

    Raises:
        ValueError: the file is no image, or has floating numbers.
    """
    try:
        with Image.open(file) as image:
            if image.mode == "F":
                raise ValueError(f"{file}: received an image of floating numbers, expected 8 or 16 bits; store it as .npy, about 0 to 1")
            deep = image.mode.startswith("I")  # whose conversion to 8 bits would clip
            pixels = np.array(image if deep else image.convert("L" if channels == 1 else "RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{file}: received a file that is no image ({error}), expected PNG or JPEG; remove it, or mend it") from None
    if deep and not 0 <= pixels.min() <= pixels.max() <= DEEPEST:
        raise ValueError(f"{file}: received numbers from {pixels.min()} to {pixels.max()}, expected 8 or 16 bits; store it as .npy, values "
                         "about 0 to 1")
    if deep:
        return torch.from_numpy(pixels.astype(np.float32) / np.float32(DEEPEST))[None].repeat(channels, 1, 1)
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], channels)).permute(2, 0, 1).contiguous()


def unit(x: Tensor) -> Tensor:
    """Bytes as float32 from 0 to 1; floating numbers as they are."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def as_images(given: Any) -> list[Tensor]:
    """(samples, channels, y, x), (samples, y, x) or a sequence of such images without the first axis, numpy's or torch's, as a list.

    Raises:
        ValueError: other shapes, channels that seem to come last, no images, numbers that are not finite.
    """
    found = [torch.as_tensor(x) for x in given]
    found = [x[None] if x.ndim == 2 else x for x in found]
    for i, x in enumerate(found):
        if x.ndim != 3 or len(x) != len(found[0]) or x.numel() == 0:
            raise ValueError(f"images: received image {i} of the shape {tuple(x.shape)}, expected (y, x) or (channels, y, x), of as many "
                             "channels each")
        if x.is_complex():
            raise ValueError(f"images: received complex numbers in image {i}, expected real ones; take their absolute values")
        demand_channels_first(f"images, number {i}", x.shape)
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"images: received numbers that are not finite in image {i}, expected values about 0 to 1, or bytes")
    if not found:
        raise ValueError("images: received none, expected at least one")
    return found


def demand_channels_first(name: str, shape: Sequence[int]) -> None:
    """Whether (..., channels, y, x) can be meant.

    Raises:
        ValueError: a last axis so short that it must be channels.
    """
    if len(shape) > 2 and shape[-1] <= COLOURS < shape[-2] and shape[-3] > COLOURS:
        raise ValueError(f"{name}: received the shape {tuple(shape)}, which seems to have its channels last, expected (..., channels, y, "
                         "x); move them with numpy.moveaxis(images, -1, -3)")


class Views(NamedTuple):
    """Images, each with the corner (row, column) of a patch."""

    images: tuple[Tensor, ...]
    corners: Int[Tensor, "batch 2"]


class Patches:
    """Patches of images as data: an image counts as often as patches beside each other fill it; a batch is cut by `cut` or `varied`.

    Args:
        images: of bytes, which stand for 0 to 1, or of floating numbers. side: of a patch.
        turned: whether mirrored and turned images are as likely as those that are given.

    Raises:
        ValueError: an image that is smaller than a patch, a side that is no positive whole number.
    """

    def __init__(self, images: Sequence[Tensor], side: int, turned: bool = True) -> None:
        if not isinstance(side, int) or side < 1:
            raise ValueError(f"patch: received {side!r}, expected a whole number of at least 1: the side of the patches in pixels")
        small = next((i for i, x in enumerate(images) if min(x.shape[-2:]) < side), None)
        if small is not None:
            raise ValueError(f"images: received image {small} of {tuple(images[small].shape[-2:])} pixels, expected at least {side} x "
                             f"{side}; leave it out, or train on smaller patches (patch=...)")
        self.images, self.side, self.turned = list(images), side, turned
        self.places = [(i, r, c) for i, x in enumerate(images) for r in range(0, x.shape[-2] - side + 1, side)
                       for c in range(0, x.shape[-1] - side + 1, side)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, indices: list[int], /) -> Views:
        chosen = [self.places[i] for i in indices]
        return Views(tuple(self.images[i] for i, _, _ in chosen), torch.tensor([(r, c) for _, r, c in chosen]))

    def digest(self) -> str:
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return digest_batch((self.side, self.turned, self.images))

    def cut(self, views: Views) -> Float[Tensor, "batch channels side side"]:
        """The patches themselves."""
        n = self.side
        cut = torch.stack([x[:, r : r + n, c : c + n] for x, (r, c) in zip(views.images, views.corners.tolist(), strict=True)])
        return unit(cut)

    def varied(self, views: Views, generator: np.random.Generator) -> Float[Tensor, "batch channels side side"]:
        """Patches from anywhere in the same images, mirrored and turned if such are as likely."""
        corners = [[int(generator.integers(size - self.side + 1)) for size in x.shape[-2:]] for x in views.images]
        patches = self.cut(Views(views.images, torch.tensor(corners)))
        if not self.turned:
            return patches
        turns = generator.integers(8, size=len(patches)).tolist()
        return torch.stack([torch.rot90(x.flip(-1) if k >= 4 else x, k % 4, (-2, -1)) for x, k in zip(patches, turns, strict=True)])
