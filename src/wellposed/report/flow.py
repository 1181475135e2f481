"""The report of a network that answers flows: what is proved of its answers, before and after they are refined, and what is not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wellposed.certificate import Certificate
from wellposed.flow.exam import Exam, Loss
from wellposed.report import certified
from wellposed.report.certified import outward
from wellposed.report.curves import loss_curve
from wellposed.report.earned import GuardRow, guard_section, judgement
from wellposed.report.flow_figures import Sample, bounds_beyond, errors_over_time, residuals, spectra, vorticity_maps
from wellposed.report.page import Section, commands, figure, page, paragraph, table

SPACE, NOTHING = "\u00a0", "nothing"
RATES = ("start", "released", "refined", "solved", "refused", "guaranteed answers per second", "mean cycles")


@dataclass(frozen=True)
class FlowRow:
    """What became of one family: relative velocity errors at the worst time, infinite where nothing is proved.

    Attributes:
        lost: answers that were not finite. lower, upper: the median of both ends of the network's error. largest: of its upper ends.
        alone: the largest bound from the network's answer by itself, without a refined one.
        refined: the largest of refined answers, after `passes`; met: how many meet the tolerance.
        pde: the largest bound of these against the equation. beyond: the largest (∫|R|² dt)^½ in modes that the grid does not keep, over
            the largest root mean square of the speed.
    """

    name: str
    inside: bool
    flows: int
    nodes: int
    lost: int
    lower: float
    upper: float
    largest: float
    alone: float
    refined: float
    passes: int
    met: int
    pde: float
    beyond: float


@dataclass(frozen=True)
class FlowCase:
    """What a report is about.

    Attributes:
        about: one sentence on network, data and time. history: reports of training.
        exams: one for each family of unseen flows, those of training first; `sample` of the first is shown.
        guards: how flows were asked ("all at once") -> one row for each start, the network's first.
        tol: of refined answers and guards. certificate: of the sample's refined answer; predicted: of the network's own; as issued.
        losses: what the published refiner's loss says. commands: (command, what it does). note: on the guards' table.
    """

    name: str
    about: str
    history: Sequence[Mapping[str, Any]] = field(repr=False)
    exams: Sequence[Exam] = field(repr=False)
    guards: Mapping[str, Sequence[GuardRow]]
    tol: float
    certificate: Certificate = field(repr=False)
    predicted: Certificate = field(repr=False)
    sample: int = 0
    losses: Sequence[Loss] = ()
    commands: Sequence[tuple[str, str]] = ()
    note: str = ""


def flow_report(case: FlowCase) -> str:
    """The page.

    Raises:
        ValueError: no exam, or certificates that were loaded.
    """
    if not case.exams:
        raise ValueError("flow_report: received no exam, expected at least one; see wellposed.flow.exam.examine")
    if case.certificate.bound is None or case.predicted.bound is None:
        raise ValueError("flow_report: received a certificate that was loaded, expected both as an Exam issues them, with the numbers over "
                         "time; issue them again")
    rows = [family_row(exam) for exam in case.exams]
    one = Sample(case.exams[0], case.sample, case.predicted.bound, case.certificate.bound)
    sections = [Section("", _headline(rows, case.tol)), _proved(rows, case.tol), _pictures(one), _errors(one), _spectra(one),
                _residuals(one), _beyond(one, rows), *_guards(case), *_losses(case), _certificates(case), *_training(case)]
    if case.commands:
        sections.append(Section("What to type next", commands(case.commands)))
    return page(case.name, sections, lead=case.about, footer=certified.provenance(case.certificate))


def family_row(exam: Exam) -> FlowRow:
    """The numbers of one family."""
    lower, upper = (x.amax(1) for x in exam.raw.relative)
    beyond = exam.pde.out_of_band / exam.pde.speed.amax(1)
    return FlowRow(exam.name, exam.inside, len(exam.problem), exam.problem.equation.resolution, int((~exam.usable).sum()),
                   float(lower.median()), float(upper.median()), float(upper.max()), float(exam.raw.own.relative.max()),
                   float(exam.refined.value.max()), int(exam.refined.cycles.max()), int(exam.refined.reached.sum()),
                   float(exam.pde.relative.max()), float(beyond.max()))


def between(lower: float, upper: float) -> str:
    """Both ends of what is proved, in percent, rounded outwards."""
    return f"{outward(100 * lower, False, 3)} to {outward(100 * upper, True, 3)}{SPACE}%" if math.isfinite(upper) else NOTHING


def percent(x: float) -> str:
    """Rounded up, as it stands for something that is proved; a bound above the size of the velocity itself says little."""
    if not math.isfinite(x):
        return NOTHING
    return f"{outward(100 * x, True, 3)}{SPACE}%" if x <= 1 else f"over 100{SPACE}%"


def asked(tol: float) -> str:
    """A tolerance."""
    return f"{tol:.3g}"


def summary(rows: Sequence[FlowRow], tol: float) -> str:
    """What the network does, and what refining does."""
    first = next((r for r in rows if r.inside), rows[0])
    flows, met = sum(r.flows for r in rows), sum(r.met for r in rows)
    return (f"On unseen flows of the kind it was trained on, the network's velocity is off by {between(first.lower, first.upper)} in the "
            f"median, at the worst time. After at most {max(r.passes for r in rows)} passes, {met} of {flows} answers of all kinds are "
            f"within {asked(tol)} of the exact flow of the modes that the grid keeps. Both are proved, with no reference solution.")


def _headline(rows: Sequence[FlowRow], tol: float) -> str:
    flows, met = sum(r.flows for r in rows), sum(r.met for r in rows)
    word = f"{met} of {flows} unseen flows carry a certificate of {asked(tol)}"
    return f'<div class="verdict {"good" if met == flows else "open"}"><p class="word">{word}</p>{paragraph(summary(rows, tol))}</div>'


def _nodes(n: int) -> str:
    return f"{n}{SPACE}×{SPACE}{n}"


def _proved(rows: Sequence[FlowRow], tol: float) -> Section:
    head = ("family", "trained on", "flows", "nodes", "the network's error, median", "largest", "from its residual alone",
            f"refined to {asked(tol)}", "passes", "met")
    body = table(head, [(r.name + (f" ({r.lost} not finite)" if r.lost else ""), "yes" if r.inside else "no", str(r.flows), _nodes(r.nodes),
                         between(r.lower, r.upper), percent(r.largest), percent(r.alone), outward(r.refined, True, 3), str(r.passes),
                         f"{r.met}/{r.flows}") for r in rows], numbers=range(2, 10))
    note = paragraph("Relative errors of the velocity, root mean squares over the box, at the worst of the frames' times, against the "
                     "exact flow of the modes that the grid keeps (the Galerkin system). Single numbers: at most. “Nothing” is proved "
                     "where the bound is not below the speed.", "note")
    return Section("What is proved of flows it has never seen", body + note)


def _pictures(s: Sample) -> Section:
    pictures, stronger = vorticity_maps(s)
    lower, upper = (float(x.max()) for x in s.raw.relative)
    return Section("One of the flows", figure(
        pictures, f"the velocity of the trajectory that ends in the second picture is off by {between(lower, upper)} at the worst time, "
        f"that of the third by at most {percent(float(s.sharp.relative[1].max()))}.",
        f"where the network is wrong. The first three pictures have the same colours, those of the last are {stronger:.3g} times as "
        "strong."))


def _errors(s: Sample) -> Section:
    return Section("The error, from both sides", figure(
        [errors_over_time(s)],
        "the exact flow of the Galerkin system is as far away as the lines and bands say: dotted, at most, by the residual and the strain "
        "of the trajectory itself; full, at most, and at least where the band ends, by a better trajectory that has a bound of its own.",
        "the estimate comes from the error equation; it is no bound.", "A band that cannot be seen is thinner than its line."))


def _spectra(s: Sample) -> Section:
    return Section("Energy over wave numbers", figure(
        [spectra(s)], "", f"where the energy is at the end, and that of the network's error. The grid keeps modes up to {s.top} along "
        f"each axis, and {2**0.5 * s.top:.0f} along the diagonal."))


def _residuals(s: Sample) -> Section:
    return Section("What is left over of the equation", figure(
        residuals(s), "", "the residual ∂v/∂t + P(v·∇)v − νΔv + αv − f as a velocity, evaluated exactly. Refining removes it where the "
        "grid has modes. Where it has none it stays: that part only a finer grid can do away with."))


def _beyond(s: Sample, rows: Sequence[FlowRow]) -> Section:
    head = ("family", "nodes", "residual out of band", "against the modes that the grid keeps", "against the equation")
    body = table(head, [(r.name, _nodes(r.nodes), outward(r.beyond, True, 3), outward(r.refined, True, 3), percent(r.pde)) for r in rows],
                 numbers=range(1, 5))
    note = paragraph("Of the refined answers, at most, relative at the worst time. Out of band: (∫|R|² dt)^½ in modes that the grid does "
                     "not keep, over the root mean square of the speed. No pass removes it.", "note")
    return Section("What this grid cannot certify", figure(
        [bounds_beyond(s)], "both lines, about two different things: how far the refined answer is from the flow of the modes that the "
        "grid keeps, and how far from the flow itself. The one says nothing of the other.") + body + note)


def _guards(case: FlowCase) -> list[Section]:
    if not case.guards:
        return []
    (name, rows), *others = case.guards.items()
    note = (f"Guarded at {asked(case.tol)} in velocity against the Galerkin system, {name}; a cycle is a pass of the error equation, with "
            f"its certificate. {case.note}")
    section = guard_section(rows, note.strip())
    more = "".join(paragraph(f"{name[:1].upper()}{name[1:]}: {judgement(rows)}") + _rates(rows) for name, rows in others)
    return [Section(section.title, section.html + more)]


def _rates(rows: Sequence[GuardRow]) -> str:
    body = [(r.start, *map(str, (r.released, r.refined, r.solved, r.refused)), f"{r.rate:.1f}", f"{r.cycles:.2f}") for r in rows]
    return table(RATES, body, numbers=range(1, 7))


def _losses(case: FlowCase) -> list[Section]:
    if not case.losses:
        return []
    head = ("trajectory", "the published loss", "the same norm, ∂w/∂t from the frames", "its velocity error, proved")
    body = table(head, [(x.name, f"{x.published:.2e}", f"{x.honest:.2e}", between(x.lower, x.upper)) for x in case.losses],
                 numbers=range(1, 4))
    text = paragraph("The loss of the published refiner (Cao et al., ICLR 2025, as its code was released) takes ∂w/∂t from a time step "
                     "that starts at the prediction itself: it measures the truncation and the rounding of that step, and never compares "
                     f"two times. {_told_apart(case.losses)}")
    return [Section("What the published refiner's loss sees", text + body)]


def _told_apart(losses: Sequence[Loss]) -> str:
    """By how much the loss, and by how much the errors of these trajectories differ."""
    values, errors = [x.published for x in losses], [x.lower for x in losses]
    least = min(x.upper for x in losses)
    if min(values) <= 0 or not 0 < least < math.inf:
        return ""
    return (f"Among these trajectories it differs by a factor of {max(values) / min(values):.3g}, their errors by one of at least "
            f"{outward(max(errors) / least, False, 2)}.")


def _certificates(case: FlowCase) -> Section:
    which = f"{case.exams[0].name}, flow {case.sample}"
    return Section("Two certificates", paragraph(f"Of the network's own answer ({which}), in the folder `prediction`:")
                   + certified.claims(case.predicted) + paragraph("Of the same answer refined, in this folder:")
                   + certified.claims(case.certificate) + certified.assumptions(case.certificate))


def _training(case: FlowCase) -> list[Section]:
    rows = [row for row in case.history if row.get("train_loss") is not None]
    if not rows:
        return []
    svg = loss_curve([int(row["step"]) for row in rows], {"train loss": [float(row["train_loss"]) for row in rows]})
    return [Section("How it learned", figure([svg], "", "the relative error of the vorticity at the nodes of slabs, on windows of the "
                                             "training flows."))]
