"""S3 DeleteObjects; GetObjectRetention, which moto does not have; ListObjectVersions, in which
moto orders by times that it does not tell, and ListObjectsV2: it copies the whole bucket for each
page; and whose a bucket is.

With an ETag a key is deleted only while its object has it.

A fault may protect keys, which the answer then lists as errors, as AWS does in a 200.

`place.faults["protected_keys"] = ("books/7/",)`: what begins so cannot be deleted.
"""

import re
import threading
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import quote, unquote

from moto.s3.exceptions import AccessForbidden
from moto.s3.responses import S3Response

from opslib.lab.aws.operations import AwsError, Call, Result, answers


def install() -> None:
    """A browser's preflight is answered by the first rule that fits, as S3 does; moto takes all."""
    S3Response._set_cors_headers_options = _preflight


def _preflight(self: Any, headers: Any, bucket: Any) -> None:
    def like(text: str, patterns: Any, how: int = 0) -> bool:
        several = [patterns] if isinstance(patterns, str) else patterns or ()
        return any(re.fullmatch(re.escape(p).replace(r"\*", ".*"), text, how) for p in several)

    origin, method = headers.get("Origin", ""), headers.get("Access-Control-Request-Method", "")
    asked = [each.strip() for each in headers.get("Access-Control-Request-Headers", "").split(",")]
    for rule in bucket.cors:
        fits = like(origin, rule.allowed_origins) and like(method, rule.allowed_methods)
        if fits and all(like(each, rule.allowed_headers, re.I) for each in asked if each):
            told = {"Origin": origin, "Methods": method, "Headers": ", ".join(asked)}
            self.response_headers |= {f"Access-Control-Allow-{k}": v for k, v in told.items() if v}
            return
    raise AccessForbidden("CORSResponse: This CORS request is not allowed.")


_ONE_AT_A_TIME = threading.Lock()  # moto loses what two calls delete of one key at once


@answers("s3", "DeleteObjects")
def delete_objects(call: Call) -> Result:
    with _ONE_AT_A_TIME:
        return _delete_objects(call)


def _delete_objects(call: Call) -> Result:
    protected = tuple(
        prefix
        for place in call.world.places_in(call.account, call.region)
        for prefix in place.faults.get("protected_keys", ())
    )
    bucket, delete = call.params["Bucket"], call.params["Delete"]
    if not protected and not any("ETag" in each for each in delete["Objects"]):
        return call.moto()
    deleted: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for each in delete["Objects"]:
        if each["Key"].startswith(protected):
            errors.append({**each, "Code": "AccessDenied", "Message": "Access Denied"})
            continue
        wanted = each.pop("ETag", None)
        held = call.backend().get_object(bucket, each["Key"]) if wanted else None
        if wanted and (held is None or held.etag.strip('"') != wanted.strip('"')):
            message = "At least one of the pre-conditions you specified did not hold"
            errors.append({**each, "Code": "PreconditionFailed", "Message": message})
            continue
        _, meta = call.backend().delete_object(
            bucket, each["Key"], version_id=each.get("VersionId")
        )
        made = meta.get("delete-marker") and not each.get("VersionId")
        marker = {"DeleteMarker": True, "DeleteMarkerVersionId": meta["version-id"]} if made else {}
        deleted.append({**each, **marker})
    return {"Errors": errors, **({} if delete.get("Quiet") else {"Deleted": deleted})}


@answers("s3", "GetObjectRetention", "GetObjectLegalHold")
def locks(call: Call) -> Result:
    bucket, at = call.params["Bucket"], call.params.get("VersionId")
    if not call.backend().get_bucket(bucket).object_lock_enabled:
        raise AwsError("InvalidRequest", "Bucket is missing Object Lock Configuration", 400)
    key = call.backend().get_object(bucket, call.params["Key"], version_id=at)
    if key is None:
        raise AwsError("NoSuchVersion", "The specified version does not exist.", 404)
    if call.operation == "GetObjectLegalHold" and key.lock_legal_status:
        return {"LegalHold": {"Status": key.lock_legal_status}}
    if call.operation == "GetObjectRetention" and key.lock_mode:
        until = datetime.fromisoformat(key.lock_until)
        return {"Retention": {"Mode": key.lock_mode, "RetainUntilDate": until}}
    message = "The specified object does not have a ObjectLock configuration"
    raise AwsError("NoSuchObjectLockConfiguration", message, 404)


