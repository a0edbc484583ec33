"""What is said of incidents: status, an update to paste, what stands at the end, the timeline."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from opslib.cli import streams
from opslib.core import Json, UsageError, clock, console, count, cut
from opslib.incidents import causes, clocks, incidents, looks, practice, standing, watching
from opslib.incidents.incidents import Incident
from opslib.incidents.timelines import Timeline

_LAST = 5  # notes that an update may need


def started(found: Incident) -> str:
    ties = len(found.first.said.get("ties") or ())
    more = f", {count(ties, 'record')} of before tied" if ties else ""
    return f"{found.id} started: {found.title} on {found.target}, severity {found.severity}{more}"


def _by_its_file(read: Callable[[Incident, datetime], Any], found: Incident) -> Any:
    """What is due by the target's file; where that cannot be read, the clock says so."""
    try:
        return read(found, datetime.now(UTC))
    except UsageError as exc:
        said = f"response times: the target's file cannot be read: {exc}"
        return [said] * (read is clocks.told)


def shown(found: Incident) -> Json:
    """For JSON."""
    of = incidents.tied(found)
    stands = [change for change in standing.changes(of) if change.stands]
    return found.as_dict() | {
        "clock": _by_its_file(clocks.told, found),
        "phases": [phase.as_dict() for phase in _by_its_file(clocks.phases, found)],
        "records": [record.id for record in of],
        "causes": causes.named(of),
        "stands": [
            {"record": c.record.id, "what": str(c), "temporary": c.temporary, "undone": c.undone}
            for c in stands
        ],
    }


def _text(name: str, found: Incident, **more: Any) -> str:
    """One of templates/."""
    now, of = datetime.now(UTC), incidents.tied(found)
    made = standing.changes(of)
    text = streams.written(
        f"incidents/{name}",
        i=found,
        now=now,
        at=lambda when: clock(when, now),
        of=of,
        made=made,
        stands=sorted((c for c in made if c.stands), key=lambda c: not c.temporary),
        named=causes.named(of),
        clock=_by_its_file(clocks.told, found),
        count=count,
        **more,
    )
    return console.plain(text)


def status(found: Incident) -> str:
    return _text("status", found, baseline=looks.baseline, first_look=watching.FIRST_LOOK)


def ended(found: Incident) -> tuple[str, bool]:
    """What is said at the end; and whether all is as it should be."""
    compared = looks.compared(found)
    made = standing.changes(incidents.tied(found))
    left = any(change.stands and change.temporary for change in made)
    well = compared is not None and compared.well and not left
    return _text("ended", found, compared=compared, practice=practice, console=console), well


def update(found: Incident) -> str:
    """For those who wait: what, since when, how it stands. No names, no addresses."""
    told = [e for e in found.events if e.what == "note" and e.said["kind"] in ("decided", "told")]
    return _text("update", found, told=told[-_LAST:])


def listed(found: Sequence[Incident]) -> str:
    if not found:
        return "No incidents."
    owed = "post-mortem (late)"
    rows = [
        (
            "ended" if i.ended else "open",
            i.id,
            i.severity,
            i.target,
            f"{i.started:%Y-%m-%d %H:%M}",
            ", ".join(i.missing + [owed] * ("post-mortem" in _by_its_file(clocks.late, i))),
            f"practice{f' of {i.drill}' if i.ended else ''}: {i.title}" if i.drill else i.title,
        )
        for i in found
    ]
    header = ("state", "id", "severity", "target", "started (UTC)", "not marked", "title")
    return console.table(header, rows)


def timeline(made: Timeline) -> str:
    rows = [
        (f"{r.time:%Y-%m-%d %H:%M:%S}", r.kind, cut(r.told, 500), r.by, r.record) for r in made.rows
    ]
    return console.table(("time (UTC)", "of", "what", "by", "record"), rows)
