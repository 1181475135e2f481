"""Proximal networks that learn known laws, against the exact prox and the floor of their loss; the prior that each has learned.

    python benchmarks/proximal_laws.py [--seconds 60] [--only laplace]

One thread. The floor is what the best function of y would answer under the same loss, by quadrature: what perfect training
would leave. Errors are over |y| <= 3 and, as means, over the density of y, at midpoints: on the jump of a symmetric law the prox has two
values. Priors are compared at the best answers, which leave out what a jump leaps over, at most on |x| <= 3, after the best constant. Of
the product each entry is compared, at 20,000 noisy samples, with the floor of one dimension, as loss and law factor.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import wellposed
from wellposed.proximal import LPN
from wellposed.proximal.denoising import Denoising
from wellposed.proximal.floors import Floor, floor, prior_of, up_to_constant
from wellposed.proximal.laws import GaussianMixture, Laplace, Law, Product, StudentT, Uniform, stratified
from wellposed.proximal.proximal_matching import ProximalMatching

FOLDER = Path("runs/benchmarks/proximal")
RARE = 5e-4


@dataclass(frozen=True)
class Case:
    """A law, the noise, γ, the dimension, how far out y is looked at, and the network where it is not LPN(dim)."""

    law: Law
    sigma: float
    gamma: float
    dim: int = 1
    far: float = 8.0
    options: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "laplace": Case(Laplace(), 1.0, 0.1),
    "mixture": Case(GaussianMixture(), 1.0, 0.1, options={"beta": 30.0, "readout": "linear"}),
    "student": Case(StudentT(), 1.0, 0.1, far=20.0),
    "uniform": Case(Uniform(), 0.5, 0.1, far=4.0),
    "product": Case(Laplace(), 1.0, 1.5, dim=10, options={"width": 128, "depth": 2}),
}


def line(far: float) -> torch.Tensor:
    """Midpoints of even steps from -far to far, 0 not among them."""
    edges = torch.linspace(-far, far, 2 * math.ceil(50 * far) + 1, dtype=torch.float64)
    return 0.5 * (edges[1:] + edges[:-1])


def trained(name: str, case: Case, seconds: float, seed: int) -> LPN:
    torch.manual_seed(seed)
    model = LPN(case.dim, **case.options)
    law = case.law if case.dim == 1 else Product(case.law, case.dim)
    wellposed.train(model, Denoising(law, case.sigma), loss=ProximalMatching(case.gamma), seconds=seconds, seed=seed, threads=1, quiet=True,
                    folder=FOLDER / f"{name}-{seed}-{seconds:g}")
    return model.doubled()


@torch.no_grad()
def answered(model: LPN, y: torch.Tensor) -> torch.Tensor:
    return model(y[:, None])[:, 0]


def of_product(model: LPN, case: Case, best: Floor) -> str:
    """Mean and largest error of the entries at noisy samples, beside the floor over the density."""
    rng = np.random.default_rng(1)
    x = stratified(Product(case.law, case.dim), 20_000, rng)
    y = x + case.sigma * torch.from_numpy(rng.standard_normal(x.shape))
    with torch.no_grad():
        error = (model(y) - case.law.prox(y, case.sigma)).abs()
    return f"over density {error.mean():.4f} (floor {best.mean():.4f}, asked {1.3 * best.mean() + 0.01:.4f})   max {error.max():.3f}"


def of_line(model: LPN, case: Case, best: Floor) -> str:
    """Errors on the line, and of the prior."""
    own = answered(model, best.y)
    (top, mean), (least_top, least_mean) = best.within(3.0, own), best.within(3.0)
    shown = (f"over density {best.mean(own):.4f} (floor {best.mean():.4f}, asked {1.3 * best.mean() + 0.01:.4f})   "
             f"|y| <= 3: max {top:.4f} ({least_top:.4f}), mean {mean:.4f} ({least_mean:.4f})")
    end = reach(best)
    z, r = prior_of(best.y, best.best)
    inside = z.abs() <= end
    x = z[inside][::2]
    found = model.prior(x[:, None])
    least, own = (up_to_constant(values, case.sigma**2 * case.law.negative_log_density(at))
                  for values, at in ((r[inside], z[inside]), (0.5 * (found.lower + found.upper), x)))
    return shown + f"   |x| <= {end:.3g}: prior {own:.4f} ({least:.4f}; bracket {float(found.width.max()):.0e})"


def reach(best: Floor) -> float:
    """3, or as far as the best answer goes for all but one in a thousand y: beyond it nothing has been learned."""
    share = best.density.cumsum(0) / best.density.sum()
    return min(3.0, float(best.best[(share > RARE) & (share < 1 - RARE)].abs().max()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(CASES), action="append")
    o = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{o.seconds:g} s of training each; in brackets the floor of the loss")
    for name in o.only or CASES:
        case = CASES[name]
        y = line(case.far)
        best = floor(case.law, case.sigma, case.gamma, y)
        model = trained(name, case, o.seconds, o.seed)
        shown = (of_line if case.dim == 1 else of_product)(model, case, best)
        print(f"{name:<9}sigma {case.sigma:g}  gamma {case.gamma:g}   {shown}", flush=True)


if __name__ == "__main__":
    main()
