"""How the loss of proximal matching changes while training: a robust start, γ from wide to narrow, then the γ that was asked for."""

from __future__ import annotations

from typing import Any

from torch import nn

from wellposed.proximal.proximal_matching import Absolute, Penalty, ProximalMatching, Square

WARM, REACHED = 0.1, 0.6
"""Parts of the steps: before the first the loss is that of the start, from the second on γ is the one that was asked for."""
WIDER = 8.0
"""γ begins so many times wider, as published (Fang, Buchanan and Sulam 2024), or at the size of the noise where that is more."""
NAMED: dict[str, type[Absolute] | type[Square]] = {"l1": Absolute, "l2": Square}


class Annealed:
    """The penalty of each step, which depends on (step, steps) alone.

    Args:
        target: γ is annealed towards that of proximal matching; another penalty stays as it is.
        start: in the first steps of proximal matching. size: |noise|, about the largest residual.
    """

    def __init__(self, target: Penalty, start: Penalty, size: float) -> None:
        self.target, self.start, self.size, self.now = target, start, size, target

    def begin(self, step: int, steps: int) -> None:
        """Choose the penalty of a step."""
        if isinstance(self.target, ProximalMatching):
            self.now = self.start if step < WARM * steps else ProximalMatching(self.gamma(step / steps))

    def gamma(self, part: float) -> float:
        """γ after a part of the steps: geometric in between."""
        assert isinstance(self.target, ProximalMatching)
        last = self.target.gamma
        wide, gone = max(WIDER * last, self.size), min(max((part - WARM) / (REACHED - WARM), 0.0), 1.0)
        return wide ** (1 - gone) * last**gone

    def of(self, network: nn.Module) -> Penalty:
        """The penalty of this step, or, where a network is judged, the one that was asked for."""
        return self.now if network.training else self.target


def penalty(loss: Any) -> Penalty:
    """From its name, or as it was given.

    Raises:
        ValueError: another loss.
    """
    if loss is None or (isinstance(loss, str) and loss in NAMED):
        return NAMED[loss or "l2"]()
    if not isinstance(loss, ProximalMatching | Absolute | Square):
        raise ValueError(f"train: received loss={loss!r} for denoising, expected 'l1', 'l2' or ProximalMatching(gamma)")
    return loss