@answers("s3", "ListObjectVersions")
def list_object_versions(call: Call) -> Result:
    """In the order in which they were put, the newest first, as S3 does."""
    given = call.params
    if given.get("Delimiter"):
        return call.moto()
    keys = call.backend().get_bucket(given["Bucket"]).keys
    prefix, most = given.get("Prefix", ""), given.get("MaxKeys", 1000)
    key_marker, marker = given.get("KeyMarker", ""), given.get("VersionIdMarker", "")
    entries = [
        (key, each, at == 0)
        for key in sorted(key for key in keys if key.startswith(prefix) and key >= key_marker)
        for at, each in enumerate(reversed(keys.getlist(key)))
    ]
    last = next(
        (
            at
            for at, (key, each, _) in enumerate(entries)
            if (key, each.version_id) == (key_marker, marker)
        ),
        None,
    )
    if last is not None:
        entries = entries[last + 1 :]
    elif key_marker:
        entries = [each for each in entries if each[0] > key_marker]
    told: Result = {name: given[name] for name in ("Prefix", "EncodingType") if name in given}
    told |= {"Name": given["Bucket"], "MaxKeys": most, "IsTruncated": len(entries) > most}
    url = given.get("EncodingType") == "url"
    told |= {"Versions": [], "DeleteMarkers": []}
    for key, each, latest in entries[:most]:
        said = {"Key": quote(key) if url else key, "VersionId": each.version_id, "IsLatest": latest}
        said["LastModified"] = each.last_modified.replace(microsecond=0)
        if hasattr(each, "etag"):
            more = {"ETag": each.etag, "Size": each.size, "StorageClass": each.storage_class}
            told["Versions"].append(said | more)
        else:
            told["DeleteMarkers"].append(said)
        if told["IsTruncated"]:
            told |= {"NextKeyMarker": said["Key"], "NextVersionIdMarker": each.version_id}
    return told


@answers("s3", "ListObjectsV2")
def list_objects(call: Call) -> Result:
    """In order of keys, without going through all versions of the whole bucket for each page."""
    _owned(call)
    given = call.params
    if given.get("Delimiter") or given.get("FetchOwner"):
        return call.moto()
    held, prefix = call.backend().get_bucket(given["Bucket"]).keys, given.get("Prefix", "")
    after = given.get("ContinuationToken") or given.get("StartAfter", "")
    most, url = given.get("MaxKeys", 1000), given.get("EncodingType") == "url"
    keys = sorted(key for key in held if key.startswith(prefix) and key > after)
    last = ((key, held.getlist(key)[-1]) for key in keys)
    found = [*islice((each for each in last if _seen(each[1])), most + 1)]
    told: Result = {name: given[name] for name in ("Prefix", "EncodingType") if name in given}
    told |= {"Name": given["Bucket"], "MaxKeys": most, "IsTruncated": len(found) > most}
    if told["IsTruncated"]:
        told["NextContinuationToken"] = found[most - 1][0]
    told["Contents"] = [
        {
            "Key": quote(key) if url else key,
            "LastModified": each.last_modified.replace(microsecond=0),
            "ETag": each.etag,
            "Size": each.size,
            "StorageClass": each.storage_class,
        }
        for key, each in found[:most]
    ]
    return told | {"KeyCount": len(told["Contents"])}


def _seen(last: Any) -> bool:
    return hasattr(last, "etag")  # else it is a delete marker


def _owned(call: Call) -> None:
    """Of another account's bucket, where the caller names whose it has to be, nothing."""
    owner = call.params.get("ExpectedBucketOwner")
    if owner and call.backend().get_bucket(call.params["Bucket"]).account_id != owner:
        raise AwsError("AccessDenied", "Access Denied", 403)


@answers("s3", "CopyObject")
def copy_object(call: Call) -> Result:
    """Of what has another ETag than the caller says, none."""
    _owned(call)
    if wanted := call.params.get("CopySourceIfMatch"):
        source, _, version = unquote(call.params["CopySource"]).partition("?versionId=")
        bucket, _, key = source.lstrip("/").partition("/")
        held = call.backend().get_object(bucket, key, version_id=version or None)
        if held is None or held.etag.strip('"') != wanted.strip('"'):
            message = "At least one of the pre-conditions you specified did not hold"
            raise AwsError("PreconditionFailed", message, 412)
    return call.moto()
