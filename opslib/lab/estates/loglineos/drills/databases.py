"""Drills in the ledger's database: its connections, its load, its state, an index that is gone, what may not be asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg

from opslib.lab.estates.loglineos import database, lines, schema, troubles
from opslib.lab.estates.loglineos.troubles import Trouble
from opslib.lab.places import Drill, Place
from opslib.lab.resources import names
from opslib.lab.traffic import measures
from opslib.lab.traffic.drills import denial

NEAR, CPU, DOWN, SLOW, DENIED = (
    "connections-near-limit", "database-cpu-high", "database-unavailable", "slow-query", "access-denied",
)  # fmt: skip
_NO_SLOT = "FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute"
_REFUSED = "connection refused: is the server running and accepting TCP/IP connections?"
_SHARE, _RAMP, _CLIMB = 0.95, timedelta(minutes=25), timedelta(minutes=19)
_EXPORTS, _EXPORTING, _CPU = 3, timedelta(minutes=50), 96.0
_DOWN_SINCE, _SLOW_SINCE = timedelta(minutes=22), timedelta(minutes=45)
_CALLS = 40  # of the statement that lost its index: the statistics are of weeks elsewhere
_READ_SECONDS = 0.031
# A temporary function: it takes long and costs this machine nothing.
_EXPORT = "CREATE FUNCTION pg_temp.export_month(date) RETURNS bigint LANGUAGE sql AS 'SELECT 1 FROM pg_sleep(86400)'"
_EXPORTED = b"SELECT pg_temp.export_month(month::date) FROM generate_series('2026-01-01', now(), '1 month') AS month"
_DENIED = ("rds:DescribeDBInstances", "rds:DescribeDBSnapshots")


def open_connections(place: Place) -> None:
    """Really opens them: they are idle in pg_stat_activity, the metric has climbed to them, some requests get none."""
    limit, since = int(place.facts["database"]["max_connections"]), place.now() - _RAMP
    wanted = int(limit * _SHARE)
    opened = [database.connect(place) for _ in range(wanted - database.POOL)]
    climbing = measures.climbing(since, _CLIMB, database.POOL, wanted)
    _measure(place, NEAR, "DatabaseConnections", since, climbing, "Count")
    place.memory[NEAR] = opened
    failing = Trouble(
        place.now() - timedelta(minutes=8), share=0.12, status=500, message=lines.CONNECTION_FAILED + _NO_SLOT
    )
    troubles.begin(place, NEAR, failing)


def close_connections(place: Place) -> None:
    for connection in place.memory.pop(NEAR):
        connection.close()
    _forget(place, NEAR)
    troubles.end(place, NEAR)


def export(place: Place) -> None:
    """Sessions of a job at night, each in one long statement."""
    held = [database.connect(place, "nightly-export") for _ in range(_EXPORTS)]
    for connection in held:
        connection.execute(_EXPORT)
        connection.pgconn.send_query(_EXPORTED)
    _measure(place, CPU, "CPUUtilization", place.now() - _EXPORTING, lambda minute: _CPU + minute % 7 / 10, "Percent")
    place.memory[CPU] = held


def end_export(place: Place) -> None:
    with place.database("postgres") as server:
        for connection in place.memory.pop(CPU):
            server.execute("SELECT pg_terminate_backend(%s, 2000)", [connection.info.backend_pid])
            connection.close()
    _forget(place, CPU)


def fill_up(place: Place) -> None:
    """The storage is full: RDS takes the instance out of service, logins are refused or hang."""
    since, name = place.now() - _DOWN_SINCE, str(place.facts["database"]["instance"])
    place.memory[DOWN] = place.backend("rds").databases[name].status
    place.backend("rds").databases[name].status = "storage-full"
    place.world.postgres.allow_connections(names.database(place), False)
    for connection in place.memory["pool connections"]:
        connection.close()
    _measure(place, DOWN, "FreeStorageSpace", since, lambda minute: 0.0, "Bytes")
    refused = Trouble(since, lasts=_is_full, share=0.6, status=500, message=lines.CONNECTION_FAILED + _REFUSED)
    hanging = Trouble(since, lasts=_is_full, plus_ms=(31_000, 60_000))  # those that are left
    probes = Trouble(
        since, lasts=_is_full, route=("GET", "/health"), status=503, message=lines.CONNECTION_FAILED + _REFUSED
    )
    troubles.begin(place, DOWN, refused, hanging, probes)


def _is_full(place: Place) -> bool:
    """Asked until somebody gave it more storage; then the metric is as it was, too."""
    instance = place.backend("rds").databases.get(str(place.facts["database"]["instance"]))
    full = instance is not None and instance.status == "storage-full"
    overlay = place.memory.get(f"{DOWN} metric")
    if not full and overlay:
        overlay.end = min(overlay.end, place.now().timestamp())
    return full


def make_room(place: Place) -> None:
    name, before = str(place.facts["database"]["instance"]), place.memory.pop(DOWN)
    instance = place.backend("rds").databases.get(name)
    if instance is not None and instance.status == "storage-full":  # else somebody did something about it
        instance.status = before
    place.world.postgres.allow_connections(names.database(place), True)
    _forget(place, DOWN)
    troubles.end(place, DOWN)
    database.keep_pool(place)


def drop_index(place: Place) -> None:
    """The index that a user's spans are found by is gone: each request reads far more than it answers."""
    since = place.now() - _SLOW_SINCE
    with place.database(names.database(place)) as session:
        session.execute("DROP INDEX IF EXISTS ledger.universal_registry_owner_at")
    with database.connect(place) as session:
        for number in range(_CALLS):
            session.execute(database.SPANS_OF_OWNER, [f"user-{1 + number * 37:04d}", 20])
    _measure(place, SLOW, "ReadLatency", since, lambda minute: _READ_SECONDS + minute % 11 / 1000, "Seconds")
    slow = Trouble(since, lasts=_has_no_index, route=("GET", "/spans"), factor=28, spread=0.3)
    troubles.begin(place, SLOW, slow)


