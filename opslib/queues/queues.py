"""SQS queues and their dead letters: how deep they are, what failed and why."""

from collections.abc import Iterable
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    OpsError,
    Question,
    Queue,
    beside,
    check,
    cut,
    decoded,
    depths,
    dtypes,
    frame,
    metrics,
    sayings,
    tried,
    unread,
    window,
)
from opslib.core.checks.causes import BACKLOG
from opslib.queues.letters import LETTERS, Dead
from opslib.queues.proofs import BACK, PURGE, SIGNS

QUEUES = dtypes("""
    queue        str
    role         str
    name         str
    visible      int64
    in_flight    int64
    delayed      int64
    oldest_hours float64
    kept_days    float64
    received     float64
    redrives_to  str
""")
DEAD = "dead letters"
NO_CONSUMER = "queue-without-consumer"  # the cause that findings name
_MEASURED = {"ApproximateAgeOfOldestMessage": "Maximum", "NumberOfMessagesReceived": "Sum"}


def list_queues(ops: Connection) -> Frame:
    """Depth of every queue of the target (SQS GetQueueAttributes) and age of its oldest message.

    Columns: QUEUES. Counts are approximate, up to a minute late. The age is CloudWatch's; NaN when
    there is none for the last 15 minutes.
    """
    found, failed = _read(ops)
    for exc in failed.values():
        raise exc
    return found


def _read(ops: Connection) -> tuple[Frame, dict[str, OpsError]]:
    """The queues that could be read, and by name why others could not."""
    roles = {"name": "work", "dead_letters": DEAD}
    named = {
        facts[key]: {"queue": queue, "role": role, "name": facts[key]}
        for queue, facts in ops.target["queues"].items()
        for key, role in roles.items()
        if facts.get(key)
    }
    found = ops.each(
        lambda name: tried(lambda: Queue(ops, name).attributes(), f"queue {name}"), named
    )
    failed = {name: of for name, of in found.items() if isinstance(of, OpsError)}
    asked = {  # by name and metric, of the last 15 minutes: one GetMetricData
        (name, metric): ("AWS/SQS", metric, {"QueueName": name}, statistic, 60)
        for name in named
        for metric, statistic in _MEASURED.items()
    }
    measured = metrics.series(ops, asked, window(ops, 15))
    rows = []
    for name, of in found.items():
        if isinstance(of, OpsError):
            continue
        policy = decoded(of.get("RedrivePolicy", ""), {})
        ages, received = (measured[name, metric] for metric in _MEASURED)
        rows.append(
            {
                **named[name],
                **depths(of),
                "oldest_hours": round(ages.iloc[-1] / 3600, 1) if len(ages) else None,
                "kept_days": int(of["MessageRetentionPeriod"]) / 86400,
                "received": received.sum() if len(received) else None,
                "redrives_to": str(policy.get("deadLetterTargetArn", "")).rpartition(":")[2],
            }
        )
    return frame(rows, QUEUES), failed


@check("Are the queues worked off, and are dead letters kept?")
def check_queues(ops: Connection) -> Findings:
    """Whether each work queue is taken from and keeps up, and sends what fails to its dead letters.

    Evidence: QUEUES.
    """
    found, failed = _read(ops)
    names = {of["name"] for of in ops.target["queues"].values()}
    judged = [unread(f"queue {name}", exc) for name, exc in failed.items() if name in names]
    workers = {job["queue"] for job in ops.target.at("jobs").values() if "queue" in job}
    for row in found[found["role"] != DEAD].itertuples():
        judged.append(_worked_off(row, row.queue in workers))
        if dead := ops.target["queues"][row.queue].get("dead_letters"):
            asked = Question(f"failed messages of {row.queue} are kept", f"in {dead}", _GET)
            seen = f"in {row.redrives_to}" if row.redrives_to else "nowhere: no redrive policy"
            judged.append(asked.judged(row.redrives_to == dead, seen))
    return Findings(judged, found)


_GET = "sqs GetQueueAttributes, GetMetricData AWS/SQS"


def _worked_off(row: Any, has_worker: bool) -> Finding:
    depth = f"{row.visible} visible, {row.in_flight} in flight, {row.delayed} delayed"
    told = row._asdict() | {
        "depth": depth,
        "waits": f"{depth}; the oldest for {row.oldest_hours:g} h",
        "kept": row.oldest_hours / 24 / row.kept_days,
        "has_worker": has_worker,
    }
    return next(sayings(beside(__file__, "work"), told))


