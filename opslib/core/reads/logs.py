"""Logs, searched over a window to its end, followed, queried, and errors grouped by what
they have in common.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

from opslib.core.checks.plots import Line, Panel
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError, Unasked, Unfinished, UsageError, unknown_name
from opslib.core.reads import log_lines, services
from opslib.core.tables import UTC_TIME, Frame, Json, framed
from opslib.core.text import whole
from opslib.core.times import Window
from opslib.core.waiting import poll

LINES = {"time": UTC_TIME, "source": "str", "message": "str"}
EVENTS = {**LINES, "stream": "str", "event_id": "str"}
_NANOSECONDS = 1_000_000  # in a millisecond
_PENDING = ("Scheduled", "Running", "Unknown")
ALL = "all"
LIMIT = 10_000
# What is in most lines of trouble, and in few others: to count them where none is read.
USUAL = """
    ?ERROR ?Exception ?FATAL ?CRITICAL ?SEVERE ?Traceback ?"panic:" ?"fail:" ?"crit:"
    ?"Task timed out" ?"Runtime exited" ?"level=error" ?"level=fatal"
"""
# What is in every line of trouble, and in some others: to read those, and judge each.
CANDIDATES = """
    ?ERR ?Err ?err ?FATAL ?Fatal ?fatal ?FTL ?CRIT ?crit ?SEVERE ?PANIC ?panic ?Panic ?EMERG ?ALERT
    ?xception ?Traceback ?FAIL ?Fail ?fail ?imed ?imeout ?killed ?Killed ?refused ?denied ?Denied
    ?nable ?annot ?ould ?nhandled ?ncaught ?"of memory" ?OutOfMem ?exited ?bort ?rash ?reset
    ?navailable ?":50," ?":60," ?": 50," ?": 60," ?" 500 " ?" 502 " ?" 503 " ?" 504 "
    ?":500" ?":502" ?":503" ?":504"
    ?": 500" ?": 502" ?": 503" ?": 504"
"""


def error_pattern(ops: Connection) -> str:
    """A filter pattern of lines that mean trouble: what is usual, and the target's own terms.

    `logs.error_pattern` of the target alone where it is of another form (`{ $.level = … }`).
    """
    own = own_pattern(ops)
    return f"{' '.join(USUAL.split())} {own}".strip() if own[:1] in ("", "?") else own


def own_pattern(ops: Connection) -> str:
    """What means trouble in this system where a line's level does not say it; or nothing."""
    return str(ops.target.at("logs").get("error_pattern", ""))


def tolerated(ops: Connection) -> int:
    """How many lines of one pattern in an hour are an ordinary day.

    `logs.errors_per_hour` of the target, else 5.
    """
    return int(ops.target.at("logs").get("errors_per_hour", 5))


def groups(
    ops: Connection, source: str = ALL, failed: dict[str, OpsError] | None = None
) -> dict[str, str]:
    """Log groups by the name of their source.

    `source`: functions and services as the target's file calls them, log groups, all that begin
    with a text (`my-app/*`), several with commas between them; or `all`: of the functions and
    services, and what `logs.groups` and `logs.prefixes` of the target name. `failed`: takes what
    could not be listed; else it is raised. Raises UsageError that offers the nearest names.
    """
    facts, described = ops.target.facts, ops.target.at("logs")
    own = dict.fromkeys([*facts.get("functions", ()), *facts.get("services", ())])
    known = [*own, *described.get("groups", ())]
    begun = [f"{prefix}*" for prefix in described.get("prefixes", ())]
    wanted = [*known, *begun] if source == ALL else filter(None, map(str.strip, source.split(",")))
    found: dict[str, str] = {}
    for name in wanted:
        try:
            mine = _named(ops, name, known)
        except OpsError as exc:
            if failed is None or isinstance(exc, UsageError):
                raise
            failed[name] = exc
            continue
        if not mine and name not in begun:
            raise unknown_name(_noun(ops), name, [ALL, *known], f" of {ops.target.name}")
        found |= {each: group for each, group in mine.items() if group not in found.values()}
    if source == ALL and not (known or begun):
        about = f"parameters/targets/{ops.target.key}.yaml describes no functions, services or"
        raise Unasked(f"{about} logs.groups whose lines could be read. Add those there are.")
    if not found and not failed:
        raise UsageError(
            f"No log group is named by {source!r}. "
            f"Give a {_noun(ops)} of {ops.target.name}, or {ALL!r}."
        )
    return found


def _named(ops: Connection, name: str, known: Sequence[str]) -> dict[str, str]:
    """What one name means: a function, a service, a log group; else all that begin so."""
    functions, facts = ops.target.at("functions"), ops.target.facts
    if name in functions:
        return {name: f"/aws/lambda/{functions[name]['name']}"}
    if name in facts.get("services", ()):
        return {name: services.log_group(ops, name)}
    if name in known or ("/" in name and not name.endswith("*")):
        return {name: name}
    key = "logGroups[].logGroupName"
    listed = ops.pages("logs", "describe_log_groups", key, logGroupNamePrefix=name.rstrip("*"))
    return {each: each for each in listed if name.endswith("*") or each == name}


def _noun(ops: Connection) -> str:
    """What the target has that logs."""
    return "service" if "functions" not in ops.target.facts else "function"


