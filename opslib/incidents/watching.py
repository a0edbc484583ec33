"""Whether it stays well after it was resolved: what the records of its target say since."""

from datetime import datetime
from typing import NamedTuple

from opslib.incidents.incidents import Incident
from opslib.records import reading
from opslib.records.records import LOOKED, Record

FIRST_LOOK = "reports/triage"  # health, services, alarms and key metrics, of what is described
RESPOND = "reports/respond"
_LOOKS = (FIRST_LOOK, RESPOND, "reports/daily", "health/quick")  # that see if it is well
_SEEN = ("ok", "warn")


class Seen(NamedTuple):
    """`broken`: the first record that found something critical; `last`: the newest look;
    `at_its_end`: one that was made when the time was over, and saw enough.
    """

    broken: Record | None
    last: Record | None
    at_its_end: Record | None


def since(incident: Incident, resolved: datetime, until: datetime) -> Seen:
    """Of every run on its target since it was resolved; once the time is over and was looked at,
    what comes later is no part of it.
    """
    ran = reading.list_records(incident.target, resolved)[::-1]
    looks = [r for r in ran if r.procedure in _LOOKS and r.outcome in LOOKED]
    end = next((r for r in looks if r.started >= until and r.status in _SEEN), None)
    within = [r for r in ran if r.started <= (end.started if end else until)]
    broken = next((r for r in within if r.status == "critical"), None)
    last = end or (looks[-1] if looks else None)
    return Seen(broken, last, end)
