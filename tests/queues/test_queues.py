"""Queues: dead letters seen without being hidden, sent back, destroyed with a copy kept."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from opslib import OpsError, apply
from opslib.core.actions.exact import Discard
from opslib.core.checks import signs
from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused, UsageError
from opslib.queues import letters, moves, queues
from opslib.queues.letters import Dead

TARGET = "lab/bluemoxon-staging"
BACKLOG = "dead-letter-backlog"

pytestmark = pytest.mark.usefixtures("records_folder")  # what is applied here is kept elsewhere


@pytest.fixture
def backlog(lab: Any, ops: Connection) -> Iterator[Connection]:
    with lab.broken(BACKLOG):
        yield ops


def dead_letters(ops: Connection) -> dict[str, int]:
    found = queues.list_queues(ops).set_index(["queue", "role"]).loc[("analysis", queues.DEAD)]
    return {name: int(found[name]) for name in ("visible", "in_flight", "delayed")}


def url(ops: Connection) -> str:
    name = ops.target["queues"]["analysis"]["dead_letters"]
    return str(ops.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"])


def test_queues_that_are_well_name_no_cause(ops: Connection) -> None:
    found = queues.check_letters(ops)
    assert (found.worst, found.causes) == ("ok", set())
    assert list(queues.find_letters(ops).columns) == list(letters.LETTERS)
    assert queues.check_dead_letters(ops).worst == "ok"


def test_a_backlog_is_grouped_by_cause_with_what_follows_from_each(backlog: Connection) -> None:
    found = queues.check_letters(backlog)
    assert found.causes == {BACKLOG}
    assert {(f.check.split(": ")[1], f.next) for f in found if f.status == "critical"} == {
        ("throttled", "logs/throttling"),
        ("images too large", "jobs/oversized"),
        ("message cannot be read", "queues/purge"),
    }
    assert len(found.evidence) == 24


def test_the_depth_alone_names_the_backlog_and_receives_nothing(backlog: Connection) -> None:
    before = [
        event for event in backlog.journal.events if event.get("operation") == "ReceiveMessage"
    ]
    found = queues.check_dead_letters(backlog)
    assert (found.worst, found.causes) == ("critical", {BACKLOG})
    assert [
        event for event in backlog.journal.events if event.get("operation") == "ReceiveMessage"
    ] == before


def test_looking_hides_no_message(backlog: Connection, lab: Any) -> None:
    before = lab.state()
    assert len(queues.find_letters(backlog, "analysis")) == 24
    assert dead_letters(backlog) == {"visible": 24, "in_flight": 0, "delayed": 0}
    assert lab.state() == before


def test_redrive_empties_the_dead_letter_queue(backlog: Connection) -> None:
    applied = apply(backlog, moves.plan_redrive(backlog, "analysis"), "now")
    found = applied.verify(moves.check_redrive, "analysis")
    assert found.worst == "ok"
    assert dead_letters(backlog)["visible"] == 0
    moved = moves.moves_of(Dead(backlog, "analysis"))[0]
    assert (moved["status"], moved["moved"]) == ("COMPLETED", "24 of 24 moved")


def test_redrive_is_refused_while_a_move_runs(backlog: Connection) -> None:
    name = backlog.target["queues"]["analysis"]["dead_letters"]
    arn = f"arn:aws:sqs:{backlog.target.region}:{backlog.target.account}:{name}"
    task = backlog.call(
        "sqs", "start_message_move_task", SourceArn=arn, MaxNumberOfMessagesPerSecond=1
    )
    try:
        for planner in (moves.plan_redrive, moves.plan_purge):
            with pytest.raises(
                Refused, match=f"move of {name} is running already.*Nothing was changed"
            ):
                planner(backlog, "analysis")
    finally:
        backlog.call("sqs", "cancel_message_move_task", TaskHandle=task["TaskHandle"])
        dead = Dead(backlog, "analysis")
        while {move["status"] for move in moves.moves_of(dead)} & {"RUNNING", "CANCELLING"}:
            time.sleep(0.1)


def test_a_rate_that_sqs_would_not_take_is_refused_before_anything_happens(
    backlog: Connection,
) -> None:
    with pytest.raises(UsageError, match=r"per_second=900.*1 to 500"):
        moves.plan_redrive(backlog, "analysis", 900)


def test_nothing_to_redrive_or_purge_is_a_plan_without_steps(ops: Connection) -> None:
    assert moves.plan_redrive(ops, "analysis").steps == ()
    assert moves.plan_purge(ops, "analysis").steps == ()


@pytest.mark.slow
def test_purge_keeps_in_its_plan_what_it_destroys(backlog: Connection) -> None:
    bodies = sorted(queues.find_letters(backlog, "analysis")["body"])
    plan = moves.plan_purge(backlog, "analysis")
    assert sorted(message["body"] for message in plan.steps[0].before) == bodies
    assert not plan.reversible
    assert plan.notes[-1].startswith("LOST THOUGH THEY MAY YET BE WORKED ON: ")
    assert "throttled" in plan.notes[-1]
    assert "cannot be read" not in plan.notes[-1]
    applied = apply(backlog, plan, "now")
    assert applied.verify(queues.check_dead_letters, "analysis").worst == "ok"
    kept = [event["plan"] for event in backlog.journal.events if event["event"] == "plan"][-1]
    assert len(json.loads(json.dumps(kept, default=str))["steps"][0]["before"]) == 24


@pytest.mark.slow
def test_a_new_message_makes_an_approved_purge_unfit(backlog: Connection) -> None:
    approved = moves.plan_purge(backlog, "analysis").id
    sent = backlog.call(
        "sqs", "send_message", QueueUrl=url(backlog), MessageBody='{"book_id": 500}'
    )
    try:
        with pytest.raises(Refused, match="not what would be done now"):
            apply(backlog, moves.plan_purge(backlog, "analysis"), approved)
        assert dead_letters(backlog)["visible"] == 25
    finally:
        delete(backlog, sent["MessageId"])


@pytest.mark.slow
def test_a_message_that_arrives_while_a_purge_is_applied_stays(backlog: Connection) -> None:
    """After the plan was made again, too."""
    plan = moves.plan_purge(backlog, "analysis")
    body = '{"book_id": 501}'
    sent = backlog.call("sqs", "send_message", QueueUrl=url(backlog), MessageBody=body)
    try:
        apply(backlog, dataclasses.replace(plan, again=None), "now")
        assert dead_letters(backlog) == {"visible": 1, "in_flight": 0, "delayed": 0}
        assert list(queues.find_letters(backlog, "analysis")["body"]) == [body]
    finally:
        delete(backlog, sent["MessageId"])


@pytest.mark.slow
def test_messages_that_somebody_took_since_are_told(backlog: Connection) -> None:
    plan = moves.plan_purge(backlog, "analysis")
    delete(backlog, plan.steps[0].before[0]["id"])
    with pytest.raises(OpsError, match="23 of 24 messages were deleted; 1 were not met"):
        apply(backlog, dataclasses.replace(plan, again=None), "now")
    assert dead_letters(backlog) == {"visible": 0, "in_flight": 0, "delayed": 0}


@pytest.mark.parametrize("fails", ["delete_message_batch", "change_message_visibility_batch"])
def test_what_a_purge_destroyed_before_a_call_failed_is_told(fails: str) -> None:
    """Ten letters a call; what cannot be given back comes back by itself."""
    waiting = [f"{at:02}" for at in range(25)] + ["another's"]

    def call(service: str, operation: str, /, **given: Any) -> Any:
        if operation == fails and (fails.startswith("change") or len(waiting) < 10):
            raise OpsError("MessageNotInflight")
        if operation == "receive_message":
            taken, waiting[:] = waiting[:10], waiting[10:]
            return {"Messages": [{"MessageId": id, "ReceiptHandle": id} for id in taken]}
        return {"QueueUrl": "url"}

    ops: Any = SimpleNamespace(call=call, call_again=call)
    purge = Discard("url", [f"{at:02}" for at in range(25)])
    if fails.startswith("change"):
        assert purge.perform(ops) == {"deleted": 25, "given_back": 1}
    else:
        with pytest.raises(OpsError, match="10 of 25 messages were deleted; 15 were not") as raised:
            purge.perform(ops)
        assert raised.value.done == {"deleted": 10, "given_back": 0}


def delete(ops: Connection, message: str) -> None:
    for _ in range(10):
        for found in ops.call(
            "sqs", "receive_message", QueueUrl=url(ops), MaxNumberOfMessages=10, VisibilityTimeout=0
        )["Messages"]:
            if found["MessageId"] == message:
                ops.call(
                    "sqs", "delete_message", QueueUrl=url(ops), ReceiptHandle=found["ReceiptHandle"]
                )
                return


def coming_round(many: int) -> Callable[..., dict[str, Any]]:
    """A queue that hands out so many letters in turn, for ever: none stays hidden for long."""
    sent = {"SentTimestamp": "1700000000000"}
    letters = [
        {"MessageId": str(at), "ReceiptHandle": "r", "Attributes": sent, "Body": "{}"}
        for at in range(many)
    ]
    turns = itertools.cycle(letters)
    return lambda *_: {each["MessageId"]: each for each in itertools.islice(turns, 10)}


def test_letters_that_come_round_again_while_they_are_read_end_the_reading(
    backlog: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters.Dead, "receive", staticmethod(coming_round(24)))
    assert len(letters.Dead(backlog, "analysis").every()) == 24
    monkeypatch.setattr(letters.Dead, "receive", staticmethod(coming_round(90)))
    with pytest.raises(Refused, match="24 messages were counted, 90 read"):
        moves.plan_purge(backlog, "analysis")


def test_of_a_long_queue_some_letters_are_seen_and_that_is_said(
    backlog: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "_MOST", 10)
    found = queues.check_letters(backlog, "analysis")
    (asked,) = [each for each in found if each.status == "unknown"]
    assert re.match(r"1\d of 24 were seen", asked.seen)


def test_purge_is_refused_while_messages_are_in_flight(backlog: Connection) -> None:
    taken = backlog.call("sqs", "receive_message", QueueUrl=url(backlog), VisibilityTimeout=60)[
        "Messages"
    ][0]
    with pytest.raises(Refused, match=r"1 messages in flight.*Nothing was changed"):
        moves.plan_purge(backlog, "analysis")
    backlog.call(
        "sqs",
        "change_message_visibility",
        QueueUrl=url(backlog),
        ReceiptHandle=taken["ReceiptHandle"],
        VisibilityTimeout=0,
    )


def test_an_unknown_queue_offers_the_nearest(ops: Connection) -> None:
    with pytest.raises(UsageError, match=r"Unknown queues 'analyses'.*Did you mean 'analysis'"):
        queues.check_letters(ops, "analyses")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        ("ValidationException: Input is too long for requested model.", "images too large"),
        ("ThrottlingException: Too many requests, please wait", "throttled"),
        ("TooManyRequestsException", "throttled"),
        ("anthropic.APIStatusError: 529 overloaded_error", "throttled"),
        ("FATAL: remaining connection slots are reserved", "no connection free"),
        ("FATAL: sorry, too many clients already", "no connection free"),
        ("image exceeds 5 MB maximum", "images too large"),
        ("Invalid PDF structure", "item cannot be read"),
        ("The message is not JSON: Expecting value", "message cannot be read"),
        ("KeyError: 'book_id'", "message cannot be read"),
        ("AccessDeniedException: User is not authorized to perform", "denied"),
        ("NoSuchKey: The specified key does not exist.", "what it needs is gone"),
        ("2026-11-22T10:00:00Z abc Task timed out after 600.00 seconds", "function timed out"),
        ("Runtime.ImportModuleError: No module named 'pydantic_core'", "code cannot be loaded"),
        ("QueuePool limit of size 5 overflow 10 reached, timed out", "no connection free"),
        ("Error: Runtime exited with error: signal: killed", "out of memory"),
        ("java.lang.OutOfMemoryError: Java heap space", "out of memory"),
        ("Net::OpenTimeout: execution expired", "timed out"),
        ("dial tcp: lookup db on 10.0.0.2:53: no such host", "timed out"),
        ("ActiveRecord::RecordNotFound: Couldn't find User with 'id'=12", "what it needs is gone"),
        ("ModelNotFoundException: No query results for model [User]", "what it needs is gone"),
        ("Listener failed; Could not read JSON: Unexpected character", "message cannot be read"),
        ("ZeroDivisionError: division by zero", "other error"),
        ("BusinessLogicException: order is locked", "other error"),
        ("ClassCastException: class com.shop.Order (in ClassLoader app)", "other error"),
        ("UniqueViolation: duplicate key DETAIL: Key (id)=(404) already exists.", "other error"),
        ("product 404 is not available in this country", "other error"),
        (
            'PriceError: none\n  File "/var/task/throttling.py", line 3\n    timeout()',
            "other error",
        ),
        ("Error: no price\n    at get (/app/ssl.js:1:2)\n    at timeout (x.js:1)", "other error"),
        ("HikariPool-1 - Connection is not available, timed out", "no connection free"),
        ("Knex: Timeout acquiring a connection. The pool is full", "no connection free"),
        ("READONLY You can't write against a read only replica", "cache takes no writes"),
        ("OOM command not allowed when used memory > 'maxmemory'", "cache takes no writes"),
        ("OutOfMemoryError: Container killed due to memory usage", "out of memory"),
        ("The container exited with exit code 137", "out of memory"),
        ("InvalidAccessKeyId: The key does not exist in our records", "denied"),
        ("KMSInvalidStateException: arn:aws:kms:x is pending deletion", "denied"),
        ("CredentialsProviderError: Could not load credentials", "denied"),
        ("jwt expired", "denied"),
        ("must be owner of table books", "denied"),
        ("TransactionCanceledException: [TransactionConflict]", "timed out"),
        ("ImportError: libGL.so.1: cannot open shared object file", "code cannot be loaded"),
        ("java.lang.NoClassDefFoundError: com/shop/Order", "code cannot be loaded"),
        ("Runtime.UserCodeSyntaxError: Unexpected token 'export'", "code cannot be loaded"),
        ("/lib64/libc.so.6: version `GLIBC_2.28' not found", "code cannot be loaded"),
        ("Secrets Manager can't find the specified secret.", "a setting is missing"),
        ("RuntimeError: DATABASE_URL must be set", "a setting is missing"),
        ("1 validation error for Settings\nurl\n  Field required", "a setting is missing"),
        ('column "maintenance" of relation "books" does not exist', "schema is another"),
        ("SQLSTATE[42S02]: Base table or view not found", "schema is another"),
        ("PdfReadError: EOF marker not found", "item cannot be read"),
        ("SerializationException: Unknown magic byte!", "message cannot be read"),
        ('Unrecognized field "pages" (class Order)', "message cannot be read"),
        ("NoResultFound: No row was found when one was required", "what it needs is gone"),
        ('violates foreign key: Key (id)=(5) is not present in table "b"', "what it needs is gone"),
        ("", "no error recorded"),
    ],
)
def test_an_error_tells_its_cause(error: str, name: str) -> None:
    assert signs.sign_of(signs.FAILURES, error).name == name
