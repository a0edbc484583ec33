"""The ledger's PostgreSQL database with its rows, its RDS instance with its backups, and the secret that opens it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg

from opslib.lab.estates.loglineos import schema
from opslib.lab.places import Place
from opslib.lab.resources import databases, names

APPLICATION = "loglineos-stage0-loader"
POOL = 11  # connections that the loader's environments keep open
ROWS = 200_000
DAYS = 30  # how far back the rows go
ENGINE_VERSION = "16.6"
INSTANCE_CLASS = "db.r6g.xlarge"

# What the loader asks of the database: the API and the ticker say it in the same words, so pg_stat_statements has each once.
HEALTH = "SELECT 1"
SPANS_OF_OWNER = """
SELECT id, at, entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, error, payload
FROM ledger.visible_timeline WHERE owner_id = %s ORDER BY at DESC LIMIT %s
"""
SPANS_OF_OWNER_AND_TYPE = """
SELECT id, at, entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, error, payload
FROM ledger.visible_timeline WHERE owner_id = %s AND entity_type = %s ORDER BY at DESC LIMIT %s
"""
SPAN_OF_OWNER = """
SELECT id, at, entity_type, who, did, "this", name, status, tenant_id, owner_id, parent_id, error, payload
FROM ledger.visible_timeline WHERE owner_id = %s AND id = %s
"""
CHILDREN = "SELECT id, at, entity_type, status FROM ledger.visible_timeline WHERE parent_id = %s ORDER BY at"

_SINCE_BACKUP = timedelta(hours=3, minutes=25)
_SINCE_CREATED = timedelta(days=310)
_SECRET_DAYS = 38
_TICK_SECONDS = 5.0

# A row from its number n and its digest d: everything in it is told by the seed.
_FILL = """
INSERT INTO ledger.universal_registry
    (id, seq, entity_type, who, did, "this", at, name, status, tenant_id, owner_id, parent_id, duration_ms, error, payload,
     is_deleted)
SELECT d::uuid, 0, kind, who, did, kind || '.' || what, %(start)s - %(every)s * (%(rows)s - n) - %(every)s * (a / 65536.0),
       what || ' ' || n, CASE WHEN failed THEN 'error' WHEN kind = 'execution' THEN 'complete' ELSE 'active' END,
       'tenant-' || to_char(1 + tenant * tenant / 5500, 'FM00'), 'user-' || to_char(1 + o %% 8000, 'FM0000'),
       CASE WHEN kind = 'execution' AND n > 40 THEN md5(%(seed)s || (n - 1 - a %% 40))::uuid END,
       CASE WHEN kind = 'execution' THEN 8 + (a %% 97) * (1 + o %% 5) END,
       CASE WHEN failed THEN (ARRAY['kernel timed out after 5 s', 'quota of the tenant is used up',
            'policy refused: outside of hours', 'TypeError: input is undefined'])[1 + a %% 4] END,
       CASE WHEN kind <> 'execution' THEN jsonb_build_object('bytes', 200 + o %% 9000, 'version', 1 + a %% 7) END,
       o %% 997 = 0
FROM (
    SELECT *, (a %% 211 = 7 AND kind = 'execution') AS failed,
           CASE kind WHEN 'execution' THEN 'kernel:run_code' WHEN 'policy' THEN 'kernel:policy_agent' ELSE 'edge:api' END AS who,
           (ARRAY['ingest', 'summarise', 'index', 'notify', 'review', 'export', 'translate'])[1 + b %% 7] AS what,
           CASE kind WHEN 'execution' THEN 'executed' WHEN 'policy' THEN 'evaluated' ELSE 'defined' END AS did
    FROM (
        SELECT n, d, ('x' || substr(d, 1, 4))::bit(16)::int AS a, ('x' || substr(d, 5, 2))::bit(8)::int AS b,
               ('x' || substr(d, 9, 6))::bit(24)::int AS o, ('x' || substr(d, 17, 2))::bit(8)::int AS tenant,
               (ARRAY['execution', 'execution', 'execution', 'execution', 'execution', 'execution', 'execution',
                      'span', 'span', 'span', 'file', 'file', 'function', 'policy', 'agent', 'request'])
                   [1 + ('x' || substr(d, 7, 1))::bit(4)::int] AS kind
        FROM generate_series(1, %(rows)s) AS n, LATERAL md5(%(seed)s || n) AS d
    ) AS numbers
) AS drawn
"""


def seed(place: Place, meanwhile: Callable[[], None]) -> None:
    """Role, secret, instance with its automated backups; the database with all its rows; the loader's pool.

    PostgreSQL makes the rows in its own processes; what is done `meanwhile` finds everything else there.
    """
    password = databases.create(place)
    databases.put_login(place, password, _SECRET_DAYS, member="database")
    _instance(place, password)
    with ThreadPoolExecutor(1) as making:
        made = making.submit(_make, place, password)
        meanwhile()
        made.result()
    keep_pool(place)


def _make(place: Place, password: str) -> None:
    name, limit = names.database(place), place.facts["database"]["max_connections"]
    with place.database(name) as database:
        database.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {int(limit)}")
    with databases.owner(place, password) as database:
        schema.MIGRATIONS.create(database, lambda session: _fill(place, session))
        database.execute("ANALYZE")
    with place.database(name) as database:
        database.execute("SELECT pg_stat_statements_reset()")  # what made it is not what it does


def _fill(place: Place, database: psycopg.Connection[Any]) -> None:
    every = timedelta(days=DAYS) / ROWS
    drawn = {"seed": f"{names.number(place, 'ledger')}/", "rows": ROWS, "start": names.start(place), "every": every}
    database.execute(_FILL, drawn)


def connect(place: Place, application: str = APPLICATION) -> psycopg.Connection[Any]:
    """The app's own connection (autocommit). Raises psycopg.OperationalError."""
    return databases.connect(place, application)


