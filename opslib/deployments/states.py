"""Terraform's state in S3: the versions of its object, who holds its lock, and a backup of it."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from opslib.core.checks.checks import answer, check
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound, OpsError, Refused
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws, Read, result
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import objects
from opslib.core.tables import UTC_TIME, frame

STATES = {
    "serial": "int64",
    "written": UTC_TIME,
    "terraform_version": "str",
    "resources": "int64",
    "added": "str",
    "removed": "str",
}
_FORMAT = 4  # of state files, since Terraform 0.12


@dataclass(frozen=True)
class State:
    """One version of the state object. What it holds is not kept here: attributes of resources hold secrets."""

    version_id: str
    written: datetime
    serial: int
    lineage: str
    terraform_version: str
    addresses: frozenset[str]
    sha256: str
    size: int


@dataclass(frozen=True)
class Place:
    """Where a target's Terraform keeps its state: an S3 bucket and a key (`terraform:` of the target's file)."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def backup_of(self, state: State) -> Place:
        """Where a copy of that state belongs: named by its serial and time, so that no two states share one."""
        return Place(
            self.bucket, f"{self.key}.backup-serial-{state.serial}-{state.written:%Y%m%dT%H%M%SZ}"
        )


def place(ops: Connection) -> Place:
    facts = ops.target["terraform"]
    return Place(facts["bucket"], facts["state"])


def written(ops: Connection) -> datetime:
    """When the state was last written (S3 HeadObject): the end of the last apply, or of a refresh."""
    at = place(ops)
    found: datetime = ops.call("s3", "head_object", Bucket=at.bucket, Key=at.key)["LastModified"]
    return found.astimezone(UTC)


