"""Denoising of photographs at sigma 25 by an exact prox: trained for ten minutes on 400 images, tested on the 68 of the usual benchmark.

    python benchmarks/proximal_photographs.py --archive photographs.tar.gz [--seconds 600 | --steps 9600] [--threads 2] [--bounded]

Beside the network stands its average over shifts by two pixels (`LPN.spun`), an exact prox too. --bounded penalises growth at infinity, as
training does where nobody says otherwise: it is for priors, and costs some of the PSNR of a mere denoiser. The same call goes on where a
run was stopped. Noise of the test is drawn from the number of the image; PSNR is that of whole images, the mean over images, of answers
that are not clipped and of answers clipped to 0 to 1. What others reach is recalled from their papers, not measured here.
"""

from __future__ import annotations

import argparse
import tarfile
from pathlib import Path

import numpy as np
import torch

import wellposed
from wellposed.proximal import LPN
from wellposed.proximal.denoising import Denoising
from wellposed.proximal.growth import growth
from wellposed.proximal.images import read_images

FOLDER = Path("runs/benchmarks/proximal/photographs")
PUBLISHED = {"BM3D": 28.57, "DnCNN": 29.23}


def extracted(archive: Path, place: Path) -> Path:
    """The folder of the images, extracted once."""
    if not (place / "complete").is_file():
        with tarfile.open(archive) as file:
            file.extractall(place, filter="data")
        (place / "complete").touch()
    return place


def psnr(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float(-10 * torch.log10((found - truth).square().mean()))


@torch.no_grad()
def tested(model: LPN, folder: Path, sigma: float) -> np.ndarray:
    """Of each image the PSNR of the noisy one, of the answer, and of the clipped answer, (images, 3)."""
    rows = []
    for i, image in enumerate(read_images(folder)):
        x = image[None].float() / 255
        y = x + sigma * torch.from_numpy(np.random.default_rng(i).standard_normal(x.shape, np.float32))
        f = model(y)
        rows.append([psnr(y, x), psnr(f, x), psnr(f.clamp(0, 1), x)])
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, default=Path("../shared/data/photographs.tar.gz"))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--steps", type=int, default=None, help="instead of seconds: what they hold on an idle machine")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bounded", action="store_true")
    parser.add_argument("--sigma", type=float, default=25.0, help="of 255")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=2)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    data, sigma = extracted(o.archive, FOLDER.parent / "images"), o.sigma / 255
    torch.manual_seed(0)
    model = LPN.convolutional(1, o.width, o.depth, sigma=sigma)
    length = {"seconds": o.seconds} if o.steps is None else {"steps": o.steps}
    place = FOLDER / f"{o.width}-{o.depth}-{o.sigma:g}-{o.steps or o.seconds:g}{'-bounded' if o.bounded else ''}"
    run = wellposed.train(model, Denoising(data / "train", sigma), bounded=o.bounded, threads=o.threads, report_every=100, folder=place,
                          quiet=True, **length)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {run.steps} steps in {run.seconds:.0f} s on {o.threads} threads; "
          f"growth at infinity {float(growth(run.model, torch.randn(1, 1, 64, 64)).detach()[0]):.3f}")
    for name in ("Set68", "Set12"):
        for what, prox in (("the network", run.model), ("over shifts", run.model.spun(2))):
            noisy, answer, clipped = tested(prox, data / name, sigma).mean(0)
            print(f"{name}, sigma {o.sigma:g}, {what}: noisy {noisy:.2f} dB, answer {answer:.2f} dB, clipped {clipped:.2f} dB", flush=True)
    if o.sigma == 25:
        print("published for Set68, sigma 25, recalled: " + ", ".join(f"{name} {dB:.2f} dB" for name, dB in PUBLISHED.items()))


if __name__ == "__main__":
    main()
