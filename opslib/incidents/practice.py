"""Practice: an incident of a drill of the lab, and its times beside those of the last try."""

from opslib.incidents import clocks, incidents, levels
from opslib.incidents.incidents import Incident

HEADER = ("time", "last try", "this try", "")


def start(drill: str, title: str, target: str, severity: str = "", alarm: str = "") -> Incident:
    """An incident that begins now; without a severity, as the rules of the target's file say.

    Raises UsageError, Refused.
    """
    level = severity or levels.fitting(target, drill)
    found = incidents.start(title, target, level, alarm=alarm, drill=drill)
    return incidents.mark("began", found.started, found.id)


def last_try(incident: Incident) -> Incident | None:
    """The newest that was ended of the same drill on the same target; None: this is the first."""
    if not incident.drill:
        return None
    before = (i for i in incidents.every(incident.target) if i.started < incident.started)
    return next((i for i in before if i.ended and i.drill == incident.drill), None)


def compared(incident: Incident, last: Incident) -> list[tuple[str, ...]]:
    """Each time of TIMES as HEADER says, in words, at last `2 min sooner`; *unknown* where a
    milestone was not marked, in one of them or both.
    """
    return [
        (
            words,
            clocks.between(last, start, end),
            clocks.between(incident, start, end),
            _told(incident, last, start, end),
        )
        for words, start, end in clocks.TIMES
    ]


def _told(incident: Incident, last: Incident, start: str, end: str) -> str:
    before, now = (clocks.lasted(each, start, end) for each in (last, incident))
    if before is None or now is None:
        return "not compared"
    if abs(now - before).total_seconds() < 30:
        return "the same"
    late = "later" if now > before else "sooner"
    return f"{clocks.minutes(abs(now - before))} {late}"


def taken_out(target: str, drill: str, how: str) -> list[Incident]:
    """Keep with the practice that is open there that its fault was taken out by the lab, not by a
    procedure: its times say less then. Those incidents.
    """
    found = [i for i in incidents.every(target, only_open=True) if i.drill == drill]
    text = f"the fault was taken out by {how}, not mended by a procedure"
    return [incidents.note(text, "told", incident=each.id) for each in found]
