"""Are S4 and S5 stable whatever their parameters? Random ones, up to +-1,000: |multiplier| < 1, and finite gradients.

    python benchmarks/sequence_stability.py [--vectors 10000]

Each vector sets all parameters of a small layer, S4 or S5, zero-order hold or bilinear, in turn; its size is log-uniform from 1 to
1,000, and every fourth has entries of exactly that size and random signs. Multipliers are looked at in float64 and rounded to float32;
answer and gradients are those of a float32 sequence of 100 steps. Exits 1 unless all counts are 0.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from wellposed.sequence import S4, S5
from wellposed.sequence.discretization import RULES

LARGEST, LENGTH = 1e3, 100
COUNTS = ("float64 |multiplier| >= 1", "float32 |multiplier| >= 1", "answers not finite", "gradients not finite")


@torch.no_grad()
def draw(layer: Any, signs: bool) -> None:
    size = LARGEST ** float(torch.rand(()))
    for p in layer.parameters():
        p.uniform_(-size, size)
        if signs:
            p.copy_(size * p.sign())


def faults(layer: Any, u: Tensor, g: Tensor) -> list[int]:
    """How many numbers are bad, by kind."""
    with torch.no_grad():
        multiplier = layer.discrete().multiplier
        unstable = [int((z.double().square().sum(0) >= 1).sum()) for z in (multiplier, multiplier.float())]
    y = layer(u)
    gradients = torch.autograd.grad(y, [u, *layer.parameters()], g)
    return [*unstable, int((~y.isfinite()).sum()), sum(int((~x.isfinite()).sum()) for x in gradients)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=10_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [kind(4, 8, discretization=rule) for rule in RULES for kind in (S4, S5)]
    u, g = torch.randn(1, LENGTH, 4, requires_grad=True), torch.randn(1, LENGTH, 4)
    totals = {k: [0] * len(COUNTS) for k in range(len(layers))}
    for n in track(range(options.vectors), description="a minute", transient=True):
        k = n % len(layers)
        draw(layers[k], n // len(layers) % 4 == 3)
        totals[k] = [a + b for a, b in zip(totals[k], faults(layers[k], u, g), strict=True)]
    table = Table("layer", *COUNTS, title=f"{options.vectors:,} random parameter vectors")
    for layer, counts in zip(layers, totals.values(), strict=True):
        table.add_row(f"{type(layer).__name__}, {layer.discretization}", *map(str, counts))
    Console().print(table)
    good = not any(map(any, totals.values()))
    print(f"none of {options.vectors:,}: {'holds' if good else 'falls short'}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
