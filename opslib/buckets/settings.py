"""Buckets: is it there, is it set as the target says; make it again when it is gone."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jmespath

from opslib.core import (
    Action,
    Aws,
    Connection,
    Facts,
    Finding,
    Findings,
    Json,
    Planned,
    Question,
    Read,
    Step,
    answer,
    beside,
    check,
    dtypes,
    few,
    frame,
    look,
    objects,
    planner,
)

SETTINGS = dtypes("""
    setting str
    wanted  str
    seen    str
""")
GONE = "bucket-missing"  # the cause that findings name
_LOOKED_INTO, _LITTLE, _SEVERAL = 5000, 512, 3  # versions; bytes; objects, for one may be meant so
_BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@check("Bucket")
def check_bucket(ops: Connection, bucket: str) -> Findings:
    """Is the bucket there, and set as the target's file says?

    Versions, encryption, public access, CORS. Evidence: SETTINGS.
    """
    facts = ops.target["buckets"][bucket]
    name = facts["name"]
    if not objects.exists(ops, name):
        return Findings(missing(ops, name))
    rows, found = [], [_there(name).ok("there", cause=GONE)]
    for setting, value in _look(ops, facts).items():
        wanted, seen = setting.said(setting.wanted), setting.said(value)
        rows.append({"setting": setting.title, "wanted": wanted, "seen": seen})
        asked = Question(f"{setting.title} of {name}", wanted, f"s3 get_{setting.what}")
        well = wanted == seen
        found.append(asked.judged(well, seen, otherwise="warn", next="buckets/create"))
    if facts.get("versioning"):
        shrunk = Question(f"sizes of objects of {name}", "kept", "s3 ListObjectVersions")
        found.append(answer(shrunk, _shrunk, ops, name, shrunk))
    return Findings(found, frame(rows, SETTINGS))


def _shrunk(ops: Connection, name: str, asked: Question) -> Finding:
    """Objects of which next to nothing is left, by their versions before: of the first in order."""
    path = "Versions[].[Key, Size, IsLatest]"
    rows = ops.pages("s3", "list_object_versions", path, _LOOKED_INTO, Bucket=name)
    lost = [
        f"{key} ({old:,} to {size:,} bytes)"
        for (key, size, latest), (of, old, _) in pairwise(rows)
        if key == of and latest and size < min(_LITTLE, old / 4)
    ]
    seen = f"next to nothing is left of {few(lost, 3)}" if lost else "kept"
    well = len(lost) < _SEVERAL
    return asked.judged(well, seen, otherwise="warn", next="buckets/restore")


def is_shut(ops: Connection, bucket: str) -> bool:
    """Whether public access to it is blocked, in all four ways (S3 GetPublicAccessBlock)."""
    path = "PublicAccessBlockConfiguration"
    told = look(ops, Read("s3", "get_public_access_block", path, Bucket=bucket), {})
    return all(told.get(part) for part in _BLOCK)


def missing(ops: Connection, name: str) -> Finding:
    """The finding that a bucket is not there."""
    seen = f"no such bucket in {ops.where}"
    return _there(name).critical(seen, cause=GONE, next="buckets/create")


def _there(name: str) -> Question:
    return Question(f"Bucket {name}", "there", "s3 HeadBucket")


@dataclass(frozen=True, eq=False)
class Setting:
    """One setting of a bucket: how it is read, said, set and unset; a row of settings.yaml.

    What is read is kept whole, for the undo.
    """

    bucket: str
    wanted: Any
    title: str
    what: str
    path: str
    parameter: str
    proof: str = "@"

    def proven(self, value: Any) -> Any:
        return jmespath.search(self.proof, value)

    def said(self, value: Any) -> str:
        seen = self.proven(value)
        if self.what == "public_access_block":
            on = [part for part in _BLOCK if seen and seen.get(part)]
            part = f"blocked in part ({', '.join(on)})" if on else "not blocked"
            return "blocked" if len(on) == len(_BLOCK) else part
        return (", ".join(sorted(set(seen))) if isinstance(seen, list) else seen) or "none"

    def met(self, value: Any) -> bool:
        return self.said(value) == self.said(self.wanted)

    def write(self, value: Any) -> Action:
        for part in reversed(self.parameter.split(".")):
            value = {part: value}
        return Aws("s3", f"put_{self.what}", Bucket=self.bucket, **value)

    def unset(self) -> Action:
        if self.what == "bucket_versioning":  # cannot be deleted
            return self.write("Suspended")
        return Aws("s3", f"delete_{self.what}", Bucket=self.bucket)

    def read(self, path: str) -> Action:
        return Read("s3", f"get_{self.what}", path, Bucket=self.bucket)

    def step(self, value: Any) -> Step:
        """From the value that it has now, None where it was never set, to what is wanted."""
        return Step(
            f"{self.title} of {self.bucket}: {self.said(value)} to {self.said(self.wanted)}",
            do=self.write(self.wanted),
            before=self.proven(value),
            after=self.proven(self.wanted),
            undo=[self.unset() if value is None else self.write(value)],
            observe=self.read(f"{self.path} | {self.proof}"),
        )


def _look(ops: Connection, facts: Facts) -> dict[Setting, Any]:
    """What each setting that the target's file describes is now; None where it was never set."""
    return ops.each(lambda setting: look(ops, setting.read(setting.path), None), described(facts))


