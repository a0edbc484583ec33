"""What the ledger's own code does: its endpoints, its migrations, the statements of a day."""

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import psycopg

from opslib.lab import rhythms
from opslib.lab.aws.handlers import Invocation
from opslib.lab.estates.seeding import Application
from opslib.lab.places import Place
from opslib.lab.resources.databases import rds, statements
from opslib.lab.traffic import lines
from opslib.lab.traffic.apps import reason
from opslib.lab.traffic.requests import Answer, Problem, Request

_NEEDED = ("entity_type", "who", "this")
_MEMBERS = ("entity_type", "who", "did", "this", "name", "status", "tenant_id")
_LISTED, _MOST = 50, 200
_TICK_SECONDS = 5.0


def health(request: Request) -> Answer:
    """200, or 503 when the database cannot be used."""
    place, began = request.place, time.monotonic()
    told: dict[str, Any] = {
        "status": "healthy",
        "timestamp": place.now(),
        "database": "connected",
    }
    try:
        statements.asked(place, "health")
    except psycopg.Error as exc:
        told |= {"status": "unhealthy", "database": "disconnected", "error": reason(exc)}
    told["duration_ms"] = round((time.monotonic() - began) * 1000)
    told["environment"] = place.target.environment
    return (200 if told["status"] == "healthy" else 503), told


def listed(request: Request) -> Answer:
    """The caller's spans, newest first: `id`, or `entity_type` and `limit` (50, at most 200)."""
    user, limit = _user(request), _limit(request)
    kind, wanted = request.query.get("entity_type"), request.query.get("id")
    if wanted:
        return 200, {"spans": _rows(request.place, "span_of_owner", [user, wanted])}
    if kind:
        given = [user, kind, limit]
        return 200, {"spans": _rows(request.place, "spans_of_owner_and_type", given)}
    return 200, {"spans": _rows(request.place, "spans_of_owner", [user, limit])}


def timeline(request: Request) -> Answer:
    """What happened last, whoever did it."""
    _user(request)
    return 200, {"timeline": _rows(request.place, "timeline", [_limit(request)])}


def create(request: Request) -> Answer:
    """A span of the caller's; 400 when a field is missing."""
    user, given = _user(request), request.json()
    for name in _NEEDED:
        _require(given, name)
    return 201, _insert(request.place, user, given, "SpansCreated")


def execute(request: Request) -> Answer:
    """Runs a function of the ledger: here, a row that says that it ran. 404: no such span."""
    user, given = _user(request), request.json()
    _require(given, "span_id")
    found = _rows(request.place, "span_of_owner", [user, given["span_id"]])
    if not found:
        raise Problem(404, f"no span {given['span_id']}")
    span = found[0]
    ran = {
        "entity_type": "execution",
        "who": "kernel:run_code",
        "did": "executed",
        "this": f"execution.{span['this']}",
        "name": span["name"],
        "tenant_id": span["tenant_id"],
        "parent_id": span["id"],
    }
    return 201, _insert(request.place, user, ran, "ExecutionsCompleted")


def _require(given: Mapping[str, Any], name: str) -> None:
    if not isinstance(given.get(name), str) or not given[name]:
        raise Problem(400, f"validation failed: missing field '{name}'")


def _insert(place: Place, user: str, given: dict[str, Any], metric: str) -> dict[str, Any]:
    payload = None if given.get("payload") is None else json.dumps(given["payload"])
    values = [*(given.get(name) for name in _MEMBERS), user, given.get("parent_id"), payload]
    row = _rows(place, "insert", values)[0]
    space = str(place.facts["metrics_namespace"])
    place.metrics.put(space, metric, {}, rhythms.now(), 1.0, "Count")
    return row


def _statement(place: Place, name: str) -> bytes:
    """One of statements.sql."""
    text: str = place.memory["statements"][name]
    return text.encode()


def _rows(place: Place, name: str, values: list[Any]) -> list[dict[str, Any]]:
    """Raises Problem(400) for what is not an id."""
    try:
        return statements.asked(place, name, values)
    except psycopg.errors.DataError as exc:
        raise Problem(400, f"validation failed: {str(exc).splitlines()[0]}") from exc


def _user(request: Request) -> str:
    user = request.headers.get("x-user-id", "").strip()
    if not user:
        raise Problem(401, "Missing header X-User-Id")
    return user


def _limit(request: Request) -> int:
    text = request.query.get("limit", str(_LISTED))
    if not text.isdigit() or int(text) < 1:
        raise Problem(400, f"validation failed: limit must be a number from 1, not {text!r}")
    return min(int(text), _MOST)


def said(body: Mapping[str, Any]) -> str:
    """What the log says of an answer that is an error."""
    text = str(body.get("error", ""))
    lost = "Database connection failed: " if "disconnected" in body.values() else ""
    return lost + text if lost else text[:1].upper() + text[1:]


def migrate(event: Any, place: Place, invocation: Invocation) -> dict[str, Any]:
    """Applies what the deployed code brings and the database has not had; {} is all there is."""
    if event:
        raise ValueError(f"Unknown options: {', '.join(sorted(event))}")
    head, migrations = invocation.variables["SCHEMA_VERSION"], place.memory["migrations"]
    with rds.connect(place, "loglineos-db-migration") as connection:
        done: dict[str, Any] = migrations.run(connection, head)
    told = {"applied": done["applied"], "current": done["current"]}
    invocation.log(lines.entry("INFO", place.now(), message="migrations applied", **told))
    return done


def tick(place: Place, now: datetime) -> None:
    """The loader's few statements, on a connection of its pool. They only read."""
    last, pool = place.memory.get("statements at"), place.memory["pool connections"]
    if not pool or (last is not None and (now - last).total_seconds() < _TICK_SECONDS):
        return
    place.memory["statements at"] = now
    number = int(now.timestamp() / _TICK_SECONDS)
    owner = f"user-{1 + number * 7919 % 8000:04d}"
    with suppress(psycopg.OperationalError):  # it may have been stopped meanwhile
        connection = pool[number % len(pool)]
        connection.execute(_statement(place, "health"))
        of_owner = _statement(place, "spans_of_owner")
        found = connection.execute(of_owner, [owner, 20]).fetchall()
        of_type = _statement(place, "spans_of_owner_and_type")
        connection.execute(of_type, [owner, "execution", 20])
        if found:
            connection.execute(_statement(place, "span_of_owner"), [owner, found[0][0]])
            connection.execute(_statement(place, "children"), [found[0][0]])


APPLICATION = Application(
    routes={
        ("GET", "/health"): health,
        ("GET", "/spans"): listed,
        ("POST", "/spans"): create,
        ("GET", "/timeline"): timeline,
        ("POST", "/executions"): execute,
    },
    functions={"db-migration": migrate},
    tick=tick,
    said=said,
)