def search(ops: Connection, source: str, pattern: str, within: Window, limit: int = LIMIT) -> Frame:
    """The newest lines of a window that match a filter pattern, oldest first (FilterLogEvents).

    A phrase needs quotes inside the pattern: '"Rate limited"'. Columns: EVENTS. `attrs`: `cut`,
    true when there were more than `limit` lines in a group; `whole_since`, from when on each group
    that was cut was read; `failed`, why a group was not read. What ends all of them is raised.
    """
    failed: dict[str, OpsError] = {}
    sought = groups(ops, source, failed)

    def read(name: str) -> list[Json]:
        try:
            return _events(ops, sought[name], pattern, within, limit + 1)
        except UsageError:
            raise
        except OpsError as exc:
            failed[name] = exc
            return []

    found = ops.each(read, sought)
    if failed and failed.keys() >= sought.keys():
        raise next(iter(failed.values()))
    read_lines = [(name, event) for name, listed in found.items() for event in listed[:limit]]
    told = {
        "time": [int(event["timestamp"]) * _NANOSECONDS for _, event in read_lines],
        "source": [name for name, _ in read_lines],
        "message": [whole(event["message"].rstrip()) for _, event in read_lines],
        "stream": [event.get("logStreamName") for _, event in read_lines],
        "event_id": [event.get("eventId") for _, event in read_lines],
    }
    events = framed(told, EVENTS).sort_values(["time", "event_id"], ignore_index=True)
    cut = [name for name, listed in found.items() if len(listed) > limit]
    firsts = events.groupby("source")["time"].min()
    events.attrs |= {
        "cut": bool(cut),
        "whole_since": {name: firsts[name] for name in cut},
        "failed": failed,
        "groups": sought,
    }
    return events


def _events(ops: Connection, group: str, pattern: str, within: Window, limit: int) -> list[Json]:
    asked = {
        "logGroupName": group,
        "startTime": int(within.start.timestamp() * 1000),
        "endTime": int(within.end.timestamp() * 1000),
        "startFromHead": False,  # when there are more than the limit, the newest are wanted
        "PaginationConfig": {"PageSize": min(limit, LIMIT)},
        **({"filterPattern": pattern} if pattern else {}),
    }
    try:
        return ops.pages("logs", "filter_log_events", "events[]", limit=limit, **asked)
    except OpsError as exc:
        said = str(exc).rpartition("InvalidParameterException: ")[2]
        if not pattern or said == str(exc) or "logGroup" in said:
            raise
        shapes = """a word, a phrase in quotes ('"timed out"'), """
        shapes += """or for lines of JSON '{ $.level = "ERROR" }'"""
        raise UsageError(f"{pattern!r} is no filter pattern: {said}. Write {shapes}.") from exc


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

    Columns: those of the query, times UTC, numbers where a number shows the same again, else text.
    Raises UsageError when the query is not understood, OpsError when it failed, Unfinished when it
    took too long (it is stopped).
    """
    id = _started(ops, list(groups(ops, source).values()), text, within)
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
    found = _typed(answer["results"], text)
    found.attrs["scanned"] = answer.get("statistics", {}).get("recordsScanned", 0)
    return found


def _started(ops: Connection, groups: list[str], text: str, within: Window) -> str:
    try:
        asked = {"logGroupNames": groups, "queryString": text}
        start, end = int(within.start.timestamp()), int(within.end.timestamp())
        answer = ops.call("logs", "start_query", startTime=start, endTime=end, **asked)
        return str(answer["queryId"])
    except OpsError as exc:
        if "MalformedQuery" not in str(exc):
            raise
        raise UsageError(f"That is no Logs Insights query: {text}\n{exc}") from exc


_TIMES = re.compile(r"@timestamp|@ingestionTime|(?:bin|datefloor|dateceil)\([^()]*\)")
_OF_TIMES = re.compile(
    rf"(?:{_TIMES.pattern}|(?:min|max|earliest|latest)\(@timestamp\))\s+as\s+(\w+)", re.I
)
_SHOWN = re.compile(r"(?:^|\|)\s*(?:(fields)|display|stats)\s([^|#]+)", re.I)
_COLUMN = re.compile(r"(?:^|\bas\s)\s*`?([@\w.]+)`?\s*$", re.I)
# A number that is shown as it was written: no zeros before it, no more digits than are exact. What
# is larger than that Insights writes as Java does.
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.(?:0|\d{0,14}[1-9]))?|-?\d\.\d{1,16}E-?\d{1,2}")


def _asked(text: str) -> list[str]:
    """The columns that a query shows by a name."""
    shown: list[str] = []
    for more, names in _SHOWN.findall(text):
        listed = re.split(r",(?![^()]*\))|\sby\s", names)
        shown = shown * bool(more) + [hit[1] for hit in map(_COLUMN.search, listed) if hit]
    return shown


def _typed(results: Sequence[Iterable[dict[str, str]]], text: str) -> Frame:
    """Insights answers text only: what the query says are times become UTC, and numbers numbers."""
    import pandas as pd

    rows = [
        {whole(cell["field"]): whole(cell["value"]) for cell in row if "value" in cell}
        for row in results
    ]
    found = pd.DataFrame(rows).drop(columns="@ptr", errors="ignore")
    if rows:  # Insights leaves out what no row has
        found = found.reindex(columns=[*dict.fromkeys((*found, *_asked(text)))])
    times = _OF_TIMES.findall(text)
    for name in found:
        values = found[name].dropna()
        if _TIMES.fullmatch(name) or name in times:
            with suppress(ValueError):
                found[name] = pd.to_datetime(found[name], utc=True).astype(UTC_TIME)
        elif len(values) and all(map(_NUMBER.fullmatch, values)):
            found[name] = pd.to_numeric(found[name])
    return found
