"""Certificates of reconstructions: of anyone's image, and of the run that made one."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from wellposed.certificate import Certificate
from wellposed.proximal.evidence import Arrays, Parameters, array, describe_network, describe_physics, issued, widened
from wellposed.proximal.exact_prox import ExactProx
from wellposed.proximal.inversion import invert
from wellposed.proximal.methods import weight_of
from wellposed.proximal.problem import Array, Inverse
from wellposed.proximal.reconstruct import proximal_model
from wellposed.proximal.trace import Trace
from wellposed_check.canonical import encode
from wellposed_check.proximal import decrease, stationarity
from wellposed_check.proximal.physics import read_operator
from wellposed_check.statement import Evidence

WITNESS = 2**26
"""Bytes of the iterates that a witness keeps: of a longer run those of its last steps."""
FALL, SMALL = 1e-10, 28 * 28
"""What is required of the violation of sufficient decrease."""
NEAR, MARGIN = 1e-12, 1e-12


@torch.no_grad()
def certify_image(problem: Inverse, image: Array, tol: float | None = None, *, prior: Any = None, weight: float | None = None,
                  weights: bytes | str | None = None, seed: int | None = None) -> Certificate:
    """How far is anyone's image from a stationary point of |A x - y|²/2 + λ R(x)?

    Args:
        image: (batch, c, y, x). tol: what is required of |∇F|, Euclidean, at the worst of the images. prior: an LPN. weight: λ, by
            default that of the noise, as in `reconstruct`.

    Raises:
        ValueError: images or a network that do not fit, numbers out of range, no prior.
    """
    if prior is None or (tol is not None and not 0 < tol < float("inf")):
        raise ValueError(f"certify: received prior={_named(prior)}, tol={tol!r}, expected certify(problem, image, tol, prior=model) with a "
                         "proximal network, such as wellposed.proximal.LPN.load(folder), and a positive tol or None")
    x, model = problem.images(image), proximal_model(problem, prior)
    point = invert(model, x, NEAR).point
    parameters, arrays = _described(problem, model, weight_of(problem, prior, weight), x, point[None])
    parameters["run"] = None
    if problem.physics.kind == "foreign":
        arrays["gradient"] = array(problem.physics.A_adjoint(problem.physics.A(x) - problem.measurement))
    arrays["stationarity"] = widened(stationarity.enclosed, Evidence(parameters, arrays))
    requirements = {"proximal.exact_prox/1": 0.0, "proximal.stationarity/1": tol}
    return issued("proximal.Inverse", parameters, arrays, requirements, weights, seed)


def _named(prior: Any) -> str:
    return "None" if prior is None else f"a {type(prior).__name__}"


@torch.no_grad()
def certificate_of_run(problem: Inverse, model: ExactProx, trace: Trace, image: Tensor, tol: float | None, *, fall: float | None = FALL,
                       weights: bytes | str | None = None, seed: int | None = None) -> Certificate:
    """Of a reconstruction: exact prox, stationarity of its image, and the decrease at every step that the witness holds.

    Args:
        trace: of the run; its last point is that of the image. tol: what is required of |∇F|. fall: of the violation of the decrease, for
            images of up to 28 x 28 numbers, in proportion for larger ones, as merits and their rounding are sums over pixels.

    Raises:
        ValueError: iterates that are not finite, or not those of this problem.
    """
    if problem.physics.kind == "foreign":
        return certify_image(problem, image, tol, prior=model, weight=trace.weight, weights=weights, seed=seed)
    if not bool(torch.isfinite(trace.points).all()):
        raise ValueError("trace: received points that are not finite, expected finite ones: the run has diverged; take a smaller weight")
    size = trace.points[0].numel() * 8 * (1 if trace.splits is None else 2)
    first = max(0, len(trace.points) - max(2, WITNESS // size))
    parameters, arrays = _described(problem, model, trace.weight, problem.images(image), trace.points[first:])
    parameters["run"] = {"algorithm": trace.algorithm, "step": encode(trace.step), "first": first}
    if trace.splits is not None:
        arrays["splits"] = array(trace.splits[first:])
    evidence, requirements = Evidence(parameters, arrays), {"proximal.exact_prox/1": 0.0, "proximal.stationarity/1": tol}
    ends = {"stationarity": widened(stationarity.enclosed, evidence)}
    if len(arrays["points"]) > 1:
        ends["decrease"] = widened(decrease.enclosed, evidence)
        requirements["proximal.decrease/1"] = None if fall is None else fall * max(1.0, image[0].numel() / SMALL)
    return issued("proximal.Inverse", parameters, arrays | ends, requirements, weights, seed)


def _described(problem: Inverse, model: ExactProx, weight: float, image: Tensor, points: Tensor) -> tuple[Parameters, Arrays]:
    parameters, arrays = describe_network(model)
    physics, more = describe_physics(problem.physics)
    if physics["kind"] == "foreign":
        norm = float(problem.physics.norm_squared[1])
    else:
        shapes = tuple(problem.physics.image_shape), tuple(problem.physics.measurement_shape)
        norm = read_operator(physics, {name[8:]: x for name, x in more.items()}, *shapes).square * (1 + MARGIN)
    arrays |= more | {"image": array(image), "measurement": array(problem.measurement), "points": array(points), "norm": np.array([norm])}
    return parameters | {"physics": physics, "weight": encode(weight)}, arrays
