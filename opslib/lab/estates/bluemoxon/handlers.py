"""What the Lambda functions do when they are invoked."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

from opslib.lab.aws.handlers import Invocation
from opslib.lab.estates.bluemoxon import api, buckets, databases, lines, names, syncs, workers
from opslib.lab.places import Place

_STALE_DAYS = 60


def analysis_worker(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    return _worker("analysis", event, place, invocation)


def eval_runbook_worker(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    return _worker("eval-runbook", event, place, invocation)


def _worker(kind: str, event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """An SQS batch: says which messages failed, as a worker with ReportBatchItemFailures does. Writes no row."""
    failures = []
    with databases.connect(place, "bluemoxon-worker") as database:
        for record in event.get("Records", []):
            body = json.loads(record["body"])
            told = {"job_id": body["job_id"], "book_id": body["book_id"], "model": body["model"]}
            work = workers.Work(kind, "", uuid.UUID(body["job_id"]), int(body["book_id"]), body["model"], place.now())
            try:
                workers.run(place, database, work)
                invocation.log(lines.entry("INFO", place.now(), message="job completed", **told))
            except workers.Failed as exc:
                invocation.log(lines.job_failed(place.now(), told, str(exc)))
                failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def scraper(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """A search of eBay: what the listings' table has of it."""
    if place.faults.get("ebay") == "blocked":
        invocation.log(lines.rate_limited(place.now(), 60))
        raise RuntimeError("Rate limited by eBay (HTTP 429)")
    query = f"%{event.get('query', '')}%"
    with databases.connect(place, "bluemoxon-scraper") as database:
        found = database.execute(
            "SELECT item, title FROM listings WHERE title ILIKE %s ORDER BY id", [query]
        ).fetchall()
    invocation.log(lines.entry("INFO", place.now(), message="search done", source="ebay", results=len(found), new=0))
    return {"results": [{"item": item, "title": title} for item, title in found]}


def cleanup(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """Counts listing images that are older than two months and that no row names; removes them unless `dry_run`."""
    before = (place.now() - timedelta(days=_STALE_DAYS)).replace(tzinfo=None)
    prefix = names.prefix(place, "listings")
    with databases.connect(place, "bluemoxon-cleanup") as database:
        known = {prefix + row[0] for row in database.execute("SELECT image_key FROM listings").fetchall()}
    held = buckets.objects(place, prefix)
    old = [key for key, value in held.items() if value.last_modified < before and key not in known]
    if not event.get("dry_run"):
        for key in old:
            place.client("s3").delete_object(Bucket=names.bucket(place), Key=key)
    invocation.log(
        lines.entry("INFO", place.now(), message="cleanup done", removed=0 if event.get("dry_run") else len(old))
    )
    return {"expired": len(old), "removed": 0 if event.get("dry_run") else len(old)}


FUNCTIONS = {
    "api": api.API.function,
    "analysis-worker": analysis_worker,
    "eval-runbook-worker": eval_runbook_worker,
    "scraper": scraper,
    "cleanup": cleanup,
    "db-sync": syncs.db_sync,
}
