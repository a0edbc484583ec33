"""Logs: searched over a window to its end, followed, queried, and errors grouped by what they have in common."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from opslib.core.checks.plots import Line, Panel
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unfinished, UsageError
from opslib.core.reads import log_lines
from opslib.core.tables import UTC_TIME, frame
from opslib.core.times import Window

if TYPE_CHECKING:
    import pandas as pd

LINES = {"time": UTC_TIME, "source": "str", "message": "str"}
EVENTS = {"time": UTC_TIME, "source": "str", "message": "str", "stream": "str", "event_id": "str"}
ALL = "all"
LIMIT = 10_000
_ERROR_PATTERN = '?ERROR ?Exception ?"Task timed out"'  # where the target's file says nothing else


def error_pattern(ops: Connection) -> str:
    """The filter pattern of a line that means trouble: `logs.error_pattern` of the target, else what is usual."""
    return str(ops.target.facts.get("logs", {}).get("error_pattern", _ERROR_PATTERN))


def tolerated(ops: Connection) -> int:
    """How many lines of one pattern in an hour are an ordinary day: `logs.errors_per_hour` of the target, else 5."""
    return int(ops.target.facts.get("logs", {}).get("errors_per_hour", 5))


def groups(ops: Connection, source: str = ALL) -> dict[str, str]:
    """Log groups by the name of their source. `source`: functions as the target's file calls them, log groups
    (`/aws/…`), several with commas between them, or `all` of the target's functions.

    Raises UsageError that offers the nearest names.
    """
    from opslib.core.errors import unknown_name

    facts = ops.target["functions"]
    wanted = (
        list(facts)
        if source == ALL
        else [name.strip() for name in source.split(",") if name.strip()]
    )
    found = {}
    for name in wanted:
        if not name.startswith("/") and name not in facts:
            raise unknown_name("function", name, [ALL, *facts], f" of {ops.target.name}")
        found[name] = name if name.startswith("/") else f"/aws/lambda/{facts[name]['name']}"
    if not found:
        raise UsageError(
            f"No log group is named by {source!r}. Give a function of {ops.target.name}, or {ALL!r}."
        )
    return found


def search(
    ops: Connection, source: str, pattern: str, within: Window, limit: int = LIMIT
) -> pd.DataFrame:
    """The newest lines of a window that match a filter pattern, oldest first (FilterLogEvents, every page).

    A phrase needs quotes inside the pattern: '"Rate limited"'. Columns: EVENTS; `attrs["cut"]` is true when there
    were more than `limit` lines in a group.
    """
    import pandas as pd

    parts = ops.gather(
        *(
            lambda name=name, group=group: _events(ops, name, group, pattern, within, limit)
            for name, group in groups(ops, source).items()
        )
    )
    events = pd.concat(parts).sort_values(["time", "event_id"], ignore_index=True)
    events.attrs["cut"] = any(part.attrs["cut"] for part in parts)
    return events


def _events(
    ops: Connection, name: str, group: str, pattern: str, within: Window, limit: int
) -> pd.DataFrame:
    asked: dict[str, Any] = {
        "logGroupName": group,
        "startTime": int(within.start.timestamp() * 1000),
        "endTime": int(within.end.timestamp() * 1000),
        "startFromHead": False,  # when there are more than the limit, the newest are wanted
    }
    if pattern:
        asked["filterPattern"] = pattern
    found = _asked(ops, limit, asked)
    rows = [
        {
            "time": _moment(event["timestamp"]),
            "source": name,
            "message": event["message"].rstrip(),
            "stream": event["logStreamName"],
            "event_id": event["eventId"],
        }
        for event in found[:limit]
    ]
    events = frame(rows, EVENTS)
    events.attrs["cut"] = len(found) > limit
    return events


def _asked(ops: Connection, limit: int, asked: dict[str, Any]) -> list[Any]:
    try:
        return ops.pages("logs", "filter_log_events", "events[]", limit=limit + 1, **asked)
    except OpsError as exc:
        if "Invalid filter pattern" not in str(exc):
            raise
        shapes = """a word, a phrase in quotes ('"timed out"'), or for lines of JSON '{ $.level = "ERROR" }'"""
        raise UsageError(
            f"{asked['filterPattern']!r} is no filter pattern. Write {shapes}."
        ) from exc


def _moment(milliseconds: int) -> Any:
    import pandas as pd

    return pd.Timestamp(milliseconds, unit="ms", tz="UTC")


def legible(events: pd.DataFrame) -> pd.DataFrame:
    """Events to be read: each message in one line, without what could garble a screen. Columns: LINES."""
    lines = events[list(LINES)].copy()
    lines["message"] = [log_lines.brief(message) for message in lines["message"]]
    return lines


def panels(
    events: pd.DataFrame, within: Window, thresholds: Sequence[tuple[str, float]] = ()
) -> list[Panel]:
    """How many lines when: a panel for each source that has any, bars of five minutes (of one, in a short window)."""
    step = 1 if within.minutes <= 30 else 5
    made = []
    for name, lines in events.groupby("source"):
        counted = lines.groupby(lines["time"].dt.floor(f"{step}min")).size()
        unit = f"lines per {step} min"
        made.append(
            Panel(
                str(name),
                unit,
                [Line("lines", list(counted.index), list(counted))],
                thresholds,
                step,
            )
        )
    return made or [Panel("No line matches", "lines", [])]


def query(
    ops: Connection, source: str, text: str, within: Window, timeout_seconds: float = 60
) -> pd.DataFrame:
    """The answer of a Logs Insights query, waited for to its end. Columns: those of the query; `@…time…` are UTC.

    Raises OpsError when the query is not understood or failed, Unfinished when it took too long (it is stopped).
    """
    started = ops.call(
        "logs",
        "start_query",
        logGroupNames=list(groups(ops, source).values()),
        queryString=text,
        startTime=int(within.start.timestamp()),
        endTime=int(within.end.timestamp()),
    )
    id, ends, pause = started["queryId"], time.monotonic() + timeout_seconds, 0.1
    while (answer := ops.call("logs", "get_query_results", queryId=id))["status"] in (
        "Scheduled",
        "Running",
        "Unknown",
    ):
        if time.monotonic() > ends:
            ops.call("logs", "stop_query", queryId=id)
            raise Unfinished(
                f"The query took more than {timeout_seconds:g} s and was stopped. Narrow the window."
            )
        time.sleep(pause)
        pause = min(pause * 2, 2.0)
    if answer["status"] != "Complete":
        raise OpsError(
            f"The query ended as {answer['status']}. Run it again, with a narrower window or a simpler query."
        )
    found = _typed(answer["results"])
    found.attrs["scanned"] = answer.get("statistics", {}).get("recordsScanned", 0)
    return found


def _typed(results: Sequence[Iterable[dict[str, str]]]) -> pd.DataFrame:
    """Insights answers text only: times become UTC, numbers numbers."""
    import pandas as pd

    rows = [
        {cell["field"]: cell.get("value") for cell in row if cell["field"] != "@ptr"}
        for row in results
    ]
    found = pd.DataFrame(rows)
    for name in found.columns:
        if "time" in name.lower() or name.startswith("bin("):
            found[name] = pd.to_datetime(found[name], utc=True, errors="coerce").astype(UTC_TIME)
        else:
            numbers = pd.to_numeric(found[name], errors="coerce")
            found[name] = (
                numbers if numbers.notna().sum() == found[name].notna().sum() else found[name]
            )
    return found
