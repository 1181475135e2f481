"""Is a forged certificate ever accepted? 1,000 certificates, each with numbers, arrays, digests, assumptions, versions changed.

    python benchmarks/tampering.py [--certificates 1000] [--share 0.05]

Three strengths of forger: naive; one who recomputes the document's digest; one who recomputes every digest. What hashes
cannot show (authorship) is named in wellposed.testing.tamper and left out there. Exits 1 if a forgery is accepted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter

import numpy as np
import torch
from reference import BOUNDARIES, cases, potentials
from rich.progress import track

from wellposed import certify
from wellposed.certificate import Certificate
from wellposed.testing import forgeries, outcome


def certificates(count: int, rng: np.random.Generator) -> list[Certificate]:
    """Certificates that hold, about small problems of all kinds, in both arithmetics, with and without a goal."""
    found: list[Certificate] = []
    while len(found) < count:
        for _, problem, kind in cases(8, 1, rng):
            v = potentials(problem, kind, rng)
            weight = _weight(rng, v.shape[0]) if rng.uniform() < 0.3 else None
            arithmetic = str(rng.choice(["margin", "enclosed"]))
            tol = certify(problem, v).claim("energy_error").upper
            found.append(certify(problem, v, 1.1 * tol if tol else None, goal=weight, arithmetic=arithmetic))
            if len(found) == count:
                break
    return found


def _weight(rng: np.random.Generator, samples: int) -> np.ndarray:
    q = rng.standard_normal((samples, 8, 8))
    return q - q.mean((1, 2), keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificates", type=int, default=1000)
    parser.add_argument("--share", type=float, default=0.05, help="of the forgeries of each certificate")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng, counts, accepted = np.random.default_rng(0), Counter(), []
    made = certificates(options.certificates, rng)
    with tempfile.TemporaryDirectory() as folder:
        for certificate in track(made, description="forging and checking"):
            for forgery in forgeries(certificate, rng, options.share):
                result = outcome(forgery.write(folder), certificate)
                counts[forgery.strength, result] += 1
                if result == "accepted":
                    accepted.append(forgery.description)
    print(f"{options.certificates} certificates over {len(BOUNDARIES)} kinds of boundary, {sum(counts.values())} forgeries")
    for strength in ("naive", "document", "full"):
        print(f"{strength:<10}" + "".join(f"{counts[strength, r]:>8} {r}" for r in ("refused", "worse", "accepted")))
    print("\n".join(sorted(set(accepted))))
    sys.exit(bool(accepted))


if __name__ == "__main__":
    main()
