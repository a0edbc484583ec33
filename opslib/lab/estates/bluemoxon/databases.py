"""The app's PostgreSQL database, its Aurora cluster, and the secret that opens it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg

from opslib.lab.estates.bluemoxon import books, jobs, names
from opslib.lab.estates.bluemoxon.migrations import MIGRATIONS
from opslib.lab.places import Place
from opslib.lab.resources import secrets
from opslib.lab.resources.databases import logins

POOL = {"production": 13, "staging": 8}  # connections that the API keeps open
_SINCE_BACKUP = timedelta(hours=5, minutes=20)


def seed(place: Place) -> None:
    """Role, database with all its rows, secrets, cluster with its snapshots."""
    password = logins.create(place)
    with logins.owner(place, password) as database:
        MIGRATIONS.create(database)
        books.fill(place, database)
        jobs.fill(place, database)
    logins.put_login(place, password, age_days=41, member="dbname")
    token = f"bmx_{names.generator(place, 'token').getrandbits(160):040x}"
    secrets.put(place, place.facts["api"]["token_secret"], token, 97)
    _cluster(place, password)
    place.memory["pool connections"] = [connect(place) for _ in range(POOL[place.target.environment])]


def connect(place: Place, application: str = "bluemoxon-api") -> psycopg.Connection[Any]:
    """The app's own connection (autocommit)."""
    return logins.connect(place, application)


def _cluster(place: Place, password: str) -> None:
    rds, facts, name = place.client("rds"), place.facts["database"], place.facts["database"]["cluster"]
    backup = names.start(place) - _SINCE_BACKUP
    rds.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-postgresql", EngineVersion="16.6", DatabaseName=names.database(place),
        MasterUsername=names.database(place), MasterUserPassword=password, DBSubnetGroupName=place.name,
        VpcSecurityGroupIds=[place.memory["database_group"]], BackupRetentionPeriod=facts["backup_days"],
        PreferredBackupWindow=f"{backup:%H:%M}-{backup + timedelta(minutes=30):%H:%M}",
        PreferredMaintenanceWindow="sun:09:00-sun:09:30", StorageEncrypted=True,
        DeletionProtection=place.target.production, CopyTagsToSnapshot=True,
        ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4.0},
        Tags=[{"Key": "app", "Value": "bluemoxon"}, {"Key": "environment", "Value": place.target.environment}],
    )  # fmt: skip
    for at in range(2 if place.target.production else 1):
        rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-{at + 1}", DBInstanceClass="db.serverless", Engine="aurora-postgresql",
            DBClusterIdentifier=name,
        )  # fmt: skip
    cluster = place.backend("rds").clusters[name]
    cluster.created = cluster.cluster_create_time = names.start(place) - timedelta(days=420)
    for days in range(facts["backup_days"]):
        _back_up(place, cluster, backup - timedelta(days=days, minutes=-4))


def _back_up(place: Place, cluster: Any, when: datetime) -> None:
    """An automated snapshot, as of a time before the lab's start."""
    from moto.rds.models import DBClusterSnapshot

    backend, name = place.backend("rds"), f"rds:{cluster.db_cluster_identifier}-{when:%Y-%m-%d-%H-%M}"
    snapshot = DBClusterSnapshot(backend, cluster, name, "automated")
    snapshot.created = when
    backend.cluster_snapshots[name] = snapshot
