"""How far can a prox move two images apart: proved from above by its weights, measured from below at images.

With L the answer, R is (1 - 1/L)-weakly convex, and convex if L <= 1: that is what step sizes above 1/|A|² and global optima ask for.
The upper bound is computed by the checker's own function: see wellposed_check/proximal/lipschitz.py for the theorem. It is of use for
one layer, or one of each scale, where it is within a factor of two or so of what is measured; with squared readouts of layers that see
others there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.evidence import SLACK, describe_network
from wellposed.proximal.exact_prox import ExactProx
from wellposed.proximal.sums import column, norm
from wellposed_check.proximal import lipschitz as claim
from wellposed_check.proximal.network import read_network
from wellposed_check.statement import Evidence

STEP = 1e-4
"""Between the images of a pair, whose difference is the direction that power iteration found."""


@dataclass(frozen=True, eq=False)
class Lipschitz:
    """What is known of the least L with |f(x) - f(y)| <= L |x - y| for all x and y.

    Attributes:
        upper: proved for images of every size, or None.
        lower: the steepest slope that was measured, between `first` and `second`, (1, ...); 0 if nothing was measured.
    """

    upper: float | None
    lower: float = 0.0
    first: Tensor | None = None
    second: Tensor | None = None

    @property
    def weak_convexity(self) -> float:
        """The least ρ for which R + ρ|·|²/2 is proved to be convex: 1 without an upper bound."""
        return 1.0 if self.upper is None else max(0.0, 1 - 1 / self.upper)

    def __str__(self) -> str:
        proved = "no upper bound" if self.upper is None else f"at most {self.upper:.4g} (proved)"
        seen = f", at least {self.lower:.4g} (measured)" if self.first is not None else ""
        return f"Lipschitz constant {proved}{seen}; R is {self.weak_convexity:.4g}-weakly convex"


def lipschitz_bound(model: ExactProx) -> float | None:
    """An upper bound of the Lipschitz constant of the prox, for images of every size, or None where the theorem gives none."""
    found = claim.bound(read_network(Evidence(*describe_network(model))))
    return None if found is None else found * (1 + SLACK)


@torch.no_grad()
def lipschitz(model: ExactProx, images: Float[Tensor, "batch ..."] | None = None, steps: int = 30, seed: int = 0) -> Lipschitz:
    """The bound, and what the Jacobian reaches at images: a lower bound, however many there are.

    Args:
        images: where to measure; by default nowhere. steps: of power iteration.
    """
    if images is None:
        return Lipschitz(lipschitz_bound(model))
    exact, y = model.doubled(), images.double()
    direction = steepest(exact, y, steps, seed)
    second = y + STEP * direction
    slopes = norm(exact(second) - exact(y)) / norm(second - y)
    best = int(slopes.argmax())
    return Lipschitz(lipschitz_bound(model), float(slopes[best]), y[best : best + 1], second[best : best + 1])


def steepest(model: ExactProx, y: Float[Tensor, "batch ..."], steps: int, seed: int = 0) -> Float[Tensor, "batch ..."]:
    """Unit vectors near the first eigenvectors of the Jacobian at each image, by power iteration."""
    v = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed), dtype=y.dtype)
    jacobian = model.linearize(y)
    for _ in range(steps):
        v = v / column(norm(v), v)
        v = jacobian @ v
    return v / column(norm(v), v)
