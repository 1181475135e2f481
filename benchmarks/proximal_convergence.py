"""Does every step fall by what its theorem claims, and how many does a reconstruction take? PGD, ADMM and half-quadratic splitting.

    python benchmarks/proximal_convergence.py [--seconds 40] [--images 16] [--only CT] [--photographs ../shared/data/photographs.tar.gz]

Blur: 28 x 28 pieces of Set68, a Gaussian of one pixel, noise .02, weight .04. CT: 64 x 64 phantoms, 30 angles, noise one hundredth of
the largest datum, simulated on a finer grid, weight .01. The networks (noise .1) are trained for so many seconds each if they are not in
runs/benchmarks/proximal/convergence. From two starts: the Tikhonov solution, to which the network is applied, and zero. "Steps to" are
of |∇F|, the Euclidean norm for the worst image; "rise" is what the certificate proves of the largest violation of sufficient decrease,
rounding included; "checked" the word of the stand-alone checker. |∇F| of HQS is that of its envelope. Required of PGD and ADMM: a rise
of at most 1e-10 and |∇F| <= 1e-5 within 300 steps. Exits 1 if it falls short.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from proximal_lipschitz import read
from rich.console import Console
from rich.table import Table
from torch import Tensor

import wellposed
from wellposed.proximal import LPN
from wellposed.proximal.baselines import psnr
from wellposed.proximal.denoising import Denoising, denoising_objective, settings_of
from wellposed.proximal.methods import ALGORITHMS
from wellposed.proximal.phantoms import ellipses, simulate
from wellposed.proximal.physics import Blur, Radon
from wellposed.proximal.problem import Inverse
from wellposed.proximal.reconstruct import Reconstruction, reconstruct

RUNS = Path("runs/benchmarks/proximal/convergence")
SIGMA, STEPS, TOL, RISE = 0.1, 300, 1e-5, 1e-10
SIDE, CT, ANGLES = 28, 64, 30
WEIGHTS = {"blur": 0.04, "CT": 0.01}
LEVELS = (1e-2, 1e-3, 1e-4, 1e-5)


def network(name: str, images: list[Tensor], seconds: float) -> LPN:
    torch.manual_seed(0)
    model = LPN.convolutional(1, width=36, depth=1, kernel=6, stride=2, sigma=SIGMA)
    problem = Denoising(images, sigma=SIGMA)
    wellposed.train(model, denoising_objective(problem, model), folder=RUNS / name, seconds=seconds, **settings_of(problem))
    return LPN.load(RUNS / name)


def blurred(archive: Path, images: int) -> tuple[Inverse, Tensor]:
    pieces = [x[100 : 100 + SIDE, 100 : 100 + SIDE] for x in read(archive, "Set68")[:images]]
    truth, g = torch.stack(pieces).double()[:, None], torch.Generator().manual_seed(0)
    k = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    physics = Blur(np.outer(k, k) / k.sum() ** 2, (SIDE, SIDE))
    y = physics.A(truth)
    return Inverse(physics, y + 0.02 * torch.randn(y.shape, dtype=y.dtype, generator=g), 0.02), truth


def scanned(images: int) -> tuple[Inverse, Tensor]:
    physics = Radon(CT, ANGLES)
    truth, clean = simulate(physics, images, seed=1)
    noise, g = 0.01 * float(clean.abs().max()), torch.Generator().manual_seed(0)
    return Inverse(physics, clean + noise * torch.randn(clean.shape, dtype=clean.dtype, generator=g), noise), truth


def case(name: str, options: argparse.Namespace) -> tuple[Inverse, Tensor, LPN]:
    """Data, the images that they are of, and a network for such images."""
    if name == "blur":
        return *blurred(options.photographs, options.images), network(name, read(options.photographs, "train"), options.seconds)
    return *scanned(options.images), network(name, list(ellipses(CT, 1000, seed=0)[:, 0].float()), options.seconds)


def asked(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0, help="of training, for each network")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--only", choices=tuple(WEIGHTS), help="one of the two kinds of data")
    parser.add_argument("--photographs", type=Path, default=Path("../shared/data/photographs.tar.gz"))
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list[tuple[str, float]]:
    return [(name, weight) for name, weight in WEIGHTS.items() if options.only in (None, name)]


def row(name: str, run: Reconstruction, start: str, truth: Tensor, seconds: float) -> tuple[list[str], bool]:
    taken = [next((str(k + 1) for k, s in enumerate(run.history) if s.stationarity <= level), "-") for level in LEVELS]
    certificate = run.certificate
    assert certificate is not None
    rise, checked = certificate.claim("decrease").upper, certificate.check().status
    assert rise is not None
    worst, most = float(run.stationarity.max()), max((s.evaluations for s in run.history), default=0)
    good = rise <= RISE and checked is True and run.steps <= STEPS and worst <= TOL
    cells = [name, run.algorithm, start, *taken, f"{worst:.1e}", f"{rise:.1e}", str(checked), f"{run.evaluations:.2f} ({most})",
             f"{float(run.objective.mean()):.6f}", f"{float(psnr(run.image, truth).mean()):.2f}", f"{seconds:.1f} s"]
    return cells, good or run.algorithm == "hqs"


def main() -> int:
    options = asked(__doc__)
    torch.set_num_threads(1)
    table = Table("", "", "start", *(f"steps to {x:g}" for x in LEVELS), "|∇F|", "rise", "checked", "evaluations a step (most)", "F",
                  "PSNR", "", title=f"{options.images} images")
    missed = []
    for name, weight in chosen(options):
        problem, truth, model = case(name, options)
        for start, w in (("Tikhonov", None), ("zero", torch.zeros_like(truth))):
            for algorithm in ALGORITHMS:
                began = time.perf_counter()
                run = reconstruct(problem, model, algorithm, weight=weight, tol=TOL, steps=STEPS, start=w)
                cells, good = row(name, run, start, truth, time.perf_counter() - began)
                table.add_row(*cells)
                missed += [] if good else [f"{name}, {algorithm} from {start}"]
    Console(width=170).print(table)
    print(f"missed: {'; '.join(missed)}" if missed else "all required holds")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
