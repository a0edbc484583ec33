"""In which state a function's versions are."""

from datetime import datetime, timedelta
from typing import Any

from opslib.core import Finding, Json, OpsError, Question, functions, unread

_UPDATE = timedelta(minutes=15)  # an update that takes longer is stuck


def judge_state(function: str, state: Any, latest: Any, now: datetime) -> Finding:
    """What callers get, and $LATEST, which the next version is made of: the worse of both.

    Lambda's states: https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
    """
    asked = Question(
        f"state of {function}", ", ".join(functions.WELL), "lambda GetFunctionConfiguration"
    )
    if isinstance(state, OpsError):
        return unread(asked, state)
    status, seen = _state(state, now)
    if (
        status == "ok"
        and not isinstance(latest, OpsError)
        and latest["Version"] != state["Version"]
    ):
        beside, told = _state(latest, now)
        if beside != "ok":
            status = "warn"
            seen += f"; {told}, and the next version is made of it"
    follows = "functions/rollback" if status == "critical" else ""
    return asked.answer(status, seen, next=follows)


def _state(state: Json, moment: datetime) -> tuple[str, str]:
    now, update = functions.states(state)
    began = functions.modified(state)
    seen = f"version {state['Version']}: {now}, last update {update} at {began:%Y-%m-%d %H:%M}"
    if (now, update) == functions.WELL:
        return "ok", seen
    if why := state.get("StateReason" if now != "Active" else "LastUpdateStatusReason"):
        seen += f": {why}"
    if "Failed" in (now, update):
        return "critical", seen
    if now == "Inactive":
        return "warn", f"{seen}; idle for weeks: its next request wakes it, and fails or waits"
    known = now in ("Active", "Pending") and update in ("Successful", "InProgress")
    if known and moment - began < _UPDATE:
        return "ok", f"{seen}; under way, ends by itself"
    return "warn" if known else "unknown", seen
