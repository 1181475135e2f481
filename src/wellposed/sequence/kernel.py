"""The kernel of a diagonal system, K_l = Re sum_j residue_j multiplier_j^l, and its convolution with a sequence.

With l = 128 a + r the Vandermonde matrix is never formed: two small tables of powers, and one product of real matrices.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from wellposed.sequence.pairs import Pairs, mul, powers

INNER = 128


def kernel(residue: Float[Tensor, "2 features modes"], multiplier: Float[Tensor, "2 features modes"], length: int,
           dtype: torch.dtype = torch.float32) -> Float[Tensor, "features length"]:
    """K. The tables are computed in float64, the product in `dtype`.

    Args:
        residue, multiplier: real pairs, float64.
    """
    inner = min(INNER, length)
    outer = -(-length // inner)
    table = powers(multiplier, inner)
    coarse = mul(residue[..., None], powers(mul(table[..., -1], multiplier), outer))
    left = torch.cat([coarse[0], -coarse[1]], 1).to(dtype)  # features x 2 modes x outer
    right = torch.cat([table[0], table[1]], 1).to(dtype)
    return torch.bmm(left.transpose(1, 2), right).flatten(1)[:, :length]


def vandermonde(residue: Pairs, multiplier: Pairs, length: int) -> Float[Tensor, "features length"]:
    """K as it is written, for comparison: features x modes x length complex numbers."""
    z, step = torch.complex(multiplier[0], multiplier[1]), torch.arange(length, device=multiplier.device)
    return (torch.complex(residue[0], residue[1])[..., None] * torch.exp(z.log()[..., None] * step)).sum(1).real


def convolve(u: Float[Tensor, "batch features length"], forward: Float[Tensor, "features length"],
             backward: Float[Tensor, "features length"] | None = None) -> Float[Tensor, "batch features length"]:
    """y_k = sum_l forward_l u_(k-l) + sum_l backward_l u_(k+l), zero outside, by fast Fourier transforms of twice the length."""
    length = u.shape[-1]
    both = torch.nn.functional.pad(forward, (0, length))
    if backward is not None:
        both = both + torch.roll(torch.nn.functional.pad(backward.flip(-1), (length, 0)), 1, -1)
    return _Convolution.apply(u, both)


class _Convolution(torch.autograd.Function):
    """The circular convolution of u, padded to the length of k; backwards with real transforms alone, where autograd takes complex."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, k: Tensor) -> Tensor:
        of_u, of_k = torch.fft.rfft(u, n=k.shape[-1]), torch.fft.rfft(k)
        ctx.save_for_backward(of_u, of_k)
        return torch.fft.irfft(of_u * of_k, n=k.shape[-1])[..., : u.shape[-1]]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor]:
        of_u, of_k = ctx.saved_tensors
        length = grads[0].shape[-1]
        of_y = torch.fft.rfft(grads[0], n=2 * length)
        by_u = torch.fft.irfft(of_y * of_k.conj(), n=2 * length)[..., :length]
        return by_u, torch.fft.irfft((of_y * of_u.conj()).sum(0), n=2 * length)


def filtered(multiplier: Float[Tensor, "2 modes"], b: Float[Tensor, "2 modes batch length"],
             start: Float[Tensor, "2 modes batch"] | None = None) -> Float[Tensor, "2 modes batch length"]:
    """As `scan.scan`, by the convolution of each mode with the powers of its multiplier; from zero only."""
    assert start is None
    length = b.shape[-1]
    table = powers(multiplier, length).to(b.dtype)[:, :, None]
    spectrum = torch.fft.fft(torch.complex(b[0], b[1]), n=2 * length) * torch.fft.fft(torch.complex(table[0], table[1]), n=2 * length)
    return torch.view_as_real(torch.fft.ifft(spectrum)[..., :length]).movedim(-1, 0)
