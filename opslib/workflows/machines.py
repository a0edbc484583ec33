"""A state machine of the target's file, and its executions."""

from datetime import datetime
from functools import cached_property
from typing import Any

from opslib.core import (
    Described,
    Frame,
    Json,
    NotFound,
    decoded,
    dtypes,
    frame,
    identifier,
    quoted,
    sql,
)

EXECUTIONS = dtypes("""
    execution str
    status    str
    started   utc
    stopped   utc
    minutes   float64
    arn       str
""")
_LISTED = """executions[].{
    execution: name, status: status, started: startDate, stopped: stopDate, arn: executionArn}"""
RUNNING, DONE = ("RUNNING", "PENDING_REDRIVE"), "SUCCEEDED"
MOST, _LOOKED_INTO = 5_000, 60  # executions listed, and asked one by one for their input


class Machine(Described):
    """A state machine of the target."""

    section = "workflows"

    @cached_property
    def arn(self) -> str:
        """Raises NotFound."""
        every = self.ops.pages("stepfunctions", "list_state_machines", "stateMachines[]")
        arns = [each["stateMachineArn"] for each in every if each["name"] == self.name]
        if not arns:
            raise NotFound(f"State machine '{self.name}' not found in {self.ops.where}.")
        return str(arns[0])

    def call(self, operation: str, **parameters: Any) -> Json:
        return self.ops.call("stepfunctions", operation, **parameters)

    @cached_property
    def about(self) -> Json:
        return self.call("describe_state_machine", stateMachineArn=self.arn)

    @property
    def express(self) -> bool:
        """Step Functions lists no executions of such, and keeps no history of them."""
        return bool(self.about["type"] == "EXPRESS")

    def executions(self, since: datetime | None, status: str = "", most: int = MOST) -> Frame:
        """Those that began since then, newest first, of a status or of all. Columns: EXECUTIONS."""
        asked = {"stateMachineArn": self.arn, "maxResults": min(most, 1000)}
        asked |= {"statusFilter": status} if status else {}
        listed = self.ops.pages("stepfunctions", "list_executions", _LISTED, most, **asked)
        now = self.ops.now()
        rows = [
            each | {"minutes": ((each["stopped"] or now) - each["started"]).total_seconds() / 60}
            for each in listed
            if since is None or each["started"] >= since
        ]
        return frame(rows, EXECUTIONS).round({"minutes": 1})

    def describe(self, arn: str) -> Json:
        """An execution, with its input decoded, `item`: what it is about, "" where it says none."""
        told = self.call("describe_execution", executionArn=arn)
        given = decoded(told.get("input", "{}"), {})
        named = given.get(self.facts.get("item"), "") if isinstance(given, dict) else ""
        return told | {"input": given, "item": str(named)}

    def executions_of(self, item: str) -> list[Json]:
        """Those about an item, newest first, described: by their names, else by their inputs."""
        listed = self.executions(None)
        named = listed[listed["execution"].str.contains(item, regex=False)]
        looked = named if len(named) else listed.head(_LOOKED_INTO)
        told = self.ops.each(self.describe, looked["arn"].head(_LOOKED_INTO)).values()
        return [each for each in told if each["item"] == item]

    def row(self, item: str) -> Json | None:
        """The item's row, with `state`: running, done, failed, or what the table says; None where
        there is none, or no table.
        """
        if "table" not in self.facts:
            return None
        id = identifier(self.column("id"))
        asked = f"SELECT to_jsonb(t) AS row FROM {quoted(self.facts['table'])} t "
        found = sql.value(self.ops, f"{asked}WHERE {id}::text = :item", {"item": item})
        if found is None:
            return None
        said, states = str(found.get(self.column("status"))), self.facts.get("states", {})
        state = next((ours for ours, theirs in states.items() if said in theirs), said)
        return dict(found | {"state": state})

    def last_failed(self) -> str:
        """The item that failed last, by the table, else by the executions; "" where none did."""
        if "table" in self.facts:
            return "".join(self.failed_rows()["item"].head(1))
        last = self.executions(None, "FAILED", 1)["arn"]
        return "".join(self.describe(arn)["item"] for arn in last)

    def failed_rows(self, minutes: float = 1e7) -> Frame:
        """Items whose row has failed, with their errors, the newest first; at most 1,000."""
        names = map(identifier, map(self.column, ("id", "error", "status", "updated")))
        id, error, status, updated = names
        asked = f"SELECT {id}::text AS item, {error}::text AS error FROM "
        asked += f"{quoted(self.facts['table'])} WHERE {status}::text = ANY(:failed) "
        asked += f"AND {updated} > now() - make_interval(secs => :s) ORDER BY {updated} DESC"
        failed = self.facts.get("states", {}).get("failed", ["failed"])
        return sql.ask(self.ops, asked, {"failed": failed, "s": 60 * minutes}, limit=1_000)

    def column(self, key: str) -> str:
        usual = {"error": "error_message", "updated": "updated_at"}
        return str(self.facts.get("columns", {}).get(key) or usual.get(key, key))
