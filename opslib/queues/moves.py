"""Dead letters sent back to be worked on again, or destroyed."""

from collections import Counter
from collections.abc import Iterator

from opslib.core import (
    Aws,
    Connection,
    Discard,
    Findings,
    Frame,
    Json,
    NotFound,
    Planned,
    Question,
    Queue,
    Read,
    Refused,
    Step,
    UsageError,
    Wait,
    check,
    depths,
    dtypes,
    frame,
    planner,
    poll,
)
from opslib.core.checks.causes import BACKLOG
from opslib.queues.letters import Dead
from opslib.queues.proofs import PURGE
from opslib.queues.queues import list_queues

MOVES = dtypes("""
    status  str
    moved   int64
    of      int64
    started utc
    failure str
""")
_ROW = """{
    status: Status,
    moved: ApproximateNumberOfMessagesMoved || `0`,
    of: ApproximateNumberOfMessagesToMove || `0`,
    started: StartedTimestamp,
    failure: FailureReason || ''
}"""
_RUNNING = ["RUNNING", "CANCELLING"]
_SAVED_BYTES = 2_000_000  # a purge keeps what it destroys in its plan, which the record holds


def list_moves(ops: Connection, queue: str) -> Frame:
    """The ten latest redrives of a queue's dead letters, newest first (SQS ListMessageMoveTasks).

    Columns: MOVES.
    """
    source = Dead(ops, queue).attributes()["QueueArn"]
    asked = "sqs", "list_message_move_tasks", f"Results[].{_ROW}"
    found = ops.pages(*asked, SourceArn=source, MaxResults=10)
    return frame((row | {"started": row["started"] * 1_000_000} for row in found), MOVES)


def _refuse_while_moving(dead: Dead) -> None:
    moves = list_moves(dead.ops, dead.queue)
    for move in moves[moves["status"].isin(_RUNNING)].itertuples():
        raise Refused(
            f"A move of {dead.name} is {move.status.lower()} already: {move.moved} of "
            f"{move.of or '?'} moved. Nothing was changed; wait for its end."
        )


def _refuse_others(dead: Dead, work: str, sources: set[str], verb: str) -> None:
    """A dead-letter queue of several work queues moves, or is emptied, as a whole.

    Raises Refused unless every letter in it is seen to have come from this work queue.
    """
    others = sorted(sources - {work})
    if not others:
        return
    come = dead.origins()
    strange = {name: number for name, number in come.items() if name != work}
    if not strange and come.get(work, 0) >= dead.count():
        return
    whose = ", ".join(f"{number} of {name or 'unknown origin'}" for name, number in strange.items())
    raise Refused(
        f"{dead.name} also holds the dead letters of {', '.join(others)}, and SQS would {verb} all "
        f"of them: {come.get(work, 0)} were seen of {work}, {whose or 'and not all were seen'}. "
        "Nothing was changed. Look at all of them (queues/dead-letters), and give each work queue "
        "a dead-letter queue of its own."
    )


