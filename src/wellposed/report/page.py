"""One self-contained HTML page, put together from small pieces. Every piece escapes the text that it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # the browser itself refuses to load anything
TONES = ("good", "bad", "open", "plain")


@dataclass(frozen=True)
class Section:
    """A part of a page: `title` is text, `html` is markup, made of the pieces below. Without a title there is no heading."""

    title: str
    html: str


def page(title: str, sections: Iterable[Section], *, lead: str = "", footer: str = "") -> str:
    """The whole page.

    Args:
        title: text. lead: text under it. footer: markup.
    """
    body = "\n".join(_section(s) for s in sections)
    under = f'\n<p class="lead">{escape(lead)}</p>' if lead else ""
    end = f"\n<footer>{footer}</footer>" if footer else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title>
<style>
{files("wellposed.report").joinpath("style.css").read_text("utf-8").strip()}
</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1>{under}</header>
{body}{end}
</main>
</body>
</html>
"""


def paragraph(text: str, kind: str = "") -> str:
    return f"<p{_class(kind)}>{escape(text)}</p>"


def badge(word: str, tone: str) -> str:
    """A word on a coloured ground; the word alone says all that the colour says.

    Raises:
        ValueError: a tone that the style sheet does not have.
    """
    if tone not in TONES:
        raise ValueError(f"badge: received the tone {tone!r}, expected one of {', '.join(TONES)}")
    return f'<span class="badge {tone}">{escape(word)}</span>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, markup: Iterable[int] = (), numbers: Iterable[int] = ()) -> str:
    """A table that becomes a list of cards on a narrow screen.

    Args:
        markup: columns whose cells are markup already. numbers: columns that stand to the right.
    """
    given, right = set(markup), set(numbers)
    kinds = [_class("number" if k in right else "") for k in range(len(head))]
    top = "".join(f"<th scope='col'{kind}>{escape(h)}</th>" for h, kind in zip(head, kinds, strict=True))

    def cell(k: int, content: str) -> str:
        return f"<td data-label='{escape(head[k])}'{kinds[k]}><span>{content if k in given else escape(content)}</span></td>"

    body = "".join(f"<tr>{''.join(cell(k, content) for k, content in enumerate(row))}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def figure(pictures: Sequence[str], proved: str = "", observed: str = "", note: str = "") -> str:
    """SVGs in a row, which wraps; the caption keeps apart what is proved about them and what is only observed."""
    parts = [f"<p>{badge(word, tone)} {escape(text)}</p>"
             for word, tone, text in (("proved", "good", proved), ("observed", "plain", observed)) if text]
    first = f"<p>{escape(note)}</p>" if note else ""
    row = "".join(f'<div class="picture">{svg}</div>' for svg in pictures)
    return f'<figure><div class="row of{len(pictures)}">{row}</div><figcaption>{first}{"".join(parts)}</figcaption></figure>'


def commands(pairs: Iterable[tuple[str, str]]) -> str:
    """What to type next; a click selects a whole command."""
    return "".join(f'<div class="command"><p>{escape(what)}</p><pre><code>{_words(command)}</code></pre></div>'
                   for command, what in pairs)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what they stand for, as a list."""
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in pairs) + "</dl>"


def _section(s: Section) -> str:
    heading = f"<h2>{escape(s.title)}</h2>\n" if s.title else ""
    return f"<section>\n{heading}{s.html}\n</section>"


def _words(command: str) -> str:
    """Lines of a long command break between its words, not at the dashes of an option."""
    return " ".join(f"<span>{escape(word)}</span>" for word in command.split(" "))


def _class(name: str) -> str:
    return f" class='{name}'" if name else ""
