"""How much above the true error are proved bounds of flows?

    python benchmarks/flow_effectivity.py [--samples 8] [--parts forced decaying equation] [--quick]

Bound over true error at the last time, median over samples, by the rate of strain and by the numerical abscissa; against the Galerkin
system: the forced flow of the Fourier neural operator's benchmark, 64 x 64 nodes, viscosity 1e-3, four units of time; decaying turbulence
after McWilliams, 128 x 128, viscosity 1e-3, from t = 4.5 for 0.55. Trajectories: what a network gives (1 % off, a tenth of it rough in
time), that after one to three passes of the error equation, and the solver's own with steps of several lengths. Then against the equation
itself, at 64, 128 and 256 nodes per axis: what the grid does not keep sets a floor. Goals: 25 by the strain and 15 by the abscissa in the
forced flow. Truth: the plain steps of wellposed.numerics.vorticity, far shorter; errors below twenty times its own are not judged.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from flow_guarantee import advanced, decaying, distance, finer, forced, network
from torch import Tensor

import wellposed
from wellposed.flow import Evolution, NavierStokes2D, Trajectory, bound, solve
from wellposed.numerics.vorticity import resample, to_field, to_spectrum

GROWTHS = ("strain", "abscissa")
PARTS = ("forced", "decaying", "equation")


@dataclass(frozen=True)
class Case:
    """A flow, its samples, and how it is run."""

    name: str
    equation: NavierStokes2D
    start: Tensor
    end: float
    slab: float
    spacing: float
    steps: tuple[float, ...]
    truth: float

    def run(self, step: float, e: NavierStokes2D | None = None, start: Tensor | None = None) -> Trajectory:
        times = torch.linspace(0, self.end, round(self.end / self.slab) + 1, dtype=torch.float64)
        return solve(e or self.equation, self.start if start is None else start, times, step=step, slab=1.01 * self.slab)

    def trajectories(self) -> Iterator[tuple[str, Trajectory]]:
        good = self.run(min(self.steps))
        problem = Evolution(self.equation, self.start)
        raw = network(self.equation, good, 0.01 * distance(self.equation, good.vorticity[:, -1]), 5, self.spacing)
        yield "network-like", raw
        for passes in (1, 2, 3):
            yield f"after pass {passes}", wellposed.refine(problem, raw, None, passes=passes).answer
        for step in self.steps:
            yield f"solver, steps {step:g}", self.run(step)

    def exact(self) -> tuple[Tensor, Tensor]:
        """The last frame of the truth, and how far it may be off."""
        ends = [advanced(self.equation, self.start, [self.end], step)[:, -1] for step in (self.truth, 2 * self.truth)]
        return ends[0], distance(self.equation, ends[0], ends[1]) / 15 + 1e-15


def galerkin(case: Case, growths: tuple[str, ...]) -> None:
    truth, off = case.exact()
    print(f"\n{case.name}, {len(case.start)} samples; truth off by {float(off.max()):.0e}")
    size = distance(case.equation, truth)
    print(f"{'trajectory':24}{'true error':>12}{'relative':>10}{'bound':>10}" + "".join(f"{g:>12}{'s':>7}" for g in growths))
    for name, flow in case.trajectories():
        true = distance(case.equation, flow.vorticity[:, -1], truth)
        known, cells, relative = true > 20 * off, "", 0.0
        for growth in growths:
            began = time.process_time()
            found = bound(case.equation, flow, start=case.start, growth=growth).error[:, -1]
            relative = relative or float((found / size).median())
            cells += f"{float((found / true)[known].median()):12.2f}" if bool(known.any()) else f"{'-':>12}"
            cells += f"{(time.process_time() - began) / len(flow):7.2f}"
        print(f"{name:24}{float(true.median()):12.2e}{float((true / size).median()):10.1e}{relative:10.1e}{cells}", flush=True)


def itself(case: Case, sizes: tuple[int, ...]) -> None:
    """A fine flow on the largest grid, cut to the others; its errors there are those of the truncation alone."""
    top = max(sizes)
    fine = finer(case.equation, top // case.equation.resolution) if top > case.equation.resolution else case.equation
    start = to_field(resample(to_spectrum(case.start), case.equation.resolution, top) * fine.modes.kept, top)
    truth = advanced(fine, start, [case.end], 2 * case.truth)[:, -1]
    print(f"\n{case.name}, against the equation; truth: {top} x {top}\n"
          f"{'nodes':>6}{'residual out of band':>22}{'bound':>10}{'relative':>10}{'true error':>12}{'effectivity':>12}")
    for n in sizes:
        e = _resampled(fine, top, n)
        w = to_field(resample(to_spectrum(start), top, n), n)
        flow = case.run(min(case.steps), e, w)
        found = bound(e, flow, "pde", start=w)
        frame = to_field(resample(to_spectrum(flow.vorticity[:, -1]), n, top), top)
        true = distance(fine, frame, truth) if n < top else torch.full((len(w),), torch.nan)
        missing = distance(fine, start, to_field(resample(to_spectrum(w), n, top), top))
        print(f"{n:6}{float(found.out_of_band.median()):22.2e}{float(found.error[:, -1].median()):10.2e}"
              f"{float(found.relative[:, -1].median()):10.1e}{float(true.median()):12.2e}"
              f"{float((found.error[:, -1] / true).median()):12.2f}   (start off by {float(missing.median()):.1e})", flush=True)


def _resampled(e: NavierStokes2D, n: int, m: int) -> NavierStokes2D:
    f = None if e.forcing is None else to_field(resample(to_spectrum(e.forcing), n, m), m)
    return NavierStokes2D(e.viscosity, m, f, e.drag, e.length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--growth", choices=GROWTHS, nargs="*", default=list(GROWTHS))
    parser.add_argument("--parts", choices=PARTS, nargs="*", default=list(PARTS))
    parser.add_argument("--quick", action="store_true")
    o = parser.parse_args()
    torch.set_num_threads(1)
    samples, few, big = (2, 1, 64) if o.quick else (o.samples, 2, 128)
    sizes = (64, 128) if o.quick else (64, 128, 256)
    if "forced" in o.parts:
        galerkin(Case("forced, 64 x 64, T = 4", *forced(64, 1e-3, samples, o.seed, 5.0), 4.0, 0.4, 0.2, (0.08, 0.04, 0.02, 0.01), 0.005),
                 tuple(o.growth))
    if "decaying" in o.parts:
        galerkin(Case(f"decaying turbulence, {big} x {big}, t = 4.5 to 5.05", *decaying(big, 1e-3, few, o.seed, 4.5), 0.55, 0.05, 0.05,
                      (0.01, 0.005, 0.0025), 0.0003), tuple(o.growth))
    if "equation" in o.parts:
        itself(Case("forced, T = 4", *forced(64, 1e-3, 1, o.seed, 5.0), 4.0, 0.4, 0.2, (0.02,), 0.01), sizes)
        itself(Case("decaying turbulence, t = 4.5 to 5.05", *decaying(max(sizes), 1e-3, 1, o.seed, 4.5), 0.55, 0.05, 0.05, (0.005,), 0.001),
               sizes)


if __name__ == "__main__":
    main()
