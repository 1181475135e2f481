"""The report of a learned prior: what is proved of the network and of the images that it restores, and what is only seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wellposed.certificate import Certificate
from wellposed.proximal.exam import Covered, Denoised, Ordered, Path
from wellposed.proximal.restoration import Restored
from wellposed.report import certified
from wellposed.report.certified import outward
from wellposed.report.curves import loss_curve
from wellposed.report.earned import GuardRow, judgement
from wellposed.report.page import Section, commands, figure, page, paragraph, table
from wellposed.report.proximal_figures import along, decibels, grid, objectives, radii, seen, spectrum

SPACE = "\u00a0"
EVEN = 0.05
"""Decibels that are called even."""
PICTURES = 4


@dataclass(frozen=True)
class StartRow:
    """What came of one start.

    Attributes:
        psnr: the mean over images, in dB. steps: the mean. reached: how many images are within the tolerance.
        stationarity: the largest |∇F|, at most, from a certificate. seconds: for all images. rate: of those within the
            tolerance, per second.
    """

    start: str
    psnr: float
    steps: float
    reached: int
    images: int
    stationarity: float
    seconds: float
    rate: float


@dataclass(frozen=True)
class RestoredRow:
    """One kind of measurement.

    Attributes:
        noise: standard deviation. weight: λ. starts: the network's first. classical: dB and weight by method. seconds: of the first method.
        decrease: the largest violation of the theorem's decrease in the run from the network's start, at most. evaluations: of the network
            per step.
    """

    name: str
    noise: float
    weight: float
    tol: float
    starts: Sequence[StartRow]
    classical: Mapping[str, Sequence[float]]
    seconds: float
    decrease: float | None
    evaluations: float


@dataclass(frozen=True)
class ProximalCase:
    """What a report is about.

    Attributes:
        about: one sentence on network, data and time. history: reports of training.
        eigenvalues: of the Jacobian at a clean and at a noisy image, or None. restored: with a row for each.
        network: certificate of it. answer: of one restored image.
        commands: (command, what it does).
    """

    name: str
    about: str
    history: Sequence[Mapping[str, Any]] = field(repr=False)
    denoised: Denoised = field(repr=False)
    ordered: Ordered = field(repr=False)
    paths: Sequence[Path] = field(repr=False)
    eigenvalues: Any = field(repr=False)
    covered: Covered = field(repr=False)
    restored: Sequence[tuple[Restored, RestoredRow]] = field(repr=False)
    network: Certificate = field(repr=False)
    answer: Certificate = field(repr=False)
    commands: Sequence[tuple[str, str]] = ()


def proximal_report(case: ProximalCase) -> str:
    """The page.

    Raises:
        ValueError: nothing that was restored.
    """
    if not case.restored:
        raise ValueError("proximal_report: received no reconstruction, expected at least one; see wellposed.proximal.restoration.restore")
    sections = [Section("", _headline(case)), _denoised(case.denoised), *(_restored(*pair) for pair in case.restored), _prior(case),
                _conformal(case.covered), *_spectrum(case), _certificates(case), *_training(case)]
    if case.commands:
        sections.append(Section("What to type next", commands(case.commands)))
    return page(case.name, sections, lead=case.about, footer=certified.provenance(case.answer))


def restored_row(restored: Restored, certificates: Sequence[Certificate]) -> RestoredRow:
    """The numbers of one kind of measurement; a certificate for each start, of the first with its decrease."""
    starts = [StartRow(s.name, restored.psnr(s.run.image), s.steps, s.reached, len(s.run.reached), _upper(c, "stationarity"), s.seconds,
                       s.rate) for s, c in zip(restored.starts, certificates, strict=True)]
    fell = any(c.id == "proximal.decrease/1" for c in certificates[0].claims)
    return RestoredRow(restored.name, restored.question.problem.noise, restored.weight, restored.tol, starts,
                       {name: (t.psnr, t.weight) for name, t in restored.classical.items()}, restored.seconds,
                       _upper(certificates[0], "decrease") if fell else None, restored.starts[0].run.evaluations)


def _upper(certificate: Certificate, claim: str) -> float:
    found = certificate.claim(claim).upper
    return float("inf") if found is None else found


def judged(row: RestoredRow) -> str:
    """Win or lose, first in quality, then in guaranteed answers per second."""
    name, (best, _) = max(row.classical.items(), key=lambda item: item[1][0])
    gain = row.starts[0].psnr - best
    word = "is as good as" if abs(gain) < EVEN else f"is {abs(gain):.2f} dB {'better' if gain > 0 else 'worse'} than"
    rows = [GuardRow(s.start, 0, s.reached, 0, s.images - s.reached, s.rate, s.steps) for s in row.starts]
    return f"The reconstruction {word} {name}, whose weight an oracle has tuned. {judgement(rows).replace('cycles', 'steps')}"


def said_of_prior(ordered: Ordered) -> str:
    """What the prior thinks likely."""
    n = ordered.images
    return (f"R(clean) < R(noisy), proved, for {ordered.below_noisy} of {n} unseen images; R(clean) < R(blurred) for "
            f"{ordered.below_blurred} of {n}; the widest bracket is {outward(ordered.widest, True, 2)}.")


def said_of_sets(covered: Covered) -> str:
    """How many of the test images the conformal sets cover."""
    low, high = covered.expected
    n, level = len(covered.error), covered.conformal.level
    word = "as the guarantee says" if low <= covered.count <= high else "not what the guarantee says: the images are not exchangeable"
    return (f"sets of level {level:.0%} cover {covered.count} of {n} test images; between {low} and {high} are expected with 99.9 % "
            f"probability: {word}")


def _headline(case: ProximalCase) -> str:
    rows = [row for _, row in case.restored]
    images, reached = sum(r.starts[0].images for r in rows), sum(r.starts[0].reached for r in rows)
    exact = case.network.claim("exact_prox").holds is True
    word = f"{'An exact prox' if exact else 'A map that is not proved to be a prox'}; {reached} of {images} reconstructions are stationary"
    text = paragraph(f"The network is proved to be the exact proximal operator of a prior; |∇F| is at most {outward(rows[0].tol, True, 2)} "
                     f"for {reached} of {images} unseen images, each with a certificate of every step. " + said_of_prior(case.ordered))
    return f'<div class="verdict {"good" if exact and reached == images else "open"}"><p class="word">{word}</p>{text}</div>'


def _denoised(d: Denoised) -> Section:
    columns = {"clean": d.clean, "noisy": d.noisy, **d.answers}
    notes = {name: decibels(x, d.clean) for name, x in columns.items() if name != "clean"}
    body = table(("images", *d.psnr), [(str(len(d.clean)), *(f"{x:.2f} dB" for x in d.psnr.values()))], numbers=range(1, 1 + len(d.psnr)))
    note = paragraph("Peak signal-to-noise ratios, means over unseen images. The weights of total variation and wavelets are tuned by an "
                     "oracle that knows the clean images; the network knows none of them.", "note")
    pictures = figure([grid(columns, min(PICTURES, len(d.clean)), notes)], "", "images, and their distance to the clean ones.")
    return Section("Denoising", body + note + pictures)


def _restored(restored: Restored, row: RestoredRow) -> Section:
    truth, measured = restored.question.truth, seen(restored)
    given = "measured" if measured is restored.question.problem.measurement else "measured, by Aᵀ"
    columns = {"truth": truth, given: measured, "network": restored.image,
               **{name: t.image for name, t in restored.classical.items()}}
    notes = {name: decibels(x, truth) for name, x in columns.items() if name not in ("truth", given)}
    pictures = figure([grid(columns, min(PICTURES, len(truth)), notes)],
                      f"the pictures of the network are stationary points of F(x) = |Ax − y|²/2 + λR(x), λ = {row.weight:.3g}, up to the "
                      "|∇F| in the table.", "how near they are to the truth.")
    fell = "" if row.decrease is None else (
        f"every step from the network's start lowers F by what its theorem promises, to {outward(row.decrease, True, 2)}; the checker "
        "recomputes each.")
    went = figure(objectives(restored), fell, "how fast; F is a mean over the images.")
    return Section(f"{restored.name[:1].upper()}{restored.name[1:]}", paragraph(judged(row)) + _starts(row) + pictures + went)


def _starts(row: RestoredRow) -> str:
    head = ("start, refined", "PSNR", "steps", "|∇F| at most", f"within {row.tol:g}", "seconds", "guaranteed answers per second")
    body = [(s.start, f"{s.psnr:.2f} dB", f"{s.steps:.1f}", outward(s.stationarity, True, 3), f"{s.reached}/{s.images}", f"{s.seconds:.2f}",
             f"{s.rate:.1f}") for s in row.starts]
    body += [(f"{name} alone", f"{p:.2f} dB", "–", "not asked", "–", f"{row.seconds:.2f}" if k == 0 else "–", "–")
             for k, (name, (p, _)) in enumerate(row.classical.items())]
    note = paragraph(f"Noise {row.noise:.3g}; {row.evaluations:.2f} evaluations of the network per step. λ was chosen on images of the "
                     "training, the weights of the classical methods by an oracle that knows the truth. The time of certificates and of "
                     "the training is not counted.", "note")
    return table(head, body, numbers=range(1, 7)) + note


def _prior(case: ProximalCase) -> Section:
    widest = max(float((p.upper - p.lower).max()) for p in case.paths)
    return Section("What the prior thinks likely", paragraph(said_of_prior(case.ordered)) + figure(
        [along(p) for p in case.paths], f"both ends of R at every point; they are at most {outward(widest, True, 2)} apart, and cannot be "
        "told from each other here.", "that R is larger for worse images, where it is. A colour for each of some unseen images."))


def _conformal(c: Covered) -> Section:
    text = said_of_sets(c)
    return Section("Sets that hold the truth", paragraph(f"{text[:1].upper()}{text[1:]}.") + figure(
        [radii(c)], "", "each dot is a test image. The guarantee is about images like those of the calibration, on average, not about "
        "one."))


def _spectrum(case: ProximalCase) -> list[Section]:
    if case.eigenvalues is None:
        return []
    return [Section("How the network moves images", figure(
        [spectrum(case.eigenvalues, ("at a clean image", "at a noisy image"))],
        "the Jacobian is symmetric, and all its eigenvalues are positive.", f"their values; the smallest here is "
        f"{float(case.eigenvalues.min()):.3g}."))]


def _certificates(case: ProximalCase) -> Section:
    return Section("Two certificates", paragraph("Of the network, in the folder `network`:") + certified.claims(case.network)
                   + certified.assumptions(case.network) + paragraph(f"Of one restored image ({case.restored[0][0].name}), in this folder:")
                   + certified.claims(case.answer) + certified.assumptions(case.answer))


def _training(case: ProximalCase) -> list[Section]:
    rows = [row for row in case.history if row.get("train_loss") is not None]
    if not rows:
        return []
    svg = loss_curve([int(row["step"]) for row in rows], {"train loss": [float(row["train_loss"]) for row in rows]})
    return [Section("How it learned", figure([svg], "", "the loss of proximal matching changes while γ falls: values before and after are "
                                             "not of the same scale."))]
