"""A bucket copied to its backup (`copy_to` of the target's file): what is missing there or differs.

A copy is of now: what was deleted or overwritten before is not in it (restores are).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import NamedTuple

from opslib.buckets.settings import is_shut
from opslib.core import (
    Action,
    Aws,
    Connection,
    CopyAcross,
    DeleteVersions,
    Facts,
    Finding,
    Findings,
    Frame,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    answer,
    batched,
    check,
    count,
    dtypes,
    frame,
    look,
    number,
    planner,
    result,
)
from opslib.core.reads.stores.objects import ARCHIVES, versioning

BEHIND = dtypes("""
    key        str
    why        str
    size_bytes int64
    modified   utc
""")
CAUSE = "copy-behind"
MISSING, CHANGED, FROZEN = "not in the copy", "changed since", "archived: thaw it first"
_A_STEP, _MOST = 1000, 20_000
_KMS = "aws:kms"


class Held(NamedTuple):
    """An object as ListObjectsV2 tells of it."""

    key: str
    size: int
    etag: str
    modified: datetime
    storage: str


@dataclass(frozen=True)
class Pair:
    """A bucket and the one that it is copied to, of the target's file."""

    ops: Connection
    facts: Facts
    to: Facts

    @property
    def owner(self) -> str:
        """The account that has to own the other: S3 denies what is asked of anybody else's."""
        return str(self.to.get("account", self.ops.target.account))

    @cached_property
    def listed(self) -> tuple[dict[str, Held], dict[str, Held]]:
        """All that each of them has, by key."""
        account = self.ops.target.account
        one, other = self.ops.gather(
            *(
                partial(_listed, self.ops, each["name"], each.get("account", account))
                for each in (self.facts, self.to)
            )
        )
        return one, other

    @cached_property
    def digests(self) -> bool:
        """Whether ETags are digests of what is in an object: not where KMS encrypts it."""
        return _KMS not in (self.encryption(self.facts), self.encryption(self.to))

    def encryption(self, facts: Facts) -> str:
        """What a bucket encrypts with where nothing else is said (S3 GetBucketEncryption)."""
        path = "*.Rules[0].ApplyServerSideEncryptionByDefault.SSEAlgorithm | [0]"
        read = Read("s3", "get_bucket_encryption", path, Bucket=facts["name"])
        return str(look(self.ops, read, "AES256"))  # S3's own since 2023

    @cached_property
    def behind(self) -> list[tuple[Held, str]]:
        """What the copy lacks, and why; by key."""
        one, other = self.listed
        return [
            (each, why) for key, each in one.items() if (why := self._why(each, other.get(key)))
        ]

    def _why(self, each: Held, copy: Held | None) -> str:
        if copy and copy.size == each.size:
            # One made of parts has another ETag than its copy: then a later one is a copy of it.
            # Of the same second nobody knows which came first.
            told = self.digests and "-" not in each.etag + copy.etag
            if each.etag == copy.etag or (not told and copy.modified > each.modified):
                return ""
        if each.storage in ARCHIVES:
            return FROZEN
        return CHANGED if copy else MISSING

    def of(self, *why: str) -> list[Held]:
        return [each for each, said in self.behind if said in why]


def _listed(ops: Connection, bucket: str, owner: str) -> dict[str, Held]:
    shape = "Contents[].[Key, Size, ETag, LastModified, StorageClass || 'STANDARD']"
    rows = ops.pages("s3", "list_objects_v2", shape, Bucket=bucket, ExpectedBucketOwner=owner)
    return {row[0]: Held(*row) for row in rows}


def _pair(ops: Connection, bucket: str, back: bool = False) -> Pair:
    """`back`: from the copy to the bucket. Raises UsageError (nothing is described), Refused (its
    own copy).
    """
    facts = ops.target["buckets"][bucket]
    to = ops.target["buckets"][facts["copy_to"]]
    if to["name"] == facts["name"]:
        raise Refused(f"{facts['name']} would be its own copy: correct copy_to of {bucket}.")
    return Pair(ops, to, facts) if back else Pair(ops, facts, to)


def _size(objects: Sequence[Held]) -> str:
    size = number(sum(each.size for each in objects), "bytes")
    return f"{count(len(objects), 'object')}, {size}"


def list_behind(ops: Connection, bucket: str) -> Frame:
    """What its copy lacks now, and why. Columns: BEHIND."""
    return _rows(_pair(ops, bucket))


def _rows(pair: Pair) -> Frame:
    rows = ((each.key, why, each.size, each.modified) for each, why in pair.behind)
    return frame(rows, BEHIND)


@check("Is the bucket's copy what the bucket is?")
def check_copies(ops: Connection, bucket: str) -> Findings:
    """What is not in the copy or changed since; versions, public access and encryption there.

    Evidence: BEHIND.
    """
    pair = _pair(ops, bucket)
    name, to = pair.facts["name"], pair.to["name"]
    found = [answer(f"copy of {name}", _behind, pair)]
    for each in (name, to):
        asked = Question(f"Versions that {each} keeps", "Enabled", "s3 GetBucketVersioning")
        found.append(answer(asked, _versions, ops, each, asked))
    found.append(answer(f"Public access to {to}", _shut, pair))
    found.append(answer(f"Encryption of {to}", _encrypted, pair))
    if found[0].status == "unknown":
        return Findings(found, frame((), BEHIND))
    return Findings(found, _rows(pair), _KEPT.format(len(set(pair.listed[1]) - {*pair.listed[0]})))


