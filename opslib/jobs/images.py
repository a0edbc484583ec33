"""Images that a job sends to a model: how many, how large in one request, and making them smaller."""

from __future__ import annotations

import getpass
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from opslib.core.checks.checks import check
from opslib.core.checks.signs import FAILURES
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import quoted
from opslib.core.errors import NotFound, OpsError, Refused
from opslib.core.findings import Finding, Findings
from opslib.core.plans.actions import Aws, Read, file, result
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.tables import UTC_TIME, frame
from opslib.core.waiting import counted
from opslib.jobs import jobs

if TYPE_CHECKING:
    import pandas as pd

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
_RULE = FAILURES[0]  # how the errors of such jobs read


def list_images(ops: Connection, kind: str, item: str) -> pd.DataFrame:
    """The images that a job of this kind sends for an item: rows of the database, sizes from S3 HeadObject. Columns: IMAGES.

    `payload_bytes` is what base64 makes of it. Raises NotFound when an object is missing.
    """
    facts = ops.target["jobs"][kind]["images"]
    bucket, prefix = ops.target["buckets"][facts["bucket"]]["name"], facts.get("prefix", "")
    keys = sql.query(
        ops,
        f"SELECT {quoted(facts['column'])} AS key FROM {quoted(facts['table'])} "
        f"WHERE {quoted(ops.target['jobs'][kind]['item'])}::text = :item ORDER BY 1",
        {"key": "str"},
        item=item,
    )["key"]
    heads = ops.gather(
        *(
            lambda key=key: ops.call("s3", "head_object", Bucket=bucket, Key=prefix + key)
            for key in keys
        )
    )
    rows = [
        {
            "key": prefix + key,
            "bytes": head["ContentLength"],
            "payload_bytes": (head["ContentLength"] + 2) // 3 * 4,
            "etag": head["ETag"],
            "content_type": head.get("ContentType", ""),
        }
        for key, head in zip(keys, heads, strict=True)
    ]
    return frame(rows, IMAGES)


def find_oversized(
    ops: Connection, kind: str, item: str = "", minutes: float = 10080
) -> pd.DataFrame:
    """Items whose latest job failed with "Input is too long" in the last minutes, or the one item. Columns: SIZES."""
    import re

    latest = jobs.list_jobs(ops, kind, item, minutes, limit=10_000).drop_duplicates("item")
    failed = latest[
        (latest["status"] == "failed") & latest["error"].str.contains(_RULE.pattern, flags=re.I)
    ]
    if item and latest.empty:
        raise NotFound(
            f"{item} has no {kind} job in {ops.target.name}: is it the right one? Recent ones: jobs/status."
        )
    return frame(
        [_sizes(ops, kind, row) for row in (latest if item else failed).itertuples()], SIZES
    )


def _sizes(ops: Connection, kind: str, job: Any) -> dict[str, Any]:
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
    """Of an item, or of all whose latest job failed with "Input is too long". Evidence: SIZES without errors."""
    facts, found = ops.target["jobs"][kind]["images"], find_oversized(ops, kind, item, minutes)
    rule = f"at most {facts['max_images']} images and {facts['max_payload_mb']:g} MB as base64"
    if found.empty:
        seen = (
            f"no item's latest {kind} job of the last {minutes / 1440:g} days failed for its size"
        )
        return Findings([Finding("ok", f"images of {kind} jobs", seen, rule, "database")], found)
    return Findings(
        [_size_finding(row, rule, facts) for row in found.itertuples()], found.drop(columns="error")
    )


def _size_finding(row: Any, rule: str, facts: Any) -> Finding:
    seen = f"{row.images} images, {row.payload_megabytes:.1f} MB as base64, the largest {row.largest_megabytes:.1f} MB"
    check, source = f"images of {row.item}", "database, s3 HeadObject"
    fails = bool(row.error) and row.failed == row.failed  # not NaT
    if row.payload_megabytes > facts["max_payload_mb"] or (row.too_large and fails):
        return Finding(
            "critical",
            check,
            f"{seen}. {row.error}".strip(),
            rule,
            source,
            TOO_LARGE,
            "jobs/oversized",
        )
    if fails:
        return Finding(
            "warn", check, f"{seen}: they fit now. {row.error}", rule, source, "", "jobs/stale"
        )
    return Finding("ok", check, seen, rule, source)


