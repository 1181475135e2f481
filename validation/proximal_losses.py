"""Which loss should a proximal network learn with? The mean square, the absolute value and proximal matching, for the same time each.

    python validation/proximal_losses.py [--seconds 60] [--archive photographs.tar.gz]

On laws of one dimension: the mean over the density of y of |f(y) - prox(y)|, beside the floor of each loss, which is found by quadrature
and is what perfect training would leave, and the error of the recovered prior after the best constant. On photographs at sigma 25:
PSNR on whole images of Set12; the weight exp(-|r|²/γ²) that matching gives to the residual of a patch, near 1 where it is the mean
square in all but name; and in how many of 32 patches the learned prior puts the clean one below its noisy and its blurred copy.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import wellposed
from wellposed.proximal import LPN
from wellposed.proximal.denoising import Denoising
from wellposed.proximal.floors import floor, up_to_constant
from wellposed.proximal.images import Patches, read_images
from wellposed.proximal.laws import GaussianMixture, Laplace, Law, StudentT
from wellposed.proximal.proximal_matching import ProximalMatching

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
from proximal_laws import line
from proximal_photographs import extracted, tested

FOLDER = Path("runs/validation/proximal")
LAWS: dict[str, tuple[Law, float]] = {"laplace": (Laplace(), 8.0), "mixture": (GaussianMixture(), 8.0), "student": (StudentT(), 20.0)}
SIDE, SIGMA = 48, 25 / 255
GRID = torch.linspace(-3, 3, 121, dtype=torch.float64)


def named(loss: Any) -> str:
    return loss if isinstance(loss, str) else f"matching {loss.gamma:.3g}"


def on_laws(seconds: float, seed: int) -> None:
    """A row for each law and loss, at σ = 1."""
    print(f"laws of one dimension, sigma 1, {seconds:g} s each\n{'law':<9}{'loss':<14}{'error':>8}{'floor':>8}{'prior':>8}")
    for name, (law, far) in LAWS.items():
        y = line(far)
        for loss in ("l2", "l1", ProximalMatching(0.5), ProximalMatching(0.1)):
            torch.manual_seed(seed)
            model = LPN(1)
            wellposed.train(model, Denoising(law, 1.0), loss=loss, seconds=seconds, seed=seed, quiet=True, threads=1,
                            folder=FOLDER / f"{name}-{named(loss)}-{seed}-{seconds:g}")
            best, own = floor(law, 1.0, loss if isinstance(loss, str) else loss.gamma, y), model.doubled()
            with torch.no_grad():
                error = best.mean(own(y[:, None])[:, 0])
            found = own.prior(GRID[:, None])
            prior = up_to_constant(0.5 * (found.lower + found.upper), law.negative_log_density(GRID))
            print(f"{name:<9}{named(loss):<14}{error:>8.4f}{best.mean():>8.4f}{prior:>8.3f}", flush=True)


def on_photographs(folder: Path, seconds: float, seed: int) -> None:
    """A row for each loss."""
    print(f"photographs, sigma 25, {seconds:g} s each\n{'loss':<16}{'PSNR':>7}{'weight':>8}{'below noisy':>13}{'below blurred':>15}")
    for loss in ("l2", "l1", ProximalMatching(0.08 * SIDE), ProximalMatching(0.03 * SIDE)):
        torch.manual_seed(seed)
        model = LPN.convolutional(1, 64, sigma=SIGMA)
        wellposed.train(model, Denoising(folder / "train", SIGMA), loss=loss, seconds=seconds, seed=seed, quiet=True, threads=1, patch=SIDE,
                        folder=FOLDER / f"photographs-{named(loss)}-{seed}-{seconds:g}")
        dB = tested(model.eval(), folder / "Set12", SIGMA).mean(0)[1]
        weight = float(np.exp(-(10 ** (-dB / 10)) * SIDE**2 / loss.gamma**2)) if isinstance(loss, ProximalMatching) else math.nan
        noisy, blurred = ordered(model, folder / "Set12")
        print(f"{named(loss):<16}{dB:>7.2f}{weight:>8.2f}{noisy:>13.0%}{blurred:>15.0%}", flush=True)


def ordered(model: LPN, folder: Path, count: int = 32) -> tuple[float, float]:
    """The parts of patches whose prior is surely below that of the noisy and of the blurred copy."""
    patches = Patches(read_images(folder), SIDE)
    x = patches.cut(patches[np.linspace(0, len(patches) - 1, count).astype(int).tolist()]).double()
    noisy = x + SIGMA * torch.from_numpy(np.random.default_rng(0).standard_normal(x.shape))
    t = torch.arange(-4, 5, dtype=torch.float64)
    g = torch.exp(-0.5 * t.square())
    kernel = torch.outer(g, g) / g.sum() ** 2
    blurred = functional.conv2d(functional.pad(x, (4, 4, 4, 4), mode="reflect"), kernel[None, None])
    clean, *others = (model.prior(each, 1e-6) for each in (x, noisy, blurred))
    one, other = (float((clean.upper < each.lower).double().mean()) for each in others)
    return one, other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--archive", type=Path, default=Path("../shared/data/photographs.tar.gz"))
    parser.add_argument("--only", choices=("laws", "photographs"))
    o = parser.parse_args()
    torch.set_num_threads(1)
    if o.only != "photographs":
        on_laws(o.seconds, o.seed)
    if o.only != "laws":
        on_photographs(extracted(o.archive, Path("runs/benchmarks/proximal/images")), o.seconds, o.seed)


if __name__ == "__main__":
    main()
