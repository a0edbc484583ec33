"""Terraform's state in S3: the versions of its object, who holds its lock, and a backup of it."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from opslib.core import (
    UTC_TIME,
    Aws,
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    OpsError,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    answer,
    check,
    frame,
    planner,
    result,
)
from opslib.core.reads import objects

STATES = {
    "serial": "int64",
    "written": UTC_TIME,
    "terraform_version": "str",
    "resources": "int64",
    "added": "str",
    "removed": "str",
}


class Place(NamedTuple):
    """Where a target's Terraform keeps something.

    An S3 bucket and a key (`terraform:` of the target's file).
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def named(self) -> Json:
        """The parameters that name it in a call."""
        return {"Bucket": self.bucket, "Key": self.key}


@dataclass(frozen=True)
class State:
    """One version of the state object.

    What it holds is not kept here: attributes of resources hold secrets.
    """

    version_id: str
    written: datetime
    serial: int
    lineage: str
    terraform_version: str
    addresses: frozenset[str]
    sha256: str
    size: int


def place(ops: Connection, file: str = "state") -> Place:
    """Where the state is, or the pipeline's newest `plan`."""
    facts = ops.target["terraform"]
    return Place(facts["bucket"], facts[file])


def written(ops: Connection) -> datetime:
    """When the state was last written (S3 HeadObject).

    The end of the last apply, or of a refresh.
    """
    found: datetime = ops.call("s3", "head_object", **place(ops).named)["LastModified"]
    return found


def read_state(ops: Connection, at: Place, version_id: str = "") -> State:
    """One version, or the newest. Raises NotFound, OpsError (it is no state)."""
    kept = "" if version_id == "null" else version_id  # of a bucket that keeps no versions
    answered = objects.read_object(ops, at.bucket, at.key, kept)
    content: bytes = answered["Body"]
    try:
        document = json.loads(content)
        return State(
            answered.get("VersionId", kept),
            answered["LastModified"],
            document["serial"],
            document["lineage"],
            document.get("terraform_version", ""),
            _addresses(document),
            hashlib.sha256(content).hexdigest(),
            len(content),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise OpsError(
            f"{at} {version_id} is no state of Terraform's ({type(exc).__name__}). "
            "Look at it by hand."
        ) from exc


def _addresses(document: Json) -> frozenset[str]:
    """`module.x.aws_instance.web[0]` of every managed instance."""
    return frozenset(
        ".".join(filter(None, (resource.get("module"), resource["type"], resource["name"])))
        + (f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else "")
        for resource in document["resources"]
        if resource["mode"] == "managed"
        for instance in resource["instances"]
    )


def versions(ops: Connection, newest: int) -> list[State]:
    """The newest versions of the state, newest first.

    Raises NotFound when there is none, or it was deleted.
    """
    at = place(ops)
    path = f"Versions[?Key=='{at.key}']"
    mine = ops.pages("s3", "list_object_versions", path, Bucket=at.bucket, Prefix=at.key)
    mine.sort(key=lambda version: (version["IsLatest"], version["LastModified"]), reverse=True)
    if not mine or not mine[0]["IsLatest"]:
        gone = "was deleted; remove that delete marker" if mine else "is not there"
        raise NotFound(
            f"Terraform's state {at} {gone}. "
            f"Check terraform: in parameters/targets/{ops.target.key}.yaml."
        )
    ids = [version["VersionId"] for version in mine[:newest]]
    return list(ops.each(partial(read_state, ops, at), ids).values())


def find_lock(ops: Connection) -> str:
    """Who holds the lock, in a sentence; nothing when nobody does.

    Only S3's own lock file can be seen (`use_lockfile`).
    """
    at = place(ops)
    try:
        answered = objects.read_object(ops, at.bucket, f"{at.key}.tflock")
    except NotFound:
        return ""
    try:
        said = json.loads(answered["Body"])
        return f"{said['Who']} since {said['Created'][:16]}, {said['Operation']} (ID {said['ID']})"
    except (ValueError, KeyError, TypeError):
        since = f"{answered['LastModified']:%Y-%m-%d %H:%M} UTC"
        return f"somebody since {since} (the lock file is not readable)"


_KEPT = Question("Earlier states are kept", "versions on", "s3 GetBucketVersioning")
_HELD = Question("Nobody holds Terraform's lock", "no lock", "s3 GetObject of the .tflock file")


@check("Which states are there, and is the present one in order?")
def check_states(ops: Connection, newest: int = 10) -> Findings:
    """The newest versions of the state: one lineage, rising serials, no lock held.

    Evidence: STATES, newest first. Who applied is not in them: the pipeline's log, or CloudTrail,
    says that.
    """
    at, found = place(ops), versions(ops, newest)
    held = answer(_HELD.words, lambda: _held(ops))
    kept = answer(_KEPT.words, lambda: _kept(ops, at, len(found)))
    rows = [
        vars(state)
        | {
            "resources": len(state.addresses),
            "added": ", ".join(sorted(state.addresses - before.addresses)),
            "removed": ", ".join(sorted(before.addresses - state.addresses)),
        }
        for state, before in pairwise([*found, found[-1]])
    ]
    return Findings([_in_order(at, found), kept, held], frame(rows, STATES))


def _in_order(at: Place, found: list[State]) -> Finding:
    """The newest state must continue the one before.

    Another lineage, or a lower serial, means that somebody pushed one.
    """
    now, source = found[0], "s3 ListObjectVersions, GetObject"
    asked = Question(f"State {at}", "one lineage, rising serials", source)
    seen = (
        f"serial {now.serial}, {len(now.addresses)} resources, "
        f"written {now.written:%Y-%m-%d %H:%M} UTC by Terraform {now.terraform_version}"
    )
    for other in found:
        if other.lineage != now.lineage:
            than = f"serial {other.serial} of {other.written:%Y-%m-%d %H:%M} UTC"
            seen += f"; another lineage than {than}: a foreign state was pushed over it"
            return asked.answer("critical", seen)
    for state, before in pairwise(found):
        if state.serial < before.serial:
            over = f"serial {state.serial} was written over {before.serial}"
            return asked.answer("warn", f"{seen}; {over}: an older state was pushed with -force")
    return asked.answer("ok", seen)


def _kept(ops: Connection, at: Place, number: int) -> Finding:
    if objects.is_versioned(ops, at.bucket):
        return _KEPT.answer("ok", f"versions are on; the newest {number} are listed")
    seen = f"bucket {at.bucket} keeps no versions: each apply overwrites the state before it"
    return _KEPT.answer("warn", seen)


def _held(ops: Connection) -> Finding:
    if who := find_lock(ops):
        return _HELD.answer("critical", f"{who}: an apply is under way, or was interrupted")
    return _HELD.answer("ok", "no lock file (a lock in a DynamoDB table is not seen here)")


def _backup_of(at: Place, state: State) -> Place:
    """Where a copy of that state belongs.

    Named by its serial and time, so that no two states share one.
    """
    name = f"backup-serial-{state.serial}-{state.written:%Y%m%dT%H%M%SZ}"
    return Place(at.bucket, f"{at.key}.{name}")


_NOTES = [
    "It never overwrites: S3 refuses the copy when something of that name is there.",
    "A state holds secrets in clear text. The copy stays in the same bucket; "
    "delete it when all is well (undo does).",
    "Nothing else is changed by this procedure: git and Terraform are run by you.",
]


@planner
def plan_backup(ops: Connection) -> Planned:
    """Copy the present state to a key named by its serial and time, beside it.

    Raises Refused while a lock is held.
    """
    at = place(ops)
    if who := find_lock(ops):
        raise Refused(
            f"Terraform's lock is held by {who}. Nothing was changed. Wait for it; "
            "when that run is dead for certain: terraform force-unlock with that ID."
        )
    state = versions(ops, 1)[0]
    backup, summary = _backup_of(at, state), f"back up state serial {state.serial}"
    with suppress(NotFound):
        ops.call("s3", "head_object", **backup.named)
        return Planned(summary, notes=[f"{backup} is there already; below it is compared."])
    to = backup.named
    source, made = at.named, backup.named
    if state.version_id:
        source["VersionId"], made["VersionId"] = state.version_id, result("copied.VersionId")
    # encrypted as it is: a copy would otherwise take the bucket's default
    head = ops.call("s3", "head_object", **at.named)
    as_it_is = {key: head[key] for key in ("ServerSideEncryption", "SSEKMSKeyId") if head.get(key)}
    step = Step(
        f"Copy state serial {state.serial} to {backup}",
        do=Aws("s3", "copy_object", **to, CopySource=source, IfNoneMatch="*", **as_it_is),
        before="absent",
        after=f"{state.size} bytes",
        undo=[Aws("s3", "delete_object", **made)],
        observe=Read("s3", "head_object", "join(' ', [to_string(ContentLength), 'bytes'])", **to),
        name="copied",
    )
    return Planned(summary, [step], _NOTES)


@check("Is the backup there, and the same?")
def check_backup(ops: Connection) -> Findings:
    """The present state against its backup: checksum, serial, lineage."""
    state = versions(ops, 1)[0]
    backup = _backup_of(place(ops), state)
    wanted = f"serial {state.serial}, lineage {state.lineage}, SHA-256 {state.sha256[:12]}…"
    asked = Question(f"Backup of state serial {state.serial}", wanted, "s3 GetObject of both")
    try:
        copy = read_state(ops, backup)
    except NotFound:
        return Findings([asked.answer("critical", f"no {backup}", next="deployments/rollback")])
    same = (copy.sha256, copy.serial, copy.lineage) == (state.sha256, state.serial, state.lineage)
    seen = f"{backup}: serial {copy.serial}, lineage {copy.lineage}, SHA-256 {copy.sha256[:12]}…"
    return Findings([asked.judged(same, seen)])
