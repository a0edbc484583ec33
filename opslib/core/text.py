"""Numbers as one reads them in a sentence; and text of strangers as a page or a terminal can show
it.
"""

import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from opslib.core import redaction


def templates(beside: Path, **options: Any) -> Any:
    """jinja2's environment of the templates/ in a folder; a tag takes no line of its own."""
    from jinja2 import Environment, FileSystemLoader

    loader = FileSystemLoader(beside / "templates")
    return Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, **options)


def command(verb: str, name: str, target: str, given: Mapping[str, Any]) -> str:
    """`opslib run NAME -t TARGET -p …`, as one types it, masked."""
    pairs = [word for pair in given.items() for word in ("-p", "{}={}".format(*pair))]
    return redaction.mask(shlex.join(["opslib", verb, name, "-t", target, *pairs]))


def count(number: int, noun: str) -> str:
    """1 line, 1,204 lines, 2 dependencies."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


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


# What moves the cursor, has no width, turns the reading direction round, or is half a character.
_UNSEEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"
)
# A joiner is a part of what it joins in scripts of Asia and emoji; elsewhere it hides.
_JOINING = "\u0600-\u109f\u1780-\u17ff\u2190-\u2bff\ufe0f\U0001f000-\U0001faff"
_JOINER = f"(?<![{_JOINING}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINING}])"
_UNPRINTABLE = re.compile(f"[\t\n{_UNSEEN}]|{_JOINER}")
_INVISIBLE = re.compile(f"[{_UNSEEN}]|{_JOINER}")
_SEQUENCE = re.compile(  # of a terminal's: colours and movements, titles and links, others
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])"
    r"[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-OQ-WYZ\\`-~]"
)
_HALF = re.compile(  # of a character, as JSON writes it
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_LONGEST = 2000


class Text(str):
    """Text that shows itself as it is."""

    __repr__ = str.__str__


def plain(value: Any) -> str:
    """Text for a terminal: nothing in it colours, moves or turns round; nothing of None."""
    return visible(_SEQUENCE.sub("", "" if value is None else str(value)).replace("\r\n", "\n"))


def visible(text: str) -> str:
    """Text of lines and tabs in which what would not be seen is spelt out: \\u202e, \\x00."""
    return _INVISIBLE.sub(_spelt, text)


def whole(text: str) -> str:
    """Text that can be encoded: halves of characters are spelt out."""
    return text.encode(errors="backslashreplace").decode()


def cut(text: str, longest: int) -> str:
    """A text, or its beginning where it is longer: masked first, for nobody knows half a secret."""
    text = redaction.mask(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def fits(text: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern of a file's is of a whole text: only * and ? stand for others."""
    return any(fnmatchcase(text, each.replace("[", "[[]")) for each in patterns)


def few(words: Sequence[str], most: int, between: str = ", ") -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def decoded(text: str, otherwise: Any = None) -> Any:
    """What a text of JSON says, half characters replaced; `otherwise` when it is none."""
    try:
        return json.loads(_HALF.sub(r"\\ufffd", text) if "\\u" in text else text)
    except (ValueError, RecursionError):
        return otherwise


def printable(text: str) -> str:
    """Text on one line: control characters and the like are spelt out, so that they do nothing."""
    return _UNPRINTABLE.sub(_spelt, text)


def _spelt(hit: re.Match[str]) -> str:
    code = ord(hit.group())
    spelt = f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    return _NAMED.get(hit.group()) or (spelt if code < 0x10000 else f"\\U{code:08x}")


def cell(of: Any) -> Any:
    """A value that a table can hold: numbers, truths and times as they are; all else as text of
    bounded length.
    """
    if of is None or isinstance(of, (bool, int, float, datetime, Decimal)):
        return of
    text = _text(of)
    text = redaction.mask(text) if len(text) > _LONGEST else text
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
