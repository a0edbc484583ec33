"""The command `opslib readiness`: does each alarm lead somewhere, and was that way ever walked?"""

from typing import Any

import click

from opslib import alarms, session
from opslib.catalogue import procedures, runbooks
from opslib.cli import given
from opslib.core import Json, OpsError, Target, UsageError, beside, console, targets
from opslib.incidents import clocks, incidents
from opslib.records import Record, list_records

_STATUS = """\b
Exit status: 0 each alarm leads to a procedure; 4 one leads nowhere, or is not there;
5 none does, and the alarms of a target could not be looked at; 2 usage."""
_HEADERS: Json = beside(__file__, "readiness")


@click.command(epilog=_STATUS)
@given.target("Repeat, or a pattern; else every target.", "wanted", multiple=True)
@given.shown("tables")
def readiness(wanted: tuple[str, ...]) -> Any:
    """Where each alarm of a target leads; when each entry was last run there, and last rehearsed.

    A rehearsal is a run in the lab, on any target of the system; practice is an incident of a
    drill that was ended there.
    """
    known = list_records()
    found = [of(name, known) for name in targets.matching(wanted or ("*",))]
    lost = any(
        not alarm["procedure"] or alarm["state"] == "missing"
        for each in found
        for alarm in each["alarms"]
    )
    unknown = any(each["not_looked_at"] for each in found)
    return found, "\n\n".join(map(_as_text, found)), 4 if lost else 5 if unknown else 0


def of(name: str, known: list[Record]) -> Json:
    """A target's alarms and its runbook's entries, with what these records (newest first) say."""
    target = targets.load(name)
    why = ""
    there: dict[str, str] | None = None
    try:
        listed = alarms.list_alarms(session.connect(target.name))
        there = dict(zip(listed["alarm"], listed["state"], strict=True))
    except OpsError as exc:  # denied and unreachable are unknown, never absent
        why = str(exc)
    return {
        "target": target.name,
        "alarms": _alarms(target, there),
        "not_looked_at": why,
        "entries": _entries(target, known),
        "practised": _practised(target),
    }


def _practised(target: Target) -> list[Json]:
    """Of each drill that was practised on this target in the lab its newest try, and its times."""
    on = targets.LAB + target.key
    ended = [i for i in incidents.every(on) if i.drill and i.ended]
    newest = {i.drill: i for i in reversed(ended)}
    return [
        {
            "drill": drill,
            "tries": sum(i.drill == drill for i in ended),
            "at": i.started.isoformat(),
            "incident": i.id,
            "alarm": i.alarm,
            "times": {words: clocks.between(i, a, b) for words, a, b in clocks.TIMES},
        }
        for drill, i in sorted(newest.items())
    ]


def _alarms(target: Target, there: dict[str, str] | None) -> list[Json]:
    expected = target.at("alarms", "expected")
    rows = []
    for name in sorted(expected.keys() | (there or {}).keys()):
        way = targets.entry_of(target, expected.get(name, ""))
        state = "unknown" if there is None else there.get(name, "missing")
        rows.append({"alarm": name, "state": state, "leads_to": way, "procedure": _procedure(way)})
    return rows


def _procedure(way: str) -> str:
    """The procedure behind an entry; empty when it leads nowhere."""
    if way in procedures.names():
        return way
    try:
        return runbooks.find(way)[0].name if way else ""
    except UsageError:
        return ""


def _entries(target: Target, known: list[Record]) -> list[Json]:
    """Newest first are the records, so the first of each counts."""
    if target.system not in runbooks.systems():
        return []
    ran = [r for r in known if r.target == target.name]
    rehearsed = [r for r in known if r.lab and r.system == target.system]
    return [
        {
            "entry": entry.name,
            "title": entry.title,
            "procedure": entry.procedure,
            "effect": entry.effect,
            "ran": _last(ran, entry.name),
            "rehearsed": _last(rehearsed, entry.name),
        }
        for entry in runbooks.entries(target.system)
    ]


def _last(found: list[Record], name: str) -> Json | None:
    for record in found:
        if record.name == name:
            said = {"id": record.id, "at": record.started.isoformat(), "who": record.who}
            return said | {"target": record.target, "outcome": record.outcome}
    return None


def _as_text(found: Json) -> str:
    alarms = sorted(found["alarms"], key=lambda row: bool(row["procedure"]))  # the lost ones first
    led = [
        (
            row["leads_to"] or "nowhere",
            row["alarm"],
            found["target"],
            row["procedure"] or "-",
            row["state"],
        )
        for row in alarms
    ]
    led_to = {row["leads_to"] for row in alarms}  # comes first, then as in the runbook
    entries = sorted(found["entries"], key=lambda entry: entry["entry"] not in led_to)
    ways = [(e["entry"], e["effect"], *_walk(e["ran"]), *_walk(e["rehearsed"])) for e in entries]
    tried = [
        (
            p["drill"],
            p["tries"],
            p["at"][:16].replace("T", " "),
            p["incident"],
            *(p["times"][f"time to {part}"] for part in ("detect", "mitigate")),
        )
        for p in found["practised"]
    ]
    lost = sum(not row["procedure"] for row in alarms)
    never = sum(e["rehearsed"] is None for e in entries)
    parts = [
        f"{found['target']}: {lost} of {len(led)} alarms lead nowhere; "
        f"{never} of {len(ways)} entries were never rehearsed."
    ]
    if found["not_looked_at"]:
        parts.append(f"Alarms were not looked at, only the file was: {found['not_looked_at']}")
    tables: Any = zip(_HEADERS.values(), (led, ways, tried), strict=True)
    return "\n\n".join([*parts, *(console.table(*each) for each in tables if each[1])])


def _walk(said: Json | None) -> tuple[str, str, str]:
    return (
        (said["at"][:16].replace("T", " "), said["who"], said["outcome"])
        if said
        else ("never", "", "")
    )
