"""A bucket that is gone, recovered in two phases: made anew, then filled out of its copy."""

from functools import partial
from inspect import unwrap

from opslib import buckets
from opslib.core import (
    Connection,
    Facts,
    Finding,
    Findings,
    NotAllowed,
    NotFound,
    Planned,
    Question,
    UsageError,
    answer,
    ask,
    check,
    objects,
    planner,
    quoted,
)
from opslib.recovery import clock

TAKEN = "bucket-taken"  # the cause that findings name
_ROWS = 200_000


@check("Is its name still free, or ours?")
def check_name(ops: Connection, bucket: str) -> Findings:
    """A bucket's name is free for everybody once it is deleted (S3 HeadBucket with its owner)."""
    facts = ops.target["buckets"][bucket]
    name, owner = facts["name"], facts.get("account", ops.target.account)
    asked = Question(f"the name {name}", "free, or ours", "s3 HeadBucket, ExpectedBucketOwner")
    try:
        ops.call("s3", "head_bucket", Bucket=name, ExpectedBucketOwner=owner)
    except NotFound:
        return Findings(asked.ok("free: make it anew before somebody else does"))
    except NotAllowed as exc:
        seen = f"{exc} Either somebody else has it by now, or we may not ask. If somebody else: "
        seen += "another name, in the app and in the target's file, and AWS Support at once"
        return Findings(asked.unknown(seen))
    return Findings(asked.ok("ours"))


@planner
def plan_bucket(ops: Connection, bucket: str, phase: str) -> Planned:
    """One phase: create, as the target's file describes it; fill, out of its `copy_to`.

    Raises UsageError (no such phase; no copy is described, so there is nothing to fill it from).
    """
    clock.require_phase("bucket", phase)
    if phase == "create":
        planned: Planned = unwrap(buckets.plan_create)(ops, bucket)
    else:
        _require_copy(ops, bucket)
        planned = unwrap(buckets.plan_copies)(ops, bucket, back=True)
    return clock.said("bucket", phase, planned)


def _require_copy(ops: Connection, bucket: str) -> Facts:
    facts = ops.target["buckets"][bucket]
    if "copy_to" not in facts:
        raise UsageError(
            f"{bucket} has no copy_to in the target's file, and versions go with their bucket: "
            "nothing that is known here brings its objects back. AWS Backup, or who has them "
            "elsewhere? Ask AWS Support at once. Nothing was changed."
        )
    copy: Facts = ops.target["buckets"][facts["copy_to"]]
    return copy


@check("What is back, and what cannot come back?")
def check_returned(ops: Connection, bucket: str) -> Findings:
    """Count and size beside the copy; until when the copy goes; rows whose object is not there."""
    copy, name = _require_copy(ops, bucket), ops.target["buckets"][bucket]["name"]
    found = [answer(f"objects of {name}", _counted, ops, name, copy["name"])]
    kinds = ops.target.at("orphans")
    for kind, of in kinds.items():
        if of["bucket"] == bucket:
            words = f"objects that {of['table']} names ({kind})"
            found.append(answer(words, _named, ops, name, of, words))
    return Findings(found)


def _counted(ops: Connection, name: str, copy: str) -> Finding:
    now, kept = ops.gather(*(partial(objects.list_objects, ops, each, "") for each in (name, copy)))
    asked = Question(f"objects of {name}", "each that its copy has, as large", "s3 ListObjectsV2")
    sizes = dict(zip(now["key"], now["size_bytes"], strict=True))
    held = zip(kept["key"], kept["size_bytes"], strict=True)
    lacking = [key for key, size in held if sizes.get(key) != size]
    seen = f"{len(now):,}, {now['size_bytes'].sum() / 1e6:,.1f} MB; {copy}: {len(kept):,}, "
    seen += f"{kept['size_bytes'].sum() / 1e6:,.1f} MB"
    seen += f"; not so: {', '.join(lacking[:3])}" if lacking else ""
    if kept.empty:
        return asked.critical(f"{seen}. Nothing is in the copy")
    seen += (
        f". What was put or changed after the last copy, {kept['modified'].max():%Y-%m-%d %H:%M}"
    )
    seen += " UTC, is not back, nor is any older version"
    if now.empty:
        return asked.warn(f"empty still: phase 'fill'. {seen}", next="recovery/bucket")
    return asked.judged(not lacking, seen, next="recovery/bucket")


def _named(ops: Connection, name: str, of: Facts, words: str) -> Finding:
    column, table, prefix = quoted(of["column"]), quoted(of["table"]), of["prefix"]
    asked = Question(words, "all there", f"SELECT {of['column']}, s3 ListObjectsV2")
    text = f"SELECT DISTINCT {column} AS key FROM {table} WHERE {column} IS NOT NULL"
    rows = ask(ops, text, columns={"key": "str"}, limit=_ROWS)["key"]
    there = {*objects.list_objects(ops, name, prefix)["key"]}
    lost = [key for key in rows if f"{prefix}{key}" not in there and key not in there]
    seen = f"{len(rows) - len(lost):,} of {len(rows):,}"
    seen += f"; lost, or not back: {', '.join(lost[:3])}" if lost else ""
    return asked.judged(not lost, seen, otherwise="warn")
