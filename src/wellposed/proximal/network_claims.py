"""Certificates of networks, of anyone's map, and of the learned prior at an image."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

from wellposed.certificate import Certificate
from wellposed.proximal.evidence import array, describe_network, issued, widened
from wellposed.proximal.exact_prox import ExactProx
from wellposed.proximal.lipschitz import lipschitz
from wellposed.proximal.prior import prior as prior_of
from wellposed_check.proximal import exact_prox, prior
from wellposed_check.statement import Evidence

SIDE, PROBES = 24, 4


@torch.no_grad()
def certify_network(model: ExactProx, image: Tensor | None = None, tol: float | None = None, *, at: Tensor | None = None, seed: int = 0,
                    weights: bytes | str | None = None) -> Certificate:
    """Is this network the exact prox of a prior, and how far can it move images apart? With an image: `certify_prior`.

    Args:
        at: images at which its slope is measured, by default random ones. seed: of these and of the points that tie the certificate to
            the network. weights: of the model, or their SHA-256.

    Raises:
        ValueError: images that the network does not take.
    """
    if image is not None:
        return certify_prior(model, image, 1e-9 if tol is None else tol, weights=weights)
    exact, (parameters, arrays) = model.doubled(), describe_network(model)
    points = _probes(exact, seed) if at is None else at.detach().double()
    exact.check(points)
    arrays |= {"points": array(points[:PROBES]), "images": array(exact(points[:PROBES]))}
    found, requirements = lipschitz(model, points), {"proximal.exact_prox/1": 0.0}
    if found.upper is not None and found.first is not None and found.second is not None:
        arrays |= {"lipschitz.upper": np.array([found.upper]), "lipschitz.lower": np.array([found.lower * (1 - 1e-6)]),
                   "lipschitz.first": array(found.first), "lipschitz.second": array(found.second)}
        requirements |= {"proximal.lipschitz/1": None}
    return issued("proximal.Network", parameters, arrays, requirements, weights, seed, found)


def _probes(model: ExactProx, seed: int) -> Tensor:
    shape = [SIDE if n is None else n for n in model.shape]
    return torch.rand(PROBES, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def certify_map(function: Callable[[Tensor], Tensor], points: Float[Tensor, "batch ..."], seed: int = 0, tol: float = 1e-10) -> Certificate:
    """Can anyone's map be a prox? Only if its Jacobian is symmetric: seen at the points, along random directions. It cannot be proved so.

    Args:
        function: from batches to batches of the same shape, with a derivative; samples do not see each other.
        points: where. seed: of the directions. tol: the relative asymmetry that is still rounding (in float64).

    Raises:
        ValueError: a map that changes the shape, or whose derivative is not finite.
    """
    x, random = points.detach().double(), torch.Generator().manual_seed(seed)
    a, b = (torch.randn(x.shape, generator=random, dtype=torch.float64) for _ in range(2))
    function = _doubled(function)
    ja, jb = (_product(function, x, v) for v in (a, b))
    if ja.shape != x.shape or not bool(torch.isfinite(ja).all() and torch.isfinite(jb).all()):
        raise ValueError(f"map: received products with its derivative of the shape {tuple(ja.shape)}, or that are not finite, expected "
                         f"{tuple(x.shape)}: a prox maps images to images; certify it where it has a derivative")
    arrays = {"points": array(x), "first": array(a), "second": array(b), "first_product": array(ja), "second_product": array(jb)}
    seen = exact_prox.asymmetry(*(arrays[name] for name in ("first", "second", "first_product", "second_product")))
    arrays["asymmetry"] = np.array([seen * (1 - 1e-6)])
    return issued("proximal.Map", {}, arrays, {"proximal.exact_prox/1": tol}, None, seed)


def _product(function: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> Tensor:
    """Jv, forward."""
    with forward_ad.dual_level():
        value, tangent = forward_ad.unpack_dual(function(forward_ad.make_dual(x, v)))
        return torch.zeros_like(value) if tangent is None else tangent


def _doubled(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A copy in float64 of what has parameters."""
    return copy.deepcopy(function).double().eval() if isinstance(function, torch.nn.Module) else function


@torch.no_grad()
def certify_prior(model: ExactProx, image: Float[Tensor, "batch ..."], tol: float = 1e-9, *, required: float | None = None,
                  weights: bytes | str | None = None) -> Certificate:
    """The learned prior R at an image, or its mean over several, in an interval about `tol` wide.

    Args:
        required: what R is to be at most.

    Raises:
        ValueError: images that the network does not take, or that are not finite.
    """
    model.check(image)
    found = prior_of(model.doubled(), image.detach().double(), tol)
    parameters, arrays = describe_network(model)
    arrays |= {"image": array(image), "point": array(found.point)}
    arrays["prior"] = widened(prior.enclosed, Evidence(parameters, arrays))
    return issued("proximal.Prior", parameters, arrays, {"proximal.prior/1": required}, weights, None, found)
