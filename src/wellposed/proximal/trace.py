"""What a run leaves for its certificate."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

ALGORITHMS = ("pgd", "admm", "hqs")


@dataclass(frozen=True, eq=False)
class Trace:
    """The iterates of a reconstruction, in float64; images are f of the points, so that the prior is known at each.

    Attributes:
        algorithm: "pgd", "admm" or "hqs". weight: λ of h + λR.
        step: the step size η of PGD; the penalty ρ of ADMM and of half-quadratic splitting.
        points: w_k, (steps + 1, batch, channels, y, x); the iterate is z_k = f(w_k).
        splits: x_k of ADMM and HQS, of the same shape; None of PGD.

    Raises:
        ValueError: an unknown algorithm, numbers that are not positive, shapes that do not fit.
    """

    algorithm: str
    weight: float
    step: float
    points: Float[Tensor, "iterates batch c y x"]
    splits: Float[Tensor, "iterates batch c y x"] | None = None

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise ValueError(f"Trace: received algorithm={self.algorithm!r}, expected one of {', '.join(ALGORITHMS)}")
        if not (self.weight > 0 and self.step > 0):
            raise ValueError(f"Trace: received weight={self.weight!r}, step={self.step!r}, expected positive numbers")
        needs = self.algorithm != "pgd"
        if needs != (self.splits is not None) or (self.splits is not None and self.splits.shape != self.points.shape):
            raise ValueError(f"Trace: received splits {None if self.splits is None else tuple(self.splits.shape)} of {self.algorithm} with "
                             f"points {tuple(self.points.shape)}, expected {'the same shape' if needs else 'None'}")

    def __len__(self) -> int:
        """Steps."""
        return len(self.points) - 1
