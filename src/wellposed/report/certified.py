"""A certificate as parts of a page: the verdict, what is claimed, on what it rests, where it comes from."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from html import escape

from wellposed.certificate import Certificate, Claim
from wellposed.report.page import badge, facts, paragraph, table
from wellposed_check.statement import KINDS, VERDICTS

TONE = {True: "good", False: "bad", None: "open"}
STATUS = {"violated": "bad", "assumed": "open", "checked": "good"}


def verdict(certificate: Certificate) -> str:
    """The verdict as a coloured banner, with each claim that had a requirement said in one sentence and drawn."""
    asked = [c for c in certificate.claims if c.required is not None]
    word = VERDICTS[certificate.verdict].capitalize() if asked else "Nothing was required"
    tone = TONE[certificate.verdict] if asked else "plain"
    counts = ", ".join(f"{sum(c.kind == kind for c in certificate.claims)} {name}" for kind, name in KINDS.items())
    said = "".join(paragraph(sentence(c)) + interval(c) for c in asked or certificate.claims)
    return f'<div class="verdict {tone}"><p class="word">{word}</p>{said}<p class="counts">{counts}</p></div>'


def sentence(claim: Claim) -> str:
    """What a claim comes to, in plain words."""
    name, required = label(claim), number(claim, claim.required, None)
    lower, upper = number(claim, claim.lower, False), number(claim, claim.upper, True)
    known = f"is at most {upper}" if claim.lower is None else f"lies between {lower} and {upper}"
    if claim.required is None:
        return f"The {name} {known}."
    if claim.holds:
        return f"The {name} is at most {upper}; {required} was asked for."
    if claim.holds is False:
        return f"The {name} {known}: more than the {required} that was asked for."
    if any(status == "violated" for _, status in claim.assumptions):
        return f"About the {name} nothing is decided, for an assumption is violated; {required} was asked for."
    return f"The {name} {known}; whether it meets the {required} that was asked for is not decided."


def label(claim: Claim) -> str:
    """The claim's name in words: "energy error", with "relative" where its quantity is."""
    name = claim.id.split(".")[-1].split("/")[0].replace("_", " ")
    return f"relative {name}" if _relative(claim) else name


def number(claim: Claim, x: float | None, up: bool | None) -> str:
    """An end of the claim's interval, rounded away from the interval's inside; with `up=None` as it is."""
    if x is None:
        return "unknown"
    scale = 100.0 if _relative(claim) else 1.0
    text = f"{scale * x:.10g}" if up is None else outward(Decimal(x) * Decimal(scale), up)
    return f"{text}\u00a0%" if _relative(claim) else text


def outward(x: Decimal | float, up: bool, digits: int = 4) -> str:
    """`x` to so many significant digits, rounded up or down: what is printed is as true as what was proved."""
    if not math.isfinite(x):
        return "∞" if x > 0 else "-∞"
    value = Context(prec=digits, rounding=ROUND_CEILING if up else ROUND_FLOOR).create_decimal(x)
    return f"{value:f}" if value == 0 or -5 < value.adjusted() < 9 else f"{value:e}"


def interval(claim: Claim) -> str:
    """The interval as a band on a line from zero, with a mark at what was asked for."""
    if claim.upper is None or claim.required is None or not claim.upper > 0:
        return ""
    low, end = max(claim.lower or 0.0, 0.0), 1.12 * max(claim.upper, claim.required)
    left, width, mark = (f"{100 * x / end:.2f}%" for x in (low, claim.upper - low, claim.required))
    text = f"between {number(claim, low, False)} and {number(claim, claim.upper, True)}"
    asked = f"asked for: {number(claim, claim.required, None)}"
    side = "left" if claim.required / end < 0.6 else "right"
    return (f'<div class="line" role="img" aria-label="{escape(text)}, {escape(asked)}">'
            f'<div class="band" style="left:{left};width:{width}"></div>'
            f'<div class="mark {side}" style="left:{mark}"><span>{escape(asked)}</span></div></div>')


def claims(certificate: Certificate) -> str:
    """Every claim as a row: the interval, what was asked, how it is known; first those of which something was asked."""
    ordered = sorted(certificate.claims, key=lambda c: c.required is None)
    head = ("claim", "at least", "at most", "required", "verdict", "known by")
    rows = table(head, map(_row, ordered), markup=(0, 4, 5), numbers=(1, 2, 3))
    note = paragraph("Printed numbers are rounded outwards; certificate.json holds every bit.", "note")
    return rows + note + facts((label(c).capitalize(), f"{c.quantity}. {c.reference}.") for c in ordered)


def assumptions(certificate: Certificate) -> str:
    """On what the claims rest, the violated first, and for which claims where it is not for all."""
    where: dict[tuple[str, str], list[str]] = {}
    for c in certificate.claims:
        for text, status in c.assumptions:
            where.setdefault((status, text), []).append(label(c))
    some = {key: "" if len(names) == len(certificate.claims) else f" (for {', '.join(names)})" for key, names in where.items()}
    items = "".join(f"<li>{badge(status, STATUS[status])} <span>{escape(text + some[status, text])}</span></li>"
                    for status, text in sorted(where, key=lambda key: list(STATUS).index(key[0])))
    return f'<ul class="assumptions">{items}</ul>' if items else paragraph("None.")


def provenance(certificate: Certificate) -> str:
    """Where the answer came from, and the digests that bind the certificate to it."""
    d, made = certificate.document, certificate.document["provenance"]
    versions = ", ".join(f"{name} {v}" for name, v in made["versions"].items())
    rows = [("Versions", versions), ("Device", made["device"]), ("Threads", str(made["threads"])),
            ("Weights, SHA-256", made["weights"] or "not stated"),
            ("Seed", "not stated" if made["seed"] is None else str(made["seed"])),
            ("Problem, SHA-256", d["subject"]["problem_sha256"]), ("Answer, SHA-256", d["subject"]["answer_sha256"]),
            ("Certificate, SHA-256", d["sha256"])]
    return facts(rows) + paragraph("Digests show that nothing was changed; they do not show who made it.", "note")


def _row(c: Claim) -> tuple[str, ...]:
    required = ("–", "–") if c.required is None else (number(c, c.required, None), badge(VERDICTS[c.holds], TONE[c.holds]))
    name = f"<b>{escape(label(c).capitalize())}</b><code>{escape(c.id)}</code>"
    return (name, number(c, c.lower, False), number(c, c.upper, True), *required,
            f"{badge(KINDS[c.kind], 'plain')} {escape(c.kind)}, {escape(c.arithmetic)} arithmetic")


def _relative(claim: Claim) -> bool:
    return "relative" in claim.quantity
