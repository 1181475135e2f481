"""What is asked of a trained prior on images that it has never seen: does it denoise, and which images does it think likely?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.baselines import oracle, psnr, total_variation, wavelet_shrinkage
from wellposed.proximal.conformal import ConformalSet, measured
from wellposed.proximal.inversion import invert
from wellposed.proximal.physics import Blur, Mask, gaussian
from wellposed.proximal.prior import Prior, bracket
from wellposed.proximal.problem import Inverse

Images = Float[Tensor, "batch c y x"]
GRID = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the weights that the oracle tries, in standard deviations of the noise."""
NEAR = 1e-6
"""To what residual images are inverted, for brackets of about its square over 2μ."""
DENSE = 256
"""Numbers of an image up to which the whole spectrum of the Jacobian is computed."""


@dataclass(frozen=True, eq=False)
class Denoised:
    """Noisy images, and what becomes of them.

    Attributes:
        answers: of the network, and of classical methods whose weights an oracle has tuned on these very images.
    """

    clean: Images = field(repr=False)
    noisy: Images = field(repr=False)
    answers: Mapping[str, Images] = field(repr=False)

    @property
    def psnr(self) -> dict[str, float]:
        """The mean over images, in dB."""
        return {name: float(psnr(x, self.clean).mean()) for name, x in {"noisy": self.noisy, **self.answers}.items()}


@torch.no_grad()
def denoise(model: Any, clean: Images, noisy: Images, sigma: float) -> Denoised:
    """By the network, by total variation and by wavelets; all in float64."""
    problem, grid = Inverse(Mask(torch.ones(clean.shape[1:])), noisy, sigma), [sigma * r for r in GRID]
    answers = {"network": model.doubled()(noisy)}
    for name, method in classical(problem).items():
        answers[name] = oracle(method, clean, grid, halvings=1).image
    return Denoised(clean, noisy, answers)


def classical(problem: Inverse) -> dict[str, Callable[[float], Tensor]]:
    """Weight -> images, by name; wavelets only where sides can be halved."""
    found: dict[str, Callable[[float], Tensor]] = {"total variation": lambda w: total_variation(problem, w)}
    if all(n % 2 == 0 for n in problem.physics.image_shape[-2:]):
        found["wavelets"] = lambda w: wavelet_shrinkage(problem, w)
    return found


@dataclass(frozen=True, eq=False)
class Ordered:
    """The prior of clean images, of the same with noise, and blurred; enclosed."""

    clean: Prior
    noisy: Prior
    blurred: Prior

    @property
    def images(self) -> int:
        return len(self.clean.lower)

    @property
    def below_noisy(self) -> int:
        """How many clean images are proved to have a lower R than when noisy."""
        return int((self.clean.upper < self.noisy.lower).sum())

    @property
    def below_blurred(self) -> int:
        """How many are proved to have a lower R than when blurred."""
        return int((self.clean.upper < self.blurred.lower).sum())

    @property
    def widest(self) -> float:
        """Of all brackets."""
        return max(float(p.width.max()) for p in (self.clean, self.noisy, self.blurred))


def order(model: Any, clean: Images, noisy: Images, width: float = 1.0) -> Ordered:
    """`width`: standard deviation of the Gaussian blur, in pixels."""
    return Ordered(*(model.prior(x) for x in (clean, noisy, blurred(clean, width))))


@dataclass(frozen=True, eq=False)
class Path:
    """R along a family of images.

    Attributes:
        name: of the family. parameter: what `at` is. lower, upper: (points, images).
    """

    name: str
    parameter: str
    at: Sequence[float]
    lower: Float[Tensor, "points images"]
    upper: Float[Tensor, "points images"]


def paths(model: Any, clean: Images, sigma: float, points: int = 9, seed: int = 0) -> list[Path]:
    """From each image but the last to the next along a straight line, with growing noise, and with growing blur."""
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed), dtype=clean.dtype)
    ends, share = torch.roll(clean, -1, 0), torch.linspace(0, 1, points, dtype=clean.dtype).tolist()
    families: list[tuple[str, str, float, Callable[[float], Tensor]]] = [
        ("Between two images", "t of (1 - t) x + t x'", 1.0, lambda t: (1 - t) * clean + t * ends),
        ("With growing noise", "standard deviation of the noise", 2 * sigma, lambda s: clean + s * noise),
        ("With growing blur", "standard deviation of the blur, pixels", 2.0, lambda s: blurred(clean, s))]
    found, exact = [], model.doubled()
    for name, parameter, end, image in families:
        at = [end * s for s in share]
        found.append(Path(name, parameter, at, *_enclosed(exact, [image(s) for s in at])))
    return found


def _enclosed(exact: Any, images: Sequence[Images]) -> tuple[Tensor, Tensor]:
    """Both ends of R at one batch after the other, each inverse beginning where the last one led."""
    rows, point = [], images[0]
    for before, x in zip((images[0], *images), images, strict=False):
        found = bracket(exact, x, invert(exact, x, NEAR, point + x - before).point)
        rows.append((found.lower, found.upper))
        point = found.point
    lower, upper = (torch.stack(ends) for ends in zip(*rows, strict=True))
    return lower, upper


def blurred(images: Images, width: float) -> Images:
    """By a Gaussian; the same for a width of 0."""
    return images if width == 0 else Blur(gaussian(width, min(images.shape[-2:])), images.shape[1:]).A(images)


@torch.no_grad()
def spectra(model: Any, images: Images) -> Float[Tensor, "images n"] | None:
    """All eigenvalues of the Jacobian at each image, falling; None for large images."""
    n = images[0].numel()
    if n > DENSE:
        return None
    exact, unit = model.doubled(), torch.eye(n, dtype=torch.float64).view(n, *images.shape[1:])
    rows = [(exact.linearize(x.expand_as(unit)) @ unit).reshape(n, n) for x in images.double()]
    return torch.stack([torch.linalg.eigvalsh(0.5 * (j + j.T)).flip(0) for j in rows])


@dataclass(frozen=True, eq=False)
class Covered:
    """A conformal set on test images that it was not calibrated with.

    Attributes:
        radius, error: (test,), of the set around f(y), and |f(y) - x|.
        expected: between how many of the test images are covered if the guarantee is true, with a probability of 99.9 %.
    """

    conformal: ConformalSet
    radius: Float[Tensor, " test"] = field(repr=False)
    error: Float[Tensor, " test"] = field(repr=False)
    expected: tuple[int, int]

    @property
    def count(self) -> int:
        return int((self.error <= self.radius).sum())


@torch.no_grad()
def cover(model: Any, clean: Images, noisy: Images, level: float, seed: int = 0) -> Covered:
    """Calibrated with the first half of the images, tested with the other."""
    half, exact = len(clean) // 2, model.doubled()
    found = ConformalSet.calibrate(exact, noisy[:half], clean[:half], level, seed=seed)
    error, difficulty = measured(exact, noisy[half:], clean[half:], seed, found.probes)
    group = found.group(difficulty)
    return Covered(found, found.radius_of(difficulty), error, found.expected([int((group == k).sum()) for k in range(found.count)]))
