"""SpacetimeFNO: vorticity frames in, a trajectory out that is a polynomial in time on each slab, at any resolution and for any times.

After the spatio-temporal Fourier neural operator of Cao, Brarda, Li and Xi, Spectral-Refiner (ICLR 2025, arXiv 2405.17211): a lifting,
spectral blocks, a last spectral layer with a complex bias for each mode, added to the last input frame. It differs in that

- time is physical: the values at the Chebyshev-Lobatto points of a slab of fixed width are the channels of the last layer, and a longer
  horizon is more slabs, each from the end of the one before it, as the equation is autonomous. No frame depends on which others are asked;
- weights act on true Fourier coefficients of the lowest modes, and blocks multiply without aliasing, so that the resolution of the input
  changes nothing but the modes above, which decay by viscosity alone;
- there are no coordinates among the inputs. Where the equation is not the same everywhere, biases of modes say so, which are periodic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wellposed.flow.band import Band
from wellposed.flow.equation import Array, NavierStokes2D
from wellposed.flow.problem import Evolution
from wellposed.flow.slabs import Slabs, apply
from wellposed.flow.spectral_layer import Planes, ProductBlock, SpectralLayer, box, planes, real
from wellposed.flow.trajectory import Trajectory
from wellposed.numerics import chebyshev
from wellposed.numerics.heap import keep_freed_memory
from wellposed.numerics.vorticity import Modes, Spectrum, to_field, to_spectrum

Frames = Float[Tensor, "batch steps n n"]
Latents = Float[Tensor, "slabs 2 rows columns channels batch"]
SMALL = 0.01
"""Of the last layer at the start: an untrained network holds the last frame."""


class Start(NamedTuple):
    """What training gives instead of frames: coefficients of fields, and over how many slabs they are carried."""

    planes: Planes
    slabs: int


class SpacetimeFNO(nn.Module):
    """Frames (batch, steps, n, n) -> frames at any later times (batch, times, n, n), n even; or an `Evolution` -> its `Trajectory`.

    Args:
        slab: width of a slab, in the unit of time of the data. The narrower, the easier is what must be learned, and the more slabs make a
            horizon. Good values: the time in which the fluid crosses a tenth of the box.
        degree: of the polynomials in time.
        modes: K, the largest frequency on which the network acts. channels, layers: of the blocks.
        length: of the side of the box.
        viscosity: by which modes decay of themselves, e^(-ν|k|²t); 0 leaves that to be learned, and holds the modes above K.
        homogeneous: whether the equation is the same everywhere (no forcing). Biases are then left out, and the network commutes with
            translations. The last layer's is there, zero and not trained, for a refiner.
        scale: a typical vorticity, by which fields are divided; training sets it to the root mean square of its data.

    Raises:
        ValueError: numbers out of range.
    """

    def __init__(self, slab: float = 0.4, degree: int = 8, modes: int = 8, channels: int = 16, layers: int = 3, *,
                 length: float = 2 * math.pi, viscosity: float = 0.0, homogeneous: bool = False, scale: float | None = None) -> None:
        super().__init__()
        whole = {"degree": (degree, 2), "modes": (modes, 1), "channels": (channels, 1), "layers": (layers, 0)}
        for name, (value, least) in whole.items():
            if not isinstance(value, int) or value < least:
                raise ValueError(f"SpacetimeFNO: received {name}={value!r}, expected a whole number of at least {least}")
        real = {"slab": slab, "length": length, "viscosity": viscosity, "scale": 1.0 if scale is None else scale}
        for name, value in real.items():
            if not 0 <= value < math.inf or (value == 0 and name != "viscosity"):
                raise ValueError(f"SpacetimeFNO: received {name}={value!r}, expected a positive number in the unit of the data"
                                 + (", or 0" if name == "viscosity" else ""))
        keep_freed_memory()
        self.slab, self.degree, self.modes, self.length = float(slab), degree, modes, float(length)
        self.viscosity, self.homogeneous, self.scale = float(viscosity), homogeneous, scale
        self._sizes = {"channels": channels, "layers": layers}
        self.lift = SpectralLayer(1, channels, modes, bias=not homogeneous)
        self.blocks = nn.ModuleList(ProductBlock(channels, modes) for _ in range(layers))
        self.last = SpectralLayer(channels, degree, modes, bias=True, gain=SMALL)
        if homogeneous and self.last.bias is not None:
            self.last.bias.requires_grad_(False)

    @classmethod
    def of(cls, equation: NavierStokes2D, slab: float, **options: Any) -> SpacetimeFNO:
        """A network for one equation: its box, its viscosity, and whether it is the same everywhere."""
        given = {"length": equation.length, "viscosity": equation.viscosity, "homogeneous": equation.forcing is None, **options}
        return cls(slab, **given)

    @property
    def config(self) -> dict[str, Any]:
        """What a run folder keeps to build it again."""
        reference = {} if self.scale is None else {"scale": self.scale}
        return {"name": "spacetime-fno", "slab": self.slab, "degree": self.degree, "modes": self.modes, **self._sizes,
                "length": self.length, "viscosity": self.viscosity, "homogeneous": self.homogeneous, **reference}

    def extra_repr(self) -> str:
        return ", ".join(f"{k}={v!r}" for k, v in self.config.items() if k != "name")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SpacetimeFNO:
        """The inverse of `config`."""
        return cls(**{k: v for k, v in config.items() if k != "name"})

    @classmethod
    def load(cls, folder: str | Path) -> SpacetimeFNO:
        """The model of a run folder, after its manifest has been verified.

        Raises:
            ValueError: no run folder, a file that differs from what the run wrote, or another kind of model.
        """
        from wellposed.training.weights import load_into, load_model_config, load_weights

        config = load_model_config(folder)
        if config.get("name") != "spacetime-fno":
            raise ValueError(f"{folder} holds a model named {config.get('name')!r}, expected 'spacetime-fno'; load it with the class that "
                             "made it")
        model = cls.from_config(config)
        load_into(model, load_weights(Path(folder) / "weights.safetensors"))
        return model.eval()

    def forward(self, frames: Frames | Evolution | Start, times: Array | Sequence[float] | None = None) -> Any:
        """Frames at `times`; or the answer to a problem; or what training sees: coefficients at the nodes of slabs, but the first.

        Args:
            frames: vorticity; the equation being autonomous, the last one decides, and those before it are not read. (A network that was
                given their rate of change too learned no faster, and its trajectories diverged.)
            times: since the last frame, in the unit of time of the data, in any order, not negative.

        Returns:
            (batch, times, n, n), of the type of the frames. A sample that leaves the floating numbers is not finite, the others are not
            touched.

        Raises:
            ValueError: frames or times of another shape or not finite; a problem without times, of another box or another viscosity.
        """
        if isinstance(frames, Start):
            with torch.autocast(frames.planes.device.type, enabled=False):  # bf16 has fewer digits than are learned
                return self._trained(frames)
        if isinstance(frames, Evolution):
            return self._answer(frames)
        w, t = _last(frames), _times(times)
        n, kind = w.shape[-1], w.dtype
        which = torch.ceil(t / self.slab * (1 - 1e-12)).long().sub(1).clamp(min=0)
        out: list[Tensor] = [w] * len(t)
        for k, (_, nodes) in enumerate(self._march(self._spectrum(w), int(which.max()) + 1)):
            here = (which == k).nonzero()[:, 0].tolist()
            if here:
                s = ((t[here] - k * self.slab) / self.slab).clamp(0.0, 1.0).numpy()
                found = to_field(apply(chebyshev.values(self.degree, s), nodes), n).to(kind)
                for place, frame in zip(here, found.unbind(1), strict=True):
                    out[place] = frame
        return torch.stack(out, 1)

    def slabs(self, frames: Frames, horizon: float) -> Slabs:
        """Polynomials from the last frame, at time 0, to the horizon, in float64.

        Spectra hold the modes |k_i| < n/3, without mean. The first node is the last frame, and each slab begins with the end of the one
        before it, to the last bit.

        Raises:
            ValueError: frames of another shape or not finite, a horizon that is not positive.
        """
        return self.decode(frames, None, horizon)

    def features(self, frames: Frames, horizon: float | None = None) -> Latents:
        """What the last layer is given in each slab to the horizon (by default in one)."""
        w = _last(frames)
        return torch.stack([z for z, _ in self._march(self._spectrum(w), self._count(self.slab if horizon is None else horizon))])

    def decode(self, frames: Frames, latents: Latents | None, horizon: float) -> Slabs:
        """As `slabs`, from latents that are held, of which None stands for the network's own: then linear in the parameters of `last`."""
        w, count = _last(frames), self._count(horizon)
        if latents is not None and len(latents) != count:
            raise ValueError(f"SpacetimeFNO: received latents of {len(latents)} slabs of {self.slab:g} for the horizon {horizon:g}, "
                             f"expected {count}; ask features(frames, {horizon:g})")
        nodes = [nodes for _, nodes in self._march(self._spectrum(w), count, latents)]
        edges = self.slab * torch.arange(count + 1, dtype=torch.float64)
        part = (horizon - float(edges[-2])) / self.slab
        if part < 1 - 1e-12:
            cut = apply(chebyshev.values(self.degree, part * chebyshev.lobatto(self.degree)), nodes[-1])
            nodes[-1] = torch.cat([nodes[-1][:, :1], cut[:, 1:]], 1)
        edges[-1] = horizon
        return Slabs(edges, torch.stack(nodes, 1))

    def _march(self, w: Spectrum, count: int, latents: Latents | None = None) -> Iterator[tuple[Planes, Tensor]]:
        """Latents, and spectra at all nodes (batch, degree + 1, n, half), of one slab after the other."""
        n = w.shape[-2]
        band, decay = Band.kept(n, self.length), self._decay(Modes.of(n, w.device, self.length).square)
        for k in range(count):
            z = self._latent(planes(band.widened(band.cut(w), self.modes)[:, None])) if latents is None else latents[k]
            change = Band(self.modes, self.length).widened(box(self._scale * real(self.last(z))).to(w.dtype), band.top)
            rest = w[:, None] * decay + band.spread(change, n)
            yield z, torch.cat([w[:, None], rest], 1)
            w = rest[:, -1]

    def _latent(self, v: Planes) -> Planes:
        v = self.lift((v / self._scale).to(self.lift.weight.dtype))
        for block in self.blocks:
            v = block(v)
        return v

    def _trained(self, start: Start) -> Planes:
        v, out = start.planes, []
        decay = self._decay(Band(self.modes, self.length).square.to(v.device)).to(v.dtype).movedim(0, -1)[None, ..., None]
        for _ in range(start.slabs):
            out.append(v * decay + self._scale * real(self.last(self._latent(v))))
            v = out[-1][:, :, :, -1:]
        return torch.cat(out, 3)

    def _answer(self, problem: Evolution) -> Trajectory:
        e, t = problem.equation, problem.times
        if t is None or not isinstance(e, NavierStokes2D):
            raise ValueError(f"SpacetimeFNO: received a problem of {type(e).__name__} {'without' if t is None else 'with'} times, expected "
                             "Evolution(NavierStokes2D(...), vorticity, times)")
        for name, own, asked in (("length", self.length, e.length), ("viscosity", self.viscosity or e.viscosity, e.viscosity)):
            if abs(own - asked) > 1e-9 * own:
                raise ValueError(f"SpacetimeFNO: received a problem of {name} {asked:g}, expected {own:g}, which the network was made for; "
                                 "train one with SpacetimeFNO.of(equation, slab)")
        slabs = self.slabs(problem.history, float(t[-1] - t[0]))
        edges = slabs.edges + t[0]
        edges[-1] = t[-1]
        return Trajectory.of(Slabs(edges, slabs.values), t)

    def _spectrum(self, w: Float[Tensor, "batch n n"]) -> Spectrum:
        spectrum = to_spectrum(w) * Modes.of(w.shape[-1], w.device).kept
        return torch.cat([torch.cat([torch.zeros_like(spectrum[:, :1, :1]), spectrum[:, :1, 1:]], 2), spectrum[:, 1:]], 1)

    def _decay(self, square: Tensor) -> Tensor:
        """e^(-ν|k|²t) at the nodes but the first."""
        times = self.slab * torch.from_numpy(chebyshev.lobatto(self.degree))[1:].to(square.device)
        return torch.exp(-self.viscosity * times[:, None, None] * square)

    def _count(self, horizon: float) -> int:
        if not 0 < horizon < math.inf:
            raise ValueError(f"SpacetimeFNO: received a horizon of {horizon}, expected a positive time since the last frame")
        return max(1, math.ceil(horizon / self.slab * (1 - 1e-12)))

    @property
    def _scale(self) -> float:
        return 1.0 if self.scale is None else self.scale


