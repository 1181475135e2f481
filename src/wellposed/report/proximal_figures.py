"""The figures of a learned prior: images beside each other, how a reconstruction went, the prior along families of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from wellposed.proximal.baselines import psnr
from wellposed.proximal.exam import Covered, Path
from wellposed.proximal.restoration import Restored, Start
from wellposed.report.curves import DASHED, GREY, INSIDE, LINE, OUTSIDE, Curve, curves
from wellposed.report.svg import STYLE, to_svg

COLOURS = (INSIDE, OUTSIDE, "#009E73", "#7B4173", "#E69F00", "#56B4E9")
STYLES = ("-", DASHED, (0, (1, 2)))
LEAST = 1e-13
"""Of what is drawn of F above its least value, in parts of |F|: rounding beyond."""


def grid(columns: Mapping[str, Float[Tensor, "batch c y x"]], count: int, notes: Mapping[str, Sequence[str]]) -> str:
    """A row for each of `count` images, a column for each name, all from black at 0 to white at 1; `notes` stand below pictures."""
    side, gap, head, foot = 1.5, 0.06, 0.25, 0.22  # inches; constrained layout would draw everything twice
    width, height = len(columns) * (side + gap), count * (side + foot) + head
    with mpl.rc_context(STYLE):
        figure = Figure((width, height))
        axes = figure.subplots(count, len(columns), squeeze=False)
        figure.subplots_adjust(0, foot / height, 1, 1 - head / height, gap / side, foot / side)
        for (name, images), column in zip(columns.items(), axes.T, strict=True):
            column[0].set_title(name, fontsize=9)
            for k, ax in enumerate(column):
                _picture(ax, images[k])
                if name in notes:
                    ax.set_xlabel(notes[name][k], fontsize=8, labelpad=2)
        return to_svg(figure, f"Images, a column each: {', '.join(columns)}")


def _picture(ax: Axes, image: Tensor) -> None:
    pixels = image.detach().double().clamp(0, 1).permute(1, 2, 0).numpy()
    ax.imshow(pixels if pixels.shape[2] == 3 else pixels[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest", rasterized=True)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def objectives(restored: Restored) -> list[str]:
    """F over the steps, above the least that any start found, and |∇F|; means and the worst of the images."""
    least = min(float(s.run.objective.mean()) for s in restored.starts)
    floor = LEAST * max(1.0, abs(least))
    above, slopes = [], []
    for start, colour, style in zip(restored.starts, COLOURS, STYLES, strict=False):
        steps = list(range(1, len(start.run.history) + 1))
        gaps = [step.objective - least for step in start.run.history]
        above.append(Curve(_said(start), steps, [gap if gap > floor else 0.0 for gap in gaps], colour, style))
        slopes.append(Curve(_said(start), steps, [step.stationarity for step in start.run.history], colour, style))
    return [curves(above, "F, above the least that was found", "steps"),
            curves(slopes, "|∇F|, the largest of the images", "steps", level=("asked for", restored.tol))]


def _said(start: Start) -> str:
    return f"from the {start.name}" if start.name.endswith("start") else f"from {start.name}" if start.name != "network" else \
        "from the network's start"


def along(path: Path) -> str:
    """R of each image along a family, from both sides; less its value at the start."""
    with mpl.rc_context(STYLE):
        figure = Figure((3.6, 3.0), layout="constrained")
        ax, lower, upper = figure.subplots(), path.lower.numpy(), path.upper.numpy()
        for k in range(lower.shape[1]):
            low, high = lower[:, k] - upper[0, k], upper[:, k] - lower[0, k]
            ax.fill_between(path.at, low, high, color=COLOURS[k % len(COLOURS)], alpha=0.3, linewidth=0)
            ax.plot(path.at, 0.5 * (low + high), color=COLOURS[k % len(COLOURS)], linewidth=1.4)
        ax.axhline(0, color=GREY, linestyle=DASHED, linewidth=0.8)
        ax.set(title=path.name, xlabel=path.parameter, ylabel="R, less its first value")
        ax.margins(x=0)
        ax.grid(axis="y", color="#e3e7ec", linewidth=0.7)
        ax.spines[["top", "right"]].set_visible(False)
        return to_svg(figure, f"The prior: {path.name}")


def spectrum(eigenvalues: Float[Tensor, "images n"], names: Sequence[str]) -> str:
    """Of the Jacobian, falling, at each of some images."""
    with mpl.rc_context(STYLE):
        figure = Figure((4.6, 3.0), layout="constrained")
        ax = figure.subplots()
        for row, name, colour in zip(eigenvalues.numpy(), names, COLOURS, strict=False):
            ax.plot(range(1, len(row) + 1), row, color=colour, linewidth=1.4, label=name)
        ax.axhline(1, color=GREY, linestyle=DASHED, linewidth=0.8)
        ax.set(title="Eigenvalues of the Jacobian", xlabel="number", ylim=(0, None))
        ax.margins(x=0)
        ax.legend()
        ax.spines[["top", "right"]].set_visible(False)
        return to_svg(figure, f"Eigenvalues of the Jacobian: {', '.join(names)}")


def radii(covered: Covered) -> str:
    """A dot for each test image: how wrong the network is, over the radius that was promised; above the line it is not covered."""
    with mpl.rc_context(STYLE):
        figure = Figure((4.6, 3.0), layout="constrained")
        ax, x, y = figure.subplots(), covered.radius.numpy(), covered.error.numpy()
        inside, top = y <= x, float(max(x.max(), y.max())) * 1.05
        low = float(min(x.min(), y.min())) * 0.95
        for which, colour, name in ((inside, INSIDE, "covered"), (~inside, OUTSIDE, "not covered")):
            ax.plot(x[which], y[which], "o", color=colour, markersize=3.4, alpha=0.6, markeredgewidth=0, label=f"{name}: {which.sum()}")
        ax.plot([low, top], [low, top], color=LINE, linestyle=DASHED, linewidth=1)
        ax.set(title="Conformal sets of unseen images", xlabel="radius", ylabel="distance to the truth",
               xlim=(0.98 * float(x.min()), 1.02 * float(x.max())), ylim=(low, top))
        figure.legend(loc="outside lower center", ncols=2, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
        return to_svg(figure, "Conformal sets: radius, and distance to the truth")


def seen(restored: Restored) -> Float[Tensor, "batch c y x"]:
    """What was measured as a picture: itself where it is an image, else brought back by the transpose and stretched to 0 to 1."""
    problem = restored.question.problem
    if tuple(problem.measurement.shape[1:]) == tuple(problem.physics.image_shape):
        return problem.measurement
    back = problem.physics.A_adjoint(problem.measurement)
    low, high = back.amin((1, 2, 3), keepdim=True), back.amax((1, 2, 3), keepdim=True)
    return (back - low) / (high - low).clamp(min=1e-12)


def decibels(image: Float[Tensor, "batch c y x"], truth: Float[Tensor, "batch c y x"]) -> list[str]:
    """The peak signal-to-noise ratio of each image."""
    return [f"{x:.2f} dB" for x in psnr(image, truth).tolist()]
