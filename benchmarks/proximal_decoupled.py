"""Does the certified regime cost anything? The decoupled weight beside plain ADMM with rho = weight, of which no theorem knows.

    python benchmarks/proximal_decoupled.py [--seconds 40] [--images 16] [--only CT] [--photographs ../shared/data/photographs.tar.gz]

Data, networks and settings of proximal_convergence.py, at half, once and twice its weights. The uncertified runs are plain ADMM with its
penalty at the weight, where the prox is the network itself, as is done in the literature; the certified ones have the penalty or step of
their theorem and mirror steps, which evaluate the network once. Differences are certified less uncertified: of the objective, relative,
the worst of the images; of the mean PSNR. Required: at most 1e-3 and .05 dB, and at most 5 evaluations in a step. Exits 1 if it falls
short.
"""

from __future__ import annotations

import sys

import torch
from proximal_convergence import STEPS, TOL, asked, case, chosen
from rich.console import Console
from rich.table import Table
from torch import Tensor

from wellposed.proximal.baselines import psnr
from wellposed.proximal.reconstruct import Reconstruction, reconstruct

NEAR, DECIBELS, EVALUATIONS, LONG = 1e-3, 0.05, 5, 1000


def known(run: Reconstruction, truth: Tensor) -> list[str]:
    return [str(run.steps), f"{float(run.stationarity.max()):.0e}", f"{float(run.objective.mean()):.6f}",
            f"{float(psnr(run.image, truth).mean()):.3f}"]


def evaluations(run: Reconstruction) -> str:
    return str(sum(s.evaluations for s in run.history))


def main() -> int:
    options = asked(__doc__)
    torch.set_num_threads(1)
    table = Table("", "weight", "", "steps", "|∇F|", "objective", "PSNR", "objective, relative", "dB", "evaluations",
                  "evaluations a step (most)", title=f"{options.images} images")
    missed = []
    for name, weight in chosen(options):
        problem, truth, model = case(name, options)
        for λ in (0.5 * weight, weight, 2 * weight):
            plain = reconstruct(problem, model, "admm", weight=λ, rho=λ, steps=LONG, accelerate=False, certify=False, record=False)
            before = float(psnr(plain.image, truth).mean())
            table.add_row(name, f"{λ:g}", "no theorem", *known(plain, truth), "", "", evaluations(plain), "")
            for algorithm in ("pgd", "admm"):
                run = reconstruct(problem, model, algorithm, weight=λ, tol=TOL, steps=STEPS, certify=False, record=False)
                apart = float(((run.objective - plain.objective) / plain.objective.abs()).max())
                gain, most = float(psnr(run.image, truth).mean()) - before, max(s.evaluations for s in run.history)
                table.add_row("", "", algorithm, *known(run, truth), f"{apart:+.1e}", f"{gain:+.4f}", evaluations(run),
                              f"{run.evaluations:.2f} ({most})")
                if not (apart <= NEAR and gain >= -DECIBELS and most <= EVALUATIONS and run.violated is None):
                    missed.append(f"{name}, {algorithm} at {λ:g}")
    Console(width=150).print(table)
    print(f"missed: {'; '.join(missed)}" if missed else "all required holds")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
