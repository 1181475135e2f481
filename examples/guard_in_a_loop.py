"""A model in a loop of one's own, behind a guard: only answers that are proved to 5 percent in energy leave it.

    python examples/guard_in_a_loop.py
"""

import numpy as np

from wellposed import guard
from wellposed.elliptic import Darcy, generate


def cheap_model(problem: Darcy) -> np.ndarray:
    """Stands for a network: the solution on a mesh four times coarser, interpolated."""
    a = problem.coefficient.numpy()
    n = problem.n // 4
    coarse = Darcy(a.reshape(len(a), n, 4, n, 4).mean((2, 4))).solve()
    nodes, fine = np.linspace(0, 1, n + 1), np.linspace(0, 1, problem.n + 1)
    rows = np.stack([[np.interp(fine, nodes, row) for row in u] for u in coarse])
    return np.stack([[np.interp(fine, nodes, column) for column in u.T] for u in rows]).transpose(0, 2, 1)


def main() -> None:
    model = guard(cheap_model, tol=0.05)
    for batch in range(4):
        problem = generate(("smooth", "two-phase", "lognormal", "multiscale")[batch], 64, 8, seed=batch)
        guarded = model(problem)
        print(f"batch {batch}: {guarded}; largest proved error {guarded.value.max():.2%}")
    print(f"all: {dict(model.counts)}, {model.rate:.0f} guaranteed answers per second")
    print(guarded.certificate(0))


if __name__ == "__main__":
    main()
