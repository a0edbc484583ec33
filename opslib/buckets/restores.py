"""Objects brought back as of a time: a delete marker taken away, or a version put on top again."""

from collections.abc import Sequence

from opslib.buckets.moments import (
    DELETED,
    LOST,
    MADE,
    OVERWRITTEN,
    SAME,
    Key,
    Past,
    look,
    said,
)
from opslib.core import (
    Action,
    Applied,
    Aws,
    Connection,
    CopyVersions,
    DeleteVersions,
    Findings,
    Planned,
    Question,
    Step,
    batched,
    check,
    count,
    frame,
    planner,
    result,
)
from opslib.core.actions.stores.objects import LARGEST
from opslib.core.reads.stores.objects import list_versions

KEYS = {"key": "str", "state": "str", "then": "str", "now": "str", "to do": "str"}
_A_STEP, _MOST, _NAMED = 1000, 10_000, 3
_CAUSES = {DELETED: "object-deleted", OVERWRITTEN: "object-overwritten"}


@check("What was there then, and is it still?")
def check_past(ops: Connection, bucket: str, name: str, at: str) -> Findings:
    """Each key of that name, or below it, as of a time and now. Evidence: KEYS, what differs."""
    past = look(ops, bucket, name, at)
    asked = Question(f"Versions that {past.bucket} keeps", "Enabled", "s3 GetBucketVersioning")
    kept = asked.judged(past.versioning == "Enabled", past.versioning or "none", otherwise="warn")
    where, when = name or "everything", f"as of {past.at:%Y-%m-%d %H:%M:%S} UTC"
    found, total = [kept], len(past.keys)
    if not total:
        gone = Question(where, "something", "s3 ListObjectVersions")
        seen = "no object, no version, no marker: another name, or nothing is left"
        return Findings([kept, gone.unknown(seen)])
    for state, cause in _CAUSES.items():
        keys = past.of(state)
        question = Question(f"{where}: {state} then", "none", "s3 ListObjectVersions")
        seen = f"{len(keys):,} of {count(total, 'key')}{_some(keys)}"
        found.append(question.judged(not keys, seen, otherwise="warn", cause=cause))
    if lost := past.of(LOST):
        question = Question(f"{where}: what it was", "known", "s3 ListObjectVersions")
        seen = f"not known of {count(len(lost), 'key')}{_some(lost)}: {lost[0].why}"
        found.append(question.unknown(seen))
    rows = [
        (key.name, key.state, said(key.then), said(key.now), _to_do(past, key))
        for key in past.keys
        if key.state != SAME
    ]
    same = f"Not shown, for it is the same {when} and now: {count(len(past.of(SAME)), 'key')}."
    return Findings(found, frame(rows, KEYS), same)


def _some(keys: Sequence[Key]) -> str:
    return f", the first {keys[0].name}" if keys else ""


def _to_do(past: Past, key: Key) -> str:
    if key.state not in _CAUSES:
        return key.why or "left alone"
    if key.covered:
        return f"take {count(len(key.above), 'delete marker')} away"
    if past.versioning != "Enabled":
        return "not restorable: without versions, a copy destroys what is there now"
    if key.archived:
        return f"not restorable before it is thawed (s3 RestoreObject): {said(key.then)}"
    large = key.then is not None and (key.then.size or 0) > LARGEST
    return "copy the version over" + ", in parts: over 5 GB" * large


