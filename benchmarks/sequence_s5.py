"""The S5 layer beside two installed peers: 16,384 steps, 256 features, a state of 256, batch 1, float32, one thread.

    python benchmarks/sequence_s5.py [--repeats 5] [--length 16384]

Peers: s5-pytorch (`S5(256, 256)`) and neural-ssm (`LRU(256, 256, 128)`, mode="scan" and mode="conv"); those that are not installed are
left out. Forward and backward with gradients for the input and all parameters, interleaved, medians. Peak memory: each in a process of
its own, the high-water mark of its resident memory (VmHWM of Linux) in three passes, less what was resident before: parameters, their
gradients, the input and its gradient, the output's gradient, and what a short sequence makes torch load. Exits 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

FEATURES = STATE = 256
OURS, S5_PYTORCH, SCAN, CONVOLUTION = "wellposed S5", "s5-pytorch S5", "neural-ssm LRU, scan", "neural-ssm LRU, conv"
MODULES = {OURS: "wellposed", S5_PYTORCH: "s5", SCAN: "neural_ssm", CONVOLUTION: "neural_ssm"}
NAMES = [name for name, module in MODULES.items() if find_spec(module)]
TARGETS = {S5_PYTORCH: 0.4, SCAN: 0.7}
MEMORY = 0.65


def build(name: str) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The layer, and how it is called."""
    torch.manual_seed(0)
    if name == OURS:
        from wellposed.sequence import S5

        model: Any = S5(FEATURES, STATE)
        return model, model
    if name == S5_PYTORCH:
        from s5 import S5 as Peer

        model = Peer(FEATURES, STATE)
        return model, model
    from neural_ssm import LRU

    model, mode = LRU(FEATURES, FEATURES, STATE // 2), name.split()[-1]
    return model, lambda u: model(u, mode=mode)[0]


def inputs(length: int) -> tuple[Tensor, Tensor]:
    """The input, with room for its gradient, and the gradient of the output."""
    torch.manual_seed(1)
    u = torch.randn(1, length, FEATURES, requires_grad=True)
    u.grad = torch.zeros_like(u)
    return u, torch.randn(1, length, FEATURES)


def milliseconds(call: Callable[[Tensor], Tensor], u: Tensor, g: Tensor) -> tuple[float, float]:
    """Forward alone, and with the backward pass."""
    began = time.perf_counter()
    y = call(u)
    middle = time.perf_counter()
    y.backward(g)
    return 1e3 * (middle - began), 1e3 * (time.perf_counter() - began)


def resident(field: str) -> float:
    """MiB now (VmRSS) or at most so far (VmHWM)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def child(name: str, length: int) -> None:
    torch.set_num_threads(1)
    _, call = build(name)
    milliseconds(call, *inputs(256))
    u, g = inputs(length)
    base = resident("VmRSS")
    for _ in range(3):
        milliseconds(call, u, g)
    print(resident("VmHWM") - base)


def peak(name: str, length: int) -> float:
    """MiB above the base."""
    command = [sys.executable, __file__, "--child", name, "--length", str(length)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def measure(repeats: int, length: int) -> dict[str, np.ndarray]:
    """Milliseconds of the forward pass and of both."""
    work, (u, g) = {name: build(name) for name in NAMES}, inputs(length)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for repeat in track(range(1 + repeats), description="a minute", transient=True):
        for name, (_, call) in work.items():
            took = milliseconds(call, u, g)
            if repeat:
                times[name].append(took)
    return {name: np.median(t, axis=0) for name, t in times.items()}


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
    medians = measure(options.repeats, options.length)
    memory = {name: peak(name, options.length) for name in NAMES}
    table = Table("layer", "forward, ms", "forward and backward, ms", "ours / theirs", "peak memory, MiB", "ours / theirs")
    for name in NAMES:
        table.add_row(name, f"{medians[name][0]:.0f}", f"{medians[name][1]:.0f}", f"{medians[OURS][1] / medians[name][1]:.2f}",
                      f"{memory[name]:.0f}", f"{memory[OURS] / memory[name]:.2f}")
    Console().print(table)
    good = {f"{medians[OURS][1] / medians[name][1]:.2f} of the time of {name} (target {target})":
            medians[OURS][1] <= target * medians[name][1] for name, target in TARGETS.items() if name in NAMES}
    if SCAN in NAMES:
        good[f"{memory[OURS] / memory[SCAN]:.2f} of the memory of {SCAN} (target {MEMORY})"] = memory[OURS] <= MEMORY * memory[SCAN]
    for what, holds in good.items():
        print(f"{what}: {'holds' if holds else 'falls short'}")
    sys.exit(not all(good.values()))


if __name__ == "__main__":
    main()
