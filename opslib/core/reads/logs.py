"""Logs.

Searched over a window to its end, followed, queried, and errors grouped by what they have in
common.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

from opslib.core import (
    UTC_TIME,
    Connection,
    Frame,
    Line,
    OpsError,
    Panel,
    Unfinished,
    UsageError,
    Window,
    frame,
    poll,
    unknown_name,
)
from opslib.core.reads import log_lines
from opslib.core.tables import Json

LINES = {"time": UTC_TIME, "source": "str", "message": "str"}
EVENTS = {**LINES, "stream": "str", "event_id": "str"}
_EVENT = "events[].{time: timestamp, message: message, stream: logStreamName, event_id: eventId}"
_NANOSECONDS = 1_000_000  # in a millisecond
_PENDING = ("Scheduled", "Running", "Unknown")
ALL = "all"
LIMIT = 10_000
_ERROR_PATTERN = '?ERROR ?Exception ?"Task timed out"'  # where the target's file says nothing else


def error_pattern(ops: Connection) -> str:
    """The filter pattern of a line that means trouble.

    `logs.error_pattern` of the target, else what is usual.
    """
    return str(ops.target.facts.get("logs", {}).get("error_pattern", _ERROR_PATTERN))


def tolerated(ops: Connection) -> int:
    """How many lines of one pattern in an hour are an ordinary day.

    `logs.errors_per_hour` of the target, else 5.
    """
    return int(ops.target.facts.get("logs", {}).get("errors_per_hour", 5))


def groups(ops: Connection, source: str = ALL) -> dict[str, str]:
    """Log groups by the name of their source.

    `source`: functions as the target's file calls them, log groups (`/aws/…`), several with commas
    between them, or `all` of the target's functions. Raises UsageError that offers the nearest
    names.
    """
    facts = ops.target["functions"]
    wanted = facts if source == ALL else filter(None, map(str.strip, source.split(",")))
    found = {}
    for name in wanted:
        if not name.startswith("/") and name not in facts:
            raise unknown_name("function", name, [ALL, *facts], f" of {ops.target.name}")
        found[name] = name if name.startswith("/") else f"/aws/lambda/{facts[name]['name']}"
    if not found:
        raise UsageError(
            f"No log group is named by {source!r}. "
            f"Give a function of {ops.target.name}, or {ALL!r}."
        )
    return found


def search(ops: Connection, source: str, pattern: str, within: Window, limit: int = LIMIT) -> Frame:
    """The newest lines of a window that match a filter pattern, oldest first (FilterLogEvents).

    A phrase needs quotes inside the pattern: '"Rate limited"'. Columns: EVENTS; `attrs["cut"]` is
    true when there were more than `limit` lines in a group.
    """
    sought = groups(ops, source)
    found = ops.each(lambda name: _events(ops, sought[name], pattern, within, limit + 1), sought)
    rows = [
        event
        | {
            "source": name,
            "time": event["time"] * _NANOSECONDS,
            "message": event["message"].rstrip(),
        }
        for name, listed in found.items()
        for event in listed[:limit]
    ]
    events = frame(rows, EVENTS).sort_values(["time", "event_id"], ignore_index=True)
    events.attrs["cut"] = any(len(listed) > limit for listed in found.values())
    return events


def _events(ops: Connection, group: str, pattern: str, within: Window, limit: int) -> list[Json]:
    asked = {
        "logGroupName": group,
        "startTime": int(within.start.timestamp() * 1000),
        "endTime": int(within.end.timestamp() * 1000),
        "startFromHead": False,  # when there are more than the limit, the newest are wanted
        **({"filterPattern": pattern} if pattern else {}),
    }
    try:
        return ops.pages("logs", "filter_log_events", _EVENT, limit=limit, **asked)
    except OpsError as exc:
        if "Invalid filter pattern" not in str(exc):
            raise
        shapes = """a word, a phrase in quotes ('"timed out"'), """
        shapes += """or for lines of JSON '{ $.level = "ERROR" }'"""
        raise UsageError(f"{pattern!r} is no filter pattern. Write {shapes}.") from exc


def legible(events: Frame) -> Frame:
    """Events to be read: each message in one line, without what could garble a screen.

    Columns: LINES.
    """
    lines = events[list(LINES)].copy()
    lines["message"] = [log_lines.brief(message) for message in lines["message"]]
    return lines


def panels(events: Frame, within: Window) -> list[Panel]:
    """How many lines when.

    A panel for each source that has any, bars of five minutes (of one, in a short window).
    """
    step = 1 if within.minutes <= 30 else 5
    made = [
        Panel(
            str(name),
            f"lines per {step} min",
            [Line("lines", lines.groupby(lines["time"].dt.floor(f"{step}min")).size())],
            bar_minutes=step,
        )
        for name, lines in events.groupby("source")
    ]
    return made or [Panel("No line matches", "lines", [])]


def query(
    ops: Connection, source: str, text: str, within: Window, timeout_seconds: float = 60
) -> Frame:
    """The answer of a Logs Insights query, waited for to its end.

    Columns: those of the query; `@…time…` are UTC. Raises OpsError when the query is not understood
    or failed, Unfinished when it took too long (it is stopped).
    """
    started = ops.call(
        "logs",
        "start_query",
        logGroupNames=list(groups(ops, source).values()),
        queryString=text,
        startTime=int(within.start.timestamp()),
        endTime=int(within.end.timestamp()),
    )
    id = started["queryId"]
    answer, _ = poll(
        partial(ops.call, "logs", "get_query_results", queryId=id),
        lambda answer: answer["status"] not in _PENDING,
        timeout_seconds,
        pause_seconds=0.1,
    )
    if answer["status"] in _PENDING:
        ops.call("logs", "stop_query", queryId=id)
        raise Unfinished(
            f"The query took more than {timeout_seconds:g} s and was stopped. Narrow the window."
        )
    if answer["status"] != "Complete":
        raise OpsError(
            f"The query ended as {answer['status']}. "
            "Run it again, with a narrower window or a simpler query."
        )
    found = _typed(answer["results"])
    found.attrs["scanned"] = answer.get("statistics", {}).get("recordsScanned", 0)
    return found


def _typed(results: Sequence[Iterable[dict[str, str]]]) -> Frame:
    """Insights answers text only: times become UTC, numbers numbers."""
    import pandas as pd

    rows = [{cell["field"]: cell.get("value") for cell in row} for row in results]
    found = pd.DataFrame(rows).drop(columns="@ptr", errors="ignore")
    for name in found:
        if "time" in name.lower() or name.startswith("bin("):
            found[name] = pd.to_datetime(found[name], utc=True, errors="coerce").astype(UTC_TIME)
        else:
            with suppress(ValueError):
                found[name] = pd.to_numeric(found[name])
    return found
