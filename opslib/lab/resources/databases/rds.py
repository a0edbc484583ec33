"""The database of a target's file: its instance or cluster with backups, the app's pool."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg

from opslib.lab.forms import data
from opslib.lab.places import Place
from opslib.lab.resources import names, secrets
from opslib.lab.resources.databases import logins
from opslib.lab.resources.placeholders import filled

_SERVERLESS = "ServerlessV2ScalingConfiguration"
_MAINTENANCE = "PreferredMaintenanceWindow"
_SUNDAY = "sun:06:00-sun:06:30"
_BACKUP, _DAY = 30, 24 * 60  # minutes
_SNAPSHOT_AFTER = timedelta(minutes=4)  # the start of the backup window


def login(place: Place, about: data.Database) -> str:
    """Role, empty database, and the secret that opens it. Returns the password."""
    password = logins.create(place)
    logins.put_login(place, password, about.password_days, about.login)
    return password


def seed(place: Place, about: data.Database, password: str) -> None:
    """What RDS knows of it."""
    if "cluster" in place.facts["database"]:
        _cluster(place, about, password)
    elif "instance" in place.facts["database"]:
        _instance(place, about, password)


def dimensions(place: Place) -> list[dict[str, str]]:
    """What AWS/RDS calls it: of a cluster also its writer."""
    facts = place.facts["database"]
    if "cluster" in facts:
        name = str(facts["cluster"])
        return [{"DBClusterIdentifier": name}, {"DBInstanceIdentifier": f"{name}-1"}]
    return [{"DBInstanceIdentifier": str(facts["instance"])}] if "instance" in facts else []


def connect(place: Place, application: str = "") -> psycopg.Connection[Any]:
    """The app's own connection (autocommit). Raises psycopg.OperationalError."""
    return logins.connect(place, application or place.memory["data"].database.application)


def keep_pool(place: Place) -> None:
    """Opens the app's connections that are not open; as many as the database lets it."""
    held = place.memory.get("pool connections", ())
    pool: list[psycopg.Connection[Any]] = [each for each in held if _is_open(each)]
    place.memory["pool connections"] = pool
    with suppress(psycopg.OperationalError):
        while len(pool) < place.memory["data"].database.pool:
            pool.append(connect(place))


