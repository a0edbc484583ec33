"""Actions on versions of objects: thousands at once, each told apart by its version's id."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from opslib.core.actions.actions import Action, action
from opslib.core.connections import calls
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, OpsError, Refused, after
from opslib.core.reads.stores.objects import digest_of, properties, versions_at
from opslib.core.tables import Json, batched

LARGEST = 5 * 1024**3  # bytes that one CopyObject takes
_PART = 256 * 1024**2
_SECONDS = 900
_A_CALL, _AT_ONCE, _A_WAVE = 1000, 8, 250
_PAUSES = (0.0, 0.5, 2.0)
_PASSING = ("InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout")


def _many(do: Action) -> str:
    return f"{len(do['objects']):,} versions"


@action("delete versions", lambda do: f"s3.delete_objects(Bucket={do['bucket']}) of {_many(do)}")
def DeleteVersions(ops: Connection, bucket: str, objects: list[Json]) -> Any:
    """Delete these versions and markers for good; one that is gone already is done.

    `objects`: Key and VersionId of each, and what else its answer is to tell of it.
    """
    return delete_versions(ops, bucket, objects)


@action("copy versions", lambda do: f"s3.copy_object(Bucket={do['bucket']}) of {_many(do)}")
def CopyVersions(ops: Connection, bucket: str, objects: list[Json]) -> Any:
    """Put these versions on top of their keys again, with metadata, tags, class and encryption."""
    return ended(
        "copied", "versions", ops.gather(*(partial(_tried, _copy, ops, bucket, o) for o in objects))
    )


def _across(do: Action) -> str:
    each = f"{len(do['objects']):,} objects of {do['bucket']}"
    return f"s3.copy_object(Bucket={do['to']}, ExpectedBucketOwner={do['owner']}) of {each}"


@action("copy across", _across)
def CopyAcross(ops: Connection, bucket: str, to: str, owner: str, objects: list[Json]) -> Any:
    """Copy objects of a bucket to another, each while it is what was shown.

    `objects`: Key, ETag, Size and StorageClass of each. `owner`: the account that has to own the
    other bucket, whose default encryption the copies get.
    """

    def copy(each: Json) -> Json:
        """The key, the version that it is there, its ETag. Sent again, it is one version more."""
        kept = {"CopySourceIfMatch": each["ETag"], "ExpectedBucketOwner": owner}
        kept |= {"StorageClass": each["StorageClass"]} if "StorageClass" in each else {}
        at, there = ({"Bucket": of, "Key": each["Key"]} for of in (bucket, to))
        made = _made(ops, at, there, kept, each["Size"], once=each["Size"] > _PART)
        return {
            "Key": each["Key"],
            "VersionId": made.get("VersionId", "null"),
            "ETag": made["ETag"],
        }

    def tried(batch: Sequence[Json]) -> list[Any]:
        return [_tried(copy, each) for each in batch]

    return ended("copied", "versions", in_waves(ops, tried, objects, 1, _A_WAVE, "objects copied"))


@action(
    "erase",
    "s3.delete_objects(Bucket={bucket}) of {versions:,} versions and markers of {named}, digest "
    "{digest}",
)
def Erase(ops: Connection, bucket: str, named: str, versions: int, digest: str) -> Any:
    """Delete every version and marker of a key, or below a prefix, while they are those shown."""
    found = versions_at(ops, bucket, named)
    if digest_of(each[:2] for each in found) != digest:
        raise Refused(f"What {named} has is no longer what was shown. Preview again.")
    each = [{"Key": one.key, "VersionId": one.id} for one in found]
    deleted = len(delete_versions(ops, bucket, each)["Deleted"])
    with after(done := {"deleted": deleted}):
        if left := versions_at(ops, bucket, named):
            raise OpsError(f"{len(left):,} versions of {named} are there still, or again.")
    return done


def in_waves(
    ops: Connection,
    act: Callable[[Sequence[Json]], list[Any]],
    items: Sequence[Json],
    size: int,
    at_once: int,
    said: str,
) -> list[Any]:
    """What became of each item, or the error: so many in a call, so many calls at a time."""
    made: list[Any] = []
    for wave in batched(batched(items, size), at_once):
        for each in ops.gather(*(partial(act, batch) for batch in wave)):
            made += each
        done = sum(not isinstance(each, OpsError) for each in made)
        print(f"{done:,} of {len(items):,} {said}", flush=True)
    return made


def delete_versions(ops: Connection, bucket: str, objects: Sequence[Json]) -> Json:
    """What of them is gone: `Deleted`. Raises OpsError that counts what is not, and why."""
    delete = partial(_delete, ops, bucket)
    made = in_waves(ops, delete, objects, _A_CALL, _AT_ONCE, "versions deleted")
    return ended("deleted", "versions", made)


def _delete(ops: Connection, bucket: str, batch: Sequence[Json]) -> list[Any]:
    """Each of them, or the error that kept it. What passes is asked for again."""
    left = {(each["Key"], each["VersionId"]): each for each in batch}
    made, failed = list[Any](), dict[tuple[str, str], str]()
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            failed = _failed(ops, bucket, left)
        except OpsError as exc:
            return [*made, *[exc] * len(left)]
        made += [each for at, each in left.items() if at not in failed]
        left = {at: left[at] for at in failed}
        if not any(code in said for said in failed.values() for code in _PASSING):
            break
    return [*made, *map(OpsError, failed.values())]


def _failed(
    ops: Connection, bucket: str, left: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """One call: what could not be deleted, and why."""
    named = [{"Key": key, "VersionId": version} for key, version in left]
    try:
        ops.call_again(
            "s3", "delete_objects", Bucket=bucket, Delete={"Objects": named, "Quiet": True}
        )
    except OpsError as exc:
        if exc.done is None:
            raise
        return {
            (e["Key"], e.get("VersionId")): f"{e['Key']}: {e.get('Code')}: {e.get('Message')}"
            for e in exc.done["Errors"]
        }
    return {}


def _tried(act: Callable[..., Json], *given: Any) -> Any:
    try:
        return act(*given)
    except OpsError as exc:
        return exc


def ended(verb: str, of: str, made: Sequence[Any]) -> Json:
    """What is done, of what became of each. Raises OpsError that counts what is not, and why."""
    done = [each for each in made if isinstance(each, dict)]
    failed = [each for each in made if isinstance(each, OpsError)]
    answer = {verb.capitalize(): done}
    if not failed:
        return answer
    failed.sort(key=lambda each: not isinstance(each, Lost))
    # Of what is known to be done the undo is known, too, though others may be done.
    raise (OpsError if done else type(failed[0]))(
        f"{len(done):,} of {len(made):,} {of} were {verb}, {len(failed):,} were not; first: "
        f"{failed[0]} Run it again: it goes on with what is left.",
        answer if done else None,
    )


def _copy(ops: Connection, bucket: str, each: Json) -> Json:
    """The key and the new version's id. Raises OpsError, Lost (it may be there)."""
    at = {"Bucket": bucket, "Key": each["Key"], "VersionId": each["VersionId"]}
    head = ops.call("s3", "head_object", **at)
    size = head["ContentLength"]
    kept = properties(head) | {"MetadataDirective": "COPY", "TaggingDirective": "COPY"}
    if size > LARGEST:
        kept.pop("BucketKeyEnabled", None)
    to = {"Bucket": bucket, "Key": each["Key"]}
    made = _made(ops, at, to, kept, size, once=True)
    return {"Key": each["Key"], "VersionId": made["VersionId"]}


def _made(ops: Connection, at: Json, to: Json, kept: Json, size: int, once: bool) -> Json:
    """What S3 answers to a copy: of its version and its ETag."""
    if size > LARGEST:
        return _copy_in_parts(ops, at, to, kept)
    call = partial(ops.call_once, _SECONDS) if once else ops.call_again
    made = call("s3", "copy_object", **to, CopySource=at, **kept)
    return {**made, **made["CopyObjectResult"]}


def _copy_in_parts(ops: Connection, at: Json, to: Json, kept: Json) -> Json:
    """In parts, as boto3 does it, which keeps metadata and tags; what S3 answers in the end."""
    from boto3.s3.transfer import TransferConfig

    client, made = ops.client("s3"), list[Json]()

    def ended(parsed: Json, **_: Any) -> None:
        if parsed.get("Key") == to["Key"]:
            made.append(parsed)

    event = "after-call.s3.CompleteMultipartUpload"
    client.meta.events.register(event, ended)
    try:
        with calls.errors("s3", "copy", ops.where, to):
            config = TransferConfig(multipart_threshold=1, multipart_chunksize=_PART)
            client.copy(at, **to, ExtraArgs=kept, Config=config)
    finally:
        client.meta.events.unregister(event, ended)
    return made[0]
