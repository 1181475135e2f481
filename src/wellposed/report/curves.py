"""Lines and dots: how a loss fell, where the bounds of unseen fields lie, and whatever else runs over a logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from wellposed.report.svg import STYLE, to_svg

INSIDE, OUTSIDE, LINE, GREY = "#0072B2", "#D55E00", "#222b36", "#5b6573"
DASHED = (0, (5, 3))


def loss_curve(steps: Sequence[int], curves: Mapping[str, Sequence[float]]) -> str:
    """Losses against steps, logarithmic where all are positive."""
    with mpl.rc_context(STYLE):
        figure = Figure((5.2, 2.9), layout="constrained")
        ax = figure.subplots()
        for colour, (name, values) in zip((INSIDE, OUTSIDE), curves.items(), strict=False):
            ax.plot(steps, values, color=colour, linewidth=1.4, marker="o" if len(steps) < 3 else "", markersize=4, label=name)
        if all(v > 0 for values in curves.values() for v in values):
            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.3g}"))
            ax.yaxis.set_minor_formatter(FuncFormatter(lambda y, _: f"{y:.2g}" if f"{y:e}"[0] in "25" else ""))
        ax.set(xlabel="steps", title="The loss")
        ax.grid(axis="y", which="both", color="#e3e7ec", linewidth=0.7)
        ax.spines[["top", "right"]].set_visible(False)
        if len(curves) > 1:
            ax.legend()
        return to_svg(figure, f"Loss against steps: {', '.join(curves)}")


def bound_strips(families: Mapping[str, tuple[bool, Sequence[float]]], tol: float | None = None) -> str:
    """One dot for each field, its bound in percent, a row for each family, with a bar at the median; blue: trained on it."""
    with mpl.rc_context(STYLE):
        figure = Figure((7.6, 0.95 + 0.36 * len(families)), layout="constrained")
        ax, jitter = figure.subplots(), np.random.default_rng(0)
        for row, (inside, values) in enumerate(families.values()):
            shown = np.array([v for v in values if np.isfinite(v)])
            colour = INSIDE if inside else OUTSIDE
            ax.plot(shown, row + jitter.uniform(-0.22, 0.22, len(shown)), "o", color=colour, markersize=3.4, alpha=0.55, markeredgewidth=0)
            if len(shown):
                ax.plot([np.median(shown)] * 2, [row - 0.36, row + 0.36], color=LINE, linewidth=1.8)
        if tol is not None:
            ax.axvline(tol, color=LINE, linestyle=DASHED, linewidth=1)
            ax.annotate(f"tolerance of the guards: {100 * tol:g} %", (tol, 1), xytext=(0, 3), xycoords=("data", "axes fraction"),
                        textcoords="offset points", ha="center", fontsize=8, color=LINE)
        ax.set_yticks(range(len(families)), list(families))
        ax.set_ylim(len(families) - 0.5, -0.5)
        ax.set_xlim(left=0)
        ax.tick_params(axis="y", length=0)
        ax.yaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.4g} %"))
        ax.set_xlabel("the relative energy error is at most")
        ax.grid(axis="x", color="#e3e7ec", linewidth=0.7)
        ax.spines[["top", "right", "left"]].set_visible(False)
        return to_svg(figure, f"Bounds of unseen fields by family: {', '.join(families)}")


@dataclass(frozen=True)
class Curve:
    """A line; `band`: its colour is filled from `y` down to there. Points that are not positive and finite are not drawn."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    style: str | tuple = "-"
    band: Sequence[float] | None = None
    marker: str = ""


def curves(lines: Sequence[Curve], title: str, xlabel: str, *, level: tuple[str, float] | None = None, edge: float | None = None,
           beyond: bool = False, both: bool = False, size: tuple[float, float] = (4.9, 3.6)) -> str:
    """Lines on a logarithmic axis, or two.

    Args:
        level: a name and a height, dashed. edge: the last mode of the grid along an axis, dashed; beyond: with a grey ground on its right.
        both: whether the x axis is logarithmic too.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(size, layout="constrained")
        ax = figure.subplots()
        drawn = sum(_line(ax, line) for line in lines) > 0
        if drawn:
            _logarithmic(ax, both)
        if level is not None:
            ax.axhline(level[1], color=GREY, linestyle=DASHED, linewidth=1)
            low, high = ax.get_ylim()
            _say(ax, level[0], (0, level[1]), (4, 4 if drawn and level[1] ** 2 < low * high else -10), ("axes fraction", "data"), "left")
        if edge is not None:
            ax.axvline(edge, color=GREY, linestyle=DASHED, linewidth=1)
            _say(ax, "the grid's last mode", (edge, 0), (-4, 4), ("data", "axes fraction"), "right")
        if beyond and edge is not None:
            ax.axvspan(edge, ax.get_xlim()[1], color="#edf0f4", zorder=0)
        ax.margins(x=0)
        ax.set(xlabel=xlabel, title=title)
        ax.grid(axis="y", color="#e3e7ec", linewidth=0.7)
        ax.spines[["top", "right"]].set_visible(False)
        if drawn:
            figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        else:
            ax.text(0.5, 0.5, "nothing is proved", transform=ax.transAxes, ha="center")
        return to_svg(figure, f"{title}: {', '.join(line.name for line in lines)}")


def _line(ax: Axes, line: Curve) -> bool:
    """Draw it; whether there was something to draw."""
    x, y = (np.asarray(values, dtype=float) for values in (line.x, line.y))
    good = np.isfinite(y) & (y > 0)
    if not good.any():
        return False
    style: Any = "none" if line.marker else line.style
    ax.plot(x[good], y[good], marker=line.marker or None, linestyle=style, label=line.name, color=line.colour, linewidth=1.5, markersize=3)
    if line.band is not None:
        low = np.asarray(line.band, dtype=float)[good]
        ax.fill_between(x[good], np.where(low > 0, low, y[good]), y[good], color=line.colour, alpha=0.2, linewidth=0)
    return True


def _logarithmic(ax: Axes, both: bool) -> None:
    """Plain labels: mathematical ones take most of the time of a figure."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high > 10 * low:
        ax.yaxis.set_major_locator(LogLocator(numticks=12))
        ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _plain(y)))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda y, _: _plain(y)))
    if both:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _plain(x)))
        ax.xaxis.set_minor_locator(NullLocator())


def _plain(x: float) -> str:
    """10, 0.02, 1e-7."""
    head, exponent = f"{x:.2e}".split("e")
    return f"{x:g}" if -3 < int(exponent) < 4 else f"{float(head):g}e{int(exponent)}"


def _say(ax: Axes, text: str, place: tuple[float, float], off: tuple[int, int], coordinates: Any, side: str) -> None:
    ax.annotate(text, place, xytext=off, xycoords=coordinates, textcoords="offset points", ha=side, fontsize=8, color=GREY)
