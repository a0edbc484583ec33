"""Objects as of a time: what each key was then and is now, by the versions that are left."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from opslib.core import Connection, NotAllowed, NotFound, UsageError, moment, number
from opslib.core.reads.stores.objects import ARCHIVES, Version, list_versions, versioning

SAME, DELETED, OVERWRITTEN = "as then", "deleted since", "overwritten since"
MADE, ABSENT, LOST = "made since", "not there then", "unknown"
_NULL = "null"  # the version of a time without versions: the next one of it takes its place
Expired = Callable[[Version], str]  # why what it took the place of may be gone; empty: it is not


class Key(NamedTuple):
    """What a key was at a time (`then`), what has come over it since, newest first, and why."""

    name: str
    state: str
    then: Version | None
    above: Sequence[Version]
    why: str = ""

    @property
    def now(self) -> Version | None:
        return self.above[0] if self.above else self.then

    @property
    def covered(self) -> bool:
        """Whether nothing but delete markers is over it: without them it is there again."""
        return all(each.marker for each in self.above)

    @property
    def archived(self) -> bool:
        """Whether it would have to be copied, and cannot be read before it is thawed."""
        then = self.then
        return bool(then and not self.covered and then.storage in ARCHIVES and not then.thawed)


class Past(NamedTuple):
    """A bucket's keys below a prefix as of a time. `versioning`: Enabled, Suspended or nothing."""

    bucket: str
    at: datetime
    versioning: str
    keys: Sequence[Key]

    def of(self, *states: str) -> list[Key]:
        return [key for key in self.keys if key.state in states]


def look(ops: Connection, bucket: str, named: str, at: str) -> Past:
    """All keys of that name, or below that prefix, as of a time.

    Raises UsageError: no time, or one that has not been yet.
    """
    if not at.strip():
        raise UsageError(
            "As of when? Give at: 30m, 12h, 1d ago, or a time in UTC, 2026-11-22T14:05."
        )
    when = moment(at, ops.now()).astimezone(UTC)
    if when > ops.now():
        raise UsageError(f"at={at!r} is {when:%Y-%m-%d %H:%M} UTC, and that has not been yet.")
    name = ops.target["buckets"][bucket]["name"]
    found, kept = list_versions(ops, name, named), versioning(ops, name)
    groups = [[*group] for _, group in groupby(found, lambda each: each.key)]
    since = any(all(each.modified > when for each in group) for group in groups)
    expired = _expiry(ops, name) if since else lambda version: ""
    return Past(name, when, kept, [judged(group, when, expired) for group in groups])


def judged(entries: Sequence[Version], at: datetime, expired: Expired) -> Key:
    """What the versions and markers of a key, newest first, tell of a time.

    `expired`: why what a version took the place of may be gone.
    """
    above = [each for each in entries if each.modified > at]
    before = entries[len(above) :]
    then, name = before[0] if before else None, entries[0].key
    unknown = _unknown(above, before, expired)
    if unknown:
        return Key(name, LOST, then, above, unknown)
    if then is None or then.marker:
        return Key(name, ABSENT if (above or before)[0].marker else MADE, then, above)
    now = above[0] if above else then
    if now.marker:
        return Key(name, DELETED, then, above)
    same = (now.etag, now.size) == (then.etag, then.size)
    return Key(name, SAME if same else OVERWRITTEN, then, above)


def _unknown(above: Sequence[Version], before: Sequence[Version], expired: Expired) -> str:
    """Why it cannot be told what a key was; nothing when it can."""
    if any(each.id == _NULL for each in above):
        return "written since while the bucket kept no versions: what was there is gone"
    if before:
        same = [each for each in before if each.modified == before[0].modified]
        if not before[0].latest and len({each.marker for each in same}) > 1:
            return "deleted and written in one second: which came last is not told"
        return ""
    if above[-1].marker:
        return "nothing but what came since is left; a delete marker is the oldest of it"
    return expired(above[-1])


def _expiry(ops: Connection, bucket: str) -> Expired:
    """By the bucket's lifecycle. Where that is denied, everything may be gone."""
    gone = "made since, or what it took the place of has expired"
    try:
        found = ops.call("s3", "get_bucket_lifecycle_configuration", Bucket=bucket)["Rules"]
    except NotFound:
        return lambda version: ""
    except NotAllowed as exc:
        denied = f"{gone}: {exc}"
        return lambda version: denied
    rules = []
    for rule in found:
        days = rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
        if rule["Status"] == "Enabled" and days:
            chosen = rule.get("Filter", {}).get("And", rule.get("Filter", {}))
            rules.append((chosen.get("Prefix") or rule.get("Prefix") or "", timedelta(days=days)))
    now = ops.now()
    return lambda version: next(
        (
            f"{gone} (lifecycle rule of {after.days} days)"
            for prefix, after in rules
            if version.key.startswith(prefix) and version.modified + after < now
        ),
        "",
    )


def said(version: Version | None) -> str:
    """A version in a few words."""
    if version is None:
        return "nothing"
    when = f"{version.modified:%Y-%m-%d %H:%M:%S}"
    if version.size is None:
        return f"deleted {when}"
    archived = f", {version.storage}" if version.storage in ARCHIVES else ""
    return f"{number(version.size, 'bytes')} of {when}{archived}"
