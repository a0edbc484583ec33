"""Images that a job sends to a model.

How many, how large in one request, and making them smaller.
"""

import os
import stat
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlencode

from opslib.core import (
    FAILURES,
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
    dtypes,
    frame,
    objects,
    planner,
    quoted,
    removal,
    result,
    sign_of,
    sql,
)
from opslib.core.actions.actions import file
from opslib.core.waiting import counted
from opslib.jobs import jobs

SIZES = dtypes("""
    item              str
    images            int64
    megabytes         float64
    payload_megabytes float64
    largest_megabytes float64
    too_large         bool
    failed            utc
    error             str
""")
TOO_LARGE = "images-too-large"  # the cause that findings name
_MEGABYTE = 1_000_000  # bytes
_QUALITY = 85
_FAILURE = "images too large"  # as the error of such a job is understood


def list_images(ops: Connection, kind: str, item: str) -> dict[str, Json]:
    """The images that a job of this kind sends for an item: what S3 HeadObject says of each key.

    Which they are, rows of the database say. Raises NotFound when an object is missing.
    """
    job, bucket = ops.target["jobs"][kind], _bucket(ops, kind)
    facts = job["images"]
    found = sql.query(
        ops,
        f"SELECT {quoted(facts['column'])} AS key FROM {quoted(facts['table'])} "
        f"WHERE {quoted(job['item'])}::text = :item ORDER BY 1",
        {"key": "str"},
        item=item,
    )
    keys = facts.get("prefix", "") + found["key"]
    return ops.each(lambda key: ops.call("s3", "head_object", Bucket=bucket, Key=key), keys)


def _bucket(ops: Connection, kind: str) -> str:
    return str(ops.target["buckets"][ops.target["jobs"][kind]["images"]["bucket"]]["name"])


def payload(sizes: Iterable[int]) -> float:
    """MB that base64 makes of images of so many bytes."""
    return sum((size + 2) // 3 * 4 for size in sizes) / _MEGABYTE


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
    facts, images = ops.target["jobs"][kind]["images"], list_images(ops, kind, job.item)
    sizes = [image["ContentLength"] for image in images.values()]
    sent = payload(sizes)
    return {
        "item": job.item,
        "images": len(sizes),
        "megabytes": round(sum(sizes) / _MEGABYTE, 2),
        "payload_megabytes": round(sent, 2),
        "largest_megabytes": round(max(sizes, default=0) / _MEGABYTE, 2),
        "too_large": len(sizes) > facts["max_images"] or sent > facts["max_payload_mb"],
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
        asked = Question(f"images of {kind} jobs", rule, "database")
        days = f"of the last {minutes / 1440:g} days"
        seen = f"no item's latest {kind} job {days} failed for its size"
        return Findings(asked.ok(seen, cause=TOO_LARGE), found)
    judged = [_size_finding(row, rule, facts) for row in found.itertuples()]
    return Findings(judged, found.drop(columns="error"))


def _size_finding(row: Any, rule: str, facts: Any) -> Finding:
    asked = Question(f"images of {row.item}", rule, "database, s3 HeadObject")
    seen = f"{row.images} images, {row.payload_megabytes:.1f} MB as base64, "
    seen += f"the largest {row.largest_megabytes:.1f} MB"
    fails = row.error and row.failed == row.failed  # not NaT
    if row.payload_megabytes > facts["max_payload_mb"] or (row.too_large and fails):
        seen = f"{seen}. {row.error}".strip()
        return asked.critical(seen, cause=TOO_LARGE, next="jobs/oversized")
    if fails:
        return asked.warn(f"{seen}: they fit now. {row.error}", next="jobs/stale")
    return asked.ok(seen, cause=TOO_LARGE)


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
    facts, found = ops.target["jobs"][kind]["images"], list_images(ops, kind, item)
    pixels, steps = facts["resize_pixels"], []
    sizes = {key: head["ContentLength"] for key, head in found.items()}
    for number, key in counted(enumerate(found, 1), f"images of {item}", len(found)):
        if path := _smaller(ops, bucket, key, pixels):
            step = _replace(ops, bucket, key, found[key], path, f"image {number} of {item}")
            sizes[key] = step.after
            steps.append(step)
    if not steps:
        raise Refused(
            f"{item}: none of its {len(found)} images is larger than {pixels} pixels, and still "
            "they are too many. Nothing was changed. Take images off the item."
        )
    sent, most = payload(sizes.values()), facts["max_payload_mb"]
    if sent > most:
        raise Refused(
            f"{item}: {len(found)} images are still {sent:.1f} MB as base64 with {pixels} pixels; "
            f"{most:g} MB fit. Nothing was changed. Take images off the item, or lower "
            "resize_pixels."
        )
    return steps


def _replace(ops: Connection, bucket: str, key: str, head: Json, path: Path, name: str) -> Step:
    place = {"Bucket": bucket, "Key": key}
    kept = objects.properties(head, content=True)
    if tags := ops.call("s3", "get_object_tagging", **place)["TagSet"]:
        kept["Tagging"] = urlencode([(tag["Key"], tag["Value"]) for tag in tags])
    return Step(
        f"Replace {key} by a smaller one",
        Aws("s3", "put_object", **place, IfMatch=head["ETag"], Body=file(path), **kept),
        head["ContentLength"],
        path.stat().st_size,
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
    # Where they wait for the plan to be applied; of this user, on this machine.
    one = sha256(f"{bucket}/{key}".encode()).hexdigest()[:12]
    path = _drafts(ops.target.name) / f"{one}-{PurePosixPath(key).name[-80:]}"
    with open(path, "wb", opener=removal.no_links) as made:
        upright.save(made, kind, quality=_QUALITY, icc_profile=profile)
    return path


def _drafts(target: str) -> Path:
    """A folder of this user's that nobody else may enter.

    Its place is open to all: Raises Refused when somebody else's folder, or a link, is there.
    """
    folder = Path(tempfile.gettempdir()) / f"opslib-{getattr(os, 'getuid', int)()}"
    for part in ("", target.replace("/", "-"), "images"):
        folder /= part
        folder.mkdir(mode=0o700, exist_ok=True)
        if not removal.is_own(folder, stat.S_ISDIR):
            raise Refused(
                f"{folder} is a link or another user's, so no image is kept there. "
                "Nothing was changed; set TMPDIR to a folder of your own."
            )
        folder.chmod(0o700)
    return folder
