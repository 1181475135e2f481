"""Deblurring and compressed sensing: the certified prior, the same network trained as a plain denoiser, total variation, wavelets.

    python benchmarks/proximal_inverse.py --prior FOLDER --denoiser FOLDER [--archive photographs.tar.gz] [--images 4] [--side 64]
    python benchmarks/proximal_inverse.py --volume matrix.dat [--images 4] [--seconds 90]

Pieces of the 68 test photographs, or CT slices (see proximal_ct.py) with networks that are trained on others. Gaussian blur of 1 and 2
pixels with noise .02 and .04; random convolution with 1/4 and 1/16 of pixels kept, noise .01. The weights of all methods are those with
which they come nearest to the truth, over the same grid: what each could do at best. "certified" counts images whose certificate holds: a
stationary point to 1e-5, each step within the theorem, to 5e-10. Steps are those from the Tikhonov start and from zero. Networks for
photographs: benchmarks/proximal_photographs.py with and without --bounded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from proximal_ct import small, trained, volume
from proximal_photographs import FOLDER, extracted
from proximal_prior import pieces
from torch import nn

from wellposed.proximal import LPN, Inverse, reconstruct
from wellposed.proximal.baselines import psnr, ssim
from wellposed.proximal.exam import classical
from wellposed.proximal.physics import Blur, RandomConvolution, gaussian

WEIGHTS = (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2, 0.4)


def questions(x: torch.Tensor) -> dict[str, Inverse]:
    shape = x.shape[1:]
    asked = {f"blur {w:g} px, noise {s:g}": (Blur(gaussian(w, shape[-1]), shape), s) for w in (1.0, 2.0) for s in (0.02, 0.04)}
    asked |= {f"random convolution, {k}": (RandomConvolution(shape, p, 0), 0.01) for k, p in (("1/4", 0.25), ("1/16", 0.0625))}
    g = torch.Generator().manual_seed(1)
    found = {}
    for name, (physics, noise) in asked.items():
        y = physics.A(x)
        found[name] = Inverse(physics, y + noise * torch.randn(y.shape, generator=g, dtype=y.dtype), noise)
    return found


def quality(image: torch.Tensor, truth: torch.Tensor) -> float:
    return float(psnr(image, truth).mean())


def shown(image: torch.Tensor, truth: torch.Tensor) -> str:
    return f"{quality(image, truth):6.2f} dB {float(ssim(image, truth).mean()):.3f}"


def learned(problem: Inverse, model: nn.Module, truth: torch.Tensor, zero: bool) -> str:
    """At the best weight; with its certificate, and from zero, if asked."""
    runs = {w: reconstruct(problem, model, "pgd", w, 1e-3, 100, certify=False, record=False) for w in WEIGHTS}
    weight = max(runs, key=lambda w: quality(runs[w].image, truth))
    run = reconstruct(problem, model, "pgd", weight, 1e-5, 300)
    text = f"{shown(run.image, truth)}  weight {weight:g}, {run.status} in {float(run.cycles.double().mean()):.0f} steps"
    if not zero:
        return text
    cold = reconstruct(problem, model, "pgd", weight, 1e-5, 300, start=torch.zeros_like(truth), certify=False, record=False)
    certificates = [run.sample(k).certificate for k in range(len(problem))]
    holds = sum(c is not None and c.verdict is True for c in certificates)
    return f"{text}, {float(cold.cycles.double().mean()):.0f} from zero; {holds} of {len(problem)} certified"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", type=Path)
    parser.add_argument("--denoiser", type=Path)
    parser.add_argument("--volume", type=Path)
    parser.add_argument("--seconds", type=float, default=90.0, help="of the training on slices")
    parser.add_argument("--archive", type=Path, default=Path("../shared/data/photographs.tar.gz"))
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--side", type=int, default=64)
    o = parser.parse_args()
    if o.volume is None and (o.prior is None or o.denoiser is None):
        parser.error("photographs need --prior and --denoiser, slices need --volume")
    torch.set_num_threads(1)
    if o.volume is not None:
        slices = small(volume(o.volume))
        prior, denoiser = (trained("slices", slices[:80], o.seconds, bounded) for bounded in (True, False))
        x = slices[84::3][: o.images]
    else:
        prior, denoiser = LPN.load(o.prior), LPN.load(o.denoiser)
        x = pieces(extracted(o.archive, FOLDER.parent / "images") / "Set68", o.images, o.side)
    for name, problem in questions(x).items():
        print(f"\n{name}")
        print(f"  prior     {learned(problem, prior, x, True)}", flush=True)
        print(f"  denoiser  {learned(problem, denoiser, x, False)}", flush=True)
        for kind, method in classical(problem).items():
            best = max((method(w) for w in WEIGHTS), key=lambda image: quality(image, x))
            print(f"  {kind:<9} {shown(best, x)}", flush=True)


if __name__ == "__main__":
    main()
