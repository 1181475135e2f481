"""Figures of a training run: how the loss fell, and where the bounds of unseen fields lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from wellposed.report.svg import STYLE, to_svg

INSIDE, OUTSIDE, LINE = "#0072B2", "#D55E00", "#222b36"


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
            ax.axvline(tol, color=LINE, linestyle=(0, (5, 3)), linewidth=1)
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
