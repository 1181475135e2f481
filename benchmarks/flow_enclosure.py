"""How sharply is the true error of a flow enclosed from both sides?

    python benchmarks/flow_enclosure.py [--samples 8] [--quick]

Raw predictions, wrong by 1e-1 to 1e-4 relatively, of the forced flow of the Fourier neural operator's benchmark (64 x 64, viscosity 1e-3,
four units of time) and of decaying turbulence (64 x 64, t = 4.5 to 5.05): largest and median upper over lower end of `enclose`, over
samples and times after the first; goal 1.05. Then the estimate over the true error, for errors down to 1e-8; goal .98 to 1.02. An end on
the wrong side of the truth, or an estimate that is called a bound, would be a lie: exits 1 if the true error is outside.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from flow_guarantee import advanced, apart, decaying, distance, forced, network, rough, smooth
from torch import Tensor

from wellposed.flow import Evolution, NavierStokes2D, Trajectory, enclose, solve

Wrong = Callable[[NavierStokes2D, Trajectory, Tensor, int], Trajectory]


def flow_of(name: str, samples: int, seed: int) -> tuple[NavierStokes2D, Trajectory, Tensor, float]:
    """An equation, the solver's flow on uniform slabs, the exact frames, and the spacing of a network's frames."""
    end, slab, spacing, step = (4.0, 0.4, 0.2, 0.02) if name == "forced" else (0.55, 0.05, 0.05, 0.0025)
    e, start = forced(64, 1e-3, samples, seed, 5.0) if name == "forced" else decaying(64, 1e-3, samples, seed, 4.5)
    times = torch.linspace(0, end, round(end / slab) + 1, dtype=torch.float64)
    return e, solve(e, start, times, step=step, slab=1.01 * slab), advanced(e, start, times.tolist(), step / 4), spacing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    o = parser.parse_args()
    torch.set_num_threads(1)
    samples, outside = 1 if o.quick else o.samples, 0
    print(f"{'flow':10}{'trajectory':16}{'relative error':>15}{'upper/lower':>12}{'largest':>10}{'estimate/true':>20}{'s each':>9}")
    for name in ("forced", "decaying"):
        e, good, exact, spacing = flow_of(name, samples, o.seed)
        size = distance(e, exact[:, -1])
        near = {"network-like": partial(network, spacing=spacing), "smooth": smooth, "rough": rough, "do not join": apart}
        cases: list[tuple[str, Wrong, float]] = [("network-like", near["network-like"], d) for d in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)]
        cases += [(kind, near[kind], d) for kind in ("smooth", "rough", "do not join") for d in (1e-2, 1e-4)]
        for kind, wrong, relative in cases:
            flow = wrong(e, good, relative * size, o.seed + 3)
            began = time.process_time()
            both = enclose(Evolution(e, exact[:, 0]), flow)
            spent = (time.process_time() - began) / samples
            true, estimate = distance(e, flow.vorticity, exact)[:, 1:], both.own.estimate[:, 1:]
            lower, upper = both.lower[:, 1:], both.upper[:, 1:]
            slack = 1e-13 * size[:, None]
            outside += int(((true > upper + slack) | (true < lower - slack)).any(1).sum())
            ratio, quality = (upper / lower).flatten(), (estimate / true).flatten()
            print(f"{name:10}{kind:16}{float((true[:, -1] / size).median()):15.1e}{float(ratio.median()):12.5f}{float(ratio.max()):10.4f}"
                  f"{float(quality.min()):12.5f}{float(quality.max()):8.5f}{spent:9.2f}", flush=True)
    print(f"{outside} samples with a true error outside of the enclosure")
    sys.exit(bool(outside))


if __name__ == "__main__":
    main()
