"""What the functions of the document system do."""

from datetime import datetime, timedelta
from typing import Any

import psycopg

from opslib.lab.aws.handlers import Invocation
from opslib.lab.estates.dms import processing
from opslib.lab.estates.seeding import Application
from opslib.lab.places import Place
from opslib.lab.resources import buckets
from opslib.lab.resources.databases import rds, statements
from opslib.lab.resources.search import indices as search
from opslib.lab.traffic import lines
from opslib.lab.traffic.apps import reason
from opslib.lab.traffic.requests import Answer, Problem, Request

_LISTED = 50
_PAGE = b"%PDF-1.4\n% a document of the lab, a few bytes in place of its size\n"


def bucket(place: Place) -> str:
    return str(place.facts["buckets"]["documents"]["name"])


def health(request: Request) -> Answer:
    """200, or 503 when the database cannot be used; the search's colour beside it."""
    told: dict[str, Any] = {"status": "healthy", "database": "connected"}
    told["search"] = search.colour(request.place)
    try:
        statements.asked(request.place, "health")
    except psycopg.Error as exc:
        told |= {"status": "unhealthy", "database": "disconnected", "error": reason(exc)}
    return (200 if told["status"] == "healthy" else 503), told


def documents(request: Request) -> Answer:
    """A tenant's documents, newest first."""
    tenant = request.query.get("tenant") or _first_tenant(request.place)
    return 200, {"documents": _rows(request.place, "documents", [tenant, _LISTED])}


def init_upload(request: Request) -> Answer:
    """A row for the document that is to come."""
    given = request.json()
    for name in ("name", "tenant"):
        if not given.get(name):
            raise Problem(400, f"validation failed: missing field '{name}'")
    name, tenant = str(given["name"]), str(given["tenant"])
    values = [tenant, name, given.get("contentType", "application/pdf"), given.get("size", 0)]
    row = _rows(request.place, "upload", [*values, f"{tenant}/documents/{name}"])[0]
    return 201, row


def _rows(place: Place, name: str, values: list[Any]) -> list[dict[str, Any]]:
    try:
        return statements.asked(place, name, values)
    except psycopg.errors.DataError as exc:
        raise Problem(400, f"validation failed: {str(exc).splitlines()[0]}") from exc


def _first_tenant(place: Place) -> str:
    return str(statements.asked(place, "tenants")[0]["id"])


def migrate(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """Applies what the deployed code brings and the database has not had; or takes one back."""
    if unknown := event.keys() - {"direction", "dry_run"}:
        raise ValueError(f"Unknown options: {', '.join(sorted(unknown))}")
    head, migrations = invocation.variables["SCHEMA_VERSION"], place.memory["migrations"]
    with rds.connect(place, "dms-migrations") as connection:
        if event.get("direction") == "down":
            at, before = migrations.newest(connection)
            if event.get("dry_run"):
                return {"statements": [at.down.strip()], "current": at.name}
            migrations.downgrade(connection, before.name)
            done = {"applied": [], "taken_back": at.name, "current": before.name}
        else:
            done = migrations.run(connection, head)
    told = {"applied": done["applied"], "current": done["current"]}
    invocation.log(lines.entry("INFO", place.now(), message="migrations done", **told))
    return done


def seed(place: Place) -> None:
    """An object for each document, of some a scan before it; a deleted one's is under a marker."""
    name, stored = bucket(place), statements.asked(place, "stored", [["ready", "deleted"]])
    processing.seed(place, stored)
    for row in stored:
        key, at, pages = row["s3_key"], row["created_at"], [str(row["text"])]
        if str(row["id"]).startswith(("d0c", "0")):
            pages.insert(0, "a scan that was too dark")
        for page in pages:
            buckets.put(place, name, key, _PAGE + page.encode(), at, "application/pdf")
            at += timedelta(minutes=4)
        if row["deleted_at"]:
            buckets.hide(place, name, key, row["deleted_at"])


def tick(place: Place, now: datetime) -> None:
    """Nothing yet."""


APPLICATION = Application(
    routes={
        ("GET", "/health"): health,
        ("GET", "/documents"): documents,
        ("POST", "/uploads"): init_upload,
    },
    functions={"migrations": migrate, **processing.FUNCTIONS},
    seed=seed,
)
