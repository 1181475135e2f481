"""A matplotlib figure as an element of an HTML page: the same numbers give the same bytes, and nothing else is loaded."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

from matplotlib.figure import Figure

STYLE: Any = {
    "svg.hashsalt": "wellposed", "svg.fonttype": "none", "font.size": 9, "axes.titlesize": 10, "axes.edgecolor": "#5b6573",
    "axes.labelcolor": "#222b36", "xtick.color": "#5b6573", "ytick.color": "#5b6573", "xtick.labelcolor": "#222b36",
    "ytick.labelcolor": "#222b36", "axes.linewidth": 0.7, "legend.frameon": False, "axes.axisbelow": True}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
DOTS = 150  # per inch, of the images inside


def to_svg(figure: Figure, label: str) -> str:
    """The `<svg>` alone: no XML header, no size of its own, no identifiers but those that it uses.

    Args:
        label: what a screen reader says.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", dpi=DOTS, metadata=NO_METADATA, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:href", "href")
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", text)
    widest = 110 * figure.get_size_inches()[0]
    head = f'<svg role="img" aria-label="{escape(label)}" style="max-width:{widest:.0f}px" viewBox'
    return re.sub(r"<svg[^>]*?viewBox", lambda _: head, text, count=1).strip()
