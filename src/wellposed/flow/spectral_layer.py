"""Spectral layers on the lowest modes, and products between them that are exact: no aliasing, and no grid that a weight could belong to.

Inside the network a field is its Fourier coefficients (`rfft2` over n²) at |k_y| ≤ K, 0 ≤ k_x ≤ K, whatever the resolution that it came
with: rows are k_y = 0..K, -K..-1 as in `Band`. Real and imaginary parts are the first axis, the batch is the last, so that every layer is
a few products of matrices and no memory is rearranged. Products are taken at 3K + 1 nodes per axis, where those of two such fields are
exact at the modes kept. At these sizes matrices of sines and cosines take a quarter of the time of fast transforms.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

Planes = Float[Tensor, "2 rows columns channels batch"]
Nodal = Float[Tensor, "y x channels batch"]


class Waves(NamedTuple):
    """cos and sin, stacked: `x`, `y` lead from modes to nodes, `back_x`, `back_y` from nodes to modes."""

    x: Float[Tensor, "2 nodes columns"]
    y: Float[Tensor, "2 nodes rows"]
    back_x: Float[Tensor, "2 columns nodes"]
    back_y: Float[Tensor, "2 rows nodes"]


@lru_cache(32)
def waves(modes: int, dtype: torch.dtype, device: torch.device) -> Waves:
    """Computed in float64 for every type: rounded tables that are widened later would keep three digits too few."""
    rows = torch.cat([torch.arange(modes + 1), torch.arange(-modes, 0)]).double()
    nodes = 3 * modes + 1
    angle = 2 * math.pi / nodes * torch.arange(nodes).double()[:, None]
    x, y = angle * rows[: modes + 1], angle * rows
    twice = torch.where(rows[: modes + 1] > 0, 2.0, 1.0).double()
    tables = (torch.stack([x.cos() * twice, -x.sin() * twice]), torch.stack([y.cos(), y.sin()]),
              torch.stack([x.cos().T, -x.sin().T]) / nodes, torch.stack([y.cos().T, y.sin().T]) / nodes)
    return Waves(*(t.to(device, dtype).contiguous() for t in tables))


def to_nodes(v: Planes) -> Nodal:
    """Values at (3K + 1) x (3K + 1) nodes."""
    _, rows, columns, channels, batch = v.shape
    t = waves(columns - 1, v.dtype, v.device)
    re, im = v.reshape(2, rows, -1)
    m = t.y.shape[1]
    tall_re = torch.addmm(t.y[0] @ re, t.y[1], im, alpha=-1).view(m, columns, -1)
    tall_im = torch.addmm(t.y[0] @ im, t.y[1], re).view(m, columns, -1)
    x = t.x[:, None].expand(-1, m, -1, -1)
    return torch.baddbmm(torch.bmm(x[0], tall_re), x[1], tall_im).view(m, m, channels, batch)


def to_modes(f: Nodal) -> Planes:
    """Coefficients of the modes kept; the inverse of `to_nodes`."""
    m, _, channels, batch = f.shape
    t = waves((m - 1) // 3, f.dtype, f.device)
    rows, columns = t.back_y.shape[1], t.back_x.shape[1]
    x = t.back_x[:, None].expand(-1, m, -1, -1)
    flat = f.reshape(m, m, -1)
    tall_re, tall_im = torch.bmm(x[0], flat).view(m, -1), torch.bmm(x[1], flat).view(m, -1)
    re = torch.addmm(t.back_y[0] @ tall_re, t.back_y[1], tall_im)
    im = torch.addmm(t.back_y[0] @ tall_im, t.back_y[1], tall_re, alpha=-1)
    return torch.stack([re, im]).view(2, rows, columns, channels, batch)


def planes(box: Complex[Tensor, "batch channels rows columns"]) -> Planes:
    """Real and imaginary parts of complex coefficients, with the batch last."""
    return torch.view_as_real(box.resolve_conj()).permute(4, 2, 3, 1, 0).contiguous()


def box(v: Planes) -> Complex[Tensor, "batch channels rows columns"]:
    """The complex coefficients, with the batch first; the inverse of `planes`."""
    return torch.view_as_complex(v.permute(4, 3, 1, 2, 0).contiguous())


def real(v: Planes) -> Planes:
    """Those of the real part of the field, without its mean: at k_x = 0 both signs of k_y are held, and made to agree."""
    first = v[:, 1:, :1]
    sign = torch.tensor([1.0, -1.0], dtype=v.dtype, device=v.device).view(2, 1, 1, 1, 1)
    first = (first + sign * first.flip(1)) / 2
    return torch.cat([torch.cat([torch.zeros_like(v[:, :1, :1]), first], 1), v[:, :, 1:]], 2)


class SpectralLayer(nn.Module):
    """One complex matrix for each mode, and where asked a complex bias for each mode: linear in its parameters, which are real pairs.

    Args:
        gain: root mean square of the output over that of the input, at the start.
    """

    def __init__(self, in_channels: int, out_channels: int, modes: int, bias: bool = False, gain: float = 1.0) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.modes = in_channels, out_channels, modes
        shape = (2, 2 * modes + 1, modes + 1, out_channels)
        self.weight = nn.Parameter(torch.randn(*shape, in_channels) * (gain / math.sqrt(2 * in_channels)))
        self.bias = nn.Parameter(torch.zeros(*shape, 1)) if bias else None

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, modes={self.modes}, bias={self.bias is not None}"

    def forward(self, v: Planes) -> Planes:
        re, im = v.flatten(1, 2)
        a, b = self.weight.flatten(1, 2)
        out = torch.stack([torch.baddbmm(torch.bmm(a, re), b, im, alpha=-1), torch.baddbmm(torch.bmm(a, im), b, re)])
        out = out.view(*v.shape[:3], self.out_channels, v.shape[-1])
        return out if self.bias is None else out + self.bias


class ProductBlock(nn.Module):
    """v + C((A v + a) · (B v + b)), A, B, C spectral layers and a, b numbers: the product is the only nonlinearity, as in u·∇w."""

    def __init__(self, channels: int, modes: int, gain: float = 0.3) -> None:
        super().__init__()
        self.factors, self.out = SpectralLayer(channels, 2 * channels, modes), SpectralLayer(channels, channels, modes, gain=gain)
        self.shift = nn.Parameter(torch.zeros(2 * channels, 1))

    def forward(self, v: Planes) -> Planes:
        one, other = (to_nodes(self.factors(v)) + self.shift).chunk(2, 2)
        return v + self.out(to_modes(one * other))
