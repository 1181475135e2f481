"""The images of a recipe, those to train on and those that are unseen, and measurements of the latter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wellposed.cli.imaging_recipe import Asked, ImagingRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from wellposed.proximal.restoration import Question

UNSEEN_SEED, SCALE_SEED, NOISE_SEED = 1_000_003, 2_000_003, 3_000_017  # away from those of the training
TRAINED, KNOWN, CALIBRATION = 1397, 8, 4
EVERY, LEAST = 10, 40
LARGE = 10.0


class Images(NamedTuple):
    """Values about 0 to 1. `train`: a sequence of images (channels, y, x). `known`, some of them, and `unseen`: (images, channels, y, x) in
    float64."""

    train: Any
    known: Tensor
    unseen: Tensor


def images(recipe: ImagingRecipe) -> Images:
    """What is trained on and what is not, always the same for the same recipe."""
    import torch

    from wellposed.numerics.digits import load_images

    if recipe.images == "digits":
        whole = torch.from_numpy(load_images()[0] / 16)[:, None]
        order = np.random.default_rng(0).permutation(len(whole))
        return Images(whole[order[:TRAINED]], whole[order[:KNOWN]], whole[order[TRAINED:]])
    if recipe.images == "ellipses":
        from wellposed.proximal.phantoms import ellipses

        drawn = ellipses(recipe.size, recipe.samples, recipe.seed)
        return Images(drawn, drawn[:KNOWN], ellipses(recipe.size, recipe.unseen, UNSEEN_SEED + recipe.seed))
    return _from_files(recipe)


def noisy(clean: Any, sigma: float, seed: int) -> Any:
    """With white noise, the same for the same seed."""
    import torch

    noise = np.random.default_rng([NOISE_SEED, seed]).standard_normal(tuple(clean.shape))
    return clean + sigma * torch.from_numpy(noise)


def question(recipe: ImagingRecipe, asked: Asked, held: Any, seed: int, samples: int) -> Question:
    """Measurements of `held`, or of phantoms drawn with `seed`, on a finer grid than the one that will be inverted."""
    from wellposed.proximal.phantoms import ellipses, simulate
    from wellposed.proximal.physics import Radon
    from wellposed.proximal.problem import Inverse
    from wellposed.proximal.restoration import Question

    if asked.kind != "radon":
        truth, made = held[:samples], physics(asked, held.shape[1:])
        return Question(Inverse(made, _measured(made, truth, asked.noise, seed), asked.noise), truth)
    radon = Radon(recipe.size, asked.angles)
    size = float(radon.A(ellipses(recipe.size, CALIBRATION, SCALE_SEED)).max())
    truth, data = simulate(radon, samples, seed, asked.noise * size)
    return Question(Inverse(radon, data, asked.noise * size), truth)


def _measured(made: Any, truth: Any, noise: float, seed: int) -> Any:
    """With noise, but none where nothing is measured."""
    import torch

    y = noisy(made.A(truth), noise, seed)
    if not hasattr(made, "mask"):
        return y
    kept = torch.from_numpy(made.mask != 0)
    return torch.where(kept if y.shape[1:] == truth.shape[1:] else kept[..., None], y, 0.0)


def physics(asked: Asked, shape: Any) -> Any:
    """On images (channels, y, x)."""
    from wellposed.proximal.physics import Blur, FourierMask, Mask, RandomConvolution, gaussian

    shape, rng = tuple(shape), np.random.default_rng(0)
    if asked.kind == "blur":
        return Blur(gaussian(asked.width, min(shape[-2:])), shape)
    if asked.kind == "random-convolution":
        return RandomConvolution(shape, asked.keep)
    pixels = shape[-2] * shape[-1]
    mask = np.zeros(pixels)
    mask[rng.permutation(pixels)[: max(1, round(asked.keep * pixels))]] = 1.0
    mask = mask.reshape(shape[-2:])
    if asked.kind == "mask":
        return Mask(mask, shape[0])
    mask[0, 0] = 1.0  # the mean
    return FourierMask(mask, shape[0])


def _from_files(recipe: ImagingRecipe) -> Images:
    """A tenth of the images is not trained on; squares of `size` pixels are cut from the middles."""
    held = load_images_of(recipe.images)
    train, unseen = [x for k, x in enumerate(held) if k % EVERY], held[::EVERY]
    small = next((x for x in held if min(x.shape[-2:]) < recipe.size), None)
    if small is not None:
        raise ValueError(f"--size: received {recipe.size}, expected at most {min(small.shape[-2:])}, the side of one of {recipe.images}")
    if len(unseen) < LEAST:
        raise ValueError(f"--images: received {len(held)} images in {recipe.images}, expected at least {EVERY * (LEAST - 1) + 1}, of "
                         "which a tenth is kept to test with; to train on fewer use: wellposed train proximal")
    return Images(train, _middles(train[:KNOWN], recipe.size), _middles(unseen, recipe.size))


def _middles(images: list[Tensor], size: int) -> Tensor:
    import torch

    corners = [((x.shape[-2] - size) // 2, (x.shape[-1] - size) // 2) for x in images]
    return torch.stack([x[:, i : i + size, j : j + size] for x, (i, j) in zip(images, corners, strict=True)]).double()


def load_images_of(place: str, channels: int = 1) -> list[Tensor]:
    """Images (channels, y, x) of a folder of PNG or JPEG files, or of an .npy or .npz file; floating, about 0 to 1.

    Raises:
        FileNotFoundError: no such folder or file, or nothing in it. ValueError: files that are no images, arrays that are none.
    """
    import torch

    from wellposed.numerics.files import load_array
    from wellposed.proximal.images import as_images, read_images

    if not Path(place).exists():
        raise FileNotFoundError(f"--images: there is no {place}; expected a folder of PNG or JPEG files, or an .npy or .npz file")
    if Path(place).is_dir():
        found = read_images(place, channels)
    else:
        given = load_array(place, "images", "image", "x")
        found = as_images(given if given.ndim > 2 else given[None])
    return [torch.from_numpy(demand_images(place, x.numpy())).float() for x in found]


def is_picture(file: str) -> bool:
    """By its ending."""
    from wellposed.proximal.images import SUFFIXES

    return Path(file).suffix.lower() in SUFFIXES


def load_picture(file: str, channels: int | None) -> Tensor:
    """A PNG or JPEG file as an image (channels, y, x), of bytes or 0 to 1; grey unless a network takes three channels.

    Raises:
        FileNotFoundError: no such file. ValueError: no image.
    """
    from wellposed.proximal.images import read_image

    if not Path(file).is_file():
        raise FileNotFoundError(f"there is no file {file}; expected a picture, or .npy or .npz")
    return read_image(Path(file), 3 if channels == 3 else 1)


def demand_images(file: str, x: np.ndarray) -> np.ndarray:
    """Images in float64, about 0 to 1, for which bytes stand.

    Raises:
        ValueError: other values, channels that seem to come last.
    """
    from wellposed.proximal.images import demand_channels_first

    demand_channels_first(file, x.shape)
    found = x.astype(float) / (255 if x.dtype == np.uint8 else 1)
    if not np.isfinite(found).all():
        raise ValueError(f"{file}: received numbers that are not finite, expected values about 0 to 1, or bytes; mask or replace them")
    largest = float(np.abs(found).max(initial=0))
    if largest > LARGE:
        raise ValueError(f"{file}: received values up to {largest:.4g}, expected about 0 to 1, or bytes; divide them by the value of white")
    return found


def tell(file: str, what: str, x: Any) -> None:
    """What was read: three channels that are taken for three images, or values of another scale, would show here."""
    print(f"{file}: {len(x):,} {what}{'s' * (len(x) != 1)}, each {' x '.join(map(str, x.shape[1:]))}, from {float(x.min()):.3g} to "
          f"{float(x.max()):.3g}")
