"""The domain of a target's file: as AWS describes it, its documents, snapshots and quiet day."""

import json
from datetime import timedelta
from functools import partial
from typing import Any

from psycopg import sql

from opslib.lab import rhythms
from opslib.lab.places import Place
from opslib.lab.resources import names
from opslib.lab.resources.search import indices

REPOSITORY = "cs-automated-enc"
GIGABYTE = 1024.0  # FreeStorageSpace is told in MB
_HOURS = 36  # of snapshots, one an hour; AWS keeps fourteen days of them
_NODES = 2
_DAY = (  # metric, night, day, noise, unit
    ("SearchLatency", 11.0, 24.0, 0.2, "Milliseconds"),
    ("SearchRate", 20.0, 160.0, 0.3, "Count"),
    ("IndexingLatency", 4.0, 9.0, 0.2, "Milliseconds"),
    ("CPUUtilization", 5.0, 18.0, 0.15, "Percent"),
    ("JVMMemoryPressure", 38.0, 55.0, 0.05, "Percent"),
)
_STEADY = {
    "ClusterIndexWritesBlocked": 0.0,
    "ThreadpoolSearchRejected": 0.0,
    "ThreadpoolWriteRejected": 0.0,
    "AutomatedSnapshotFailure": 0.0,
    "KMSKeyInaccessible": 0.0,
    "MasterReachableFromNode": 1.0,
    "FreeStorageSpace": 15.2 * GIGABYTE,
    "Nodes": float(_NODES),
}


def seed(place: Place, vpc: dict[str, Any]) -> None:
    """The domain in moto, and a day of its metrics. `vpc`: as that of the functions."""
    about = place.facts.get("search", {})
    if "domain" not in about:
        return
    within = {key: vpc[key] for key in ("SubnetIds", "SecurityGroupIds") if vpc.get(key)}
    place.client("opensearch").create_domain(
        DomainName=about["domain"],
        EngineVersion="OpenSearch_2.19",
        ClusterConfig={"InstanceType": "r7g.large.search", "InstanceCount": _NODES},
        EBSOptions={"EBSEnabled": True, "VolumeType": "gp3", "VolumeSize": 20},
        EncryptionAtRestOptions={"Enabled": True},
        NodeToNodeEncryptionOptions={"Enabled": True},
        DomainEndpointOptions={"EnforceHTTPS": True},
        AccessPolicies=_policy(place),
        **({"VPCOptions": within} if within else {}),
    )
    _measure(place, {"DomainName": str(about["domain"]), "ClientId": place.account})


def _policy(place: Place) -> str:
    resource = names.arn(place, "es", f"domain/{place.facts['search']['domain']}/*")
    principal = {"AWS": names.owner(place, "root")}
    allowed = {"Effect": "Allow", "Principal": principal, "Action": "es:*", "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def _measure(place: Place, of: dict[str, str]) -> None:
    number = names.number(place, "search")
    for at, (metric, night, day, noise, unit) in enumerate(_DAY):
        rhythm = rhythms.daily_rhythm(night, day, noise, number + at)
        place.metrics.baseline("AWS/ES", metric, of, rhythm, unit)
    for metric, value in _STEADY.items():
        place.metrics.baseline("AWS/ES", metric, of, partial(_steady, value), "Count")
    for colour in ("green", "yellow", "red"):
        about = "AWS/ES", f"ClusterStatus.{colour}", of
        place.metrics.baseline(*about, partial(_steady, float(colour == "green")), "Count")
        place.metrics.gauge(*about, partial(_is, place, colour), "Count")
    place.metrics.gauge("AWS/ES", "SearchableDocuments", of, partial(_searchable, place), "Count")
    place.metrics.gauge("AWS/ES", "ClusterIndexWritesBlocked", of, partial(_blocked, place))


def _searchable(place: Place) -> float:
    return float(sum(len(each["documents"]) for each in indices.held(place)["indices"].values()))


def _steady(value: float, minute: float) -> float:
    return value


def _is(place: Place, colour: str) -> float:
    return float(indices.colour(place) == colour)


def _blocked(place: Place) -> float:
    return float(bool(indices.held(place)["fault"].get("blocks")))


def fill(place: Place) -> None:
    """Each index of the file with the rows that belong into it, and its snapshots."""
    about = place.facts.get("search", {})
    for facts in about.get("indices", {}).values():
        index = indices.made(place, str(facts["index"]), facts.get("mapping"))
        index["created"] -= int(timedelta(days=200).total_seconds() * 1000)
        if "table" in facts and "fields" in facts:
            index["documents"] |= _rows(place, facts)
    _snapshots(place)


def _rows(place: Place, facts: Any) -> dict[str, Any]:
    """The rows that belong into an index, each as the document that the file describes."""
    fields = sql.SQL(", ").join(
        sql.SQL("{} AS {}").format(sql.Identifier(column), sql.Identifier(name))
        for name, column in facts.get("fields", {}).items()
    )
    made = sql.SQL(
        "SELECT {}::text, (SELECT row_to_json(d) FROM (SELECT {}) AS d) FROM {} WHERE {}"
    )
    table = sql.Identifier(*str(facts["table"]).split("."))
    where = sql.SQL(str(facts.get("where", "true")))
    asked = made.format(sql.Identifier(facts.get("id", "id")), fields, table, where)
    with place.database(names.database(place)) as database:
        database.execute("SET timezone = 'UTC'")
        return dict(database.execute(asked).fetchall())


def _snapshots(place: Place) -> None:
    """One an hour, with what was there at that time: documents say when they were made."""
    state, start = indices.held(place), names.start(place)
    kept = {
        name: {**index, "documents": dict(index["documents"])}
        for name, index in state["indices"].items()
    }
    made = state["snapshots"][REPOSITORY] = {}
    for ago in range(_HOURS, 0, -1):
        taken = start - timedelta(hours=ago) + timedelta(minutes=41)
        name = f"{taken:%Y-%m-%dt%H-%M-%S}.{names.number(place, f'snapshot {ago}'):08x}"
        made[name] = {"taken": taken, "indices": kept, "state": "SUCCESS"}
