"""Images that a job sends to a model.

How many, how large in one request, and making them smaller.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from opslib.core import (
    FAILURES,
    UTC_TIME,
    Aws,
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    NotFound,
    OpsError,
    Planned,
    Question,
    Read,
    Refused,
    Step,
    check,
    frame,
    planner,
    quoted,
    result,
    sign_of,
)
from opslib.core.connections import sql
from opslib.core.plans.actions import file
from opslib.core.reads import objects
from opslib.core.waiting import counted
from opslib.jobs import jobs

IMAGES = {
    "key": "str",
    "bytes": "int64",
    "payload_bytes": "int64",
    "etag": "str",
    "content_type": "str",
}
SIZES = {
    "item": "str",
    "images": "int64",
    "megabytes": "float64",
    "payload_megabytes": "float64",
    "largest_megabytes": "float64",
    "too_large": "bool",
    "failed": UTC_TIME,
    "error": "str",
}
TOO_LARGE = "images-too-large"  # the cause that findings name
_MEGABYTE = 1_000_000
_QUALITY = 85
_FAILURE = "images too large"  # as the error of such a job is understood


def list_images(ops: Connection, kind: str, item: str) -> Frame:
    """The images that a job of this kind sends for an item. Columns: IMAGES.

    Rows of the database, sizes from S3 HeadObject; `payload_bytes` is what base64 makes of it.
    Raises NotFound when an object is missing.
    """
    job = ops.target["jobs"][kind]
    facts, bucket = job["images"], _bucket(ops, kind)
    column = quoted(facts["column"])
    found = sql.query(
        ops,
        f"SELECT {column} AS key FROM {quoted(facts['table'])} "
        f"WHERE {quoted(job['item'])}::text = :item ORDER BY 1",
        {"key": "str"},
        item=item,
    )
    keys = [facts.get("prefix", "") + key for key in found["key"]]
    heads = ops.each(lambda key: ops.call("s3", "head_object", Bucket=bucket, Key=key), keys)
    rows = [
        {
            "key": key,
            "bytes": head["ContentLength"],
            "payload_bytes": _payload(head["ContentLength"]),
            "etag": head["ETag"],
            "content_type": head.get("ContentType", ""),
        }
        for key, head in heads.items()
    ]
    return frame(rows, IMAGES)


def _bucket(ops: Connection, kind: str) -> str:
    return str(ops.target["buckets"][ops.target["jobs"][kind]["images"]["bucket"]]["name"])


def _payload(size: int) -> int:
    """What base64 makes of so many bytes."""
    return (size + 2) // 3 * 4


def find_oversized(ops: Connection, kind: str, item: str = "", minutes: float = 10080) -> Frame:
    """Items whose latest job failed with "Input is too long" in the last minutes, or the one item.

    Columns: SIZES.
    """
    latest = jobs.list_jobs(ops, kind, item, minutes, limit=10_000).drop_duplicates("item")
    if item and latest.empty:
        raise NotFound(
            f"{item} has no {kind} job in {ops.target.name}: is it the right one? "
            "Recent ones: jobs/status."
        )
    rows = [
        _sizes(ops, kind, job)
        for job in latest.itertuples()
        if item or (job.status == "failed" and sign_of(FAILURES, job.error).name == _FAILURE)
    ]
    return frame(rows, SIZES)


def _sizes(ops: Connection, kind: str, job: Any) -> Json:
    facts, found = ops.target["jobs"][kind]["images"], list_images(ops, kind, job.item)
    payload = found["payload_bytes"].sum() / _MEGABYTE
    return {
        "item": job.item,
        "images": len(found),
        "megabytes": round(found["bytes"].sum() / _MEGABYTE, 2),
        "payload_megabytes": round(payload, 2),
        "largest_megabytes": round(max(found["bytes"], default=0) / _MEGABYTE, 2),
        "too_large": len(found) > facts["max_images"] or payload > facts["max_payload_mb"],
        "failed": job.finished if job.status == "failed" else None,
        "error": job.error,
    }


@check("Do the images fit into one request to the model?")
def check_oversized(ops: Connection, kind: str, item: str = "", minutes: float = 10080) -> Findings:
    """Of an item, or of all whose latest job failed with "Input is too long".

    Evidence: SIZES without errors.
    """
    facts, found = ops.target["jobs"][kind]["images"], find_oversized(ops, kind, item, minutes)
    rule = f"at most {facts['max_images']} images and {facts['max_payload_mb']:g} MB as base64"
    if found.empty:
        seen = (
            f"no item's latest {kind} job of the last {minutes / 1440:g} days failed for its size"
        )
        return Findings(
            [Question(f"images of {kind} jobs", rule, "database").answer("ok", seen)], found
        )
    judged = [_size_finding(row, rule, facts) for row in found.itertuples()]
    return Findings(judged, found.drop(columns="error"))


def _size_finding(row: Any, rule: str, facts: Any) -> Finding:
    asked = Question(f"images of {row.item}", rule, "database, s3 HeadObject")
    seen = f"{row.images} images, {row.payload_megabytes:.1f} MB as base64, "
    seen += f"the largest {row.largest_megabytes:.1f} MB"
    fails = row.error and row.failed == row.failed  # not NaT
    if row.payload_megabytes > facts["max_payload_mb"] or (row.too_large and fails):
        seen = f"{seen}. {row.error}".strip()
        return asked.answer("critical", seen, cause=TOO_LARGE, next="jobs/oversized")
    if fails:
        return asked.answer("warn", f"{seen}: they fit now. {row.error}", next="jobs/stale")
    return asked.answer("ok", seen)


@planner
def plan_resize(ops: Connection, kind: str, items: Sequence[str]) -> Planned:
    """Make the images of these items small enough, and start their jobs again.

    The originals stay as earlier versions. Raises Refused: the bucket keeps no versions, or the
    images would still be too much.
    """
    bucket, latest = _bucket(ops, kind), jobs.find_latest(ops, kind, items)
    chosen = [job for job in latest.itertuples() if _sizes(ops, kind, job)["too_large"]]
    if not chosen:
        return Planned("no image to make smaller", notes=["The images fit into one request."])
    if not objects.is_versioned(ops, bucket):
        raise Refused(
            f"{bucket} keeps no versions, so the originals would be lost. Nothing was changed. "
            "Turn versioning on first (buckets/create says how it should be)."
        )
    steps: list[Step] = []
    for job in chosen:
        steps += _resize_steps(ops, kind, bucket, job.item)
        # Its undo is of the images: one job more in the table harms nobody.
        steps.append(replace(jobs.again(ops, kind, job), undo=[]))
    return Planned(
        f"make {len(steps) - len(chosen)} images of "
        f"{', '.join(job.item for job in chosen)} smaller",
        steps,
        [
            f"The originals stay in {bucket} as earlier versions; "
            "undo makes them the present ones again.",
            "Starting the analysis again is not undone: it leaves one job more in the table.",
        ],
    )


def _resize_steps(ops: Connection, kind: str, bucket: str, item: str) -> list[Step]:
    facts, found, steps = ops.target["jobs"][kind]["images"], list_images(ops, kind, item), []
    total = 0
    for number, image in counted(enumerate(found.itertuples(), 1), f"images of {item}", len(found)):
        path = _smaller(ops, bucket, image.key, facts["resize_pixels"])
        size = path.stat().st_size if path else image.bytes
        total += _payload(size)
        if path:
            steps.append(_replace(ops, bucket, image, path, size, f"image {number} of {item}"))
    if not steps:
        raise Refused(
            f"{item}: none of its {len(found)} images is larger than {facts['resize_pixels']} "
            "pixels, and still they are too many. Nothing was changed. Take images off the item."
        )
    if total > facts["max_payload_mb"] * _MEGABYTE:
        raise Refused(
            f"{item}: {len(found)} images are still {total / _MEGABYTE:.1f} MB as base64 with "
            f"{facts['resize_pixels']} pixels; {facts['max_payload_mb']:g} MB fit. Nothing was "
            "changed. Take images off the item, or lower resize_pixels."
        )
    return steps


def _replace(ops: Connection, bucket: str, image: Any, path: Path, size: int, name: str) -> Step:
    place = {"Bucket": bucket, "Key": image.key}
    head = ops.call("s3", "head_object", **place)
    kept = {key: head[key] for key in ("ContentType", "CacheControl", "Metadata") if head.get(key)}
    return Step(
        f"Replace {image.key} by a smaller one",
        Aws("s3", "put_object", **place, Body=file(path), **kept),
        image.bytes,
        size,
        undo=[Aws("s3", "delete_object", **place, VersionId=result(f"{name}.VersionId"))],
        observe=Read("s3", "head_object", "ContentLength", **place),
        name=name,
    )


def _smaller(ops: Connection, bucket: str, key: str, pixels: int) -> Path | None:
    """A file with the image of at most so many pixels a side; None when it is that small already.

    The same image gives the same bytes each time, so that a plan made again is the same plan.
    """
    from io import BytesIO

    from PIL import Image, ImageOps, UnidentifiedImageError

    content = objects.read_object(ops, bucket, key)["Body"]
    try:
        with Image.open(BytesIO(content)) as opened:
            if max(opened.size) <= pixels:
                return None
            kind, profile = opened.format, opened.info.get("icc_profile")
            upright = ImageOps.exif_transpose(opened)
    except (UnidentifiedImageError, OSError) as exc:
        raise OpsError(
            f"s3://{bucket}/{key} is no image that can be read: {exc}. "
            "Look at it, or take it off the item."
        ) from exc
    upright.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
    path = _drafts(ops).joinpath(*PurePosixPath(key).parts[-2:])
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    upright.save(path, kind, quality=_QUALITY, icc_profile=profile)
    return path


def _drafts(ops: Connection) -> Path:
    """Where the smaller images wait for the plan to be applied; of this user, on this machine."""
    return Path(tempfile.gettempdir()) / f"opslib-{os.getuid()}" / ops.target.name / "images"
