"""The admin's endpoints: objects of the bucket that no row names, counted and removed.

As in the real app, a key of the bucket is compared with the table's after its prefix is taken off, and nothing stops a
clean-up that would take everything.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from typing import Any

from opslib.lab.estates.bluemoxon import buckets, databases, names
from opslib.lab.places import Place
from opslib.lab.resources import secrets
from opslib.lab.traffic.requests import Answer, Problem, Request

_SAMPLE = 5


def scan(kind: str, request: Request) -> Answer:
    """Counts, bytes, and the orphans by the folder that they are in; changes nothing."""
    require_token(request)
    objects, orphans = find_orphans(request.place, kind)
    groups: dict[str, list[Any]] = {}
    for held in orphans:
        folder = held.name.removeprefix(names.prefix(request.place, kind)).split("/")[0]
        groups.setdefault(folder, []).append(held)
    return 200, {
        "prefix": names.prefix(request.place, kind),
        "total_objects": len(objects),
        "total_bytes": sum(held.size for held in objects),
        "orphans": len(orphans),
        "orphan_bytes": sum(held.size for held in orphans),
        "groups": [
            {
                "book_id" if kind == "images" else "item": folder,
                "count": len(held),
                "bytes": sum(each.size for each in held),
                "sample": [each.name for each in held[:_SAMPLE]],
            }
            for folder, held in sorted(groups.items())
        ],
    }


def clean_up(kind: str, request: Request) -> Answer:
    """Deletes every orphan; {"confirm": true} is needed. In a versioned bucket each gets a delete marker."""
    require_token(request)
    if request.json().get("confirm") is not True:
        raise Problem(400, 'This deletes objects. Confirm with {"confirm": true}')
    _, orphans = find_orphans(request.place, kind)
    s3, keys = request.place.client("s3"), [held.name for held in orphans]
    for at in range(0, len(keys), 1000):
        chunk = [{"Key": key} for key in keys[at : at + 1000]]
        s3.delete_objects(Bucket=names.bucket(request.place), Delete={"Objects": chunk, "Quiet": True})
    return 200, {"deleted": len(keys), "bytes_freed": sum(held.size for held in orphans)}


def find_orphans(place: Place, kind: str) -> tuple[list[Any], list[Any]]:
    """(all objects under the prefix, those that no row names), by key. Raises Problem when the bucket is missing."""
    facts = place.facts["orphans"][kind]
    with databases.connect(place) as database:
        rows = database.execute(f"SELECT {facts['column']} FROM {facts['table']}".encode()).fetchall()
    known = {row[0] for row in rows}
    try:
        held = [value for _, value in sorted(buckets.objects(place, facts["prefix"]).items())]
    except KeyError as exc:
        raise Problem(503, f"NoSuchBucket: {names.bucket(place)}") from exc
    return held, [each for each in held if each.name.removeprefix(facts["prefix"]) not in known]


def require_token(request: Request) -> None:
    """Raises Problem(401) unless the request has the token of the target's secret."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    wanted = secrets.read(request.place, request.place.facts["api"]["token_secret"])
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip(), wanted):
        raise Problem(401, "Not authenticated")


def routes() -> dict[tuple[str, str], Callable[[Request], Answer]]:
    return {
        ("POST", r"/admin/maintenance/orphan-scan"): partial(scan, "images"),
        ("POST", r"/admin/maintenance/orphan-cleanup"): partial(clean_up, "images"),
        ("POST", r"/admin/maintenance/listings-scan"): partial(scan, "listings"),
        ("POST", r"/admin/maintenance/listings-cleanup"): partial(clean_up, "listings"),
    }
