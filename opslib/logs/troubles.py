"""Troubles of a system as its logs tell them: sorted by kind, with who they concern and what follows from each."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.checks.plots import Line, Panel, Plotted
from opslib.core.connections.connection import Connection
from opslib.core.errors import OpsError
from opslib.core.findings import Finding, Findings
from opslib.core.reads import functions, log_lines, logs, versions
from opslib.core.reads.concerns import concerns
from opslib.core.reads.functions import live_version
from opslib.core.reads.log_lines import most_in_an_hour
from opslib.core.tables import UTC_TIME, frame
from opslib.core.text import count
from opslib.core.times import Window, clock, window
from opslib.logs import kinds
from opslib.logs.kinds import KINDS, OTHER, VALIDATION

if TYPE_CHECKING:
    import pandas as pd

KINDS_FOUND = {
    "kind": "str",
    "lines": "int64",
    "now_per_hour": "int64",
    "since": UTC_TIME,
    "last": UTC_TIME,
    "example": "str",
}
PATTERNS = {
    "kind": "str",
    "count": "int64",
    "since": UTC_TIME,
    "last": UTC_TIME,
    "sources": "str",
    "pattern": "str",
}
MALFORMED = "malformed-requests"  # the cause that findings name
RECENT = timedelta(minutes=15)  # what counts as still going on
_WORSE, _MORE = (
    2.0,
    1.0,
)  # a version is worse: over twice the errors of the one before, and one in 100 requests more


@check("What kinds of trouble are logged?")
def check_kinds(
    ops: Connection, function: str = logs.ALL, minutes: float = 60, since: str = "", until: str = ""
) -> Findings:
    """Lines of trouble (`logs.error_pattern` of the target) by kind, a finding each. Evidence: KINDS_FOUND.

    Up to `logs.errors_per_hour` of a kind in any hour are an ordinary day. At most `logs.LIMIT` lines of a group are read.
    """
    within = window(ops, minutes, since, until)
    events, served = ops.gather(
        partial(read, ops, function, within), partial(_served, ops, function, within)
    )
    tolerated = logs.tolerated(ops)
    groups = [(kind, events[events["kind"] == kind]) for kind in KINDS]
    rows = [_row(kind, lines, within) for kind, lines in groups if len(lines)]
    found = [
        _judged(ops, row, lines, tolerated, within)
        for row, lines in zip(rows, (lines for _, lines in groups if len(lines)), strict=True)
    ]
    said = f"{_ended(served)}, {within}, {count(len(logs.groups(ops, function)), 'log group')}"
    if not rows:
        rule = f"at most {tolerated} of a kind in an hour"
        found.append(
            Finding("ok", "trouble logged", f"no line of trouble {said}", rule, "FilterLogEvents")
        )
    note = f"{count(len(events), 'line')} of trouble {said}."
    panels = _panels(events, served, within)
    return Plotted([*found, *_cut(events)], frame(rows, KINDS_FOUND), note, panels, within)


def read(ops: Connection, function: str, within: Window) -> pd.DataFrame:
    """The lines of trouble and the kind of each. Columns: `logs.EVENTS` and `kind`; Lambda's own frame is left out."""
    events = logs.search(ops, function, logs.error_pattern(ops), within)
    framing = events["message"].str.match(r"(?:START|END|REPORT) RequestId: |INIT_")
    kept = events[~framing.astype(bool)].reset_index(drop=True)
    kept["kind"] = [kinds.kind(message) for message in kept["message"]]
    kept.attrs.update(events.attrs)
    return kept


def list_patterns(
    ops: Connection, function: str = logs.ALL, minutes: float = 60, since: str = "", until: str = ""
) -> pd.DataFrame:
    """What the lines of each kind have in common, the most frequent first. Columns: PATTERNS."""
    events = read(ops, function, window(ops, minutes, since, until))
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        for found in log_lines.group_errors(events[events["kind"] == kind]).itertuples():
            times = {"since": found.first_seen.floor("s"), "last": found.last_seen.floor("s")}
            rows.append(
                {
                    "kind": kind,
                    "count": found.count,
                    **times,
                    "sources": found.sources,
                    "pattern": found.pattern,
                }
            )
    return frame(rows, PATTERNS)


def show_patterns(
    ops: Connection,
    function: str = logs.ALL,
    minutes: float = 60,
    since: str = "",
    until: str = "",
    most: int = 15,
) -> Findings:
    """`list_patterns` to be read, at most so many; it judges nothing. Evidence: PATTERNS."""
    found = list_patterns(ops, function, minutes, since, until)
    return Findings(
        evidence=found.head(most), note=f"{count(len(found), 'pattern')}; at most {most} are shown."
    )


def _served(ops: Connection, function: str, within: Window) -> pd.DataFrame:
    """Invocations and Errors of the functions, as Lambda counts them. Columns: `invocations.POINTS`; empty when unread."""
    try:
        return functions.read_points(ops, functions.named(ops, function), within)
    except OpsError as exc:  # the lines are what is asked for
        empty = frame([], functions.POINTS)
        empty.attrs["unread"] = str(exc)
        return empty