@planner
def plan_redrive(ops: Connection, queue: str, per_second: int = 0) -> Planned:
    """Send a queue's dead letters back to be worked on again; `per_second` 0.

    As fast as SQS will (at most 500). Raises Refused: a move is running, or dead letters of another
    queue are, or may be, among them.
    """
    work = ops.target["queues"][queue]["name"]
    if not 0 <= per_second <= 500:
        raise UsageError(
            f"per_second={per_second}: SQS takes 1 to 500 messages a second, "
            "or 0 for as fast as it will."
        )
    dead = Dead(ops, queue)
    attributes = dead.attributes()
    _refuse_while_moving(dead)
    waiting = depths(attributes)["visible"]
    if not waiting:
        note = f"{dead.name} is empty: there is nothing to send back."
        return Planned(f"{dead.name} stays as it is", notes=[note])
    sources = dead.sources()
    if work not in sources:
        raise Refused(
            f"{dead.name} is not the dead-letter queue of {work} in {ops.where} (its RedrivePolicy "
            "says so). SQS does not know where to send its messages. Nothing was changed; correct "
            "the queue or its target's file."
        )
    _refuse_others(dead, work, sources, "send back")
    at = {"SourceArn": attributes["QueueArn"]}
    # said, since SQS knows where a letter came from only where it put it there itself
    to = {"DestinationArn": Queue(ops, work).attributes()["QueueArn"]}
    rate = {"MaxNumberOfMessagesPerSecond": per_second} if per_second else {}
    status = ("sqs", "list_message_move_tasks", "Results[0].Status")
    patience = 600 + (2 * waiting // per_second if per_second else waiting // 50)
    steps = [
        Step(
            f"Send {waiting} messages of {dead.name} back to {work}",
            Aws("sqs", "start_message_move_task", **at, **to, **rate),
            f"{waiting} in {dead.name}",
            f"they are in {work}",
        ),
        Step(
            "Wait until SQS has moved them",
            Wait(*status, _RUNNING, ["COMPLETED"], patience, **at),
            after="COMPLETED",
            undo=[],
            observe=Read(*status, **at),
        ),
    ]
    return Planned(
        f"send {waiting} dead letters back to {work}",
        steps,
        [
            "What fails again comes back here after its retries. "
            "Send them back only when their cause is mended.",
            "A move that runs too fast can be stopped: sqs cancel_message_move_task. "
            "What was moved stays moved.",
        ],
    )


@check("Did the messages go back, and stay away?")
def check_redrive(ops: Connection, queue: str) -> Findings:
    """The latest move came to its end, and the dead-letter queue is empty.

    Its count is up to a minute late.
    """
    dead = Dead(ops, queue)
    last = next(list_moves(ops, queue).itertuples(), None)
    if last is None:
        raise NotFound(
            f"{dead.name} has no move task in {ops.where}: nothing was sent back. "
            "Start with queues/redrive."
        )
    follows = "queues/dead-letters"
    went = Question(f"Redrive of {dead.name}", "COMPLETED", "sqs ListMessageMoveTasks")
    seen = f"{last.status}: {last.moved} of {last.of} moved"
    seen += f": {last.failure}" if last.failure else ""
    left, _ = poll(dead.count, lambda left: not left, 60)
    stays = Question(
        f"Dead letters of {queue} after it", "0 messages", f"sqs GetQueueAttributes of {dead.name}"
    )
    return Findings(
        [
            went.judged(last.status == "COMPLETED", seen, next=follows),
            stays.judged(not left, f"{left} visible", cause=BACKLOG, next=follows),
        ],
        list_queues(ops),
    )


@planner
def plan_purge(ops: Connection, queue: str) -> Planned:
    """Destroy a queue's dead letters. What is destroyed is kept in the plan, so the record has it.

    To read all of them they are hidden for some seconds, then given back: a sample would not do.
    Raises Refused: some are in flight or delayed, are of another work queue, a move is running, the
    count moved, or they are too much to keep.
    """
    dead = Dead(ops, queue)
    counts = depths(dead.attributes())
    _refuse_while_moving(dead)
    if counts["in_flight"] or counts["delayed"]:
        raise Refused(
            f"{dead.name}: {counts['in_flight']} messages in flight, {counts['delayed']} delayed. "
            "A purge would take them unseen. Nothing was changed; wait until whoever reads them is "
            "done, then preview again."
        )
    if not counts["visible"]:
        note = f"{dead.name} is empty: there is nothing to purge."
        return Planned(f"{dead.name} stays as it is", notes=[note])
    work = ops.target["queues"][queue]["name"]
    _refuse_others(dead, work, dead.sources(), "destroy")
    kept = _saved(dead, counts["visible"])
    steps = [
        Step(
            f"Destroy these {len(kept)} messages of {dead.name}",
            Discard(dead.url, [message["id"] for message in kept]),
            kept,
            "none of them",
        ),
    ]
    return Planned(
        f"destroy {len(kept)} dead letters of {queue}",
        steps,
        [
            f"All {len(kept)} messages are in this plan and so in the record: "
            "id, time sent, attributes, body.",
            "Only these are destroyed, each by its id: what arrives meanwhile stays.",
            *_hopeful(dead, kept),
        ],
    )


def _hopeful(dead: Dead, kept: list[Json]) -> Iterator[str]:
    """A warning of the letters that may yet be worked on, whose cause may pass or be mended."""
    signs = [why.sign for why in dead.explain([(of["attributes"], of["body"]) for of in kept])]
    counts = Counter(sign.name for sign in signs if sign.next != PURGE)
    if counts:
        named = ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
        yield (
            f"LOST THOUGH THEY MAY YET BE WORKED ON: {counts.total()} of {len(kept)} ({named}). "
            "Sent back (queues/redrive) they are not lost."
        )


def _saved(dead: Dead, counted: int) -> list[Json]:
    """All messages of a queue.

    Raises Refused when it cannot be all of them, or when they are too much for a record.
    """
    kept, again = dead.every(), dead.count()
    if not len(kept) == counted == again:
        raise Refused(
            f"{dead.name}: {counted} messages were counted, {len(kept)} read, then {again} "
            "counted. Messages come or go, so a purge would take some unseen. "
            "Nothing was changed; preview again in a minute."
        )
    if (size := sum(len(message["body"]) for message in kept)) > _SAVED_BYTES:
        raise Refused(
            f"{dead.name}: {len(kept)} messages hold {size / 1e6:.1f} MB, more than a plan keeps "
            f"({_SAVED_BYTES / 1e6:g} MB). Nothing was changed; send back what can be worked on "
            "first (queues/redrive)."
        )
    return kept
