"""What is said of incidents: status, an update to paste, what stands at the end, the timeline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from opslib.core import Json, UsageError, clock, console, count
from opslib.incidents import causes, clocks, incidents, looks, practice, standing, watching
from opslib.incidents.incidents import Incident
from opslib.incidents.standing import Change
from opslib.incidents.timelines import Timeline

_LAST = 5  # notes that an update may need


def started(found: Incident) -> str:
    ties = len(found.first.said.get("ties") or ())
    more = f", {count(ties, 'record')} of before tied" if ties else ""
    return f"{found.id} started: {found.title} on {found.target}, severity {found.severity}{more}"


def _clock(found: Incident) -> list[str]:
    try:
        return clocks.told(found, datetime.now(UTC))
    except UsageError as exc:
        return [f"response times: the target's file cannot be read: {exc}"]


def _phases(found: Incident) -> list[Json]:
    try:
        return [phase.as_dict() for phase in clocks.phases(found, datetime.now(UTC))]
    except UsageError:
        return []


def shown(found: Incident) -> Json:
    """For JSON."""
    of = incidents.tied(found)
    stands = [change for change in standing.changes(of) if change.stands]
    return found.as_dict() | {
        "clock": _clock(found),
        "phases": _phases(found),
        "records": [record.id for record in of],
        "causes": causes.named(of),
        "stands": [
            {"record": c.record.id, "what": str(c), "temporary": c.temporary, "undone": c.undone}
            for c in stands
        ],
    }


def status(found: Incident) -> str:
    of = incidents.tied(found)
    named = causes.named(of)
    state = ("practice, " if found.drill else "") + ("ended" if found.ended else "open")
    lines = [f"{found.id} ({state}): {found.title}", f"on {found.target}, {found.severity}", ""]
    lines += [f"clock:     {line}" for line in _clock(found)]
    now = datetime.now(UTC)
    lines += [f"{name + ':':<15}{clock(e.happened, now)}" for name, e in found.milestones.items()]
    asked = " ".join(_clock(found))  # each phase says how it is marked
    lines += [_ask(name, found) for name in found.missing if f"mark {name} " not in asked]
    lines.append(f"records:   {len(of)} tied (opslib incident timeline)")
    lines += [f"cause:     {cause} (record {ids[0]})" for cause, ids in named.items()]
    if not looks.baseline(found):
        make = f"opslib run {watching.FIRST_LOOK} -t {found.target}"
        lines.append(f"baseline:  none, so the end would compare nothing. Make it: {make}")
    return console.plain("\n".join([*lines, *_stands(standing.changes(of))]))


def _ask(name: str, found: Incident) -> str:
    return f"{name + ':':<15}not marked: opslib incident mark {name} --at HH:MM -i {found.id}"


def _stands(made: Sequence[Change]) -> list[str]:
    """Changes that nobody took back, the temporary ones first."""
    stands = sorted((c for c in made if c.stands), key=lambda c: not c.temporary)
    lines = [f"stands:    {count(len(stands), 'change')} of {len(made)}" if made else ""]
    for change in stands:
        kind = "temporary? " if change.temporary else ""
        part = "" if change.undone == "no" else f", undone {change.undone}"
        lines += [f"  {kind}{change} (record {change.record.id}{part})", f"    {change.undo}"]
    return list(filter(None, lines))


def ended(found: Incident) -> tuple[str, bool]:
    """What is said at the end; and whether all is as it should be."""
    compared = looks.compared(found)
    lines = [f"{found.id} ended: {found.title} on {found.target}", *_clock(found)]
    if compared is None:
        lines.append("compared:  nothing: there is no first look or no last one")
    else:
        lines += [f"mended:    {check}" for check in compared.mended]
        lines += [f"still:     {f['status']}: {f['check']}: {f['seen']}" for f in compared.still]
        lines += [f"new:       {f['status']}: {f['check']}: {f['seen']}" for f in compared.new]
        lines += [f"unknown:   {check}: not looked at any more" for check in compared.unseen]
        lines += ["compared:  all that was looked at is well"] * compared.well
    made = standing.changes(incidents.tied(found))
    lines += _stands(made)
    asked = " ".join(_clock(found))
    lines += [_ask(name, found) for name in found.missing if f"mark {name} " not in asked]
    lines += _practised(found)
    lines.append(f"next:      opslib incident post-mortem -i {found.id}")
    left = any(change.stands and change.temporary for change in made)
    well = compared is not None and compared.well and not left
    return console.plain("\n".join(lines)), well


def _practised(found: Incident) -> list[str]:
    """The times beside those of the last try of the same drill."""
    if not found.drill:
        return []
    last = practice.last_try(found)
    lines = [f"practice:  of {found.drill}, the first try that was ended: nothing to compare"]
    if last:
        table = console.table(practice.HEADER, practice.compared(found, last))
        lines = [f"practice:  of {found.drill}, beside {last.id}", table]
    take = f"opslib lab mend {found.drill} -t {found.target}"
    return [
        *lines,
        f"the fault: if no procedure mended it: {take}; all as it was: opslib lab reset",
    ]


def update(found: Incident) -> str:
    """For those who wait: what, since when, how it stands. No names, no addresses."""
    marks, now = found.milestones, datetime.now(UTC)
    state = next(
        (
            name
            for name in ("resolved", "mitigated", "cause-found", "acknowledged")
            if name in marks
        ),
        "being looked at",
    )
    began = f"since {clock(found.began, now)} UTC" if "began" in marks else "beginning not known"
    lines = [
        f"[{found.id}] {found.title}",
        f"Severity {found.severity}, {found.target}, {began}. State at {clock(now, now)} UTC: "
        f"{state.replace('-', ' ')}.",
    ]
    named = causes.named(incidents.tied(found))
    lines.append(
        f"Cause: {', '.join(named) if 'cause-found' in marks and named else 'not known yet'}."
    )
    told = [e for e in found.events if e.what == "note" and e.said["kind"] in ("decided", "told")]
    lines += [f"- {clock(e.happened, now)} UTC: {e.said['text']}" for e in told[-_LAST:]]
    made = [c for c in standing.changes(incidents.tied(found)) if c.stands]
    lines += [f"- done {clock(c.record.started, now)} UTC: {c}" for c in made]
    lines.append("Next update: <when>")
    return console.plain("\n".join(lines))


def _late(found: Incident) -> list[str]:
    """The post-mortem that is owed."""
    try:
        owed = clocks.late(found, datetime.now(UTC))
    except UsageError:
        return []
    return ["post-mortem (late)"] * ("post-mortem" in owed)


def listed(found: Sequence[Incident]) -> str:
    if not found:
        return "No incidents."
    rows = [
        (
            "ended" if i.ended else "open",
            i.id,
            i.severity,
            i.target,
            f"{i.started:%Y-%m-%d %H:%M}",
            ", ".join([*i.missing, *_late(i)]),
            f"practice{f' of {i.drill}' if i.ended else ''}: {i.title}" if i.drill else i.title,
        )
        for i in found
    ]
    header = ("state", "id", "severity", "target", "started (UTC)", "not marked", "title")
    return console.table(header, rows)


def timeline(made: Timeline) -> str:
    rows = [
        (
            f"{row.time:%m-%d %H:%M:%S}",
            row.kind,
            row.what + (f" (known {row.known:%m-%d %H:%M})" if row.known else ""),
            row.by,
            row.record,
        )
        for row in made.rows
    ]
    return console.table(("time (UTC)", "of", "what", "by", "record"), rows)
