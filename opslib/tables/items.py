"""Items that belong to one id, as an erasure needs them: how many, of what kind, what keeps them.

Nothing of an item but its keys is asked for, and none of these is kept.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from opslib.core import (
    Connection,
    EraseItems,
    Finding,
    Findings,
    Json,
    Question,
    Step,
    answer,
    check,
    count,
    objects,
)
from opslib.tables.backups import list_backups, point_in_time
from opslib.tables.reading import Table

_KIND = re.compile(r"[A-Za-z_]{2,40}(?=[#:/|])")  # a sort key's first word; more may be a person's
_DAYS = 35
_SOME, _NO_SECONDS = 100, 1e11  # items; after the year 5138


@dataclass(frozen=True)
class Partition:
    """The items of one partition of a table, or of one of its indexes."""

    key: str  # what the target's file calls the table
    table: str
    value: str
    index: str
    items: objects.Items

    def rows(self, ops: Connection) -> Iterator[Json]:
        """What they are, by the first word of their sort key: {key, items, size_bytes}."""
        sort = ops.target["tables"][self.key].get("sort", "")
        kinds = Counter(_kind(key, sort) for key in self.items.keys)
        for at, (kind, items) in enumerate(sorted(kinds.items())):
            of = f"{self.value} {kind}".rstrip()
            yield {"key": of, "items": items, "size_bytes": self.items.size if at == 0 else 0}

    def step(self) -> Step:
        """That deletes them, while they are these."""
        there, digest = len(self.items.keys), objects.digest_of(self.items.keys)
        of = f"{self.value} by {self.index}" if self.index else self.value
        return Step(
            f"Erase {count(there, 'item')} of {of} in {self.table}",
            EraseItems(self.table, self.index, self.value, there, digest),
            before={"items": there},
            after={"items": 0},
        )


def _kind(key: Json, sort: str) -> str:
    found = _KIND.match(str(*key.get(sort, {"": ""}).values()))
    return f"{found[0]}…" if found else ""


def find_partition(ops: Connection, table: str, value: str, index: str = "") -> Partition:
    """The items of a partition (DynamoDB Query, keys only). Raises what `items_of` does."""
    name = Table(ops, table).name
    return Partition(table, name, value, index, objects.items_of(ops, name, value, index))


def left_of(ops: Connection, step: Step) -> Finding | None:
    """Asked again, consistently: is nothing left of what a step erased? Nothing of other steps."""
    do = step.do
    if do["kind"] != "erase items":
        return None
    asked = Question(f"items of {do['value']} in {do['table']}", "none", "dynamodb Query")
    left = len(objects.items_of(ops, do["table"], do["value"], do["index"]).keys)
    return asked.judged(not left, f"{left:,} of {do['items']:,} are left")


@check("Do items end as they are to?")
def check_endings(ops: Connection, table: str = "") -> Findings:
    """Of tables whose items end (`time_to_live`): is that in seconds, as DynamoDB wants it?

    What is milliseconds or a text is never deleted, and nobody is told. A hundred items of a Scan.
    """

    def one(key: str) -> Finding:
        name, known = ops.target["tables"][key]["time_to_live"], Table(ops, key).name
        at = {"ProjectionExpression": "#end", "ExpressionAttributeNames": {"#end": name}}
        items = ops.call("dynamodb", "scan", TableName=known, Limit=_SOME, **at)["Items"]
        ends = [item[name] for item in items if name in item]
        wrong = [end for end in ends if float(end.get("N", "inf")) > _NO_SECONDS]
        asked = Question(f"ends of items of {key}", f"{name} in seconds", "dynamodb Scan")
        seen = f"{len(wrong)} of {count(len(ends), 'item')} will never be deleted"
        seen += "".join(f": {end} is no time in seconds" for end in wrong[:1])
        return asked.judged(not wrong, seen, otherwise="warn", next="tables/throttling")

    chosen = [table] if table else ops.target["tables"]
    ending = [key for key in chosen if "time_to_live" in ops.target["tables"][key]]
    return Findings(ops.each(one, ending, "ends of items of {}").values())


def copies_of(ops: Connection, tables: list[str]) -> Iterator[Finding]:
    """Where copies of items stay that no deletion reaches, and until when."""
    for table in tables:
        rule = "backups that end"
        asked = Question(f"copies of items of {table}", rule, "dynamodb DescribeContinuousBackups")
        yield answer(asked, _kept, ops, table, asked)


def _kept(ops: Connection, table: str, asked: Question) -> Finding:
    known, said = Table(ops, table), []
    if told := point_in_time(ops, known.name):
        until = ops.now() + timedelta(days=told.get("RecoveryPeriodInDays", _DAYS))
        said.append(f"recovery to a moment holds them until {_day(until)}")
    if known.described.get("StreamSpecification", {}).get("StreamEnabled"):
        said.append(f"its stream until {_day(ops.now() + timedelta(days=1))}")
    found = list_backups(ops, table)
    if len(found):
        since = _day(found["created"].max())
        said.append(f"{count(len(found), 'backup')} until deleted, the newest of {since}")
    seen = "; ".join(said) or "no backup, no recovery to a moment"
    return asked.judged(found.empty, seen, otherwise="warn", next="tables/backup")


def _day(when: datetime) -> str:
    return f"{when:%Y-%m-%d}"
