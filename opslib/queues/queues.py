"""SQS queues and their dead letters: depth, what failed and why, redrive, purge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opslib.core.checks.causes import BACKLOG
from opslib.core.checks.checks import check
from opslib.core.checks.signs import FAILURES
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound, Refused, UsageError
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws, Read, Wait
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.tables import frame
from opslib.queues.letters import LETTERS, all_of, described, oldest_seconds, sample, settled

if TYPE_CHECKING:
    import pandas as pd

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
MOVES = {
    "status": "str",
    "moved": "int64",
    "of": "int64",
    "started": "datetime64[us, UTC]",
    "failure": "str",
}
DEAD = "dead letters"
_COUNT = "Attributes.ApproximateNumberOfMessages"
_SAVED_BYTES = 2_000_000  # a purge keeps what it destroys in its plan, which the record holds


def list_queues(ops: Connection) -> pd.DataFrame:
    """Depth of every queue of the target (SQS GetQueueAttributes) and age of its oldest message. Columns: QUEUES.

    Counts are approximate, up to a minute late. The age is CloudWatch's; NaN when there is none for the last 15 minutes.
    """
    named = [
        (key, role, name)
        for key, facts in ops.target["queues"].items()
        for role, name in (("work", facts["name"]), (DEAD, facts.get("dead_letters")))
        if name
    ]
    found = ops.gather(
        *(lambda name=name: _attributes(ops, _url(ops, name)) for _, _, name in named)
    )
    ages = oldest_seconds(ops, [name for _, _, name in named])
    rows = [
        {
            "queue": key,
            "role": role,
            "name": name,
            **_counts(attributes),
            "oldest_hours": round(ages[name] / 3600, 1) if name in ages else None,
            "kept_days": int(attributes["MessageRetentionPeriod"]) / 86400,
        }
        for (key, role, name), attributes in zip(named, found, strict=True)
    ]
    return frame(rows, QUEUES)


@check("Is there nothing in the dead-letter queues?")
def check_dead_letters(
    ops: Connection, queue: str = "", follows: str = "queues/dead-letters"
) -> Findings:
    """Depth and age of one queue's dead letters, or of all (empty). Nothing is received. Evidence: QUEUES."""
    found = list_queues(ops)
    dead = found[(found["role"] == DEAD) & found["queue"].isin(_chosen(ops, queue))]
    return Findings([_depth_finding(row, follows) for row in dead.itertuples()], evidence=found)


def _depth_finding(row: Any, follows: str = "") -> Finding:
    total = row.visible + row.in_flight + row.delayed
    seen = f"{row.visible} visible, {row.in_flight} in flight, {row.delayed} delayed"
    if total and row.oldest_hours == row.oldest_hours:  # not NaN
        seen += f"; the oldest for {row.oldest_hours:g} h, kept {row.kept_days:g} days"
    return Finding(
        "critical" if total else "ok",
        f"Dead letters of {row.queue}",
        seen,
        "0 messages",
        f"sqs GetQueueAttributes of {row.name}",
        BACKLOG if total else "",
        follows if total else "",
    )


def find_letters(ops: Connection, queue: str = "") -> pd.DataFrame:
    """The messages in the dead-letter queues, oldest first, each with why it failed. Columns: LETTERS.

    Received with visibility timeout 0: they stay visible to everybody. Their receive count still rises by one for
    each time that SQS hands them out here; a dead-letter queue sends nothing on, so there it has no effect.
    SQS hands out a sample at a time: of a long queue some may not be seen.
    """
    rows: list[dict[str, Any]] = []
    for key in _chosen(ops, queue):
        url = _url(ops, _dead_letters(ops, key))
        depth = _counts(_attributes(ops, url))["visible"]
        rows += described(ops, key, sample(ops, url, depth)) if depth else []
    return frame(sorted(rows, key=lambda row: row["sent"]), LETTERS)


@check("Why did these messages fail?")
def check_letters(ops: Connection, queue: str = "") -> Findings:
    """The dead letters grouped by cause: one finding for each, with what follows from it.

    Evidence: some columns of LETTERS; the errors are told by the findings.
    """
    depths, letters = list_queues(ops), find_letters(ops, queue)
    dead = depths[(depths["role"] == DEAD) & depths["queue"].isin(_chosen(ops, queue))]
    findings: list[Finding] = []
    for row in dead.itertuples():
        mine = letters[letters["queue"] == row.queue]
        groups = mine.groupby("failure", sort=False)
        findings += [
            _group_finding(row.queue, failure, of, row.visible) for failure, of in groups
        ] or [_depth_finding(row)]
        if 0 < len(mine) < row.visible:
            findings.append(
                Finding(
                    "unknown",
                    f"Dead letters of {row.queue}",
                    f"{len(mine)} of {row.visible} were seen: SQS hands "
                    "out samples; run it again to see others",
                    "all of them",
                    "sqs ReceiveMessage",
                )
            )
    return Findings(
        findings, evidence=letters[["queue", "failure", "item", "sent", "receives", "body"]]
    )


