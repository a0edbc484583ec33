"""The health endpoints. What they say is asked of the database, the bucket, the pool and the network, each time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from botocore.exceptions import ClientError

from opslib.lab.estates.bluemoxon import databases, names, networks
from opslib.lab.estates.bluemoxon.migrations import MIGRATIONS
from opslib.lab.places import Place
from opslib.lab.resources import functions
from opslib.lab.traffic.requests import Answer, Hanging, Request


def live(request: Request) -> Answer:
    return 200, {"status": "ok", "service": "bluemoxon-api"}


def ready(request: Request) -> Answer:
    """Only the database: what each request needs."""
    check = _checked(_database, request.place)
    return (200 if check["status"] == "ok" else 503), {
        "status": "ready" if check["status"] == "ok" else "not ready",
        "database": check["status"] if check["status"] == "ok" else f"error: {check['reason']}",
    }


def info(request: Request) -> Answer:
    built = functions.release(request.place, "api")
    return 200, {
        "service": "bluemoxon-api",
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
    for service in networks.SERVICES:
        if networks.unreachable(place, service):
            endpoint = f"https://{service}.{place.region}.amazonaws.com/"
            raise Hanging(f"Connect timeout on endpoint URL: {endpoint}, retrying")
    checks: dict[str, dict[str, Any]] = {
        "database": _checked(_database, place),
        "s3": _checked(_bucket, place),
        "cognito": _checked(_pool, place),
    }
    well = all(check["status"] == "ok" for check in checks.values())
    overall = "healthy" if well else "unhealthy"
    if place.target.production:
        flat = {name: "ok" if c["status"] == "ok" else f"error: {c['reason']}" for name, c in checks.items()}
        return (200 if well else 503), {"status": overall, **flat}
    checks["bedrock"] = {"status": "skipped", "reason": "a call costs money"}
    return (200 if well else 503), {"status": overall, "checks": checks}


def migrate(request: Request) -> Answer:
    """Applies what the live code brings and the database has not had."""
    with databases.connect(request.place) as database:
        head = functions.release(request.place, "api")["schema"]
        applied = [revision.name for revision in MIGRATIONS.pending(database, head)]
        before, after = MIGRATIONS.upgrade(database, head)
    return 200, {"status": "success", "previous": before, "current": after, "applied": applied}


def _checked(check: Callable[[Place], None], place: Place) -> dict[str, Any]:
    began = time.monotonic()
    try:
        check(place)
    except (psycopg.Error, ClientError) as exc:
        reason = _reason(exc)
        return {"status": "error", "latency_ms": _since(began), "reason": reason}
    return {"status": "ok", "latency_ms": _since(began)}


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


def _reason(exc: Exception) -> str:
    if isinstance(exc, ClientError):
        return f"{exc.response['Error']['Code']}: {exc.response['Error']['Message']}"
    return str(exc).strip().splitlines()[0]


def _database(place: Place) -> None:
    with databases.connect(place) as database:
        database.execute("SELECT 1 FROM books LIMIT 1")


def _bucket(place: Place) -> None:
    place.client("s3").list_objects_v2(Bucket=names.bucket(place), MaxKeys=1)


def _pool(place: Place) -> None:
    place.client("cognito-idp").describe_user_pool(UserPoolId=place.memory["pool"])
