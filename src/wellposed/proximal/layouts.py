"""The layers of learned proximal networks: dense, convolutional of any size, and the three of the paper."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from wellposed.proximal.convex import ConvexNetwork, Layer
from wellposed.proximal.linear_maps import Average, Bilinear, Convolution, Dense, Padded, Same

READOUTS = {"linear": 1, "square": 2}
THRESHOLD = 1.5
"""Filters begin as shrinkage by so many standard deviations of the noise."""
KINKS, BETWEEN = (-4.0, 1.0), 0.1
"""Biases of dense layers, for samples of size about 1, and roots of the weights between such layers."""
COARSE = 0.5
"""Share of low frequencies that a scale leaves to coarser ones."""
LATER, ACROSS, DISTURBED = 0.3, 0.04, 0.01
"""Beside the first layer: readouts of later ones, roots of weights between layers, and the noise that is put on filters."""


def dense(dim: int, width: int, depth: int, beta: float, modulus: float, readout: str, bias: bool = True) -> ConvexNetwork:
    """Vectors (batch, dim). The network begins near the identity, with kinks spread over where samples are: units come in pairs ±u."""
    d = Dense()
    layers = [Layer((width, dim), None if k == 0 else (width, width), d, d, bias=bias, readout=READOUTS[readout]) for k in range(depth)]
    half, spread = -(-width // 2), KINKS[1] - KINKS[0]
    share = 2 * dim / (width * depth) * (1.0 if readout == "square" else spread)  # half of the units are on, or are being switched on
    with torch.no_grad():
        for layer in layers:
            u = torch.nn.functional.normalize(torch.randn(half, dim), dim=1)
            layer.skip.copy_(torch.cat([u, -u])[:width])
            if layer.bias is not None:
                layer.bias.copy_(torch.empty(half).uniform_(*KINKS).repeat(2)[:width])
            if layer.root is not None:
                layer.root.copy_(BETWEEN * torch.rand_like(layer.root))
            assert layer.readout_root is not None
            layer.readout_root.fill_(share**0.5)
    return ConvexNetwork(layers, [Same()], beta, modulus)


def convolutional(channels: int, width: int, depth: int, kernel: int, stride: int, sigma: float, beta: float, modulus: float,
                  scales: int = 1) -> ConvexNetwork:
    """Images of any size. Each layer sees the image through 2 `width` filters, which come in pairs ±h and begin as cosines.

    At scale s there are `depth` such layers of means over 2^s x 2^s pixels, which stand alone: ψ is a sum over scales. Filters are 2^s
    times as large there, as noise in the means is 2^s times smaller: what is right for the first scale, from thresholds to β, is for all.
    """
    atoms = cosines(kernel, channels)[:width]
    atoms = torch.cat([atoms, torch.randn(max(0, width - len(atoms)), channels, kernel, kernel) / kernel])
    mixing, through = Convolution(1, 0), Convolution(stride, kernel - stride)
    layers = [Layer((2 * width, channels, kernel, kernel), None if k == 0 else (2 * width, 2 * width, 1, 1), mixing, through, s,
                    readout=2) for s in range(scales) for k in range(depth)]
    means = torch.zeros(width)
    means[: min(channels, width)] = 1.0  # the first atoms are constants: no shrinkage of the mean
    shares = _shares(kernel, channels, width, scales)
    with torch.no_grad():
        for i, layer in enumerate(layers):
            s, k = divmod(i, depth)
            noise = DISTURBED * torch.randn(2 * width, channels, kernel, kernel)
            layer.skip.copy_((torch.cat([atoms, -atoms]) * (0.5 if k else 1.0) + noise) * 2**s)
            shift = (-THRESHOLD * sigma * (1 - means) + 3 * sigma * means) * (1.5 if k else 1.0)
            assert layer.bias is not None
            assert layer.readout_root is not None
            layer.bias.copy_(torch.cat([shift, shift]))
            layer.readout_root.copy_(stride / kernel * (LATER if k else 1.0) * shares[s].sqrt().repeat(2))
            if layer.root is not None:
                layer.root.copy_(ACROSS * torch.rand_like(layer.root).sqrt())
    coarse = [Average(2**s, 2**s * stride) for s in range(1, scales)]
    return ConvexNetwork(layers, [Padded(stride), *coarse], beta, modulus)


def _shares(kernel: int, channels: int, width: int, scales: int) -> Float[Tensor, "scales width"]:
    """Of the whole, what each filter of each scale begins with: a scale leaves COARSE of what it sees of the lower half of frequencies to
    the next one, whose means hold these, so that the sum over scales shrinks as one scale does."""
    frequencies = torch.tensor(_order(kernel)).repeat_interleave(channels)[:width]
    low = torch.zeros(width)
    low[: len(frequencies)] = ((frequencies // kernel < kernel / 2) & (frequencies % kernel < kernel / 2)).float()
    rows = [COARSE**s * (1 - COARSE * low if s < scales - 1 else torch.ones(width)) for s in range(scales)]
    return torch.stack(rows)


def cosines(kernel: int, channels: int) -> Tensor:
    """The orthonormal cosine transform of patches, lowest frequencies first: (kernel² channels, channels, kernel, kernel)."""
    k = torch.arange(kernel, dtype=torch.float64)
    rows = torch.cos(math.pi * k[:, None] * (k + 0.5) / kernel) * math.sqrt(2 / kernel)
    rows[0] /= math.sqrt(2)
    patches = torch.einsum("ia,jb->ijab", rows, rows).reshape(-1, kernel, kernel)[_order(kernel)]
    each = torch.einsum("pab,cd->pcdab", patches, torch.eye(channels, dtype=torch.float64))
    return each.reshape(-1, channels, kernel, kernel).float()


def _order(kernel: int) -> list[int]:
    """Frequencies kernel i + j, the lowest first."""
    return sorted(range(kernel**2), key=lambda i: (i // kernel + i % kernel, i))


def published(name: str, channels: int, width: int) -> tuple[ConvexNetwork, tuple[int, ...]]:
    """A network of the paper (Fang, Buchanan, Sulam, ICLR 2024) with the layers of its code, and the shape of its inputs.

    "one-dimensional": 1 -> 50 -> 50 (four times). "digits": 28 x 28. "faces": 128 x 128. Their α|x|² is μ = 2α here; the first has
    none there, and no bijection with it: μ = 1e-3. Weights begin as the code's do, near zero.
    """
    if name == "one-dimensional":
        net, shape = dense(1, width or 50, 5, 10.0, 1e-3, "linear", bias=False), (1,)
    elif name == "digits":
        net, shape = _digits(channels, width or 64), (channels, 28, 28)
    else:
        net, shape = _faces(channels, width or 256), (channels, 128, 128)
    with torch.no_grad():
        for layer in net.ordered():
            if layer.root is not None:
                layer.root.copy_(torch.exp(0.5 * (-10 + 0.1 * torch.randn_like(layer.root))))
            if layer.readout_root is not None:
                layer.readout_root.copy_(torch.exp(0.5 * (-10 + 0.1 * torch.randn_like(layer.readout_root))))
    return net, shape


def _digits(channels: int, c: int) -> ConvexNetwork:
    layers = _resized(c, channels, (2, 1, 2))
    layers.append(Layer((64, channels * 49), (64, c * 49), Dense(), Dense(), 4, bias=False, readout=1))
    return ConvexNetwork(layers, [Same(), Same(), Bilinear(14, 14), Bilinear(14, 14), Bilinear(7, 7)], 10.0, 0.02)


def _faces(channels: int, c: int) -> ConvexNetwork:
    layers = _resized(c, channels, (2, 1, 2, 1, 2))
    whole = Convolution(1, 0)
    layers.append(Layer((64, channels, 16, 16), (64, c, 16, 16), whole, whole, 6, bias=False, readout=1))
    sources = [Same(), Same(), *(Bilinear(n, n) for n in (64, 64, 32, 32, 16))]
    return ConvexNetwork(layers, sources, 100.0, 2e-6)


def _resized(c: int, channels: int, strides: tuple[int, ...]) -> list[Layer]:
    """3 x 3 convolutions, none of them read out; each sees the image at the size of the layer before it."""
    first = Layer((c, channels, 3, 3), None, Convolution(1, 1), Convolution(1, 1), 0, bias=False, readout=0)
    return [first, *(Layer((c, channels, 3, 3), (c, c, 3, 3), Convolution(s, 1), Convolution(s, 1), k, bias=False, readout=0)
                     for k, s in enumerate(strides, 1))]
