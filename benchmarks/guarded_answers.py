"""Does the network earn its place? Guaranteed answers per second and cycles, from its answers, from zero, from a solver's.

    python benchmarks/guarded_answers.py [--repeats 5]

The answers of PyPI neuraloperator's FNO on relief that ship with the package (its inference time is not counted), a start
from zero, and two classical solvers: this package's and, if installed, pyamg. Interleaved, medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from classical import pyamg_solve

from wellposed import guard
from wellposed.elliptic import Darcy, load_relief


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    relief = load_relief()
    starts: dict[str, Callable[[Darcy], np.ndarray] | None] = {
        "network": lambda problem: relief.prediction[:18], "zero": None, "solver": lambda problem: problem.solve(),
        "pyamg": pyamg_solve}
    problem = relief.problem[:18]
    print(f"{'tol':>6} {'start':<10}{'released':>9}{'refined':>9}{'solved':>8}{'refused':>9}{'cycles':>8}{'answers / s':>13}")
    for tol in (0.2, 0.1, 0.05, 0.02):
        rates: dict[str, list[float]] = {name: [] for name in starts}
        last = {}
        for _ in range(options.repeats):
            for name, model in starts.items():
                watch = guard(model, tol)
                last[name] = watch(problem)
                rates[name].append(watch.rate)
        for name, g in last.items():
            print(f"{tol:>6g} {name:<10}" + "".join(f"{g.counts[k]:>{w}}" for k, w in zip(g.counts, (9, 9, 8, 9), strict=True))
                  + f"{g.cycles.mean():>8.1f}{np.median(rates[name]):>13.1f}")
        network, zero = np.median(rates["network"]), np.median(rates["zero"])
        print(f"       network against zero: {last['zero'].cycles.mean() - last['network'].cycles.mean():+.1f} cycles saved, "
              f"{network / zero:.2f} times the answers per second")


if __name__ == "__main__":
    main()
