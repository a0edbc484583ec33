"""Terraform's state in S3: the versions of its object, and who holds its lock."""

import hashlib
import json
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotAllowed,
    NotFound,
    OpsError,
    Question,
    Unfinished,
    answer,
    check,
    dtypes,
    frame,
    objects,
)

STATES = dtypes("""
    serial            Int64
    written           utc
    terraform_version str
    resources         Int64
    added             str
    removed           str
    note              str
""")


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


class State(NamedTuple):
    """One version of the state object.

    What it holds is not kept here: attributes of resources hold secrets.
    """

    version_id: str
    written: datetime
    serial: int
    lineage: str
    terraform_version: str
    addresses: frozenset[str] | None  # None: encrypted, as OpenTofu can
    sha256: str
    size: int


class Unreadable(NamedTuple):
    """A version that is no state of Terraform's: empty, cut, of something else; and why."""

    version_id: str
    written: datetime
    note: str


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


def _version(ops: Connection, at: Place, version: Json) -> State | Unreadable:
    try:
        return read_state(ops, at, version["VersionId"])
    except (NotAllowed, NotFound, Unfinished):
        raise
    except OpsError as exc:
        note = str(exc) if version["Size"] else "it is empty (0 bytes)"
        return Unreadable(version["VersionId"], version["LastModified"], note)


def _addresses(document: Json) -> frozenset[str] | None:
    """`module.x.aws_instance.web[0]` of every managed instance."""
    if "encrypted_data" in document:
        return None
    return frozenset(
        ".".join(filter(None, (resource.get("module"), resource["type"], resource["name"])))
        + (f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else "")
        for resource in document["resources"]
        if resource["mode"] == "managed"
        for instance in resource["instances"]
    )


def versions(ops: Connection, newest: int) -> list[State | Unreadable]:
    """The newest versions of the state, newest first, also those that cannot be read.

    Raises NotFound when there is none, or it was deleted.
    """
    at = place(ops)
    path = f"Versions[?Key=='{at.key}']"
    mine = ops.pages("s3", "list_object_versions", path, Bucket=at.bucket, Prefix=at.key)
    mine.sort(key=lambda version: (version["IsLatest"], version["LastModified"]), reverse=True)
    if not mine or not mine[0]["IsLatest"]:
        gone = "was deleted; remove that delete marker" if mine else "is not there"
        raise NotFound(
            f"Terraform's state '{at.key}' in {at.bucket} {gone}. "
            f"Check terraform: in parameters/targets/{ops.target.key}.yaml."
        )
    reads = (partial(_version, ops, at, version) for version in mine[:newest])
    return list(ops.gather(*reads))


def present(ops: Connection) -> State:
    """The newest version. Raises OpsError when it is no state."""
    (state,) = versions(ops, 1)
    if isinstance(state, Unreadable):
        raise OpsError(f"The present state {place(ops)} cannot be read: {state.note}")
    return state


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
_READABLE = Question("Every earlier version is a state", "each readable", "s3 GetObject")
_HELD = Question("Nobody holds Terraform's lock", "no lock", "s3 GetObject of the .tflock file")


@check("Which states are there, and is the present one in order?")
def check_states(ops: Connection, newest: int = 10) -> Findings:
    """The newest versions of the state: one lineage, rising serials, no lock held.

    Evidence: STATES, newest first. Who applied is not in them: the pipeline's log, or CloudTrail,
    says that.
    """
    at, found = place(ops), versions(ops, newest)
    states = [state for state in found if isinstance(state, State)]
    held = answer(_HELD, _held, ops)
    kept = answer(_KEPT, _kept, ops, at, len(found))
    befores = dict(pairwise(states))
    rows = [_row(state, befores) for state in found]
    odd = [state for state in found[1:] if isinstance(state, Unreadable)]
    said = [_in_order(at, found[0], states), kept, held]
    if odd:
        seen = ", ".join(f"{state.written:%Y-%m-%d %H:%M}: {state.note}" for state in odd)
        said.append(_READABLE.warn(seen))
    return Findings(said, frame(rows, STATES))


def _row(state: State | Unreadable, befores: dict[State, State]) -> Json:
    if isinstance(state, Unreadable):
        return state._asdict()
    if state.addresses is None:
        return state._asdict() | {"note": "encrypted: what it holds is not read"}
    before = befores.get(state, state)
    known = state.addresses if before.addresses is None else before.addresses
    return state._asdict() | {
        "note": "",
        "resources": len(state.addresses),
        "added": ", ".join(sorted(state.addresses - known)),
        "removed": ", ".join(sorted(known - state.addresses)),
    }


def _in_order(at: Place, newest: State | Unreadable, states: list[State]) -> Finding:
    """The newest state must continue the one before.

    Another lineage, or a lower serial, means that somebody pushed one.
    """
    asked = Question(
        f"State {at}", "one lineage, rising serials", "s3 ListObjectVersions, GetObject"
    )
    if isinstance(newest, Unreadable):
        seen = f"the present state, written {newest.written:%Y-%m-%d %H:%M} UTC: {newest.note}"
        return asked.critical(seen, next="deployments/rollback")
    now, many = newest, "encrypted"
    if now.addresses is not None:
        many = f"{len(now.addresses)} resources"
    by = f" by Terraform {now.terraform_version}" if now.terraform_version else ""
    seen = f"serial {now.serial}, {many}, written {now.written:%Y-%m-%d %H:%M} UTC{by}"
    for other in states:
        if other.lineage != now.lineage:
            than = f"serial {other.serial} of {other.written:%Y-%m-%d %H:%M} UTC"
            seen += f"; another lineage than {than}: a foreign state was pushed over it"
            return asked.critical(seen)
    for state, before in pairwise(states):
        if state.serial < before.serial:
            over = f"serial {state.serial} was written over {before.serial}"
            return asked.warn(f"{seen}; {over}: an older state was pushed with -force")
    return asked.ok(seen)


def _kept(ops: Connection, at: Place, number: int) -> Finding:
    if objects.is_versioned(ops, at.bucket):
        return _KEPT.ok(f"versions are on; the newest {number} are listed")
    seen = f"bucket {at.bucket} keeps no versions: each apply overwrites the state before it"
    return _KEPT.warn(seen)


def _held(ops: Connection) -> Finding:
    if who := find_lock(ops):
        return _HELD.critical(f"{who}: an apply is under way, or was interrupted")
    return _HELD.ok("no lock file (a lock in a DynamoDB table is not seen here)")
