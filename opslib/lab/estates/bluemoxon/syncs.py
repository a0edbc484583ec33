"""The db-sync function: production's data copied over staging's. The direction is fixed; it exists in staging only."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from opslib.lab.aws.handlers import Invocation
from opslib.lab.estates.bluemoxon import buckets, databases, lines, names, users
from opslib.lab.estates.bluemoxon.migrations import MIGRATIONS
from opslib.lab.places import Place

_TABLES = ("books", "book_images", "listings", "analysis_jobs", "eval_runbook_jobs")  # parents first
_KNOWN = {"cognito_only", "images_only", "db_only", "dry_run"}


def db_sync(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """{} copies tables and images and synchronises the users; `cognito_only`, `images_only`, `db_only` one of these;
    `dry_run` counts. Raises ValueError for anything else that is asked."""
    given = event or {}
    if unknown := set(given) - _KNOWN:
        raise ValueError(f"Unknown options: {', '.join(sorted(unknown))}")
    only = [name for name in ("cognito_only", "images_only", "db_only") if given.get(name)]
    if len(only) > 1:
        raise ValueError(f"Only one of {', '.join(only)} can be asked for")
    began, mode, dry = time.monotonic(), only[0] if only else "full", bool(given.get("dry_run"))
    source = _source(place)
    result: dict[str, Any] = {
        "status": "success", "mode": mode, "dry_run": dry, "source": source.name, "destination": place.name,
    }  # fmt: skip
    with databases.connect(place, "bluemoxon-db-sync") as database, database.transaction():
        if mode in ("full", "db_only"):
            result["database"] = {"tables": _copy_tables(source, database, dry)}
        if mode in ("full", "images_only"):
            result["images"] = _copy_images(source, place, dry)
        if mode in ("full", "cognito_only"):
            result["cognito"] = users.synchronise(place, database, dry)
    result["duration_seconds"] = round(time.monotonic() - began, 2)
    invocation.log(lines.entry("INFO", place.now(), message="sync done", mode=mode, dry_run=dry))
    return result


def _source(place: Place) -> Place:
    """Production. Raises RuntimeError when somebody deployed this function there."""
    if place.target.production:
        raise RuntimeError("db-sync never writes to production")
    return place.world.places[str(place.facts["sync"]["source"])]


def _copy_tables(source: Place, database: psycopg.Connection[Any], dry: bool) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    with databases.connect(source, "bluemoxon-db-sync") as theirs:
        if MIGRATIONS.current(theirs) != MIGRATIONS.current(database):
            raise RuntimeError(
                f"Schemas differ: {source.name} is at {MIGRATIONS.current(theirs)}, this database at {MIGRATIONS.current(database)}"
            )
        for table in _TABLES:
            counts[table] = {"rows": _count(theirs, table), "replaced": _count(database, table)}
        if not dry:
            database.execute(f"TRUNCATE {', '.join(_TABLES)}".encode())
            for table in _TABLES:
                _copy(theirs, database, table)
    return counts


def _count(database: psycopg.Connection[Any], table: str) -> int:
    row = database.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    return int(row[0]) if row else 0


def _copy(theirs: psycopg.Connection[Any], ours: psycopg.Connection[Any], table: str) -> None:
    read, write = f"COPY {table} TO STDOUT".encode(), f"COPY {table} FROM STDIN".encode()
    with theirs.cursor().copy(read) as reader, ours.cursor().copy(write) as writer:
        for block in reader:
            writer.write(block)


def _copy_images(source: Place, place: Place, dry: bool) -> dict[str, int]:
    """Copies what is missing or differs; deletes nothing."""
    prefix = names.prefix(place, "images")
    theirs, ours = buckets.objects(source, prefix), buckets.objects(place, prefix)
    wanted = [held for key, held in sorted(theirs.items()) if key not in ours or ours[key].etag != held.etag]
    if not dry:
        for held in wanted:
            place.backend("s3").put_object(names.bucket(place), held.name, held.value, disable_notification=True)
    return {
        "copied": len(wanted),
        "bytes": sum(held.size for held in wanted),
        "unchanged": len(theirs) - len(wanted),
        "kept_only_here": len(ours.keys() - theirs.keys()),
    }
