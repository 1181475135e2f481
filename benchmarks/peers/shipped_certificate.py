"""Makes the certificate that ships with the package: the network's answer to the first relief field, refined to 5 percent.

    python benchmarks/peers/shipped_certificate.py src/wellposed/elliptic/data/certificate
"""

from __future__ import annotations

import sys

import torch

from wellposed import certify, refine
from wellposed.elliptic import clamp, load_relief

TOL = 0.05


def main() -> None:
    torch.set_num_threads(1)
    relief = load_relief()
    problem = relief.problem[0]
    refined = refine(problem, clamp(problem, relief.prediction[:1]), TOL)
    certificate = certify(problem, refined.answer, TOL, stream=refined.bound.stream, arithmetic="enclosed")
    print(certificate.save(sys.argv[1]), certificate, sep="\n")


if __name__ == "__main__":
    main()