def _ended(served: pd.DataFrame) -> str:
    if "unread" in served.attrs:
        return f"(invocations could not be counted: {served.attrs['unread']})"
    return f"beside {count(int(served[served['metric'] == 'Invocations']['value'].sum()), 'invocation')}"


def _row(kind: str, lines: pd.DataFrame, within: Window) -> dict[str, Any]:
    recent = int((lines["time"] >= within.end - RECENT).sum())
    return {
        "kind": kind,
        "lines": len(lines),
        "now_per_hour": recent * int(timedelta(hours=1) / RECENT),
        "since": lines["time"].iloc[0].floor("s"),
        "last": lines["time"].iloc[-1].floor("s"),
        "example": log_lines.brief(lines["message"].iloc[-1]),
    }


def _judged(
    ops: Connection, row: dict[str, Any], lines: pd.DataFrame, tolerated: int, within: Window
) -> Finding:
    kind, going, most = row["kind"], row["now_per_hour"] > 0, most_in_an_hour(list(lines["time"]))
    question, rule = f"trouble of kind {kind}", f"at most {tolerated} lines in an hour"
    seen = f"{count(row['lines'], 'line')} in {', '.join(sorted(set(lines['source'])))} since {clock(row['since'], within.end)}, "
    seen += f"at most {most} in an hour; "
    seen += (
        f"still, {row['now_per_hour']} an hour now"
        if going
        else f"the last at {clock(row['last'], within.end)}"
    )
    if most <= tolerated:
        return Finding("ok", question, seen, rule, "FilterLogEvents")
    said = concerns(lines)
    seen += (
        f". Concerns {', '.join(map(str, said))}. "
        if said
        else ". No client and no route stands out. "
    )
    if kind == VALIDATION and any(concern.is_client for concern in said):
        seen += "One client, so no deployment brought it: tell them what is refused (the example says it)"
        return Finding("warn", question, seen, rule, "FilterLogEvents", MALFORMED, "logs/search")
    status = "critical" if going and kind != VALIDATION else "warn"
    version = (
        _version(ops, sorted(set(lines["source"])), within) if kind in (OTHER, VALIDATION) else ""
    )
    seen += (
        version
        or f"{KINDS[kind].means[:1].upper()}{KINDS[kind].means[1:]}: {KINDS[kind].resolution}"
    )
    follows = "functions/rollback" if version else _follows(ops, kind)
    return Finding(status, question, seen, rule, "FilterLogEvents", next=follows)


def _follows(ops: Connection, kind: str) -> str:
    """Where the resolution is; for a kind that no version brought, in the lines themselves."""
    if kind == OTHER:
        return "logs/search"
    if KINDS[kind].next == "databases/health" and "database" not in ops.target.facts:
        return "health/deep"
    return KINDS[kind].next


def _version(ops: Connection, names: list[str], within: Window) -> str:
    """The live version of a function that fails more often than the one before it in the last day, in words."""
    day = Window(min(within.start, within.end - timedelta(days=1)), within.end)
    for name in names:
        if name not in ops.target["functions"]:
            continue
        rows = list(versions.traffic(ops, name, live_version(ops, name), day).itertuples())
        if len(rows) < 2 or not rows[0].live:
            continue
        now, before = rows[0], rows[1]
        if now.errors_per_100 > max(_WORSE * before.errors_per_100, before.errors_per_100 + _MORE):
            return (
                f"Version {now.version} of {name}, live since {clock(now.first, within.end)}, has {now.errors_per_100:g} in "
                f"100 requests, version {before.version} had {before.errors_per_100:g}: see whether it brought them"
            )
    return ""


def _cut(events: pd.DataFrame) -> list[Finding]:
    if not events.attrs["cut"]:
        return []
    seen = f"more than {logs.LIMIT:,} lines in a log group: only its newest are counted, so `since` is too late and all counts too low"
    return [
        Finding(
            "warn",
            "all lines were read",
            seen,
            f"at most {logs.LIMIT:,} a group",
            "FilterLogEvents",
            next="logs/query",
        )
    ]


def _panels(events: pd.DataFrame, served: pd.DataFrame, within: Window) -> list[Panel]:
    """Lines of each kind, and beside them the errors that Lambda counts: a refused request is a line and no error."""
    step = functions.period(within) // 60
    lines = []
    for kind in KINDS:
        of_it = events[events["kind"] == kind]
        if of_it.empty:
            continue
        counted = (
            of_it.groupby(of_it["time"].dt.floor(f"{step}min"))
            .size()
            .asfreq(f"{step}min", fill_value=0)
        )
        lines.append(Line(str(kind), list(counted.index), list(counted)))
    errors = served[served["metric"] == "Errors"].groupby("time")["value"].sum()
    return [
        Panel(
            f"Lines of trouble per {step} min, by kind",
            "lines",
            lines,
            bar_minutes=step if len(lines) == 1 else 0,
        ),
        Panel(
            f"Errors that Lambda counts per {step} min",
            "count",
            [Line("Errors", list(errors.index), list(errors))],
        ),
    ]
