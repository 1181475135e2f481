"""Sets that hold the truth with a stated probability, whatever the model: split conformal prediction, in groups of predicted difficulty.

The score of an image x seen as y is |f(y) - x| / (tr J(y))^(p/2). For an f of least mean square error σ² J is the covariance of what is
not known, and p = 1; for another a pilot set shows by which p easy and hard images have equal scores. The trace is estimated with the same
random signs for all images (Hutchinson), a rule that is fixed beforehand: images stay exchangeable, however bad the estimate. What is
guaranteed, and how groups are formed, is in docs/theorems/proximal.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import stats
from torch import Tensor

from wellposed.certificate import Certificate, issue, provenance
from wellposed.proximal.sums import dot, norm
from wellposed_check.canonical import digest_array, encode
from wellposed_check.proximal.coverage import Group, grouped, outward

CHUNK = 256


@dataclass(frozen=True, eq=False)
class ConformalSet:
    """Balls {x: |f(y) - x| <= radius(y)} around what the model makes of y.

    Attributes:
        model: f. level: of coverage. seed, probes: of the random signs.
        scores, difficulties: of the calibration, (n,), numpy arrays.
        items: digests of its clean images. training: of those that the model was trained on, or None where they are not known.
        count: of groups. power: p.
    """

    model: Any
    level: float
    seed: int
    probes: int
    scores: np.ndarray
    difficulties: np.ndarray
    items: tuple[str, ...]
    training: tuple[str, ...] | None
    count: int
    power: float = 1.0

    @classmethod
    def calibrate(cls, model: Any, noisy: Float[Tensor, "images ..."], clean: Float[Tensor, "truths ..."], level: float = 0.9,
                  groups: int = 2, seed: int = 0, *, probes: int = 4, training: Float[Tensor, "others ..."] | None = None,
                  pilot: tuple[Tensor, Tensor] | None = None) -> ConformalSet:
        """From images that the model was not trained on, with the noise that it is to be used for.

        Args:
            model: an LPN, or anything with `forward` and `linearize`.
            level: of coverage, 0.9 for nine of ten. groups: of predicted difficulty, each of which gets its own radius.
            probes: products with the Jacobian that each trace takes.
            training: clean images of the training, to make sure that none of them is used again.
            pilot: other images, (noisy, clean), to which p is fitted; they may be of the training. What is guaranteed does not depend on
                them, but how evenly easy and hard images are covered does.

        Raises:
            ValueError: shapes that differ, numbers that are not finite, too few images for the level, the same image twice, an image of
                the training, several images of the difficulty at which groups end.
        """
        if noisy.shape != clean.shape or len(noisy) == 0 or not (torch.isfinite(noisy).all() and torch.isfinite(clean).all()):
            raise ValueError(f"ConformalSet: received noisy images {tuple(noisy.shape)} and clean ones {tuple(clean.shape)}, expected the "
                             "same shape, at least one image, and finite numbers")
        if not 0 < level < 1 or not 1 <= groups <= len(noisy) or probes < 1:
            raise ValueError(f"ConformalSet: received level={level!r}, groups={groups!r}, probes={probes!r}, expected a level between 0 "
                             f"and 1, from 1 to {len(noisy)} groups, and at least one probe")
        items, kept = digests(clean), None if training is None else tuple(sorted(set(digests(training))))
        _disjoint(items, kept)
        power = 1.0 if pilot is None else fitted_power(*measured(model, *pilot, seed, probes), level)
        errors, spread = (x.cpu().numpy() for x in measured(model, noisy, clean, seed, probes, power))
        made = cls(model, float(level), seed, probes, errors / spread, spread, items, kept, groups, power)
        short = [g for g in made.groups if g.k > g.n]
        if short:
            least = math.ceil(Fraction(repr(made.level)) / (1 - Fraction(repr(made.level))))
            raise ValueError(f"ConformalSet: received {short[0].n} images in a group, expected at least {least} for the level {level}; "
                             "calibrate with more images, fewer groups or a lower level")
        return made

    @cached_property
    def groups(self) -> list[Group]:
        """Least difficult first, each with its quantile, n and k."""
        return grouped(self.scores, self.difficulties, self.count, self.level)

    def difficulty(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
        """(tr J(y))^(p/2), the trace estimated."""
        return torch.cat([_spread(self.model, each, self.seed, self.probes, self.power) for each in y.split(CHUNK)])

    def group(self, difficulty: Float[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Which group images of such difficulty fall into."""
        edges = torch.tensor([g.above for g in self.groups[1:]], dtype=torch.float64, device=difficulty.device)
        return torch.searchsorted(edges, difficulty, right=True)

    def radius(self, y: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
        """Of the ball around model(y)."""
        return self.radius_of(self.difficulty(y))

    def radius_of(self, difficulty: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """As `radius`, from what `difficulty` gives; infinite at a difficulty at which groups end: for such images nothing is proved."""
        quantiles, edges = (torch.tensor(x, dtype=torch.float64, device=difficulty.device)
                            for x in ([g.quantile for g in self.groups], [g.above for g in self.groups[1:]]))
        return (quantiles[self.group(difficulty)] * difficulty).masked_fill(torch.isin(difficulty, edges), torch.inf)

    def covers(self, x: Float[Tensor, "batch ..."], y: Float[Tensor, "batch ..."]) -> Bool[Tensor, " batch"]:
        """Whether the truth x lies in the set of y."""
        errors, difficulty = measured(self.model, y, x, self.seed, self.probes, self.power)
        return errors <= self.radius_of(difficulty)

    def law(self, tested: Sequence[int]) -> np.ndarray:
        """P(just so many are covered) for so many independent test images in each group: beta-binomial laws, and their convolution."""
        total = np.ones(1)
        for g, m in zip(self.groups, tested, strict=True):
            total = np.convolve(total, stats.betabinom.pmf(np.arange(m + 1), m, g.k, g.n + 1 - g.k))
        return total

    def expected(self, tested: Sequence[int], mass: float = 0.999) -> tuple[int, int]:
        """The central interval of that law: of how many test images are covered if the guarantee is true."""
        below = np.cumsum(self.law(tested))
        tail = 0.5 * (1 - mass)
        return int(np.searchsorted(below, tail, side="right")), int(np.searchsorted(below, 1 - tail))

    def __str__(self) -> str:
        rows = [f"conformal sets of level {self.level:g} from {len(self.scores)} images, {self.count} groups of predicted difficulty"]
        rows += [f"  difficulty {g.above:.4g} to {g.below:.4g}: {g.n} images, |f(y) - x| <= {g.quantile:.4g} (tr J)^{self.power / 2:.3g}, "
                 f"covers {float(1 - g.missed):.4f} of new images" for g in self.groups]
        return "\n".join(rows)


def certify_coverage(problem: ConformalSet, answer: None = None, tol: float | None = None, **_: Any) -> Certificate:  # noqa: ARG001
    """The guarantee, as a certificate: scores and difficulties are its witness.

    Args:
        tol: largest probability of a miss that is asked for; by default what the level leaves.
    """
    groups = problem.groups
    asked = max(outward(g.missed, np.inf) for g in groups) if tol is None else tol
    parameters = {"level": encode(problem.level), "groups": problem.count, "items": list(problem.items),
                  "training": None if problem.training is None else list(problem.training)}
    return issue("proximal.Coverage", parameters, {"scores": problem.scores, "difficulties": problem.difficulties},
                 {"proximal.coverage/1": asked}, "margin", provenance(seed=problem.seed), problem)


def digests(images: Float[Tensor, "batch ..."]) -> tuple[str, ...]:
    """SHA-256 of each image's numbers."""
    return tuple(digest_array(x) for x in images.detach().cpu().numpy())


def _disjoint(items: tuple[str, ...], training: tuple[str, ...] | None) -> None:
    if len(set(items)) < len(items):
        raise ValueError(f"clean: received {len(items) - len(set(items))} images more than once, expected each once; leave copies out")
    again = set(items) & set(training or ())
    if again:
        raise ValueError(f"clean: received {len(again)} images of the training, expected none: the model knows them; hold others out")


@torch.no_grad()
def measured(model: Any, y: Float[Tensor, "batch ..."], x: Float[Tensor, "batch ..."], seed: int, probes: int,
             power: float = 1.0) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """|f(y) - x| and the difficulty of y, in float64."""
    parts = [(norm(model(noisy) - clean).double(), _spread(model, noisy, seed, probes, power))
             for noisy, clean in zip(y.split(CHUNK), x.split(CHUNK), strict=True)]
    errors, difficulties = (torch.cat(p) for p in zip(*parts, strict=True))
    return errors, difficulties


def fitted_power(errors: Float[Tensor, " images"], spread: Float[Tensor, " images"], level: float) -> float:
    """The p in 0 to 4 for which errors / spread^p have the same quantile in the easy half and in the hard one, spread = (tr J)^½."""
    middle, low, high = spread.median(), 0.0, 4.0
    hard = spread > middle
    if not bool(hard.any()):
        return 1.0
    for _ in range(30):
        p = 0.5 * (low + high)
        scores = errors / (spread / middle) ** p
        low, high = (p, high) if scores[hard].quantile(level) > scores[~hard].quantile(level) else (low, p)
    return 0.5 * (low + high)


@torch.no_grad()
def _spread(model: Any, y: Tensor, seed: int, probes: int, power: float) -> Float[Tensor, " batch"]:
    """(tr J)^(p/2) by Hutchinson's estimate, with signs that depend on the seed and on the shape of an image alone."""
    generator, jacobian, total = torch.Generator().manual_seed(seed), model.linearize(y), 0.0
    for _ in range(probes):
        signs = 2.0 * torch.randint(2, y.shape[1:], generator=generator) - 1
        v = signs.to(y.device, y.dtype).expand_as(y)
        total = total + dot(v, jacobian @ v) / probes
    return torch.as_tensor(total).double() ** (0.5 * power)
