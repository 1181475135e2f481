"""Do conformal sets cover what they say, and the hard images as well as the easy ones? 1,000 calibration and 9,000 test images.

    python benchmarks/proximal_conformal.py [--seconds 60] [--test 9000] [--groups 1]

Phantoms of ellipses, 28 x 28, white noise .1, level .9. The number of test images that are covered must lie inside the central 99.9 % of
its beta-binomial law, and of each half, by predicted difficulty, by the truth's energy and by its gradient, at least .87 must be covered.
The power of the scale is fitted to 1,000 images of the training with other noise. Sets with other groups, and of scores that are not
divided by a scale, stand beside. The network is kept in runs/benchmarks/proximal. Exits 1 if the sets fall short.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

import wellposed
from wellposed.proximal import LPN
from wellposed.proximal.conformal import ConformalSet, certify_coverage, measured
from wellposed.proximal.phantoms import ellipses
from wellposed.training.losses import supervised
from wellposed.training.objectives import Objective

SIDE, SIGMA, PILOT, CALIBRATION, LEVEL, LEAST = 28, 0.1, 1000, 1000, 0.9, 0.87


def noisy(x: Tensor, seed: int) -> Tensor:
    return x + SIGMA * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))


def trained(seconds: float, images: Tensor) -> LPN:
    def batch(step: int, seed: int) -> tuple[Tensor, Tensor]:
        chosen = images[torch.randint(len(images), (32,), generator=torch.Generator().manual_seed(10**6 * seed + step))]
        return noisy(chosen, 10**6 * seed + step), chosen

    torch.manual_seed(0)
    model = LPN.convolutional(1, width=16, kernel=6, stride=2, sigma=SIGMA)
    wellposed.train(model, Objective(supervised("mse"), sample_on_the_fly=batch, name="phantoms"), seconds=seconds, lr=3e-3, clip=0.1,
                    threads=torch.get_num_threads(), quiet=True, folder=Path(f"runs/benchmarks/proximal/conformal-{seconds:g}"))
    return model


def halves(x: Tensor, difficulty: Tensor) -> dict[str, Tensor]:
    """What the images are told apart by: the hard half is that above the median."""
    gradient = sum(x.diff(dim=d).square().sum((1, 2, 3)) for d in (2, 3))
    return {"predicted difficulty": difficulty, "energy of the truth": x.square().sum((1, 2, 3)), "its gradient": torch.as_tensor(gradient)}


def report(name: str, sets: ConformalSet, covered: Tensor, difficulty: Tensor, x: Tensor) -> bool:
    counts = torch.bincount(sets.group(difficulty), minlength=sets.count).tolist()
    low, high = sets.expected(counts)
    print(f"{name}: {int(covered.sum())} of {len(x)} covered ({covered.double().mean():.4f}), central 99.9 % of the law {low} to {high}")
    worst = 1.0
    for by, number in halves(x, difficulty).items():
        hard = number > number.median()
        shares = [float(covered[~hard].double().mean()), float(covered[hard].double().mean())]
        worst = min(worst, *shares)
        print(f"    by {by:<22} lower half {shares[0]:.4f}   upper half {shares[1]:.4f}")
    return low <= int(covered.sum()) <= high and worst >= LEAST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--test", type=int, default=9000)
    parser.add_argument("--groups", type=int, default=1)
    o = parser.parse_args()
    torch.set_num_threads(1)
    training, x, test = (ellipses(SIDE, n, seed).float() for n, seed in ((5000, 1), (CALIBRATION, 12), (o.test, 13)))
    model, y = trained(o.seconds, training), noisy(test, 15)
    pilot = noisy(training[:PILOT], 6), training[:PILOT]
    sets = ConformalSet.calibrate(model, noisy(x, 14), x, LEVEL, o.groups, training=training, pilot=pilot)
    errors, difficulty = measured(model, y, test, sets.seed, sets.probes, sets.power)
    psnr = -20 * math.log10(float(errors.square().mean().sqrt()) / SIDE)
    print(f"{sets}\n{psnr:.2f} dB on the test images, median radius {float(sets.radius(y[:500]).median()):.3f}")
    holds = report(f"groups: {o.groups}", sets, errors <= sets.radius_of(difficulty), difficulty, test)
    for count in {1, 2, 4} - {o.groups}:
        other = replace(sets, count=count)
        report(f"groups: {count}", other, errors <= other.radius_of(difficulty), difficulty, test)
    plain = replace(sets, count=1, scores=sets.scores * sets.difficulties)
    report("|f(y) - x| itself", plain, errors <= plain.groups[0].quantile, difficulty, test)
    claim = certify_coverage(sets).claims[0]
    print(f"certificate: {claim.quantity}: {claim.upper:.4f}")
    print(f"coverage inside its law and at least {LEAST} in every half: {'holds' if holds else 'falls short'}")
    sys.exit(not holds)


if __name__ == "__main__":
    main()