def _group_finding(queue: str, failure: str, letters: pd.DataFrame, of: int) -> Finding:
    kind = next(kind for kind in FAILURES if kind.name == failure)
    example = letters["error"].iloc[0]
    span = f"{letters['sent'].min():%m-%d %H:%M} to {letters['sent'].max():%m-%d %H:%M} UTC"
    seen = f"{len(letters)} of {of} messages, {letters['item'].nunique()} items, sent {span}"
    return Finding(
        "critical",
        f"Dead letters of {queue}: {failure}",
        f"{seen}. {example[:140]}".strip(),
        kind.advice,
        "sqs ReceiveMessage, visibility timeout 0",
        BACKLOG,
        kind.next,
    )


def list_moves(ops: Connection, queue: str) -> pd.DataFrame:
    """The ten latest redrives of a queue's dead letters, newest first (SQS ListMessageMoveTasks). Columns: MOVES."""
    return frame(
        map(_move, _moves(ops, _attributes(ops, _url(ops, _dead_letters(ops, queue)))["QueueArn"])),
        MOVES,
    )


def _move(task: dict[str, Any]) -> dict[str, Any]:
    from datetime import UTC, datetime

    return {
        "status": task["Status"],
        "moved": task.get("ApproximateNumberOfMessagesMoved", 0),
        "of": task.get("ApproximateNumberOfMessagesToMove", 0),
        "started": datetime.fromtimestamp(task["StartedTimestamp"] / 1000, UTC),
        "failure": task.get("FailureReason", ""),
    }


@planner
def plan_redrive(ops: Connection, queue: str, per_second: int = 0) -> Planned:
    """Send a queue's dead letters back to be worked on again; `per_second` 0: as fast as SQS will (at most 500).

    Raises Refused: a move is running, or the dead letters do not come from this queue.
    """
    dead, work = _dead_letters(ops, queue), ops.target["queues"][queue]["name"]
    if not 0 <= per_second <= 500:
        raise UsageError(
            f"per_second={per_second}: SQS takes 1 to 500 messages a second, or 0 for as fast as it will."
        )
    url = _url(ops, dead)
    attributes = _attributes(ops, url)
    arn, waiting = attributes["QueueArn"], _counts(attributes)["visible"]
    _refuse_while_moving(ops, dead, arn)
    if not waiting:
        return Planned(
            f"{dead} stays as it is", [], [f"{dead} is empty: there is nothing to send back."]
        )
    sources = ops.pages("sqs", "list_dead_letter_source_queues", "queueUrls[]", QueueUrl=url)
    if work not in {source.rsplit("/", 1)[-1] for source in sources}:
        raise Refused(
            f"{dead} is not the dead-letter queue of {work} in {ops.where} (its RedrivePolicy says so). "
            "SQS does not know where to send its messages. Nothing was changed; correct the queue or its target's file."
        )
    return Planned(
        f"send {waiting} dead letters back to {work}",
        _redrive_steps(dead, work, arn, waiting, per_second),
        [
            "What fails again comes back here after its retries. Send them back only when their cause is mended.",
            "A move that runs too fast can be stopped: sqs cancel_message_move_task. What was moved stays moved.",
        ],
    )