@planner
def plan_resize(ops: Connection, kind: str, items: Sequence[str]) -> Planned:
    """Make the images of these items small enough, and start their jobs again. The originals stay as earlier versions.

    Raises Refused: the bucket keeps no versions, or the images would still be too much.
    """
    bucket = ops.target["buckets"][ops.target["jobs"][kind]["images"]["bucket"]]["name"]
    latest = jobs.find_latest(ops, kind, items)
    chosen = [job for job in latest.itertuples() if _sizes(ops, kind, job)["too_large"]]
    if not chosen:
        return Planned("no image to make smaller", [], ["The images fit into one request."])
    if ops.call("s3", "get_bucket_versioning", Bucket=bucket).get("Status") != "Enabled":
        raise Refused(
            f"{bucket} keeps no versions, so the originals would be lost. Nothing was changed. "
            "Turn versioning on first (buckets/create says how it should be)."
        )
    # Starting a job needs no undo: the undo is of the images, and one job more in the table harms nobody.
    starts = [replace(jobs.again(ops, kind, job), undo=[]) for job in chosen]
    steps = [
        step
        for job, start in zip(chosen, starts, strict=True)
        for step in (*_resize_steps(ops, kind, bucket, job.item), start)
    ]
    return Planned(
        f"make {len(steps) - len(chosen)} images of {', '.join(job.item for job in chosen)} smaller",
        steps,
        [
            f"The originals stay in {bucket} as earlier versions; undo makes them the present ones again.",
            "Starting the analysis again is not undone: it leaves one job more in the table.",
        ],
    )


def _resize_steps(ops: Connection, kind: str, bucket: str, item: str) -> list[Step]:
    facts, found, steps = ops.target["jobs"][kind]["images"], list_images(ops, kind, item), []
    total = 0
    for number, image in counted(enumerate(found.itertuples(), 1), f"images of {item}", len(found)):
        path = _smaller(ops, bucket, image.key, facts["resize_pixels"])
        size = path.stat().st_size if path else image.bytes
        total += (size + 2) // 3 * 4
        if path:
            steps.append(_replace(ops, bucket, image, path, size, f"image {number} of {item}"))
    if not steps:
        raise Refused(
            f"{item}: none of its {len(found)} images is larger than {facts['resize_pixels']} pixels, and still they are too "
            "many. Nothing was changed. Take images off the item."
        )
    if total > facts["max_payload_mb"] * _MEGABYTE:
        raise Refused(
            f"{item}: {len(found)} images are still {total / _MEGABYTE:.1f} MB as base64 with {facts['resize_pixels']} pixels; "
            f"{facts['max_payload_mb']:g} MB fit. Nothing was changed. Take images off the item, or lower resize_pixels."
        )
    return steps


def _replace(ops: Connection, bucket: str, image: Any, path: Path, size: int, name: str) -> Step:
    place = {"Bucket": bucket, "Key": image.key}
    kept = ops.call("s3", "head_object", **place)
    told = {
        name: kept[name] for name in ("ContentType", "CacheControl", "Metadata") if kept.get(name)
    }
    return Step(
        f"Replace {image.key} by a smaller one",
        Aws("s3", "put_object", **place, Body=file(path), **told),
        before=image.bytes,
        after=size,
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

    content = ops.call("s3", "get_object", Bucket=bucket, Key=key)["Body"].read()
    try:
        with Image.open(BytesIO(content)) as opened:
            if max(opened.size) <= pixels:
                return None
            kind, profile = opened.format, opened.info.get("icc_profile")
            upright = ImageOps.exif_transpose(opened)
    except (UnidentifiedImageError, OSError) as exc:
        raise OpsError(
            f"s3://{bucket}/{key} is no image that can be read: {exc}. Look at it, or take it off the item."
        ) from exc
    upright.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
    path = _drafts(ops) / PurePosixPath(key).parent.name / PurePosixPath(key).name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    upright.save(path, kind, quality=_QUALITY, icc_profile=profile)
    return path


def _drafts(ops: Connection) -> Path:
    """Where the smaller images wait for the plan to be applied; of this user, on this machine."""
    return Path(tempfile.gettempdir()) / f"opslib-{getpass.getuser()}" / ops.target.name / "images"
