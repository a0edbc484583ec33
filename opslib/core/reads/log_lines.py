"""Log lines: what a line says, the pattern it is one of, and how it is shown."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from opslib.core.reads import log_texts
from opslib.core.reads.log_levels import PLATFORM, TEXTS, read, said, structured
from opslib.core.strict_yaml import beside
from opslib.core.tables import UTC_TIME, Frame, dtypes, frame
from opslib.core.text import cut, plain, visible

PATTERNS = dtypes("""
    count           int64
    first_seen      utc
    last_seen       utc
    most_in_an_hour int64
    sources         str
    pattern         str
    example         str
""")

_LONGEST_PATTERN, _LONGEST_TEXT = 160, 2_000
_VARIABLE = [(re.compile(each["pattern"]), each["shown"]) for each in beside(__file__, "log_lines")]


def group_errors(events: Frame) -> Frame:
    """Lines by what they have in common, the most frequent first. Columns: PATTERNS.

    `attrs["times"]`: when the lines of each pattern were written; `attrs["ids"]`: which they are.
    """
    kinds = dict(iter(events.groupby(patterns(events["message"]))))
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
        for kind, lines in kinds.items()
    ]
    found = frame(rows, PATTERNS)
    found.attrs["times"] = {kind: [*lines["time"]] for kind, lines in kinds.items()}
    found.attrs["ids"] = {kind: {*lines["event_id"]} for kind, lines in kinds.items()}
    return found.sort_values("count", ascending=False, kind="stable", ignore_index=True)


def most_in_an_hour(times: Any) -> int:
    """How many of these times, in order, lie within any one hour."""
    import pandas as pd

    return int(pd.Series(1, pd.DatetimeIndex(times)).rolling("1h", closed="both").sum().max())


def burst(times: Any, most: int) -> datetime | None:
    """When the first hour begins in which more than so many of these times, in order, lie."""
    import pandas as pd

    when = pd.Series([*times])
    found = when.shift(most)[when.diff(most) <= pd.Timedelta("1h")]
    return None if found.empty else found.iloc[0].to_pydatetime()


def patterns(messages: Iterable[str]) -> list[str]:
    """Of each message the pattern of its group.

    Level and text, with ids, numbers, times and addresses left open; and what else differs, too.
    """
    said = [read(message) for message in messages]
    texts = [masked(each.text) for each in said]
    found = [""] * len(said)
    for level in {each.level for each in said}:
        places = [at for at, each in enumerate(said) if each.level == level]
        made = log_texts.templates(texts[at] for at in places)
        for at, text in zip(places, made, strict=True):
            found[at] = _titled(level, text)
    return found


def pattern(message: str) -> str:
    """What the lines of one kind have in common, told from one of them."""
    said = read(message)
    return _titled(said.level, masked(said.text))


def masked(text: str) -> str:
    """A text, of a long one its beginning, with ids, numbers, times and addresses left open."""
    text = cut(text, _LONGEST_TEXT)
    for variable, mark in _VARIABLE:
        text = variable.sub(mark, text)
    return " ".join(text.split())


def _titled(level: str, text: str) -> str:
    text = f"{level}: {text}" if level and not text.upper().startswith(level) else text
    return cut(visible(text), _LONGEST_PATTERN)


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
    text = said(document)
    told = {*TEXTS, "level", "levelname", "timestamp", "time", "errorType", "error_type"}
    rest = ", ".join(f"{key}={value}" for key, value in document.items() if key not in told)
    rest = f"({rest})" if text and rest else rest
    return shown(" ".join(filter(None, (read(message).level, text, rest))))


_CONTINUED = re.compile(
    r"\s|$|[}\])]|Caused by:|Suppressed:|\.\.\. \d+ more|goroutine \d+ \[|created by |#\d+ "
    r"|from /|exit status \d|During handling of|The (?:above|following) exception|--- End of"
    r"|note: run with|\[signal "
)
_GO_FRAME = re.compile(r"[\w./*()\[\]-]+\(.*\)")
_JUL = re.compile(r"\w{3} \d\d?, \d{4} \d\d?:\d\d:\d\d [AP]M \S+(?: \S+)?$")
_AT_ONCE = 2_000_000  # microseconds: lines of one traceback are written within it
_LONGEST_EVENT = 200  # lines


def joined(events: Frame) -> Frame:
    """Lines that are one message, a traceback whose lines are events of their own, as one event.

    Of one stream, one after the other. Columns, order and attributes are those of `events`.
    """
    open_: dict[tuple[str, str], tuple[int, list[str]]] = {}
    parts: list[list[str]] = []
    kept = []
    # As numbers: of each a time of pandas' own would be made.
    times = events["time"].astype(UTC_TIME).astype("int64").tolist()
    streams = zip(events["source"], events["stream"], strict=True)
    rows = zip(times, streams, events["message"], strict=True)
    for at, (time, stream, message) in enumerate(rows):
        last, lines = open_.get(stream) or (time, [])
        if lines and time - last <= _AT_ONCE and _goes_on(lines, message):
            lines.append(message)
        else:
            lines = [message]
            kept.append(at)
            parts.append(lines)
        open_[stream] = time, lines
    made = events.iloc[kept].reset_index(drop=True)
    made["message"] = ["\n".join(lines) for lines in parts]
    made.attrs.update(events.attrs)
    return made


def _goes_on(lines: list[str], message: str) -> bool:
    """Whether a line belongs to the message of those before it."""
    first, last = lines[0], lines[-1]
    if len(lines) >= _LONGEST_EVENT or PLATFORM.match(first) or PLATFORM.match(message):
        return False
    if _CONTINUED.match(message):
        return not (message[:1].isspace() and read(message).level)
    if message.startswith("Traceback (most recent"):
        again = _CONTINUED.match(last) is not None  # after "During handling of the above …"
        return again or (len(lines) == 1 and read(first).trouble is True)
    if "Traceback (most recent" in "".join(lines) and last[:1].isspace():
        return True  # what was raised ends it
    if first.startswith(("panic:", "fatal error:")):
        return _GO_FRAME.fullmatch(message) is not None
    return len(lines) == 1 and _JUL.match(first) is not None
