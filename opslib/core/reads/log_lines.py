"""Log lines: what a line says, the pattern it is one of, and how it is shown."""

from __future__ import annotations

import re
from typing import Any

from opslib.core import UTC_TIME, Frame, frame
from opslib.core.tables import Json
from opslib.core.text import cut, decoded, plain

PATTERNS = {
    "count": "int64",
    "first_seen": UTC_TIME,
    "last_seen": UTC_TIME,
    "most_in_an_hour": "int64",
    "sources": "str",
    "pattern": "str",
    "example": "str",
}

_LONGEST_PATTERN = 160
_SAYS = ("message", "msg", "error", "errorMessage", "event", "exception")
_LAMBDA_PREFIX = re.compile(
    # [ERROR] time, request id
    r"^\[(?P<level>[A-Z]+)\]\s+\d{4}-\d\d-\d\dT[\d:.]+Z\s+[0-9a-f-]{36}\s+"
    r"|^\d{4}-\d\d-\d\dT[\d:.]+Z\s+[0-9a-f-]{36}\s+"  # time request id (time-outs, Node.js)
)
_VARIABLE = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.I), "<uuid>"),
    (
        re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?\b"),
        "<time>",
    ),
    (re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"), "<email>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<ip>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}\b", re.I), "<hex>"),
    (re.compile(r"(?<![\w<])\d[\d,.]*\d(?=[a-zA-Z%]{0,3}\b)|(?<![A-Za-z<])\d"), "<n>"),
)


def group_errors(events: Frame) -> Frame:
    """Lines by what they have in common, the most frequent first. Columns: PATTERNS."""
    rows = [
        {
            "count": len(lines),
            "first_seen": lines["time"].iloc[0],
            "last_seen": lines["time"].iloc[-1],
            "most_in_an_hour": most_in_an_hour(lines["time"]),
            "sources": ", ".join(sorted(set(lines["source"]))),
            "pattern": kind,
            "example": shown(lines["message"].iloc[-1], 300),
        }
        for kind, lines in events.groupby(events["message"].map(pattern))
    ]
    found = frame(rows, PATTERNS)
    return found.sort_values("count", ascending=False, kind="stable", ignore_index=True)


def most_in_an_hour(times: Any) -> int:
    """How many of these times, in order, lie within any one hour."""
    import pandas as pd

    return int(pd.Series(1, pd.DatetimeIndex(times)).rolling("1h", closed="both").sum().max())


def pattern(message: str) -> str:
    """What the lines of one kind have in common.

    Level and text, with ids, numbers, times and addresses left open.
    """
    level, text = parts(message)
    for variable, mark in _VARIABLE:
        text = variable.sub(mark, text)
    text = " ".join(text.split())
    text = f"{level}: {text}" if level and not text.upper().startswith(level) else text
    return cut(text, _LONGEST_PATTERN)


def parts(message: str) -> tuple[str, str]:
    """Level and text of a line.

    Of a JSON object its own fields, of a traceback what was raised, else the first line.
    """
    if document := structured(message):
        level = str(document.get("level", document.get("levelname", ""))).upper()
        return level, _first_line(_said(document) or message)
    prefix = _LAMBDA_PREFIX.match(message)
    return (prefix["level"] or "" if prefix else ""), _first_line(_LAMBDA_PREFIX.sub("", message))


def shown(message: str, width: int = 0) -> str:
    """A line to look at.

    One line, nothing in it that moves a terminal's cursor or turns the text around.
    """
    text = " ⏎ ".join(
        part for part in plain(message.replace("\t", " ")).splitlines() if part.strip()
    )
    return cut(text, width or len(text))


def brief(message: str) -> str:
    """A line to be read: of a JSON object its level and text, then its other values.

    All else as it is.
    """
    document = structured(message)
    if document is None:
        return shown(message)
    text = _said(document)
    told = {*_SAYS, "level", "levelname", "timestamp", "time", "errorType", "error_type"}
    rest = ", ".join(f"{key}={value}" for key, value in document.items() if key not in told)
    rest = f"({rest})" if text and rest else rest
    return shown(" ".join(filter(None, (parts(message)[0], text, rest))))


def structured(message: str) -> Json | None:
    """The members of a line that is a JSON object; None for any other line."""
    found = decoded(message) if message.lstrip().startswith("{") else None
    return found if isinstance(found, dict) else None


def _said(document: Json) -> str:
    """The text of a structured line.

    The type of an error goes before it, and the error after a message without it.
    """
    said = (document[key] for key in _SAYS if isinstance(document.get(key), (str, int, float)))
    text, error = str(next(said, "")), document.get("error")
    kind = str(document.get("errorType", document.get("error_type", "")))
    text = f"{kind}: {text}" if kind not in text else text
    return f"{text}: {error}" if isinstance(error, str) and error not in text else text


def _first_line(text: str) -> str:
    first, *rest = [line for line in text.strip().splitlines() if line.strip()] or [""]
    return (rest[-1] if rest and first.startswith("Traceback") else first).strip()
