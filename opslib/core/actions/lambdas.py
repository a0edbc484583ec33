"""A Lambda function invoked for what it does: once, with time enough, its answer judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, OpsError
from opslib.core.text import cut

_BAD = ("error", "failed", "failure")
_TOLD = ("error", "message", "errorMessage", "detail", "body")


def invoke(ops: Connection, function: str, payload: Mapping[str, Any], seconds: float) -> Any:
    """What the function answers. `seconds`: how long it may run; we wait a little longer.

    Raises OpsError (it failed, or its answer says so: with the end of its log), Lost (no answer: it
    may still run), Unfinished (it was not called).
    """
    try:
        answer = ops.call_once(
            seconds + 15,
            "lambda",
            "invoke",
            FunctionName=function,
            Payload=dict(payload),
            LogType="Tail",
        )
    except Lost as exc:
        raise Lost(
            f"{function} gave no answer within {seconds + 15:g} s, and may still be running. It "
            "is not called again. Look: "
            f"opslib run logs/search -t {ops.target.name} -p function=/aws/lambda/{function}; "
            "then preview again."
        ) from exc
    said = answer.get("Payload")
    if trouble := _trouble(said):
        raise OpsError(f"{function} answered that it failed: {trouble}")
    return said


def _trouble(said: Any) -> str:
    """What a well-formed answer says of a failure: an HTTP status, or a word; empty when it says
    nothing of the kind.
    """
    if not isinstance(said, Mapping):
        return ""
    code, word = said.get("statusCode"), str(said.get("status", "")).lower()
    refused = isinstance(code, int) and code >= 400
    if not refused and word not in _BAD and False not in (said.get("success"), said.get("ok")):
        return ""
    told = cut(str(next(filter(None, map(said.get, _TOLD)), word)), 300)
    return f"{code}: {told}" if refused else told
