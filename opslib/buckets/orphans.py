"""Orphans: objects in a bucket that no row of the database names.

Found with care, deleted with more: when many objects have a row only by another way of writing
keys, nothing is deleted.
"""

from typing import Any

from opslib.buckets import settings
from opslib.buckets.scans import DECLARED, FEW, ORPHANS, Scan, megabytes, scan
from opslib.core import (
    Action,
    Aws,
    Connection,
    Facts,
    Finding,
    Findings,
    Frame,
    Planned,
    Question,
    Refused,
    Step,
    answer,
    check,
    dtypes,
    frame,
    planner,
    result,
)
from opslib.core.reads.stores.objects import exists, is_versioned
from opslib.core.reads.stores.samples import sampled

GROUPS = dtypes("""
    group      str
    objects    int64
    size_bytes int64
    newest     utc
    sample     str
""")
MISCOMPARED = "orphan-keys-miscompared"
_KEYS_A_CALL = 1000  # S3 DeleteObjects takes no more
_MOST = 10_000  # objects that one plan deletes


class Scanned(Findings):
    """Findings of a scan, with the orphans themselves."""

    orphans: Frame


def sample_orphans(found: Findings) -> Frame:
    """Some of the orphans that a check saw; none when it could not look. Columns: ORPHANS."""
    return found.orphans.head(20) if isinstance(found, Scanned) else frame((), ORPHANS)


_APP = "The app's own scan agrees"


@check("Which objects does no row name?")
def check_orphans(ops: Connection, kind: str, max_share_percent: float = 20.0) -> Findings:
    """Orphans of this kind: number, share, size, by group. Evidence: GROUPS.

    And whether the keys are compared rightly.
    """
    facts = ops.target["orphans"][kind]
    name = ops.target["buckets"][facts["bucket"]]["name"]
    if not exists(ops, name):
        return Findings(settings.missing(ops, name))
    seen = scan(ops, kind)
    found = [_finding(seen, facts, max_share_percent)]
    if "scan" in facts:
        found.append(answer(_APP, _app_finding, ops, facts["scan"], seen))
    if seen.lost and not facts.get("temporary") and not seen.miscompared:
        found.append(_lost(seen))
    groups = seen.orphans.groupby("group", as_index=False).agg(
        objects=("key", "size"),
        size_bytes=("size_bytes", "sum"),
        newest=("modified", "max"),
        sample=("key", "first"),
    )
    largest = groups.sort_values(["size_bytes", "group"], ascending=[False, True])
    scanned = Scanned(found, frame(largest.to_dict("records"), GROUPS), _ages(seen))
    scanned.orphans = seen.orphans
    return scanned


@check("Are the objects there that rows name?")
def check_named(ops: Connection) -> Findings:
    """Of some rows of each kind, the same ones each time: many that are lost are seen, not one."""
    kinds = {key: of for key, of in ops.target["orphans"].items() if not of.get("temporary")}
    named = ops.each(
        lambda kind: sampled(ops, f"objects of {kind}", kinds[kind], len(kinds)),
        kinds,
        "objects of {}",
    )
    return Findings(named.values())


def _finding(seen: Scan, facts: Facts, most: float) -> Finding:
    limit = f"none; above {most:g} % nothing is deleted"
    asked = Question(f"Orphans under {seen.prefix}", limit, "s3 ListObjectsV2, SELECT")
    if seen.miscompared:
        rule = f"a row for each, its key {DECLARED}"
        return asked.critical(_miscompared(seen), cause=MISCOMPARED, rule=rule)
    if seen.undescribed:
        rule = "objects that the app derives from others are described in the target's file"
        return asked.unknown(_undescribed(seen), rule=rule)
    cause = "stale-listings" if facts.get("temporary") else "orphans"
    if seen.orphans.empty:
        return asked.ok(f"{seen}{_beside(seen)}", cause=cause, rule="none")
    status = "critical" if seen.share > most else "warn"
    return asked.answer(status, f"{seen}{_beside(seen)}", cause=cause)


def _lost(seen: Scan) -> Finding:
    """What has a row, and is not there: who asks for it gets nothing."""
    words = f"Rows of {seen.table} without an object"
    asked = Question(words, "none", "s3 ListObjectsV2, SELECT")
    many = "critical" if len(seen.lost) > FEW * seen.rows else "warn"
    said = f"{len(seen.lost):,} of {seen.rows:,}, as {seen.lost[0]}"
    return asked.answer(many, said, next="buckets/restore")


def _miscompared(seen: Scan) -> str:
    return (
        f"{seen.otherwise:,} of {len(seen.objects):,} objects have a row only when the keys of "
        f"{seen.table} are read {seen.form}: compared {DECLARED} they would all look like orphans"
    )


def _undescribed(seen: Scan) -> str:
    like = ", ".join(seen.likely)
    return (
        f"{len(seen.related):,} of {len(seen.related) + len(seen.orphans):,} objects without a row "
        f"are named after objects that have one ({seen.related[0]}): thumbnails, other sizes or "
        "formats have no row of their own. Describe what the app derives in the target's file, "
        f"orphans.{seen.kind}.derived" + (f"; it looks like {like}" if like else "")
    )


