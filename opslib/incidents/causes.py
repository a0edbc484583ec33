"""Causes that the records of an incident named, and earlier incidents that had one of them."""

from collections.abc import Sequence

from opslib.incidents import incidents, standing
from opslib.incidents.incidents import Incident
from opslib.records.records import Record

_NO_CAUSE = {"", "access-denied"}  # that we may not look is not why the system failed


def named(found: Sequence[Record]) -> dict[str, list[str]]:
    """Each cause that a finding named, with the records that did."""
    causes: dict[str, list[str]] = {}
    for record in found:
        bad = [f for f in standing.findings(record) if f.status != "ok"]
        for cause in dict.fromkeys(f.cause for f in bad):
            if cause not in _NO_CAUSE:
                causes.setdefault(cause, []).append(record.id)
    return causes


def alike(incident: Incident) -> dict[str, list[str]]:
    """Earlier incidents of any target, newest first, with the causes or the alarm they share; of
    practice that was ended the cause is known, whatever was found.
    """
    mine = _of(incident)
    found = {}
    for other in incidents.every():
        if other.started >= incident.started:
            continue
        same = sorted(mine & _of(other))
        if incident.alarm and incident.alarm == other.alarm:
            same.append(f"alarm {other.alarm}")
        if same:
            found[other.id] = same
    return found


def _of(incident: Incident) -> set[str]:
    told = {incident.drill} if incident.drill and incident.ended else set()
    return told | set(named(incidents.tied(incident)))
