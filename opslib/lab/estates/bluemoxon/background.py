"""What the collection's functions do: the jobs, the scraper, the clean-up, the copy to staging."""

import time
from datetime import timedelta
from typing import Any

import psycopg

from opslib.lab.aws.handlers import Invocation
from opslib.lab.estates.bluemoxon import collection
from opslib.lab.estates.seeding import Database
from opslib.lab.forms.values import Duration
from opslib.lab.places import Place
from opslib.lab.resources import buckets, functions, names, pictures, users
from opslib.lab.resources.databases import rds, statements
from opslib.lab.traffic import lines
from opslib.lab.verbs import jobs as verbs
from opslib.lab.verbs.verbs import Stage, Verb, verb
from opslib.lab.work import jobs, orphans
from opslib.lab.work.workers import Failed

_THROTTLED = "ThrottlingException: Too many requests, please wait before trying again."
_TOO_LONG = "ValidationException: Input is too long for requested model."
_WAITS = (5.4, 11.2)  # seconds between three attempts: exponential backoff with jitter
_STALE_DAYS = 60
_MODES = ("cognito_only", "images_only", "db_only")


def work(place: Place, kind: str, book: int) -> float:
    """Sends a book's images to the model: how many seconds that takes. Raises Failed."""
    function = functions.live_function(place, jobs.function(place, kind))
    if kind == "analysis" and "BEDROCK_MODEL" not in function.environment_vars:
        raise Failed("KeyError: 'BEDROCK_MODEL'")
    if place.faults.get("bedrock") == "throttled":
        raise _throttled()
    images, payload = _payload(place, book) if kind == "analysis" else (0, 0)
    if payload > place.facts["jobs"]["analysis"]["images"]["max_payload_mb"] * 1_000_000:
        raise Failed(_too_long(images, payload))
    return 36.0 + payload / 1e6 * 1.6


def _throttled() -> Failed:
    """Two attempts that Bedrock refused, a wait after each, and a third: the worker gives up."""
    entries, after = [], 0.0
    for attempt, wait in enumerate((*_WAITS, None), 1):
        said = "retrying" if wait else "giving up after 3 attempts"
        told = {"message": f"Bedrock throttled, {said}", "attempt": attempt, "max_attempts": 3}
        waits = {"wait_s": wait} if wait else {}
        entries.append((after, "WARN" if wait else "ERROR", told | waits | {"error": _THROTTLED}))
        after += wait or 0
    return Failed(_THROTTLED, 3, entries)


