"""How much would be lost if it happened now: RPO, measured from what is really there."""

from datetime import timedelta

from opslib import buckets, databases
from opslib.core import Connection, Finding, Findings, Question, answer, check, objects
from opslib.recovery import clock

BEHIND = "backup-behind"  # the cause that findings name
_HOUR = timedelta(hours=1)


@check("How much of the database would be lost now?")
def check_point(ops: Connection) -> Findings:
    """Now, less the latest moment to which it can be restored; else the newest snapshot's age.

    rds LatestRestorableTime: Aurora keeps every moment, an instance ships its logs.
    """
    asked = _question(ops, "the database", "rds LatestRestorableTime")
    latest = databases.find_latest(ops)
    if latest is not None:
        lost = ops.now() - latest
        seen = f"each moment until {latest:%Y-%m-%d %H:%M:%S} UTC: {_told(lost)} would be lost. "
        return Findings(_judged(ops, asked, lost, f"{seen}Daily snapshots alone: up to 24 h"))
    found = databases.list_snapshots(ops)
    usable = found[found["status"] == "available"]
    if usable.empty:
        seen = "no moment, and no snapshot: all of it would be lost"
        return Findings(asked.judged(False, seen, cause=BEHIND, next="databases/snapshot"))
    lost = usable["age_hours"].min() * _HOUR
    seen = (
        f"no moment can be restored: automated backups are off. By the last snapshot {_told(lost)}"
    )
    return Findings(_judged(ops, asked, lost, f"{seen} would be lost"))


def _question(ops: Connection, of: str, source: str) -> Question:
    hours = clock.aims(ops).get("rpo_hours")
    rule = "recovery.rpo_hours, which the target's file lacks" if hours is None else f"{hours:g} h"
    return Question(f"RPO of {of}", f"at most {rule}", source)


def _judged(
    ops: Connection, asked: Question, lost: timedelta, seen: str, cause: str = BEHIND
) -> Finding:
    hours = clock.aims(ops).get("rpo_hours")
    if hours is None:
        return asked.unknown(seen)
    follows = "databases/snapshot" if cause == BEHIND else "buckets/copy"
    otherwise = "critical" if cause == BEHIND else "warn"
    well = lost <= hours * _HOUR
    return asked.judged(well, seen, otherwise=otherwise, cause=cause, next=follows)


def _told(lost: timedelta) -> str:
    return f"{lost / _HOUR:.1f} h" if lost > _HOUR else f"{lost.total_seconds() / 60:.0f} min"


@check("How much of each bucket would be lost now?")
def check_bucket_points(ops: Connection) -> Findings:
    """Versions against a deleted object; a copy against a deleted bucket, and how far it is behind.

    It lists every object of a bucket that has a copy, and of the copy.
    """
    known = ops.target.at("buckets")
    copies = {each["copy_to"] for each in known.values() if "copy_to" in each}
    found = [
        answer(f"RPO of bucket {key}", _bucket, ops, key) for key in known if key not in copies
    ]
    return Findings(found)


def _bucket(ops: Connection, key: str) -> Finding:
    facts = ops.target["buckets"][key]
    asked = _question(ops, f"bucket {facts['name']}", "s3 GetBucketVersioning, ListObjectsV2")
    kept = objects.versioning(ops, facts["name"])
    if kept != "Enabled":
        seen = f"versions: {kept or 'none'}. What is deleted or overwritten is lost at once"
        return asked.critical(seen, next="buckets/create")
    if "copy_to" not in facts:
        return asked.warn("versions only: with the bucket itself all is lost")
    behind = buckets.list_behind(ops, key)
    oldest = None if behind.empty else behind["modified"].min()
    lost = timedelta(0) if oldest is None else ops.now() - oldest
    lack = f"{len(behind):,} objects are not in the copy, the oldest of {_told(lost)} ago"
    seen = f"versions on; {'the copy has all' if oldest is None else lack}"
    return _judged(ops, asked, lost, seen, "copy-behind")
