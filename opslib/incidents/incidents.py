"""An incident: what was said of it in its events, and the records that belong to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from opslib.core import Json, Refused, UsageError, Window, require_known, unknown_name
from opslib.core.checks import notes
from opslib.core.tables import safe
from opslib.core.times import as_iso, past
from opslib.incidents import events, levels
from opslib.incidents.events import MILESTONES, Event
from opslib.records import reading
from opslib.records.records import Record

_SAID = ("title", "target", "severity", "alarm", "drill")  # when it was started
_TIED_BEFORE = timedelta(days=1)  # what ran since it began, before somebody started the incident
_OVER = ("resolved", "post-mortem")  # not so any more once it was opened again
_OF_ANOTHER_YEAR = timedelta(days=90)  # before it began: rather a slip, and a note is never removed


@dataclass(frozen=True, repr=False)
class Incident:
    """One incident, by its events in their order. Times are UTC.

    `drill`: the drill of the lab that it practises; empty: it is no practice.
    """

    id: str
    events: tuple[Event, ...]
    title: str
    target: str
    severity: str
    alarm: str
    drill: str

    @classmethod
    def of(cls, id: str, events: Iterable[Event]) -> Self:
        first, *later = events
        return cls(id, (first, *later), *(str(first.said.get(name) or "") for name in _SAID))

    @property
    def first(self) -> Event:
        return self.events[0]

    @property
    def started(self) -> datetime:
        """When somebody started it."""
        return self.first.known

    @property
    def ended(self) -> datetime | None:
        """When it was ended; None: it is open, perhaps again."""
        ends = (e.known for e in self.events if e.what == "end" and e.number > self._again)
        return next(ends, None)

    @property
    def _again(self) -> int:
        """The number of the event that opened it again, the last one; 0: none did."""
        return max((e.number for e in self.events if e.what == "reopen"), default=0)

    @property
    def milestones(self) -> dict[str, Event]:
        """The last word on each, in the order of MILESTONES."""
        said = {e.said["milestone"]: e for e in self.events if e.what == "mark"}
        gone = {name for name in _OVER if name in said and said[name].number < self._again}
        return {name: said[name] for name in MILESTONES if name in said.keys() - gone}

    @property
    def missing(self) -> list[str]:
        """Those that every incident has, and this one not yet."""
        wanted = [name for name, of in MILESTONES.items() if not of.get("where_due")]
        return [name for name in wanted if name not in self.milestones]

    @property
    def began(self) -> datetime:
        """As it is known; else when it was started."""
        mark = self.milestones.get("began")
        return mark.happened if mark else self.started

    @property
    def over(self) -> datetime:
        """When it was resolved, as it is known; else when it was ended; else now."""
        mark = self.milestones.get("resolved")
        return mark.happened if mark else self.ended or datetime.now(UTC)

    @property
    def span(self) -> Window:
        """From its beginning to its end, or to now."""
        return Window(self.began, max(self.over, self.began + timedelta(minutes=1)))

    def looks(self, kind: str) -> list[str]:
        """The ids of the records of its looks: `before` is the baseline, `after` its end."""
        since = self._again if kind == "after" else 0
        looked = [e for e in self.events if e.what == "looked" and e.number > since]
        return [e.said["record"] for e in looked if e.said["look"] == kind]

    def __repr__(self) -> str:
        state = f"ended {self.ended:%Y-%m-%d %H:%M} UTC" if self.ended else "open"
        said = f"{self.id}: {self.title} (severity {self.severity}, {state})"
        return safe(f"{said}, since {self.began:%Y-%m-%d %H:%M} UTC")

    def as_dict(self) -> Json:
        """For JSON."""
        said = {name: getattr(self, name) for name in ("id", *_SAID, "started", "ended")}
        marks = as_iso({name: e.happened for name, e in self.milestones.items()})
        return as_iso(said) | {"milestones": marks, "missing": self.missing}


def among(found: Iterable[Event]) -> list[Incident]:
    """The incidents of events, the oldest first."""
    of: dict[str, list[Event]] = {}
    for event in found:
        of.setdefault(event.incident, []).append(event)
    return [Incident.of(id, each) for id, each in of.items()]


def every(target: str = "", *, only_open: bool = False) -> list[Incident]:
    """The newest first."""
    found = [i for i in among(events.every())[::-1] if target in ("", i.target)]
    return [i for i in found if not i.ended] if only_open else found


def find(id: str = "", target: str = "", *, must_be_open: bool = False) -> Incident:
    """By its id, or the beginning of it; without one the open one, else the newest.

    Raises UsageError: there is none, it was ended, or several could be meant.
    """
    return _find(every(target), id, target, must_be_open)


def _find(found: Sequence[Incident], id: str, target: str, must_be_open: bool) -> Incident:
    of = f" of {target}" if target else ""
    if id:
        hits = [i for i in found if i.id == id] or [i for i in found if i.id.startswith(id)]
        if len(hits) != 1:
            near = [i.id for i in hits or found]
            raise unknown_name("incident", id, near, f"{of} (list them: opslib incidents)")
        if must_be_open and (ended := hits[0].ended):
            raise UsageError(
                f"Incident {hits[0].id} was ended at {ended:%Y-%m-%d %H:%M} UTC: it takes notes "
                "and milestones alone. Nothing was written down. If it is not over: "
                f"opslib incident reopen WHY -i {hits[0].id}"
            )
        return hits[0]
    still = [i for i in found if not i.ended]
    if len(still) > 1:
        names = ", ".join(f"{i.id} on {i.target}" for i in still)
        raise UsageError(f"{len(still)} incidents are open ({names}). Say which: --incident ID.")
    if not still and (must_be_open or not found):
        raise UsageError(
            f"No incident{of} is open, so nothing was written down. "
            'Start one: opslib incident start "WHAT" -t TARGET --severity 2'
        )
    return (still or found)[0]


def start(
    title: str,
    target: str,
    severity: str,
    began: str = "",
    alarm: str = "",
    another: bool = False,
    drill: str = "",
) -> Incident:
    """Start an incident. `another`: beside one that is open there; `drill`: it is its practice.

    What ran there since it began is tied to it. Raises UsageError, Refused.
    """
    if not title.strip():
        raise UsageError("An incident needs a title: what do users see?")
    level = levels.level(target, severity)
    since = past(began) if began else datetime.now(UTC)
    ran = reading.list_records(target, max(since, datetime.now(UTC) - _TIED_BEFORE))
    said: Json = {"event": "start", "title": title.strip(), "target": target, "severity": level}
    said |= {"alarm": alarm, "drill": drill, "ties": [record.id for record in ran]}

    def decide(known: Sequence[Event]) -> tuple[str, Json]:
        if not another:
            require_none_open(target, among(known))
        day = f"inc-{datetime.now(UTC):%Y%m%d}-"
        last = max((int(i.id[len(day) :]) for i in among(known) if i.id.startswith(day)), default=0)
        return f"{day}{last + 1}", said

    id = events.append(decide)
    return mark("began", since, id) if began else find(id)


def require_none_open(target: str, known: Iterable[Incident]) -> None:
    """Raises Refused."""
    there = [i for i in known if i.target == target and not i.ended]
    if there:
        raise Refused(
            f"Incident {there[-1].id} ({there[-1].title}) is open on {target}. Nothing was "
            "started. Go on with it: opslib incident note … Or, if it is another trouble: "
            "--another"
        )


def write(
    what: str,
    incident: str = "",
    happened: datetime | None = None,
    *,
    ended_too: bool = False,
    **said: Any,
) -> Incident:
    """An event of an incident that is open; `ended_too`: or was ended, for what comes to light
    later. Raises UsageError.
    """
    at = happened or datetime.now(UTC)

    def decide(known: Sequence[Event]) -> tuple[str, Json]:
        found = _find(among(known)[::-1], incident, "", not ended_too)
        return found.id, {"event": what, "happened": at.isoformat(timespec="seconds"), **said}

    return find(events.append(decide))


def reopen(why: str, incident: str = "") -> Incident:
    """One that was ended too early goes on, also beside another one; what ran on its target
    meanwhile is of it, too. Raises UsageError: it is open, or nothing is said.
    """
    found, said = find(incident), notes.noted(why)
    if not found.ended:
        raise UsageError(f"Incident {found.id} is open already. Is it another? Say: -i ID")
    return write("reopen", found.id, ended_too=True, text=said.text)


def note(
    text: str, kind: str = "saw", at: str = "", record: str = "", incident: str = ""
) -> Incident:
    """What somebody saw, thinks, ruled out, decided or was told; it may turn out wrong, and stays.

    Raises UsageError: empty, of no such kind, no such record, of a time long before.
    """
    said = notes.noted(text, kind)
    id = reading.find(record).id if record else ""
    happened = past(at) if at else None
    if happened and (before := (of := find(incident)).began - happened) > _OF_ANOTHER_YEAR:
        raise UsageError(
            f"{happened:%Y-%m-%d %H:%M} UTC is {before.days} days before {of.id} began. "
            "Nothing was written down. Is it that year? What was so long before is said in the "
            "note, without --at."
        )
    told = {"text": said.text, "kind": said.kind, "record": id}
    return write("note", incident, happened, ended_too=True, **told)


def mark(milestone: str, at: datetime | None = None, incident: str = "") -> Incident:
    """A milestone. Said again it is corrected; what was said first stays in the events.

    Raises UsageError: unknown, or another milestone stands on the wrong side of it.
    """
    require_known("milestone", milestone, MILESTONES)
    events.require_order(find(incident).milestones, milestone, at or datetime.now(UTC))
    return write("mark", incident, at, ended_too=True, milestone=milestone)


def tie(ids: Sequence[str], incident: str = "") -> Incident:
    """Records of elsewhere, or of before. Raises UsageError: no such record."""
    return write("tie", incident, ended_too=True, records=[reading.find(id).id for id in ids])


def untie(id: str, incident: str = "") -> Incident:
    """A record that has nothing to do with it. Raises UsageError: it is not tied."""
    found, of = reading.find(id).id, find(incident)
    if found not in {record.id for record in tied(of)}:
        raise UsageError(f"Record {found} is not tied to {of.id}, so nothing was written down.")
    return write("untie", of.id, ended_too=True, records=[found])


def tied(incident: Incident) -> list[Record]:
    """Its records, the oldest first: every run on its target while it was open, however it was
    started, what it was tied to by hand, and its own looks; without what was untied.
    """
    said = dict.fromkeys(incident.first.said.get("ties") or (), True)  # by id: is it tied?
    for event in incident.events:
        if event.what == "looked":
            said[event.said["record"]] = True
        elif event.what in ("tie", "untie"):
            said |= dict.fromkeys(event.said["records"], event.what == "tie")

    end = incident.ended

    def belongs(record: Record) -> bool:
        within = incident.started <= record.started <= (end or record.started)
        return said.get(record.id, within and record.target == incident.target)

    return [record for record in reversed(reading.list_records()) if belongs(record)]
