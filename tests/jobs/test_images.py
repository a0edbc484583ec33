"""Images that are too large for a request.

Found, made smaller with the originals kept, and back again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from opslib import apply
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound, OpsError, Refused
from opslib.jobs import images, jobs

TARGET = "lab/bluemoxon-staging"
TOO_LARGE = "images-too-large"

pytestmark = pytest.mark.usefixtures("records_folder")  # what is applied here is kept elsewhere


@pytest.fixture
def oversized(lab: Any, ops: Connection) -> Iterator[Connection]:
    with lab.broken(TOO_LARGE):
        yield ops


def item(ops: Connection) -> str:
    return str(images.find_oversized(ops, "analysis")["item"].iloc[0])


def bucket(ops: Connection) -> str:
    return str(ops.target["buckets"]["images"]["name"])


def test_without_such_failures_there_is_no_cause(ops: Connection) -> None:
    found = images.check_oversized(ops, "analysis")
    assert (found.worst, found.causes) == ("ok", set())
    assert list(found.evidence.columns) == list(images.SIZES)


def test_an_item_that_fits_passes_and_an_unknown_one_is_unknown(ops: Connection) -> None:
    some = jobs.list_jobs(ops, "analysis")["item"].iloc[0]
    assert images.check_oversized(ops, "analysis", some).worst == "ok"
    found = images.check_oversized(ops, "analysis", "999999")
    assert found.worst == "unknown"
    with pytest.raises(NotFound, match="999999 has no analysis job"):
        images.find_oversized(ops, "analysis", "999999")


def test_too_many_megabytes_are_found_with_count_and_payload(oversized: Connection) -> None:
    found = images.check_oversized(oversized, "analysis")
    assert (found.worst, found.causes) == ("critical", {TOO_LARGE})
    sizes = found.evidence.iloc[0]
    assert sizes["images"] == 19
    assert sizes["payload_megabytes"] > 20 > sizes["megabytes"]


def test_the_payload_is_what_base64_makes_of_the_bytes(oversized: Connection) -> None:
    import base64

    (key, head), *_ = images.list_images(oversized, "analysis", item(oversized)).items()
    body = oversized.call("s3", "get_object", Bucket=bucket(oversized), Key=key)["Body"].read()
    encoded = len(base64.b64encode(body))
    assert images.payload([head["ContentLength"]]) == encoded / 1_000_000


@pytest.mark.slow
def test_images_are_made_smaller_the_job_completes_and_undo_brings_the_originals_back(
    oversized: Connection,
) -> None:
    from PIL import Image

    book = item(oversized)
    originals = images.list_images(oversized, "analysis", book)
    applied = apply(oversized, images.plan_resize(oversized, "analysis", [book]), "now")
    assert applied.verify(jobs.check_completed, "analysis", [book], 60).worst == "ok"
    assert applied.verify(images.check_oversized, "analysis", book).worst == "ok"
    smaller = images.list_images(oversized, "analysis", book)
    assert sum(smaller[key]["ETag"] != originals[key]["ETag"] for key in originals) == 16
    assert {head["ContentType"] for head in smaller.values()} == {"image/jpeg"}
    for key in smaller:
        body = oversized.call("s3", "get_object", Bucket=bucket(oversized), Key=key)["Body"].read()
        assert max(Image.open(BytesIO(body)).size) <= 800
    for actions in reversed(applied.undo):
        for action in actions or ():
            action.perform(oversized)
    undone = images.list_images(oversized, "analysis", book)
    assert [head["ETag"] for head in undone.values()] == [
        head["ETag"] for head in originals.values()
    ]


def test_an_image_that_is_made_smaller_keeps_all_else_that_it_has(oversized: Connection) -> None:
    book = item(oversized)
    sizes = images.list_images(oversized, "analysis", book)
    place = {
        "Bucket": bucket(oversized),
        "Key": max(sizes, key=lambda k: sizes[k]["ContentLength"]),
    }
    had = {
        "ContentType": "image/jpeg",
        "CacheControl": "private, max-age=60",
        "Expires": datetime(2030, 12, 1, 16, tzinfo=UTC),
        "ContentDisposition": 'inline; filename="page 1.jpg"',
        "ContentLanguage": "de",
        "Metadata": {"scan": "7"},
        "StorageClass": "STANDARD_IA",
        "ServerSideEncryption": "AES256",
    }
    body = oversized.call("s3", "get_object", **place)["Body"].read()
    oversized.change("s3", "put_object", **place, Body=body, Tagging="kept=a%20%3D%20b", **had)
    step = next(
        step
        for step in images.plan_resize(oversized, "analysis", [book]).steps
        if step.do.get("parameters", {}).get("Key") == place["Key"]
    )
    step.do.perform(oversized)
    head = oversized.call("s3", "head_object", **place)
    assert head["ContentLength"] < len(body)
    assert {key: head.get(key) for key in had} == had
    tags = oversized.call("s3", "get_object_tagging", **place)["TagSet"]
    assert tags == [{"Key": "kept", "Value": "a = b"}]


def test_an_image_that_somebody_uploads_after_it_was_shown_is_not_replaced(
    oversized: Connection,
) -> None:
    step = images.plan_resize(oversized, "analysis", [item(oversized)]).steps[0]
    at = {"Bucket": bucket(oversized), "Key": step.do["parameters"]["Key"]}
    newer = oversized.call("s3", "put_object", **at, Body=b"another picture")
    try:
        with pytest.raises(OpsError, match="PreconditionFailed"):
            step.do.perform(oversized)
        assert oversized.call("s3", "head_object", **at)["ETag"] == newer["ETag"]
    finally:
        oversized.call("s3", "delete_object", **at, VersionId=newer["VersionId"])


def test_without_versions_nothing_is_replaced(oversized: Connection) -> None:
    versioning = {"Bucket": bucket(oversized)}
    oversized.call(
        "s3", "put_bucket_versioning", **versioning, VersioningConfiguration={"Status": "Suspended"}
    )
    try:
        with pytest.raises(
            Refused, match=r"keeps no versions.*originals would be lost.*Nothing was changed"
        ):
            images.plan_resize(oversized, "analysis", [item(oversized)])
    finally:
        oversized.call(
            "s3",
            "put_bucket_versioning",
            **versioning,
            VersioningConfiguration={"Status": "Enabled"},
        )


@pytest.mark.slow
def test_images_that_would_still_be_too_much_are_refused(oversized: Connection) -> None:
    oversized.target.facts["jobs"]["analysis"]["images"]["max_payload_mb"] = 0.5
    with pytest.raises(Refused, match=r"still .* MB as base64 with 800 pixels; 0.5 MB fit"):
        images.plan_resize(oversized, "analysis", [item(oversized)])


def test_a_photograph_that_lies_on_its_side_stays_upright(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    photograph, content = Image.new("RGB", (1600, 900)), BytesIO()
    exif = photograph.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    photograph.save(content, "JPEG", exif=exif)
    monkeypatch.setattr(ops, "call", lambda *_, **__: {"Body": BytesIO(content.getvalue())})
    path = images._smaller(ops, "any", "books/1/x.jpeg", 800)
    assert path is not None
    assert Image.open(path).size == (450, 800)


def test_denied_objects_are_unknown(oversized: Connection, lab: Any) -> None:
    with lab.denied("s3:GetObject"), lab.denied("s3:HeadObject"):
        found = images.check_oversized(oversized, "analysis")
    assert [f.status for f in found] == ["unknown"]


def test_a_folder_for_drafts_that_is_a_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"opslib-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.raises(Refused, match=r"is a link or another user's.*Nothing was changed"):
        images._drafts("lab/one")
    assert list((tmp_path / "elsewhere").iterdir()) == []
