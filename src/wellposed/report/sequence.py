"""The report of sequence models alike but for their initialization: what was proved of each, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wellposed.certificate import Certificate
from wellposed.report import certified
from wellposed.report.figures import LOOKS
from wellposed.report.page import Section, badge, commands, figure, page, paragraph, table
from wellposed.report.svg import STYLE, to_svg
from wellposed.sequence.bank import Bank

GRID = {"color": "#e3e7ec", "linewidth": 0.7}
HIPPO = "#5b6573"


@dataclass(frozen=True)
class SequenceCase:
    """What a report is about.

    Attributes:
        results: as results.json of the run has them, networks by their names. histories: reports of training, by name.
        banks: of the first layer before training, by name. certificate: of one of them. commands: (command, what it does).
    """

    title: str
    results: Mapping[str, Any] = field(repr=False)
    histories: Mapping[str, Sequence[Mapping[str, Any]]] = field(repr=False)
    banks: Mapping[str, Bank] = field(default_factory=dict, repr=False)
    certificate: Certificate | None = field(default=None, repr=False)
    commands: Sequence[tuple[str, str]] = ()


def sequence_report(case: SequenceCase) -> str:
    """The page."""
    networks = case.results["networks"]
    sections = [Section("What came out", _outcome(case.results))]
    if case.banks:
        sections.append(_banks_section(case))
    if any("search" in r for r in networks.values()):
        sections.append(_tones_section(networks))
    sections.append(_training_section(case))
    if case.commands:
        sections.append(Section("What to type next", commands(case.commands)))
    footer = "" if case.certificate is None else certified.provenance(case.certificate)
    lead = f"{case.results['task']}: {case.results['source']}. {case.results['note']}"
    return page(f"Sequence models on {case.title}", sections, lead=lead, footer=footer)


def _outcome(results: Mapping[str, Any]) -> str:
    rows = []
    for name, r in results["networks"].items():
        proved = "–"
        if "gap" in r:
            word = badge("holds" if r["holds"] else "fails", "good" if r["holds"] else "bad")
            proved = f"{certified.outward(r['gap'][1], True)} (asked: {r['required']:.4g}) {word}"
        tone = f"{r['toned']:.1%}" if "toned" in r else "–"
        worst = f"{r['worst'][1]:.1%} at {r['worst'][0]:.4g}" if "worst" in r else "–"
        rows.append((name, proved, f"{r['accuracy']:.1%}", tone, worst, f"{r['gain']:.4g}" if "gain" in r else "declined"))
    head = ("initialization", "gap from HiPPO before training, at most", "accuracy", "with the tone", "worst tone found",
            "L2 gain after training, at most")
    others = ", ".join(f"{name} {x:.1%}" for name, x in results["others"].items())
    note = ("The gap and the gain are proved, the accuracies are observed. The gap is a claim about the bank that training starts from; "
            "training leaves it.")
    return table(head, rows, markup=(1,), numbers=(2, 3, 4, 5)) + paragraph(f"Without a network: {others}.") + paragraph(note, "note")


def _banks_section(case: SequenceCase) -> Section:
    return Section("Is this the system HiPPO meant?", figure(
        [gap_curves(case.banks), spectra(case.banks)],
        "at no frequency is a bank further from HiPPO than its certificate says; between the samples of the curves too.",
        "the curves are sampled. Where a curve lies above HiPPO's own, the bank is further from HiPPO there than a system that "
        "always answers zero."))


def _tones_section(networks: Mapping[str, Any]) -> Section:
    return Section("A tone at the input of every layer", figure(
        [tone_curves({name: r["search"] for name, r in networks.items() if "search" in r}, next(iter(networks.values())).get("peak"))], "",
        "accuracy on the first 100 test sequences with U(0, 1) cos(w D k) added to the input of each layer, D the step size of the "
        "feature. A tone that harms all networks alike is no fault of an initialization."))


def _training_section(case: SequenceCase) -> Section:
    pictures = [loss_curves(case.histories)]
    streamed = {name: r["streamed"] for name, r in case.results["networks"].items() if "streamed" in r}
    if streamed:
        pictures.append(stream_curves(streamed))
    said = "the loss of training, and what the network says after each step of one sequence, fed step by step." if streamed else \
        "the loss of training."
    return Section("Training, and streaming", figure(pictures, "", said))


def gap_curves(banks: Mapping[str, Bank], reference: str = "legs") -> str:
    """|x - y| / |b| against the frequency, logarithmic, with HiPPO's own |x| / |b|."""
    from wellposed.sequence.exam import curve

    n = len(next(iter(banks.values())))
    peaks = np.concatenate([np.abs(np.imag(b.eigenvalues))[:, None] + np.linspace(-3, 3, 13) * np.abs(np.real(b.eigenvalues))[:, None]
                            for b in banks.values()]).ravel()
    frequencies = np.unique(np.concatenate([np.geomspace(0.1, 10 * n**2, 600), peaks[peaks > 0.1]]))

    def draw(ax: Axes) -> None:
        for look, (name, bank) in zip(LOOKS, banks.items(), strict=False):
            ax.loglog(frequencies, curve(bank, reference, frequencies)[0], color=look["color"], linewidth=1.3, label=name)
        ax.loglog(frequencies, curve(next(iter(banks.values())), reference, frequencies)[1], color=HIPPO, linestyle=(0, (5, 3)),
                  linewidth=1.2, label="HiPPO itself")
        ax.set(xlabel="frequency w", title="Distance from HiPPO, over |b|")
        ax.legend(fontsize=8)

    return _plot(draw, f"Distance from HiPPO against frequency: {', '.join(banks)}")


