"""The report of a trained operator: how it learned, and what is proved of its answers to fields that it has never seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wellposed.certificate import Certificate
from wellposed.elliptic.exam import FINER, Exam
from wellposed.report import certified
from wellposed.report.certified import outward
from wellposed.report.curves import bound_strips, loss_curve
from wellposed.report.earned import GuardRow, guard_section, judgement
from wellposed.report.figures import Panel, maps
from wellposed.report.page import Section, commands, figure, page, paragraph, table

CONTRAST = 10.0  # a coefficient that varies by more has logarithmic colours
SPACE = "\u00a0"


@dataclass(frozen=True)
class FamilyRow:
    """What came out for one family; shares, not percent. Effectivities are estimates from `references` fields."""

    name: str
    inside: bool
    fields: int
    median: float
    largest: float
    width: float
    references: int = 0
    effectivity: float | None = None
    largest_effectivity: float | None = None
    violations: int = 0


@dataclass(frozen=True)
class TrainedCase:
    """What a report is about.

    Attributes:
        about: one sentence on network, data and time.
        history: reports of training, as history.jsonl has them.
        exams: one for each family of unseen fields, those of training first.
        guards: how the batch was asked ("all at once") -> one row for each start, the network's first.
        tol: of the guards. certificate: of one field of the first exam, `sample`.
        commands: (command, what it does). note: what else a reader of the guards' tables must know.
    """

    name: str
    about: str
    history: Sequence[Mapping[str, Any]] = field(repr=False)
    exams: Sequence[Exam] = field(repr=False)
    guards: Mapping[str, Sequence[GuardRow]]
    tol: float
    certificate: Certificate = field(repr=False)
    sample: int = 0
    commands: Sequence[tuple[str, str]] = ()
    note: str = ""


def trained_report(case: TrainedCase) -> str:
    """The page.

    Raises:
        ValueError: no exam.
    """
    if not case.exams:
        raise ValueError("trained_report: received no exam, expected at least one; see wellposed.elliptic.exam.examine")
    rows = [family_row(exam) for exam in case.exams]
    sections = [Section("", _headline(rows)), _bounds_section(case, rows), _sharpness_section(rows), _pictures_section(case),
                _certificate_section(case), *_guard_sections(case), _loss_section(case)]
    if case.commands:
        sections.append(Section("What to type next", commands(case.commands)))
    return page(case.name, sections, lead=case.about, footer=certified.provenance(case.certificate))


def family_row(exam: Exam) -> FamilyRow:
    """The numbers of one family."""
    sharp = exam.effectivity
    estimates = (float(sharp.mean()), float(sharp.max())) if len(sharp) else (None, None)
    return FamilyRow(exam.name, exam.inside, len(exam.relative), float(np.median(exam.relative)), float(exam.relative.max()),
                     float(exam.width.max()), len(sharp), *estimates, exam.violations)


def summary(rows: Sequence[FamilyRow]) -> str:
    """One sentence on what is proved: in distribution, and out of it."""
    inside, outside = [r for r in rows if r.inside], [r for r in rows if not r.inside]
    parts = [f"on unseen fields of the kind it was trained on at most {percent(max(r.largest for r in inside))}"] if inside else []
    if outside:
        worst = max(outside, key=lambda r: r.largest)
        parts.append(f"on other kinds at most {percent(worst.largest)} ({worst.name})")
    return f"The relative energy error is {', '.join(parts)}: proved for each of {sum(r.fields for r in rows)} answers, with no solve."


def percent(x: float) -> str:
    """Rounded up: it stands for something that is proved."""
    return f"{outward(100 * x, True, 3)}{SPACE}%"


def _headline(rows: Sequence[FamilyRow]) -> str:
    count = sum(r.fields for r in rows)
    known = all(np.isfinite(r.largest) for r in rows)
    word = f"{count} of {count} unseen answers carry a bound" if known else "Not every unseen answer carries a bound"
    tone = "good" if known else "open"
    text = paragraph(summary(rows)) if known else ""
    return f'<div class="verdict {tone}"><p class="word">{word}</p>{text}</div>'


def _bounds_section(case: TrainedCase, rows: Sequence[FamilyRow]) -> Section:
    head = ("family", "trained on", "fields", "median bound", "largest bound", "widest compliance enclosure")
    body = table(head, [(r.name, "yes" if r.inside else "no", str(r.fields), percent(r.median), percent(r.largest), percent(r.width))
                        for r in rows], numbers=range(2, 6))
    strips = figure([bound_strips({e.name: (e.inside, e.relative.tolist()) for e in case.exams}, case.tol)],
                    "each dot is a certified upper bound of the energy error of one answer against the exact solution of its equation, "
                    "from the network's own potential and stream function. It holds out of distribution as it does in it.",
                    "where the dots lie: the bound is a guarantee for one answer, never for the next. Bars are medians; blue families "
                    "were trained on, orange ones were not.")
    note = paragraph("Relative bounds of the energy error; the enclosure of the compliance int f u is that wide relative to it.", "note")
    return Section("What is proved of fields it has never seen", strips + body + note)


def _sharpness_section(rows: Sequence[FamilyRow]) -> Section:
    asked = [r for r in rows if r.references]
    if not asked:
        return Section("How sharp the bounds are", paragraph("Nothing was compared: the recipe asked for no references."))
    head = ("family", "fields compared", "mean effectivity", "largest effectivity", "bounds below the error")
    body = table(head, [(r.name, str(r.references), f"{r.effectivity:.2f}", f"{r.largest_effectivity:.2f}", str(r.violations))
                        for r in asked], numbers=range(1, 5))
    total, bad = sum(r.references for r in asked), sum(r.violations for r in asked)
    note = (f"Estimated, not proved: bound over error, the error taken against a finite-element solution on a mesh {FINER} times finer. "
            "That error is a little too small, so effectivities are a little too large. "
            f"Bounds below the estimated error: {bad} of {total}; one would refute the bound.")
    return Section("How sharp the bounds are", paragraph(note) + body)


def _pictures_section(case: TrainedCase) -> Section:
    rows = [_pictures(case.exams[0], case.sample, "of the kind it was trained on")]
    outside = [(exam, k) for exam in case.exams if not exam.inside for k in range(len(exam.relative))]
    if outside:
        worst = max(outside, key=lambda pair: pair[0].relative[pair[1]])
        rows.append(_pictures(*worst, "the worst of those it was not trained on"))
    return Section("Two of the fields, and where their answers may be wrong", "".join(rows))


def _pictures(exam: Exam, sample: int, which: str) -> str:
    a = exam.problem.coefficient[sample].numpy()
    share = exam.cells[sample] / max(float(np.sqrt(np.square(exam.cells[sample]).sum())), 1e-300)
    panels = [Panel("The coefficient a", a, log=bool(a.max() > CONTRAST * a.min())),
              Panel("The network's answer v", np.asarray(exam.potential[sample]), nodes=True, colours="viridis"),
              Panel("Share of each cell in the bound", share, log=True, colours="magma_r")]
    return figure(maps(panels), f"the relative energy error of this answer is at most {percent(float(exam.relative[sample]))}.",
                  note=f"{exam.name[:1].upper()}{exam.name[1:]}, {which}.")


def _certificate_section(case: TrainedCase) -> Section:
    text = f"In this folder is the certificate of one of them ({case.exams[0].name}, field {case.sample}), for the checker to verify again."
    return Section("One certificate", paragraph(text) + certified.claims(case.certificate) + certified.assumptions(case.certificate))


def _guard_sections(case: TrainedCase) -> list[Section]:
    if not case.guards:
        return []
    first, *others = case.guards.items()
    section = guard_section(first[1], f"Guarded at {percent(case.tol)} in energy, {first[0]}. {case.note}".strip())
    more = "".join(paragraph(f"{name[:1].upper()}{name[1:]}: {judgement(rows)}") + _rates(rows) for name, rows in others)
    return [Section(section.title, section.html + more)]


def _rates(rows: Sequence[GuardRow]) -> str:
    head = ("start", "released", "refined", "solved", "refused", "guaranteed answers per second", "mean cycles")
    body = [(r.start, *map(str, (r.released, r.refined, r.solved, r.refused)), f"{r.rate:.1f}", f"{r.cycles:.2f}") for r in rows]
    return table(head, body, numbers=range(1, 7))


def _loss_section(case: TrainedCase) -> Section:
    rows = [row for row in case.history if row.get("train_loss") is not None]
    names = [name for name in ("train_loss", "validation_loss") if rows and all(row.get(name) is not None for row in rows)]
    if not names:
        return Section("How it learned", paragraph("No report was made while it was trained."))
    curves = {name.replace("_", " "): [float(row[name]) for row in rows] for name in names}
    svg = loss_curve([int(row["step"]) for row in rows], curves)
    return Section("How it learned", figure([svg], observed="the loss is the mean squared bound itself, divided by a size that needs no "
                                            "solution: no labels were used. Early steps are made on a mesh half as fine."))
