"""Is A_adjoint the transpose of A?"""

from __future__ import annotations

import torch
from torch import Tensor

from wellposed.proximal.physics.protocol import Physics


def adjoint_test(physics: Physics, trials: int = 8, seed: int = 0) -> float:
    """The largest |⟨Ax, y⟩ - ⟨x, Aᵀy⟩| / (‖Ax‖ ‖y‖), of `trials` random x, each with a random y and with y = Ax; in float64.

    About 1e-16 for an adjoint (1e-7 for one computed in float32), about one for filtered back-projection. y = Ax finds what a random y
    hides: a wrong scale changes ⟨x, Aᵀy⟩ by a share of ‖Ax‖² there, of ‖Ax‖ ‖y‖ / √m here.

    Raises:
        ValueError: fewer than one trial.
    """
    if trials < 1:
        raise ValueError(f"trials: received {trials}, expected at least 1")
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(trials, *physics.image_shape, generator=generator, dtype=torch.float64)
    y = torch.randn(trials, *physics.measurement_shape, generator=generator, dtype=torch.float64)
    ax = physics.A(x)
    return max(_mismatch(physics, x, ax, other) for other in (y, ax))


def _mismatch(physics: Physics, x: Tensor, ax: Tensor, y: Tensor) -> float:
    inner = (ax * y).flatten(1).sum(1) - (x * physics.A_adjoint(y)).flatten(1).sum(1)
    sizes = ax.flatten(1).norm(dim=1) * y.flatten(1).norm(dim=1)
    return float((inner.abs() / sizes.clamp(min=1e-300)).max())


def require_adjoint(physics: Physics, tol: float = 1e-10, trials: int = 2, seed: int = 0) -> None:
    """Whether the adjoint test stays below `tol`.

    Raises:
        ValueError: it does not.
    """
    found = adjoint_test(physics, trials, seed)
    if not found <= tol:  # NaN too
        raise ValueError(f"A_adjoint: received a map with |⟨Ax, y⟩ - ⟨x, Aᵀy⟩| = {found:.1e} ‖Ax‖ ‖y‖, expected at most {tol:.0e}, that is "
                         "the transpose of A; filtered back-projection and other approximate inverses are not: give the exact adjoint")
