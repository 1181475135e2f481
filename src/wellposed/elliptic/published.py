"""MgNO as its authors released it, with the defects that it has: the yardstick for `wellposed.elliptic.MgNO`.

A layer is u -> gelu(W u + ...), and W is one pass down and up a hierarchy of levels with learned 3 x 3 kernels:

    u = S f;  u <- u + S (f - A u);  coarser: u = Pi u, f = R f, and again;  back up: u <- u + P u_coarse.

Source: He, Liu and Xu, *MgNO: Efficient Parameterization of Linear Operators via Multigrid* (ICLR 2024); settings and computation
are those of github.com/xlliu2017/MgNO (MIT) at 52b9f35, and of 203ad93, which computes the same. The code is our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from typing import Any, Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Fields = Float[Tensor, "batch channels x y"]


@dataclass(frozen=True)
class Kind:
    """What the three released families do differently.

    Attributes:
        padding: of S, A, Pi and R, by torch's name.
        ring: nodes added around a field before a strided convolution, and cut off after a transposed one.
        norm: where a LayerNorm over channels and nodes together stands: after every level inside W, or after W.
        bias: of S and A, so that W is at best affine.
        grows: level l, from 0, has l + 1 times the channels; every W holds an A that is never applied; the last layer is a W.
        pointwise: whether a 1 x 1 convolution with bias is added to W.
        skip: whether the input is added to the output.
    """

    padding: Literal["zeros", "circular", "reflect"]
    ring: int = 1
    norm: Literal["inside", "after"] | None = None
    bias: bool = False
    grows: bool = False
    pointwise: bool = False
    skip: bool = False


KINDS = {
    "MgNO_DC": Kind("zeros", pointwise=True),
    "MgNO_NS": Kind("circular", norm="inside", bias=True, skip=True),
    "MgNO_helm": Kind("reflect", ring=0, norm="after", bias=True, grows=True),
}


def sizes(size: int, kernels: Sequence[int], ring: int) -> list[int] | None:
    """Nodes per axis of every level, finest first; None if going up again does not lead back to the same numbers."""
    found = [size]
    for kernel in kernels:
        fine, coarse = found[-1], (found[-1] + 2 * ring - 3) // 2 + 1
        if coarse < 1 or 2 * (coarse - 1) + kernel - 2 * ring != fine:
            return None
        found.append(coarse)
    return found


class PublishedCycle(nn.Module):
    """W of the release: f of `in_channels` to u of `channels`, both fields on the nodes of the finest level.

    Departures from a multigrid cycle: f is restricted, not the residual f - A u; u goes down by a strided Pi and comes back as part
    of the correction, so that no solution of A u = f is a fixed point; nothing is smoothed on the way up; and the transposed
    convolutions pad with zeros, whatever the padding of the others (pytorch #46027).

    Args:
        steps: smoothing steps on each level, finest first; the very first is u = S f.
        kernels: widths of the transposed convolutions, finest first, one fewer than `steps`.
        size: nodes per axis, needed where LayerNorm stands inside W.
    """

    def __init__(self, in_channels: int, channels: int, steps: Sequence[int], kernels: Sequence[int], kind: Kind, size: int | None) -> None:
        super().__init__()
        factors = [level + 1 if kind.grows else 1 for level in range(len(steps))]
        f, u = [in_channels * k for k in factors], [channels * k for k in factors]
        smooth = partial(nn.Conv2d, kernel_size=3, padding=1, padding_mode=kind.padding, bias=kind.bias)
        down = partial(nn.Conv2d, kernel_size=3, stride=2, padding=kind.ring, padding_mode=kind.padding, bias=False)
        more = [steps[0] - 1, *steps[1:]]
        self.start = smooth(f[0], u[0])
        self.unused = smooth(u[0], f[0]) if kind.grows else None
        self.S = nn.ModuleList(nn.ModuleList(smooth(f[k], u[k]) for _ in range(m)) for k, m in enumerate(more))
        self.A = nn.ModuleList(nn.ModuleList(smooth(u[k], f[k]) for _ in range(m)) for k, m in enumerate(more))
        self.Pi = nn.ModuleList(down(u[k], u[k + 1]) for k in range(len(kernels)))
        self.R = nn.ModuleList(down(f[k], f[k + 1]) for k in range(len(kernels)))
        self.P = nn.ModuleList(
            nn.ConvTranspose2d(u[k + 1], u[k], width, stride=2, padding=kind.ring, bias=False) for k, width in enumerate(kernels)
        )
        levels = (sizes(size, kernels, kind.ring) or []) if size and kind.norm == "inside" else []
        self.norms = nn.ModuleList(nn.LayerNorm([c, m, m]) for c, m in zip(u, levels[:-1], strict=False))

    def forward(self, f: Fields) -> Fields:
        u, kept = self.start(f), []
        for level, (smoothers, operators) in enumerate(zip(self.S, self.A, strict=True)):
            if level:
                u, f = self.Pi[level - 1](u), self.R[level - 1](f)
            for S, A in zip(smoothers, operators, strict=True):  # pyright: ignore[reportArgumentType]
                u = u + S(f - A(u))
            kept.append(u)
        for level in reversed(range(len(self.P))):
            u = kept[level] + self.P[level](u)
            if self.norms:
                u = self.norms[level](u)
        return u


class PublishedMgNO(nn.Module):
    """The released networks; `darcy_rough`, `darcy_smooth`, `navier_stokes` and `helmholtz` are the released settings.

    Fields (batch, channels, x, y) in and out. The release follows the Darcy and Helmholtz networks by the inverse of the data's
    normalization, which has no parameters and belongs to the data; here it is left to the caller.

    Defects of all: f is restricted where multigrid restricts the residual; Pi takes u down; no boundary condition is built in, and
    none is shift-equivariant; few sizes of fields fit, or one; biases are one number for a channel where the paper's layer
    adds a function (only the LayerNorms, where there are any, learn a number for each channel and node).

    Args:
        kind: "MgNO_DC", "MgNO_NS" or "MgNO_helm", the family by its released name.
        in_channels, out_channels: 1 and 1 as released.
        channels: of the hidden fields, on the finest level.
        layers: the W that a gelu follows.
        steps, kernels: as `PublishedCycle`.
        size: the one number of nodes per axis, for the two kinds with LayerNorm.

    Raises:
        ValueError: an unknown kind, settings that do not fit together, or (from a call) fields of the wrong size.
    """

    def __init__(self, kind: str, in_channels: int = 1, out_channels: int = 1, channels: int = 24, layers: int = 4,
                 steps: Sequence[int] = (1, 1, 1, 1, 1, 2), kernels: Sequence[int] = (4, 4, 4, 4, 4), size: int | None = None) -> None:
        super().__init__()
        self.kind_name, self.kind, self.size = kind, _checked(kind, in_channels, out_channels, steps, kernels, size), size
        self.in_channels, self.out_channels, self.channels = in_channels, out_channels, channels
        self.steps, self.kernels = list(steps), list(kernels)
        widths = [in_channels] + [channels] * layers
        cycle = partial(PublishedCycle, steps=steps, kernels=kernels, kind=self.kind, size=size)
        self.cycles = nn.ModuleList(cycle(before, channels) for before in widths[:-1])
        pointwise, norms = widths[:-1] if self.kind.pointwise else [], range(layers if self.kind.norm == "after" else 0)
        self.pointwise = nn.ModuleList(nn.Conv2d(before, channels, 1) for before in pointwise)
        self.norms = nn.ModuleList(nn.LayerNorm([channels, size or 0, size or 0]) for _ in norms)
        self.head = cycle(channels, out_channels) if self.kind.grows else nn.Conv2d(channels, out_channels, 1, bias=False)

    @classmethod
    def darcy_rough(cls) -> PublishedMgNO:
        """`MgNO_DC` with the settings for rough (and multiscale) Darcy data, trained at 256 x 256: 572,661 parameters.

        Defects: those of the class; zero padding stands beside boundary values that are not zero: at the start they are half
        of the output's largest value or more; both sides must be multiples of 32 nodes. W is linear.
        """
        return cls("MgNO_DC")

    @classmethod
    def darcy_smooth(cls) -> PublishedMgNO:
        """`MgNO_DC_smooth`, trained at 211 x 211 (every other node of 421): 678,093 parameters.

        Defects: as `darcy_rough`; transposed kernels 3, 4, 3, 3, 4 are fitted to 211, so that sides must be 32 m - 13 nodes.
        """
        return cls("MgNO_DC", layers=5, kernels=(3, 4, 3, 3, 4))

    @classmethod
    def navier_stokes(cls) -> PublishedMgNO:
        """`MgNO_NS`, 64 x 64 periodic vorticity to vorticity a time step later: 2,885,194 parameters.

        Defects: those of the class; LayerNorm on every level but the coarsest inside W, so that W is not linear: at the start
        |W(f + g) - W f - W g| is .4 to .8 of |W(f + g)|, and |W 0| as large as |W f|; the weights of LayerNorm are 60 percent of
        all parameters and fix the size. Though fields are periodic, W is not equivariant even under shifts by the coarsest mesh
        width, 16 nodes (defects of .03 to .3 at the start): the transposed convolutions pad with zeros, and LayerNorm, once
        trained, weighs each node by itself.
        """
        return cls("MgNO_NS", channels=32, layers=5, steps=(1, 1, 1, 2, 2), size=64, kernels=(4, 4, 4, 4))

    @classmethod
    def helmholtz(cls) -> PublishedMgNO:
        """`MgNO_helm`, 101 x 101, channels 20, 40, 60, 80, 100 down the levels: 5,351,806 parameters.

        Defects: those of the class; LayerNorm between W and gelu, which fixes the size; biases inside W, so that W is affine; and
        dead parameters, 11,241 of them: in each of the five W the A of the first step is never applied, for there is no u yet.
        They are kept, as `unused`, because the count includes them.
        """
        return cls("MgNO_helm", channels=20, layers=4, steps=(1, 1, 1, 1, 2), kernels=(3, 4, 4, 3), size=101)

    @property
    def config(self) -> dict[str, Any]:
        """What the constructor was given, and "name"; of numbers, strings and lists only."""
        given = {"kind": self.kind_name, "in_channels": self.in_channels, "out_channels": self.out_channels, "channels": self.channels,
                 "layers": len(self.cycles), "steps": self.steps, "kernels": self.kernels, "size": self.size}
        return {"name": "published-mgno"} | {key: value for key, value in given.items() if value is not None}

    def forward(self, x: Float[Tensor, "batch in_channels x y"]) -> Float[Tensor, "batch out_channels x y"]:
        self._admit(x)
        u = x
        for layer, cycle in enumerate(self.cycles):
            u = cycle(u) + self.pointwise[layer](u) if self.pointwise else cycle(u)
            u = F.gelu(self.norms[layer](u) if self.norms else u)
        return self.head(u) + x if self.kind.skip else self.head(u)

    def _admit(self, x: Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ValueError(f"{self.kind_name}: received an array of shape {tuple(x.shape)}, expected (batch, {self.in_channels}, x, y)")
        if not all(side == self.size if self.size else sizes(side, self.kernels, self.kind.ring) for side in x.shape[2:]):
            expected = f"{self.size} x {self.size}, which LayerNorm fixes" if self.size else f"sides of {_fitting(self.kernels, self.kind)}"
            raise ValueError(f"{self.kind_name}: received {x.shape[2]} x {x.shape[3]} nodes, expected {expected}; resample the fields, or "
                             "use wellposed.elliptic.MgNO, which takes other meshes")


def _checked(kind: str, inputs: int, outputs: int, steps: Sequence[int], kernels: Sequence[int], size: int | None) -> Kind:
    """The kind by its name, once the settings fit together."""
    if kind not in KINDS:
        raise ValueError(f"PublishedMgNO: received kind {kind!r}, expected one of {', '.join(KINDS)}")
    found = KINDS[kind]
    if min(steps, default=0) < 1 or len(kernels) != len(steps) - 1 or not set(kernels) <= {3, 4}:
        raise ValueError(f"PublishedMgNO: received steps {list(steps)} and kernels {list(kernels)}, expected at least one step on each "
                         "level, and between any two levels a transposed kernel of width 3 or 4")
    if (found.norm is None) != (size is None) or (size and not sizes(size, kernels, found.ring)):
        raise ValueError(f"PublishedMgNO: received size {size} for {kind}, expected "
                         + (f"one of {_fitting(kernels, found)}" if found.norm else "none, since it takes several"))
    if found.skip and inputs != outputs:
        raise ValueError(f"PublishedMgNO: received {inputs} channels in and {outputs} out, expected as many: {kind} adds its input")
    return found


def _fitting(kernels: Sequence[int], kind: Kind) -> str:
    return ", ".join(str(n) for n in islice((n for n in count(1) if sizes(n, kernels, kind.ring)), 3)) + ", ..."