def keep_pool(place: Place) -> None:
    """Opens the loader's connections that are not open; as many as the database lets it."""
    pool: list[psycopg.Connection[Any]] = [c for c in place.memory.get("pool connections", ()) if not c.closed]
    place.memory["pool connections"] = pool
    with suppress(psycopg.OperationalError):
        while len(pool) < POOL:
            pool.append(connect(place))


def tick(place: Place, now: datetime) -> None:
    """The loader's few statements, on a connection of its pool. They only read: the lab's state stays as it is."""
    last = place.memory.get("statements at")
    if last is not None and (now - last).total_seconds() < _TICK_SECONDS:
        return
    place.memory["statements at"] = now
    keep_pool(place)
    pool = place.memory["pool connections"]
    if not pool:
        return
    number = int(now.timestamp() / _TICK_SECONDS)
    owner = f"user-{1 + number * 7919 % 8000:04d}"
    with suppress(psycopg.OperationalError):  # it may have been stopped meanwhile
        connection = pool[number % len(pool)]
        connection.execute(HEALTH)
        found = connection.execute(SPANS_OF_OWNER, [owner, 20]).fetchall()
        connection.execute(SPANS_OF_OWNER_AND_TYPE, [owner, "execution", 20])
        if found:
            connection.execute(SPAN_OF_OWNER, [owner, found[0][0]])
            connection.execute(CHILDREN, [found[0][0]])


def _instance(place: Place, password: str) -> None:
    rds, facts, role = place.client("rds"), place.facts["database"], names.database(place)
    backup, parameters = names.start(place) - _SINCE_BACKUP, f"{place.name}-postgres16"
    rds.create_db_parameter_group(
        DBParameterGroupName=parameters, DBParameterGroupFamily="postgres16", Description=place.target.title
    )
    rds.modify_db_parameter_group(
        DBParameterGroupName=parameters,
        Parameters=[
            {"ParameterName": "max_connections", "ParameterValue": str(facts["max_connections"]), "ApplyMethod": "pending-reboot"},
            {"ParameterName": "shared_preload_libraries", "ParameterValue": "pg_stat_statements", "ApplyMethod": "pending-reboot"},
        ],
    )  # fmt: skip
    network: dict[str, Any] = (
        {"DBSubnetGroupName": place.name} if place.name in place.backend("rds").subnet_groups else {}
    )
    if "database_group" in place.memory:
        network["VpcSecurityGroupIds"] = [place.memory["database_group"]]
    rds.create_db_instance(
        DBInstanceIdentifier=facts["instance"], Engine="postgres", EngineVersion=ENGINE_VERSION, DBName=role,
        DBInstanceClass=INSTANCE_CLASS, MasterUsername=role, MasterUserPassword=password, MultiAZ=True,
        AvailabilityZone=f"{place.region}a", StorageType="gp3", AllocatedStorage=100, StorageEncrypted=True,
        BackupRetentionPeriod=facts["backup_days"], DBParameterGroupName=parameters, CopyTagsToSnapshot=True,
        PreferredBackupWindow=f"{backup:%H:%M}-{backup + timedelta(minutes=30):%H:%M}",
        PreferredMaintenanceWindow="sun:06:00-sun:06:30", DeletionProtection=place.target.production,
        EnableCloudwatchLogsExports=["postgresql"], PubliclyAccessible=False, AutoMinorVersionUpgrade=False,
        Tags=[{"Key": "app", "Value": "loglineos"}, {"Key": "environment", "Value": place.target.environment}], **network,
    )  # fmt: skip
    instance = place.backend("rds").databases[facts["instance"]]
    instance.created = instance.instance_create_time = names.start(place) - _SINCE_CREATED
    for days in range(facts["backup_days"]):
        _back_up(place, instance, backup - timedelta(days=days, minutes=-4))


def _back_up(place: Place, instance: Any, when: datetime) -> None:
    """An automated snapshot, as of a time before the lab's start."""
    from moto.rds.models import DBSnapshot

    backend, name = place.backend("rds"), f"rds:{instance.db_instance_identifier}-{when:%Y-%m-%d-%H-%M}"
    snapshot = DBSnapshot(backend, instance, name, "automated")
    snapshot.created = snapshot.original_snapshot_create_time = when
    backend.database_snapshots[name] = snapshot
