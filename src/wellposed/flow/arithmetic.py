"""Arithmetic on the buffers of a solver: numpy's for single flows on a processor, where calls cost less; torch's elsewhere.

Both have the same functions. Results go to the last argument, which may be one of the others. Arrays of numpy share the memory of the
tensors they are of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

Array = Any  # of numpy or of torch, as the arithmetic has it


class Arithmetic(Protocol):
    """multiply(a, b, out) and add(a, b, out), element by element, and more.

    Args:
        like: a buffer of complex numbers, as large as any product.
    """

    multiply: Callable[..., Any]
    add: Callable[..., Any]

    def __init__(self, like: Tensor) -> None: ...

    def of(self, tensor: Tensor) -> Array:
        """The same numbers, in the same memory."""

    def add_product(self, c: Array, a: Array, b: Array, out: Array) -> Any:
        """c + a b."""

    def add_multiple(self, c: Array, a: float, b: Array, out: Array) -> Any:
        """c + a b, a number."""

    def mirror(self, a: Array, out: Array) -> Any:
        """The conjugate, backwards along the last two axes."""


class OnArrays:
    """numpy."""

    multiply, add = staticmethod(np.multiply), staticmethod(np.add)

    def __init__(self, like: Tensor) -> None:
        product = torch.empty_like(like)
        self._products = {x.dtype: x for x in (product.numpy(), product.view(torch.float64).numpy())}

    def of(self, tensor: Tensor) -> np.ndarray:
        return tensor.numpy()

    def add_product(self, c: np.ndarray, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        np.add(c, np.multiply(a, b, self._products[b.dtype]), out)

    def add_multiple(self, c: np.ndarray, a: float, b: np.ndarray, out: np.ndarray) -> None:
        np.add(c, np.multiply(b, a, self._products[b.dtype]), out)

    def mirror(self, a: np.ndarray, out: np.ndarray) -> None:
        np.conjugate(a[..., ::-1, ::-1], out)


class OnTensors:
    """torch, on any device."""

    def __init__(self, like: Tensor) -> None:
        del like

    def of(self, tensor: Tensor) -> Tensor:
        return tensor

    def multiply(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        torch.mul(a, b, out=out)

    def add(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        torch.add(a, b, out=out)

    def add_product(self, c: Tensor, a: Tensor, b: Tensor, out: Tensor) -> None:
        torch.addcmul(c, a, b, out=out)

    def add_multiple(self, c: Tensor, a: float, b: Tensor, out: Tensor) -> None:
        torch.add(c, b, alpha=a, out=out)

    def mirror(self, a: Tensor, out: Tensor) -> None:
        out.copy_(a.flip(-2, -1).conj())
