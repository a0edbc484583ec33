"""The collection's own API: its health, its books, the jobs about them, what the admin may clean up."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
from botocore.exceptions import ClientError

from opslib.lab.estates.bluemoxon import background, collection
from opslib.lab.estates.seeding import Application
from opslib.lab.places import Place
from opslib.lab.resources import functions, networks, queues
from opslib.lab.resources.databases import rds
from opslib.lab.resources.databases.statements import asked
from opslib.lab.traffic.requests import Answer, Hanging, Problem, Request, require_token
from opslib.lab.work import jobs, workers

# The app's calls out of the VPC: which endpoint each goes through.
_SERVICES = ("secretsmanager", "cognito-idp", "s3")
_SERVICE = "bluemoxon-api"
_KINDS = ("analysis", "eval-runbook")
_SAMPLE = 5


def live(request: Request) -> Answer:
    return 200, {"status": "ok", "service": _SERVICE}


def ready(request: Request) -> Answer:
    """Only the database: what each request needs."""
    reason = _checked(_database, request.place)["reason"]
    if reason:
        return 503, {"status": "not ready", "database": f"error: {reason}"}
    return 200, {"status": "ready", "database": "ok"}


def info(request: Request) -> Answer:
    built = functions.release(request.place, "api")
    return 200, {
        "service": _SERVICE,
        "environment": request.place.target.environment,
        "version": built["version"],
        "git_sha": built["git_sha"],
        "deployed_at": built["deployed"],
        "migration_head": built["schema"],
    }


def version(request: Request) -> Answer:
    built = functions.release(request.place, "api")
    return 200, {"version": built["version"], "migration_head": built["schema"]}


def deep(request: Request) -> Answer:
    """Every dependency. Staging answers nested, production flat, as two ages of the same code do."""
    place = request.place
    for service in _SERVICES:
        if networks.unreachable(place, service):
            endpoint = f"https://{service}.{place.region}.amazonaws.com/"
            raise Hanging(f"Connect timeout on endpoint URL: {endpoint}, retrying")
    asked_of = {"database": _database, "s3": _bucket, "cognito": _pool}
    checks = {name: _checked(check, place) for name, check in asked_of.items()}
    well = not any(check["reason"] for check in checks.values())
    status, told = (200, "healthy") if well else (503, "unhealthy")
    if place.target.production:
        flat = {name: f"error: {c['reason']}" if c["reason"] else "ok" for name, c in checks.items()}
        return status, {"status": told, **flat}
    for check in checks.values():
        if not check["reason"]:
            del check["reason"]
    checks["bedrock"] = {"status": "skipped", "reason": "a call costs money"}
    return status, {"status": told, "checks": checks}


def migrate(request: Request) -> Answer:
    """Applies what the live code brings and the database has not had."""
    head = functions.release(request.place, "api")["schema"]
    with rds.connect(request.place) as database:
        return 200, request.place.memory["migrations"].run(database, head)


def _checked(check: Callable[[Place], Any], place: Place) -> dict[str, Any]:
    """`reason` is empty when all is well."""
    began, reason = time.monotonic(), ""
    try:
        check(place)
    except psycopg.Error as exc:
        reason = str(exc).strip().splitlines()[0]
    except ClientError as exc:
        reason = f"{exc.response['Error']['Code']}: {exc.response['Error']['Message']}"
    taken_ms = round((time.monotonic() - began) * 1000, 1)
    return {"status": "error" if reason else "ok", "latency_ms": taken_ms, "reason": reason}


def _database(place: Place) -> None:
    asked(place, "reachable")


def _bucket(place: Place) -> None:
    place.client("s3").list_objects_v2(Bucket=collection.bucket(place), MaxKeys=1)


def _pool(place: Place) -> None:
    place.client("cognito-idp").describe_user_pool(UserPoolId=place.memory["pool"])


def books(request: Request) -> Answer:
    """`limit` (50) and `offset` (0)."""
    given = [_number(request, "limit", 50), _number(request, "offset", 0)]
    total = asked(request.place, "stats")[0]["books"]
    return 200, {"items": asked(request.place, "books", given), "total": total}


def _number(request: Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdigit():
        raise Problem(422, f"{name} must be a number, not {text!r}")
    return int(text)


def book(request: Request) -> Answer:
    """A book, with what its latest jobs came to."""
    row = _book(request)
    for kind in _KINDS:
        latest = _latest(request, kind)
        row[request.place.facts["jobs"][kind]["field"]] = latest and latest["status"]
        if latest and latest["status"] == "failed":
            row["analysis_issues"].append(f"{kind}: {latest['error_message']}")
    return 200, row


def _book(request: Request) -> dict[str, Any]:
    rows = asked(request.place, "book", request.ids)
    if not rows:
        raise Problem(404, f"No book {request.ids[0]}")
    return rows[0]


def _latest(request: Request, kind: str) -> dict[str, Any] | None:
    """The newest job of a book."""
    table = jobs.table(request.place, kind)
    return next(iter(asked(request.place, "latest_job", request.ids, table=table)), None)


def images(request: Request) -> Answer:
    """A book's images: key as the table has it, size in the bucket (0: the object is missing)."""
    _book(request)
    rows = asked(request.place, "images", request.ids)
    return 200, [{**row, "bytes": collection.size(request.place, row["s3_key"])} for row in rows]


