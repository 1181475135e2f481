"""Does the network earn its place? The guarded starts beside each other, win or lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from wellposed.report.figures import OUTCOMES, outcomes
from wellposed.report.page import Section, figure, paragraph, table

EVEN = 1.1  # rates closer than this factor are called even: timings of one batch vary by as much


@dataclass(frozen=True)
class GuardRow:
    """What became of a guarded batch from one start.

    Attributes:
        released, refined, solved, refused: how many answers. rate: guaranteed answers per second. cycles: mean per answer.
    """

    start: str
    released: int
    refined: int
    solved: int
    refused: int
    rate: float
    cycles: float


def guard_section(rows: Sequence[GuardRow], note: str = "") -> Section:
    """The table, the bars and the sentence; the first row is the network's."""
    cells = [(r.start, *map(str, _counts(r).values()), f"{r.rate:.1f}", f"{r.cycles:.2f}") for r in rows]
    body = table(("start", *OUTCOMES, "guaranteed answers per second", "mean cycles"), cells, numbers=range(1, 7))
    bars = figure([outcomes({r.start: _counts(r) for r in rows})],
                  "every answer that was released, refined or solved carries a certificate that meets the tolerance.",
                  "how many there were of each, the cycles and the times: on this machine, for this batch, in one run.")
    end = paragraph(note, "note") if note else ""
    return Section("Does the network earn its place?", paragraph(judgement(rows)) + end + body + bars)


def judgement(rows: Sequence[GuardRow]) -> str:
    """The first row against each of the others, computed from the numbers."""
    own, others = rows[0], rows[1:]
    if not others:
        return f"Nothing stands beside the {own.start} start, so nothing can be said of what it saves."
    return " ".join((_verdict(own, max(others, key=lambda r: r.rate)), *(_against(own, r) for r in others)))


def _verdict(own: GuardRow, best: GuardRow) -> str:
    if own.rate > EVEN * best.rate:
        return f"Yes, here: the {own.start} gives more guaranteed answers per second than any other start."
    if own.rate * EVEN < best.rate:
        return f"No, not here: the {best.start} gives more guaranteed answers per second than the {own.start}."
    return f"It makes no difference here: the {own.start} and the {best.start} give as many answers per second, within 10\u00a0%."


def _against(own: GuardRow, other: GuardRow) -> str:
    saved = other.cycles - own.cycles
    cycles = "as many cycles" if abs(saved) < 0.005 else f"{abs(saved):.2f} cycles {'fewer' if saved > 0 else 'more'} per answer"
    refused = "" if own.refused == other.refused else f", {own.refused} refused instead of {other.refused}"
    return f"Against the {other.start}: {cycles}, {_ratio(own.rate, other.rate)} answers per second{refused}."


def _ratio(x: float, y: float) -> str:
    return f"{x / y:.2f} times the" if y > 0 else "some, where there were no,"


def _counts(row: GuardRow) -> dict[str, int]:
    return {name: asdict(row)[name] for name in OUTCOMES}