def _payload(place: Place, book: int) -> tuple[int, int]:
    """(how many images a book has, their bytes as base64): what a request to the model holds."""
    sizes = [
        collection.size(place, row["s3_key"]) for row in statements.asked(place, "images", [book])
    ]
    return len(sizes), sum((size + 2) // 3 * 4 for size in sizes)


def _too_long(images: int, payload: int) -> str:
    return f"{_TOO_LONG} ({images} images, {payload / 1e6:.1f} MB)"


@verb("photographs", "s3", "database", "logs")
class Photographs(Verb):
    """Photographs straight from the camera for a book with few images,
    and jobs that failed on them.
    """

    count: int
    since: Duration
    failed: list[Duration]

    def apply(self, stage: Stage) -> None:
        place, taken = stage.place, stage.ago(self.since)
        # Not one that was analysed since: that would not have gone well.
        book = statements.asked(place, "few_images", [taken])[0]["book_id"]
        numbers = [names.number(place, f"photograph {at}") for at in range(self.count)]
        keys = [f"{book}/{20 + at}-{number:08x}.jpeg" for at, number in enumerate(numbers)]
        rows = [(50_000 + at, book, key, 20 + at, taken) for at, key in enumerate(keys)]
        with place.database(names.database(place)) as database:
            statements.copy(database, "book_images", rows)
        for key in keys:
            collection.put(place, "images", key, pictures.drawn(key, "large"), taken)
        place.memory["photographs"] = keys
        self._fail(stage, book)

    def _fail(self, stage: Stage, book: int) -> None:
        error, rows = _too_long(*_payload(stage.place, book)), []
        failed = {"level": "ERROR", "after_s": 3, "message": "job failed", "error": error}
        for at, ago in enumerate(self.failed):
            begun = stage.ago(ago)
            job = jobs.drawn(stage.place, stage.drill, at, begun)
            ended = begun + timedelta(seconds=3.2)
            rows.append(job._replace(item=book, error_message=error, finished_at=ended))
            verbs.tell(stage.place, "analysis", rows[-1], [failed])
        verbs.insert(stage, "analysis", rows)

    def undo(self, stage: Stage) -> None:
        place, keys = stage.place, stage.place.memory.pop("photographs", [])
        prefix = collection.prefix(place, "images")
        for key in keys:
            buckets.forget(place, collection.bucket(place), prefix + key)
        with place.database(names.database(place)) as database:
            statements.of(place, database, "forget_images", [keys])
        verbs.remove(stage)


def scrape(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """A search of eBay: what the listings' table has of it."""
    if place.faults.get("ebay") == "blocked":
        told = {"source": "ebay", "http_status": 429, "wait_s": 60}
        invocation.log(lines.entry("WARN", place.now(), message="Rate limited by eBay", **told))
        raise RuntimeError("Rate limited by eBay (HTTP 429)")
    query = f"%{event.get('query', '')}%"
    found = statements.asked(place, "listings_like", [query], "bluemoxon-scraper")
    told = {"source": "ebay", "results": len(found), "new": 0}
    invocation.log(lines.entry("INFO", place.now(), message="search done", **told))
    return {"results": found}


def clean_up(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """Counts listing images older than two months that no row names.

    Removes them unless `dry_run`.
    """
    before = (place.now() - timedelta(days=_STALE_DAYS)).replace(tzinfo=None)
    _, lost = orphans.find(place, "listings", "bluemoxon-cleanup")
    old = [each.name for each in lost if each.last_modified < before]
    removed = [] if event.get("dry_run") else old
    for key in removed:
        place.client("s3").delete_object(Bucket=collection.bucket(place), Key=key)
    told = {"message": "cleanup done", "removed": len(removed)}
    invocation.log(lines.entry("INFO", place.now(), **told))
    return {"expired": len(old), "removed": len(removed)}


def sync(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """{} copies tables and images and synchronises the users; `db_only`, … one of these.

    `dry_run` counts. Raises ValueError for anything else that is asked.
    """
    given = event or {}
    if unknown := set(given) - {*_MODES, "dry_run"}:
        raise ValueError(f"Unknown options: {', '.join(sorted(unknown))}")
    only = [name for name in _MODES if given.get(name)]
    if len(only) > 1:
        raise ValueError(f"Only one of {', '.join(only)} can be asked for")
    began, mode, dry = time.monotonic(), only[0] if only else "full", bool(given.get("dry_run"))
    if place.target.production:
        raise RuntimeError("db-sync never writes to production")
    source = place.world.places[str(place.facts["sync"]["source"])]
    result: dict[str, Any] = {"status": "success", "mode": mode, "dry_run": dry}
    result |= {"source": source.name, "destination": place.name}
    with rds.connect(place, "bluemoxon-db-sync") as database, database.transaction():
        if mode in ("full", "db_only"):
            result["database"] = {"tables": _copy_tables(source, place, database, dry)}
        if mode in ("full", "images_only"):
            result["images"] = _copy_images(source, place, dry)
        if mode in ("full", "cognito_only"):
            result["cognito"] = _keep_users(place, database, dry)
    result["duration_seconds"] = round(time.monotonic() - began, 2)
    invocation.log(lines.entry("INFO", place.now(), message="sync done", mode=mode, dry_run=dry))
    return result


def _copy_tables(
    source: Place, place: Place, ours: Database, dry: bool
) -> dict[str, dict[str, int]]:
    tables, current = place.facts["sync"]["tables"], place.memory["migrations"].current
    with rds.connect(source, "bluemoxon-db-sync") as theirs:
        there, here = current(theirs), current(ours)
        if there != here:
            raise RuntimeError(
                f"Schemas differ: {source.name} is at {there}, this database at {here}"
            )
        counts = {
            each: {"rows": _count(theirs, each), "replaced": _count(ours, each)} for each in tables
        }
        if not dry:
            ours.execute(f"TRUNCATE {', '.join(tables)}".encode())
            for table in tables:  # parents first
                read, write = f"COPY {table} TO STDOUT", f"COPY {table} FROM STDIN"
                with theirs.cursor().copy(read) as reader, ours.cursor().copy(write) as writer:
                    for block in reader:
                        writer.write(block)
    return counts


def _count(database: psycopg.Connection[Any], table: str) -> int:
    row = database.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    return int(row[0]) if row else 0


def _copy_images(source: Place, place: Place, dry: bool) -> dict[str, int]:
    """Copies what is missing or differs; deletes nothing."""
    theirs, ours = collection.objects(source, "images"), collection.objects(place, "images")
    wanted = [
        held
        for key, held in sorted(theirs.items())
        if key not in ours or ours[key].etag != held.etag
    ]
    s3, name = place.backend("s3"), collection.bucket(place)
    for held in () if dry else wanted:
        s3.put_object(name, held.name, held.value, disable_notification=True)
    return {
        "copied": len(wanted),
        "bytes": sum(held.size for held in wanted),
        "unchanged": len(theirs) - len(wanted),
        "kept_only_here": len(ours.keys() - theirs.keys()),
    }


def _keep_users(place: Place, database: Database, dry: bool) -> dict[str, int]:
    """Upserts every confirmed user of the pool into the table, by e-mail: what it did, by count."""
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    pool = place.backend("cognito-idp").user_pools[place.memory["pool"]]
    for user in sorted(pool.users.values(), key=lambda user: users.attribute(user, "email")):
        if user.status not in ("CONFIRMED", "FORCE_CHANGE_PASSWORD"):
            continue
        groups = [group.group_name for group in user.groups]
        role = next((name for name in ("admin", "editor") if name in groups), "viewer")
        email, sub = users.attribute(user, "email"), users.sub(user)
        known = statements.of(place, database, "user", [email])
        done = "created" if not known else "updated"
        if known == [{"cognito_sub": sub, "role": role}]:
            done = "unchanged"
        counts[done] += 1
        if done != "unchanged" and not dry:
            statements.of(place, database, "keep_user", [sub, email, role, place.now()])
    return counts
