"""Why an execution failed, read from the end of its history: what Step Functions really writes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from opslib.workflows.histories import FAILED, explained, find_failure

_THROWN = json.dumps(
    {
        "errorMessage": "cannot open a.pdf: the document is corrupt",
        "errorType": "CorruptDocument",
        "stackTrace": ['  File "/var/task/ocr.py", line 88, in handler\n    read(x)\n'],
    }
)
_NESTED = json.dumps(
    {
        "ExecutionArn": "arn:aws:states:us-east-1:1:execution:child:order-7",
        "Error": "States.Timeout",
        "Status": "TIMED_OUT",
    }
)


def history(*told: tuple[str, dict[str, Any]] | str) -> list[dict[str, Any]]:
    """Events one after another: a type, or a state that is entered, or a type and its details."""
    events = []
    for at, each in enumerate(told, 1):
        kind, details = each if isinstance(each, tuple) else (each, {})
        event = {"id": at, "previousEventId": at - 1, "type": kind}
        if kind.endswith("StateEntered"):
            details = {"stateEnteredEventDetails": details}
        elif "index" in details:
            details = {"mapIterationStartedEventDetails": details}
        elif details:
            details = {f"{kind[0].lower()}{kind[1:]}EventDetails": details}
        events.append(event | details)
    return events[::-1]


def entered(name: str, kind: str = "Task") -> tuple[str, dict[str, Any]]:
    return f"{kind}StateEntered", {"name": name}


def failed(error: str, cause: str = "", kind: str = "TaskFailed") -> tuple[str, dict[str, Any]]:
    return kind, {"error": error, "cause": cause}


def found(events: list[dict[str, Any]], **execution: Any) -> Any:
    machine: Any = SimpleNamespace(call=lambda *_, **__: {"events": events})
    about = {"executionArn": "arn", "status": "FAILED", **execution}
    return find_failure(machine, about)


def test_a_function_s_error_is_told_with_its_place() -> None:
    why = found(
        history("ExecutionStarted", entered("Read"), failed("CorruptDocument", _THROWN)),
        error="CorruptDocument",
        cause=_THROWN,
    )
    assert why.state == "Read"
    assert why.error.startswith("CorruptDocument: cannot open a.pdf: the document is corrupt (File")
    assert why.error.endswith("line 88, in handler)")
    assert why.cause == "item-unreadable"


def test_what_was_tried_again_and_succeeded_did_not_fail() -> None:
    busy = failed("Lambda.TooManyRequestsException", "Rate exceeded")
    events = history(
        entered("Scan"),
        busy,
        "TaskSucceeded",
        "TaskStateExited",
        entered("Index"),
        failed("IndexingFailed", "x"),
        "ExecutionFailed",
    )
    assert found(events).state == "Index"


def test_a_failure_that_was_caught_is_the_state_that_failed() -> None:
    """Also where what came of it went well, and a Fail state ended the execution."""
    events = history(
        entered("Scan"),
        failed("States.Timeout"),
        "TaskStateExited",
        entered("Tell"),
        "TaskSucceeded",
        "TaskStateExited",
        entered("Failed", "Fail"),
        failed("States.Timeout", kind="ExecutionFailed"),
    )
    assert (found(events).state, found(events).cause) == ("Scan", "state-timed-out")


def test_where_the_catch_fails_as_well_both_are_told() -> None:
    denied = failed("Lambda.AccessDeniedException", "is not authorized to perform: lambda:Invoke")
    events = history(entered("Scan"), denied, "TaskStateExited", entered("Tell"), denied)
    assert (found(events).state, found(events).cause) == ("Tell after Scan", "state-denied")


def test_an_iteration_of_a_map_is_told() -> None:
    events = history(
        entered("Each", "Map"),
        ("MapIterationStarted", {"name": "Each", "index": 3}),
        entered("Resize"),
        failed("States.Runtime", "no such path"),
        ("MapIterationFailed", {"name": "Each", "index": 3}),
        "MapStateFailed",
    )
    assert (found(events).state, found(events).cause) == (
        "Resize (item 3 of its Map)",
        "state-definition",
    )


def test_a_nested_execution_is_named_with_its_own_error() -> None:
    events = history(entered("Child"), failed("States.TaskFailed", _NESTED))
    why = found(events, error="States.TaskFailed", cause=_NESTED)
    assert why.error == "States.TaskFailed: its execution order-7: States.Timeout"
    assert why.cause == "state-timed-out"


def test_one_that_was_stopped_or_took_too_long_says_where_it_was() -> None:
    events = history(entered("Wait", "Wait"), "ExecutionAborted")
    stopped = found(events, status="ABORTED", error="ByHand", cause="enough")
    assert (stopped.state, stopped.error) == ("Wait", "aborted: ByHand: enough")
    assert stopped.cause == "execution-aborted"
    assert found(events, status="TIMED_OUT").cause == "state-timed-out"


def test_after_a_redrive_only_what_came_then_counts() -> None:
    events = history(
        entered("Scan"), failed("A", "a"), "ExecutionRedriven", entered("Index"), failed("B", "b")
    )
    assert found(events).state == "Index"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("States.Timeout", "state-timed-out"),
        ("States.HeartbeatTimeout", "state-timed-out"),
        ("Sandbox.Timedout: RequestId: 1 Error: Task timed out after 10.00 s", "state-timed-out"),
        ("States.DataLimitExceeded: The state/task 'x' returned a result", "state-data-too-large"),
        ("States.Runtime: Invalid path '$.a'", "state-definition"),
        (
            "Runtime.ExitError: Error: Runtime exited with error: signal: killed",
            "state-out-of-memory",
        ),
        ("Lambda.TooManyRequestsException: Rate Exceeded", "state-throttled"),
        ("Lambda.AWSLambdaException: User: x is not authorized to perform: y", "state-denied"),
        ("IndexingFailed: cluster_block_exception: blocked by: [FORBIDDEN/12", "state-unavailable"),
        ("Error: connect ECONNREFUSED 10.0.0.1:5432", "state-unavailable"),
        ("BadImage: cannot identify image file 'a.jpg'", "item-unreadable"),
        ("AccessDeniedException: s3:GetObject, Access Denied", "state-denied"),
        ("TypeError: x is undefined", FAILED),
        ("", FAILED),
    ],
)
def test_an_error_means_one_cause(error: str, cause: str) -> None:
    assert explained("S", error).cause == cause
