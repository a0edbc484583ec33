"""What became of an item: its last execution, its row, its object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from opslib.core import Connection, Finding, Findings, Json, NotFound, Question, check, poll
from opslib.workflows.histories import find_failure
from opslib.workflows.machines import DONE, RUNNING, Machine

_NEXT = "workflows/executions"


def find_failed(ops: Connection, workflow: str, item: str = "") -> str:
    """The item, or the one that failed last, by the table, else the executions; "": none did."""
    return item or Machine(ops, workflow).last_failed()


@check("How did it end, and is all of it there?")
def check_item(ops: Connection, workflow: str, item: str, wait_seconds: float = 0) -> Findings:
    """Its newest execution, waited for while it runs; then its row and its object."""
    machine = Machine(ops, workflow)
    if not item:
        return Findings([Question("failed items", "none").answer("ok", "none")])
    known = machine.executions_of(item)
    found = list(_left(machine, item)) if not known else []
    if known:
        last, _ = poll(
            lambda: machine.describe(known[0]["executionArn"]),
            lambda told: told["status"] not in RUNNING,
            wait_seconds,
            lambda told: f"{told['name']} is in {find_failure(machine, told).state}",
        )
        found = [_ended(machine, last), *_left(machine, item)]
    if not found:
        raise NotFound(f"{item} has no execution of {machine.name} in {ops.where}, and no row.")
    return Findings(found)


def _ended(machine: Machine, last: Json) -> Finding:
    asked = Question(f"execution {last['name']}", DONE, "stepfunctions GetExecutionHistory")
    if last["status"] == DONE:
        return asked.answer("ok", DONE)
    why = find_failure(machine, last)
    if last["status"] in RUNNING:
        seen = f"in {why.state}, since {last['startDate']:%m-%d %H:%M} UTC"
        return asked.answer("unknown", seen, next=_NEXT)
    seen = f"{last['status']} in {why.state or 'no state'}: {why.error}; {why.means}"
    return asked.answer("critical", seen, next=why.next or _NEXT)


def _left(machine: Machine, item: str) -> Iterator[Finding]:
    """Its row's state, its object. An entry in an index is `search`'s to look for."""
    row, where = machine.row(item), machine.facts.get("object")
    if row is None:
        return
    asked = Question(f"row of {item}", "done", f"table {machine.facts['table']}")
    error = row.get(machine.column("error")) or ""
    yield asked.judged(row["state"] == "done", f"{row['state']}: {error}".rstrip(": "))
    if where:
        bucket, key = machine.ops.target["buckets"][where["bucket"]]["name"], row[where["key"]]
        size = None
        with suppress(NotFound):
            size = machine.ops.call("s3", "head_object", Bucket=bucket, Key=key)["ContentLength"]
        there = Question(f"object of {item}", f"in {bucket}", "s3 HeadObject")
        yield there.judged(size is not None, f"{key}: {size} bytes" if size else f"no {key}")
