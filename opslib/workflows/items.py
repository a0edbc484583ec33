"""What became of an item: its last execution, its row, its object."""

from collections.abc import Iterator

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    Question,
    answer,
    check,
    domains,
    identifier,
    poll,
)
from opslib.core.reads.stores.samples import sampled, size_of
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
        return Findings(Question("failed items", "none").ok("none"))
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
        return asked.ok(DONE)
    why = find_failure(machine, last)
    if last["status"] in RUNNING:
        seen = f"in {why.state}, since {last['startDate']:%m-%d %H:%M} UTC"
        return asked.unknown(seen, next=_NEXT)
    seen = f"{last['status']} in {why.state or 'no state'}: {why.error}; {why.means}"
    return asked.critical(seen, next=why.next or _NEXT)


def _left(machine: Machine, item: str) -> Iterator[Finding]:
    """Its row's state, its object, its entry in the index."""
    row, ops, facts = machine.row(item), machine.ops, machine.facts
    if row is None:
        return
    asked = Question(f"row of {item}", "done", f"table {facts['table']}")
    error = row.get(machine.column("error")) or ""
    yield asked.judged(row["state"] == "done", f"{row['state']}: {error}".rstrip(": "))
    if "object" in facts:
        bucket = ops.target["buckets"][facts["object"]["bucket"]]["name"]
        yield answer(f"object of {item}", _object, ops, bucket, row[facts["object"]["key"]])
    if "index" in facts and row["state"] == "done":
        name = str(ops.target["search"]["indices"][facts["index"]]["index"])
        yield answer(f"entry of {item}", _entry, ops, name, item)


def _object(ops: Connection, bucket: str, key: str) -> Finding:
    asked = Question(f"object {key}", f"in {bucket}", "s3 HeadObject")
    size = size_of(ops, bucket, key)
    return asked.critical("it is not there") if size is None else asked.ok(f"{size} bytes")


@check("Are the objects of what is done there?")
def check_objects(ops: Connection, workflow: str = "") -> Findings:
    """Of some items that are done, the same ones each time: of many that are lost some are seen."""
    told = ops.target["workflows"].items()
    keys = [k for k, of in told if workflow in ("", k) and {"table", "object"} <= {*of}]

    def kept(workflow: str) -> Finding:
        facts = ops.target["workflows"][workflow]
        status, at = facts.get("columns", {}).get("status", "status"), facts["object"]
        of = {"table": facts["table"], "column": at["key"], "bucket": at["bucket"]}
        where, done = f"{identifier(status)}::text = ANY(:done)", [*facts["states"]["done"]]
        named = f"objects of {workflow}"
        return sampled(ops, named, of, len(keys), where, {"done": done})

    return Findings(ops.each(kept, keys, "objects of {}").values())


def _entry(ops: Connection, index: str, item: str) -> Finding:
    asked = Question(f"entry of {item}", f"in index {index}", f"POST {index}/_mget")
    told = domains.ask(ops, "POST", f"/{index}/_mget?_source=false", {"ids": [item]})
    found = bool(told["docs"][0].get("found"))
    return asked.judged(found, "found" if found else "not found", next="search/reindex")
