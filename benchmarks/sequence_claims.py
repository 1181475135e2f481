"""What the sequence room proves, row by row: the damped family, the transfer gap, perturb-then-diagonalize, gains.

    python benchmarks/sequence_claims.py [--networks 100]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import scipy.linalg

from wellposed.certificate import certify
from wellposed.sequence import audit, damped_hippo, legs, ptd, transfer_gap
from wellposed.sequence.bank import MERGE, Bank, merging
from wellposed.sequence.gain import Linear, Modes, Pointwise, Residual, System, gain
from wellposed_check.sequence.transfer import REFERENCES, norm

SIZES = (16, 17, 31, 32, 33, 64, 65, 100, 128, 129, 255, 256)


def damped() -> None:
    """Condition, stability, residual and relative transfer error of the closed form."""
    began, worst = time.perf_counter(), np.zeros(4)
    for n in SIZES:
        system, w = legs(n), np.concatenate([[0.0], np.geomspace(1e-2, 20 * n**2, 400)])
        x = REFERENCES["legs"](n).state(w)[0]
        for theta in (0.2, 0.1, 0.05):
            if theta < MERGE * merging(n):
                continue
            bank = damped_hippo(n, theta)
            a = system.normal - (1 - theta) * system.low_rank @ system.low_rank.T
            residual = np.linalg.norm(bank.eigenvectors * bank.eigenvalues - a @ bank.eigenvectors, 2) / np.linalg.norm(a, 2)
            y = bank.eigenvectors @ (bank.B[:, None] / (1j * w - bank.eigenvalues[:, None]))
            relative = (norm(x - y) / norm(x)).max()
            found = (bank.condition / ((2 - theta) / theta), bank.eigenvalues.real.max() + 0.5, residual,
                     relative / (theta / (2 - 2 * theta)))
            worst = np.maximum(worst, found) if n != SIZES[0] or theta != 0.2 else np.array(found)
    print(f"damped PTD, {len(SIZES)} sizes, 3 theta, {time.perf_counter() - began:.1f} s: condition over (2-theta)/theta {worst[0]:.4f}, "
          f"Re + 1/2 {worst[1]:.1e}, relative residual {worst[2]:.1e}, transfer error over its bound {worst[3]:.4f} (each at worst)")


def gaps() -> None:
    """Enclosures, their time, a fine grid beneath them, and unstable banks."""
    for name, theta in (("S4D", 1.0), ("damped .1", 0.1), ("damped .05", 0.05)):
        for n in (16, 32, 64):
            bank = damped_hippo(n, theta)
            began = time.perf_counter()
            lower, upper = transfer_gap(bank)
            took = time.perf_counter() - began
            certificate = audit(bank.eigenvalues, bank.eigenvectors, bank.B)
            began = time.perf_counter()
            status, again = certificate.check().status, time.perf_counter() - began
            w = np.concatenate([-np.geomspace(1e-2, 20 * n**2, 10_000)[::-1], np.geomspace(1e-2, 20 * n**2, 10_000)])
            y = bank.eigenvectors @ (bank.B[:, None] / (1j * w - bank.eigenvalues[:, None]))
            grid = (norm(REFERENCES["legs"](n).state(w)[0] - y) / np.linalg.norm(legs(n).B)).max()
            print(f"gap {name:<11}n={n:<3} [{lower:.7g}, {upper:.7g}] width {upper / lower - 1:.1e}, {took:.2f} s, re-checked in "
                  f"{again:.2f} s{'' if status == certificate.verdict else ', OTHERWISE'}; grid maximum {grid:.7g} "
                  f"{'inside' if grid <= upper else 'ABOVE'}")
    rng, said = np.random.default_rng(0), 0
    for _ in range(1000):
        bank = damped_hippo(16, 0.1)
        values = bank.eigenvalues.copy()
        k = rng.integers(16)
        values[k] = abs(values[k].real) * rng.uniform(0, 1) + 1j * values[k].imag
        try:
            transfer_gap(Bank(values, bank.eigenvectors, bank.B))
        except ValueError as error:
            said += "unstable" in str(error)
    print(f"unstable banks called unstable: {said} of 1,000")


def diagonalizations() -> None:
    """Backward errors of matrices that have no useful diagonalization of their own."""
    n, rng = 64, np.random.default_rng(0)
    grcar = sum(np.eye(n, k=k) for k in range(4)) - np.eye(n, k=-1)
    matrices = {"Jordan": np.eye(n, k=1), "Grcar": grcar, "companion": scipy.linalg.companion(np.r_[1, rng.standard_normal(n)]),
                "Toeplitz": scipy.linalg.toeplitz(rng.standard_normal(n), rng.standard_normal(n)), "LegS": legs(n).matrix()}
    for name, a in matrices.items():
        ratios = {delta: ptd(a, delta).backward_error / delta for delta in (1e-2, 1e-4, 1e-6)}
        found = ptd(a)
        claim = certify(found, a, tol=1e-6).claim("diagonalization")
        print(f"ptd {name:<10} error/delta {', '.join(f'{r:.4f} at {d:g}' for d, r in ratios.items())}; automatic "
              f"{found.backward_error:.1e}, proved [{claim.lower:.1e}, {claim.upper:.1e}], condition {found.condition:.1e}")


def random_system(rng: np.random.Generator, features: int, modes: int, both: bool) -> System:
    def way() -> Modes:
        values = rng.uniform(0.3, 1 - 10 ** -rng.uniform(1, 3), (features, modes)) * np.exp(1j * rng.uniform(0, np.pi, (features, modes)))
        drawn = rng.standard_normal((2, features, modes))
        return Modes(values, residues=(drawn[0] + 1j * drawn[1]) * (1 - abs(values)))

    return System(way(), rng.standard_normal(features), way() if both else None)


def kernel(system: System, length: int) -> np.ndarray:
    """Two-sided impulse response of each feature, lags -(length - 1) to length - 1."""
    def side(way: Modes) -> np.ndarray:
        return np.stack([np.real((way.residues * way.eigenvalues**k).sum(1)) for k in range(length)], 1)

    out = np.zeros((len(system.feedthrough), 2 * length - 1))
    out[:, length - 1 :] = side(system.forward)
    if system.backward is not None:
        out[:, :length] += side(system.backward)[:, ::-1]
    out[:, length - 1] += system.feedthrough
    return out


def gains(count: int) -> None:
    """Brackets, finite horizons against the truth, networks against the largest growth that was found."""
    rng, widths, ratios = np.random.default_rng(0), [], []
    for trial in range(20):
        system = random_system(rng, 3, 8, bool(trial % 2))
        found = gain([system])
        widths.append(found.upper / found.lower - 1)
        for length in (8, 64, 300, 700):
            k = kernel(system, length)
            truth = max(np.linalg.norm(scipy.linalg.toeplitz(row[length - 1 :], row[length - 1 :: -1]), 2) for row in k)
            ratios.append(gain([system], length=length).upper / truth)
    print(f"gain of a layer: bracketed to {max(widths):.1e} at worst of 20; finite horizon over the truth {min(ratios):.4f} to "
          f"{max(ratios):.4f}")
    shares = []
    for _ in range(count):
        system, w = random_system(rng, 3, 4, bool(rng.integers(2))), rng.standard_normal((3, 3)) / 2
        upper = gain([Residual([system, Pointwise("tanh"), Linear(w)]), Linear(w)], length=40).upper
        matrices = [scipy.linalg.toeplitz(row[39:], row[39::-1]) for row in kernel(system, 40)]

        def run(u: np.ndarray, matrices: list = matrices, w: np.ndarray = w) -> np.ndarray:
            inner = np.tanh(np.stack([m @ u[:, k] for k, m in enumerate(matrices)], 1)) @ w.T
            return (u + inner) @ w.T

        step, size = 1e-6, 120
        jacobian = np.stack([(run(step * e.reshape(40, 3)) - run(-step * e.reshape(40, 3))).ravel() / (2 * step) for e in np.eye(size)], 1)
        shares.append(np.linalg.norm(jacobian, 2) / upper)
    print(f"networks: {sum(s > 1 + 1e-6 for s in shares)} of {count} below the growth that was found; that is {np.median(shares):.2f} of "
          f"the bound in the median, {max(shares):.2f} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=100)
    o = parser.parse_args()
    damped()
    gaps()
    diagonalizations()
    gains(o.networks)


if __name__ == "__main__":
    main()
