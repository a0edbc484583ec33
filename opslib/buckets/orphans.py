"""Orphans: objects in a bucket that no row of the database names; found with care, deleted with more.

Keys are compared like with like: the bucket's without the prefix, the table's as they are. An object that a row names
in another way of writing keys is no orphan; when there are many of these, the comparison is wrong, and nothing is deleted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from opslib.buckets import settings
from opslib.core.checks.checks import answer, check
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import quoted
from opslib.core.connections.targets import Facts
from opslib.core.errors import OpsError, Refused
from opslib.core.findings import Finding, Findings
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
_YOUNG = timedelta(days=1)  # an upload comes before its row
_FEW = 0.1

# Ways in which a table may write an object's key; the first is what the target's file says.
_FORMS: dict[str, Callable[[str, str], str]] = {
    "without the prefix": lambda key, prefix: key.removeprefix(prefix),
    "with the prefix": lambda key, prefix: key,
    "with a leading slash": lambda key, prefix: "/" + key.removeprefix(prefix),
    "the file's name only": lambda key, prefix: key.rsplit("/", 1)[-1],
    "URL-decoded": lambda key, prefix: unquote(key.removeprefix(prefix)),
    "in lower case": lambda key, prefix: key.removeprefix(prefix).lower(),
}
_DECLARED = next(iter(_FORMS))


@dataclass(frozen=True)
class Scan:
    """What a scan saw: every object under the prefix, the rows' keys, and which objects no row names."""

    kind: str
    bucket: str
    prefix: str
    table: str
    objects: pd.DataFrame  # buckets.OBJECTS
    rows: int
    orphans: pd.DataFrame  # ORPHANS: no row names them, however its key is written
    otherwise: int = (
        0  # objects that have a row only when its key is taken to be written in another form
    )
    form: str = ""  # that form

    @property
    def miscompared(self) -> bool:
        """Are the keys compared wrongly? Some leftovers of an older form are not yet that."""
        return self.otherwise > _FEW * (self.otherwise + len(self.orphans))

    @property
    def share(self) -> float:
        """Orphans among all objects under the prefix, 0 to 1."""
        return len(self.orphans) / len(self.objects) if len(self.objects) else 0.0

    @property
    def young(self) -> pd.DataFrame:
        return self.orphans[self.orphans["age_hours"] < _YOUNG.total_seconds() / 3600]

    @property
    def old(self) -> pd.DataFrame:
        return self.orphans[self.orphans["age_hours"] >= _YOUNG.total_seconds() / 3600]

    def __str__(self) -> str:
        return (
            f"{len(self.orphans):,} of {len(self.objects):,} objects ({self.share * 100:.1f} %), {megabytes(self.orphans)}, "
            f"have no row among the {self.rows:,} of {self.table}"
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
    objects = objects[objects["key"] != prefix].reset_index(drop=True)  # the console's "folder"
    keys = _table_keys(ops, facts)
    found = [_form(key, prefix, keys) for key in objects["key"]]
    others = Counter(form for form in found if form not in ("", _DECLARED))
    orphans = _described(objects[[form == "" for form in found]], prefix, ops.now())
    form = others.most_common(1)[0][0] if others else ""
    return Scan(
        kind, bucket, prefix, facts["table"], objects, len(keys), orphans, others.total(), form
    )


def _form(key: str, prefix: str, keys: set[str]) -> str:
    """The form in which a row names this object; empty when none does."""
    return next((name for name, form in _FORMS.items() if form(key, prefix) in keys), "")


def _table_keys(ops: Connection, facts: Facts) -> set[str]:
    column = quoted(facts["column"])
    found = sql.ask(
        ops,
        f"SELECT {column} AS key FROM {quoted(facts['table'])} WHERE {column} IS NOT NULL",
        limit=_ROW_LIMIT,
    )
    if len(found) >= _ROW_LIMIT:
        raise OpsError(
            f"{facts['table']} has more than {_ROW_LIMIT:,} keys: too many to compare here."
        )
    return set(found["key"])


def _described(objects: pd.DataFrame, prefix: str, now: datetime) -> pd.DataFrame:
    rows = objects.assign(
        group=[group(key, prefix) for key in objects["key"]],
        age_hours=((now - objects["modified"]).dt.total_seconds() / 3600).round(1),
    )
    return frame(rows.to_dict("records"), ORPHANS).sort_values("key", ignore_index=True)


def group(key: str, prefix: str) -> str:
    """What an object belongs to: the first part of its path under the prefix, or its name up to the first `_`."""
    return re.split(r"/|_", key.removeprefix(prefix), maxsplit=1)[0]


def find_groups(scan: Scan) -> pd.DataFrame:
    """The orphans by what they belong to, largest first. Columns: GROUPS."""
    rows = [
        {
            "group": name,
            "objects": len(of_it),
            "size_bytes": of_it["size_bytes"].sum(),
            "newest": of_it["modified"].max(),
            "sample": of_it["key"].iloc[0],
        }
        for name, of_it in scan.orphans.groupby("group")
    ]
    return frame(sorted(rows, key=lambda row: (-row["size_bytes"], row["group"])), GROUPS)


class Scanned(Findings):
    """Findings of a scan, with the orphans themselves."""

    def __init__(
        self, found: list[Finding], evidence: pd.DataFrame, note: str, orphans: pd.DataFrame
    ) -> None:
        super().__init__(found, evidence, note)
        self.orphans = orphans


def sample_orphans(found: Findings, rows: int = 20) -> pd.DataFrame:
    """Some of the orphans that a check saw; none when it could not look. Columns: ORPHANS."""
    return found.orphans.head(rows) if isinstance(found, Scanned) else frame((), ORPHANS)


@check("Which objects does no row name?")
def check_orphans(ops: Connection, kind: str, max_share_percent: float = 20.0) -> Findings:
    """Orphans of this kind: number, share, size, by group; and whether the keys are compared rightly. Evidence: GROUPS."""
    facts = ops.target["orphans"][kind]
    name = ops.target["buckets"][facts["bucket"]]["name"]
    if not exists(ops, name):
        return Findings([settings.missing(ops, name)])
    seen = scan(ops, kind)
    found = [_finding(seen, facts, max_share_percent)]
    if "scan" in facts:
        found.append(answer(_APP, lambda: _app_finding(ops, facts["scan"], seen)))
    return Scanned(found, find_groups(seen), _ages(seen), seen.orphans)


def _finding(seen: Scan, facts: Facts, max_share_percent: float) -> Finding:
    question, source = f"Orphans under {seen.prefix}", "s3 ListObjectsV2, SELECT"
    if seen.miscompared:
        return Finding(
            "critical",
            question,
            _miscompared(seen),
            f"a row for each, its key {_DECLARED}",
            source,
            MISCOMPARED,
        )
    if seen.orphans.empty:
        return Finding("ok", question, str(seen), "none", source)
    cause = "stale-listings" if facts.get("temporary", False) else "orphans"
    status = "critical" if seen.share * 100 > max_share_percent else "warn"
    return Finding(
        status,
        question,
        str(seen),
        f"none; above {max_share_percent:g} % nothing is deleted",
        source,
        cause,
    )


def _miscompared(seen: Scan) -> str:
    return (
        f"{seen.otherwise:,} of {len(seen.objects):,} objects have a row only when the keys of {seen.table} are read "
        f"{seen.form}: compared {_DECLARED} they would all look like orphans"
    )


def _ages(seen: Scan) -> str:
    if seen.orphans.empty:
        return f"{len(seen.objects):,} objects under {seen.prefix}, {megabytes(seen.objects)}."
    young = (
        f"{len(seen.young):,} are younger than a day and stay"
        if len(seen.young)
        else "None is younger than a day"
    )
    return f"{young}. Oldest {seen.orphans['modified'].min():%Y-%m-%d}, newest {seen.orphans['modified'].max():%Y-%m-%d}."


_APP = "The app's own scan agrees"


def _app_finding(ops: Connection, path: str, seen: Scan) -> Finding:
    """The app's own scan beside ours: it deletes nothing, but its clean-up would delete what it counts."""
    source = f"POST {path}"
    count = _count(ops.http("POST", path, auth=True).json())
    if count is None:
        return Finding("unknown", _APP, "its answer has no number of orphans", source=source)
    ours = len(seen.orphans)
    said, threshold = f"{count:,} orphans", f"{ours:,}, as counted here"
    if seen.miscompared or count > max(2 * ours, len(seen.objects) * (1 - _FEW)):
        warning = f"{said}: its clean-up would delete objects that have a row"
        return Finding("critical", _APP, warning, threshold, source, MISCOMPARED)
    return Finding("ok" if count == ours else "warn", _APP, said, threshold, source)


def _count(answer: Any) -> int | None:
    """The number of orphans in a scan's answer: a number, or a list of them, under one of the usual names."""
    if not isinstance(answer, dict):
        return None
    named = next(
        (
            answer[key]
            for key in ("orphans", "orphan_count", "orphans_found", "count")
            if key in answer
        ),
        None,
    )
    return len(named) if isinstance(named, list) else named if isinstance(named, int) else None


@planner
def plan_delete(ops: Connection, kind: str, max_share_percent: float = 20.0) -> Planned:
    """Delete the orphans of this kind that are older than a day, 1,000 a step.

    The list is made again when the plan is applied, and must be the same. Raises Refused above the share, when the
    keys look wrongly compared, and when the table is empty.
    """
    facts = ops.target["orphans"][kind]
    seen = scan(ops, kind)
    _guard(seen, max_share_percent)
    versioned = is_versioned(ops, seen.bucket)
    keys = list(seen.old["key"])
    chunks = [keys[i : i + _KEYS_A_CALL] for i in range(0, len(keys), _KEYS_A_CALL)]
    steps = [_deletion(seen, number, chunk, versioned) for number, chunk in enumerate(chunks, 1)]
    notes = [f"{seen}."]
    if len(seen.young):
        notes.append(
            f"{len(seen.young):,} younger than a day are left alone: their rows may yet be written."
        )
    if seen.otherwise:
        notes.append(f"{seen.otherwise:,} are left alone because a row names them {seen.form}.")
    if keys:
        notes.append(_afterwards(seen.bucket, versioned))
    return Planned(
        f"delete {len(keys):,} {facts['prefix']} objects without a row ({megabytes(seen.old)})",
        steps,
        notes,
    )


def _guard(seen: Scan, max_share_percent: float) -> None:
    if seen.miscompared:
        raise Refused(
            f"{_miscompared(seen)}. Nothing was deleted. Correct the keys in the table, or orphans.{seen.kind} in the "
            "target's file, and keep away from the app's own clean-up until then."
        )
    if len(seen.objects) and not seen.rows:
        raise Refused(
            f"{seen.table} has no keys at all, so everything would look orphaned. Nothing was deleted."
        )
    if seen.share * 100 > max_share_percent:
        raise Refused(
            f"{seen}: more than {max_share_percent:g} %. Nothing was deleted. Look at the groups and samples first; "
            "when they are orphans indeed, run again with a higher max_share_percent."
        )


def _deletion(seen: Scan, number: int, keys: Sequence[str], versioned: bool) -> Step:
    name = f"delete-{number}"
    sizes = seen.orphans.set_index("key")["size_bytes"]
    return Step(
        f"Delete {len(keys):,} objects, {keys[0]} to {keys[-1]}",
        do=_delete(seen.bucket, [{"Key": key} for key in keys]),
        before={"objects": len(keys), "size_bytes": int(sizes[list(keys)].sum())},
        after={"objects": 0},
        undo=[_delete(seen.bucket, result(f"{name}.{_MARKERS}"))] if versioned else None,
        name=name,
    )


_MARKERS = "Deleted[].{Key: Key, VersionId: DeleteMarkerVersionId}"


def _delete(bucket: str, objects: Any) -> Action:
    return Aws("s3", "delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": False})


def _afterwards(bucket: str, versioned: bool) -> str:
    if versioned:
        return (
            f"{bucket} keeps versions: the objects go behind delete markers and can be brought back with changes/undo, "
            "until a lifecycle rule removes them. Until then they are paid for."
        )
    return f"{bucket} keeps no versions: what is deleted cannot be brought back."
