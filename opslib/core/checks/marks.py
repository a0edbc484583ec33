"""What happened while something was measured: deployments, changes and alarms, to be marked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from opslib.core.errors import UsageError
from opslib.core.findings import Findings
from opslib.core.tables import UTC_TIME, Frame
from opslib.core.text import cut, printable
from opslib.core.times import Window, clock

MARKS = {"time": UTC_TIME, "what": "str", "kind": "str"}  # deployment, change, alarm or your own
_APART = 0.02  # of the window: nearer ones are one line
_LABEL, _WORDS = 24, 12  # characters of a label; marks that are told in words


class Mark(NamedTuple):
    time: datetime
    kind: str
    what: str


class Stroke(NamedTuple):
    """A line of a picture: one mark, or several that are too near to be told apart."""

    time: datetime
    kind: str
    label: str


def within(window: Window, sources: Iterable[Frame | Findings | None]) -> list[Mark]:
    """The marks of tables (columns `time` and `what`, perhaps `kind`), oldest first.

    Of findings their evidence counts. Raises UsageError for a table without these columns.
    """
    found = []
    for source in sources:
        table = source.evidence if isinstance(source, Findings) else source
        if table is None:
            continue
        columns = list(getattr(table, "columns", ()))
        absent = [name for name in ("time", "what") if name not in columns]
        if absent:
            raise UsageError(
                f"Marks need the columns time and what (and may have kind); {', '.join(absent)} "
                f"is not among {', '.join(map(str, columns)) or 'them'}. Nothing was drawn."
            )
        kinds = table["kind"] if "kind" in columns else ["change"] * len(table)
        for time, what, kind in zip(table["time"], table["what"], kinds, strict=True):
            if time == time and window.start <= time <= window.end:
                found.append(Mark(time, printable(str(kind)), printable(cut(str(what), 200))))
    return sorted(set(found))


def told(marks: list[Mark], window: Window) -> str:
    """In words: `08:52 deployment version 7 live; …`."""
    said = [f"{clock(m.time, window.end)} {m.kind}: {m.what}" for m in marks[-_WORDS:]]
    more = f"{len(marks) - _WORDS} earlier ones; " if len(marks) > _WORDS else ""
    return f"Marked: {more}{'; '.join(said)}."


def strokes(marks: list[Mark], window: Window) -> list[Stroke]:
    """The lines to draw. Of several in one place the worst is named: an alarm, a deployment."""
    groups: list[list[Mark]] = []
    for mark in marks:
        apart = _APART * (window.end - window.start)
        if groups and mark.time - groups[-1][0].time < apart:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    made = []
    for group in groups:
        first = min(group, key=lambda m: ("alarm", "deployment", m.kind).index(m.kind))
        more = f" +{len(group) - 1}" if len(group) > 1 else ""
        made.append(
            Stroke(first.time, first.kind, cut(first.what.partition(" (")[0], _LABEL) + more)
        )
    return made
