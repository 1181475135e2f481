"""The figures of one flow: vorticity in colours that are centred at zero, errors, spectra and residuals on logarithmic axes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from wellposed.flow import Enclosure, NavierStokes2D, Trajectory, solve
from wellposed.flow.exam import Exam, energy, residual_seen
from wellposed.numerics.vorticity import resample, to_field, to_spectrum
from wellposed.report.curves import DASHED, GREY, Curve, curves
from wellposed.report.svg import STYLE, to_svg

RAW, REFINED, PDE, SOLVER = "#D55E00", "#0072B2", "#7B4173", "#009E73"
COLOURS = "RdBu_r"
DOTTED = (0, (1, 2))
ROUNDING = 1e-20  # of the largest energy of a shell
SHOWN = 128  # nodes per axis of pictures, at least: between those of the grid lies the trigonometric polynomial that is meant
WAVES = "wave number |k|, in units of 2π over the side"


@dataclass(frozen=True)
class Sample:
    """The flow that is shown: `sample` of an exam, with the enclosures of its raw and its refined answer's error."""

    exam: Exam = field(repr=False)
    sample: int
    raw: Enclosure = field(repr=False)
    sharp: Enclosure = field(repr=False)

    @property
    def equation(self) -> NavierStokes2D:
        return self.exam.pde.equation

    @property
    def times(self) -> Tensor:
        return self.exam.answer.times

    @property
    def answer(self) -> Trajectory:
        return self.exam.answer[self.sample]

    @property
    def refined(self) -> Trajectory:
        return self.exam.refined.answer[self.sample]

    @property
    def top(self) -> int:
        """The largest mode of the grid along an axis."""
        return (self.equation.resolution - 1) // 3

    @cached_property
    def solver(self) -> Trajectory:
        """The classical solution."""
        with torch.no_grad():
            return solve(self.equation, self.exam.problem[self.sample].vorticity, self.times)


def vorticity_maps(s: Sample) -> tuple[list[str], float]:
    """The initial field, the network's last, the refined last, and their difference; how much stronger the colours of that are."""
    kept, n = s.equation.modes.kept, s.equation.resolution
    m, end = n * max(1, -(-SHOWN // n)), f"t = {float(s.times[-1]):g}"

    def shown(w: Tensor) -> np.ndarray:
        return to_field(resample(to_spectrum(w) * kept, n, m), m).numpy()

    first, guess, better = (shown(w) for w in (s.refined.vorticity[0, 0], s.answer.vorticity[0, -1], s.refined.vorticity[0, -1]))
    limit = max(*(float(np.abs(w).max()) for w in (first, guess, better)), 1e-300)
    other = max(float(np.abs(guess - better).max()), 1e-300)
    panels = (("Vorticity at the start", first, limit), (f"The network at {end}", guess, limit), (f"Refined, at {end}", better, limit),
              ("The network less refined", guess - better, other))
    return [_map(title, w, top, s.equation.length) for title, w, top in panels], limit / other


def errors_over_time(s: Sample) -> str:
    """Proved from above, from below, and estimated."""
    t, raw, sharp = s.times[1:].tolist(), s.raw, s.sharp
    lines = [Curve("the network, from its residual alone", t, _over_time(raw.own.error), RAW, DOTTED),
             Curve("the network, from both sides", t, _over_time(raw.upper), RAW, band=_over_time(raw.lower)),
             Curve("the network, estimated", t, _over_time(raw.own.estimate), GREY, marker="o"),
             Curve("refined, from its residual alone", t, _over_time(sharp.own.error), REFINED, DOTTED),
             Curve("refined, from both sides", t, _over_time(sharp.upper), REFINED, band=_over_time(sharp.lower))]
    return curves(lines, "Velocity error, root mean square over the box", "time", level=("speed of the flow", _speed(s)), size=(7.6, 4.6))


def spectra(s: Sample) -> str:
    """Energy at the end: the network's, the refined, the solver's, and of what the network is off by."""
    kept, lines, least = s.equation.modes.kept, [], 0.0
    ends = {name: to_spectrum(v.vorticity[:, -1]) * kept for name, v in
            (("the network", s.answer), ("refined", s.refined), ("the solver", s.solver))}
    ends["the network less refined"] = ends["the network"] - ends["refined"]
    looks = ((RAW, "-"), (REFINED, "-"), (SOLVER, DASHED), (RAW, DOTTED))
    for (name, w), (colour, style) in zip(ends.items(), looks, strict=True):
        e = energy(w, s.equation)[0, 1:]
        least = least or ROUNDING * float(e.max())
        lines.append(Curve(name, list(range(1, len(e) + 1)), torch.where(e > least, e, 0.0).tolist(), colour, style))
    return curves(lines, f"Energy at t = {float(s.times[-1]):g}", WAVES, both=True, edge=s.top, size=(7.6, 4.0))


def residuals(s: Sample) -> list[str]:
    """Over wave numbers, and over time."""
    raw, better = (residual_seen(s.equation, v) for v in (s.answer, s.refined))
    pairs = (("the network", raw, RAW), ("refined", better, REFINED))
    shells = [Curve(name, list(range(1, len(r["shells"]))), r["shells"][1:].tolist(), colour) for name, r, colour in pairs]
    sizes = [Curve(f"{name}, in the modes kept", r["times"].tolist(), r["kept"].tolist(), colour) for name, r, colour in pairs]
    beyond = (better["whole"].square() - better["kept"].square()).clamp(min=0.0).sqrt().tolist()
    sizes.append(Curve("refined, in the modes beyond", better["times"].tolist(), beyond, PDE))
    return [curves(shells, "Residual of each wave number", WAVES, edge=s.top, beyond=True), curves(sizes, "Residual over time", "time")]


def bounds_beyond(s: Sample) -> str:
    """Against the equation, and against the Galerkin system."""
    t, k = s.times[1:].tolist(), s.sample
    lines = [Curve("against the equation", t, _over_time(s.exam.pde.error[k : k + 1]), PDE),
             Curve("against the modes that the grid keeps", t, _over_time(s.sharp.upper), REFINED)]
    return curves(lines, "The refined answer's velocity error is at most", "time", level=("speed of the flow", _speed(s)), size=(7.6, 3.6))


def _over_time(x: Tensor) -> list[float]:
    """Of the one sample, without the first time, at which an error is zero or rounding."""
    return x[0, 1:].tolist()


def _speed(s: Sample) -> float:
    return float(s.sharp.own.speed[0, -1])


def _map(title: str, values: Float[np.ndarray, "y x"], limit: float, length: float) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure((3.3, 2.75))
        ax, side = figure.add_axes((0.1, 0.1, 0.66, 0.79)), figure.add_axes((0.785, 0.1, 0.03, 0.79))
        image = ax.imshow(values, cmap=COLOURS, vmin=-limit, vmax=limit, origin="lower", extent=(0, length, 0, length))
        ax.set(title=title, aspect="equal")
        turn = abs(length - 2 * math.pi) < 1e-9
        names = ("0", "π", "2π") if turn else tuple(f"{x:.3g}" for x in (0, length / 2, length))
        ax.set_xticks((0, length / 2, length), names)
        ax.set_yticks((0, length / 2, length), names)
        bar = figure.colorbar(image, cax=side)
        bar.ax.collections[0].set_rasterized(True)
        bar.outline.set_visible(False)  # pyright: ignore
        return to_svg(figure, title)
