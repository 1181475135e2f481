"""A residual network of dilated convolutions, as a peer that knows nothing of multigrid: features on the nodes in, nodal fields out.

Stachenfeld et al., *Learned Coarse Models for Efficient Turbulence Simulation* (ICLR 2022), their Dil-ResNet: every block has
seven 3 x 3 convolutions with dilations 1, 2, 4, 8, 4, 2, 1 and adds its input. It learns from labels by the relative L2 loss.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

DILATIONS = (1, 2, 4, 8, 4, 2, 1)


class ResidualCNN(nn.Module):
    """Convolutions with zero padding at one resolution, so that any size of fields will do.

    Args:
        in_channels, out_channels: of the fields (batch, channels, x, y).
        width: channels of the hidden fields.
        blocks: each carries `sum(dilations)` nodes further; see `reach`.
        dilations: of the convolutions of a block, in order.
        scale: what the output is multiplied by, best about the size of the labels.
    """

    def __init__(self, in_channels: int, out_channels: int, width: int = 32, blocks: int = 3, dilations: Sequence[int] = DILATIONS,
                 scale: float = 1.0) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(in_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(residual_block(width, dilations) for _ in range(blocks))
        self.decoder = nn.Conv2d(width, out_channels, 3, padding=1)
        self.reach, self.scale = 2 + blocks * sum(dilations), scale
        """How many nodes away in each direction a value can depend on; all of a grid if no smaller than its side less one."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(x)
        for block in self.blocks:
            x = x + block(x)
        return self.scale * self.decoder(x)


def residual_block(width: int, dilations: Sequence[int]) -> nn.Sequential:
    """Convolutions, a ReLU after each."""
    layers = [(nn.Conv2d(width, width, 3, padding=d, dilation=d), nn.ReLU()) for d in dilations]
    return nn.Sequential(*(module for pair in layers for module in pair))
