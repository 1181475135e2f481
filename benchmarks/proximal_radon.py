"""Sums along lines beside deepinv's Tomography: 128 x 128 pixels, 60 angles, float32, one thread.

    python benchmarks/proximal_radon.py [--repeats 15] [--batches 1 8]

Where deepinv cannot be imported here, give the Python of an environment that has it: it runs this script there, with this package's source
on its path, and needs what this package needs beside deepinv (pip install deepinv, then this package's own dependencies):

    python benchmarks/proximal_radon.py --python /path/to/deepinv/bin/python

deepinv imports torchvision, whose wheel from PyPI fails beside torch's for the processor alone ("operator torchvision::nms does not
exist"); the two operators that it looks for are declared here, and never called. Interleaved; medians of the ratios of each round. The
adjoint is tested in the precision that each has: deepinv's is that of automatic differentiation. Exits 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SIZE, ANGLES = 128, 60
TARGETS = {"A": 3.0, "A_adjoint": 8.0}
SOURCE = Path(__file__).resolve().parent.parent / "src"


def peer() -> Any:
    """deepinv's operator, scaled to norm 1 as ours; its rays and its detectors (128 √2) are its own."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import deepinv  # type: ignore[import-not-found]

    print(f"deepinv {deepinv.__version__}, torch {torch.__version__}")
    return deepinv.physics.Tomography(angles=ANGLES, img_width=SIZE, circle=False, normalize=True)


def milliseconds(call: Callable[[Tensor], Tensor], x: Tensor) -> float:
    began = time.perf_counter()
    call(x)
    return 1e3 * (time.perf_counter() - began)


def mismatch(physics: Any, dtype: torch.dtype) -> float:
    """|⟨Ax, y⟩ - ⟨x, Aᵀy⟩| / (‖Ax‖ ‖y‖) for random x, the larger of that for a random y and that for y = Ax."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 1, SIZE, SIZE, generator=generator, dtype=dtype)
    ax = physics.A(x)
    found = []
    for y in (torch.randn(ax.shape, generator=generator, dtype=dtype), ax):
        inner = (ax * y).double().flatten(1).sum(1) - (x * physics.A_adjoint(y)).double().flatten(1).sum(1)
        found.append(float((inner.abs() / (ax.double().flatten(1).norm(dim=1) * y.double().flatten(1).norm(dim=1))).max()))
    return max(found)


def measure(ours: Any, theirs: Any, batch: int, repeats: int) -> list[bool]:
    """Rounds of one call of each; whether each target is met."""
    x = torch.randn(batch, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    good = []
    for name, target in TARGETS.items():
        inputs = [x, x] if name == "A" else [ours.A(x), theirs.A(x)]
        rounds = [[milliseconds(getattr(p, name), y) for p, y in zip((ours, theirs), inputs, strict=True)] for _ in range(repeats + 1)][1:]
        times = np.array(rounds)
        ratio = float(np.median(times[:, 1] / times[:, 0]))
        good.append(ratio >= target)
        print(f"batch {batch:>2}  {name:<10} ours {np.median(times[:, 0]):8.2f} ms   deepinv {np.median(times[:, 1]):8.2f} ms   "
              f"{ratio:6.1f} x as fast (target {target:g}): {'holds' if good[-1] else 'falls short'}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--python", help="of an environment with deepinv")
    options = parser.parse_args()
    if options.python:
        given = ["--repeats", str(options.repeats), "--batches", *(str(b) for b in options.batches)]
        return subprocess.run([options.python, __file__, *given], env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=False).returncode
    torch.set_num_threads(1)
    from wellposed.proximal.physics import Radon

    ours = Radon(SIZE, ANGLES)
    exact = mismatch(ours, torch.float64)
    print(f"adjoint: ours {exact:.1e} in float64 (target 1e-12), {mismatch(ours, torch.float32):.1e} in float32; "
          f"‖A‖² in [{ours.norm_squared[0]:.9f}, {ours.norm_squared[1]:.9f}]")
    if find_spec("deepinv") is None:
        print("deepinv is not installed here: nothing to compare with (see --python)")
        return int(exact > 1e-12)
    theirs = peer()
    print(f"adjoint: deepinv {mismatch(theirs, torch.float32):.1e} in float32; it takes no float64")
    good = [measure(ours, theirs, batch, options.repeats) for batch in options.batches]
    return int(exact > 1e-12 or not all(all(g) for g in good))


if __name__ == "__main__":
    sys.exit(main())
