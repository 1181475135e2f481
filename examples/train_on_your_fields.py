"""Train on fields of your own, ask about one that the operator has not seen, and let the guard decide whether to trust the answer.

    python examples/train_on_your_fields.py
"""

import numpy as np
import torch

import wellposed
from wellposed.elliptic import Darcy, MgNO

SIDES = {"left": "dirichlet", "right": "dirichlet", "bottom": "neumann", "top": "neumann"}


def layers(samples: int, n: int, seed: int) -> np.ndarray:
    """Stands for your data: tilted sediment layers, permeabilities from 0.3 to 3."""
    draw = np.random.default_rng(seed)
    y, x = (np.arange(n)[:, None] + 0.5) / n, (np.arange(n) + 0.5) / n
    tilt, phase, count = draw.uniform(-0.5, 0.5, samples), draw.uniform(0, 1, samples), draw.integers(3, 7, samples)
    depth = (y + tilt[:, None, None] * x + phase[:, None, None]) * count[:, None, None]
    values = np.exp(draw.uniform(np.log(0.3), np.log(3), (samples, 20)))
    return np.take_along_axis(values, (np.floor(depth).astype(int) % 20).reshape(samples, -1), axis=1).reshape(depth.shape)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = MgNO.darcy(SIDES, channels=16, levels=4)
    run = wellposed.train(model, Darcy(layers(200, 32, seed=0), 1.0, SIDES), steps=200, threads=1, folder="runs/layers")

    unseen = Darcy(layers(20, 32, seed=1), 1.0, SIDES)
    guarded = wellposed.guard(run.model, tol=0.2)(unseen)
    print(f"20 unseen fields: {guarded}; largest proved error {guarded.value.max():.1%}")
    print(guarded.certificate(0))


if __name__ == "__main__":
    main()
