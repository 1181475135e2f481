"""S4 and S5 as filters of endless sequences: a million steps, the state passed on, in constant memory.

    python benchmarks/sequence_streaming.py [--steps 1000000]

64 features, 64 states, one thread, float32; random input, made as it is needed. First, in float64, the difference of chunks of 1, 7, 64
and 1,000 steps from one pass over 10,000, relative to the largest answer. Then time per step and resident memory (VmRSS of Linux) after
a tenth of the stream and at its end, by chunks of 1,000 and, over a tenth of the steps, by `step`. Exits 1 if a difference is above
1e-12, or if memory grows by more than 4 MiB.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from wellposed.sequence import S4, S5

FEATURES, STATE, CHUNK = 64, 64, 1000
CHUNKS, COMPARED = (1, 7, 64, 1000), 10_000
ALLOWED, GROWTH = 1e-12, 4


def resident() -> float:
    """MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def streamed(layer: Any, u: Tensor, chunk: int) -> Tensor:
    state, answers = layer.initial_state(len(u)), []
    for part in u.split(chunk, 1):
        y, state = layer(part, state)
        answers.append(y)
    return torch.cat(answers, 1)


def difference(layer: Any, u: Tensor, chunk: int) -> float:
    whole = layer(u)
    return float((streamed(layer, u, chunk) - whole).abs().max() / whole.abs().max())


def stream(layer: Any, steps: int, chunk: int | None) -> tuple[float, float, float]:
    """Microseconds a step, MiB after a tenth, MiB at the end; None: by `step`."""
    state, size, spent, early = layer.initial_state(1), chunk or 1, 0.0, 0.0
    for k in track(range(steps // size), description=type(layer).__name__, transient=True):
        u = torch.randn(1, size, FEATURES)
        began = time.perf_counter()
        _, state = layer(u, state) if chunk else layer.step(u[:, 0], state)
        spent += time.perf_counter() - began
        if k == steps // size // 10:
            early = resident()
    return 1e6 * spent / steps, early, resident()


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1_000_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    table = Table("layer", "by", "steps", "difference", "us a step", "MiB after a tenth", "MiB at the end")
    good = True
    for layer in (S4(FEATURES, STATE), S5(FEATURES, STATE)):
        name, u = type(layer).__name__, torch.randn(1, COMPARED, FEATURES, dtype=torch.float64)
        for chunk in CHUNKS:
            found = difference(layer.double(), u, chunk)
            good &= found <= ALLOWED
            table.add_row(name, f"chunks of {chunk}", f"{COMPARED:,}", f"{found:.1e}", "", "", "")
        layer.float()
        for chunk, steps in ((CHUNK, options.steps), (None, options.steps // 10)):
            took, early, late = stream(layer, steps, chunk)
            good &= late - early <= GROWTH
            table.add_row(name, f"chunks of {chunk}" if chunk else "step", f"{steps:,}", "", f"{took:.1f}", f"{early:.1f}", f"{late:.1f}")
    Console().print(table)
    print(f"differences at most {ALLOWED:.0e} and memory constant to {GROWTH} MiB: {'holds' if good else 'falls short'}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
