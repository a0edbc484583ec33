"""Orphans: objects in a bucket that no row of the database names.

Found with care, deleted with more. Keys are compared like with like: the bucket's without the
prefix, the table's as they are. An object that a row names in another way of writing keys is no
orphan; when there are many of these, the comparison is wrong, and nothing is deleted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from opslib.buckets import settings
from opslib.core.checks.checks import answer, check
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import quoted
from opslib.core.connections.targets import Facts
from opslib.core.errors import OpsError, Refused
from opslib.core.findings import Finding, Findings, Question
from opslib.core.plans.actions import Action, Aws, result
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads.objects import exists, is_versioned, list_objects
from opslib.core.tables import UTC_TIME, frame

if TYPE_CHECKING:
    import pandas as pd

ORPHANS = {
    "group": "str",
    "key": "str",
    "size_bytes": "int64",
    "modified": UTC_TIME,
    "age_hours": "float64",
}
GROUPS = {
    "group": "str",
    "objects": "int64",
    "size_bytes": "int64",
    "newest": UTC_TIME,
    "sample": "str",
}
MISCOMPARED = "orphan-keys-miscompared"
_KEYS_A_CALL = 1000  # S3 DeleteObjects takes no more
_ROW_LIMIT = 2_000_000
_YOUNG_HOURS = 24  # an upload comes before its row
_FEW = 0.1

# Ways in which a table may write an object's key, by its key and its key without the prefix.
# The first is what the target's file says.
_DECLARED = "without the prefix"
_FORMS: dict[str, Callable[[str, str], str]] = {
    _DECLARED: lambda key, bare: bare,
    "with the prefix": lambda key, bare: key,
    "with a leading slash": lambda key, bare: f"/{bare}",
    "the file's name only": lambda key, bare: key.rsplit("/", 1)[-1],
    "URL-decoded": lambda key, bare: unquote(bare),
    "in lower case": lambda key, bare: bare.lower(),
}


@dataclass(frozen=True)
class Scan:
    """What a scan saw.

    Every object under the prefix, the rows' keys, and which objects no row names. `otherwise`:
    objects that have a row only when its key is taken to be written in another `form`.
    """

    kind: str
    bucket: str
    prefix: str
    table: str
    objects: pd.DataFrame  # OBJECTS
    rows: int
    orphans: pd.DataFrame  # ORPHANS: no row names them, however its key is written
    otherwise: int = 0
    form: str = ""

    @property
    def miscompared(self) -> bool:
        """Are the keys compared wrongly? Some leftovers of an older form are not yet that."""
        return self.otherwise > _FEW * (self.otherwise + len(self.orphans))

    @property
    def share(self) -> float:
        """Orphans among all objects under the prefix, in percent."""
        return 100 * len(self.orphans) / max(1, len(self.objects))

    @property
    def old(self) -> pd.DataFrame:
        """The orphans that are not just about to get their row."""
        return self.orphans[self.orphans["age_hours"] >= _YOUNG_HOURS]

    @property
    def young(self) -> int:
        return len(self.orphans) - len(self.old)

    def __str__(self) -> str:
        return (
            f"{len(self.orphans):,} of {len(self.objects):,} objects ({self.share:.1f} %), "
            f"{megabytes(self.orphans)}, have no row among the {self.rows:,} of {self.table}"
        )


def megabytes(objects: pd.DataFrame) -> str:
    return f"{objects['size_bytes'].sum() / 1e6:,.1f} MB"


def scan(ops: Connection, kind: str) -> Scan:
    """List the kind's prefix, every page, and compare with the keys in its table. Changes nothing.

    The rows are read after the objects: an upload in between then has its row, and is no orphan.
    """
    facts = ops.target["orphans"][kind]
    bucket, prefix = ops.target["buckets"][facts["bucket"]]["name"], facts["prefix"]
    objects = list_objects(ops, bucket, prefix)
    objects = objects[objects["key"] != prefix]  # the console's "folder"
    keys = _table_keys(ops, facts)
    forms = objects["key"].map(lambda key: _form(key, prefix, keys))
    others = Counter(form for form in forms if form not in ("", _DECLARED))
    form = others.most_common(1)[0][0] if others else ""
    age = (ops.now() - objects["modified"]).dt.total_seconds() / 3600
    groups = objects["key"].map(lambda key: group(key, prefix))
    described = objects.assign(group=groups, age_hours=age.round(1))[forms == ""]
    orphans = frame(described.sort_values("key").to_dict("records"), ORPHANS)
    table, missed = facts["table"], others.total()
    return Scan(kind, bucket, prefix, table, objects, len(keys), orphans, missed, form)


def _form(key: str, prefix: str, keys: set[str]) -> str:
    """The form in which a row names this object; empty when none does."""
    bare = key.removeprefix(prefix)
    return next((name for name, form in _FORMS.items() if form(key, bare) in keys), "")


def _table_keys(ops: Connection, facts: Facts) -> set[str]:
    column, table = quoted(facts["column"]), quoted(facts["table"])
    statement = f"SELECT {column} AS key FROM {table} WHERE {column} IS NOT NULL"
    found = sql.ask(ops, statement, limit=_ROW_LIMIT)
    if len(found) >= _ROW_LIMIT:
        raise OpsError(
            f"{facts['table']} has more than {_ROW_LIMIT:,} keys: too many to compare here."
        )
    return set(found["key"])


def group(key: str, prefix: str) -> str:
    """What an object belongs to.

    The first part of its path under the prefix, or its name up to the first `_`.
    """
    return re.split(r"/|_", key.removeprefix(prefix), maxsplit=1)[0]


def _grouped(orphans: pd.DataFrame) -> pd.DataFrame:
    """The orphans by what they belong to, largest first. Columns: GROUPS."""
    found = orphans.groupby("group", as_index=False).agg(
        objects=("key", "size"),
        size_bytes=("size_bytes", "sum"),
        newest=("modified", "max"),
        sample=("key", "first"),
    )
    largest = found.sort_values(["size_bytes", "group"], ascending=[False, True])
    return frame(largest.to_dict("records"), GROUPS)


class Scanned(Findings):
    """Findings of a scan, with the orphans themselves."""

    def __init__(self, found: list[Finding], seen: Scan) -> None:
        super().__init__(found, _grouped(seen.orphans), _ages(seen))
        self.orphans = seen.orphans


def sample_orphans(found: Findings, rows: int = 20) -> pd.DataFrame:
    """Some of the orphans that a check saw; none when it could not look. Columns: ORPHANS."""
    return found.orphans.head(rows) if isinstance(found, Scanned) else frame((), ORPHANS)


_APP = "The app's own scan agrees"


@check("Which objects does no row name?")
def check_orphans(ops: Connection, kind: str, max_share_percent: float = 20.0) -> Findings:
    """Orphans of this kind: number, share, size, by group. Evidence: GROUPS.

    And whether the keys are compared rightly.
    """
    facts = ops.target["orphans"][kind]
    name = ops.target["buckets"][facts["bucket"]]["name"]
    if not exists(ops, name):
        return Findings([settings.missing(ops, name)])
    seen = scan(ops, kind)
    found = [_finding(seen, facts, max_share_percent)]
    if "scan" in facts:
        found.append(answer(_APP, lambda: _app_finding(ops, facts["scan"], seen)))
    return Scanned(found, seen)


def _finding(seen: Scan, facts: Facts, most: float) -> Finding:
    limit = f"none; above {most:g} % nothing is deleted"
    asked = Question(f"Orphans under {seen.prefix}", limit, "s3 ListObjectsV2, SELECT")
    if seen.miscompared:
        rule = f"a row for each, its key {_DECLARED}"
        return asked.answer("critical", _miscompared(seen), cause=MISCOMPARED, rule=rule)
    if seen.orphans.empty:
        return asked.answer("ok", str(seen), rule="none")
    cause = "stale-listings" if facts.get("temporary", False) else "orphans"
    return asked.answer("critical" if seen.share > most else "warn", str(seen), cause=cause)


def _miscompared(seen: Scan) -> str:
    return (
        f"{seen.otherwise:,} of {len(seen.objects):,} objects have a row only when the keys of "
        f"{seen.table} are read {seen.form}: compared {_DECLARED} they would all look like orphans"
    )


def _ages(seen: Scan) -> str:
    if seen.orphans.empty:
        return f"{len(seen.objects):,} objects under {seen.prefix}, {megabytes(seen.objects)}."
    some = f"{seen.young:,} are younger than a day and stay"
    young = some if seen.young else "None is younger than a day"
    oldest, newest = seen.orphans["modified"].min(), seen.orphans["modified"].max()
    return f"{young}. Oldest {oldest:%Y-%m-%d}, newest {newest:%Y-%m-%d}."


def _app_finding(ops: Connection, path: str, seen: Scan) -> Finding:
    """The app's own scan beside ours.

    It deletes nothing, but its clean-up would delete what it counts.
    """
    ours = len(seen.orphans)
    asked = Question(_APP, f"{ours:,}, as counted here", f"POST {path}")
    count = _count(ops.http("POST", path, auth=True).json())
    if count is None:
        return asked.answer("unknown", "its answer has no number of orphans", rule="")
    said = f"{count:,} orphans"
    if seen.miscompared or count > max(2 * ours, len(seen.objects) * (1 - _FEW)):
        warning = f"{said}: its clean-up would delete objects that have a row"
        return asked.answer("critical", warning, cause=MISCOMPARED)
    return asked.judged(count == ours, said, otherwise="warn")


def _count(answered: Any) -> int | None:
    """The number of orphans in a scan's answer.

    A number, or a list of them, under one of the usual names.
    """
    told = answered if isinstance(answered, dict) else {}
    usual = ("orphans", "orphan_count", "orphans_found", "count")
    named = next((told[key] for key in usual if key in told), None)
    if isinstance(named, list):
        return len(named)
    return named if isinstance(named, int) else None


@planner
def plan_delete(ops: Connection, kind: str, max_share_percent: float = 20.0) -> Planned:
    """Delete the orphans of this kind that are older than a day, 1,000 a step.

    The list is made again when the plan is applied, and must be the same. Raises Refused above the
    share, when the keys look wrongly compared, and when the table is empty.
    """
    seen = scan(ops, kind)
    _guard(seen, max_share_percent)
    versioned, old = is_versioned(ops, seen.bucket), seen.old
    starts = range(0, len(old), _KEYS_A_CALL)
    steps = [
        _deletion(seen.bucket, number, old.iloc[start : start + _KEYS_A_CALL], versioned)
        for number, start in enumerate(starts, 1)
    ]
    notes = [f"{seen}."]
    if seen.young:
        notes.append(
            f"{seen.young:,} younger than a day are left alone: their rows may yet be written."
        )
    if seen.otherwise:
        notes.append(f"{seen.otherwise:,} are left alone because a row names them {seen.form}.")
    if steps:
        back = _KEPT if versioned else "keeps no versions: what is deleted cannot be brought back."
        notes.append(f"{seen.bucket} {back}")
    what = f"{len(old):,} {seen.prefix} objects without a row ({megabytes(old)})"
    return Planned(f"delete {what}", steps, notes)


def _guard(seen: Scan, most: float) -> None:
    if seen.miscompared:
        raise Refused(
            f"{_miscompared(seen)}. Nothing was deleted. Correct the keys in the table, or "
            f"orphans.{seen.kind} in the target's file, and keep away from the app's own clean-up "
            "until then."
        )
    if len(seen.objects) and not seen.rows:
        raise Refused(
            f"{seen.table} has no keys at all, so everything would look orphaned. "
            "Nothing was deleted."
        )
    if seen.share > most:
        raise Refused(
            f"{seen}: more than {most:g} %. Nothing was deleted. Look at the groups and samples "
            "first; when they are orphans indeed, run again with a higher max_share_percent."
        )


_MARKERS = "Deleted[].{Key: Key, VersionId: DeleteMarkerVersionId}"
_KEPT = (
    "keeps versions: the objects go behind delete markers and can be brought back with "
    "changes/undo, until a lifecycle rule removes them. Until then they are paid for."
)


def _deletion(bucket: str, number: int, objects: pd.DataFrame, versioned: bool) -> Step:
    keys: Sequence[str] = list(objects["key"])

    def delete(what: Any) -> Action:
        return Aws("s3", "delete_objects", Bucket=bucket, Delete={"Objects": what, "Quiet": False})

    return Step(
        f"Delete {len(keys):,} objects, {keys[0]} to {keys[-1]}",
        do=delete([{"Key": key} for key in keys]),
        before={"objects": len(keys), "size_bytes": int(objects["size_bytes"].sum())},
        after={"objects": 0},
        undo=[delete(result(f"delete-{number}.{_MARKERS}"))] if versioned else None,
        name=f"delete-{number}",
    )