def _last(frames: Array) -> Float[Tensor, "batch n n"]:
    """The last frame."""
    w = torch.as_tensor(frames)
    if w.ndim != 4 or not w.is_floating_point() or w.shape[2] != w.shape[3] or w.shape[2] % 2 or w.shape[2] < 8 or not w.shape[1]:
        raise ValueError(f"SpacetimeFNO: received frames {w.dtype} of the shape {tuple(w.shape)}, expected floating numbers "
                         "(batch, steps, n, n) on a square grid, n even and at least 8, at least one step; give a field as w[:, None]")
    w = w[:, -1]
    finite = torch.isfinite(w).flatten(1).all(1)
    if not finite.all():
        raise ValueError(f"SpacetimeFNO: received a last frame that is not finite in sample {int((~finite).nonzero()[0])}, expected finite "
                         "numbers; leave such samples out")
    return w


def _times(times: Array | Sequence[float] | None) -> Float[Tensor, " times"]:
    t = torch.zeros(0) if times is None else torch.as_tensor(times, dtype=torch.float64).cpu()
    if t.ndim != 1 or not len(t) or not torch.isfinite(t).all() or t.min() < 0:
        raise ValueError(f"SpacetimeFNO: received the times {t.tolist()}, expected at least one, since the last frame, in the unit of the "
                         "data, finite and not negative")
    return t.to(torch.float64)
