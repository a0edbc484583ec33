"""The bucket with the images of books (`books/`) and of listings (`listings/`)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from opslib.lab.estates.bluemoxon import books, names, pictures
from opslib.lab.places import Place

_RETAKEN = 25  # in production, one image in so many was taken anew after staging was copied


def seed(place: Place) -> None:
    """Makes the bucket as the facts describe it, with an object for each row that names one."""
    s3, name, facts = place.client("s3"), names.bucket(place), place.facts["buckets"]["images"]
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": place.region})
    s3.put_public_access_block(
        Bucket=name,
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        ),
    )
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": facts["encryption"]}}
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    cors = {
        "AllowedMethods": ["GET", "PUT"], "AllowedOrigins": list(facts["cors_origins"]), "AllowedHeaders": ["*"],
        "MaxAgeSeconds": 3000,
    }  # fmt: skip
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [cors]})
    bucket(place).creation_date = names.start(place) - timedelta(days=420)
    for image in books.images(place):
        retaken = place.target.production and image.id % _RETAKEN == 0
        picture = pictures.small(f"{image.s3_key} retaken" if retaken else image.s3_key)
        put(place, names.prefix(place, "images") + image.s3_key, picture, image.created_at)
    for listing in books.listings(place):
        key = names.prefix(place, "listings") + listing.image_key
        put(place, key, pictures.small(listing.image_key), listing.created_at)


def bucket(place: Place) -> Any:
    """moto's object of the bucket; KeyError when it is not there."""
    return place.backend("s3").buckets[names.bucket(place)]


def put(place: Place, key: str, body: bytes, modified: datetime) -> None:
    """An object, as uploaded at that time."""
    held = place.backend("s3").put_object(names.bucket(place), key, body, disable_notification=True)
    held.last_modified = modified.replace(tzinfo=None)
    held.set_metadata({"Content-Type": "image/jpeg"})


def forget(place: Place, key: str) -> None:
    """Takes an object away with all its versions, as if it had never been there."""
    held = place.backend("s3").buckets.get(names.bucket(place))
    if held is not None:
        dict.pop(held.keys, key, None)  # moto's own pop cannot do with a delete marker


def objects(place: Place, prefix: str) -> dict[str, Any]:
    """moto's objects of the bucket by key, those that a listing shows. KeyError when the bucket is not there."""
    held = bucket(place).keys.items()
    return {key: last for key, last in held if key.startswith(prefix) and hasattr(last, "size")}  # no delete markers


def size(place: Place, key: str) -> int:
    """Bytes of an object, 0 when it is not there."""
    held = place.backend("s3").get_object(names.bucket(place), key)
    return int(held.size) if held is not None else 0
