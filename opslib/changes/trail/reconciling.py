"""A record against CloudTrail: what it says was done was done, and no more was done beside it.

Each call is told by its request id, which AWS gives and both keep.
"""

import re
from datetime import UTC, datetime, timedelta

from opslib import records
from opslib.changes.trail.trails import Act, look_up
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    Question,
    UsageError,
    Window,
    check,
    count,
    cut,
    few,
)
from opslib.records import Record

_MOST = 2000  # events of a region; AWS answers two calls of 50 in a second
_LATE = timedelta(minutes=15)  # so long CloudTrail may take to show an event
_AROUND = timedelta(minutes=1)
_READS = re.compile(
    r"(Admin|Batch)?(Get|List|Describe|Head|Lookup|Filter|Search|Query|Scan|Select|Test|Simulate)"
    r"|(Start|Stop)Query|StartLiveTail|AssumeRole|ConverseStream"
)
# Data events, which LookupEvents never shows (CloudTrail User Guide, "Logging data events").
_DATA = re.compile(
    r"s3:.*(Objects?|Part|Upload)(Tagging|Acl|Retention)?$|lambda:Invoke.*|sqs:.*Message.*"
    r"|dynamodb:(Put|Update|Delete|BatchWrite|Transact|Execute).*(Item|Items|Statement|Transaction)$"
    r"|logs:PutLogEvents|cloudwatch:PutMetricData|sns:Publish.*|cognito-idp:.*Auth.*"
)
_SHOWN = 5


@check("Is what the record says what AWS saw?")
def reconcile(ops: Connection, record: str) -> Findings:
    """Two findings: each changing call of the record is in CloudTrail; each change in CloudTrail by
    that identity, in the run's time, is in a record.

    Unknown where not all events could be read, or may not show yet. Objects, items, messages and
    invocations are data events, which this does not see; SQL is in no trail. Raises UsageError (no
    such record, another target's, one that called nothing).
    """
    found = records.find(record)
    if (other := found.target != ops.target.name) or not found.arn or not found.ended:
        why = f"of {found.target}" if other else "not of a run that ended"
        raise UsageError(f"Record {found.id} is {why}, so nothing was compared.")
    every = records.details(found).get("calls") or ()
    calls = [call for call in every if not _READS.match(call["operation"])]
    wide = Window(found.started - _AROUND, found.ended + _AROUND)
    of_name, trouble = look_up(ops, "Username", found.arn.split("/")[-1], wide, _MOST)
    of_it = (act for act in of_name if act.of("userIdentity.arn") == found.arn)
    acts, unseen = [act for act in of_it if not act.of("readOnly")], [trouble] * bool(trouble)
    if ops.now() - found.ended < _LATE:
        unseen.append("it ended less than 15 minutes ago: CloudTrail may not show all yet")
    about = f"CloudTrail LookupEvents and record {found.id}"
    recorded = Question("what is recorded", "all in CloudTrail", about)
    done = Question("what was done", "all in a record", about)
    return Findings([_recorded(recorded, calls, acts, unseen), _done(done, found, acts, unseen)])


def _recorded(asked: Question, calls: list[Json], acts: list[Act], why: list[str]) -> Finding:
    known = {act.of("requestID") for act in acts}
    data = [call for call in calls if _DATA.match(f"{call['service']}:{call['operation']}")]
    asked_of = [call for call in calls if call not in data]
    lacking = [call for call in asked_of if call["request_id"] not in known]
    seen = (
        f"{len(asked_of) - len(lacking)} of {count(len(asked_of), 'changing call')} in CloudTrail"
    )
    seen += f"; {count(len(data), 'call')} of data, which it does not show" if data else ""
    if not lacking:
        return asked.ok(seen)
    named = [f"{c['service']} {c['operation']} (request {c['request_id']})" for c in lacking]
    return _told(asked, "critical", f"{seen}. Not in it: {few(named, _SHOWN)}", why)


def _done(asked: Question, found: Record, acts: list[Act], why: list[str]) -> Finding:
    start, end = found.started.replace(microsecond=0), found.ended or datetime.now(UTC)
    within = [
        act for act in acts if start <= act.time <= end and not act.of("userIdentity.invokedBy")
    ]
    # By this record, and by others that ran meanwhile; and what was sent again.
    ours, retried = set(), set()
    for other in records.list_records(target=found.target, since=start - timedelta(days=1)):
        if other.arn == found.arn and (other.ended or start) >= start:
            for call in records.details(other).get("calls") or ():
                ours.add(call["request_id"])
                retried |= {call["operation"]} if call["retries"] else set()
    lacking = [
        act
        for act in within
        if act.of("requestID") not in ours
        if not (act.of("errorCode") and act.name in retried)  # turned away, and sent again
    ]
    seen = f"{len(within) - len(lacking)} of {count(len(within), 'change')} in a record"
    if lacking:
        named = [f"{a.name} {cut(a.resource, 100)} at {a.time:%H:%M:%S}" for a in lacking]
        return asked.warn(f"{seen}. In none: {few(named, _SHOWN)}")
    return _told(asked, "ok", seen, why)


def _told(asked: Question, status: str, seen: str, why: list[str]) -> Finding:
    """`why`: not all is known."""
    return asked.unknown(f"{seen}. {'; '.join(why)}") if why else asked.answer(status, seen)
