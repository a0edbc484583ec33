"""During an incident: what is due by when, what could end it, and whether it stays well."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from opslib.catalogue import runbooks
from opslib.core import (
    Connection,
    Findings,
    Json,
    Question,
    UsageError,
    check,
    clock,
    count,
    dtypes,
    frame,
)
from opslib.incidents import clocks, watching
from opslib.incidents.incidents import Incident

PHASES = dtypes("""
    phase str
    state str
    due   utc
    done  utc
    told  str
""")
OPTIONS = {"why": "str", "run": "str", "effect": "str"}
_STATUS = {
    clocks.IN_TIME: "ok",
    clocks.RUNS: "ok",
    clocks.LATE: "warn",
    clocks.UNKNOWN: "unknown",
}
_HOUR = timedelta(hours=1)
_WATCH = 30  # minutes, where the target's file says nothing
_START = 'Start one: opslib incident start "WHAT" -t TARGET --severity 2'
_DEPLOYMENTS = 3  # of the newest, that may be taken back


def span(ops: Connection, incident: Incident | None) -> tuple[str, str]:
    """`since` and `until` of what is to be looked at, ISO: from its beginning to its end, an hour
    at least; `until` is empty while it is open, or where there is none.
    """
    end = incident.over if incident and incident.ended else ops.now()
    began = min(incident.began if incident else end, end - _HOUR)
    since, until = (at.isoformat(timespec="seconds") for at in (began, end))
    return since, until if incident and incident.ended else ""


@check("What is due by when?")
def check_phases(ops: Connection, incident: Incident | None) -> Findings:
    """Each phase of the target's `severities`: in time, late by how much, or *unknown*: not marked.

    What counts from a milestone that is still to come is no finding. Evidence: PHASES.
    """
    if incident is None:
        return Findings(note=f"No incident of {ops.target.name} is known. {_START}")
    found = clocks.phases(incident, ops.now())
    told = [
        Question(f"phase: {phase.name}", "in time", f"incident {incident.id}").answer(
            _STATUS[phase.state],
            phase.told,
            next="reports/severity" if phase.state == clocks.LATE and not phase.done else "",
        )
        for phase in found
        if phase.state in _STATUS
    ]
    rows = [(p.name, p.state, p.due, p.done, p.told) for p in found]
    table = frame(rows, PHASES) if rows else None
    return Findings(told, table, "; ".join(clocks.told(incident, ops.now())[:2]))


@check("What could end it?")
def check_options(ops: Connection, recent: Findings) -> Findings:
    """What the troubles of this run ask for, the worst first, and deployments that can be taken
    back; each as the line to type. No judgement: a person decides. Evidence: OPTIONS.

    `recent`: what was changed shortly before, as `changes.check_recent` gives it.
    """
    rows = [
        (f"{f.status}: {f.check}", *_line(ops, f.next)) for f in ops.findings.troubles if f.next
    ]
    rows += _back(ops, recent)
    table = [row for row in dict.fromkeys(rows) if row[1]]
    if not table:
        return Findings(note="Nothing that was seen asks for anything, and nothing went live.")
    note = f"{count(len(table), 'way')}. What changes something only shows its plan first."
    return Findings(evidence=frame(table, OPTIONS), note=note)


def _line(ops: Connection, name: str, given: str = "") -> tuple[str, str]:
    """The command, with target and window carried along, and its effect; empty: no procedure."""
    try:
        procedure, _, _ = runbooks.find(name)
    except UsageError:
        return "", ""
    line = ops.follow(name)
    return (f"{line} {given}".strip(), procedure.effect) if line else ("", "")


def _back(ops: Connection, recent: Findings) -> Iterator[tuple[str, str, str]]:
    """Of each service and function the newest thing that went live."""
    table = recent.evidence
    if table is None:
        return
    live = table[table["kind"] == "deployment"].sort_values("time", ascending=False)
    for row in live.drop_duplicates("resource").head(_DEPLOYMENTS).itertuples():
        for part, one in (("services", "service"), ("functions", "function")):
            for key, about in ops.target.facts.get(part, {}).items():
                if about["name"] == row.resource:
                    why = f"{clock(row.time, ops.now())} UTC: {row.what} {row.resource}"
                    yield why, *_line(ops, f"{part}/rollback", f"-p {one}={key}")


@check("Does it stay well?")
def check_watch(ops: Connection, incident: Incident | None) -> Findings:
    """From when it was resolved, for as long as the target's file says (30 minutes where it says
    nothing): by the records of its target since, and by what this run saw before.

    No finding before it is resolved. *unknown*: nobody looked at its end.
    """
    resolved = incident.milestones.get("resolved") if incident else None
    if incident is None or resolved is None:
        return Findings(note="It is not resolved: opslib incident mark resolved, when it is.")
    minutes = _watched(ops, incident)
    due, now = resolved.happened + timedelta(minutes=minutes), ops.now()
    asked = Question(
        "it stays well",
        f"nothing critical for {minutes} min, and a look at their end",
        f"records of {ops.target.name} since {clock(resolved.happened, now)}",
    )
    seen = watching.since(incident, resolved.happened, due)
    here = ops.findings.worst if ops.findings else "unknown"
    until = f"until {clock(due, now)} UTC"
    if seen.broken:
        at = f"at {clock(seen.broken.started, now)}: {seen.broken.name} (record {seen.broken.id})"
        return Findings(asked.critical(f"critical again {at}"))
    if seen.at_its_end:
        told = f"{until}; looked at then: {seen.at_its_end.status} (record {seen.at_its_end.id})"
        return Findings(asked.ok(told))
    if here == "critical":
        return Findings(asked.critical(f"{until}; critical again, as seen above"))
    if due > now:
        told = f"{until}, {clocks.minutes(due - now)} left. Look again then: run this once more"
    else:
        dark = "; not all could be seen" if here == "unknown" else ""
        told = f"{until}; looked at now, nothing is critical{dark}"
    return Findings(asked.answer("unknown" if here == "unknown" else "ok", told))


def _watched(ops: Connection, incident: Incident) -> int:
    described: Any = ops.target.at("severities")
    level: Json = described.get("levels", {}).get(incident.severity, {})
    return int(level.get("watch_minutes", _WATCH))
