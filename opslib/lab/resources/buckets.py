"""The buckets of a target's file, set as it says, and what is put there as of some time."""

from datetime import datetime, timedelta
from typing import Any

from opslib.lab.places import Place
from opslib.lab.resources import names

_AGE = timedelta(days=420)
_BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def seed(place: Place) -> None:
    made = set()
    for key, facts in place.facts.get("buckets", {}).items():
        if facts["name"] not in made:  # the same may have two names of the file's own
            create(place, facts["name"])
        made.add(facts["name"])
        uploads = place.facts.get("uploads", {}).values()
        _set(place, facts, [each for each in uploads if each["bucket"] == key])
        held(place, facts["name"]).creation_date = names.start(place) - _AGE


def create(place: Place, name: str, public: bool = False) -> None:
    """A bucket, shut to the public unless that is meant."""
    s3 = place.client("s3")
    where: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": place.region}}
    s3.create_bucket(Bucket=name, **(where if place.region != "us-east-1" else {}))
    if not public:
        block = dict.fromkeys(_BLOCK, True)
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)


def _set(place: Place, facts: Any, uploads: list[Any]) -> None:
    """As the file describes it, its CORS where that says nothing as its uploads need it."""
    s3, name = place.client("s3"), facts["name"]
    if "encryption" in facts:
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": facts["encryption"]}}
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    if facts.get("versioning"):
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    if facts.get("public"):
        s3.delete_public_access_block(Bucket=name)
    allowed = [(each["origins"], each.get("methods", ["PUT"])) for each in uploads]
    if "cors_origins" in facts:
        allowed = [(facts["cors_origins"], facts.get("cors_methods", ["GET"]))]
    rules = [
        {
            "AllowedMethods": list(methods),
            "AllowedOrigins": list(origins),
            "AllowedHeaders": ["*"],
            "MaxAgeSeconds": 3000,
        }
        for origins, methods in allowed
    ]
    if rules:
        s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": rules})


def held(place: Place, name: str) -> Any:
    """moto's object of the bucket; KeyError when it is not there."""
    return place.backend("s3").buckets[name]


def put(place: Place, name: str, key: str, body: bytes, when: datetime, kind: str) -> None:
    """An object, as uploaded at that time; `kind`: its content type."""
    made = place.backend("s3").put_object(name, key, body, disable_notification=True)
    made.last_modified = when.replace(tzinfo=None)
    made.set_metadata({"Content-Type": kind})


def hide(place: Place, name: str, key: str, when: datetime) -> None:
    """Puts a delete marker on an object of a versioned bucket, as of that time."""
    place.backend("s3").delete_object(name, key)
    held(place, name).keys.getlist(key)[-1].last_modified = when.replace(tzinfo=None)


def forget(place: Place, name: str, key: str) -> None:
    """Takes an object away with all its versions, as if it had never been there."""
    bucket = place.backend("s3").buckets.get(name)
    if bucket is not None:
        dict.pop(bucket.keys, key, None)  # moto's own pop cannot do with a delete marker


def objects(place: Place, name: str, prefix: str) -> dict[str, Any]:
    """moto's objects of the bucket by key, those that a listing shows. KeyError: no such bucket."""
    found = held(place, name).keys.items()
    return {key: last for key, last in found if key.startswith(prefix) and hasattr(last, "size")}


def size(place: Place, name: str, key: str) -> int:
    """Bytes of an object, 0 when it is not there."""
    found = place.backend("s3").get_object(name, key)
    return int(found.size) if found is not None else 0
