"""What a certificate costs: the bound, and the bound with its stream function found, beside one classical solve.

    python benchmarks/speed.py [--repeats 7]

One thread, 128 x 128, batch 32, contrast 4; interleaved, medians, milliseconds a sample.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from classical import pyamg_solve

from wellposed import certify
from wellposed.elliptic import bound, generate
from wellposed.elliptic.finite_elements import potential_iteration, solve


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    problem = generate("two-phase", 128, 32, seed=1)
    u = problem.solve()
    psi, one = bound(problem, u).stream, potential_iteration(problem)
    work = {
        "bound, stream given": lambda: bound(problem, u, psi),
        "bound, stream found": lambda: bound(problem, u),
        "certificate, stream found": lambda: certify(problem, u, 0.1),
        "one cycle on the potential": one.step,
        "classical solve, this package": lambda: solve(problem),
        "classical solve, pyamg": lambda: pyamg_solve(problem),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(options.repeats):
        for name, call in work.items():
            times[name].append(1e3 * seconds(call) / len(problem))
    medians = {name: float(np.median(t)) for name, t in times.items()}
    for name, ms in medians.items():
        print(f"{name:<34}{ms:>8.2f} ms a sample   {ms / medians['classical solve, this package']:>6.2f} x this package's solve"
              f"   {ms / medians['classical solve, pyamg']:>6.2f} x pyamg's")


if __name__ == "__main__":
    main()
