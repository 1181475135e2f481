"""What one cycle buys: the compliance enclosure of 4-percent-wrong predictions at 64 x 64, before and after it.

    python benchmarks/one_cycle.py

Answers of PyPI neuraloperator's FNO on relief (they ship with the package), and solutions of contrast-4 fields disturbed
by smooth noise of 4 percent in L2. The stream function is found first; the cycle is on potential and stream function.
"""

from __future__ import annotations

import numpy as np
import torch
from reference import FIELDS, potentials

from wellposed import refine
from wellposed.elliptic import Darcy, clamp, generate, load_relief


def row(name: str, problem: Darcy, answer: np.ndarray) -> None:
    """Widths relative to the compliance after 0, 1, 2 cycles and at the floor: the widest of the batch, and its median after 1."""
    u = np.asarray(problem.solve())
    wrong = np.linalg.norm(answer - u, axis=(1, 2)) / np.linalg.norm(u, axis=(1, 2))
    history = refine(problem, answer, 1e-9).history
    all_widths = [(h.compliance_upper - h.compliance_lower) / h.compliance_lower for h in history]
    before, one, two, floor = (w.max() if (w > 0).all() else np.inf for w in (*all_widths[:3], all_widths[-1]))
    print(f"{name:<26}{len(problem):>8}{wrong.mean():>9.2%}{before:>10.2%}{np.median(all_widths[1]):>10.3%}{one:>10.3%}{two:>10.3%}{floor:>10.3%}")


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'predictions':<26}{'samples':>8}{'L2 wrong':>9}{'before':>10}{'1, median':>10}{'1 cycle':>10}{'2 cycles':>10}{'floor':>10}")
    relief = load_relief()
    near = slice(0, 18)
    row("FNO on relief", relief.problem[near], clamp(relief.problem[near], relief.prediction[near]))
    row("FNO, steeper relief", relief.problem[18:24], clamp(relief.problem[18:24], relief.prediction[18:24]))
    for field in FIELDS:
        problem = generate(field, 64, 16, seed=5)
        row(f"{field}, disturbed", problem, potentials(problem, "4 percent off", np.random.default_rng(0)))


if __name__ == "__main__":
    main()
