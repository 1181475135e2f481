"""The question: which image was measured? And what anyone's answer to it looks like."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Array = Tensor | np.ndarray | Sequence[Any]


@dataclass(frozen=True, init=False, eq=False)
class Inverse:
    """y = A x + noise, for a batch of images x.

    Args:
        physics: A, one of `wellposed.proximal.physics`, or what its `as_physics` makes of anyone's operator.
        measurement: y, (batch, *measurement_shape), or one without the batch; kept in float64.
        noise: standard deviation of each number of y, in its units; 0 where there is none.

    Raises:
        ValueError: a measurement that is not of this physics or not finite, noise that is negative.
    """

    physics: Any
    measurement: Float[Tensor, "batch ..."]
    noise: float

    def __init__(self, physics: Any, measurement: Array, noise: float) -> None:
        missing = [name for name in ("A", "A_adjoint", "solve", "image_shape", "measurement_shape", "norm_squared")
                   if not hasattr(physics, name)]
        if missing:
            raise ValueError(f"physics: received a {type(physics).__name__} without {', '.join(missing)}, expected one of "
                             "wellposed.proximal.physics; make one with its as_physics(operator, image_shape)")
        if not 0 <= number(noise) < math.inf:
            raise ValueError(f"noise: received {noise!r}, expected a standard deviation of at least 0; 0 where there is no noise")
        object.__setattr__(self, "physics", physics)
        object.__setattr__(self, "measurement", _measured(physics, tensor("measurement", measurement)))
        object.__setattr__(self, "noise", number(noise))

    def __len__(self) -> int:
        return len(self.measurement)

    def __getitem__(self, which: Any) -> Inverse:
        """Some of the images: a number, a slice or an array of numbers.

        Raises:
            IndexError: none of them.
        """
        if isinstance(which, int | np.integer):
            k = range(len(self))[which]
            which = slice(k, k + 1)
        chosen = self.measurement[torch.from_numpy(which) if isinstance(which, np.ndarray) else which]
        if len(chosen) == 0:
            raise IndexError(f"Inverse: received {which!r}, which is none of its {len(self)} measurements, expected some of them")
        return Inverse(self.physics, chosen, self.noise)

    def images(self, x: Array, name: str = "image") -> Float[Tensor, "batch c y x"]:
        """x in float64, one image for each measurement.

        Raises:
            ValueError: other shapes, numbers that are not finite.
        """
        expected = (len(self), *self.physics.image_shape)
        images = tensor(name, x).detach().to(torch.float64)
        if images.ndim == len(expected) - 1 and len(self) == 1:
            images = images[None]
        if tuple(images.shape) != expected:
            raise ValueError(f"{name}: received the shape {tuple(images.shape)}, expected {expected}: {len(self)} measurements of images "
                             f"{tuple(self.physics.image_shape)}; resample it, or state the physics for its size")
        if not bool(torch.isfinite(images).all()):
            raise ValueError(f"{name}: received numbers that are not finite, expected finite ones; mask or replace them first")
        return images


def tensor(name: str, given: Any) -> Tensor:
    """Numbers as a tensor.

    Raises:
        ValueError: what is none.
    """
    try:
        return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name}: received {_named(given)}, expected a tensor or an array of numbers") from None


def number(given: Any) -> float:
    """A real number of Python, numpy or torch; NaN, which no range holds, for everything else."""
    if isinstance(given, Tensor | np.ndarray) and given.ndim == 0:
        given = given.item()
    return float(given) if isinstance(given, numbers.Real) and not isinstance(given, bool) else math.nan


def _named(given: Any) -> str:
    """What an argument is, in few words."""
    return repr(given) if isinstance(given, str | int | float) else f"a {type(given).__name__}"


def _measured(physics: Any, y: Tensor) -> Tensor:
    shape = tuple(physics.measurement_shape)
    if y.is_complex():
        raise ValueError(f"measurement: received {y.dtype}, expected real numbers; store pairs with torch.view_as_real")
    y = y.detach().to("cpu", torch.float64)
    y = y[None] if tuple(y.shape) == shape else y
    if tuple(y.shape[1:]) != shape or len(y) == 0:
        raise ValueError(f"measurement: received the shape {tuple(y.shape)}, expected (batch, {', '.join(map(str, shape))}) for this "
                         "physics; reshape it, or state the physics that it was made with")
    if not bool(torch.isfinite(y).all()):
        raise ValueError("measurement: received numbers that are not finite, expected finite ones; a Mask states what was not measured")
    return y


def admit_image(problem: Inverse, prediction: Array) -> tuple[Callable[[np.ndarray], Tensor], np.ndarray]:
    """What a model answered as images, and which samples are usable: those that are finite.

    Raises:
        ValueError: shapes that are not those of the problem's images.
    """
    images = torch.as_tensor(prediction).detach().to("cpu", torch.float64)
    usable = torch.isfinite(images).flatten(1).all(1) if images.ndim > 1 else torch.zeros(len(problem), dtype=torch.bool)
    problem.images(images.nan_to_num(0.0, 0.0, 0.0))
    return lambda where: images[torch.from_numpy(where)], usable.numpy()
