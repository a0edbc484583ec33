"""Why an execution ended as it did: the state, and the cause that its history keeps."""

from typing import NamedTuple

from opslib.core import FAILURES, Json, NotAllowed, beside, decoded, sign_of, signs
from opslib.workflows.machines import Machine

FAILED = "execution-failed"  # the cause that findings name where none of these is known
SIGNS = signs(beside(__file__, "histories"))
_CAUSES = beside(__file__, "causes")
_EVENTS = 1000  # the last ones of a history


class Failure(NamedTuple):
    """Where and why. `cause`: by which findings name it."""

    state: str
    error: str
    cause: str
    means: str
    next: str


def find_failure(machine: Machine, execution: Json) -> Failure:
    """Of an execution as DescribeExecution tells it, read from the end of its history."""
    asked = {"executionArn": execution["executionArn"], "maxResults": _EVENTS}
    unread = ""
    try:
        events = machine.call(
            "get_execution_history", **asked, reverseOrder=True, includeExecutionData=False
        )["events"]
    except NotAllowed:
        events, unread = [], "a state (its history may not be read)"
    aborted = "aborted: " * (execution["status"] == "ABORTED")
    error = _said(execution.get("error", ""), execution.get("cause", ""))
    if execution["status"] == "TIMED_OUT":
        error = error or "States.Timeout: the execution took longer than it may"
    at, said = _place(events)
    return explained(unread or at, aborted + (error or said))


def explained(state: str, error: str) -> Failure:
    own = next((sign for sign in SIGNS if sign.fits(error)), None)
    sign = own or sign_of(FAILURES, error)
    cause = sign.name if own else _CAUSES.get(sign.name, FAILED)
    return Failure(state, error, cause, sign.means or sign.advice, sign.next)


def _place(events: list[Json]) -> tuple[str, str]:
    """The state that failed, and its error; the state that it was in, where none did.

    `events`: newest first. What was tried again and succeeded did not fail; what was caught is told
    behind what failed of it.
    """
    by_id = {event["id"]: event for event in events}
    failed: dict[str, str] = {}
    well = set()
    for event in events:
        if event["type"] == "ExecutionRedriven":
            break
        visit, state = _state(event, by_id)
        if event["type"].endswith("Succeeded"):
            well.add(visit)
        if event["type"].endswith(("Failed", "TimedOut")) and visit not in well:
            told: Json = next((event[key] for key in event if key.endswith("EventDetails")), {})
            if not event["type"].startswith("Execution") and (
                told.get("error") or told.get("cause")
            ):
                failed.setdefault(state, _said(told.get("error"), told.get("cause")))
    if states := list(filter(None, failed)):
        return " after ".join(states), failed[states[0]]
    entered = (event for event in events if event["type"].endswith("StateEntered"))
    return next((_state(event, by_id)[1] for event in entered), ""), ""


def _state(event: Json | None, by_id: dict[int, Json]) -> tuple[int, str]:
    """When the state that an event is of was entered; its name, with the iteration of a Map."""
    at, name, iteration = 0, "", ""
    while event:
        if event["type"] == "MapIterationStarted" and name and not iteration:
            iteration = f" (item {event['mapIterationStartedEventDetails']['index']} of its Map)"
        if event["type"].endswith("StateEntered") and not name:
            at, name = event["id"], str(event["stateEnteredEventDetails"]["name"])
        event = by_id.get(event["previousEventId"])
    return at, name + iteration


def _said(error: str | None, cause: str | None) -> str:
    """An error in a line: what a function threw and where, a nested execution's own error."""
    told = decoded(cause or "", cause or "")
    text = str(cause or "")
    if isinstance(told, dict) and "errorMessage" in told:
        trace = told.get("stackTrace") or told.get("trace") or [""]
        at = str(trace[-1] if "stackTrace" in told else trace[min(1, len(trace) - 1)])
        at = at.strip().partition("\n")[0]
        text = f"{told['errorMessage']}{f' ({at})' if at else ''}"
    elif isinstance(told, dict) and "ExecutionArn" in told:
        name = str(told["ExecutionArn"]).rsplit(":", 1)[-1]
        text = f"its execution {name}: {_said(told.get('Error'), told.get('Cause'))}"
    return ": ".join(filter(None, (error, text)))
