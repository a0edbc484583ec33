"""A target's database as RDS knows it: an Aurora cluster or an instance, and its snapshots."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

from opslib.core import (
    Connection,
    Json,
    Kind,
    OpsError,
    Refused,
    Thing,
    Unasked,
    UsageError,
    beside,
    metrics,
    unknown_name,
)


def told(part: str) -> Any:
    """A part of rds.yaml."""
    return beside(__file__, "rds")[part]


CLUSTER, INSTANCE, _CLUSTER_SNAPSHOT, _INSTANCE_SNAPSHOT = (
    Kind(**said) for said in told("kinds").values()
)
NAME = INSTANCE.key
# Where it is asked; of a cluster the endpoint is a name, of an instance a mapping.
_ROOM = 61  # of 63: what a cluster's instance is called goes on with -1
_ENDPOINT = """{
    host: Endpoint.Address || Endpoint, port: Endpoint.Port || Port,
    database: DatabaseName || DBName
}"""


@dataclass(frozen=True)
class Database(Thing):
    """One cluster or instance by its name."""

    @property
    def snapshots(self) -> Kind:
        """How its snapshots are called."""
        return _CLUSTER_SNAPSHOT if self.kind is CLUSTER else _INSTANCE_SNAPSHOT

    def endpoint(self, ops: Connection) -> Json:
        """Host and port; and the database, where it has another name than the target's own.

        Else the secret says it.
        """
        at, present = (each.read(_ENDPOINT).perform(ops) for each in (self, database_of(ops)))
        if not at["host"]:
            raise OpsError(f"{self} has no endpoint yet; look again when it is available.")
        if at["database"] in (None, present["database"]):
            del at["database"]
        return dict(at)


def database_of(ops: Connection) -> Database:
    """The target's database. Raises Unasked where its file says of none that is RDS's."""
    facts = ops.target.at("database")
    for kind in (CLUSTER, INSTANCE):
        if kind.noun in facts:
            return Database(kind, facts[kind.noun])
    raise Unasked(
        f"parameters/targets/{ops.target.key}.yaml: database names neither cluster nor instance: "
        "RDS says nothing of it. Add the one that it is, if RDS runs it."
    )


def find_endpoint(ops: Connection, name: str) -> Json:
    """Where one of that name is asked, of the kind of the target's: host, port; see `endpoint`.

    Raises NotFound, OpsError (it has none yet).
    """
    return Database(database_of(ops).kind, name).endpoint(ops)


def instance_of(ops: Connection) -> tuple[Database, Json]:
    """The target's instance, and as RDS describes it.

    Raises UsageError for an Aurora cluster, which is sized in another way.
    """
    database = database_of(ops)
    if database.kind is CLUSTER:
        raise UsageError(
            f"{ops.target.name} has an Aurora {database}, no instance of its own. Its members are "
            "sized in the cluster: for Serverless v2 by its bounds of capacity "
            "(databases/capacity); for more readers add an instance to the cluster "
            "(create-db-instance with its DBClusterIdentifier)."
        )
    return database, database.describe(ops)


def new_database(
    ops: Connection, of: Database, kind: Kind, name: str, endings: Iterable[str]
) -> Database:
    """One that is to be made, of that name; without one, called as another (its beginning, where
    that is long) with the first of the endings that makes it free.

    Raises UsageError when RDS takes no such name, or makes it lower case; Refused when there is one
    already.
    """
    made = (of.name[: _ROOM - len(each)].lower().rstrip("-") + each for each in endings)
    for each in [name] if name else made:
        if len(each) > 63 or not re.fullmatch(r"[a-z](?:-?[a-z0-9])*", each):
            raise UsageError(
                f"{each!r} is no name for a database: at most 63 of a-z, 0-9 and single hyphens, "
                "a letter first, no hyphen last. Give another name."
            )
        if not (new := Database(kind, each)).exists(ops):
            return new
    raise Refused(f"{new} exists already in {ops.where}. Nothing was changed; choose another name.")


def present(ops: Connection) -> tuple[Database, Json, list[Json]]:
    """The target's database, as RDS describes it, and the instances that serve it as described.

    Those of the cluster, writer first, or the instance itself.
    """
    database = database_of(ops)
    described = database.describe(ops)
    return database, described, members(ops, database, described)


def members(ops: Connection, database: Database, described: Json) -> list[Json]:
    """The instances that serve it: those of the cluster, writer first, or the instance itself."""
    if database.kind is INSTANCE:
        return [described]
    listed = described.get("DBClusterMembers", ())
    writers = [each[NAME] for each in listed if each["IsClusterWriter"]]
    filters = [{"Name": "db-cluster-id", "Values": [database.name]}]
    found = INSTANCE.find_all(ops, Filters=filters)
    return sorted(found, key=lambda each: (each[NAME] not in writers, each[NAME]))


def measured(ops: Connection, members: list[Json]) -> list[Json]:
    """Those of which there are metrics by now, and the first: others were made just now."""
    since = ops.now() - timedelta(minutes=metrics.RECENT_MINUTES)
    return members[:1] + [
        each for each in members[1:] if each.get("InstanceCreateTime", ops.now()) <= since
    ]


def waiting(described: Json, attribute: str) -> tuple[Any, str]:
    """What an instance gets in its maintenance window, or with a change that is applied at once.

    The value of one attribute, if one waits, and the others in words.
    """
    values = dict(described.get("PendingModifiedValues") or {})
    value = values.pop(attribute, None)
    return value, ", ".join(f"{key} {other}" for key, other in values.items())


def window_of(described: Json) -> str:
    """An instance's maintenance window, in words."""
    told = described.get("PreferredMaintenanceWindow", "which RDS does not tell,")
    return f"the maintenance window, {told} UTC"


def zones_of_class(ops: Connection, described: Json, wanted: str) -> set[str]:
    """The zones in which RDS offers a class for an instance's engine.

    Raises UsageError that offers the nearest.
    """
    engine = {key: described[key] for key in ("Engine", "EngineVersion")}
    ask = partial(ops.pages, "rds", "describe_orderable_db_instance_options")
    options = "OrderableDBInstanceOptions[]"
    if zones := ask(f"{options}.AvailabilityZones[].Name", DBInstanceClass=wanted, **engine):
        return set(zones)
    known = set(ask(f"{options}.DBInstanceClass", **engine))
    raise unknown_name("class", wanted, known, f" for {' '.join(engine.values())} in {ops.where}")


def taken(described: Json, *parts: str) -> Json:
    """What a new one takes of a present one by these parts of rds.yaml, empty values left out."""
    import jmespath

    paths = chain.from_iterable(told(part).items() for part in parts)
    found = {name: jmespath.search(path, described) for name, path in paths}
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}
