"""Forward time of MgNO beside the same layers as their authors released them: 32 channels, 5 layers, 5 levels, 128 x 128.

    python benchmarks/published_forward.py [--repeats 15] [--batch 1]

One thread, float32; interleaved, medians, milliseconds a sample. The released layers run as released, NCHW, and once in ours,
channels_last. MgNO restricts residuals and smooths on the way up too; by default its kernels act within channels on the two
finest levels. "dense": between all channels on every level, as released; "down only": nothing is smoothed on the way up, as
released. The released Navier-Stokes network takes 64 x 64 only: here its LayerNorms are made for 128 x 128.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from torch import Tensor, nn

from wellposed.elliptic.mgno import MgNO
from wellposed.elliptic.published import PublishedMgNO

CELLS, CHANNELS, LAYERS, LEVELS = 128, 32, 5, 5
LINEAR = "released, W linear (MgNO_DC)"


def published(kind: str, size: int | None) -> PublishedMgNO:
    """The released layers with the smoothing steps of the released Navier-Stokes setting."""
    return PublishedMgNO(kind, channels=CHANNELS, layers=LAYERS, steps=(1, 1, 1, 2, 2), kernels=(4,) * (LEVELS - 1), size=size)


def ours(boundary: str, separable: int = 2, smoothing: tuple[int, int] = (1, 1), layers: int = LAYERS) -> nn.Module:
    """As many W as the released layers have; the last of ours is linear, where they have a 1 x 1 convolution after it."""
    model = MgNO(1, 1, channels=CHANNELS, layers=layers, levels=LEVELS, boundary=boundary, separable=separable, smoothing=smoothing)
    return model.to(memory_format=torch.channels_last)


def models() -> dict[str, nn.Module]:
    return {
        LINEAR: published("MgNO_DC", None),
        "the same, channels_last": published("MgNO_DC", None).to(memory_format=torch.channels_last),
        "released, LayerNorm in W (MgNO_NS)": published("MgNO_NS", CELLS),
        "MgNO, Dirichlet": ours("dirichlet"),
        "MgNO, Dirichlet, a sixth W for the 1 x 1": ours("dirichlet", layers=LAYERS + 1),
        "MgNO, periodic": ours("periodic"),
        "MgNO, Dirichlet, dense": ours("dirichlet", 0),
        "MgNO, periodic, dense": ours("periodic", 0),
        "MgNO, Dirichlet, dense, down only": ours("dirichlet", 0, (1, 0)),
        "MgNO, periodic, dense, down only": ours("periodic", 0, (1, 0)),
    }


def milliseconds(model: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Of one forward pass, for each sample."""
    began = time.perf_counter()
    model(x)
    return 1e3 * (time.perf_counter() - began) / len(x)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    work, x = {name: model.eval() for name, model in models().items()}, torch.randn(options.batch, 1, CELLS, CELLS)
    times: dict[str, list[float]] = {name: [] for name in work}
    for repeat in track(range(2 + options.repeats), description="a few seconds"):
        for name, model in work.items():
            took = milliseconds(model, x)
            if repeat > 1:  # the first two warm up
                times[name].append(took)
    medians = {name: float(np.median(t)) for name, t in times.items()}
    table = Table(Column("network", no_wrap=True), "parameters", "ms a sample", "ratio",
                  title=f"{CHANNELS} channels, {LAYERS} layers, {LEVELS} levels, {CELLS} x {CELLS}, batch {options.batch}, one thread")
    for name, ms in medians.items():
        table.add_row(name, f"{sum(p.numel() for p in work[name].parameters()):,}", f"{ms:.1f}", f"{ms / medians[LINEAR]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
