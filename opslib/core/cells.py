"""Values out of a stranger's rows, and text, as a page or a terminal can show them."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

# What moves the cursor, colours the terminal or turns the reading direction round.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONGEST = 2000


class Text(str):
    """Text that shows itself as it is."""

    __repr__ = str.__str__


def printable(text: str) -> str:
    """Text on one line: control characters and the like are spelt out, so that they do nothing."""
    return _UNPRINTABLE.sub(_spelt, text)


def _spelt(hit: re.Match[str]) -> str:
    code = ord(hit.group())
    return _NAMED.get(hit.group()) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def value(of: Any) -> Any:
    """A value that a table can hold: numbers, truths and times as they are; all else as text of bounded length."""
    if of is None or isinstance(of, (bool, int, float, datetime, Decimal)):
        return of
    return printable(_cut(_text(of)))


def _text(of: Any) -> str:
    if isinstance(of, str):
        return of
    if isinstance(of, (bytes, memoryview)):
        return f"\\x{bytes(of[: _LONGEST // 2]).hex()} ({len(of):,} bytes)"
    if isinstance(of, (dict, list)):
        return json.dumps(of, ensure_ascii=False, default=str)
    return str(of)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"
