"""Health answers in one line, and which procedure looks further into what failed."""

import re
from collections.abc import Mapping

from opslib.core import beside, cut, sign_of, signs
from opslib.core.connections.http import Response
from opslib.health.bodies import REASONS

_MOMENTS = {"timestamp", "time", "checked_at"}  # when it was asked, which one knows
_HEADLINE = re.compile(r"<(?:title|h1)[^>]*>\s*([^<]+)", re.IGNORECASE)
_SILENT, _GONE, *_DEPENDENCIES = signs(beside(__file__, "answers"))


def is_html(answer: Response) -> bool:
    start = answer.text.lstrip()[:15].lower()
    return answer.body is None and (
        "html" in answer.content_type or start.startswith(("<!doctype", "<html"))
    )


def in_a_line(answer: Response) -> str:
    """The plain values of a JSON object, its reasons first; the title of a page.

    Else the beginning of its text.
    """
    text, body = answer.text, answer.body
    if isinstance(body, Mapping):
        plain = [key for key, value in body.items() if isinstance(value, (str, int, float))]
        told = sorted(plain, key=lambda key: key.lower() not in REASONS)
        text = ", ".join(f"{key} {body[key]}" for key in told if key.lower() not in _MOMENTS)
        text = text or ", ".join(map(str, body))
    elif is_html(answer) and (title := _HEADLINE.search(text)):
        text = title[1]
    return cut(" ".join(text.split()), 200) or "nothing"


def follows(dependency: str, reason: str) -> str:
    """The procedure that looks further into a failed dependency."""
    sign = _SILENT if _SILENT.fits(reason) else sign_of(_DEPENDENCIES, dependency)
    gone = sign.name == "service" and _GONE.fits(reason)
    return (_GONE if gone else sign).next
