"""An image before it is deployed: is it there, was it scanned, and what was found in it."""

import re

from opslib.core import (
    Connection,
    Finding,
    Findings,
    Json,
    NotFound,
    OpsError,
    Question,
    UsageError,
    answer,
    check,
    number,
)
from opslib.services.reading import Service, find_image, in_ecr

MISSING, VULNERABLE = "image-missing", "image-vulnerable"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"\w[\w.-]{0,127}")
_SCANNED = ("COMPLETE", "ACTIVE")  # ACTIVE: Inspector goes on looking
# https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanStatus.html


def named(service: Service, image: str) -> str:
    """The name of an image of the repository that the service's present one is from.

    `image`: a tag or a digest. Raises UsageError.
    """
    repository = re.split(r"@|:(?=[^/]+$)", present(service))[0]
    if _DIGEST.fullmatch(image):
        return f"{repository}@{image}"
    if not _TAG.fullmatch(image):
        raise UsageError(f"image={image!r} is neither a tag nor a digest (sha256:…).")
    return f"{repository}:{image}"


def present(service: Service) -> str:
    """The image of the task definition that it has."""
    return str(service.container()["image"])


def told(described: Json) -> str:
    """Digest, size, when it was pushed, its tags: of what ECR describes."""
    tags = ", ".join(described.get("imageTags", ())) or "no tag"
    size = described.get("imageSizeInBytes")
    held = f", {number(size, 'bytes')}" if size else ""
    pushed = f"{described['imagePushedAt']:%Y-%m-%d %H:%M} UTC"
    return f"{described['imageDigest'][:19]}…, tagged {tags}{held}, pushed {pushed}"


@check("Can this image be deployed?")
def check_image(ops: Connection, service: str, image: str) -> Findings:
    """Is it in ECR, is it another than what the service has, what did its scan find?

    Raises UsageError: no tag and no digest.
    """
    known = Service(ops, service)
    wanted = named(known, image)
    asked = Question(f"image {image} for {service}", "in ECR", "ecr DescribeImages")
    try:
        found = find_image(ops, wanted)
    except NotFound as exc:
        seen = f"{exc} Was it built and pushed?"
        return Findings(asked.critical(seen, cause=MISSING))
    if found is None:
        seen = f"{wanted} is not in ECR: whether it is there cannot be asked here"
        return Findings(asked.unknown(seen))
    other, scan = f"{image} is new", f"scan of {image}"
    return Findings(
        [
            asked.ok(told(found), cause=MISSING),
            answer(other, _other, known, found, other),
            answer(scan, _scan, ops, wanted, scan),
        ]
    )


def _other(service: Service, found: Json, words: str) -> Finding:
    asked = Question(words, "another than what runs, pushed after it", "ecr DescribeImages")
    now = present(service)
    try:
        runs = find_image(service.ops, now)
    except NotFound as exc:
        return asked.unknown(f"of what runs, {now}, ECR knows nothing: {exc}")
    if runs is None:
        return asked.ok(f"what runs, {now}, is not from ECR")
    if runs["imageDigest"] == found["imageDigest"]:
        return asked.warn(f"it is what runs: {now}")
    newer = found["imagePushedAt"] >= runs["imagePushedAt"]
    seen = f"what runs: {told(runs)}"
    return asked.judged(newer, seen, otherwise="warn", next="services/rollback")


def _scan(ops: Connection, image: str, words: str) -> Finding:
    rule, source = "complete, nothing critical or high", "ecr DescribeImageScanFindings"
    asked = Question(words, rule, source)
    try:
        said = ops.call("ecr", "describe_image_scan_findings", maxResults=1000, **in_ecr(image))
    except OpsError as exc:
        if "ScanNotFoundException" not in str(exc):
            raise
        return asked.unknown("it was never scanned")
    status, found = said.get("imageScanStatus", {}), said.get("imageScanFindings", {})
    if status.get("status") not in _SCANNED:
        seen = f"{status.get('status')}: {status.get('description', 'no reason is told')}"
        return asked.unknown(seen)
    counts = found.get("findingSeverityCounts", {})
    every = [*found.get("findings", ()), *found.get("enhancedFindings", ())]
    names = [each.get("name") or each.get("title") for each in every]
    worst = [n for n, e in zip(names, every, strict=True) if e.get("severity") == "CRITICAL"]
    seen = ", ".join(f"{many} {kind.lower()}" for kind, many in counts.items()) or "nothing"
    seen += f" found: {', '.join(map(str, worst[:3]))}" if worst else " found"
    if at := found.get("imageScanCompletedAt"):
        seen += f", scanned {at:%Y-%m-%d %H:%M} UTC"
    if counts.get("CRITICAL"):
        return asked.critical(seen, cause=VULNERABLE)
    passed = not counts.get("HIGH")
    return asked.judged(passed, seen, otherwise="warn", cause=VULNERABLE if passed else "")