def read(ops: Connection, at: Place, version_id: str = "") -> State:
    """One version, or the newest. Raises NotFound, OpsError (it is no state)."""
    answer = objects.read_object(ops, at.bucket, at.key, version_id)
    content: bytes = answer["Body"]
    try:
        document = json.loads(content)
        if document["version"] != _FORMAT:
            raise OpsError(
                f"{at} has state format {document['version']}; this reads {_FORMAT}, as Terraform since 0.12."
            )
        return State(
            answer.get("VersionId", version_id),
            answer["LastModified"].astimezone(UTC),
            int(document["serial"]),
            str(document["lineage"]),
            str(document.get("terraform_version", "")),
            _addresses(document),
            hashlib.sha256(content).hexdigest(),
            len(content),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise OpsError(
            f"{at} {version_id} is no state of Terraform's ({type(exc).__name__}). Look at it by hand."
        ) from exc


def _addresses(document: dict[str, Any]) -> frozenset[str]:
    """`module.x.aws_instance.web[0]` of every managed instance."""
    found = set()
    for resource in document.get("resources") or ():
        if resource.get("mode") != "managed":
            continue
        name = ".".join(filter(None, (resource.get("module"), resource["type"], resource["name"])))
        for instance in resource.get("instances") or ():
            index = instance.get("index_key")
            found.add(name if index is None else f"{name}[{json.dumps(index)}]")
    return frozenset(found)


def versions(ops: Connection, newest: int) -> list[State]:
    """The newest versions of the state, newest first. Raises NotFound when there is none, or it was deleted."""
    at = place(ops)
    listed = ops.pages(
        "s3",
        "list_object_versions",
        "[Versions, DeleteMarkers][] | []",
        Bucket=at.bucket,
        Prefix=at.key,
    )
    mine = sorted(
        (v for v in listed if v["Key"] == at.key),
        key=lambda v: (v["IsLatest"], v["LastModified"]),
        reverse=True,
    )
    if not mine or "ETag" not in mine[0]:
        gone = (
            f"was deleted at {mine[0]['LastModified']:%Y-%m-%d %H:%M} UTC; remove that delete marker"
            if mine
            else "is not there"
        )
        raise NotFound(
            f"Terraform's state {at} {gone}. Check terraform: in parameters/targets/{ops.target.key}.yaml."
        )
    wanted = [v["VersionId"] for v in mine if "ETag" in v][:newest]
    return ops.gather(
        *(functools.partial(read, ops, at, "" if id == "null" else id) for id in wanted)
    )


def find_lock(ops: Connection) -> str:
    """Who holds the lock, in a sentence; nothing when nobody does. Only S3's own lock file can be seen (`use_lockfile`)."""
    at = place(ops)
    try:
        answer = objects.read_object(ops, at.bucket, f"{at.key}.tflock")
    except NotFound:
        return ""
    try:
        said = json.loads(answer["Body"])
        return f"{said['Who']} since {said['Created'][:16]}, {said['Operation']} (ID {said['ID']})"
    except (ValueError, KeyError, TypeError):
        return f"somebody since {answer['LastModified']:%Y-%m-%d %H:%M} UTC (the lock file is not readable)"


@check("Which states are there, and is the present one in order?")
def check_states(ops: Connection, newest: int = 10) -> Findings:
    """The newest versions of the state: one lineage, rising serials, no lock held. Evidence: STATES, newest first.

    Who applied is not in them: the pipeline's log, or CloudTrail, says that.
    """
    at, found = place(ops), versions(ops, newest)
    held = answer("Nobody holds Terraform's lock", lambda: _held(ops))
    kept = answer("Earlier states are kept", lambda: _kept(ops, at, len(found)))
    rows = [_row(state, before) for state, before in zip(found, [*found[1:], None], strict=True)]
    return Findings([_in_order(at, found), kept, held], frame(rows, STATES))


def _row(state: State, before: State | None) -> dict[str, Any]:
    since = state.addresses if before is None else before.addresses
    return {
        "serial": state.serial,
        "written": state.written,
        "terraform_version": state.terraform_version,
        "resources": len(state.addresses),
        "added": ", ".join(sorted(state.addresses - since)),
        "removed": ", ".join(sorted(since - state.addresses)),
    }


def _in_order(at: Place, found: list[State]) -> Finding:
    """The newest state must continue the one before: another lineage, or a lower serial, means that somebody pushed one."""
    now, question, threshold = found[0], f"State {at}", "one lineage, rising serials"
    seen = f"serial {now.serial}, {len(now.addresses)} resources, written {now.written:%Y-%m-%d %H:%M} UTC by Terraform {now.terraform_version}"
    if len({state.lineage for state in found}) > 1:
        other = next(state for state in found if state.lineage != now.lineage)
        seen += f"; another lineage than serial {other.serial} of {other.written:%Y-%m-%d %H:%M} UTC: a foreign state was pushed over it"
        return Finding("critical", question, seen, threshold, "s3 ListObjectVersions, GetObject")
    fallen = [
        (state, before)
        for state, before in itertools.pairwise(found)
        if state.serial < before.serial
    ]
    if fallen:
        seen += f"; serial {fallen[0][0].serial} was written over {fallen[0][1].serial}: an older state was pushed with -force"
        return Finding("warn", question, seen, threshold, "s3 ListObjectVersions, GetObject")
    return Finding("ok", question, seen, threshold, "s3 ListObjectVersions, GetObject")


def _kept(ops: Connection, at: Place, number: int) -> Finding:
    question = "Earlier states are kept"
    if not objects.is_versioned(ops, at.bucket):
        seen = f"bucket {at.bucket} keeps no versions: each apply overwrites the state before it"
        return Finding("warn", question, seen, "versions on", "s3 GetBucketVersioning")
    return Finding(
        "ok",
        question,
        f"versions are on; the newest {number} are listed",
        "versions on",
        "s3 GetBucketVersioning",
    )


def _held(ops: Connection) -> Finding:
    question, source, who = (
        "Nobody holds Terraform's lock",
        "s3 GetObject of the .tflock file",
        find_lock(ops),
    )
    if who:
        return Finding(
            "critical",
            question,
            f"{who}: an apply is under way, or was interrupted",
            "no lock",
            source,
        )
    return Finding(
        "ok",
        question,
        "no lock file (a lock in a DynamoDB table is not seen here)",
        "no lock",
        source,
    )


@planner
def plan_backup(ops: Connection) -> Planned:
    """Copy the present state to a key named by its serial and time, beside it. Raises Refused while a lock is held."""
    at = place(ops)
    if who := find_lock(ops):
        raise Refused(
            f"Terraform's lock is held by {who}. Nothing was changed. Wait for it; when that run is dead for certain: "
            "terraform force-unlock with that ID."
        )
    state = versions(ops, 1)[0]
    backup = at.backup_of(state)
    if _exists(ops, backup):
        return Planned(
            f"back up state serial {state.serial}",
            [],
            [f"{backup} is there already; below it is compared."],
        )
    to, versioned = {"Bucket": backup.bucket, "Key": backup.key}, bool(state.version_id)
    source = {
        "Bucket": at.bucket,
        "Key": at.key,
        **({"VersionId": state.version_id} if versioned else {}),
    }
    step = Step(
        f"Copy state serial {state.serial} to {backup}",
        do=Aws(
            "s3", "copy_object", **to, CopySource=source, IfNoneMatch="*", **_encryption(ops, at)
        ),
        before="absent",
        after=f"{state.size} bytes",
        undo=[
            Aws(
                "s3",
                "delete_object",
                **to,
                **({"VersionId": result("copied.VersionId")} if versioned else {}),
            )
        ],
        observe=Read("s3", "head_object", "join(' ', [to_string(ContentLength), 'bytes'])", **to),
        name="copied",
    )
    return Planned(f"back up state serial {state.serial}", [step], _NOTES)


_NOTES = [
    "It never overwrites: S3 refuses the copy when something of that name is there.",
    "A state holds secrets in clear text. The copy stays in the same bucket; delete it when all is well (undo does).",
    "Nothing else is changed by this procedure: git and Terraform are run by you.",
]


def _encryption(ops: Connection, at: Place) -> dict[str, str]:
    """As the state itself is encrypted: a copy would otherwise take the bucket's default."""
    head = ops.call("s3", "head_object", Bucket=at.bucket, Key=at.key)
    return {key: head[key] for key in ("ServerSideEncryption", "SSEKMSKeyId") if head.get(key)}


def _exists(ops: Connection, at: Place) -> bool:
    try:
        ops.call("s3", "head_object", Bucket=at.bucket, Key=at.key)
    except NotFound:
        return False
    return True


@check("Is the backup there, and the same?")
def check_backup(ops: Connection) -> Findings:
    """The present state against its backup: checksum, serial, lineage."""
    state = versions(ops, 1)[0]
    backup, question = place(ops).backup_of(state), f"Backup of state serial {state.serial}"
    if not _exists(ops, backup):
        return Findings(
            [
                Finding(
                    "critical",
                    question,
                    f"no {backup}",
                    "there",
                    "s3 HeadObject",
                    next="deployments/rollback",
                )
            ]
        )
    copy = read(ops, backup)
    same = (copy.sha256, copy.serial, copy.lineage) == (state.sha256, state.serial, state.lineage)
    seen = f"{backup}: serial {copy.serial}, lineage {copy.lineage}, SHA-256 {copy.sha256[:12]}…"
    wanted = f"serial {state.serial}, lineage {state.lineage}, SHA-256 {state.sha256[:12]}…"
    return Findings(
        [Finding("ok" if same else "critical", question, seen, wanted, "s3 GetObject of both")]
    )
