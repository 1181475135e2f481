"""The figures of a report, each an SVG to stand in its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from wellposed.report.svg import STYLE, to_svg

LOOKS = (  # the colours of Okabe and Ito (2008); later series lie below earlier ones and stand out around them
    {"color": "#0072B2", "marker": "o", "linestyle": "-", "markersize": 4, "zorder": 6},
    {"color": "#D55E00", "marker": "s", "linestyle": "-", "markersize": 5, "zorder": 5},
    {"color": "#009E73", "marker": "^", "linestyle": "--", "markersize": 6, "zorder": 4},
    {"color": "#7B4173", "marker": "D", "linestyle": "-.", "markersize": 7, "zorder": 3})
OUTCOMES = {"released": "#009E73", "refined": "#56B4E9", "solved": "#E69F00", "refused": "#8C8C8C"}
DECADES = 1e-3  # what a logarithmic map shows below its largest value
UNIT = (0, 0.5, 1)


@dataclass(frozen=True)
class Panel:
    """One field on the unit square.

    Attributes:
        values: axes (y, x), y upwards. log: whether its colours are logarithmic. nodes: values at the nodes of a grid, boundary
            included, instead of in its cells.
    """

    title: str
    values: Float[np.ndarray, "y x"]
    log: bool = False
    nodes: bool = False
    colours: str = "cividis"


@dataclass(frozen=True)
class Trace:
    """What was proved after each cycle: `cells` per axis, a relative `bound`, and an enclosure from `lower` to `upper`."""

    cycle: Sequence[int]
    cells: Sequence[int]
    bound: Sequence[float]
    lower: Sequence[float]
    upper: Sequence[float]


def maps(panels: Sequence[Panel]) -> list[str]:
    """One SVG for each field, to stand in a row."""
    return [_map(panel) for panel in panels]


def bounds_over_cycles(series: Mapping[str, Trace], tol: float | None) -> tuple[str, str]:
    """The relative bound against cycles, and the enclosure of the compliance as it narrows.

    Cycles after which nothing finite is known are left out; a dotted line marks a change to a finer mesh.
    """
    with mpl.rc_context(STYLE):
        (one, left), (two, right) = _axes(4.5, 3.3), _axes(4.5, 3.3)
        for look, (name, trace) in zip(cycle(LOOKS), series.items(), strict=False):
            _bound_line(left, name, trace, look)
            _band(right, name, trace, look)
        _finish_bounds(left, tol)
        right.set_title("The compliance of the true solution lies between", pad=16)
        right.ticklabel_format(axis="y", useOffset=False, scilimits=(-4, 5))
        _finish(right)
        what = f"against cycles: {', '.join(series)}"
        return to_svg(one, f"Relative error bound {what}"), to_svg(two, f"Compliance enclosure {what}")


def outcomes(rows: Mapping[str, Mapping[str, int]]) -> str:
    """For each start, a bar of how many answers were released, refined, solved and refused."""
    with mpl.rc_context(STYLE):
        figure, ax = _axes(4.8, 0.75 + 0.34 * len(rows))
        names, start = list(rows), np.zeros(len(rows))
        for outcome, colour in OUTCOMES.items():
            width = np.array([rows[name][outcome] for name in names])
            bars = ax.barh(names, width, left=start, color=colour, height=0.62, label=outcome)
            ax.bar_label(bars, [str(w) if w else "" for w in width], label_type="center", color="#101820")
            start += width
        ax.invert_yaxis()
        ax.tick_params(length=0)
        ax.xaxis.set_major_locator(NullLocator())
        ax.spines[:].set_visible(False)
        ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, handlelength=1, handleheight=1)
        return to_svg(figure, f"Outcomes for {', '.join(names)}")


def _map(panel: Panel) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure((3.3, 2.75))
        ax, side = figure.add_axes((0.1, 0.1, 0.66, 0.79)), figure.add_axes((0.785, 0.1, 0.03, 0.79))
        half = 0.5 / (len(panel.values) - 1) if panel.nodes else 0.0
        image = ax.imshow(panel.values, cmap=panel.colours, norm=_norm(panel), origin="lower",
                          extent=(-half, 1 + half, -half, 1 + half), interpolation="auto")
        ax.set(title=panel.title, xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.set_xticks(UNIT, map("{:g}".format, UNIT))
        ax.set_yticks(UNIT, map("{:g}".format, UNIT))
        bar = figure.colorbar(image, cax=side)
        bar.ax.collections[0].set_rasterized(True)
        bar.outline.set_visible(False)  # pyright: ignore
        if isinstance(image.norm, LogNorm):
            _log_ticks(bar.ax, *image.get_clim())
        return to_svg(figure, panel.title)


def _norm(panel: Panel) -> Normalize:
    low, high = float(panel.values.min()), float(panel.values.max())
    if not panel.log or high <= 0 or low == high:
        return Normalize(low, high)
    return LogNorm(max(low, high * DECADES), high, clip=True)


def _log_ticks(ax: Axes, low: float, high: float, form: Callable[[float], str] = "{:g}".format) -> None:
    """Plain numbers: decades, more between them where there are few, and even steps in a narrow range."""
    for subs in ((1.0,), (1.0, 2.0, 5.0), (1.0, 2.0, 3.0, 5.0, 7.0)):
        ticks = [t for t in LogLocator(subs=subs).tick_values(low, high) if low <= t <= high]
        if len(ticks) >= 3:
            break
    else:
        ticks = [t for t in MaxNLocator(4).tick_values(low, high) if low <= t <= high]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: form(x)))
    ax.yaxis.set_minor_locator(NullLocator())


def _bound_line(ax: Axes, name: str, trace: Trace, look: dict[str, Any]) -> None:
    points = [(c, b) for c, b in zip(trace.cycle, trace.bound, strict=True) if np.isfinite(b) and b > 0]
    if points:
        ax.plot(*zip(*points, strict=True), linewidth=1.5, label=name, **look)
        _mesh_changes(ax, trace, look["color"])


def _band(ax: Axes, name: str, trace: Trace, look: dict[str, Any]) -> None:
    known = [k for k, b in enumerate(trace.bound) if np.isfinite(b)]
    if not known:
        return
    at, lower, upper = ([column[k] for k in known] for column in (trace.cycle, trace.lower, trace.upper))
    ax.fill_between(at, lower, upper, color=look["color"], alpha=0.14, linewidth=0)
    for end, label in ((lower, name), (upper, None)):
        ax.plot(at, end, linewidth=1.2, label=label, **look)
    _mesh_changes(ax, trace, look["color"])


def _mesh_changes(ax: Axes, trace: Trace, colour: str) -> None:
    for before, after, at in zip(trace.cells, trace.cells[1:], trace.cycle[1:], strict=False):
        if before != after:
            ax.axvline(at - 0.5, color=colour, linestyle=":", linewidth=1)
            ax.annotate(f"{after} × {after}", (at - 0.5, 1), xytext=(0, 2), ha="center", xycoords=("data", "axes fraction"),
                        textcoords="offset points", color=colour, fontsize=8)


def _finish_bounds(ax: Axes, tol: float | None) -> None:
    ax.set_title("The relative energy error is at most", pad=16)
    if ax.lines:
        ax.set_yscale("log")
    if tol is not None:
        ax.axhline(tol, color="#222b36", linestyle=(0, (5, 3)), linewidth=1, label=f"asked for: {100 * tol:g} %")
    if ax.get_yscale() == "log":
        _log_ticks(ax, *ax.get_ylim(), form=lambda y: f"{100 * y:.4g} %")
    _finish(ax)


def _finish(ax: Axes) -> None:
    ax.set_xlabel("cycles")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(axis="y", color="#e3e7ec", linewidth=0.7)
    ax.spines[["top", "right"]].set_visible(False)
    if ax.get_legend_handles_labels()[0]:
        ax.figure.legend(loc="outside lower center", ncols=2)
    else:
        ax.text(0.5, 0.5, "nothing is proved yet", transform=ax.transAxes, ha="center")


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure((width, height), layout="constrained")
    return figure, figure.subplots()
