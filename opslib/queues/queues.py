"""SQS queues and their dead letters: how deep they are, what failed and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Question,
    check,
    frame,
    window,
)
from opslib.core.checks.causes import BACKLOG
from opslib.core.reads import metrics
from opslib.core.text import cut
from opslib.queues.letters import LETTERS, Dead, Queue, depths
from opslib.queues.proofs import SIGNS

QUEUES = {
    "queue": "str",
    "role": "str",
    "name": "str",
    "visible": "int64",
    "in_flight": "int64",
    "delayed": "int64",
    "oldest_hours": "float64",
    "kept_days": "float64",
}
DEAD = "dead letters"


def list_queues(ops: Connection) -> Frame:
    """Depth of every queue of the target (SQS GetQueueAttributes) and age of its oldest message.

    Columns: QUEUES. Counts are approximate, up to a minute late. The age is CloudWatch's; NaN when
    there is none for the last 15 minutes.
    """
    roles = {"name": "work", "dead_letters": DEAD}
    named = {
        facts[key]: {"queue": queue, "role": role, "name": facts[key]}
        for queue, facts in ops.target["queues"].items()
        for key, role in roles.items()
        if facts.get(key)
    }
    found = ops.each(lambda name: Queue(ops, name).attributes(), named, "queue {}")
    hours = _oldest_hours(ops, named)
    rows = []
    for name, of in found.items():
        kept = int(of["MessageRetentionPeriod"]) / 86400
        rows.append(
            {**named[name], **depths(of), "oldest_hours": hours.get(name), "kept_days": kept}
        )
    return frame(rows, QUEUES)


def _oldest_hours(ops: Connection, names: Iterable[str]) -> dict[str, float]:
    """Age of the oldest message by queue name, of the last 15 minutes (one GetMetricData)."""
    metric = "AWS/SQS", "ApproximateAgeOfOldestMessage"
    queries = [
        metrics.asked(f"m{i}", *metric, {"QueueName": name}, "Maximum", 60, name)
        for i, name in enumerate(names)
    ]
    found = metrics.query(ops, queries, window(ops, 15))
    return dict((found.groupby("label")["value"].last() / 3600).round(1))


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
    found = list_queues(ops)
    return Findings((_depth_finding(row, follows) for row in _dead(ops, queue, found)), found)


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
        found += [_group_finding(row, failure, of) for failure, of in groups] or [
            _depth_finding(row)
        ]
        if 0 < len(mine) < row.visible:
            asked = Question(f"Dead letters of {row.queue}", "all of them", "sqs ReceiveMessage")
            seen = f"{len(mine)} of {row.visible} were seen: SQS hands out samples; "
            found.append(asked.answer("unknown", f"{seen}run it again to see others"))
    return Findings(found, letters[["queue", "failure", "item", "sent", "receives", "body"]])


def _group_finding(row: Any, failure: str, letters: Frame) -> Finding:
    sign = SIGNS[failure]
    asked = Question(
        f"Dead letters of {row.queue}: {failure}",
        sign.advice,
        "sqs ReceiveMessage, visibility timeout 0",
    )
    first, last = letters["sent"].min(), letters["sent"].max()
    seen = f"{len(letters)} of {row.visible} messages, {letters['item'].nunique()} items, "
    seen += f"sent {first:%m-%d %H:%M} to {last:%m-%d %H:%M} UTC. "
    seen += cut(letters["error"].iloc[0], 140)
    return asked.answer("critical", seen.strip(), cause=BACKLOG, next=sign.next)
