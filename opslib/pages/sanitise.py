"""What strangers wrote, made safe to show: an allow-list for HTML, Markdown, terminal text."""

import html
import re
from functools import cache
from typing import Any

from markupsafe import Markup

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
_LONG_CELL = re.compile(r"<td>(?=(?:(?!</td>).)*[^\s<>]{26})", re.S)  # a word to be broken


def clean_html(text: str) -> Markup:
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
    told = _STATUS_CELL.sub(r'\1<td class="status \2">\2</td>', cleaned)
    return Markup(_LONG_CELL.sub('<td class="long">', told))


def _allowed(tag: str, name: str, value: str) -> str | None:
    rule = {"href": _LINK, "src": _PICTURE}.get(name)
    fits = rule.match(value) if rule else value in _CLASSES if name == "class" else len(value) < 200
    return value if fits else None


def markdown(text: str) -> Markup:
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


_ESCAPE = re.compile(
    r"\x1b(?:\[[\d;?]*[A-Za-z]|\][^\x07]*(?:\x07|\Z)|[^\[\]])?|[\x00-\x08\x0b\x0c\x0e-\x1f]"
)


def terminal(text: str) -> str:
    """Terminal text without its control codes and colours."""
    return _ESCAPE.sub("", text)
