"""What refinement reached, cycle by cycle and mesh by mesh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wellposed.elliptic import Refinement
from wellposed.report.certified import outward
from wellposed.report.figures import Trace, bounds_over_cycles
from wellposed.report.page import Section, figure, paragraph, table

OUTCOME = {"reached": "met", "floor": "floor of the mesh", "memory": "out of memory", "cycles": "out of cycles"}


def cycles_section(runs: Mapping[str, Refinement], tol: float | None) -> Section:
    """The bounds over cycles; `tol` of the relative energy error is drawn where there is one."""
    late = [name for name, r in runs.items() if not np.isfinite(one(r.history[0].relative))]
    never = f" From the {' and the '.join(late)} nothing is proved before the first cycle: no point is drawn." if late else ""
    return Section("The bounds, cycle by cycle", figure(
        bounds_over_cycles({name: trace(r) for name, r in runs.items()}, tol),
        "each point of the first figure bounds the error of the answer at that cycle, with no label and no reference solution. "
        "The compliance of the true solution lies inside every band of the second, on whichever mesh.",
        f"how fast the bounds fall, and where they come to rest.{never}",
        "One cycle improves the potential, and the flux that certifies it, together. A dotted line marks a finer mesh."))


def reached_section(runs: Mapping[str, Refinement]) -> Section:
    """The floor of the mesh, what a smaller tolerance needs, and a row for each refinement."""
    quantity = next(iter(runs.values())).quantity.replace("_", " ")
    head = ("start", "cells", "cycles", f"{quantity} at most", "compliance between", "floor of the mesh", "asked for", "outcome")
    said = [_floor(runs), _needed(runs), *(_went(r) for r in runs.values() if cells(r) > r.problem.n)]
    body = "".join(paragraph(text) for text in said if text)
    return Section("What refinement reached", body + table(head, [_row(*item) for item in runs.items()], numbers=range(1, 7)))


def trace(r: Refinement) -> Trace:
    rows = [(h.cycle, h.n, one(h.relative), one(h.compliance_lower), one(h.compliance_upper)) for h in r.history]
    return Trace(*(list(column) for column in zip(*rows, strict=True)))


def cells(r: Refinement) -> int:
    """Cells per axis of the mesh that the answer is on."""
    return r.answer.shape[-1] - 1


def mesh(n: int) -> str:
    return f"{n}\u00a0×\u00a0{n}"


def one(x: Any) -> float:
    """The number of the only sample."""
    return float(x[0])


def _row(name: str, r: Refinement) -> tuple[str, ...]:
    lower, upper = outward(one(r.bound.compliance_lower), False, 5), outward(one(r.bound.compliance_upper), True, 5)
    outcome = "near the floor" if r.tol is None and r.status == "reached" else OUTCOME[r.status]
    return (name, mesh(cells(r)), str(len(r.history) - 1), _percent(one(r.value)), f"{lower} to {upper}",
            f"about {_percent(one(r.floor))}" if _floor_known(r) else "–", "–" if r.tol is None else _asked(r.tol), outcome)


def _floor(runs: Mapping[str, Refinement]) -> str:
    known = [r for r in runs.values() if _floor_known(r)]
    if not known:
        return ""
    where, floor = mesh(cells(known[0])), _percent(one(known[0].floor))
    return (f"On {where} cells the bound comes to rest at about {floor}: that is the floor of this mesh. No answer on it, from "
            "whatever network or solver, has a bound that is noticeably smaller; the floor itself is extrapolated, not proved.")


def _needed(runs: Mapping[str, Refinement]) -> str:
    short = [r for r in runs.values() if r.needed is not None and r.tol is not None]
    return f"A tolerance of {_asked(short[0].tol or 0.0)} should need about {mesh(short[0].needed or 0)} cells." if short else ""


def _went(r: Refinement) -> str:
    if r.status != "reached" or r.tol is None:
        return f"On finer meshes: {r.message}."
    return f"Asked for {_asked(r.tol)}, refinement went to {mesh(cells(r))} cells and proved {_percent(one(r.value))} there."


def _floor_known(r: Refinement) -> bool:
    return (r.tol is None or r.status == "floor") and one(r.floor) > 0


def _asked(tol: float) -> str:
    return f"{100 * tol:.4g}\u00a0%"


def _percent(x: float) -> str:
    return f"{outward(100 * x, True, 3)}\u00a0%"
