"""Recipes of images: what is trained on, and which measurements are asked of it. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from wellposed.cli.tables import known, names, parsed, tables

SHIPPED = ("denoise", "ct")
OURS = ("digits", "ellipses")
ELSEWHERE = ("out", "threads", "anew")


@dataclass(frozen=True)
class Asked:
    """Measurements of unseen images, to be inverted with the trained prior."""

    name: str
    kind: Literal["blur", "mask", "radon", "random-convolution", "fourier-mask"]
    width: float = 1.0
    """Of a blur, its standard deviation in pixels."""
    keep: float = 0.5
    """Part of the pixels, coefficients or numbers that is measured."""
    angles: int = 30
    """Of tomography, equally spaced."""
    noise: float = 0.02
    """Standard deviation; of tomography, in parts of the largest number of sinograms."""
    samples: int = 16
    """Unseen images."""


@dataclass(frozen=True)
class ImagingRecipe:
    """Train a learned proximal network on noisy images, and on unseen ones: certify it, denoise, compare priors, reconstruct, report.

    The same command again goes on from where it was stopped, or shows what there is.
    """

    seconds: float | None = 60.0
    """Of training: the dial. How many steps fit is measured first."""
    steps: int | None = None
    """Of training, instead of --seconds."""
    images: str = "digits"
    """What is trained on: digits, ellipses, or a folder of PNG or JPEG files, or an .npy or .npz file of images."""
    sigma: float = 0.1
    """Standard deviation of the noise of the training, for values 0 to 1."""
    size: int = 64
    """Pixels of a side, of ellipses and of what is cut from files."""
    samples: int = 512
    """Ellipses to train on."""
    unseen: int = 400
    """Ellipses to test with; of files a tenth is kept for that."""
    shown: int = 64
    """So many unseen images are compared with classical denoisers, and have their prior enclosed."""
    tol: float = 1e-5
    """What is asked of |grad F| of each reconstruction, Euclidean."""
    level: float = 0.9
    """Of the conformal sets."""
    algorithm: Literal["pgd", "admm", "hqs"] = "pgd"
    """Of the reconstructions."""
    seed: int = 0
    """Of the weights, the order and the noise."""
    out: Path = Path("runs/denoise")
    """The run folder."""
    threads: int = 1
    """That torch may use."""
    anew: bool = False
    """Delete the run that is in the folder and start again."""
    width: int = 32
    """Pairs of filters of each layer."""
    depth: int = 2
    """Layers; one has a certified Lipschitz constant."""
    kernel: int = 8
    """Of the filters."""
    stride: int = 4
    """Of the filters."""
    spun: int | None = None
    """In reconstructions average the prox over shifts by so many pixels, a divisor of --stride: an exact prox too, better, and slower."""
    loss: Literal["matching", "l1", "l2"] = "matching"
    """Proximal matching, or what finds the median or the mean."""
    bounded: bool = True
    """Keep the prior from falling without end far from images, which what is not measured would follow."""
    turned: bool = True
    """Mirror and turn images at random while training."""
    batch: int | None = None
    """Images per step; by default what the room found to be good."""
    lr: float | None = None
    """The largest learning rate; by default what the room found to be good."""
    title: Annotated[str, tyro.conf.Suppress] = "denoise"
    asked: Annotated[tuple[Asked, ...], tyro.conf.Suppress] = ()

    def __post_init__(self) -> None:
        least = {"size": 8, "samples": 2, "unseen": 40, "shown": 2, "threads": 1, "width": 1, "depth": 1, "kernel": 1, "stride": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"--{name}: received {getattr(self, name)}, expected at least {value}")
        if not 0 < self.tol < float("inf"):
            raise ValueError(f"--tol: received {self.tol}, expected a positive number")
        demand_filters(self.kernel, self.stride, self.sigma)
        if self.spun is not None and (self.spun < 1 or self.stride % self.spun):
            raise ValueError(f"--spun: received {self.spun}, expected a divisor of --stride, {self.stride}")
        if not 0.5 <= self.level <= 0.95:
            raise ValueError(f"--level: received {self.level}, expected a part from 0.5 to 0.95 of the images, such as 0.9")
        for asked in self.asked:
            _demand(asked, self.images)

    @property
    def length(self) -> dict[str, Any]:
        """The one length that training takes: steps where they are given."""
        return {"seconds": self.seconds} if self.steps is None else {"steps": self.steps}

    @property
    def settings(self) -> dict[str, Any]:
        """Of training, as far as they are given."""
        given = {"batch": self.batch, "lr": self.lr, "seed": self.seed, "threads": self.threads, **self.length}
        return {name: value for name, value in given.items() if value is not None}

    def table(self) -> dict[str, Any]:
        """The table [recipe] of config.toml: what was asked for, resolved; not where, nor on how many threads."""
        left = {k: v for k, v in asdict(self).items() if k not in (*ELSEWHERE, *(("seconds",) if self.steps else ()))}
        return left | {"asked": list(left["asked"])}


def demand_filters(kernel: int, stride: int, sigma: float) -> None:
    """What `LPN.convolutional` asks of its options, said as the command line names them."""
    if stride > kernel:
        raise ValueError(f"--stride: received {stride} with --kernel {kernel}, expected at most the kernel: every pixel must be seen")
    if not 0 < sigma < float("inf"):
        raise ValueError(f"--sigma: received {sigma}, expected a positive number: the standard deviation of the noise, for values 0 to 1")


def _demand(asked: Asked, images: str) -> None:
    where = f"recipe, [[asked]] {asked.name!r}: received"
    if asked.samples < 1 or not asked.noise > 0 or not 0 < asked.keep <= 1 or not asked.width > 0 or asked.angles < 1:
        raise ValueError(f"{where} samples = {asked.samples}, noise = {asked.noise}, keep = {asked.keep}, width = {asked.width}, angles = "
                         f"{asked.angles}; expected at least 1 sample and angle, positive noise and width, and a part of at most 1")
    if asked.kind == "radon" and images != "ellipses":
        raise ValueError(f"{where} kind = 'radon' with images = {images!r}, expected ellipses, which can be drawn on a finer grid to "
                         "simulate the data; invert sinograms of your own with: wellposed refine image")


def of_images(name: str) -> bool:
    """Whether a recipe, that ships or of a file, is one of images: those name them."""
    return name in SHIPPED or names(name, "images")


def read_imaging_recipe(name: str) -> ImagingRecipe:
    """The recipe that ships under this name, or of a file ending in .toml with an entry `images`.

    Raises:
        ValueError: a file that is not such a recipe; the entry is named.
    """
    ships = name in SHIPPED
    text = files("wellposed").joinpath(f"proximal/recipes/{name}.toml").read_text("utf-8") if ships else Path(name).read_text("utf-8")
    given = parsed(text, name)
    asked = tables(Asked, given.pop("asked", []), name, "asked")
    table = {"title": Path(name).stem, "out": Path("runs") / Path(name).stem, **known(ImagingRecipe, given, name)}
    return ImagingRecipe(**table | {"out": Path(table["out"]), "asked": asked})
