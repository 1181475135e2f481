"""Complex numbers as real pairs, real and imaginary part on the first axis: what compilers, exporters and safetensors understand."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

Pairs = Float[Tensor, "2 *axes"]


def pair(z: Complex[np.ndarray, "*axes"], dtype: torch.dtype = torch.float64) -> Pairs:
    """From numpy."""
    return torch.from_numpy(np.ascontiguousarray(np.stack([np.real(z), np.imag(z)]))).to(dtype)


def unpair(z: Pairs) -> Complex[np.ndarray, "*axes"]:
    """To numpy, complex128."""
    real, imaginary = z.detach().cpu().double().numpy()
    return real + 1j * imaginary


def mul(a: Pairs, b: Pairs) -> Pairs:
    """The product; the other axes broadcast."""
    return torch.stack([a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]])


def conj(a: Pairs) -> Pairs:
    return torch.stack([a[0], -a[1]])


def powers(z: Pairs, count: int) -> Pairs:
    """z^0, ..., z^(count - 1) on a new last axis, by squaring: the rounding of z^k is about k units."""
    table = torch.stack([torch.ones_like(z[0]), torch.zeros_like(z[0])])[..., None]
    square = z
    while table.shape[-1] < count:
        table = torch.cat([table, mul(table, square[..., None])], -1)
        square = mul(square, square)
    return table[..., :count]
