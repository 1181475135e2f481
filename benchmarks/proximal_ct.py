"""Sparse-view tomography of real slices: a prior of phantoms, a prior of other slices, total variation and wavelets tuned by an oracle.

    python benchmarks/proximal_ct.py --volume matrix.dat [--seconds 90] [--angles 30] [--samples 8]

The volume is the head CT of Debian's package `invesalius-examples` (GPL-2, so it is not shipped): examples/Cranium.inv3 is a tar file,
its matrix.dat 108 slices of 256 x 256 Hounsfield units, int16. Slices 0 to 79 are for training, every third of 84 to 107 is restored.
Values are (HU + 1000)/3000; slices of 64 x 64 are means of 4 x 4 pixels, and sinograms come from the 256 x 256 pixels. Noise: one
hundredth of the largest datum. The weight of the priors is chosen on training slices, those of the classical methods on the slices
themselves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

import wellposed
from wellposed.proximal import LPN, Denoising, Inverse
from wellposed.proximal.baselines import ssim
from wellposed.proximal.phantoms import ellipses, projected
from wellposed.proximal.physics import Radon
from wellposed.proximal.restoration import Question, chosen_weight, restore

FOLDER, SIDE, SIGMA, LR, SPUN = Path("runs/benchmarks/proximal/ct"), 64, 0.1, 0.01, 2


def volume(file: Path) -> Tensor:
    """(108, 1, 256, 256), values about 0 to 1."""
    units = np.fromfile(file, "<i2").reshape(108, 1, 256, 256).astype(float)
    return torch.from_numpy((units + 1000) / 3000)


def asked(fine: Tensor, angles: int, seed: int) -> Question:
    radon = Radon(SIDE, angles)
    data = projected(radon, fine)
    noise = 0.01 * float(data.max())
    measured = data + noise * torch.from_numpy(np.random.default_rng(seed).standard_normal(data.shape))
    return Question(Inverse(radon, measured, noise), small(fine))


def small(slices: Tensor) -> Tensor:
    """Means over squares: SIDE pixels a side."""
    return avg_pool2d(slices, slices.shape[-1] // SIDE)


def trained(name: str, images: Tensor, seconds: float, bounded: bool = True) -> LPN:
    torch.manual_seed(0)
    place = FOLDER / f"{name}{'' if bounded else '-plain'}-{seconds:g}"
    model = LPN.convolutional(1, 64, sigma=SIGMA)
    wellposed.train(model, Denoising(images, SIGMA), bounded=bounded, seconds=seconds, lr=LR, threads=1, quiet=True, folder=place)
    return LPN.load(place)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volume", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--angles", type=int, default=30)
    parser.add_argument("--samples", type=int, default=8)
    o = parser.parse_args()
    torch.set_num_threads(1)
    slices = volume(o.volume)
    known, unseen = (asked(x, o.angles, seed) for seed, x in enumerate((slices[4:76:9], slices[84::3][: o.samples])))
    priors = {"prior of slices": small(slices[:80]), "prior of phantoms": ellipses(SIDE, 512)}
    for name, images in priors.items():
        model = trained(name.split()[-1], images, o.seconds)
        found = restore(model.spun(SPUN), "CT", unseen, chosen_weight(model, known))
        print(f"{name}: weight {found.weight:.3g}", flush=True)
        for start in found.starts:
            image = start.run.image
            print(f"  from {start.name:<16} {found.psnr(image):.2f} dB, ssim {float(ssim(image, unseen.truth).mean()):.3f}, "
                  f"{start.steps:.0f} steps, {start.reached} of {o.samples} within 1e-5, {start.seconds:.1f} s", flush=True)
    for kind, best in found.classical.items():
        print(f"{kind}: {best.psnr:.2f} dB, ssim {float(ssim(best.image, unseen.truth).mean()):.3f}")


if __name__ == "__main__":
    main()
