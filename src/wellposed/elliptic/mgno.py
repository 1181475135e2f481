"""MgNO: a neural operator whose linear maps are multigrid cycles, O_i(u) = s(sum_j W_ij u + B_i).

Source: He, Liu and Xu, *MgNO: Efficient Parameterization of Linear Operators via Multigrid* (ICLR 2024). There is no lifting
and no projection; boundary conditions are exact by construction, and any grid that the levels halve can be asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wellposed.elliptic.ends import Ends, Fields
from wellposed.elliptic.kernels import even_axes
from wellposed.elliptic.lift import FEATURES, Lift
from wellposed.elliptic.multigrid import Multigrid
from wellposed.elliptic.problem import Darcy
from wellposed.numerics.activations import activation_of, named
from wellposed.numerics.heap import keep_freed_memory
from wellposed.numerics.q1 import interpolate
from wellposed.numerics.space import SIDES


class Layer(nn.Module):
    """s(gain h^2 W u + V u + B): a multigrid cycle, a mixing of channels at each point, and a bias.

    gain h^2 W stands for 2 pi^2 times an inverse Laplacian, whose largest gain is about 1 on every grid: signals neither
    grow nor vanish with the number of layers, nor with the resolution.
    """

    def __init__(self, cycle: Multigrid, modes: int) -> None:
        super().__init__()
        self.cycle = cycle
        self.mix = nn.Conv2d(cycle.in_channels, cycle.out_channels, 1)
        self.function = nn.Parameter(torch.zeros(cycle.out_channels, modes, modes)) if modes else None

    def forward(self, u: Fields, extra: int) -> Fields:
        n = self.cycle.ends.cells(u.shape)
        w, gain = self.cycle(u, extra), 2 * math.pi**2 / n**2
        whole = all(x.is_contiguous(memory_format=torch.channels_last) for x in (u, w))
        if whole and w.dtype == u.dtype == self.mix.weight.dtype:  # a product of matrices, in place: half of the time of what stands below
            rows, out = w.permute(0, 2, 3, 1).view(-1, w.shape[1]), w
            rows.addmm_(u.permute(0, 2, 3, 1).view(-1, u.shape[1]), self.mix.weight[:, :, 0, 0].t(), beta=gain).add_(self.mix.bias)
        else:
            out = self.mix(u).add_(w, alpha=gain)
        return out if self.function is None else out + self._bias(u, n)

    def _bias(self, u: Fields, n: int) -> Fields:
        """B as a function: its lowest cosine modes."""
        assert self.function is not None
        k = torch.arange(self.function.shape[-1], device=u.device, dtype=u.dtype)
        left, _, bottom, _ = self.cycle.ends.dirichlet
        y, x = (torch.cos(torch.pi * k[:, None] * (torch.arange(count, device=u.device, dtype=u.dtype) + first) / n)
                for count, first in ((u.shape[-2], bottom), (u.shape[-1], left)))
        return torch.einsum("ckl,ki,lj->cij", self.function, y, x)


class Trunk(nn.Module):
    """Layers on the unknowns of one kind of grid: cell fields in, unknowns out.

    Args:
        even: axes along which the output is reflected when the input is.
    """

    def __init__(self, inputs: int, outputs: int, channels: int, layers: int, ends: Ends, activation: nn.Module, modes: int,
                 even: tuple[bool, bool], cycle: dict[str, Any]) -> None:
        super().__init__()
        self.ends, self.activation, self.even = ends, activation, even
        sides: dict[str, str] = dict(zip(SIDES, ends.sides, strict=True))
        within = {"channels": channels if cycle["separable"] or cycle["transfers"] == "galerkin" else None, **cycle}
        across = {**cycle, "separable": 0}  # the last W leads from all channels to few: dense kernels cost little there
        if cycle["transfers"] == "galerkin":  # R A P takes as many output as input channels
            across["channels"] = channels
        widths = list(pairwise([4 * inputs, *[channels] * (layers - 1), outputs]))
        self.layers = nn.ModuleList(
            Layer(Multigrid(a, b, boundary=sides, even=even, **(across if k == layers - 1 else within)), modes)
            for k, (a, b) in enumerate(widths))

    def forward(self, cells: Fields, extra: int) -> Fields:
        u = _even(self.ends.corners(cells), self.even).contiguous(memory_format=torch.channels_last)
        for k, layer in enumerate(self.layers):
            u = layer(u if k == 0 else self._activated(u), extra)
        return u

    def _activated(self, u: Fields) -> Fields:
        """As `activation(u)`; the library's gelu takes half as long again where it does not see that memory is contiguous."""
        if type(self.activation) is nn.GELU and u.is_contiguous(memory_format=torch.channels_last):
            return self.activation(u.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.activation(u)


class MgNO(nn.Module):
    """Cell fields (batch, in_channels, n, n) -> nodal fields (batch, out_channels, n + 1, n + 1); periodic, n x n.

    Called with a `Darcy` problem instead, it answers it: potentials, or with `stream` potentials and stream functions,
    which need nothing more to be certified (`wellposed.elliptic.trial`).

    Args:
        in_channels: of the input. For Darcy problems at most 5, the features of `wellposed.elliptic.lift`, first come first.
        channels: of the hidden layers. layers: how many W there are, the last without activation.
        levels: grids of each W: n must be a multiple of 2^(levels - 1), and at least 2^levels.
        boundary: "dirichlet" (the output is exactly 0.0 there), "neumann", "periodic", or a dict with the first two for
            "bottom", "right", "top", "left".
        stream: whether there is a second trunk, for stream functions, with Dirichlet and Neumann sides exchanged.
        separable: on this many of the finest levels kernels act within channels; 0 is the paper's dense W.
        smoothing, shared, transfers, noise: as `Multigrid`.
        modes: B as a function with modes x modes cosines; 0 for constants, which keep symmetries.
        activation: "gelu", "silu", "relu", "tanh", or any module.
        resolution: cells a side that `levels` refers to; coarser grids then get fewer levels. None: `levels` on every
            grid. Training sets it.
        repeated: this many levels at the fine end share the kernels of the one below them: what training on a coarser
            grid has taught them is then in place on the finer one.
        finer: what a grid at least twice as fine as `resolution` does. "interpolate": the means of its cells are asked
            for, and nodal values interpolated; "levels": it gets more levels, with the finest one's kernels.

    Raises:
        ValueError: numbers out of range, an unknown boundary or activation.
    """

    def __init__(self, in_channels: int, out_channels: int, channels: int = 16, layers: int = 4, levels: int = 5,
                 boundary: str | Mapping[str, str] = "dirichlet", *, stream: bool = False, separable: int = 2,
                 smoothing: tuple[int, int] = (1, 1), shared: bool = False, transfers: str = "learned", noise: float = 0.05,
                 modes: int = 0, activation: str | nn.Module = "gelu", resolution: int | None = None,
                 repeated: int = 0, finer: str = "interpolate") -> None:
        super().__init__()
        keep_freed_memory()
        if min(in_channels, out_channels, channels, layers, levels) < 1 or modes < 0:
            raise ValueError(f"MgNO: received in_channels={in_channels}, out_channels={out_channels}, channels={channels}, layers="
                             f"{layers}, levels={levels}, modes={modes}; expected at least 1 of each, and modes not negative")
        if (resolution is not None and resolution < 1) or not noise >= 0:
            raise ValueError(f"MgNO: received resolution={resolution} and noise={noise}, expected at least 1 cell, or None, and "
                             "noise that is not negative")
        if stream and out_channels != 1:
            raise ValueError(f"MgNO: received stream=True with out_channels={out_channels}, expected 1: one potential, one stream function")
        if finer not in ("interpolate", "levels") or repeated < 0 or (repeated > 0 and levels - repeated < 2):
            raise ValueError(f"MgNO: received finer={finer!r} and repeated={repeated} of {levels} levels, expected 'interpolate' or "
                             "'levels', and at least two levels with kernels of their own")
        self.ends, self.in_channels, self.resolution = Ends.of(boundary), in_channels, resolution
        self.repeated, self.finer = repeated, finer
        cycle = {"levels": levels - repeated, "separable": separable, "smoothing": tuple(smoothing), "shared": shared,
                 "transfers": transfers, "noise": noise}
        self._config = {"in_channels": in_channels, "out_channels": out_channels, "channels": channels, "layers": layers,
                        "boundary": list(self.ends.sides), "stream": stream, "modes": modes, "repeated": repeated, "finer": finer,
                        **cycle, "levels": levels, "smoothing": list(smoothing)}
        self._activation = activation if isinstance(activation, str) else named(activation)
        act = activation_of(activation)
        self.potential = Trunk(in_channels, out_channels, channels, layers, self.ends, act, modes, even_axes(self.ends), cycle)
        self.stream = None  # a stream function changes its sign under reflections: its kernels are free
        if stream:
            self.stream = Trunk(in_channels, 1, channels, layers, self.ends.dual, act, modes, (False, False), cycle)

    @classmethod
    def darcy(cls, boundary: str | Mapping[str, str] = "dirichlet", channels: int = 24, layers: int = 3, levels: int = 5,
              activation: str | nn.Module = "gelu", **options: Any) -> MgNO:
        """The network for Darcy problems that `wellposed run darcy` trains: all features, and both trunks."""
        given = {"repeated": int(levels > 2), "separable": 1, **options}
        return cls(FEATURES, 1, channels, layers, levels, boundary, stream=True, activation=activation, **given)

    @property
    def config(self) -> dict[str, Any]:
        """What a run folder keeps to build it again."""
        reference = {} if self.resolution is None else {"resolution": self.resolution}
        return {"name": "mgno", **self._config, "activation": self._activation, **reference}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], activation: nn.Module | None = None) -> MgNO:
        """The inverse of `config`; an activation that is not one of the named ones must be passed."""
        given = {k: v for k, v in config.items() if k != "name"}
        given["boundary"] = dict(zip(SIDES, given["boundary"], strict=True))
        given["smoothing"] = tuple(given["smoothing"])
        if activation is not None and named(activation) != given["activation"]:
            raise ValueError(f"activation: received {named(activation)}, expected {given['activation']}, with which the model was made")
        given["activation"] = given["activation"] if activation is None else activation
        return cls(**given)

    @classmethod
    def load(cls, folder: str | Path, activation: nn.Module | None = None) -> MgNO:
        """The model of a run folder, after its manifest has been verified.

        Raises:
            ValueError: no run folder, a file that differs from what the run wrote, or another kind of model.
        """
        from wellposed.training.weights import load_model_config, load_weights

        config = load_model_config(folder)
        if config.get("name") != "mgno":
            raise ValueError(f"{folder} holds a model named {config.get('name')!r}, expected 'mgno'; load it with the class that made it")
        model = cls.from_config(config, activation)
        model.load_state_dict(load_weights(Path(folder) / "weights.safetensors"))
        return model.eval()

    def forward(self, x: Fields | Darcy | Lift, amplitudes: bool = True) -> Any:
        """The nodal fields of cell fields; or the answer to a problem; or, from its lift, the trial fields that training sees.

        Raises:
            ValueError: another number of channels or axes, integers, a grid that its levels cannot halve.
        """
        if isinstance(x, Darcy | Lift):
            from wellposed.elliptic.trial import answer, trial

            return answer(self, x) if isinstance(x, Darcy) else trial(self, x, amplitudes)
        y = self._nodes(self.potential, self._demand(x))
        return y[..., :-1, :-1].contiguous() if self.ends.periodic else y

    def both(self, fields: Fields, stream_fields: Fields) -> tuple[Fields, Fields | None]:
        """Potentials and stream functions at all (n + 1) x (n + 1) nodes, each from its own cell fields."""
        v = self._nodes(self.potential, self._demand(fields))
        return v, None if self.stream is None else self._nodes(self.stream, self._demand(stream_fields))

    def factor(self, n: int) -> int:
        """How many cells of a grid of n cells a side are taken together, along each axis."""
        if self.resolution is None or self.finer == "levels" or n < self.resolution:
            return 1
        return 2 ** int(math.log2(n / self.resolution))

    def extra(self, n: int) -> int:
        """Levels that a grid of n cells has more than the kernels' own."""
        if self.resolution is None:
            return self.repeated
        more = round(math.log2(n / self.resolution))
        return self.repeated + (more if self.finer == "levels" else min(more, 0))

    def _nodes(self, trunk: Trunk, cells: Fields) -> Fields:
        """(n + 1) x (n + 1) nodal values, periodic too."""
        n = cells.shape[-1]
        factor = self.factor(n)
        if factor == 1:
            return _wrap(trunk.ends.nodes(trunk(cells, self.extra(n))), trunk.ends)
        if n % factor:
            raise ValueError(f"MgNO: received a grid of {n} x {n} cells, expected a multiple of {factor}: it was trained on "
                             f"{self.resolution} x {self.resolution}; crop or resample the fields")
        y = self._nodes(trunk, nn.functional.avg_pool2d(cells, factor))
        return interpolate(y.flatten(0, 1), factor).unflatten(0, y.shape[:2])

    def _demand(self, x: Fields) -> Fields:
        wanted = self.in_channels
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise ValueError(f"MgNO: received {getattr(x, 'dtype', '')} of {type(x).__name__}, expected a problem, Darcy(coefficient, "
                             "source), or a floating-point tensor of cell fields; use torch.as_tensor(x).float()")
        own = self.potential.layers[0].mix.weight.dtype  # type: ignore[union-attr]
        if x.dtype != own and not torch.is_autocast_enabled(x.device.type):
            raise ValueError(f"MgNO: received {x.dtype} for weights in {own}, expected the same; use x.to({own}), or model.to({x.dtype})")
        if x.ndim != 4 or x.shape[1] != wanted or x.shape[2] != x.shape[3]:
            raise ValueError(f"MgNO: received the shape {tuple(x.shape)}, expected (batch, {wanted}, n, n), one number per cell of a "
                             "square grid; add the channel axis with x[:, None], or crop the fields to squares")
        return x


def _even(corners: Fields, axes: tuple[bool, bool]) -> Fields:
    """The four cells around a node as their mean and differences along x, y and both, without the signs that a reflection flips."""
    if not any(axes):
        return corners
    a, b, c, d = corners.chunk(4, 1)
    x, y, xy = (b - a) + (d - c), (c - a) + (d - b), (d - c) - (b - a)
    x, y = x.abs() if axes[0] else x, y.abs() if axes[1] else y
    return torch.cat([a + b + c + d, x, y, xy.abs()], 1) / 4


def _wrap(x: Fields, ends: Ends) -> Fields:
    return torch.nn.functional.pad(x, (0, 1, 0, 1), mode="circular") if ends.periodic else x
