"""A tone at the input of every S4 layer, on real digits: accuracy of four initializations, alike in all else, over seeds.

    python benchmarks/sequence_tones.py [--steps 250] [--seeds 3] [--inits s4d damped] [--mixing linear] [--dropout 0.1]

The tone is U(0, 1) cos(w D k), D the feature's step size, w where the gap of S4D peaks (325.43 at n = 32); then the worst of 24
frequencies. What the certificate says before training stands beside it. Networks are kept in runs/benchmarks/tones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import wellposed
from wellposed.sequence import SequenceModel, damped_hippo
from wellposed.sequence.exam import initial_certificates, searched, toned
from wellposed.sequence.robustness import accuracy
from wellposed.sequence.tasks import load
from wellposed.sequence.transfer_gap import enclose

STATE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mixing", default="linear")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--inits", nargs="+", default=["s4d", "s5", "published", "damped"])
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    task, peak = load("uci-digits"), abs(enclose(damped_hippo(STATE, 1.0)).peak)
    print(f"real digits, {len(task.train.y)} to train on, {len(task.test.y)} to test; {o.steps} steps; tone at w = {peak:.2f}")
    print(f"{'init':<10}{'seed':>5}{'gap at most':>13}{'holds':>7}{'clean':>8}{'tone':>8}{'worst':>8}  at w")
    for init in o.inits:
        rows = []
        for seed in range(o.seeds):
            torch.manual_seed(seed)
            model = SequenceModel(1, 10, 32, 2, state=STATE, init=init, mixing=o.mixing, dropout=o.dropout)
            claim = initial_certificates(model)[0].claim("initial_transfer_gap")
            wellposed.train(model, (task.train.x, task.train.y), loss="cross_entropy", steps=o.steps, batch=32, lr=0.01, warmup=0.1,
                            seed=seed, threads=o.threads, quiet=True,
                            folder=Path(f"runs/benchmarks/tones/{o.mixing}-{o.dropout:g}-{o.steps}-{init}-{seed}"))
            worst = searched(model, task.test, peak)
            rows.append((accuracy(model, task.test), toned(model, task.test, peak), toned(model, task.test, worst.frequency)))
            print(f"{init:<10}{seed:>5}{claim.upper:>13.5g}{claim.holds!s:>7}" + "".join(f"{100 * x:>8.1f}" for x in rows[-1])
                  + f"  {worst.frequency:.4g}", flush=True)
        clean, tone, worst = 100 * np.mean(rows, 0)
        print(f"{init:<10} mean{'':>20}{clean:>8.1f}{tone:>8.1f}{worst:>8.1f}  with the tone {clean - tone:.1f} points less", flush=True)


if __name__ == "__main__":
    main()