def _is_open(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has it still: that it ended it is noticed when something is read."""
    with suppress(psycopg.Error):
        for _ in range(2):  # what it said at its end, and the end
            connection.pgconn.consume_input()
        return not connection.closed
    connection.close()
    return False


def _instance(place: Place, about: data.Database, password: str) -> None:
    rds, facts, network = place.client("rds"), place.facts["database"], _network(place)
    if about.parameters:
        network["DBParameterGroupName"] = _parameters(place, about.parameters)
    settings = {
        "Engine": "postgres",
        "EngineVersion": "16.6",
        "DBInstanceClass": "db.t4g.medium",
        "AllocatedStorage": 50,
        _MAINTENANCE: _SUNDAY,
        **filled(place, about.settings),
    }
    backup = before_maintenance(names.start(place) - about.last_backup, settings[_MAINTENANCE])
    role = names.database(place)
    rds.create_db_instance(
        DBInstanceIdentifier=facts["instance"],
        DBName=role,
        MasterUsername=role,
        MasterUserPassword=password,
        **_kept(place, backup),
        **settings,
        **network,
    )
    instance = place.backend("rds").databases[facts["instance"]]
    _manage_login(place, instance)
    created = names.start(place) - timedelta(days=about.created_days)
    instance.created = instance.instance_create_time = created
    for days in range(_days(place)):
        _back_up(place, instance, backup - timedelta(days=days) + _SNAPSHOT_AFTER)


def _cluster(place: Place, about: data.Database, password: str) -> None:
    rds, name = place.client("rds"), place.facts["database"]["cluster"]
    settings = {
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.6",
        _MAINTENANCE: _SUNDAY,
        **filled(place, about.settings),
    }
    backup = before_maintenance(names.start(place) - about.last_backup, settings[_MAINTENANCE])
    role = names.database(place)
    rds.create_db_cluster(
        DBClusterIdentifier=name,
        DatabaseName=role,
        MasterUsername=role,
        MasterUserPassword=password,
        **_kept(place, backup),
        **settings,
        **_network(place),
    )
    for at in range(about.instances):
        rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-{at + 1}",
            DBInstanceClass="db.serverless" if _SERVERLESS in settings else "db.r6g.large",
            Engine=settings["Engine"],
            DBClusterIdentifier=name,
            PreferredMaintenanceWindow=settings[_MAINTENANCE],
        )
    cluster = place.backend("rds").clusters[name]
    _manage_login(place, cluster)
    created = names.start(place) - timedelta(days=about.created_days)
    cluster.created = cluster.cluster_create_time = created
    for days in range(_days(place)):
        _back_up_cluster(place, cluster, backup - timedelta(days=days) + _SNAPSHOT_AFTER)


def _manage_login(place: Place, database: Any) -> None:
    """RDS says where the login is that it manages itself, when the file names no secret."""
    if "secret" not in place.facts["database"]:
        arn = secrets.arn(place, names.login_secret(place))
        database.manage_master_user_password = True
        database.master_user_secret = SimpleNamespace(
            secret_arn=arn, secret_status="active", kms_key_id="alias/aws/secretsmanager"
        )


def before_maintenance(backup: datetime, window: str) -> datetime:
    """When a backup begins: as said, or so early that its window ends before that of maintenance.

    RDS takes no two that touch each other, at whatever hour the lab comes up.
    """
    begin, end = (int(at[4:6]) * 60 + int(at[7:]) for at in window.split("-"))
    into = (backup.hour * 60 + backup.minute - begin + _BACKUP) % _DAY
    reaches = into <= (end - begin) % _DAY + _BACKUP
    return backup - timedelta(minutes=into + 1) if reaches else backup


def _days(place: Place) -> int:
    return int(place.facts["database"].get("backup_days", 7))


def _kept(place: Place, backup: datetime) -> dict[str, Any]:
    """What an instance and a cluster have in common."""
    return {
        "BackupRetentionPeriod": _days(place),
        "PreferredBackupWindow": f"{backup:%H:%M}-{backup + timedelta(minutes=_BACKUP):%H:%M}",
        "StorageEncrypted": True,
        "CopyTagsToSnapshot": True,
        "DeletionProtection": place.target.production,
        "Tags": [
            {"Key": "app", "Value": place.target.system},
            {"Key": "environment", "Value": place.target.environment},
        ],
    }


def _network(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if place.called in place.backend("rds").subnet_groups:
        found["DBSubnetGroupName"] = place.called
    if "database_group" in place.memory:
        found["VpcSecurityGroupIds"] = [place.memory["database_group"]]
    return found


def _parameters(place: Place, given: Mapping[str, str]) -> str:
    rds, name = place.client("rds"), f"{place.called}-postgres16"
    rds.create_db_parameter_group(
        DBParameterGroupName=name,
        DBParameterGroupFamily="postgres16",
        Description=place.target.title,
    )
    parameters = [
        {"ParameterName": key, "ParameterValue": str(value), "ApplyMethod": "pending-reboot"}
        for key, value in filled(place, given).items()
    ]
    rds.modify_db_parameter_group(DBParameterGroupName=name, Parameters=parameters)
    return name


def _back_up(place: Place, instance: Any, when: datetime) -> None:
    """An automated snapshot, as of a time before the lab's start."""
    from moto.rds.models import DBSnapshot

    name = f"rds:{instance.db_instance_identifier}-{when:%Y-%m-%d-%H-%M}"
    snapshot = DBSnapshot(place.backend("rds"), instance, name, "automated")
    snapshot.created = snapshot.original_snapshot_create_time = when
    place.backend("rds").database_snapshots[name] = snapshot


def _back_up_cluster(place: Place, cluster: Any, when: datetime) -> None:
    from moto.rds.models import DBClusterSnapshot

    name = f"rds:{cluster.db_cluster_identifier}-{when:%Y-%m-%d-%H-%M}"
    snapshot = DBClusterSnapshot(place.backend("rds"), cluster, name, "automated")
    snapshot.created = when
    place.backend("rds").cluster_snapshots[name] = snapshot
