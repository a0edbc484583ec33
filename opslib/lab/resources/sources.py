"""Event source mappings: each queue of jobs in the target's file is worked off by its function."""

from __future__ import annotations

from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources import names


def seed(place: Place) -> None:
    """A mapping from each kind of job's queue to its function, as callers get it.

    moto's own call would hand over messages itself, beside the lab's workers.
    """
    from moto.awslambda.models import EventSourceMapping

    for job in place.facts.get("jobs", {}).values():
        if not {"queue", "function"} <= job.keys():
            continue
        facts = place.facts["functions"][job["function"]]
        name = ":".join(filter(None, (facts["name"], facts.get("alias"))))
        source = names.arn(place, "sqs", str(place.facts["queues"][job["queue"]]["name"]))
        made = EventSourceMapping(
            {
                "RegionName": place.region,
                "AccountId": place.account,
                "FunctionName": facts["name"],
                "FunctionArn": names.arn(place, "lambda", f"function:{name}"),
                "EventSourceArn": source,
            }
        )
        made.last_modified = names.start(place).timestamp()
        place.backend("lambda")._event_source_mappings[made.uuid] = made


def enabled(place: Place, queue: str) -> bool:
    """Whether a queue is handed to its function."""
    found: Any = place.backend("lambda")._event_source_mappings.values()
    source = names.arn(place, "sqs", queue)
    return any(each.enabled for each in found if each.event_source_arn == source)
