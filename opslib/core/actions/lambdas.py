"""A Lambda function invoked for what it does: once, with time enough, its answer judged."""

import json
import re
from typing import Any

from opslib.core.actions.actions import action, given
from opslib.core.connections.connection import Connection
from opslib.core.errors import HalfWay, Lost
from opslib.core.tables import Json
from opslib.core.text import cut, decoded

_WORDS = ("status", "state", "result", "outcome")
_BAD = {"error", "errored", "exception", "fail", "failed", "failure", "aborted", "timeout"}
_WELL = {"ok", "success", "succeeded", "completed", "done"}
_ERRORS = ("error", "errors", "errormessage")
_TOLD = (*_ERRORS, "message", "reason", "detail", "body")


@action(
    "invoke",
    lambda do: f"lambda.invoke(FunctionName={do['function']}, Payload={json.dumps(do['payload'])})",
)
def Invoke(ops: Connection, function: str, payload: Json, timeout_seconds: float) -> Any:
    """Invoke a Lambda function by its AWS name and wait as long as it may run, and a little longer.

    Raises HalfWay (it failed, or its answer says so: with the end of its log), Lost (no answer: it
    may still run), Unfinished (it was not called).
    """
    sent = {"FunctionName": function, "Payload": payload, "LogType": "Tail"}
    said = _once(ops, timeout_seconds, sent).get("Payload")
    if failed := trouble(said):
        raise HalfWay(f"{function} answered that it failed: {failed}")
    return said


class Reply(Json):
    """What Lambda Invoke answered. `Failed`: how the function ended, where it did not do well."""


@action(
    "ask",
    lambda do: (
        f"lambda.invoke({do['function']}:{do['qualifier']}, {do['how']}, "
        f"Payload={cut(str(do['payload']), 160)})"
    ),
)
def Ask(
    ops: Connection, function: str, qualifier: str, how: str, payload: Any, timeout_seconds: float
) -> Reply:
    """Invoke a Lambda function once; what it answers is kept with the run, also that it failed.

    `payload`: JSON, or `file(…)`; `how`: Lambda's InvocationType. Raises Lost (no answer: it may
    still run), Unfinished (it was not called).
    """
    sent = {"FunctionName": function, "Qualifier": qualifier, "InvocationType": how}
    sent |= {"LogType": "Tail"} if how == "RequestResponse" else {}
    try:
        answer = _once(ops, timeout_seconds, sent | given(ops, {"Payload": payload}))
    except HalfWay as exc:
        answer = exc.done
    return ops.keep(Reply(answer | {"Timeout": timeout_seconds}))


def _once(ops: Connection, timeout_seconds: float, sent: Json) -> Json:
    seconds, function = timeout_seconds + 15, sent["FunctionName"]
    try:
        return ops.call_once(seconds, "lambda", "invoke", **sent)
    except HalfWay:
        raise
    except Lost as exc:
        raise Lost(
            f"{function} gave no answer within {seconds:g} s, and may still be running. It "
            "is not called again. Look: "
            f"opslib run logs/search -t {ops.target.name} -p function=/aws/lambda/{function}; "
            "then preview again."
        ) from exc


def trouble(said: Any) -> str:
    """What a well-formed answer says of a failure: an HTTP status, an error, a word; empty when it
    says nothing of the kind.
    """
    said = decoded(said) if isinstance(said, str) else said
    if not isinstance(said, dict):
        return ""
    told = {str(key).lower(): value for key, value in said.items()}
    if left := told.get("batchitemfailures"):
        return f"{len(left)} of the batch's items: {cut(json.dumps(left), 300)}"
    words = {str(told.get(key)).lower() for key in _WORDS}
    code = str(told.get("statuscode", told.get("status", "")))
    refused = re.fullmatch(r"[45]\d\d", code)
    failed = any(map(told.get, _ERRORS)) and not words & _WELL
    denied = any(told.get(key) is False for key in ("success", "ok"))
    if not (refused or failed or denied or words & _BAD):
        return ""
    seen = cut(str(next(filter(None, map(told.get, _TOLD)), json.dumps(said))), 300)
    return f"{code}: {seen}" if refused else seen