_KEPT = "Gone from the bucket and kept in the copy: {:,}. Nothing is ever deleted there."


def _behind(pair: Pair) -> Finding:
    one, other = pair.listed
    asked = Question(f"copy of {pair.facts['name']}", "all, as it is now", "s3 ListObjectsV2")
    seen = f"{_size([*one.values()])}; {pair.to['name']}: {_size([*other.values()])}"
    for why in (MISSING, CHANGED, FROZEN):
        if objects := pair.of(why):
            seen += f"; {why}: {_size(objects)}"
    return asked.judged(not pair.behind, seen, otherwise="warn", cause=CAUSE, next="buckets/copy")


def _versions(ops: Connection, bucket: str, asked: Question) -> Finding:
    kept = versioning(ops, bucket)
    return asked.judged(kept == "Enabled", kept or "none", otherwise="warn", next="buckets/create")


def _shut(pair: Pair) -> Finding:
    to = pair.to["name"]
    asked = Question(f"Public access to {to}", "blocked", "s3 GetPublicAccessBlock")
    well = is_shut(pair.ops, to)
    return asked.judged(well, "blocked" if well else "not blocked", next="buckets/create")


def _encrypted(pair: Pair) -> Finding:
    one, other = (pair.encryption(each) for each in (pair.facts, pair.to))
    asked = Question(
        f"Encryption of {pair.to['name']}", f"{one}, as its source", "s3 GetBucketEncryption"
    )
    return asked.judged(one == other or other == _KMS, other, otherwise="warn")


@planner
def plan_copies(ops: Connection, bucket: str, back: bool = False) -> Planned:
    """Copy what the copy lacks, with tags, metadata and class, encrypted as the other bucket is.

    `back`: what the bucket lacks comes out of its copy; what it has is never overwritten by that.
    Raises Refused: the other is open to the public, or keeps no versions of what is overwritten.
    """
    pair = _pair(ops, bucket, back)
    name, to = pair.facts["name"], pair.to["name"]
    if not pair.to.get("public") and not is_shut(ops, to):
        raise Refused(
            f"Public access to {to} is not blocked, and nothing says that it is meant. Nothing was "
            f"copied. Set it: opslib run buckets/create -t {ops.target.name}."
        )
    changed = [] if back else pair.of(CHANGED)
    chosen = pair.of(MISSING) if back else pair.of(MISSING, CHANGED)
    if (kept := versioning(ops, to)) != "Enabled" and changed:
        raise Refused(
            f"{to} keeps no versions ({kept or 'none'}): copying would destroy what it has of "
            f"{count(len(changed), 'object')}, the first {changed[0].key}. Nothing was copied. "
            "Turn versions on: buckets/create."
        )
    more, chosen = len(chosen) - _MOST, chosen[:_MOST]
    steps = [_step(pair, some, n, kept) for n, some in enumerate(batched(chosen, _A_STEP), 1)]
    notes = [f"Copies are encrypted as {to} is: {pair.encryption(pair.to)}."] if steps else []
    if frozen := pair.of(FROZEN):
        notes.append(f"{count(len(frozen), 'object')} left out, {FROZEN}: {frozen[0].key}.")
    if more > 0:
        notes.append(f"{more:,} more are for another run: a plan holds at most {_MOST:,}.")
    return Planned(f"copy {_size(chosen)} of {name} to {to}", steps, notes)


def _step(pair: Pair, objects: Sequence[Held], at: int, kept: str) -> Step:
    to, one = pair.to["name"], f"copies-{at}"
    each = [
        {"Key": each.key, "ETag": each.etag, "Size": each.size, "StorageClass": each.storage}
        for each in objects
    ]
    undo: Action = DeleteVersions(to, result(f"{one}.Copied"))  # type: ignore[arg-type]
    if kept != "Enabled":  # what somebody wrote since would have the same version
        made = {"Objects": result(f"{one}.Copied[].{{Key: Key, ETag: ETag}}")}
        undo = Aws("s3", "delete_objects", Bucket=to, Delete=made)
    return Step(
        f"Copy {_size(objects)}, {objects[0].key} to {objects[-1].key}",
        CopyAcross(pair.facts["name"], to, pair.owner, each),
        before={"copied": 0},
        after={"copied": len(each), "size_bytes": sum(each.size for each in objects)},
        undo=[undo],
        name=one,
    )


@check("Is each of them in the copy?")
def check_copied(
    ops: Connection, bucket: str, steps: Sequence[Step], back: bool = False
) -> Findings:
    """Both listed again: what was planned is there, of the size and the digest that it has."""
    pair = _pair(ops, bucket, back)
    (one, other), planned = pair.listed, [each for step in steps for each in step.do["objects"]]
    lacking, since = list[str](), 0
    for each in planned:
        held, copy = one.get(each["Key"]), other.get(each["Key"])
        again = held is None or held.etag != each["ETag"]  # the next run takes that
        later = held is None or again or (copy and copy.modified >= held.modified)
        if not copy or copy.size != each["Size"] or not (copy.etag == each["ETag"] or later):
            lacking.append(each["Key"])
        since += again
    seen = f"{len(planned) - len(lacking):,} of {count(len(planned), 'object')}"
    seen += f"; not so: {', '.join(lacking[:3])}" if lacking else ""
    seen += f"; written or deleted since: {since:,}" if since else ""
    asked = Question(f"objects copied to {pair.to['name']}", "all of them", "s3 ListObjectsV2")
    return Findings(asked.judged(not lacking, seen))
