"""Is the bound ever wrong? 1,000 samples against a two-sided reference on a mesh eight times finer.

    python benchmarks/bound_reference.py [--samples 4] [--cells 16]

Four fields with contrast 4, 100 and 10^4, checkerboards, six kinds of boundary, answers of a solver, 4 percent off, and
random; and the answers of PyPI neuraloperator's FNO that ship with the package. A violation is a bound below the lower
end of the true error, or a compliance enclosure that misses the reference's.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np
import torch
from reference import BOUNDARIES, Reference, cases, potentials, reference
from rich.progress import track

from wellposed.elliptic import Bound, bound, clamp, load_relief


def violations(b: Bound, truth: Reference) -> int:
    """How many samples of a batch have a bound that is wrong."""
    low = b.eta**2 < truth.error2_lower
    outside = (b.compliance_lower > truth.compliance_upper) | (b.compliance_upper < truth.compliance_lower)
    return int((low | outside).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=5, help="per field, contrast, boundary and kind of answer")
    parser.add_argument("--cells", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng, counts, wrong, worst = np.random.default_rng(0), defaultdict(int), defaultdict(int), defaultdict(list)
    total = len(BOUNDARIES) * 13 * 3
    for name, problem, kind in track(cases(options.cells, options.samples, rng), total=total, description="about 3 minutes"):
        v = potentials(problem, kind, rng)
        b, truth = bound(problem, v), reference(problem, v)
        counts[name] += len(problem)
        wrong[name] += violations(b, truth)
        worst[name] += list(b.eta / np.sqrt(truth.error2_upper))
    relief = load_relief()
    for k in range(len(relief.problem)):
        problem = relief.problem[k]
        v = clamp(problem, relief.prediction[k : k + 1])
        b, truth = bound(problem, v), reference(problem, v)
        counts["FNO on relief"] += 1
        wrong["FNO on relief"] += violations(b, truth)
        worst["FNO on relief"] += list(b.eta / np.sqrt(truth.error2_upper))
    print(f"{'field, contrast':<22}{'samples':>8}{'violations':>12}{'smallest bound / error':>25}")
    for name in counts:
        print(f"{name:<22}{counts[name]:>8}{wrong[name]:>12}{min(worst[name]):>25.4f}")
    print(f"{'all':<22}{sum(counts.values()):>8}{sum(wrong.values()):>12}")


if __name__ == "__main__":
    main()