def _has_no_index(place: Place) -> bool:
    with suppress(psycopg.OperationalError), place.database(names.database(place)) as session:
        sql = "SELECT 1 FROM pg_indexes WHERE schemaname = 'ledger' AND indexdef LIKE '%(owner_id, at DESC)'"
        return session.execute(sql).fetchone() is None
    return True


def make_index(place: Place) -> None:
    with place.database(names.database(place)) as session:
        session.execute(schema.OWNER_INDEX.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS"))
    _forget(place, SLOW)
    troubles.end(place, SLOW)


def _measure(place: Place, drill: str, metric: str, since: datetime, fn: Callable[[float], float], unit: str) -> None:
    """The instance's metric is this from then on."""
    dimensions = {"DBInstanceIdentifier": str(place.facts["database"]["instance"])}
    overlay: Any = place.metrics.overlay("AWS/RDS", metric, dimensions, since, None, fn, unit)
    place.memory[f"{drill} metric"] = overlay


def _forget(place: Place, drill: str) -> None:
    place.memory.pop(f"{drill} metric").remove()


DRILLS = (
    Drill(
        NEAR, "'Database connection failed' in the log, and more and more connections",
        "The loader leaves its connections open.", open_connections, close_connections,
        found_by=("databases/health", "reports/daily"),
    ),
    Drill(
        CPU, "The database's CPU is at its limit", "An export that belongs into the night runs by day, three times.",
        export, end_export, found_by=("databases/health", "databases/replica", "reports/daily"),
    ),
    Drill(
        DOWN, "Requests fail or hang, and /health says that the database is disconnected",
        "The database's storage is full, so RDS has taken it out of service.", fill_up, make_room,
        found_by=("databases/health", "reports/daily"),
    ),
    Drill(
        SLOW, "GET /spans takes seconds since about an hour", "The index that a user's spans are found by was dropped.",
        drop_index, make_index, found_by=("databases/health", "functions/latency"),
    ),
    Drill(
        DENIED, "The database's state cannot be read: access denied", "The operators' role lacks rights in RDS.",
        *denial(*_DENIED),
        found_by=("databases/health", "databases/restore", "databases/scale", "databases/snapshot", "databases/storage", "reports/daily"),
    ),
)  # fmt: skip
