"""What does a certified Lipschitz constant cost? One layer, which has one, beside two layers, which have none, trained equally long.

    python benchmarks/proximal_lipschitz.py [--seconds 120] [--test 68] [--photographs ../shared/data/photographs.tar.gz]

Grey photographs, noise 25/255: patches of the 400 images to train on, and whole images of Set68. The bound must be at most 10 times the
largest slope that power iteration finds at patches of the test images, noisy and clean, and the loss at most .3 dB. "Pairs" is one layer
whose filters are exact pairs ±h. Networks are kept in runs/benchmarks/proximal/lipschitz. Exits 1 if it falls short.
"""

from __future__ import annotations

import argparse
import math
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib import image
from torch import Tensor, nn

import wellposed
from wellposed.proximal import LPN
from wellposed.proximal.lipschitz import lipschitz
from wellposed.training.losses import supervised
from wellposed.training.objectives import Objective

RUNS = Path("runs/benchmarks/proximal/lipschitz")
SIGMA, SIDE, BATCH, WIDTH, FACTOR, LOSS = 25 / 255, 48, 16, 64, 10.0, 0.3


class Pairs(nn.Module):
    """Filters h and -h of half as many parameters."""

    def forward(self, half: Tensor) -> Tensor:
        return torch.cat([half, -half])

    def right_inverse(self, skip: Tensor) -> Tensor:
        return skip[: len(skip) // 2]


def built(name: str) -> LPN:
    torch.manual_seed(0)
    model = LPN.convolutional(1, width=WIDTH, depth=2 if name == "two layers" else 1, sigma=SIGMA)
    if name == "pairs":
        nn.utils.parametrize.register_parametrization(model.net.ordered()[0], "skip", Pairs())
    return model


def read(archive: Path, part: str) -> list[Tensor]:
    """Grey images (y, x), from 0 to 1."""
    with tarfile.open(archive) as tar:
        files = sorted((m for m in tar.getmembers() if m.name.startswith(part + "/") and m.isfile()), key=lambda m: m.name)
        images = [torch.from_numpy(image.imread(tar.extractfile(m), format=Path(m.name).suffix[1:])).float() for m in files]
    return [x / 255 if float(x.max()) > 1 else x for x in images]


def patches(images: list[Tensor]) -> Callable[[int, int], tuple[Tensor, Tensor]]:
    """Batches (noisy, clean) that depend on (step, seed) alone."""
    def drawn(step: int, seed: int) -> tuple[Tensor, Tensor]:
        g = torch.Generator().manual_seed(10**7 * seed + step)
        cut = []
        for k in torch.randint(len(images), (BATCH,), generator=g).tolist():
            i, j = (int(torch.randint(n - SIDE + 1, (1,), generator=g)) for n in images[k].shape)
            cut.append(images[k][None, i : i + SIDE, j : j + SIDE])
        clean = torch.stack(cut)
        return clean + SIGMA * torch.randn(clean.shape, generator=g), clean

    return drawn


@torch.no_grad()
def psnr(model: LPN, images: list[Tensor]) -> float:
    g, found = torch.Generator().manual_seed(1), 0.0
    for x in images:
        noisy = x + SIGMA * torch.randn(x.shape, generator=g)
        found -= 10 * math.log10(float((model(noisy[None, None])[0, 0] - x).square().mean())) / len(images)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--test", type=int, default=68)
    parser.add_argument("--photographs", type=Path, default=Path("../shared/data/photographs.tar.gz"))
    o = parser.parse_args()
    torch.set_num_threads(1)
    training, test = read(o.photographs, "train"), read(o.photographs, "Set68")[: o.test]
    noisy, clean = patches(test)(0, 1)
    decibels, good = {}, False
    print(f"{'network':<12}{'dB':>8}{'proved <=':>12}{'measured >=':>13}{'ratio':>8}  R is weakly convex")
    for name in ("two layers", "one layer", "pairs"):
        model = built(name)
        wellposed.train(model, Objective(supervised("mse"), sample_on_the_fly=patches(training), name="photographs"), seconds=o.seconds,
                        lr=3e-3, clip=0.1, threads=1, quiet=True, folder=RUNS / f"{name.replace(' ', '-')}-{o.seconds:g}")
        decibels[name], found = psnr(model, test), lipschitz(model, torch.cat([noisy, clean, noisy.flip(0) - 0.5]))
        proved = "none" if found.upper is None else f"{found.upper:.3f}"
        ratio = math.inf if found.upper is None else found.upper / found.lower
        good |= name == "one layer" and ratio <= FACTOR and decibels["two layers"] - decibels[name] <= LOSS
        print(f"{name:<12}{decibels[name]:>8.2f}{proved:>12}{found.lower:>13.3f}{ratio:>8.2f}  {found.weak_convexity:.3f}", flush=True)
    print(f"bound at most {FACTOR:g} times what is measured, at {LOSS} dB or less: {'holds' if good else 'falls short'}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