def _redrive_steps(dead: str, work: str, arn: str, waiting: int, per_second: int) -> list[Step]:
    rate = {"MaxNumberOfMessagesPerSecond": per_second} if per_second else {}
    status = ("sqs", "list_message_move_tasks", "Results[0].Status")
    patience = 600 + (2 * waiting // per_second if per_second else waiting // 50)
    return [
        Step(
            f"Send {waiting} messages of {dead} back to {work}",
            Aws("sqs", "start_message_move_task", SourceArn=arn, **rate),
            before=f"{waiting} in {dead}",
            after=f"they are in {work}",
        ),
        Step(
            "Wait until SQS has moved them",
            Wait(
                *status,
                pending=["RUNNING", "CANCELLING"],
                expect=["COMPLETED"],
                timeout_seconds=patience,
                SourceArn=arn,
            ),
            after="COMPLETED",
            undo=[],
            observe=Read(*status, SourceArn=arn),
        ),
    ]


@check("Did the messages go back, and stay away?")
def check_redrive(ops: Connection, queue: str) -> Findings:
    """The latest move came to its end, and the dead-letter queue is empty (its count is up to a minute late)."""
    dead = _dead_letters(ops, queue)
    moves = list_moves(ops, queue)
    if moves.empty:
        raise NotFound(
            f"{dead} has no move task in {ops.where}: nothing was sent back. Start with queues/redrive."
        )
    last = moves.iloc[0]
    seen = f"{last['status']}: {last['moved']} of {last['of']} moved{': ' if last['failure'] else ''}{last['failure']}"
    moved = Finding(
        "ok" if last["status"] == "COMPLETED" else "critical",
        f"Redrive of {dead}",
        seen,
        "COMPLETED",
        "sqs ListMessageMoveTasks",
        "",
        "" if last["status"] == "COMPLETED" else "queues/dead-letters",
    )
    url = _url(ops, dead)
    left = settled(lambda: _counts(_attributes(ops, url))["visible"])
    stays = Finding(
        "critical" if left else "ok",
        f"Dead letters of {queue} after it",
        f"{left} visible",
        "0 messages",
        f"sqs GetQueueAttributes of {dead}",
        BACKLOG if left else "",
        "queues/dead-letters" if left else "",
    )
    return Findings([moved, stays], evidence=list_queues(ops))


@planner
def plan_purge(ops: Connection, queue: str) -> Planned:
    """Destroy a queue's dead letters. What is destroyed is kept in the plan, so the record has it.

    To read all of them they are hidden for some seconds, then given back: a sample would not do.
    Raises Refused: some are in flight or delayed, a move is running, the count moved, or they are too much to keep.
    """
    dead = _dead_letters(ops, queue)
    url = _url(ops, dead)
    attributes = _attributes(ops, url)
    counts = _counts(attributes)
    _refuse_while_moving(ops, dead, attributes["QueueArn"])
    if counts["in_flight"] or counts["delayed"]:
        raise Refused(
            f"{dead}: {counts['in_flight']} messages in flight, {counts['delayed']} delayed. A purge would take them "
            "unseen. Nothing was changed; wait until whoever reads them is done, then preview again."
        )
    if not counts["visible"]:
        return Planned(
            f"{dead} stays as it is", [], [f"{dead} is empty: there is nothing to purge."]
        )
    kept = _saved(ops, dead, url, counts["visible"])
    return Planned(
        f"destroy {len(kept)} dead letters of {queue}",
        _purge_steps(dead, url, kept),
        [
            f"All {len(kept)} messages are in this plan and so in the record: id, time sent, attributes, body.",
            "SQS also destroys what arrives while it purges, and allows one purge in 60 seconds.",
        ],
    )


def _saved(ops: Connection, dead: str, url: str, counted: int) -> list[dict[str, Any]]:
    """All messages of a queue. Raises Refused when it cannot be all of them, or when they are too much for a record."""
    kept = all_of(ops, url)
    again = _counts(_attributes(ops, url))["visible"]
    if not len(kept) == counted == again:
        raise Refused(
            f"{dead}: {counted} messages were counted, {len(kept)} read, then {again} counted. Messages come or go, so a "
            "purge would take some unseen. Nothing was changed; preview again in a minute."
        )
    if (size := sum(len(message["body"]) for message in kept)) > _SAVED_BYTES:
        raise Refused(
            f"{dead}: {len(kept)} messages hold {size / 1e6:.1f} MB, more than a plan keeps ({_SAVED_BYTES / 1e6:g} MB). "
            "Nothing was changed; send back what can be worked on first (queues/redrive)."
        )
    return kept


def _purge_steps(dead: str, url: str, kept: list[dict[str, Any]]) -> list[Step]:
    count, at = (
        f"to_number({_COUNT})",
        {"QueueUrl": url, "AttributeNames": ["ApproximateNumberOfMessages"]},
    )
    return [
        Step(
            f"Destroy the {len(kept)} messages of {dead}",
            Aws("sqs", "purge_queue", QueueUrl=url),
            before=kept,
            after="none",
        ),
        Step(
            "Wait until it is empty; SQS takes up to 60 seconds",
            Wait(
                "sqs",
                "get_queue_attributes",
                f"{count} == `0`",
                pending=[False],
                expect=[True],
                timeout_seconds=120,
                **at,
            ),
            before=len(kept),
            after=0,
            undo=[],
            observe=Read("sqs", "get_queue_attributes", count, **at),
        ),
    ]


def _chosen(ops: Connection, queue: str) -> list[str]:
    """The key of one queue, or of all that have dead letters."""
    if queue:
        _dead_letters(ops, queue)
        return [queue]
    return [key for key, facts in ops.target["queues"].items() if facts.get("dead_letters")]


def _dead_letters(ops: Connection, queue: str) -> str:
    name: str = ops.target["queues"][queue]["dead_letters"]
    return name


def _url(ops: Connection, name: str) -> str:
    url: str = ops.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"]
    return url


def _attributes(ops: Connection, url: str) -> dict[str, str]:
    found: dict[str, str] = ops.call(
        "sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"]
    )["Attributes"]
    return found


def _counts(attributes: dict[str, str]) -> dict[str, int]:
    suffixes = {"visible": "", "in_flight": "NotVisible", "delayed": "Delayed"}
    return {
        name: int(attributes[f"ApproximateNumberOfMessages{suffix}"])
        for name, suffix in suffixes.items()
    }


def _moves(ops: Connection, arn: str) -> Iterator[dict[str, Any]]:
    return iter(
        ops.call("sqs", "list_message_move_tasks", SourceArn=arn, MaxResults=10).get("Results", ())
    )


def _refuse_while_moving(ops: Connection, dead: str, arn: str) -> None:
    for task in _moves(ops, arn):
        if task["Status"] in ("RUNNING", "CANCELLING"):
            raise Refused(
                f"A move of {dead} is {task['Status'].lower()} already: {task.get('ApproximateNumberOfMessagesMoved', 0)} of "
                f"{task.get('ApproximateNumberOfMessagesToMove', '?')} moved. Nothing was changed; wait for its end."
            )
