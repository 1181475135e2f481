"""The convolution kernel of S4 beside the Vandermonde sum as it is written: 64 features, 64 states, 16,384 steps.

    python benchmarks/sequence_kernel.py [--repeats 5] [--length 16384]

One thread; interleaved, medians. The Vandermonde matrix is complex64, its kernel float32. Peak memory: each in a process of its own,
the high-water mark of its resident memory (VmHWM of Linux) less what was resident before, for a forward and a backward pass. Errors
are relative to max |K| of the same sum in complex128. Exits 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from wellposed.sequence import S4
from wellposed.sequence.kernel import kernel, vandermonde
from wellposed.sequence.pairs import mul

FEATURES, STATE = 64, 64
FASTER, SMALLER, ERROR = 40, 10, 1e-5
WAYS = ("tables and products", "Vandermonde, complex64")


def inputs() -> tuple[Tensor, Tensor]:
    """Residues and multipliers of a fresh layer, float64."""
    torch.manual_seed(0)
    layer = S4(FEATURES, STATE)
    multiplier, gain = layer.discrete()
    residue = mul((layer.C[0] * layer.weights).double(), mul(gain, layer.B.double()))
    return residue.detach().requires_grad_(), multiplier.detach().requires_grad_()


def ways(length: int) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    return {WAYS[0]: lambda r, m: kernel(r, m, length), WAYS[1]: lambda r, m: vandermonde(r.float(), m.float(), length)}


def milliseconds(way: Callable[[Tensor, Tensor], Tensor], given: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Forward alone, and with the backward pass."""
    began = time.perf_counter()
    k = way(*given)
    middle = time.perf_counter()
    torch.autograd.grad(k.sum(), given)
    return 1e3 * (middle - began), 1e3 * (time.perf_counter() - began)


def peak(way: str, length: int) -> float:
    """MiB above the base."""
    command = [sys.executable, __file__, "--child", way, "--length", str(length)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def child(way: str, length: int) -> None:
    torch.set_num_threads(1)
    given = inputs()
    milliseconds(ways(64)[way], given)  # what torch loads when it first computes
    base = resident("VmRSS")
    milliseconds(ways(length)[way], given)
    print(resident("VmHWM") - base)


def resident(field: str) -> float:
    """MiB now (VmRSS) or at most so far (VmHWM)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--length", type=int, default=16384)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.length)
        return
    torch.set_num_threads(1)
    given, times = inputs(), {way: [] for way in WAYS}
    with torch.no_grad():
        exact = torch.cat([vandermonde(given[0][:, h : h + 8], given[1][:, h : h + 8], options.length) for h in range(0, FEATURES, 8)])
        errors = {name: float((way(*given) - exact).abs().max() / exact.abs().max()) for name, way in ways(options.length).items()}
    for repeat in track(range(1 + options.repeats), description="half a minute", transient=True):
        for name, way in ways(options.length).items():
            took = milliseconds(way, given)
            if repeat:
                times[name].append(took)
    medians = {name: np.median(t, axis=0) for name, t in times.items()}
    memory = {name: peak(name, options.length) for name in WAYS}
    table = Table("kernel", "forward, ms", "forward and backward, ms", "peak memory, MiB", "error / max |K|")
    for name in WAYS:
        table.add_row(name, f"{medians[name][0]:.1f}", f"{medians[name][1]:.1f}", f"{memory[name]:.0f}", f"{errors[name]:.1e}")
    Console().print(table)
    report(medians, memory, errors[WAYS[0]])


def report(medians: dict[str, np.ndarray], memory: dict[str, float], error: float) -> None:
    faster, smaller = medians[WAYS[1]] / medians[WAYS[0]], memory[WAYS[1]] / memory[WAYS[0]]
    good = {f"forward {faster[0]:.0f}x faster (target {FASTER})": faster[0] >= FASTER,
            f"forward and backward {faster[1]:.0f}x faster (target {FASTER})": faster[1] >= FASTER,
            f"1/{smaller:.0f} of the memory (target 1/{SMALLER})": smaller >= SMALLER,
            f"error {error:.1e} (target {ERROR:.0e})": error <= ERROR}
    for what, holds in good.items():
        print(f"{what}: {'holds' if holds else 'falls short'}")
    sys.exit(not all(good.values()))


if __name__ == "__main__":
    main()