def status(kind: str, request: Request) -> Answer:
    """The latest job of a book. Asking marks a stale one as failed."""
    latest = _asked_for(kind, request)
    if latest is None:
        raise Problem(404, f"No {kind} job for book {request.ids[0]}")
    return 200, {"job_id": latest.pop("id"), **latest}


def _asked_for(kind: str, request: Request) -> dict[str, Any] | None:
    place, number = request.place, request.ids[0]
    _book(request)
    limit = int(place.facts["jobs"][kind]["stale_minutes"])
    error, since = f"Stale: running for more than {limit} minutes", timedelta(minutes=limit)
    given = [place.now(), error, number, place.now() - since]
    asked(place, "fail_stale_jobs", given, table=jobs.table(place, kind))
    return _latest(request, kind)


def generate(kind: str, request: Request) -> Answer:
    """Queues a job. A stale one is marked as failed first; while another is open it is refused (409)."""
    place, number = request.place, request.ids[0]
    models, model = place.memory["data"].jobs.models, request.json().get("model", "sonnet")
    if model not in models:
        raise Problem(422, f"model must be one of {', '.join(models)}")
    latest, hour = _asked_for(kind, request), place.now() - timedelta(hours=1)
    if latest and latest["status"] in ("queued", "running") and latest["created_at"] > hour:
        raise Problem(409, f"{kind} job {latest['id']} of book {number} is {latest['status']}")
    id = uuid.uuid4()
    asked(place, "queue_job", [id, number, model, place.now()], table=jobs.table(place, kind))
    queues.send(place, kind, {"job_id": str(id), "book_id": number, "model": model})
    return 202, {"job_id": id, "book_id": number, "status": "queued", "model": model}


def listings(request: Request) -> Answer:
    rows = asked(request.place, "listings")
    return 200, {"items": rows, "total": len(rows)}


def stats(request: Request) -> Answer:
    return 200, asked(request.place, "stats")[0]


def scan(kind: str, request: Request) -> Answer:
    """Counts, bytes, and the orphans by the folder that they are in; changes nothing."""
    objects, orphans = _orphans(kind, request)
    prefix = collection.prefix(request.place, kind)
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
                "book_id" if kind == "images" else "item": folder,
                "count": len(held),
                "bytes": _bytes(held),
                "sample": [each.name for each in held[:_SAMPLE]],
            }
            for folder, held in sorted(groups.items())
        ],
    }


def clean_up(kind: str, request: Request) -> Answer:
    """Deletes every orphan; {"confirm": true} is needed. In a versioned bucket each gets a delete marker.

    As in the real app, nothing stops a clean-up that would take everything.
    """
    require_token(request)
    if request.json().get("confirm") is not True:
        raise Problem(400, 'This deletes objects. Confirm with {"confirm": true}')
    _, orphans = _orphans(kind, request)
    s3, keys = request.place.client("s3"), [{"Key": held.name} for held in orphans]
    for at in range(0, len(keys), 1000):
        deleted = {"Objects": keys[at : at + 1000], "Quiet": True}
        s3.delete_objects(Bucket=collection.bucket(request.place), Delete=deleted)
    return 200, {"deleted": len(keys), "bytes_freed": _bytes(orphans)}


def _orphans(kind: str, request: Request) -> tuple[list[Any], list[Any]]:
    require_token(request)
    try:
        return background.find_orphans(request.place, kind)
    except KeyError as exc:
        raise Problem(503, f"NoSuchBucket: {collection.bucket(request.place)}") from exc


def _bytes(objects: list[Any]) -> int:
    return sum(held.size for held in objects)


APPLICATION = Application(
    routes={
        ("GET", r"/health/live"): live,
        ("GET", r"/health/ready"): ready,
        ("GET", r"/health/info"): info,
        ("GET", r"/health/version"): version,
        ("GET", r"/health/deep"): deep,
        ("POST", r"/health/migrate"): migrate,
        ("GET", r"/books"): books,
        ("GET", r"/books/(\d+)"): book,
        ("GET", r"/books/(\d+)/images"): images,
        ("GET", r"/listings"): listings,
        ("GET", r"/stats"): stats,
        **{("GET", rf"/books/(\d+)/{kind}/status"): partial(status, kind) for kind in _KINDS},
        **{("POST", rf"/books/(\d+)/{kind}/generate-async"): partial(generate, kind) for kind in _KINDS},
        ("POST", r"/admin/maintenance/orphan-scan"): partial(scan, "images"),
        ("POST", r"/admin/maintenance/orphan-cleanup"): partial(clean_up, "images"),
        ("POST", r"/admin/maintenance/listings-scan"): partial(scan, "listings"),
        ("POST", r"/admin/maintenance/listings-cleanup"): partial(clean_up, "listings"),
    },
    functions={
        "analysis-worker": workers.function("analysis", background.work),
        "eval-runbook-worker": workers.function("eval-runbook", background.work),
        "scraper": background.scrape,
        "cleanup": background.clean_up,
        "db-sync": background.sync,
    },
    fill=collection.fill,
    seed=collection.photograph,
    work=background.work,
)
