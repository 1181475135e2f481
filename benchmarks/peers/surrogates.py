"""FNO and residual CNN where `wellposed.elliptic` expects a network: trained on the same bound, with the same lift, by the same loop.

A node sees the four cells around it as channels, the outermost cells repeated, and exact values are written on Dirichlet sides: so
nothing but the network itself differs from `MgNO`. `Raw` is what their users would do: log a in, potential out, labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from peers.plain_cnn import ResidualCNN
from torch import Tensor, nn

from wellposed.elliptic import Darcy, MgNO, clamp
from wellposed.elliptic.ends import Ends
from wellposed.elliptic.lift import FEATURES

PEERS = ("FNO", "CNN")
COMMON = (0, 3, 4)  # of the lift's features: those that are the same for potential and stream function


def network(name: str, inputs: int, outputs: int, size: Mapping[str, Any], periodic: bool = False) -> nn.Module:
    """A peer on nodes: FNO with "width", "modes", "layers", or the residual CNN with "width", "blocks"."""
    if name == "FNO":
        from neuralop.models import FNO

        class Plain(FNO):  # its own state_dict holds a dict among the weights, and cannot be saved as tensors
            state_dict, load_state_dict = nn.Module.state_dict, nn.Module.load_state_dict

        modes = (size["modes"], size["modes"])
        return Plain(n_modes=modes, in_channels=inputs, out_channels=outputs, hidden_channels=size["width"], n_layers=size.get("layers", 4))
    model = ResidualCNN(inputs, outputs, size["width"], size["blocks"])
    for part in model.modules():
        if periodic and isinstance(part, nn.Conv2d):
            part.padding_mode = "circular"
    return model


def corners(cells: Tensor) -> Tensor:
    """(batch, channels, n, n) -> (batch, 4 channels, n + 1, n + 1): the cells around each node."""
    x = F.pad(cells, (1, 1, 1, 1), mode="replicate")
    return torch.cat([x[..., :-1, :-1], x[..., :-1, 1:], x[..., 1:, :-1], x[..., 1:, 1:]], 1)


class PeerSurrogate(nn.Module):
    """`wellposed.elliptic.trial.Surrogate` around a peer.

    Args:
        name: "FNO" or "CNN". size: as `network`; with "shared", one network with two outputs answers for potential and
            stream function, else two networks do.
        boundary: as `Darcy`, not periodic. stream: whether there are stream functions.
    """

    def __init__(self, name: str, size: Mapping[str, Any], boundary: str | Mapping[str, str] = "dirichlet", stream: bool = True) -> None:
        super().__init__()
        self.in_channels, self.ends, self.shared = FEATURES, Ends.of(boundary), stream and bool(size.get("shared"))
        if self.ends.periodic:
            raise ValueError("PeerSurrogate: received periodic sides, expected Dirichlet and Neumann sides")
        inputs = 2 * FEATURES - len(COMMON) if self.shared else FEATURES
        self.potential = network(name, 4 * inputs, 2 if self.shared else 1, size)
        self.stream = network(name, 4 * inputs, 1, size) if stream and not self.shared else None

    def both(self, fields: Tensor, stream_fields: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.shared:
            own = [k for k in range(FEATURES) if k not in COMMON]
            w, psi = self.potential(corners(torch.cat([fields, stream_fields[:, own]], 1))).chunk(2, 1)
            return written(w, self.ends), written(psi, self.ends.dual)
        w = written(self.potential(corners(fields)), self.ends)
        return w, None if self.stream is None else written(self.stream(corners(stream_fields)), self.ends.dual)


def written(x: Tensor, ends: Ends) -> Tensor:
    """Exact zeros on the Dirichlet sides."""
    left, right, bottom, top = ends.dirichlet
    return F.pad(x[..., bottom : x.shape[-2] - top, left : x.shape[-1] - right], ends.dirichlet)


class Raw(nn.Module):
    """Fields to fields without a lift: inputs standardized, outputs in units of the labels' deviation, Dirichlet values written.

    Args:
        body: what takes the fields; with `nodes`, the four cells around each node of them.
        x, y: training data, (samples, channels, n, n) and (samples, 1, rows, columns).
        problem: whose Dirichlet values are written; None writes none.
    """

    def __init__(self, body: nn.Module, nodes: bool, x: np.ndarray, y: np.ndarray, problem: Darcy | None = None) -> None:
        super().__init__()
        self.body, self.nodes = body, nodes
        mean, deviation = x.mean((0, 2, 3))[:, None, None], x.std((0, 2, 3))[:, None, None]
        fixed, values = np.zeros(y.shape[2:], bool), np.zeros(y.shape[2:])
        if problem is not None:
            values, one = (np.asarray(clamp(problem[:1], np.full((1, *y.shape[2:]), c)))[0] for c in (0.0, 1.0))
            fixed = values == one
        for name, value in {"mean": mean, "deviation": np.maximum(deviation, 1e-12), "scale": y.std(), "values": values}.items():
            self.register_buffer(name, torch.as_tensor(np.asarray(value)).float())
        self.register_buffer("fixed", torch.from_numpy(fixed))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.deviation
        return torch.where(self.fixed, self.values, self.scale * self.body(corners(x) if self.nodes else x))


def lifted(name: str, size: Mapping[str, Any], boundary: str | Mapping[str, str], stream: bool) -> nn.Module:
    """A network on the lift's features. `stream`: with stream functions, as the bound needs."""
    if name == "MgNO":
        return MgNO.darcy(boundary, **size) if stream else MgNO(FEATURES, 1, boundary=boundary, **size)
    return PeerSurrogate(name, size, boundary, stream)


def raw(name: str, size: Mapping[str, Any], x: np.ndarray, y: np.ndarray, boundary: str | Mapping[str, str],
        problem: Darcy | None = None) -> Raw:
    """A network on the data as they are. Periodic data are on nodes already."""
    periodic = boundary == "periodic"
    if name == "MgNO":
        return Raw(MgNO(x.shape[1], 1, boundary=boundary, **size), False, x, y, problem)
    return Raw(network(name, x.shape[1] * (1 if periodic else 4), 1, size, periodic), not periodic, x, y, problem)
