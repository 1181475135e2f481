"""``wellposed train proximal``: a learned proximal network on a user's own images."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from wellposed.cli.imaging_recipe import demand_filters
from wellposed.cli.main import program

if TYPE_CHECKING:
    from torch import Tensor

LOOK = 16


@dataclass
class TrainProximal:
    """Train a learned proximal network to remove noise from your own images: it is the exact prox of a prior that it learns by that.

    Images of any sizes; patches of them get fresh noise in each step.
    """

    images: str
    """A folder with PNG or JPEG files, or an .npy or .npz FILE ("images", "x"), (samples, y, x) or (samples, channels, y, x), 0 to 1."""
    colour: bool = False
    """Read the files of a folder in colour, as three channels; grey by default."""
    sigma: float = 0.1
    """Standard deviation of the noise, for values 0 to 1."""
    loss: Literal["matching", "l2", "l1"] = "matching"
    """Proximal matching, which tends to the prior's own prox; or the mean square, or the absolute value."""
    seconds: float | None = None
    """How long to train; 60 where neither this nor --epochs nor --steps is given."""
    epochs: int | None = None
    """Passes over the data, instead of --seconds."""
    steps: int | None = None
    """Steps of the optimizer, instead of --seconds."""
    width: int = 32
    """Pairs of filters of each layer."""
    depth: int = 2
    """Layers; one has a certified Lipschitz constant."""
    kernel: int = 8
    """Side of the filters, in pixels."""
    stride: int = 4
    """Pixels from one place of the filters to the next, at most --kernel."""
    patch: int | None = None
    """Side of the patches that are trained on; 48, or the smallest side of the images."""
    bounded: bool = True
    """Keep the prior from falling without end far from images, which what is not measured would follow; it costs 0.1 to 0.3 dB."""
    turned: bool = True
    """Mirror and turn patches at random: the prior then does not know which side is up."""
    validation: float = 0.1
    """Part of the images that is not trained on."""
    batch: int | None = None
    """Patches per step; by default what the room found to be good."""
    lr: float | None = None
    """The largest learning rate; by default what the room found to be good."""
    seed: int = 0
    """Of the weights, of the part for validation, and of the order and noise."""
    threads: int = 1
    """That torch may use."""
    out: Path = Path("runs/proximal")
    """The run folder; the same command again goes on where it was stopped."""
    anew: bool = False
    """Delete the run that is in the folder and start again."""


def main(arguments: list[str]) -> int:
    return train(tyro.cli(TrainProximal, args=arguments, prog="wellposed train proximal"))


def train(o: TrainProximal) -> int:
    _demand(o)
    import torch

    from wellposed.cli.denoise import loss_of
    from wellposed.cli.imaging_data import load_images_of
    from wellposed.cli.run import telling_options
    from wellposed.proximal import LPN
    from wellposed.proximal.denoising import IMAGES, PATCH, Denoising, denoising_objective
    from wellposed.training import train as train_model

    torch.set_num_threads(o.threads)
    data, unseen = _split(load_images_of(o.images, 3 if o.colour else 1), o)
    channels, side = len(data[0]), o.patch or min(PATCH, *(n for x in data for n in x.shape[-2:]))
    print(f"{len(data):,} images with {channels} channel{'s' * (channels > 1)}, patches of {side} x {side}, to train on; {len(unseen):,} "
          f"more for validation; noise {o.sigma:g}, loss {o.loss}")
    given = {k: v for k in ("batch", "lr") if (v := getattr(o, k)) is not None} | {"seed": o.seed, "threads": o.threads}
    length = {k: v for k in ("seconds", "epochs", "steps") if (v := getattr(o, k)) is not None} or {"seconds": 60.0}
    with telling_options():
        torch.manual_seed(o.seed)
        model = LPN.convolutional(channels, o.width, o.depth, kernel=o.kernel, stride=o.stride, sigma=o.sigma)
        objective = denoising_objective(Denoising(data, o.sigma), model, loss=loss_of(o.loss, channels * side**2), patch=side,
                                        bounded=o.bounded, turned=o.turned)
        run = train_model(model, objective, folder=o.out, resume=not o.anew, **{**IMAGES, **given, **length})
    print(f"\n{_judged(run.model, unseen or data, o, bool(unseen))}\n{_proved(run.model, o.out)}\n\n{_next(o)}")
    return 0


def _demand(o: TrainProximal) -> None:
    """Numbers out of range, before anything is read."""
    least = {"threads": 1, "width": 1, "depth": 1, "kernel": 1, "stride": 1, "patch": 1}
    for name, value in least.items():
        given = getattr(o, name)
        if given is not None and given < value:
            raise ValueError(f"--{name}: received {given}, expected at least {value}")
    demand_filters(o.kernel, o.stride, o.sigma)


def _split(images: list[Tensor], o: TrainProximal) -> tuple[list[Tensor], list[Tensor]]:
    """What to train on, and what not."""
    import numpy as np

    if not 0 <= o.validation < 1:
        raise ValueError(f"--validation: received {o.validation}, expected a part of the images from 0 to below 1")
    count = min(round(o.validation * len(images)), len(images) - 1)
    order = np.random.default_rng([o.seed, 2**32]).permutation(len(images)).tolist()
    return [images[k] for k in sorted(order[count:])], [images[k] for k in sorted(order[:count])]


def _judged(model: Any, images: list[Tensor], o: TrainProximal, unseen: bool) -> str:
    """How well it denoises."""
    import torch

    from wellposed.cli.imaging_data import noisy
    from wellposed.proximal.baselines import psnr

    some = [x[None].double() for x in images[:LOOK]]
    pairs = [(x, noisy(x, o.sigma, o.seed + k)) for k, x in enumerate(some)]
    with torch.no_grad():
        before, after = (sum(float(psnr(f(y), x)) for x, y in pairs) / len(pairs) for f in (lambda y: y, model.doubled()))
    where = "that it was not trained on" if unseen else "that it was trained on"
    return f"on {len(some)} images {where}: {before:.2f} dB with noise, {after:.2f} dB denoised"


def _proved(model: Any, out: Path) -> str:
    """That the network is the exact prox of a prior, as a certificate in the run folder."""
    from wellposed.proximal.network_claims import certify_network
    from wellposed.training.folder import WEIGHTS, add_to_run

    certificate = certify_network(model, weights=(out / WEIGHTS).read_bytes())
    add_to_run(out, certificate=certificate)
    return f"that it is the exact prox of a prior, as stored: {certificate.headline}"


def _next(o: TrainProximal) -> str:
    call, out = program(), str(o.out)
    words = ["refine", "image", "--model", out, "--measurement", "FILE", "--physics", "mask", "--mask", "FILE", "--noise", "0.02"]
    return "\n".join([
        f"the run folder is {out}. Next:", f"  {call} {shlex.join(['check', out])}",
        f"  {call} {shlex.join(['certify', 'prox', '--run', out])}", "with images and measurements of yours:",
        f"  {call} {shlex.join(['certify', 'prior', '--run', out, '--image', 'FILE'])}",
        f"  {call} {shlex.join(words)}", "or in Python:", "  from wellposed.proximal import LPN", f"  model = LPN.load({out!r})",
        "  model(noisy), model.prior(image), model.inverse(image)      # (batch, channels, y, x)"])
