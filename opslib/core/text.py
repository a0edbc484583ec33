"""Numbers as one reads them in a sentence; and text of strangers as a page or a terminal can show
it.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from decimal import Decimal
from typing import Any


def count(number: int, noun: str) -> str:
    """1 line, 1,204 lines, 2 dependencies."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith(("cy", "ry")) else f"{number:,} {noun}s"


def number(value: float, unit: str = "") -> str:
    """12,400 ms, 0.8 %, 3; bytes as 64 GB, less than a second as 1.07 ms.

    A `count` needs no unit.
    """
    if unit == "bytes" and abs(value) >= 1000:
        power = min(4, int(math.log10(abs(value)) // 3))
        return number(float(f"{value / 1000**power:.3g}"), " kMGT"[power] + "B")
    if unit == "s" and 0 < abs(value) < 1:
        return number(float(f"{value * 1000:.3g}"), "ms")
    text = f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:,.3g}"
    return f"{text} {unit}" if unit and unit != "count" else text


def tick(value: float, unit: str = "") -> str:
    """A number beside an axis that names the unit already: with it only where it is scaled."""
    return number(value, unit) if unit in ("bytes", "s") and value else number(value)


# What moves the cursor, colours the terminal or turns the reading direction round.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_CONTROL = re.compile(
    r"\x1b\[[\d;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONGEST = 2000


class Text(str):
    """Text that shows itself as it is."""

    __repr__ = str.__str__


def plain(value: Any) -> str:
    """Text without the control codes that a log line may bring along; nothing of None."""
    return _CONTROL.sub("", "" if value is None else str(value))


def cut(text: str, longest: int) -> str:
    """A text, or its beginning where it is longer."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def decoded(text: str, otherwise: Any = None) -> Any:
    """What a text of JSON says; `otherwise` when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return otherwise


def printable(text: str) -> str:
    """Text on one line: control characters and the like are spelt out, so that they do nothing."""
    return _UNPRINTABLE.sub(_spelt, text)


def _spelt(hit: re.Match[str]) -> str:
    code = ord(hit.group())
    return _NAMED.get(hit.group()) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def cell(of: Any) -> Any:
    """A value that a table can hold: numbers, truths and times as they are; all else as text of
    bounded length.
    """
    if of is None or isinstance(of, (bool, int, float, datetime, Decimal)):
        return of
    text = _text(of)
    long = f"{text[:_LONGEST]}… ({len(text):,} characters)"
    return printable(text if len(text) <= _LONGEST else long)


def _text(of: Any) -> str:
    if isinstance(of, str):
        return of
    if isinstance(of, (bytes, memoryview)):
        return f"\\x{bytes(of[: _LONGEST // 2]).hex()} ({len(of):,} bytes)"
    if isinstance(of, (dict, list)):
        return json.dumps(of, ensure_ascii=False, default=str)
    return str(of)
