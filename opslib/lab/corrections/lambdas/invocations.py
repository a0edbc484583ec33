"""Lambda Invoke.

Without Docker moto echoes the payload, and answers 200 for a function that is not there.

Here a function's code is a Python handler of the estate (`Estate.functions`). It runs with the
variables of the version
that the qualifier leads to; what it raises is answered as a FunctionError; its lines are in the log
group, in a stream
named by the version, between START and END, with a REPORT; Invocations, Errors and Duration are
counted. More at once
than a function's reserved concurrency are TooManyRequestsException, and Throttles; what is
asynchronous waits its turn.
"""

import base64
import itertools
import json
import re
import threading
import time
import traceback
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import md5
from typing import Any

from moto.awslambda.models import LambdaFunction

from opslib.lab.aws.ground import Standing
from opslib.lab.aws.handlers import FunctionHandler, Invocation
from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.lambdas.functions import find

_TAIL_BYTES = 4096
_TRIES, _PAUSE_SECONDS = 20, 0.5
_counting = threading.Lock()
_resets = itertools.count(1)
_era = 0  # what began before a reset leaves nothing after it
_running: Counter[tuple[str, str, str]] = Counter()  # how many run now: account, region, function


def reset() -> None:
    global _era
    with _counting:
        _era = next(_resets)
        _running.clear()


@dataclass
class _Outcome:
    """What an invocation gave. `error`: None, or what the FunctionError header says."""

    payload: bytes
    error: str | None = None
    lines: list[str] = field(default_factory=list)


@answers("lambda", "Invoke")
def invoke(call: Call) -> Result:
    function = find(call)
    event = _event(call)
    kind = call.params.get("InvocationType") or "RequestResponse"
    if kind == "DryRun":
        return {"StatusCode": 204, "Payload": b""}
    if kind == "Event":
        threading.Thread(target=_run_in_turn, args=(call, function, event), daemon=True).start()
        return {"StatusCode": 202, "Payload": b""}
    with _admitted(call, function):
        outcome = _run(call, function, event)
    answer: Result = {
        "StatusCode": 200,
        "ExecutedVersion": str(function.version),
        "Payload": outcome.payload,
    }
    if outcome.error:
        answer["FunctionError"] = outcome.error
    if call.params.get("LogType") == "Tail":
        tail = "".join(outcome.lines).encode()[-_TAIL_BYTES:]
        answer["LogResult"] = base64.b64encode(tail).decode()
    return answer


def _event(call: Call) -> Any:
    payload = call.params.get("Payload") or b"{}"
    try:
        return json.loads(payload)
    except ValueError as exc:
        raise AwsError(
            "InvalidRequestContentException", f"Could not parse request body into json: {exc}"
        ) from exc


def run(place: Standing, function_name: str, event: Any, qualifier: str | None = None) -> Any:
    """Invokes a function for the estate's own code, as an event source would.

    The decoded result, or RuntimeError.
    """
    function = place.backend("lambda").get_function(function_name, qualifier)
    outcome = _execute(place, function, event, str(uuid.uuid4()))
    if outcome.error:
        raise RuntimeError(outcome.payload.decode())
    return json.loads(outcome.payload)


@contextmanager
def _admitted(call: Call, function: LambdaFunction) -> Iterator[None]:
    """One of those that run at once.

    Raises AwsError when as many run as the function has reserved.
    """
    key = call.account, call.region, function.function_name
    cap = call.backend().get_function_concurrency(function.function_name)
    with _counting:
        era = _era
        full = cap is not None and _running[key] >= int(cap)
        _running[key] += not full
    if full:
        _count_throttle(_place(call, function), function)
        reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
        raise AwsError(
            "TooManyRequestsException", "Rate Exceeded.", 429, Reason=reason, Type="User"
        )
    try:
        yield
    finally:
        with _counting:
            _running[key] -= era == _era


def _run_in_turn(call: Call, function: LambdaFunction, event: Any) -> None:
    """AWS keeps an asynchronous invocation for hours, and tries again; here for some seconds."""
    era = _era
    for _ in range(_TRIES):
        if era != _era:
            return
        with suppress(AwsError), _admitted(call, function):
            _run(call, function, event)
            return
        time.sleep(_PAUSE_SECONDS)


def _count_throttle(place: Standing, function: LambdaFunction) -> None:
    _put(place, "Throttles", function.function_name, 1.0, "Count")