def _beside(seen: Scan) -> str:
    """What else has no row of its own, and is not counted."""
    said = [f"{seen.derived:,} are derived from objects that have a row"] if seen.derived else []
    if seen.related:
        said.append(f"{len(seen.related):,} are named after one that has a row: {seen.related[0]}")
    return "".join(f"; {each}" for each in said)


def _ages(seen: Scan) -> str:
    if seen.orphans.empty:
        return f"{len(seen.objects):,} objects under {seen.prefix}, {megabytes(seen.objects)}."
    some = f"{seen.young:,} are younger than a day and stay"
    young = some if seen.young else "None is younger than a day"
    oldest, newest = seen.orphans["modified"].min(), seen.orphans["modified"].max()
    return f"{young}. Oldest {oldest:%Y-%m-%d}, newest {newest:%Y-%m-%d}."


def _app_finding(ops: Connection, how: Any, seen: Scan) -> Finding:
    """The app's own scan beside ours. `how`: its path, or how it is asked (orphans.*.scan).

    It deletes nothing, but its clean-up would delete what it counts.
    """
    ours, about = len(seen.orphans), {"path": how} if isinstance(how, str) else how
    method, path = about.get("method", "POST"), about["path"]
    asked = Question(_APP, f"{ours:,}, as counted here", f"{method} {path}")
    told = ops.http(method, path, auth=True).json()
    count = _count(told, about.get("orphans", ""))
    total = _count(told, about["total"]) if "total" in about else None
    if total is not None and total != len(seen.objects):
        both = f"it looked at {total:,} objects, here are {len(seen.objects):,}: not the same ones"
        return asked.unknown(both)
    if count is None:
        return asked.unknown("its answer has no number of orphans", rule="")
    said = f"{count:,} orphans"
    if seen.miscompared or count > max(2 * ours, len(seen.objects) * (1 - FEW)):
        warning = f"{said}: its clean-up would delete objects that have a row"
        return asked.critical(warning, cause=MISCOMPARED)
    return asked.judged(count == ours, said, otherwise="warn")


def _count(answered: Any, field: str = "") -> int | None:
    """The number of orphans in a scan's answer.

    A number, or a list of them, in a field (dots lead inwards) or under one of the usual names.
    """
    told = answered if isinstance(answered, dict) else {}
    for step in field.split(".")[:-1]:
        inner = told.get(step)
        told = inner if isinstance(inner, dict) else {}
    usual = ("orphans", "orphan_count", "orphans_found", "total_orphans", "count")
    keys = [field.split(".")[-1]] if field else usual
    named = next((told[key] for key in keys if key in told), None)
    number = len(named) if isinstance(named, list) else named
    return number if isinstance(number, int) and not isinstance(number, bool) else None


@planner
def plan_delete(ops: Connection, kind: str, max_share_percent: float = 20.0) -> Planned:
    """Delete the orphans of this kind that are older than a day, 1,000 a step.

    The list is made again when the plan is applied, and must be the same. Raises Refused above the
    share, when the keys look wrongly compared, when many look derived from others, and when the
    table is empty.
    """
    seen = scan(ops, kind)
    _guard(seen, max_share_percent)
    versioned, old = is_versioned(ops, seen.bucket), seen.old.head(_MOST)
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
    if seen.related:
        notes.append(
            f"{len(seen.related):,} are left alone: they are named after objects that have a row."
        )
    if more := len(seen.old) - len(old):
        notes.append(f"{more:,} more are for another run: a plan holds at most {_MOST:,}.")
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
    if seen.undescribed:
        raise Refused(f"{_undescribed(seen)}. Nothing was deleted.")
    if len(seen.objects) and not seen.rows:
        raise Refused(
            f"{seen.table} has no keys at all, so everything would look orphaned. "
            "Nothing was deleted."
        )
    if seen.share > most:
        raise Refused(
            f"{seen}: more than {most:g} %. Nothing was deleted. So many are "
            "seldom orphans: is a table restored or emptied, does the app keep other objects here "
            f"(orphans.{seen.kind}.derived), is this the table? Look at the groups and samples."
        )


_MARKERS = "Deleted[].{Key: Key, VersionId: DeleteMarkerVersionId}"
_KEPT = (
    "keeps versions: the objects go behind delete markers and can be brought back with "
    "changes/undo, until a lifecycle rule removes them. Until then they are paid for."
)


def _deletion(bucket: str, number: int, objects: Frame, versioned: bool) -> Step:
    keys = list(objects["key"])

    def delete(what: Any) -> Action:
        return Aws("s3", "delete_objects", Bucket=bucket, Delete={"Objects": what, "Quiet": False})

    return Step(
        f"Delete {len(keys):,} objects, {keys[0]} to {keys[-1]}",
        # only with the content that it had when it was looked at
        do=delete([{"Key": row.key, "ETag": row.etag} for row in objects.itertuples()]),
        before={"objects": len(keys), "size_bytes": int(objects["size_bytes"].sum())},
        after={"objects": 0},
        undo=[delete(result(f"delete-{number}.{_MARKERS}"))] if versioned else None,
        name=f"delete-{number}",
    )
