"""The learned prior R = psi* - |.|^2 / 2 at an image, enclosed: p <= R <= p + |f(v) - x|^2 / (2 mu), p = <v, x> - |x|^2 / 2 - psi(v)."""

from __future__ import annotations

from wellposed_check.canonical import demand
from wellposed_check.proximal.evidence import SIGNS, STORED, theorem
from wellposed_check.proximal.network import read_network
from wellposed_check.proximal.rounding import SECOND, UNIT, dot, norm
from wellposed_check.statement import Evidence, Statement


def state(evidence: Evidence, arithmetic: str) -> Statement:
    count = len(evidence.arrays["image"])
    quantity = f"the learned prior R at {'the image' if count == 1 else f'{count} images, the mean'}, up to the constant that psi fixes"
    return theorem(evidence, arithmetic, "prior", quantity, enclosed(evidence), (STORED, SIGNS), "conjugates and strong convexity")


def enclosed(evidence: Evidence, margins: float = 1.0) -> tuple[float, float]:
    """The mean of R, from both sides; `margins` as in decrease."""
    network, x, v = read_network(evidence), evidence.arrays["image"], evidence.arrays["point"]
    demand(x.shape == v.shape, "image and point differ in shape")
    at, (p, lost) = network.both(v), dot(x, v - 0.5 * x)
    lost = SECOND * (lost + 4 * UNIT * (abs(p) + at.psi) + at.psi_error)
    gap = SECOND * (SECOND * norm(at.f - x) + margins * at.f_error) ** 2 / (2 * network.modulus)
    p, wide = p - at.psi, 2 * len(x) * UNIT * float(abs(p - at.psi).mean())
    off = margins * (float(lost.mean()) * SECOND + wide)
    return float(p.mean()) - off, float(p.mean() + gap.mean() * SECOND) + off