def spectra(banks: Mapping[str, Bank]) -> str:
    """Eigenvalues in the left half-plane, one of each pair."""
    def draw(ax: Axes) -> None:
        for look, (name, bank) in zip(LOOKS, banks.items(), strict=False):
            values = bank.eigenvalues[np.imag(bank.eigenvalues) >= 0]
            ax.plot(-np.real(values), np.imag(values), look["marker"], color=look["color"], markersize=4, label=name, alpha=0.8)
        ax.set_xscale("log")
        ax.set_yscale("symlog", linthresh=1)
        ax.invert_xaxis()
        ax.set_ylim(bottom=-0.1)
        ax.set(xlabel="decay: −Re λ", ylabel="frequency: Im λ", title="Eigenvalues")
        ax.legend(fontsize=8)

    return _plot(draw, f"Eigenvalues: {', '.join(banks)}")


def tone_curves(searches: Mapping[str, Sequence[tuple[float, float]]], peak: float | None) -> str:
    """Accuracy against the tone's frequency."""
    def draw(ax: Axes) -> None:
        for look, (name, tried) in zip(LOOKS, searches.items(), strict=False):
            w, a = np.array(tried).T
            ax.plot(w, 100 * a, color=look["color"], marker=look["marker"], markersize=3.5, linewidth=1.2, label=name)
        if peak:
            ax.axvline(peak, color=HIPPO, linestyle=(0, (5, 3)), linewidth=1)
            ax.annotate("S4D's peak", (peak, 0), xytext=(3, 4), textcoords="offset points", fontsize=8, color=HIPPO)
        ax.set_xscale("symlog", linthresh=1)
        ax.set_ylim(0, 102)
        ax.set_xlim(left=0)
        ax.set(xlabel="frequency w", title="Accuracy with a tone, %")
        ax.legend(fontsize=8)

    return _plot(draw, "Accuracy against the frequency of a tone", wide=True)


def loss_curves(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Training and validation loss against steps."""
    def draw(ax: Axes) -> None:
        for look, (name, rows) in zip(LOOKS, histories.items(), strict=False):
            for key, style in (("train_loss", "-"), ("validation_loss", ":")):
                points = [(row["step"], row[key]) for row in rows if row.get(key)]
                if points:
                    ax.plot(*np.array(points).T, style, color=look["color"], linewidth=1.3, label=name if style == "-" else None)
        ax.set_yscale("log")
        ax.set(xlabel="steps", title="Loss (dotted: validation)")
        ax.legend(fontsize=8)

    return _plot(draw, f"Loss against steps: {', '.join(histories)}")


def stream_curves(streamed: Mapping[str, Mapping[str, Any]]) -> str:
    """Probability of the true class against the steps that were heard."""
    def draw(ax: Axes) -> None:
        for look, (name, s) in zip(LOOKS, streamed.items(), strict=False):
            ax.plot(s["steps"], s["probability"], color=look["color"], linewidth=1.3, label=name)
        ax.set_ylim(-0.02, 1.02)
        ax.set(xlabel="steps heard", title="Probability of the true class")
        ax.legend(fontsize=8)

    return _plot(draw, "Probability of the true class against steps heard")


def _plot(draw: Any, label: str, wide: bool = False) -> str:
    with mpl.rc_context(STYLE):
        picture = Figure((7.6 if wide else 4.6, 3.0), layout="constrained")
        ax = picture.subplots()
        draw(ax)
        ax.grid(axis="y", **GRID)
        ax.spines[["top", "right"]].set_visible(False)
        return to_svg(picture, label)
