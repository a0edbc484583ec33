"""What strangers wrote, made safe to show: an allow-list for HTML, Markdown, terminal colours."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any

_TAGS = (
    "a b blockquote br caption code col colgroup dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr "
    "i img kbd li ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr u "
    "ul"
)
_SILENT = {"script", "style", "template", "noscript"}  # these go with what is in them
_ATTRIBUTES = {"*": {"class", "colspan", "rowspan", "alt", "title"}, "a": {"href"}, "img": {"src"}}
_CLASSES = {"dataframe", "opslib-findings", "opslib-plan"}
_LINK = re.compile(r"(?i)(?:https?://|mailto:)[^\s\x00-\x1f]+\Z")
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+\Z")
_STATUS_CELL = re.compile(r"(<tr>\s*)<td>(ok|warn|unknown|critical)</td>")  # the first of a row


def clean_html(text: str) -> str:
    """HTML with the allowed tags only: no style, no script, no handler, nothing that loads.

    Others' tags go, their text stays.
    """
    import nh3

    cleaned = nh3.clean(
        text,
        tags=set(_TAGS.split()),
        clean_content_tags=_SILENT,
        attributes=_ATTRIBUTES,
        attribute_filter=_allowed,
        link_rel=None,
        url_schemes={"http", "https", "mailto", "data"},
    )
    return _STATUS_CELL.sub(r'\1<td class="status \2">\2</td>', cleaned)


def _allowed(tag: str, name: str, value: str) -> str | None:
    rule = {"href": _LINK, "src": _PICTURE}.get(name)
    fits = rule.match(value) if rule else value in _CLASSES if name == "class" else len(value) < 200
    return value if fits else None


def markdown(text: str) -> str:
    """Markdown as HTML: headings, lists, tables, code.

    HTML in it is shown as text, links go to the web or nowhere.
    """
    return clean_html(str(_markdown()(text)))


@cache
def _markdown() -> Any:
    import mistune

    class Renderer(mistune.HTMLRenderer):
        def image(self, text: str, url: str, title: str | None = None) -> str:
            return html.escape(text)

        def link(self, text: str, url: str, title: str | None = None) -> str:
            procedure = re.fullmatch(r"(?:\.\./)*([\w-]+(?:/[\w-]+)?)\.ipynb", url)
            if procedure:  # a notebook beside this one is not beside the page
                return f"{text} (<code>{html.escape(procedure[1])}</code>)"
            return super().link(text, url, title) if _LINK.match(url) else text

    return mistune.create_markdown(
        renderer=Renderer(escape=True), plugins=["table", "strikethrough"]
    )


_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_SELECT = re.compile(r"\x1b\[([\d;]*)m")
_ESCAPE = re.compile(
    r"\x1b(?:\[[\d;?]*[A-Za-ln-z]|\][^\x07]*(?:\x07|\Z)|[^\[\]])?|[\x00-\x08\x0b\x0c\x0e-\x1f]"
)


def terminal(text: str) -> str:
    """Terminal text as HTML: escaped, with its colours and bold as classes; other control codes are
    dropped.
    """
    shown, classes = [], set[str]()
    for number, part in enumerate(_SELECT.split(text)):
        plain = html.escape(_ESCAPE.sub("", part))
        if number % 2:
            classes = _selected(part, classes)
        elif classes and plain:
            shown.append(f'<span class="{" ".join(sorted(classes))}">{plain}</span>')
        else:
            shown.append(plain)
    return "".join(shown)


def _selected(codes: str, before: set[str]) -> set[str]:
    """Of the codes of one sequence: reset, bold, and the eight colours in both brightnesses; others
    are left out.
    """
    numbers = [int(code) for code in codes.split(";") if code] or [0]
    if 38 in numbers or 48 in numbers:  # 256 colours: the numbers that follow mean something else
        return before
    classes = set(before)
    for number in numbers:
        if number == 0:
            classes = set()
        elif number == 1:
            classes.add("bold")
        elif number % 10 < 8 and number // 10 in (3, 9):
            classes = {c for c in classes if c == "bold"} | {_COLOURS[number % 10]}
    return classes


def code(source: str) -> str:
    """Python source as HTML with classes for its colours."""
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]

    return str(highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)))
