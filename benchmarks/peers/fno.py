"""The Fourier neural operator of `neuraloperator`, as a peer: cellwise coefficient in, nodal potential out.

Li et al., *Fourier Neural Operator for Parametric PDEs* (ICLR 2021); Kossaifi et al., `neuraloperator` 2.0.
The network learns from labels by the relative L2 loss and knows nothing of the boundary condition.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from neuralop.models import FNO
from torch import Tensor, nn


def node_features(coefficients: np.ndarray) -> Tensor:
    """log a of the four cells around each node, (samples, 4, n+1, n+1), the outermost cells repeated."""
    logs = np.log(np.asarray(coefficients, dtype=np.float64))
    padded = np.pad(logs, ((0, 0), (1, 1), (1, 1)), mode="edge")
    corners = [padded[:, :-1, :-1], padded[:, :-1, 1:], padded[:, 1:, :-1], padded[:, 1:, 1:]]
    return torch.from_numpy(np.stack(corners, axis=1)).float()


class DarcyFNO(nn.Module):
    """An FNO on the nodes: features (batch, 4, n+1, n+1) and coordinates, which it appends, to potentials."""

    def __init__(self, width: int, modes: int, layers: int, scale: float) -> None:
        super().__init__()
        self.operator = FNO(
            n_modes=(modes, modes), in_channels=4, out_channels=1, hidden_channels=width, n_layers=layers
        )
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * self.operator(features).squeeze(1)


def relative_l2(answer: Tensor, label: Tensor) -> Tensor:
    """Mean over the batch of |answer − label| / |label|, Euclidean norms of nodal values."""
    return ((answer - label).flatten(1).norm(dim=1) / label.flatten(1).norm(dim=1)).mean()


def cosine(fraction: float) -> float:
    """1 at the start of training, 0 at its end."""
    return 0.5 * (1.0 + math.cos(math.pi * min(fraction, 1.0)))


def train_fno(
    coefficients: np.ndarray,
    labels: np.ndarray,
    seconds: float,
    width: int = 24,
    modes: int = 12,
    layers: int = 4,
    seed: int = 0,
    batch: int = 8,
    rate: float = 3e-3,
) -> DarcyFNO:
    """Train for a wall-clock budget: Adam, cosine rate, relative L2 loss.

    Weights and batches are seeded; how many steps fit into `seconds` depends on the machine.

    Args:
        coefficients: positive cell values a, (samples, n, n).
        labels: potentials at the nodes, (samples, n+1, n+1).
        seconds: length of the training, one pass of the cosine.
        width: channels of the hidden layers.
        modes: Fourier modes kept per axis, positive and negative together.
        layers: Fourier layers.
        seed: of the initial weights and of the batches.
        batch: samples per step.
        rate: Adam's learning rate at the start.
    """
    torch.manual_seed(seed)
    features, targets = node_features(coefficients), torch.from_numpy(np.asarray(labels)).float()
    model = DarcyFNO(width, modes, layers, scale=float(targets.std()))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    start = time.perf_counter()
    order = torch.randperm(len(features))
    while (elapsed := time.perf_counter() - start) < seconds:
        if len(order) < batch:
            order = torch.randperm(len(features))
        chosen, order = order[:batch], order[batch:]
        optimizer.param_groups[0]["lr"] = rate * cosine(elapsed / seconds)
        loss = relative_l2(model(features[chosen]), targets[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


@torch.no_grad()
def predict(model: DarcyFNO, coefficients: np.ndarray) -> np.ndarray:
    """The network's raw output, (samples, n+1, n+1) in float64; nothing makes its boundary values zero."""
    answers = [model(part) for part in node_features(coefficients).split(32)]
    return torch.cat(answers).double().numpy()
