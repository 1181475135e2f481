"""The report of one Darcy problem and one answer to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from wellposed.certificate import Certificate
from wellposed.elliptic import Darcy, Refinement
from wellposed.report import certified
from wellposed.report.certified import outward
from wellposed.report.earned import GuardRow, guard_section
from wellposed.report.figures import Panel, maps
from wellposed.report.page import Section, commands, figure, page
from wellposed.report.reached import cycles_section, mesh, one, reached_section

__all__ = ["DarcyCase", "GuardRow", "darcy_report"]
CONTRAST = 10.0  # a coefficient that varies by more has logarithmic colours


@dataclass(frozen=True)
class DarcyCase:
    """What a report is about. What is not given is left out of it.

    Attributes:
        problem: one sample. answer: the prediction's nodal values, boundary values written. certificate: of that answer, as it
            was issued (a loaded one lacks the numbers per cell).
        refinements: start -> refinement on the mesh that was asked, "network" first. finer: a run with mesh="auto".
        guards: one row for each start, the network's first. commands: (command, what it does).
        note: what else a reader of the guards' table must know.
    """

    name: str
    problem: Darcy
    answer: Any = field(repr=False)
    certificate: Certificate = field(repr=False)
    refinements: Mapping[str, Refinement] = field(default_factory=dict, repr=False)
    finer: Refinement | None = field(default=None, repr=False)
    guards: Sequence[GuardRow] = ()
    commands: Sequence[tuple[str, str]] = ()
    note: str = ""


def darcy_report(case: DarcyCase) -> str:
    """The page.

    Raises:
        ValueError: a problem with several samples, or a certificate without the numbers behind it.
    """
    _demand(case)
    runs = dict(case.refinements) | ({} if case.finer is None else {"finer meshes": case.finer})
    sections = [
        Section("", certified.verdict(case.certificate)),
        Section("On what this rests", certified.assumptions(case.certificate)),
        Section("The certificate", certified.claims(case.certificate)),
        _maps_section(case)]
    if runs:
        sections += [cycles_section(runs, case.certificate.claim("energy_error").required), reached_section(runs)]
    if case.guards:
        sections.append(guard_section(case.guards, case.note))
    if case.commands:
        sections.append(Section("What to type next", commands(case.commands)))
    return page(case.name, sections, lead=_question(case.problem), footer=certified.provenance(case.certificate))


def _demand(case: DarcyCase) -> None:
    if len(case.problem) != 1:
        raise ValueError(f"darcy_report: received {len(case.problem)} samples, expected one; choose it with problem[k] and "
                         "answer[k : k + 1]")
    if case.certificate.bound is None:
        raise ValueError("darcy_report: received a certificate that was loaded, expected one as certify(problem, answer) issues "
                         "it, with the bound of each cell; certify the answer again")


def _question(problem: Darcy) -> str:
    sides = {side: kind.capitalize() for side, kind in problem.boundary.items()}
    same = len(set(sides.values())) == 1
    where = f"{sides['top']} on all sides" if same else ", ".join(f"{kind} at the {side}" for side, kind in sides.items())
    return f"−∇·(a\u00a0∇u) = f on the unit square, {mesh(problem.n)} cells; {where}. How wrong is this answer?"


def _maps_section(case: DarcyCase) -> Section:
    a, eta = _field(case.problem.coefficient), one(case.certificate.bound.eta)
    share = _field(case.certificate.bound.cells) / max(eta, 1e-300)
    panels = [Panel("The coefficient a", a, log=bool(a.max() > CONTRAST * a.min())),
              Panel("The answer v", _field(case.answer), nodes=True, colours="viridis"),
              Panel("Share of each cell in the bound η", share, log=True, colours="magma_r")]
    return Section("The question, the answer, and where it may be wrong", figure(
        maps(panels),
        f"over the whole square, the error of the answer in the energy norm is at most η = {outward(eta, True)}. The squares of "
        "the shares add up to one, less a margin for rounding.",
        f"where the bound comes from: half of η² sits in {_half(share)} of the {share.size} cells. The dark cells are where the "
        "answer is likely to be wrong; the share of one cell is no bound on the error in that cell."))


def _half(share: np.ndarray) -> int:
    """How few cells make up half of the squared bound."""
    parts = np.sort(np.square(share).ravel())[::-1].cumsum()
    return int(np.searchsorted(parts, parts[-1] / 2)) + 1


def _field(x: Any) -> np.ndarray:
    values = torch.as_tensor(x).detach().cpu().numpy()
    return values[0] if values.ndim == 3 else values