def _chosen(ops: Connection, queue: str) -> list[str]:
    """The key of one queue, or of all that have dead letters."""
    facts = ops.target["queues"]
    if queue and facts[queue]["dead_letters"]:  # raises UsageError where there are none
        return [queue]
    return [key for key, of in facts.items() if of.get("dead_letters")]


def _dead(ops: Connection, queue: str, found: Frame) -> Iterable[Any]:
    """Of all queues the chosen ones' dead letters."""
    chosen = found["queue"].isin(_chosen(ops, queue))
    return found[(found["role"] == DEAD) & chosen].itertuples()  # type: ignore[no-any-return]


@check("Is there nothing in the dead-letter queues?")
def check_dead_letters(
    ops: Connection, queue: str = "", follows: str = "queues/dead-letters"
) -> Findings:
    """Depth and age of one queue's dead letters, or of all (empty). Nothing is received.

    Evidence: QUEUES.
    """
    found, failed = _read(ops)
    names = {ops.target["queues"][key]["dead_letters"] for key in _chosen(ops, queue)}
    judged = [unread(f"queue {name}", exc) for name, exc in failed.items() if name in names]
    judged += [_depth_finding(row, follows) for row in _dead(ops, queue, found)]
    return Findings(judged, found)


def _depth_finding(row: Any, follows: str = "") -> Finding:
    asked = Question(
        f"Dead letters of {row.queue}", "0 messages", f"sqs GetQueueAttributes of {row.name}"
    )
    empty = not row.visible + row.in_flight + row.delayed
    seen = f"{row.visible} visible, {row.in_flight} in flight, {row.delayed} delayed"
    if not empty and row.oldest_hours == row.oldest_hours:  # not NaN
        seen += f"; the oldest for {row.oldest_hours:g} h, kept {row.kept_days:g} days"
    return asked.judged(empty, seen, cause=BACKLOG, next=follows)


def find_letters(ops: Connection, queue: str = "") -> Frame:
    """The messages in the dead-letter queues, oldest first, each with why it failed.

    Columns: LETTERS. Received with visibility timeout 0: they stay visible to everybody. Their
    receive count still rises by one for each time that SQS hands them out here; a dead-letter queue
    sends nothing on, so there it has no effect. SQS hands out a sample at a time: of a long queue
    some may not be seen.
    """
    rows = [row for key in _chosen(ops, queue) for row in Dead(ops, key).described()]
    return frame(sorted(rows, key=lambda row: row["sent"]), LETTERS)


@check("Why did these messages fail?")
def check_letters(ops: Connection, queue: str = "") -> Findings:
    """The dead letters grouped by cause: one finding for each, with what follows from it.

    Evidence: some columns of LETTERS; the errors are told by the findings.
    """
    queues, letters = list_queues(ops), find_letters(ops, queue)
    found: list[Finding] = []
    for row in _dead(ops, queue, queues):
        mine = letters[letters["queue"] == row.queue]
        groups = mine.groupby("failure", sort=False)
        flows = ops.target.at("workflows").values()
        of_flow = row.queue in {about.get("queue") for about in flows}
        found += [_group_finding(row, failure, of, of_flow) for failure, of in groups] or [
            _depth_finding(row)
        ]
        if 0 < len(mine) < row.visible:
            asked = Question(f"Dead letters of {row.queue}", "all of them", "sqs ReceiveMessage")
            seen = f"{len(mine)} of {row.visible} were seen: SQS hands out samples; "
            found.append(asked.unknown(f"{seen}run it again to see others"))
    return Findings(found, letters[["queue", "failure", "item", "sent", "receives", "body"]])


def _group_finding(row: Any, failure: str, letters: Frame, of_flow: bool) -> Finding:
    """`of_flow`: the letters are of a work flow, whose executions tell the state that failed; what
    only sends back or throws away follows from the letter alone.
    """
    sign = SIGNS[failure]
    alone = sign.next in (PURGE, BACK.next)
    asked = Question(
        f"Dead letters of {row.queue}: {failure}",
        sign.advice,
        "sqs ReceiveMessage, visibility timeout 0",
    )
    first, last = letters["sent"].min(), letters["sent"].max()
    seen = f"{len(letters)} of {row.visible} messages, {letters['item'].nunique()} items, "
    seen += f"sent {first:%m-%d %H:%M} to {last:%m-%d %H:%M} UTC. "
    seen += cut(letters["error"].iloc[0], 140)
    follows = "workflows/executions" if of_flow and not alone else sign.next
    return asked.critical(seen.strip(), cause=BACKLOG, next=follows)
