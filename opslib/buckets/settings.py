"""Buckets: is it there, is it set as the target says, make it again when it is gone; and list what it holds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.errors import NotFound
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Action, Aws, Read
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads.objects import exists
from opslib.core.tables import frame

SETTINGS = {"setting": "str", "wanted": "str", "seen": "str"}
_BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@check("Bucket")
def check_bucket(ops: Connection, bucket: str) -> Findings:
    """Is the bucket there, and set as the target's file says: versions, encryption, public access, CORS?"""
    facts = ops.target["buckets"][bucket]
    name = facts["name"]
    if not exists(ops, name):
        return Findings([missing(ops, name)])
    seen = _look(ops, name, settings := _settings(facts))
    wrong = [setting for setting in settings if not setting.met(seen[setting.title])]
    found = [Finding("ok", f"Bucket {name}", "there", "there", "s3 HeadBucket")]
    found += [
        Finding(
            "warn",
            f"{setting.title} of {name}",
            setting.said(seen[setting.title]),
            setting.said(setting.wanted),
            f"s3 {setting.operation}",
            next="buckets/create",
        )
        for setting in wrong
    ]
    if settings and not wrong:
        agreed = ", ".join(setting.title.lower() for setting in settings)
        found.append(
            Finding(
                "ok", f"Settings of {name}", f"as described: {agreed}", "as described", "s3 Get*"
            )
        )
    rows = [
        {"setting": s.title, "wanted": s.said(s.wanted), "seen": s.said(seen[s.title])}
        for s in settings
    ]
    return Findings(found, frame(rows, SETTINGS))


def missing(ops: Connection, name: str) -> Finding:
    """The finding that a bucket is not there."""
    seen = f"no such bucket in {ops.where}"
    return Finding(
        "critical",
        f"Bucket {name}",
        seen,
        "there",
        "s3 HeadBucket",
        "bucket-missing",
        "buckets/create",
    )


@dataclass(frozen=True)
class _Setting:
    """One setting of a bucket: how it is read, said, set and unset. What is read is kept whole, for the undo."""

    title: str
    operation: str
    path: str
    wanted: Any
    write: Callable[[Any], Action]
    unset: Action
    said: Callable[[Any], str] = lambda value: str(value or "none")
    proof: str = (
        "@"  # of what is read, the part that is compared: S3 adds defaults of its own to the rest
    )

    def met(self, value: Any) -> bool:
        return self.said(value) == self.said(self.wanted)

    def step(self, bucket: str, value: Any) -> Step:
        import jmespath

        return Step(
            f"{self.title} of {bucket}: {self.said(value)} to {self.said(self.wanted)}",
            do=self.write(self.wanted),
            before=jmespath.search(self.proof, value),
            after=jmespath.search(self.proof, self.wanted),
            undo=[self.unset if value is None else self.write(value)],
            observe=Read("s3", self.operation, f"{self.path} | {self.proof}", Bucket=bucket),
        )


def _look(ops: Connection, bucket: str, settings: list[_Setting]) -> dict[str, Any]:
    """What each setting is now; None where it was never set."""
    import jmespath

    def look(setting: _Setting) -> Any:
        try:
            return jmespath.search(setting.path, ops.call("s3", setting.operation, Bucket=bucket))
        except NotFound:  # the bucket is there: it is this setting that is not
            return None

    seen = ops.gather(*(functools.partial(look, setting) for setting in settings))
    return {setting.title: value for setting, value in zip(settings, seen, strict=True)}


def _settings(facts: Facts) -> list[_Setting]:
    """The settings that the target's file describes for a bucket."""
    name = facts["name"]
    described = {
        "public": _privacy(name) if not facts.get("public", False) else None,
        "encryption": _encryption(name, facts.get("encryption")),
        "versioning": _versions(name, facts.get("versioning", False)),
        "cors_origins": _cors(
            name,
            list(facts.get("cors_origins", ())),
            list(facts.get("cors_methods", ["GET", "HEAD"])),
        ),
    }
    return [setting for key, setting in described.items() if key in facts and setting]


def _privacy(name: str) -> _Setting:
    def said(value: Any) -> str:
        on = [part for part in _BLOCK if (value or {}).get(part)]
        return (
            "blocked"
            if len(on) == len(_BLOCK)
            else f"blocked in part ({', '.join(on)})"
            if on
            else "not blocked"
        )

    return _Setting(
        "Public access",
        "get_public_access_block",
        "PublicAccessBlockConfiguration",
        dict.fromkeys(_BLOCK, True),
        lambda value: Aws(
            "s3", "put_public_access_block", Bucket=name, PublicAccessBlockConfiguration=value
        ),
        Aws("s3", "delete_public_access_block", Bucket=name),
        said,
    )


def _encryption(name: str, algorithm: str | None) -> _Setting:
    def said(value: Any) -> str:
        return (
            str(value[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]) if value else "none"
        )

    return _Setting(
        "Encryption",
        "get_bucket_encryption",
        "ServerSideEncryptionConfiguration.Rules",
        [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}],
        lambda value: Aws(
            "s3",
            "put_bucket_encryption",
            Bucket=name,
            ServerSideEncryptionConfiguration={"Rules": value},
        ),
        Aws("s3", "delete_bucket_encryption", Bucket=name),
        said,
        "[].ApplyServerSideEncryptionByDefault.SSEAlgorithm",
    )


def _versions(name: str, wanted: bool) -> _Setting:
    def write(value: str) -> Action:
        return Aws(
            "s3", "put_bucket_versioning", Bucket=name, VersioningConfiguration={"Status": value}
        )

    status = "Enabled" if wanted else "Suspended"
    return _Setting(
        "Versions", "get_bucket_versioning", "Status", status, write, write("Suspended")
    )


def _cors(name: str, origins: list[str], methods: list[str]) -> _Setting:
    rule = {
        "AllowedOrigins": origins,
        "AllowedMethods": methods,
        "AllowedHeaders": ["*"],
        "MaxAgeSeconds": 3000,
    }

    def said(value: Any) -> str:
        return (
            ", ".join(sorted({o for rule in value or () for o in rule["AllowedOrigins"]})) or "none"
        )

    return _Setting(
        "CORS origins",
        "get_bucket_cors",
        "CORSRules",
        [rule],
        lambda value: Aws(
            "s3", "put_bucket_cors", Bucket=name, CORSConfiguration={"CORSRules": value}
        ),
        Aws("s3", "delete_bucket_cors", Bucket=name),
        said,
        "[].AllowedOrigins[]",
    )


@planner
def plan_create(ops: Connection, bucket: str) -> Planned:
    """Make the bucket as the target's file describes it, or set again what differs where it is there already.

    Raises NotAllowed when it cannot be told whether it is there: then it may be somebody else's.
    """
    facts = ops.target["buckets"][bucket]
    name, region = facts["name"], ops.target.region
    there = exists(ops, name)
    settings = _settings(facts)
    seen = _look(ops, name, settings) if there else {}
    steps = [s.step(name, seen.get(s.title)) for s in settings if not s.met(seen.get(s.title))]
    if there:
        return Planned(
            f"set bucket {name} as described",
            steps,
            [f"{name} is there; what it holds is not touched."],
        )
    place = (
        {}
        if region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
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
    "Terraform does not know of it and will drift: import it (terraform import) or let the next apply take it over.",
    "The bucket policy, lifecycle rules, notifications and tags are not in the target's file: set them again by Terraform.",
]
