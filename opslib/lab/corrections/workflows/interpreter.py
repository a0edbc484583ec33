"""moto's interpreter of the Amazon States Language, run for the lab.

It runs a definition in a thread, against the lab, with what the machine's role allows. A retry
waits a twentieth of what its definition says.
"""

import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from opslib.lab.aws.ground import Ground
from opslib.lab.corrections.workflows.executions import Execution, runs, threads

_RETRIES_PACE = 0.05


def run(world: Ground[Any], execution: Execution, definition: str, given: str) -> None:
    """Lets moto's interpreter run a definition; what it gave is the execution's."""
    from moto.stepfunctions.parser.asl.eval.evaluation_details import (
        AWSExecutionDetails,
        EvaluationDetails,
        ExecutionDetails,
        StateMachineDetails,
    )
    from moto.stepfunctions.parser.backend.execution_worker import SyncExecutionWorker

    _link(world)
    region, account, _, machine = execution.machine.split(":", 3)[3].split(":", 3)
    details = EvaluationDetails(
        AWSExecutionDetails(account, region, execution.role),
        ExecutionDetails(
            arn=execution.arn,
            name=execution.name,
            role_arn=execution.role,
            inpt=json.loads(given),
            start_time=execution.started,
        ),
        StateMachineDetails(execution.machine, machine, "STANDARD", definition),
    )
    ended: Any = SimpleNamespace(terminated=lambda: _keep(execution, worker))
    worker: Any = SyncExecutionWorker(details, ended, None, {})
    runs[execution.arn] = worker
    thread = threading.Thread(target=_execute, args=(execution, worker), daemon=True)
    threads.append(thread)
    thread.start()


def _execute(execution: Execution, worker: Any) -> None:
    from moto.stepfunctions.parser.utils import TMP_THREADS

    try:
        worker.start()
    except Exception as exc:  # noqa: BLE001 - a definition that moto cannot read, as AWS says it
        if runs.pop(execution.arn, None):
            execution.end("FAILED", error="States.Runtime", cause=f"The lab's interpreter: {exc!r}")
    TMP_THREADS[:] = [thread for thread in TMP_THREADS if thread.is_alive()]


def _keep(execution: Execution, worker: Any) -> None:
    """What the interpreter gave, unless the execution was stopped meanwhile, or is of a lab that
    is no more.
    """
    if runs.get(execution.arn) != worker:
        return
    state: Any = worker.env.program_state()
    kind, told = type(state).__name__, getattr(state, "error", None) or {}
    execution.events = execution.history()
    del runs[execution.arn]
    if kind == "ProgramEnded":
        output = json.dumps(worker.env.states.get_input())
        execution.end("SUCCEEDED", output=output)
    elif kind == "ProgramTimedOut":
        execution.end("TIMED_OUT", error="States.Timeout")
    else:
        execution.end("FAILED", error=told.get("error"), cause=told.get("cause"))


def _link(world: Ground[Any]) -> None:
    """The interpreter's calls go to this lab, as its machine's role; its retries hurry."""
    from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

    def client(region: str, service: str, state_credentials: Any = None) -> Any:
        role = state_credentials.role_arn
        made = world.client(service, role.split(":")[4], region, "operator")
        return _Allowed(world, made, service, role)

    for name, module in list(sys.modules.items()):
        if name.startswith("moto.stepfunctions.parser") and hasattr(module, "boto_client_for"):
            vars(module)["boto_client_for"] = client
    vars(retrier_decl)["time"] = _Hurried


class _Hurried:
    """The clock of moto's retries."""

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(seconds * _RETRIES_PACE)


class _Allowed:
    """A client that may do what a role's inline policies allow (by action; resources are not
    looked at, nor are attached policies).
    """

    def __init__(self, world: Ground[Any], client: Any, service: str, role: str) -> None:
        self._world, self._client, self._service, self._role = world, client, service, role

    def __getattr__(self, operation: str) -> Any:
        name = self._client.meta.method_to_api_mapping.get(operation)
        if name is None:
            return getattr(self._client, operation)
        service = "states" if self._service == "stepfunctions" else self._service
        action = f"{service}:{'InvokeFunction' if name == 'Invoke' else name}"
        _, named, _, _, account, rest = self._role.split(":", 5)
        role = rest.rsplit("/", 1)[-1]
        roles = self._world.backend("iam", account, named).roles.values()
        allowed = [pattern for each in roles if each.name == role for pattern in _actions(each)]
        if any(fnmatchcase(action.lower(), pattern.lower()) for pattern in allowed):
            return getattr(self._client, operation)
        message = (
            f"User: arn:{named}:sts::{account}:assumed-role/{role}/lab is not authorized to "
            f"perform: {action} because no identity-based policy allows the {action} action"
        )
        answer = {"Error": {"Code": "AccessDeniedException", "Message": message}}
        meta = {"HTTPStatusCode": 403, "RequestId": str(uuid.uuid4())}
        raise ClientError({**answer, "ResponseMetadata": meta}, name)


def _actions(role: Any) -> Iterator[str]:
    for text in role.policies.values():
        statements = json.loads(text)["Statement"]
        for each in statements if isinstance(statements, list) else [statements]:
            named = each.get("Action", []) if each.get("Effect") == "Allow" else []
            yield from [named] if isinstance(named, str) else named