def _put(place: Standing, metric: str, function: str, value: float, unit: str) -> None:
    """A point. What is counted while a drill is on goes when it is mended (`journals.erase`)."""
    drills, about = (
        place.memory.get("drills", {}),
        ("AWS/Lambda", metric, {"FunctionName": function}),
    )
    point = (*about, place.now().timestamp() // 60 * 60, value)
    place.metrics.put(*point, unit)
    if drills:
        place.memory.setdefault("points", {}).setdefault([*drills][-1], []).append(point)


def _run(call: Call, function: LambdaFunction, event: Any) -> _Outcome:
    return _execute(_place(call, function), function, event, call.request_id)


def _place(call: Call, function: LambdaFunction) -> Standing:
    found = call.world.function_place(call.account, call.region, function.function_name)
    return found[0] if found else call.world.places_in(call.account, call.region)[0]


def _handler(place: Standing, function: LambdaFunction) -> FunctionHandler:
    found = place.world.function_place(place.account, place.region, function.function_name)
    handler = place.world.handler(place, found[1]) if found else None
    if handler is None:
        raise LookupError(f"the lab has no handler for function {function.function_name!r}")
    return handler


def _execute(place: Standing, function: LambdaFunction, event: Any, request_id: str) -> _Outcome:
    invocation = Invocation(
        function=function.function_name,
        version=str(function.version),
        request_id=request_id,
        memory_mb=int(function.memory_size),
        timeout_seconds=int(function.timeout),
        variables=dict(function.environment_vars),
    )
    era, began = _era, place.now()
    clock = time.monotonic()
    try:
        result = _handler(place, function)(event, place, invocation)
        outcome = _Outcome(json.dumps(result, default=str).encode())
    except Exception as exc:  # noqa: BLE001 - whatever the function's code raises is its answer
        outcome = _failed(exc, invocation)
    seconds = invocation.seconds if invocation.seconds is not None else time.monotonic() - clock
    if seconds > invocation.timeout_seconds:
        outcome = _timed_out(invocation, began + timedelta(seconds=invocation.timeout_seconds))
        seconds = float(invocation.timeout_seconds)
    outcome.lines = _lines(invocation, seconds)
    if era != _era:
        return outcome
    place.logs(
        f"/aws/lambda/{invocation.function}",
        [(began, _stream(place, invocation), line) for line in outcome.lines],
    )
    _count(place, invocation, seconds, failed=outcome.error is not None)
    return outcome


def _stream(place: Standing, invocation: Invocation) -> str:
    """Where it logs: while a drill is on, in a stream that goes with it."""
    name, drills = stream(place, invocation), place.memory.get("drills", {})
    if drills:
        drill = [*drills][-1]
        name = f"{name[:-8]}{zlib.crc32(drill.encode()):08x}"
        drills[drill].add((f"/aws/lambda/{invocation.function}", name))
    return name


def _failed(exc: Exception, invocation: Invocation) -> _Outcome:
    trace = traceback.format_list(traceback.extract_tb(exc.__traceback__)[1:])
    trace = [re.sub(r'"[^"]*/([\w-]+/[\w-]+\.py)"', r'"/var/task/\1"', each) for each in trace]
    kind = type(exc).__name__
    invocation.log(f"[ERROR] {kind}: {exc}\nTraceback (most recent call last):\n{''.join(trace)}")
    payload = {
        "errorMessage": str(exc),
        "errorType": kind,
        "requestId": invocation.request_id,
        "stackTrace": trace,
    }
    return _Outcome(json.dumps(payload).encode(), "Unhandled")


def _timed_out(invocation: Invocation, when: Any) -> _Outcome:
    text = f"{invocation.request_id} Task timed out after {invocation.timeout_seconds:.2f} seconds"
    invocation.log(f"{when:%Y-%m-%dT%H:%M:%S.000Z} {text}")
    message = (
        f"RequestId: {invocation.request_id} Error: Task timed out after "
        f"{invocation.timeout_seconds:.2f} seconds"
    )
    return _Outcome(
        json.dumps({"errorType": "Sandbox.Timedout", "errorMessage": message}).encode(), "Unhandled"
    )


def _lines(invocation: Invocation, seconds: float) -> list[str]:
    billed = int(seconds * 1000) + 1
    used = min(invocation.memory_mb, 90 + invocation.memory_mb // 10)
    return [
        f"START RequestId: {invocation.request_id} Version: {invocation.version}\n",
        *(line if line.endswith("\n") else f"{line}\n" for line in invocation.lines),
        f"END RequestId: {invocation.request_id}\n",
        f"REPORT RequestId: {invocation.request_id}\tDuration: {seconds * 1000:.2f} ms\tBilled "
        f"Duration: {billed} ms\t"
        f"Memory Size: {invocation.memory_mb} MB\tMax Memory Used: {used} MB\t\n",
    ]


def stream(place: Standing, invocation: Invocation) -> str:
    """The log stream of a function's version on this day: `2026/11/22/[3]<32 hex>`."""
    day = f"{place.now():%Y/%m/%d}"
    name = md5(
        f"{place.world.seed} {invocation.function} {invocation.version} {day}".encode(),
        usedforsecurity=False,
    )
    return f"{day}/[{invocation.version}]{name.hexdigest()}"


def _count(place: Standing, invocation: Invocation, seconds: float, failed: bool) -> None:
    for metric, value, unit in (
        ("Invocations", 1.0, "Count"),
        ("Errors", float(failed), "Count"),
        ("Duration", seconds * 1000, "Milliseconds"),
    ):
        _put(place, metric, invocation.function, value, unit)