def described(facts: Facts) -> Iterator[Setting]:
    """The settings that the target's file describes for a bucket."""
    wanted: Json = {}
    if not facts.get("public", True):
        wanted["public"] = dict.fromkeys(_BLOCK, True)
    if "encryption" in facts:
        default = {"SSEAlgorithm": facts["encryption"]}
        wanted["encryption"] = [{"ApplyServerSideEncryptionByDefault": default}]
    if "versioning" in facts:
        wanted["versioning"] = "Enabled" if facts["versioning"] else "Suspended"
    if "cors_origins" in facts:
        rule = {
            "AllowedOrigins": list(facts["cors_origins"]),
            "AllowedMethods": list(facts.get("cors_methods", ["GET", "HEAD"])),
            "AllowedHeaders": ["*"],
            "MaxAgeSeconds": 3000,
        }
        wanted["cors_origins"] = [rule]
    for key, value in wanted.items():
        yield Setting(facts["name"], value, **beside(__file__, "settings")[key])


@planner
def plan_create(ops: Connection, bucket: str) -> Planned:
    """Make the bucket as the target's file describes it, or set again what differs.

    Raises NotAllowed when it cannot be told whether it is there: then it may be somebody else's.
    """
    facts = ops.target["buckets"][bucket]
    name, region = facts["name"], ops.target.region
    there = objects.exists(ops, name)
    seen = _look(ops, facts) if there else dict.fromkeys(described(facts))
    steps = [setting.step(value) for setting, value in seen.items() if not setting.met(value)]
    if there:
        note = f"{name} is there; what it holds is not touched."
        return Planned(f"set bucket {name} as described", steps, [note])
    place: Json = {}
    if region != "us-east-1":
        place["CreateBucketConfiguration"] = {"LocationConstraint": region}
    create = Step(
        f"Create bucket {name} in {region}",
        do=Aws("s3", "create_bucket", Bucket=name, **place),
        before="absent",
        after=name,
        undo=[Aws("s3", "delete_bucket", Bucket=name)],  # S3 refuses it once something is in it
        observe=Read("s3", "list_buckets", f"Buckets[?Name=='{name}'].Name | [0] || 'absent'"),
    )
    return Planned(f"create bucket {name}", [create, *steps], _AFTERWARDS)


_AFTERWARDS = [
    "The new bucket is empty: what the old one held is not brought back by this.",
    "Terraform does not know of it and will drift: import it (terraform import) "
    "or let the next apply take it over.",
    "The bucket policy, lifecycle rules, notifications and tags are not in the target's file: "
    "set them again by Terraform.",
]
