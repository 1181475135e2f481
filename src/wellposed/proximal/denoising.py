"""Denoising: what a proximal network learns a prior from. Clean vectors or images, and Gaussian noise that is drawn afresh in each step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from wellposed.proximal import growth
from wellposed.proximal.annealing import Annealed, penalty
from wellposed.proximal.images import Patches, Views, as_images, read_images
from wellposed.proximal.laws import Law, Product, strata, stratified
from wellposed.proximal.pairing import Pairs, paired
from wellposed.proximal.problem import number
from wellposed.proximal.proximal_matching import Absolute, Penalty, ProximalMatching, Square
from wellposed.training import Objective
from wellposed.training.data import Arrays, digest_batch
from wellposed.training.losses import name_of
from wellposed.training.objectives import floating

VECTORS = {"lr": 1e-2, "betas": (0.9, 0.99)}
IMAGES = {"batch": 16, "lr": 3e-3, "clip": 0.1}
"""What training takes where the caller does not say."""
PATCH = 48
"""Pixels of a side."""
PAIRED, NOISY = 32, 1 / 16
"""Vectors of at most so many entries are each paired with all clean ones of a batch, of which such a part is then made noisy (in one
dimension all are, and such a part is kept); longer ones are all made noisy."""


class Denoising:
    """Learn from clean data + σ times standard normal noise what they were.

    Args:
        clean: vectors (samples, dim) or numbers (samples,); images (samples, channels, y, x), (samples, y, x), or a list of them of
            several sizes, of bytes or of floating numbers about 0 to 1; the path of a folder of images; or a law
            (`wellposed.proximal.laws`), whose samples have no end.
        sigma: of the noise, in units of the clean data; images of bytes stand for 0 to 1.
        channels: of the images of a folder.

    Raises:
        ValueError: σ not positive, no data, numbers that are not finite. FileNotFoundError: no images.
    """

    def __init__(self, clean: Any, sigma: float, channels: int = 1) -> None:
        if not 0 < number(sigma) < math.inf:
            raise ValueError(f"Denoising: received sigma={sigma!r}, expected a positive number: the standard deviation of the noise")
        self.sigma, self.law, self.vectors, self.images = number(sigma), None, None, None
        if isinstance(clean, Product) or (hasattr(clean, "quantile") and not isinstance(clean, Tensor)):
            self.law: Law | Product | None = clean
        elif isinstance(clean, str | Path):
            self.images: list[Tensor] | None = read_images(clean, channels)
        elif not hasattr(clean, "__getitem__") or len(clean) == 0:
            what = "none" if hasattr(clean, "__len__") else repr(clean)
            raise ValueError(f"Denoising: received {what}, expected at least one sample: an array of vectors or images, a list of images, "
                             "a folder, or a law such as wellposed.proximal.laws.Laplace()")
        elif np.ndim(clean[0]) <= 1:
            x = Arrays((clean,), torch.float64, ("samples",)).tensors[0]
            self.vectors: Tensor | None = (x[:, None] if x.ndim == 1 else x).double()
        else:
            self.images = as_images(clean)

    def vectors_of(self, step: int, seed: int, draws: int) -> Float[Tensor, "draws dim"]:
        """Clean vectors of a step. Those of one dimension fill their law evenly, which lowers the variance."""
        rng = np.random.default_rng([seed, step, 0])
        if self.law is not None:
            return stratified(self.law, draws, rng)
        assert self.vectors is not None
        n, dim = self.vectors.shape
        chosen = (strata(draws, rng) * n).long() if dim == 1 else torch.from_numpy(rng.integers(n, size=draws))
        return self._sorted[chosen]

    @property
    def _sorted(self) -> Tensor:
        assert self.vectors is not None
        if "_in_order" not in self.__dict__:
            self._in_order = self.vectors.sort(0).values if self.vectors.shape[1] == 1 else self.vectors
        return self._in_order


def denoising_objective(problem: Denoising, model: nn.Module, *, loss: Any = None, draws: int = 2048, patch: int = PATCH,
                        bounded: bool = True, turned: bool = True) -> Objective:
    """How a network learns to denoise: by the mean square ("l2", the default), the absolute value ("l1") or proximal matching.

    With ``ProximalMatching(gamma)`` training begins with l1 for vectors and l2 for images, then γ falls to the one asked for.

    Args:
        draws: clean vectors of a step. patch: side of the patches of images, whose loss is a mean over pixels; γ is that of a patch.
        bounded: of images, penalise growth at infinity (`wellposed.proximal.growth`), with which the prior has no lower bound. It costs
            one to three tenths of a dB in denoising, and is worth several where measurements do not see everything.
        turned: whether patches are mirrored and turned at random.

    Raises:
        ValueError: an unknown loss, images smaller than a patch, no draws.
    """
    asked = penalty(loss)
    if problem.images is None:
        if not isinstance(draws, int) or draws < 2:
            raise ValueError(f"train: received draws={draws!r}, expected a whole number of at least 2: the clean vectors of a step")
        return _of_vectors(problem, asked, draws, floating(model))
    return _of_images(problem, asked, Patches(problem.images, patch, turned), bounded, floating(model))


def settings_of(problem: Denoising) -> dict[str, Any]:
    """What training takes where the caller does not say."""
    return VECTORS if problem.images is None else IMAGES


denoising_objective.settings = settings_of  # type: ignore[attr-defined]


def _of_vectors(problem: Denoising, asked: Penalty, draws: int, like: torch.dtype) -> Objective:
    sigma = problem.sigma
    dim = problem.vectors_of(0, 0, 2).shape[1]
    annealed = Annealed(asked, Absolute(), sigma * dim**0.5)

    def drawn(step: int, seed: int) -> Pairs:
        x, rng = problem.vectors_of(step, seed, draws), np.random.default_rng([seed, step, 1])
        count = max(1, round(NOISY * draws)) if dim <= PAIRED else draws
        few = x[:count] if dim > 1 else x
        noise = torch.stack([torch.special.ndtri(strata(len(few), rng)) for _ in range(dim)], 1)
        noisy = few + sigma * noise
        return Pairs((noisy if dim > 1 else _thinned(noisy, count, rng)).to(like), x.to(like))

    def evaluate(network: nn.Module, batch: Pairs) -> Tensor:
        now, answer = annealed.of(network), network(batch.noisy)
        if dim == 1 and network.training and isinstance(now, ProximalMatching):
            steep = where_answers_are_even(batch.noisy, answer.detach())
            batch, answer = Pairs(torch.cat([batch.noisy, steep]), batch.clean), torch.cat([answer, network(steep)])
        return paired(now, answer, batch, sigma) if dim <= PAIRED else now(answer, batch.clean)

    evaluate.__dict__["called"] = name_of(asked)
    known = None if problem.vectors is None else digest_batch((sigma, draws, problem.vectors))
    return Objective(evaluate, sample_on_the_fly=drawn, begin=annealed.begin, name="denoising", fingerprint=known)


def where_answers_are_even(y: Float[Tensor, "outputs 1"], answer: Float[Tensor, "outputs 1"]) -> Float[Tensor, "outputs 1"]:
    """As many noisy numbers more, between these, whose answers are evenly spread by interpolation.

    A jump from one mode to another gets the share that it has of the range of answers. The law of y puts next to none there, so that
    nothing would move a jump once it is steep; at each y the least of the loss is the same whatever the law of y.
    """
    order = y[:, 0].argsort()
    at, f = (t[order, 0].double().cpu().numpy() for t in (y, answer))
    f = np.maximum.accumulate(f)  # ψ is convex, but for rounding; interpolation needs it exactly
    wanted = f[0] + (np.arange(len(f)) + 0.5) / len(f) * (f[-1] - f[0])
    return torch.from_numpy(np.interp(wanted, f, at)).to(y)[:, None]


def _thinned(y: Float[Tensor, "draws 1"], count: int, rng: np.random.Generator) -> Float[Tensor, "count 1"]:
    """So many of them, each as likely as another, that fill their law evenly: little else says where answers jump."""
    places = (np.arange(count) + rng.uniform(0, 1 - 1e-9, count)) * (len(y) / count)
    return y.sort(0).values[torch.from_numpy(places.astype(np.int64))]


def _of_images(problem: Denoising, asked: Penalty, patches: Patches, bounded: bool, like: torch.dtype) -> Objective:
    sigma, pixels = problem.sigma, patches.side**2 * len(patches.images[0])
    annealed = Annealed(asked, Square(), sigma * pixels**0.5)

    def noisy(views: Views, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        x = patches.varied(views, generator).to(like)
        return x + sigma * torch.from_numpy(generator.standard_normal(x.shape, np.float32)).to(like), x

    def evaluate(network: nn.Module, batch: Views | tuple[Tensor, Tensor]) -> Tensor:
        if isinstance(batch, Views):  # of a validation: the same noise each time
            x = patches.cut(batch).to(batch.corners.device, like)
            noise = torch.from_numpy(np.random.default_rng(0).standard_normal(x.shape, np.float32)).to(x)
            return annealed.of(network)(network(x + sigma * noise), x) / pixels
        loss = annealed.of(network)(network(batch[0]), batch[1]) / pixels
        return loss + growth.penalty(network, batch[0] - batch[1]) if bounded else loss

    evaluate.__dict__["called"] = f"{name_of(asked)}, sigma={sigma!r}{', bounded' if bounded else ''}"
    anneals = isinstance(asked, ProximalMatching)
    return Objective(evaluate, patches, begin=annealed.begin if anneals else None, augment=noisy, name="denoising")
