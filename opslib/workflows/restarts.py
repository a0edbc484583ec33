"""An item whose execution failed is started again."""

import json
import re
from typing import Any

from opslib.core import (
    Aws,
    Connection,
    Json,
    NotFound,
    Planned,
    Read,
    Refused,
    Step,
    UsageError,
    planner,
)
from opslib.workflows.histories import find_failure
from opslib.workflows.machines import DONE, RUNNING, Machine

_WAYS = ("new", "redrive", "stop")
_LONGEST = 80  # characters of an execution's name


@planner
def plan_restart(ops: Connection, workflow: str, item: str, how: str = "new") -> Planned:
    """Start an item's execution again.

    `new`: from the start, under a name of item and attempt, by the definition as it is now.
    `redrive`: go on where it failed, by the definition as it was. `stop`: end one that hangs first.
    Raises Refused: one runs, nothing failed, it cannot be redriven. NotFound: no such item.
    """
    if how not in _WAYS:
        raise UsageError(f"how={how!r}: one of {', '.join(_WAYS)}.")
    if not item:
        return Planned("start nothing", notes=["Nothing has failed."])
    machine = Machine(ops, workflow)
    if machine.express:
        raise Refused(
            f"{machine.name} is an express machine: what it executed is not kept, so nothing can "
            "be found and started again. Nothing was changed; send its event again."
        )
    known, row = machine.executions_of(item), machine.row(item)
    last = known[0] if known else None
    if why := _refusal(machine, item, last, row, how):
        raise Refused(f"{why}. Nothing was changed.")
    stop = []
    if how == "stop" and last:
        about = {"executionArn": last["executionArn"]}
        why = "it hangs; it is started again"
        end = Aws("stepfunctions", "stop_execution", **about, cause=why)
        seen = Read("stepfunctions", "describe_execution", "status", **about)
        stop = [Step(f"Stop {last['name']}", end, last["status"], "ABORTED", observe=seen)]
    redriven = how == "redrive" and last
    step = _redrive(machine, last) if redriven and last else _start(machine, item, known, row)
    note = "While it runs it can be stopped: stepfunctions stop_execution. What it did stays done."
    return Planned(f"start the execution of {item} again", [*stop, step], [note])


def _refusal(
    machine: Machine, item: str, last: Json | None, row: Json | None, how: str
) -> str | None:
    if not last and not row:
        raise NotFound(f"{item} has no execution of {machine.name} in {machine.ops.where}, no row.")
    runs, state = last and last["status"] in RUNNING, row["state"] if row else ""
    if last and runs and how != "stop":
        return (
            f"{last['name']} runs since {last['startDate']:%m-%d %H:%M} UTC: started again, {item} "
            "would be processed twice. Wait for its end; if it hangs, how=stop"
        )
    if how == "stop" and not runs:
        return f"No execution of {item} runs; start it anew: how=new"
    if state == "done" or (last and last["status"] == DONE and state != "failed"):
        return f"{item} has not failed: {f'its row says {state}' if row else 'it succeeded last'}"
    if how == "redrive" and (not last or last.get("redriveStatus") != "REDRIVABLE"):
        reason = last.get("redriveStatusReason", "not redrivable") if last else "no execution"
        return f"{item} cannot be redriven ({reason}); start it anew: how=new"
    return None


def _redrive(machine: Machine, last: Json) -> Step:
    about, state = {"executionArn": last["executionArn"]}, find_failure(machine, last).state
    states = json.loads(machine.about["definition"])["States"]
    if "Catch" in states.get(state.split(" ")[0], {}):
        raise Refused(
            f"{state} failed, and the definition caught that: a redrive would only repeat what "
            "came of it. Nothing was changed. Start it anew: how=new."
        )
    return Step(
        f"Go on with {last['name']} from {state}",
        Aws("stepfunctions", "redrive_execution", **about),
        last["status"],
        "RUNNING",
    )


def _start(machine: Machine, item: str, known: list[Json], row: Json | None) -> Step:
    """Under a name that was never used: so of two who do it at once one is turned away."""
    used = [int(number[0]) for each in known if (number := re.findall(r"\d+$", each["name"]))]
    given: Any = known[0]["input"] if known else _from_row(machine, item, row or {})
    template = machine.facts.get("execution") or "{item}-{attempt}"
    attempt = max([0, *used, int((row or {}).get("attempts") or 0)]) + 1
    if (known and "attempt" in given) or "{attempt}" in machine.facts.get("execution", ""):
        given = given | {"attempt": attempt}
    name = template.format_map({"item": item, "attempt": attempt} | given)
    name = re.sub(r"[^\w.+-]", "_", name, flags=re.ASCII)[-_LONGEST:]
    listed = {"stateMachineArn": machine.arn}
    return Step(
        f"Start {name}",
        Aws("stepfunctions", "start_execution", **listed, name=name, input=json.dumps(given)),
        None,
        name,
        observe=Read(
            "stepfunctions", "list_executions", f"executions[?name=='{name}'].name | [0]", **listed
        ),
    )


def _from_row(machine: Machine, item: str, row: Json) -> Json:
    if not (template := machine.facts.get("input")):
        raise Refused(
            f"{item} was never executed, and parameters/targets/{machine.ops.target.key}.yaml does "
            f"not say what its input is (workflows.{machine.key}.input). Nothing was changed."
        )
    return {k: v.format_map(row) if isinstance(v, str) else v for k, v in template.items()}
