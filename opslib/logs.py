"""Logs: searched over a window to its end, followed, queried, and errors grouped by what they have in common."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from opslib import _log_lines
from opslib._frames import UTC_TIME, frame
from opslib._log_lines import group_errors
from opslib._windows import Window, clock, window
from opslib._wording import count
from opslib.errors import OpsError, Unfinished, UsageError
from opslib.findings import Finding, Findings, check
from opslib.plots import Line, Panel, Plotted

if TYPE_CHECKING:
    import pandas as pd

    from opslib.connections import Connection

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
    from opslib.errors import unknown_name

    facts = ops.target["functions"]
    wanted = list(facts) if source == ALL else [name.strip() for name in source.split(",") if name.strip()]
    found = {}
    for name in wanted:
        if not name.startswith("/") and name not in facts:
            raise unknown_name("function", name, [ALL, *facts], f" of {ops.target.name}")
        found[name] = name if name.startswith("/") else f"/aws/lambda/{facts[name]['name']}"
    if not found:
        raise UsageError(f"No log group is named by {source!r}. Give a function of {ops.target.name}, or {ALL!r}.")
    return found


def search(ops: Connection, source: str, pattern: str, within: Window, limit: int = LIMIT) -> pd.DataFrame:
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


def _events(ops: Connection, name: str, group: str, pattern: str, within: Window, limit: int) -> pd.DataFrame:
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
        raise UsageError(f"{asked['filterPattern']!r} is no filter pattern. Write {shapes}.") from exc


def _moment(milliseconds: int) -> Any:
    import pandas as pd

    return pd.Timestamp(milliseconds, unit="ms", tz="UTC")


@check("Which lines match?")
def check_lines(
    ops: Connection,
    source: str,
    pattern: str = "",
    minutes: float = 60,
    since: str = "",
    until: str = "",
    limit: int = 1000,
) -> Findings:
    """Search, and say how much was found where, and whether the limit cut it. Evidence: LINES."""
    within = window(ops, minutes, since, until)
    events = search(ops, source, pattern, within, limit)
    where = groups(ops, source)
    what = f"match {pattern}" if pattern else "in all"
    seen = f"{count(len(events), 'line')} {what}, {within}, {count(len(where), 'log group')}"
    if events.attrs["cut"]:
        seen += f"; these are the newest {limit:,} of a group, there are more: narrow the window or the pattern"
    status = "warn" if events.attrs["cut"] else "ok"
    sought = ", ".join(where.values())
    found = Finding(status, "Which lines match?", seen, "all of them shown", f"FilterLogEvents {sought}")
    return Plotted([found], legible(events), "", panels(events, within), within)


def legible(events: pd.DataFrame) -> pd.DataFrame:
    """Events to be read: each message in one line, without what could garble a screen. Columns: LINES."""
    lines = events[list(LINES)].copy()
    lines["message"] = [_log_lines.brief(message) for message in lines["message"]]
    return lines


@check("Which errors are logged?")
def check_errors(
    ops: Connection, source: str = ALL, minutes: float = 1440, since: str = "", until: str = ""
) -> Findings:
    """Lines of trouble (`logs.error_pattern` of the target) by pattern: a finding a pattern. Evidence: PATTERNS.

    A pattern with more lines in one hour than `logs.errors_per_hour` is a warning.
    """
    within, most = window(ops, minutes, since, until), tolerated(ops)
    events = search(ops, source, error_pattern(ops), within)
    patterns = group_errors(events)
    cut = "; there are more, only the newest are counted" if events.attrs["cut"] else ""
    note = f"{count(len(events), 'line')} in {count(len(patterns), 'pattern')}, {within}, {count(len(groups(ops, source)), 'log group')}{cut}."
    found = [_pattern_finding(row, most, within) for row in patterns.itertuples()]
    if not found or cut:
        found.append(Finding("warn" if cut else "ok", "errors logged", note, "no line of trouble", "FilterLogEvents"))
    return Findings(found, patterns, note)


def _pattern_finding(row: Any, tolerated: int, within: Window) -> Finding:
    seen = (
        f"{count(row.count, 'line')} from {clock(row.first_seen, within.end)} to {clock(row.last_seen, within.end)}, "
        f"at most {row.most_in_an_hour} in an hour ({row.sources})"
    )
    status = "warn" if row.most_in_an_hour > tolerated else "ok"
    follows = "logs/errors" if status == "warn" else ""
    return Finding(status, row.pattern, seen, f"at most {tolerated} in an hour", "FilterLogEvents", next=follows)


def panels(events: pd.DataFrame, within: Window, thresholds: Sequence[tuple[str, float]] = ()) -> list[Panel]:
    """How many lines when: a panel for each source that has any, bars of five minutes (of one, in a short window)."""
    step = 1 if within.minutes <= 30 else 5
    made = []
    for name, lines in events.groupby("source"):
        counted = lines.groupby(lines["time"].dt.floor(f"{step}min")).size()
        unit = f"lines per {step} min"
        made.append(Panel(str(name), unit, [Line("lines", list(counted.index), list(counted))], thresholds, step))
    return made or [Panel("No line matches", "lines", [])]


def follow(ops: Connection, source: str, pattern: str = "", seconds: float = 30, minutes: float = 1) -> pd.DataFrame:
    """Print lines as they come for some seconds, beginning with those of the last minutes; each once. Columns: EVENTS.

    Interrupting the kernel ends it early. Late lines are looked for too: each look goes back a minute.
    """
    import pandas as pd

    ends, begin, kept = time.monotonic() + seconds, window(ops, minutes).start, []
    seen: set[str] = set()
    try:
        while True:
            events = search(ops, source, pattern, Window(begin, ops.now()))
            new = events[~events["event_id"].isin(seen)]
            for event in new.itertuples():
                print(f"{event.time:%H:%M:%S} {event.source}: {_log_lines.brief(event.message)}", flush=True)
            seen.update(new["event_id"])
            kept.append(new)
            begin = max(begin, window(ops, 1).start)
            if time.monotonic() + 2 > ends:
                break
            time.sleep(2)
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
    return pd.concat(kept).sort_values(["time", "event_id"], ignore_index=True)


@check("What do the logs say now?")
def check_following(
    ops: Connection, source: str, pattern: str = "", seconds: float = 30, minutes: float = 1
) -> Findings:
    """Follow, and say how many lines came. Evidence: none; the lines are printed."""
    where = ", ".join(groups(ops, source).values())
    lines = follow(ops, source, pattern, seconds, minutes)
    seen = f"{count(len(lines), 'line')} in {seconds:g} s and the {minutes:g} minutes before"
    return Findings([Finding("ok", f"following {source}", seen, "it could be read", f"FilterLogEvents {where}")])


@check("What is the answer?")
def check_query(
    ops: Connection, source: str, text: str, minutes: float = 60, since: str = "", until: str = ""
) -> Findings:
    """Ask Logs Insights. Evidence: its answer."""
    within = window(ops, minutes, since, until)
    answer = query(ops, source, text, within)
    seen = f"{count(len(answer), 'row')} from {count(int(answer.attrs['scanned']), 'line')}, {within}"
    return Findings([Finding("ok", "Logs Insights query", seen, "it was answered", text)], answer)


def query(ops: Connection, source: str, text: str, within: Window, timeout_seconds: float = 60) -> pd.DataFrame:
    """The answer of a Logs Insights query, waited for to its end. Columns: those of the query; `@…time…` are UTC.

    Raises OpsError when the query is not understood or failed, Unfinished when it took too long (it is stopped).
    """
    started = ops.call(
        "logs", "start_query", logGroupNames=list(groups(ops, source).values()), queryString=text,
        startTime=int(within.start.timestamp()), endTime=int(within.end.timestamp()),
    )  # fmt: skip
    id, ends, pause = started["queryId"], time.monotonic() + timeout_seconds, 0.1
    while (answer := ops.call("logs", "get_query_results", queryId=id))["status"] in (
        "Scheduled",
        "Running",
        "Unknown",
    ):
        if time.monotonic() > ends:
            ops.call("logs", "stop_query", queryId=id)
            raise Unfinished(f"The query took more than {timeout_seconds:g} s and was stopped. Narrow the window.")
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

    rows = [{cell["field"]: cell.get("value") for cell in row if cell["field"] != "@ptr"} for row in results]
    found = pd.DataFrame(rows)
    for name in found.columns:
        if "time" in name.lower() or name.startswith("bin("):
            found[name] = pd.to_datetime(found[name], utc=True, errors="coerce").astype(UTC_TIME)
        else:
            numbers = pd.to_numeric(found[name], errors="coerce")
            found[name] = numbers if numbers.notna().sum() == found[name].notna().sum() else found[name]
    return found
