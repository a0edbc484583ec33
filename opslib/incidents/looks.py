"""Looks at the target: the first is the baseline, the last is compared with it."""

from opslib.incidents import incidents, standing
from opslib.incidents.incidents import Incident
from opslib.incidents.standing import Compared
from opslib.incidents.watching import FIRST_LOOK
from opslib.records.records import LOOKED, Record
from opslib.runs import runs
from opslib.runs.batches.items import Progress

POST_MORTEM = "reports/post-mortem"  # what happened outside of our records
KEPT = "happened"  # under which its rows are in its record
MEASURED = "measured"  # under which the series of its key metrics are


def look(incident: Incident, kind: str, progress: Progress) -> Record:
    """Run the first look and tie it; `kind`: `before` or `after`. Raises UsageError, OpsError."""
    given = {"symptom": incident.title} if kind == "before" else {}
    [record] = runs.run_many([FIRST_LOOK], [incident.target], given, progress=progress)
    incidents.write("looked", incident.id, record=record.id, look=kind)
    return record


def look_back(incident: Incident, progress: Progress) -> Record:
    """Read what happened outside of our records, and keep it as one: the procedure
    reports/post-mortem. Raises UsageError, OpsError.
    """
    asked = [POST_MORTEM], [incident.target], {"incident": incident.id}
    return runs.run_many(*asked, progress=progress)[0]


def _whole(incident: Incident) -> dict[str, Record]:
    """Its records that came to their end, by id: a look that was cut off proves nothing."""
    return {record.id: record for record in incidents.tied(incident) if record.outcome in LOOKED}


def baseline(incident: Incident) -> str:
    """The id of the record of the first look; of one that was made by hand, where the start's could
    not be, or was cut off. Empty: there is none.
    """
    whole, other = _whole(incident), incident.looks("after")
    kept = [id for id in incident.looks("before") if id in whole]
    by_hand = (id for id, r in whole.items() if r.procedure == FIRST_LOOK and id not in other)
    return kept[-1] if kept else next(by_hand, "")


def compared(incident: Incident) -> Compared | None:
    """The last look with the first; None when one of them is not there, or was cut off."""
    whole, looked = _whole(incident), [baseline(incident), *incident.looks("after")[-1:]]
    if len(looked) < 2 or not whole.keys() >= {*looked}:
        return None
    return standing.compare(*(standing.findings(whole[id]) for id in looked))
