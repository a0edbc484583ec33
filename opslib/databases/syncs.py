"""Copying another target's data over this one's. The direction is in this target's file, and never into production."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import LAB, Facts
from opslib.core.errors import Refused, unknown_name
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads.objects import is_versioned, list_objects
from opslib.core.tables import frame
from opslib.databases.instances import rds, snapshots

if TYPE_CHECKING:
    import pandas as pd

SIDES = {"what": "str", "source": "Int64", "here": "Int64", "difference": "Int64"}
DRY_RUN = {"what": "str", "count": "Int64", "replaces": "Int64"}
IMAGES, DATABASE = "images", "database"


def _facts(ops: Connection, scope: str) -> Facts:
    """The target's `sync` section. Raises Refused for production, UsageError for an unknown scope."""
    target = ops.target
    if target.production:
        raise Refused(
            f"{target.name} is production: nothing is ever copied over it. Nothing was changed."
        )
    facts: Facts = target["sync"]
    if scope not in facts["scopes"]:
        raise unknown_name("scope", scope, facts["scopes"], f" of {target.name}")
    return facts


def source(ops: Connection) -> Connection:
    """A connection to the target that the data comes from."""
    return ops.beside((LAB if ops.target.lab else "") + ops.target["sync"]["source"])


def _covers(facts: Facts, scope: str, part: str) -> bool:
    return part in facts["scopes"][scope]["copies"]


def compare_sides(ops: Connection, scope: str) -> pd.DataFrame:
    """Rows and objects on both sides, of what this scope overwrites. Columns: SIDES."""
    facts = _facts(ops, scope)
    theirs = source(ops)
    counts, there = ops.gather(
        lambda: _counts(ops, facts, scope), lambda: _counts(theirs, facts, scope)
    )
    rows = [
        {
            "what": what,
            "source": there[what],
            "here": counts[what],
            "difference": counts[what] - there[what],
        }
        for what in counts
    ]
    return frame(rows, SIDES)


def _counts(ops: Connection, facts: Facts, scope: str) -> dict[str, int]:
    counts = sql.count_rows(ops, facts["tables"]) if _covers(facts, scope, DATABASE) else {}
    if _covers(facts, scope, IMAGES):
        counts |= {f"objects under {facts['prefix']}": len(_sizes(ops, facts))}
    return counts


def _sizes(ops: Connection, facts: Facts) -> dict[str, int]:
    """Size of each object by its key."""
    bucket = ops.target["buckets"][facts["bucket"]]["name"]
    objects = list_objects(ops, bucket, facts["prefix"])
    return dict(zip(objects["key"], objects["size_bytes"], strict=True))


def ask_dry_run(ops: Connection, scope: str) -> pd.DataFrame:
    """What the function itself says that it would do, invoked with its dry-run option. Columns: DRY_RUN."""
    facts = _facts(ops, scope)
    payload = facts["scopes"][scope]["payload"].plain() | facts["dry_run"].plain()
    answer = ops.call("lambda", "invoke", FunctionName=_function(ops, facts), Payload=payload)[
        "Payload"
    ]
    return frame(_flat(answer if isinstance(answer, dict) else {"answer": answer}), DRY_RUN)


def _function(ops: Connection, facts: Facts) -> str:
    return str(ops.target["functions"][facts["function"]]["name"])


def _flat(answer: dict[str, Any], path: str = "") -> list[dict[str, Any]]:
    """Every number in the answer by its path; a table's rows and what they replace in one line."""
    rows: list[dict[str, Any]] = []
    for key, value in answer.items():
        name = f"{path}{key}"
        if isinstance(value, dict) and set(value) == {"rows", "replaced"}:
            rows.append({"what": name, "count": value["rows"], "replaces": value["replaced"]})
        elif isinstance(value, dict):
            rows += _flat(value, f"{name}.")
        elif isinstance(value, int) and not isinstance(value, bool):
            rows.append({"what": name, "count": value})
    return rows


@planner
def plan_sync(ops: Connection, scope: str = "both", snapshot: bool = True) -> Planned:
    """Have the sync function copy the source's data over this target's, after a snapshot when rows are overwritten.

    What is here now is part of the plan: when it changes before the plan is applied, that is refused.
    """
    facts = _facts(ops, scope)
    counts, payload = _counts(ops, facts, scope), facts["scopes"][scope]["payload"].plain()
    name = _function(ops, facts)
    copy = Step(
        f"Copy {scope_in_words(facts, scope)} of {facts['source']} over {ops.target.key}",
        do=Aws("lambda", "invoke", FunctionName=name, Payload=payload),
        before=counts,
        after=f"as {facts['source']}",
    )
    saved = _saved(ops, scope) if snapshot and _covers(facts, scope, DATABASE) else []
    return Planned(
        f"copy {facts['source']} over {ops.target.key}",
        [*saved, copy],
        _notes(ops, facts, scope, bool(saved)),
    )


def scope_in_words(facts: Facts, scope: str) -> str:
    return " and ".join(facts["scopes"][scope]["copies"])


def _saved(ops: Connection, scope: str) -> list[Step]:
    return snapshots.steps_for_snapshot(ops, rds.of(ops), f"before sync of {scope}")


def _notes(ops: Connection, facts: Facts, scope: str, saved: bool) -> list[str]:
    notes = []
    if _covers(facts, scope, DATABASE):
        back = (
            "The way back is the snapshot, with databases/restore."
            if saved
            else "No snapshot is taken: there is no way back."
        )
        notes.append(f"Every row of {', '.join(facts['tables'])} here is replaced. {back}")
    if _covers(facts, scope, IMAGES):
        bucket = ops.target["buckets"][facts["bucket"]]["name"]
        kept = "keeps" if is_versioned(ops, bucket) else "does NOT keep"
        notes.append(
            f"Objects under {facts['prefix']} that differ are overwritten; {bucket} {kept} the versions before."
        )
    return notes


@check("Is this target as its source?")
def check_sync(ops: Connection, scope: str = "both") -> Findings:
    """After a sync: the same number of rows in each table, and each of the source's objects here. Evidence: SIDES."""
    facts = _facts(ops, scope)
    sides = compare_sides(ops, scope)
    found = []
    if _covers(facts, scope, DATABASE):
        found.append(_rows_finding(facts, sides))
    if _covers(facts, scope, IMAGES):
        found.append(_objects_finding(ops, facts))
    return Findings(found, sides)


def _rows_finding(facts: Facts, sides: pd.DataFrame) -> Finding:
    other = sides[sides["what"].isin(facts["tables"]) & (sides["difference"] != 0)]
    seen = "; ".join(
        f"{row['what']} {row['here']:,} here, {row['source']:,} there"
        for _, row in other.iterrows()
    )
    status = "warn" if seen else "ok"
    return Finding(
        status,
        f"Rows as in {facts['source']}",
        seen or f"{len(facts['tables'])} tables alike",
        "alike",
        "SELECT count(*)",
    )


def _objects_finding(ops: Connection, facts: Facts) -> Finding:
    theirs = source(ops)
    here, there = ops.gather(
        functools.partial(_sizes, ops, facts), functools.partial(_sizes, theirs, facts)
    )
    missing = [key for key, size in there.items() if here.get(key) != size]
    seen = f"{len(missing):,} of {len(there):,} are missing or differ" + (
        f", first {missing[0]}" if missing else ""
    )
    status = "critical" if missing else "ok"
    return Finding(
        status, f"Objects of {facts['source']} are here", seen, "0 missing", "s3 ListObjectsV2"
    )
