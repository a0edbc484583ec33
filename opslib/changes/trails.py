"""Who changed something: CloudTrail's writing events, and what our own records did."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from opslib import records
from opslib.changes.histories import details
from opslib.core import Connection, OpsError
from opslib.core.text import decoded

# What services do by themselves all day, and what changes data only.
_NOISE = re.compile(
    r"CreateLogStream|AssumeRole\w*|\w*NetworkInterface|Decrypt|GenerateDataKey\w*|\w*(InitiateAuth|AuthChallenge)"
    r"|ConsoleLogin|(Put|Send|Receive|Delete)(LogEvents|MetricData|Message\w*)|StartQuery|StopQuery"
    r"|Sign(Up|In)|Invoke\w*"
)
_MOST = 250  # events; AWS answers two calls of 50 in a second


class Act(NamedTuple):
    """Something that was done. `text`: all that was said of it, to find names in."""

    time: datetime
    what: str
    by: str
    text: str

    def names(self, name: str) -> bool:
        """Does it name a resource? Of an ARN or a path the end counts."""
        words = name.split(" ")
        telling = {word for word in words if "-" in word} | {max(words, key=len)}
        ends = (re.escape(word.removeprefix("/aws/lambda/").split("/")[-1]) for word in telling)
        return re.search(rf"(?<![\w.-])({'|'.join(ends)})(?![\w-])", self.text) is not None


def events(ops: Connection, start: datetime, end: datetime) -> tuple[list[Act], str]:
    """What was written in the account and region (CloudTrail LookupEvents), newest first.

    And why not all of it is known; empty when it is. Of global services' events us-east-1 has the
    only copy.
    """
    wanted = {"LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "false"}]}
    try:
        found = ops.pages(
            "cloudtrail", "lookup_events", "Events[]", _MOST, StartTime=start, EndTime=end, **wanted
        )
    except OpsError as exc:
        return [], str(exc)
    acts = []
    for event in found:
        whole = event.get("CloudTrailEvent", "")
        said = decoded(whole, {})
        failed = isinstance(said, dict) and said.get("errorCode")
        if not failed and not _NOISE.fullmatch(event["EventName"]):
            who = event.get("Username") or "somebody"
            text = f"{whole} {event.get('Resources')}"
            acts.append(Act(event["EventTime"], event["EventName"], who, text))
    return acts, f"only the last {_MOST} events were read" if len(found) == _MOST else ""


def own(target: str, since: datetime) -> list[Act]:
    """What runs of ours applied here, newest first."""
    found = []
    for record in records.list_records(target=target, since=since):
        said = details(record)
        if any(step.get("state") == "applied" for step in said.get("steps", ())):
            text = json.dumps([said["plan"], said["steps"]], default=str)
            by = f"{record.who}, record {record.id}"
            found.append(Act(record.started, record.name, by, text))
    return found


def newest(acts: Iterable[Act], name: str, setting: str) -> Act | None:
    """The newest that names a resource; of several the one that also names the setting."""
    about = [act for act in acts if act.names(name)]
    return next((act for act in about if setting and setting in act.text), next(iter(about), None))
