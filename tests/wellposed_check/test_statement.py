"""What follows from a claim's numbers, and from many claims: the tables of the design, entry by entry."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from wellposed_check.statement import Statement, headline, verdict

CLAIM = Statement("room.claim/1", "a number", 1.0, 2.0, "theorem", "margin", (("it is so", "checked"),), "a paper", ("x",))


@pytest.mark.parametrize(("lower", "upper", "required", "holds"), [
    (1.0, 2.0, 3.0, True), (1.0, 2.0, 2.0, True), (1.0, 2.0, 1.5, None), (1.0, 2.0, 1.0, None), (1.0, 2.0, 0.5, False),
    (None, 2.0, 1.0, None), (None, 2.0, 2.5, True), (1.0, None, 5.0, None), (1.0, None, 0.5, False), (1.0, math.inf, 5.0, None),
    (None, None, 1.0, None), (1.0, 2.0, None, None), (0.0, math.nan, 1.0, None)])
def test_holds_iff_proved_and_fails_iff_refuted(lower: float, upper: float, required: float, holds: bool | None):
    assert replace(CLAIM, lower=lower, upper=upper).holds(required) is holds


@pytest.mark.parametrize("required", [0.5, 1.5, 3.0])
def test_nothing_is_decided_on_a_violated_assumption(required: float):
    violated = (*CLAIM.assumptions, ("it is not so", "violated"))
    assert replace(CLAIM, assumptions=violated).holds(required) is None


def claim(holds: bool | None, kind: str = "theorem", required: Any = 1.0, status: str = "assumed") -> dict[str, Any]:
    return {"holds": holds, "kind": kind, "required": required, "assumptions": [{"text": "it is so", "status": status}]}


@pytest.mark.parametrize("votes", list(product([True, False, None], repeat=3)), ids=str)
def test_any_false_beats_any_none_beats_true(votes: tuple[bool | None, ...]):
    expected = False if False in votes else None if None in votes else True
    assert verdict([claim(v) for v in votes]) is expected


@pytest.mark.parametrize("holds", [False, None])
def test_observations_and_claims_without_requirement_have_no_vote(holds: bool | None):
    assert verdict([claim(True), claim(holds, "observation"), claim(None, required=None)]) is True
    assert verdict([claim(True), claim(holds, "statistical")]) is holds


def test_a_violated_assumption_leaves_the_verdict_open_even_if_nothing_is_required():
    assert verdict([claim(None, required=None, status="violated")]) is None
    assert verdict([claim(None, status="violated"), claim(False)]) is False


def test_headline_counts_how_things_are_known():
    claims = [claim(True), claim(True), claim(None, "statistical"), claim(False, "observation")]
    assert headline(claims) == "undecided (2 proved, 1 statistical, 1 observed)"
    assert headline([claim(None, required=None)]).startswith("nothing was required")


def test_document_names_every_field_of_the_design():
    fields = {"id", "quantity", "lower", "upper", "required", "holds", "kind", "arithmetic", "assumptions", "reference", "witness"}
    document = CLAIM.document(3.0, {"x": "0" * 64})
    assert set(document) == fields
    assert document["holds"] is True
    assert document["witness"] == {"x": "0" * 64}
