"""Objects of a bucket that no row names, as an app's own endpoints count and remove them.

As in real apps, a key of the bucket is compared with the table's after its prefix is taken off, and
nothing stops a clean-up that would take everything.
"""

from typing import Any

from psycopg import sql

from opslib.lab.places import Place
from opslib.lab.resources import buckets
from opslib.lab.resources.databases import rds
from opslib.lab.traffic.requests import Answer, Problem, Request

_SAMPLE = 5


def find(place: Place, kind: str, application: str = "") -> tuple[list[Any], list[Any]]:
    """(all objects under the prefix, those that no row names), by key. KeyError: no such bucket."""
    facts = place.facts["orphans"][kind]
    column, table = sql.Identifier(facts["column"]), sql.Identifier(*facts["table"].split("."))
    asked = sql.SQL("SELECT {} FROM {}").format(column, table)
    with rds.connect(place, application) as database:
        known = {row[0] for row in database.execute(asked).fetchall()}
    held = sorted(buckets.objects(place, bucket(place, kind), facts["prefix"]).items())
    found = [each for _, each in held]
    return found, [each for each in found if each.name.removeprefix(facts["prefix"]) not in known]


def bucket(place: Place, kind: str) -> str:
    return str(place.facts["buckets"][place.facts["orphans"][kind]["bucket"]]["name"])


def scan(kind: str, request: Request, group: str = "item") -> Answer:
    """Counts, bytes, and the orphans by the folder that they are in; changes nothing."""
    objects, orphans = _found(kind, request)
    prefix = request.place.facts["orphans"][kind]["prefix"]
    groups: dict[str, list[Any]] = {}
    for held in orphans:
        groups.setdefault(held.name.removeprefix(prefix).split("/")[0], []).append(held)
    return 200, {
        "prefix": prefix,
        "total_objects": len(objects),
        "total_bytes": _bytes(objects),
        "orphans": len(orphans),
        "orphan_bytes": _bytes(orphans),
        "groups": [
            {
                group: folder,
                "count": len(held),
                "bytes": _bytes(held),
                "sample": [each.name for each in held[:_SAMPLE]],
            }
            for folder, held in sorted(groups.items())
        ],
    }


def clean_up(kind: str, request: Request) -> Answer:
    """Deletes every orphan; {"confirm": true} is needed. Versions are kept, where there are any."""
    if request.json().get("confirm") is not True:
        raise Problem(400, 'This deletes objects. Confirm with {"confirm": true}')
    _, orphans = _found(kind, request)
    s3, name = request.place.client("s3"), bucket(request.place, kind)
    keys = [{"Key": held.name} for held in orphans]
    for at in range(0, len(keys), 1000):
        s3.delete_objects(Bucket=name, Delete={"Objects": keys[at : at + 1000], "Quiet": True})
    return 200, {"deleted": len(keys), "bytes_freed": _bytes(orphans)}


def _found(kind: str, request: Request) -> tuple[list[Any], list[Any]]:
    try:
        return find(request.place, kind)
    except KeyError as exc:
        raise Problem(503, f"NoSuchBucket: {bucket(request.place, kind)}") from exc


def _bytes(objects: list[Any]) -> int:
    return sum(held.size for held in objects)
