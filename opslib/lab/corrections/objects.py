"""S3 DeleteObjects.

With an ETag a key is deleted only while its object has it.

A fault may protect keys, which the answer then lists as errors, as AWS does in a 200.

`place.faults["protected_keys"] = ("books/7/",)`: what begins so cannot be deleted.
"""

from __future__ import annotations

from typing import Any

from opslib.lab.aws.operations import Call, Result, answers


@answers("s3", "DeleteObjects")
def delete_objects(call: Call) -> Result:
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
