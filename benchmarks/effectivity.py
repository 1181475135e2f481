"""How sharp is the bound? eta over the true energy error, for a solver's answer with the stream function found by cycles.

    python benchmarks/effectivity.py [--samples 8] [--cells 64]

The true error comes from a mesh eight times finer, by its lower end, so that the ratios are from above.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from reference import FIELDS, reference
from rich.progress import track

from wellposed.elliptic import Darcy, bound, generate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--cells", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    n, rows = options.cells, [(f, c) for c in (4.0, 100.0, 1e4) for f in FIELDS]
    print(f"{'field':<14}{'contrast':>9}{'median':>9}{'largest':>9}{'bound, relative':>17}")
    for field, contrast in track([*rows, ("checkerboard", 100.0), ("checkerboard", 1e4)], description="about 4 minutes"):
        if field == "checkerboard":
            problem = Darcy(np.where(np.indices((n, n)).sum(0) // 4 % 2 == 1, contrast, 1.0)[None])
        else:
            problem = generate(field, n, options.samples, seed=11, contrast=contrast)
        ratios, sizes = [], []
        for k in range(len(problem)):
            u = problem[k].solve()
            b = bound(problem[k], u)
            ratios.append(float(b.eta[0] / np.sqrt(reference(problem[k], u).error2_lower[0])))
            sizes.append(float(b.relative[0]))
        print(f"{field:<14}{contrast:>9g}{np.median(ratios):>9.3f}{max(ratios):>9.3f}{np.median(sizes):>17.2%}", flush=True)


if __name__ == "__main__":
    main()
