"""Copying another target's data over this one's.

The direction is in this target's file, and never into production.
"""

from functools import partial
from typing import Any

from opslib.core import (
    Action,
    Aws,
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    Planned,
    Question,
    Refused,
    Step,
    check,
    dtypes,
    frame,
    objects,
    planner,
    require_known,
    sql,
)
from opslib.databases.instances import snapshots

SIDES = dtypes("""
    what       str
    source     Int64
    here       Int64
    difference Int64
""")
DRY_RUN = {"what": "str", "count": "Int64"}
IMAGES, DATABASE = "images", "database"


def _facts(ops: Connection, scope: str) -> Json:
    """The target's `sync` section, with what the scope copies and its payload.

    Raises Refused (production), UsageError (unknown scope).
    """
    target = ops.target
    if target.production:
        raise Refused(
            f"{target.name} is production: nothing is ever copied over it. Nothing was changed."
        )
    facts = target["sync"]
    require_known("scope", scope, facts["scopes"], f" of {target.name}")
    return dict(facts | facts["scopes"][scope])


def source(ops: Connection) -> Connection:
    """A connection to the target that the data comes from."""
    return ops.beside(ops.target["sync"]["source"])


def compare_sides(ops: Connection, scope: str) -> Frame:
    """Rows and objects on both sides, of what this scope overwrites. Columns: SIDES."""
    facts = _facts(ops, scope)
    here, there = ops.gather(*(partial(_counts, each, facts) for each in (ops, source(ops))))
    rows = ((what, there[what], held, held - there[what]) for what, held in here.items())
    return frame(rows, SIDES)


def _counts(ops: Connection, facts: Json) -> dict[str, int]:
    counts = sql.count_rows(ops, facts["tables"]) if DATABASE in facts["copies"] else {}
    if IMAGES in facts["copies"]:
        counts[f"objects under {facts['prefix']}"] = len(_sizes(ops, facts))
    return counts


def _sizes(ops: Connection, facts: Json) -> dict[str, int]:
    """Size of each object by its key."""
    found = objects.list_objects(ops, _bucket(ops, facts), facts["prefix"])
    return dict(zip(found["key"], found["size_bytes"], strict=True))


def _bucket(ops: Connection, facts: Json) -> str:
    return str(ops.target["buckets"][facts["bucket"]]["name"])


def _invoke(ops: Connection, facts: Json, **more: Any) -> Action:
    """Invokes the function that copies."""
    payload = facts["payload"].plain() | more
    name = str(ops.target["functions"][facts["function"]]["name"])
    return Aws("lambda", "invoke", FunctionName=name, Payload=payload)


def ask_dry_run(ops: Connection, scope: str) -> Frame:
    """What the function itself says that it would do, invoked with its dry-run option.

    Every whole number in its answer, by its path. Columns: DRY_RUN.
    """
    import pandas as pd

    facts = _facts(ops, scope)
    said = _invoke(ops, facts, **facts["dry_run"].plain()).perform(ops)["Payload"]
    counts = pd.json_normalize(said).select_dtypes("int64").iloc[0]
    return frame(counts.items(), DRY_RUN)


@planner
def plan_sync(ops: Connection, scope: str = "both", snapshot: bool = True) -> Planned:
    """Have the function copy the source's data over this target's, after a snapshot of its rows.

    What is here now is part of the plan: when it has changed before it is applied, it is refused.
    """
    facts = _facts(ops, scope)
    origin, here = facts["source"], ops.target.key
    copy = Step(
        f"Copy {' and '.join(facts['copies'])} of {origin} over {here}",
        do=_invoke(ops, facts),
        before=_counts(ops, facts),
        after=f"as {origin}",
    )
    steps, notes = [copy], []
    if DATABASE in facts["copies"]:
        back = "No snapshot is taken: there is no way back."
        if snapshot:
            steps = [*snapshots.steps_for_snapshot(ops, f"before sync of {scope}"), copy]
            back = "The way back is the snapshot, with databases/restore."
        notes.append(f"Every row of {', '.join(facts['tables'])} here is replaced. {back}")
    if IMAGES in facts["copies"]:
        bucket = _bucket(ops, facts)
        kept = "keeps" if objects.is_versioned(ops, bucket) else "does NOT keep"
        overwritten = f"Objects under {facts['prefix']} that differ are overwritten"
        notes.append(f"{overwritten}; {bucket} {kept} the versions before.")
    return Planned(f"copy {origin} over {here}", steps, notes)


@check("Is this target as its source?")
def check_sync(ops: Connection, scope: str = "both") -> Findings:
    """After a sync: the same number of rows in each table, and each of the source's objects here.

    Evidence: SIDES.
    """
    facts = _facts(ops, scope)
    sides = compare_sides(ops, scope)
    found = []
    if DATABASE in facts["copies"]:
        rows = sides[sides["what"].isin(facts["tables"])]
        other = "; ".join(
            f"{row.what} {row.here:,} here, {row.source:,} there"
            for row in rows[rows["difference"] != 0].itertuples()
        )
        asked = Question(f"Rows as in {facts['source']}", "alike", "SELECT count(*)")
        seen = other or f"{len(rows)} tables alike"
        found.append(asked.judged(not other, seen, otherwise="warn"))
    if IMAGES in facts["copies"]:
        found.append(_objects_here(ops, facts))
    return Findings(found, sides)


def _objects_here(ops: Connection, facts: Json) -> Finding:
    here, there = ops.gather(*(partial(_sizes, each, facts) for each in (ops, source(ops))))
    missing = [key for key, size in there.items() if here.get(key) != size]
    seen = f"{len(missing):,} of {len(there):,} are missing or differ"
    seen += f", first {missing[0]}" if missing else ""
    asked = Question(f"Objects of {facts['source']} are here", "0 missing", "s3 ListObjectsV2")
    return asked.judged(not missing, seen)
