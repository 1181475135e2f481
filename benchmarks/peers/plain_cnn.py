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

    def __init__(self, in_channels: int, out_channels: int, width: int = 16, blocks: int = 3, dilations: Sequence[int] = DILATIONS,
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


def train_cnn(
    coefficients: np.ndarray,
    labels: np.ndarray,
    seconds: float,
    width: int = 16,
    blocks: int = 3,
    seed: int = 0,
    batch: int = 4,
    rate: float = 6e-3,
) -> ResidualCNN:
    """Train for a wall-clock budget: Adam, cosine rate after a linear rise over the first twentieth, relative L2 loss.

    The defaults are what did best in a minute of one CPU thread on 400 two-phase fields of 64 x 64 cells (channels_last):
    5.4 percent in L2 on unseen fields, one seed; 8 to 32 channels, 2 to 4 blocks and a few rates and batches gave 5.4 to 8.0.

    Args:
        coefficients: positive cell values a, (samples, n, n).
        labels: potentials at the nodes, (samples, n+1, n+1).
        seconds: length of the training, one pass of the cosine.
        width, blocks: of the network.
        seed: of the initial weights and of the batches.
        batch: samples per step.
        rate: Adam's largest learning rate.
    """
    from fno import cosine, node_features, relative_l2  # imports neuralop, which the network itself does without

    torch.manual_seed(seed)
    features, targets = node_features(coefficients), torch.from_numpy(np.asarray(labels)).float()
    features = features.to(memory_format=torch.channels_last)
    model = ResidualCNN(features.shape[1], 1, width, blocks, scale=float(targets.std()))
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    start = time.perf_counter()
    order = torch.randperm(len(features))
    while (done := (time.perf_counter() - start) / seconds) < 1:
        if len(order) < batch:
            order = torch.randperm(len(features))
        chosen, order = order[:batch], order[batch:]
        optimizer.param_groups[0]["lr"] = rate * cosine(done) * min(1.0, 20 * done)
        loss = relative_l2(model(features[chosen]).squeeze(1), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def predict(model: ResidualCNN, coefficients: np.ndarray) -> np.ndarray:
    """The network's raw output, (samples, n+1, n+1) in float64; nothing makes its boundary values zero."""
    from fno import node_features

    parts = node_features(coefficients).to(memory_format=torch.channels_last).split(32)
    return torch.cat([model(part).squeeze(1) for part in parts]).double().numpy()
