"""What a layer computes from its parameters alone, kept from step to step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Kept:
    """A result, kept until one of the numbers that it was made from changes; only while gradients are off.

    Numbers are compared, not versions: `parameter.data.mul_(2)` leaves no other trace. Copies and pickles begin empty.
    """

    def __init__(self) -> None:
        self._held: tuple[list[Tensor], Any] = [], None

    def __call__(self, make: Callable[[], Any], *tensors: Tensor) -> Any:
        """`make()`, or what it gave for the same tensors."""
        if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export() or torch.is_grad_enabled() or tensors[0].is_meta:
            return make()
        seen, made = self._held
        if not (seen and all(_equal(x, y) for x, y in zip(tensors, seen, strict=True))):
            seen, made = [x.detach().clone() for x in tensors], make()
            self._held = seen, made
        return made

    def __reduce__(self) -> tuple[type[Kept], tuple[()]]:
        return Kept, ()


def _equal(x: Tensor, y: Tensor) -> bool:
    return x.dtype == y.dtype and x.device == y.device and torch.equal(x, y)
