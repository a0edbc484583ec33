"""Drills in what is stored: orphans in the bucket, keys that are compared wrongly, connections that stay open."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import psycopg

from opslib.lab.estates.bluemoxon import books, buckets, databases, names, pictures
from opslib.lab.places import Drill, Place
from opslib.lab.resources import secrets
from opslib.lab.traffic import measures

_ORPHANED_BOOKS = (431, 447, 463)  # deleted long ago
_LOST_LISTINGS = 9
_CONNECTIONS_SHARE, _RAMP_MINUTES = 0.86, 20


def add_orphans(place: Place) -> None:
    """23 images without a row: of books that are gone, and left over from books that are there."""
    keys = [
        f"{book}/{order:02d}-{names.number(place, f'{book}/{order}'):08x}.jpeg"
        for book in _ORPHANED_BOOKS
        for order in range(6)
    ]
    keys += [f"{books.FIRST_ID + at}/09-{names.number(place, str(at)):08x}.jpeg" for at in range(5)]
    _add(place, "images", keys)


def add_lost_listings(place: Place) -> None:
    rng = names.generator(place, "lost listings")
    _add(
        place,
        "listings",
        [f"{rng.randrange(110_000_000_000, 399_999_999_999)}/photo-1.jpeg" for _ in range(_LOST_LISTINGS)],
    )


def _add(place: Place, kind: str, keys: list[str]) -> None:
    for at, key in enumerate(keys):
        modified = place.now() - timedelta(days=20 + 3 * at, minutes=7 * at)
        buckets.put(place, names.prefix(place, kind) + key, pictures.small(key), modified)
    place.memory[f"orphaned {kind}"] = keys


def remove_orphans(place: Place) -> None:
    _remove(place, "images")


def remove_lost_listings(place: Place) -> None:
    _remove(place, "listings")


def _remove(place: Place, kind: str) -> None:
    for key in place.memory.pop(f"orphaned {kind}"):
        buckets.forget(place, names.prefix(place, kind) + key)


def change_keys(place: Place) -> None:
    """The table's keys get the bucket's prefix, which nobody who compares them expects."""
    with place.database(names.database(place)) as database:
        database.execute("UPDATE book_images SET s3_key = %s || s3_key", [names.prefix(place, "images")])


def change_keys_back(place: Place) -> None:
    prefix = names.prefix(place, "images")
    with place.database(names.database(place)) as database:
        database.execute(
            "UPDATE book_images SET s3_key = substr(s3_key, %s) WHERE starts_with(s3_key, %s)",
            [len(prefix) + 1, prefix],
        )


def open_connections(place: Place) -> None:
    """Really opens them: they are in pg_stat_activity, idle, and the metric has climbed to them."""
    limit, since = int(place.facts["database"]["max_connections"]), place.now() - timedelta(minutes=_RAMP_MINUTES + 5)
    wanted = round(limit * _CONNECTIONS_SHARE)
    login = json.loads(secrets.read(place, place.facts["database"]["secret"]))
    url = place.world.postgres.url(names.database(place), login["username"], login["password"])
    pool = databases.POOL[place.target.environment]
    opened = [psycopg.connect(url, application_name="bluemoxon-api", autocommit=True) for _ in range(wanted - pool)]
    climbing = measures.climbing(since, timedelta(minutes=_RAMP_MINUTES), pool, wanted)
    cluster = str(place.facts["database"]["cluster"])
    overlays = [
        place.metrics.overlay("AWS/RDS", "DatabaseConnections", dimensions, since, None, climbing, "Count")
        for dimensions in ({"DBClusterIdentifier": cluster}, {"DBInstanceIdentifier": f"{cluster}-1"})
    ]
    place.memory["connections"] = opened, overlays


def close_connections(place: Place) -> None:
    held: tuple[list[psycopg.Connection[Any]], list[Any]] = place.memory.pop("connections")
    for connection in held[0]:
        connection.close()
    for overlay in held[1]:
        overlay.remove()


DRILLS = (
    Drill(
        "orphans", "The bucket grows though no book was added", "Images of deleted books are still in the bucket.",
        add_orphans, remove_orphans, found_by=("buckets/orphans", "bluemoxon/orphan-images"),
    ),
    Drill(
        "stale-listings", "The listings' folder only ever grows", "Photographs of listings that are no longer known.",
        add_lost_listings, remove_lost_listings, found_by=("buckets/orphans", "bluemoxon/orphan-listings"),
    ),
    Drill(
        "orphan-keys-miscompared", "The orphan scan reports every single image as an orphan",
        "The table's keys have the bucket's prefix, so that nothing matches: a clean-up would delete everything.",
        change_keys, change_keys_back, found_by=("buckets/orphans", "bluemoxon/orphan-images"),
    ),
    Drill(
        "connections-near-limit", "The alarm for database connections rings", "The API leaves its connections open.",
        open_connections, close_connections, found_by=("databases/health", "alarms/review", "reports/daily"),
    ),
)  # fmt: skip
