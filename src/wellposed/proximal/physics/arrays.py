"""Arrays and shapes that users give, checked; constants in the precision of what they meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def real_array(name: str, value: Any, axes: Sequence[int]) -> np.ndarray:
    """A copy in float64 of an array, a tensor or nested lists, with one of these numbers of axes.

    Raises:
        ValueError: complex or no numbers, no entries, another number of axes, numbers that are not finite, or all of them 0.
    """
    found = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    if found.dtype.kind not in "buif" or found.ndim not in axes or found.size == 0:
        raise ValueError(f"{name}: received {found.dtype} of the shape {found.shape}, expected real numbers with "
                         f"{' or '.join(str(n) for n in axes)} axes and at least one entry")
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise ValueError(f"{name}: received {np.count_nonzero(~np.isfinite(found))} numbers that are not finite, expected finite ones; "
                         "replace them (0 for what is not measured)")
    if not found.any():
        raise ValueError(f"{name}: received nothing but zeros, expected at least one other number: nothing would be measured")
    return found


def image_shape(name: str, shape: Sequence[int]) -> tuple[int, int, int]:
    """(channels, y, x) from (y, x) or (channels, y, x).

    Raises:
        ValueError: anything else.
    """
    sides = list(shape) if isinstance(shape, Sequence) else []
    if len(sides) not in (2, 3) or not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1 for n in sides):
        raise ValueError(f"{name}: received {shape!r}, expected whole numbers of at least 1, (y, x) or (channels, y, x)")
    return (int(sides[0]) if len(sides) == 3 else 1), int(sides[-2]), int(sides[-1])


def on_images(name: str, value: Any, channels: int) -> np.ndarray:
    """An array (y, x) for each of `channels` channels, or one (channels, y, x), as the latter.

    Raises:
        ValueError: numbers that `real_array` refuses; another number of channels than the array has.
    """
    found = real_array(name, value, (2, 3))
    if not isinstance(channels, int) or isinstance(channels, bool) or channels < 1 or (found.ndim == 3 and channels not in (1, len(found))):
        raise ValueError(f"channels: received {channels!r} with a {name} of the shape {found.shape}, expected a whole number of at least "
                         "1, and that of the array where it has channels")
    return found if found.ndim == 3 else np.repeat(found[None], channels, axis=0)


def like(constant: Tensor, x: Tensor) -> Tensor:
    """A real or complex constant on the device and in the precision of x."""
    single = x.dtype in (torch.float32, torch.complex64)
    if constant.is_complex():
        return constant.to(x.device, torch.complex64 if single else torch.complex128)
    return constant.to(x.device, torch.float32 if single else torch.float64)
