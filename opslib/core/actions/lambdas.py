"""A Lambda function invoked for what it does: once, with time enough, its answer judged."""

import json
from typing import Any

from opslib.core.actions.actions import action
from opslib.core.connections.connection import Connection
from opslib.core.errors import HalfWay, Lost
from opslib.core.tables import Json
from opslib.core.text import cut

_BAD = ("error", "failed", "failure")
_TOLD = ("error", "message", "errorMessage", "detail", "body")


@action(
    "invoke",
    lambda do: f"lambda.invoke(FunctionName={do['function']}, Payload={json.dumps(do['payload'])})",
)
def Invoke(ops: Connection, function: str, payload: Json, timeout_seconds: float) -> Any:
    """Invoke a Lambda function by its AWS name and wait as long as it may run, and a little longer.

    Raises HalfWay (it failed, or its answer says so: with the end of its log), Lost (no answer: it
    may still run), Unfinished (it was not called).
    """
    seconds = timeout_seconds + 15
    given = {"FunctionName": function, "Payload": payload, "LogType": "Tail"}
    try:
        answer = ops.call_once(seconds, "lambda", "invoke", **given)
    except HalfWay:
        raise
    except Lost as exc:
        raise Lost(
            f"{function} gave no answer within {seconds:g} s, and may still be running. It "
            "is not called again. Look: "
            f"opslib run logs/search -t {ops.target.name} -p function=/aws/lambda/{function}; "
            "then preview again."
        ) from exc
    said = answer.get("Payload")
    if trouble := _trouble(said):
        raise HalfWay(f"{function} answered that it failed: {trouble}")
    return said


def _trouble(said: Any) -> str:
    """What a well-formed answer says of a failure: an HTTP status, or a word; empty when it says
    nothing of the kind.
    """
    if not isinstance(said, dict):
        return ""
    code, word = said.get("statusCode"), str(said.get("status", "")).lower()
    refused = isinstance(code, int) and code >= 400
    if not refused and word not in _BAD and False not in (said.get("success"), said.get("ok")):
        return ""
    told = cut(str(next(filter(None, map(said.get, _TOLD)), word)), 300)
    return f"{code}: {told}" if refused else told
