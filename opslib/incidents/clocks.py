"""The clock of an incident: its phases by the target's own severities, when each is due, and how
late it is.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from opslib.core import Json, beside, clock
from opslib.core.checks import severities
from opslib.core.times import as_iso
from opslib.incidents import levels, watching
from opslib.incidents.incidents import Incident

IN_TIME, LATE, RUNS, WAITS, UNKNOWN = "in time", "late", "runs", "waits", "unknown"
TIMES: list[list[str]] = beside(__file__, "times")
_ORDER = ("acknowledged", "assessed", "mitigated", "resolved", "post-mortem")


@dataclass(frozen=True)
class Phase:
    """`state`: *in time*, *late* (done or not), *runs* (its time is not over), *waits* (it counts
    from what is not marked yet), *unknown* (nobody marked it). `due`, `done`: UTC.
    """

    name: str
    state: str
    told: str
    due: datetime | None = None
    done: datetime | None = None

    def as_dict(self) -> Json:
        """For JSON."""
        return as_iso(asdict(self))


def told(incident: Incident, now: datetime) -> list[str]:
    """How long it has been, and what is due by when. Raises UsageError: the target's file."""
    long = minutes(incident.over - incident.began)
    from_ = "" if "began" in incident.milestones else " (when it was started: began is not marked)"
    since = f"since {_at(incident.began, now)}{from_}"
    lines = [f"{'took' if incident.ended else 'runs for'} {long} {since}"]
    of = levels.severities(incident.target, "levels", incident.severity)
    if not of:
        why = "none is described in the target's file (severities)"
        return [*lines, f"no response times: {why}"]
    if "respond_minutes" not in of:
        lines.append(f"respond: {of.get('respond', 'when it can be')}")
    return [*lines, *(f"{phase.name}: {phase.told}" for phase in phases(incident, now))]


def phases(incident: Incident, now: datetime) -> list[Phase]:
    """Those that the target's file gives times for, in their order. Raises UsageError: its file."""
    return [*_phases(incident, now)]


def _phases(incident: Incident, now: datetime) -> Iterator[Phase]:
    about = levels.severities(incident.target)
    of = about.get("levels", {}).get(incident.severity, {})
    began, marks = incident.began, incident.milestones
    for name, words, within in (
        ("acknowledged", "acknowledged", of.get("respond_minutes")),
        ("assessed", "assessed", of.get("assess_minutes")),
        ("mitigated", _handed_on(about, of), severities.hand_on(about, of)),
    ):
        if within is not None:
            due = began + timedelta(minutes=within)
            yield _phase(incident, name, due, now, words)
    resolved = marks.get("resolved")
    if (watch := of.get("watch_minutes")) is not None:
        yield _watch(incident, resolved.happened if resolved else None, watch, now)
    if (hours := of.get("post_mortem_hours")) is not None:
        over = resolved.happened if resolved else incident.ended
        if over:
            yield _phase(incident, "post-mortem", over + timedelta(hours=hours), now)
        else:
            yield Phase("post-mortem", WAITS, f"{hours} h after it is resolved")


def _handed_on(about: Json, of: Json) -> str:
    contact = about.get("contacts", {}).get(of.get("escalate_to")) or "no contact in the file"
    return f"mitigated, or handed on to {of.get('escalate_to')} ({contact})"


def _phase(incident: Incident, name: str, due: datetime, now: datetime, words: str = "") -> Phase:
    marks, words = incident.milestones, words or name
    of = ("mitigated", "resolved") if name == "mitigated" else (name,)
    found = [marks[each].happened for each in of if each in marks]
    if found:
        done = min(found)
        late = f", {minutes(done - due)} late" if done > due else ", in time"
        state = LATE if done > due else IN_TIME
        return Phase(words, state, f"at {_at(done, now)}{late}", due, done)
    by = f"by {_at(due, now)}"
    mark = f"opslib incident mark {name} --at HH:MM -i {incident.id}"
    later = [each for each in _ORDER[_ORDER.index(name) + 1 :] if each in marks]
    if name != "post-mortem" and (incident.ended or later):
        return Phase(words, UNKNOWN, f"{by}, unknown: nobody marked it ({mark})", due)
    if due > now:
        return Phase(words, RUNS, f"{by}, {minutes(due - now)} left ({mark})", due)
    return Phase(words, LATE, f"{by}, late by {minutes(now - due)} ({mark})", due)


def _watch(incident: Incident, resolved: datetime | None, watch: int, now: datetime) -> Phase:
    words = f"watched for {watch} min"
    if resolved is None:
        return Phase(words, WAITS, "from when it is resolved")
    due = resolved + timedelta(minutes=watch)
    seen = watching.since(incident, resolved, due)
    until = f"until {_at(due, now)}"
    if seen.broken:
        told = f"{until}, critical again at {_at(seen.broken.started, now)}: {seen.broken.id}"
        return Phase(words, LATE, f"{told} ({seen.broken.name})", due)
    last = "nobody has looked since"
    if seen.last:
        last = f"last look at {_at(seen.last.started, now)}: {seen.last.status} ({seen.last.id})"
    if due > now:
        return Phase(words, RUNS, f"{until}, {minutes(due - now)} left; {last}", due)
    if seen.at_its_end:
        return Phase(words, IN_TIME, f"{until}; {last}", due, seen.at_its_end.started)
    look = f"opslib run {watching.FIRST_LOOK} -t {incident.target}"
    return Phase(words, UNKNOWN, f"{until}, unknown: no look at its end; {last}. Look: {look}", due)


def late(incident: Incident, now: datetime) -> list[str]:
    """What is not done, and should be. Raises UsageError: the target's file."""
    return [p.name for p in phases(incident, now) if p.state == LATE and p.done is None]


def _at(when: datetime, now: datetime) -> str:
    return f"{clock(when, now)} UTC"


def minutes(passed: timedelta) -> str:
    """In words: `12 min`, `2.5 h`, `8.0 days`."""
    whole = round(passed / timedelta(minutes=1))
    if abs(whole) < 120:
        return f"{whole} min"
    return f"{whole / 60:.1f} h" if abs(whole) < 2 * 24 * 60 else f"{whole / 24 / 60:.1f} days"


def lasted(incident: Incident, start: str, end: str) -> timedelta | None:
    """From one milestone to another; None: one is not marked."""
    marks = incident.milestones
    return marks[end].happened - marks[start].happened if {start, end} <= marks.keys() else None


def between(incident: Incident, start: str, end: str) -> str:
    """How long from one milestone to another: `12 min`; else unknown, and which is missing."""
    lacks = [name for name in (start, end) if name not in incident.milestones]
    passed = lasted(incident, start, end)
    return minutes(passed) if passed is not None else f"unknown: {' and '.join(lacks)} not marked"
