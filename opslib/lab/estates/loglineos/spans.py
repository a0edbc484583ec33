"""The API's endpoints on the ledger: health, spans, timeline, executions."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg
from psycopg.rows import dict_row

from opslib.lab import rhythms
from opslib.lab.estates.loglineos import database
from opslib.lab.places import Place
from opslib.lab.traffic.requests import Answer, Problem, Request

_NEEDED = ("entity_type", "who", "this")
_OPTIONAL = ("did", "name", "status", "tenant_id", "parent_id", "payload")
_LISTED, _MOST = 50, 200
_COLUMNS = 'id, at, entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, error, payload'
_TIMELINE = f"SELECT {_COLUMNS} FROM ledger.visible_timeline ORDER BY at DESC LIMIT %s"
_INSERT = f"""
INSERT INTO ledger.universal_registry
    (entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, payload)
VALUES (%s, %s, %s, %s, %s, coalesce(%s, 'complete'), %s, %s, %s, %s) RETURNING {_COLUMNS}
"""


def health(request: Request) -> Answer:
    """200, or 503 when the database cannot be used."""
    place, began = request.place, time.monotonic()
    told: dict[str, Any] = {"status": "healthy", "timestamp": place.now(), "database": "connected"}
    try:
        with database.connect(place) as connection:
            connection.execute(database.HEALTH)
    except psycopg.Error as exc:
        told |= {"status": "unhealthy", "database": "disconnected", "error": reason(exc)}
    told |= {"duration_ms": round((time.monotonic() - began) * 1000), "environment": place.target.environment}
    return (200 if told["status"] == "healthy" else 503), told


def reason(exc: psycopg.Error) -> str:
    """What the database said, in a line and without where it is."""
    return str(exc).strip().splitlines()[0].rpartition("failed: ")[2]


def listed(request: Request) -> Answer:
    """The caller's spans, newest first: `id`, or `entity_type` and `limit` (50, at most 200)."""
    user, limit = _user(request), _limit(request)
    kind, wanted = request.query.get("entity_type"), request.query.get("id")
    if wanted:
        rows = _rows(request.place, database.SPAN_OF_OWNER, [user, wanted])
    elif kind:
        rows = _rows(request.place, database.SPANS_OF_OWNER_AND_TYPE, [user, kind, limit])
    else:
        rows = _rows(request.place, database.SPANS_OF_OWNER, [user, limit])
    return 200, {"spans": rows}


def timeline(request: Request) -> Answer:
    """What happened last, whoever did it."""
    _user(request)
    return 200, {"timeline": _rows(request.place, _TIMELINE, [_limit(request)])}


def create(request: Request) -> Answer:
    """A span of the caller's; 400 when a field is missing."""
    user, given = _user(request), request.json()
    for name in _NEEDED:
        if not isinstance(given.get(name), str) or not given[name]:
            raise Problem(400, f"validation failed: missing field '{name}'")
    return 201, _insert(request.place, user, given, "SpansCreated")


def execute(request: Request) -> Answer:
    """Runs a function of the ledger: here, a row that says that it ran. 404 when the caller has no such span."""
    user, given = _user(request), request.json()
    if not isinstance(given.get("span_id"), str):
        raise Problem(400, "validation failed: missing field 'span_id'")
    found = _rows(request.place, database.SPAN_OF_OWNER, [user, given["span_id"]])
    if not found:
        raise Problem(404, f"no span {given['span_id']}")
    span = found[0]
    ran = {
        "entity_type": "execution", "who": "kernel:run_code", "did": "executed", "this": f"execution.{span['this']}",
        "name": span["name"], "tenant_id": span["tenant_id"], "parent_id": span["id"],
    }  # fmt: skip
    return 201, _insert(request.place, user, ran, "ExecutionsCompleted")


def _insert(place: Place, user: str, given: dict[str, Any], metric: str) -> dict[str, Any]:
    member = {name: given.get(name) for name in (*_NEEDED, *_OPTIONAL)}
    payload = None if member["payload"] is None else json.dumps(member["payload"])
    values = [
        member["entity_type"], member["who"], member["did"], member["this"], member["name"], member["status"],
        member["tenant_id"], user, member["parent_id"], payload,
    ]  # fmt: skip
    row = _rows(place, _INSERT, values)[0]
    place.metrics.put(str(place.facts["metrics_namespace"]), metric, {}, rhythms.now(), 1.0, "Count")
    return row


def _rows(place: Place, statement: str, values: list[Any]) -> list[dict[str, Any]]:
    """Raises Problem(400) for what is not an id."""
    with database.connect(place) as connection:
        try:
            rows: list[dict[str, Any]]
            rows = connection.cursor(row_factory=dict_row).execute(statement.encode(), values).fetchall()
            return rows
        except psycopg.errors.DataError as exc:
            raise Problem(400, f"validation failed: {str(exc).splitlines()[0]}") from exc


def _user(request: Request) -> str:
    """The caller, as API Gateway's authoriser puts it in. Raises Problem(401)."""
    user = request.headers.get("x-user-id", "").strip()
    if not user:
        raise Problem(401, "Missing header X-User-Id")
    return user


def _limit(request: Request) -> int:
    text = request.query.get("limit", str(_LISTED))
    if not text.isdigit() or int(text) < 1:
        raise Problem(400, f"validation failed: limit must be a number from 1, not {text!r}")
    return min(int(text), _MOST)
