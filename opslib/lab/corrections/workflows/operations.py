"""What Step Functions answers of executions.

moto calls each unnamed execution "None", cannot page or redrive them, and keeps them with the
threads that run them.
"""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta

from opslib.lab.aws.operations import AwsError, Call, Result, answers
from opslib.lab.corrections.workflows import executions
from opslib.lab.corrections.workflows.executions import Execution, every, kept, runs
from opslib.lab.corrections.workflows.interpreter import run

_REDRIVABLE = timedelta(days=14)
_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
held, reset = executions.held, executions.reset


@answers("stepfunctions", "StartExecution")
def start_execution(call: Call) -> Result:
    machine = call.backend().describe_state_machine(call.params["stateMachineArn"])
    name, given = call.params.get("name") or str(uuid.uuid4()), call.params.get("input") or "{}"
    if not _NAME.fullmatch(name):
        raise AwsError("InvalidName", f"Invalid Name: '{name}'")
    try:
        json.loads(given)
    except ValueError as exc:
        told = f"Invalid State Machine Execution Input: {exc}"
        raise AwsError("InvalidExecutionInput", told) from exc
    arn = f"{machine.arn.replace(':stateMachine:', ':execution:')}:{name}"
    known = kept.get(arn)
    if known and (known.status, known.input) != ("RUNNING", given):
        raise AwsError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
    if not known:
        about = machine.arn, name, given, machine.definition, machine.roleArn
        known = kept[arn] = Execution(arn, *about, started=datetime.now(UTC))
        run(call.world, known, machine.definition, given)
    return {"executionArn": arn, "startDate": known.started}


def _found(call: Call) -> Execution:
    arn = call.params["executionArn"]
    if arn not in kept:
        raise AwsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
    return kept[arn]


@answers("stepfunctions", "DescribeExecution")
def describe_execution(call: Call) -> Result:
    found = _found(call)
    reason = _kept_from_redrive(found)
    told = {
        "executionArn": found.arn,
        "stateMachineArn": found.machine,
        "name": found.name,
        "status": found.status,
        "startDate": found.started,
        "stopDate": found.stopped,
        "input": found.input,
        "output": found.output,
        "error": found.error,
        "cause": found.cause,
        "redriveCount": len(found.redrives),
        "redriveDate": found.redrives[-1] if found.redrives else None,
        "redriveStatus": "NOT_REDRIVABLE" if reason else "REDRIVABLE",
        "redriveStatusReason": reason,
    }
    return {name: value for name, value in told.items() if value is not None}


@answers("stepfunctions", "ListExecutions")
def listkept(call: Call) -> Result:
    machine = call.backend().describe_state_machine(call.params["stateMachineArn"])
    if machine.type == "EXPRESS":
        raise AwsError("StateMachineTypeNotSupported", f"'{machine.arn}' is an express workflow")
    wanted = call.params.get("statusFilter")
    found = [each for each in every(machine.arn) if wanted in (None, each.status)]
    rows = [
        {
            "executionArn": each.arn,
            "stateMachineArn": each.machine,
            "name": each.name,
            "status": each.status,
            "startDate": each.started,
            "redriveCount": len(each.redrives),
            **({"stopDate": each.stopped} if each.stopped else {}),
        }
        for each in found
    ]
    return _paged(call, "executions", rows)


@answers("stepfunctions", "GetExecutionHistory")
def get_execution_history(call: Call) -> Result:
    events = _found(call).history()
    return _paged(call, "events", events[::-1] if call.params.get("reverseOrder") else events)


def _paged(call: Call, name: str, rows: list[Result]) -> Result:
    at, most = int(call.params.get("nextToken") or 0), call.params.get("maxResults") or 100
    more = {"nextToken": str(at + most)} if len(rows) > at + most else {}
    return {name: rows[at : at + most], **more}


@answers("stepfunctions", "StopExecution")
def stop_execution(call: Call) -> Result:
    found = _found(call)
    if found.status == "RUNNING":
        about: Result = {
            name: call.params[name] for name in ("error", "cause") if name in call.params
        }
        found.events = events = found.history()
        worker = runs.pop(found.arn, None)
        if worker is not None and worker.env is not None:
            worker.env.set_stop(datetime.now(UTC), None, None)
        found.end("ABORTED", **about)
        events.append(_event(events, "ExecutionAborted", about))
    return {"stopDate": found.stopped}


def _event(events: list[Result], kind: str, details: Result) -> Result:
    at = len(events) + 1
    told = {"id": at, "previousEventId": at - 1, "type": kind, "timestamp": datetime.now(UTC)}
    return {**told, f"{kind[0].lower()}{kind[1:]}EventDetails": details}


def _kept_from_redrive(found: Execution) -> str | None:
    if found.status in ("RUNNING", "SUCCEEDED"):
        return f"Execution is {found.status} and cannot be redriven"
    if found.stopped and datetime.now(UTC) - found.stopped > _REDRIVABLE:
        return "Execution has exceeded its redrivable period"
    return None


@answers("stepfunctions", "RedriveExecution")
def redrive_execution(call: Call) -> Result:
    """From the state that failed on, with what it was given; the whole of a Map or Parallel."""
    found = _found(call)
    if reason := _kept_from_redrive(found):
        raise AwsError("ExecutionNotRedrivable", reason)
    events, definition = found.history(), json.loads(found.definition)
    entered = [
        event["stateEnteredEventDetails"] for event in events if "stateEntered" in str(event)
    ]
    last = next(each for each in reversed(entered) if each["name"] in definition["States"])
    found.redrives.append(datetime.now(UTC))
    events.append(_event(events, "ExecutionRedriven", {"redriveCount": len(found.redrives)}))
    found.events, found.status, found.stopped = events, "RUNNING", None
    found.error = found.cause = None
    run(call.world, found, json.dumps(definition | {"StartAt": last["name"]}), last["input"])
    return {"redriveDate": found.redrives[-1]}