@planner
def plan_past(ops: Connection, bucket: str, name: str, at: str) -> Planned:
    """Bring back what was deleted or overwritten since: markers away, else versions copied over.

    What was made since stays. Raises UsageError (no such time), Refused (too many versions).
    """
    past = look(ops, bucket, name, at)
    todo = past.of(*_CAUSES)
    chosen = [key for key in todo if _to_do(past, key).startswith(("take", "copy"))]
    more, chosen = len(chosen) - _MOST, chosen[:_MOST]
    uncover = [key for key in chosen if key.covered]
    copy = [key for key in chosen if not key.covered]
    reversible = past.versioning == "Enabled"
    steps = [
        _uncovering(past, keys, at, reversible)
        for at, keys in enumerate(batched(uncover, _A_STEP), 1)
    ]
    steps += [_copying(past, keys, at) for at, keys in enumerate(batched(copy, _A_STEP), 1)]
    refused = [key for key in todo if _to_do(past, key).startswith("not")]
    notes = [f"{_to_do(past, key)}: {key.name}".capitalize() for key in refused[:_NAMED]]
    if refused[_NAMED:]:
        notes.append(f"{len(refused) - _NAMED:,} more cannot be restored: see the table.")
    for state in (MADE, LOST):
        if keys := past.of(state):
            notes.append(f"{count(len(keys), 'key')} left alone, {state}{_some(keys)}.")
    if more > 0:
        notes.append(f"{more:,} more are for another run: a plan holds at most {_MOST:,}.")
    if copy:
        notes.append(_COPIED)
    if steps:
        notes.append(_UNDO if reversible else "Cannot be undone: the bucket keeps no versions now.")
    return Planned(f"bring {count(len(chosen), 'object')} of {past.bucket} back", steps, notes)


_COPIED = (
    "A copy is a new version: it is paid for, and what listens for new objects is told of it "
    "(ObjectCreated:Copy). Tags, metadata, class and encryption stay; its lock does not."
)
_UNDO = (
    "Undo puts a marker again where there was one, only over the content that is shown here, and "
    "deletes the versions that were made by this."
)


def _named(keys: Sequence[Key]) -> str:
    return keys[0].name if len(keys) == 1 else f"{keys[0].name} to {keys[-1].name}"


def _uncovering(past: Past, keys: Sequence[Key], number: int, reversible: bool) -> Step:
    objects = [{"Key": key.name, "VersionId": at.id} for key in keys for at in key.above[:-1]]
    objects += [  # the last marker over it: one is enough to be put again
        {"Key": key.name, "VersionId": key.above[-1].id, "ETag": then.etag, "under": then.id}
        for key in keys
        if (then := key.then)
    ]
    one = f"markers-{number}"
    again = result(f"{one}.Deleted[?ETag].{{Key: Key, ETag: ETag}}")
    marks: Action = Aws("s3", "delete_objects", Bucket=past.bucket, Delete={"Objects": again})
    return Step(
        f"Take the delete markers of {count(len(keys), 'object')} away, {_named(keys)}",
        DeleteVersions(past.bucket, objects),
        before={"deleted": len(keys)},
        after={"deleted": 0},
        undo=[marks] if reversible else None,
        name=one,
    )


def _copying(past: Past, keys: Sequence[Key], number: int) -> Step:
    objects = [{"Key": key.name, "VersionId": key.then.id} for key in keys if key.then]
    size, one = sum(key.then.size or 0 for key in keys if key.then), f"copies-{number}"
    return Step(
        f"Put the version of then on top again, {count(len(keys), 'object')}, {_named(keys)}",
        CopyVersions(past.bucket, objects),
        before={"now": [key.now.id for key in keys if key.now]},
        after={"copied": len(keys), "size_bytes": size},
        undo=[DeleteVersions(past.bucket, result(f"{one}.Copied"))],  # type: ignore[arg-type]
        name=one,
    )


@check("Is each of them back?")
def check_back(ops: Connection, bucket: str, name: str, applied: Applied) -> Findings:
    """Listed again: the version that each key has now is the one of then, or our copy of it."""
    wanted: dict[str, str] = {}
    for step, undo in zip(applied.plan.steps, applied.undo, strict=False):
        objects = step.do["objects"]
        if step.do["kind"] == "copy versions" and undo:
            wanted |= {each["Key"]: each["VersionId"] for each in undo[0]["objects"]}
        else:
            wanted |= {each["Key"]: each["under"] for each in objects if "under" in each}
    found = list_versions(ops, ops.target["buckets"][bucket]["name"], name)
    now = {each.key: each.id for each in found if each.latest and not each.marker}
    missing = [key for key, version in wanted.items() if now.get(key) != version]
    seen = f"{len(wanted) - len(missing):,} of {count(len(wanted), 'object')}"
    seen += f"; not so: {', '.join(missing[:_NAMED])}" if missing else ""
    asked = Question("objects as then", "all of them", "s3 ListObjectVersions")
    return Findings(asked.judged(not missing and bool(wanted), seen))
