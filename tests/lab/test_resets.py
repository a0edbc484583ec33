"""A reset leaves what seeding leaves, whatever was done before, and nothing of it."""

from __future__ import annotations

import gc
import io
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from moto.s3.utils import _VersionedKeyStore

from opslib.core.connections import targets
from opslib.lab import snapshots
from opslib.lab.aws import copies
from opslib.lab.corrections.ecs import services
from opslib.lab.corrections.rds import clusters
from opslib.lab.places import Place
from opslib.lab.server import opened
from opslib.lab.world import World

AN_HOUR = 3600
READS = {
    "lambda": ["list_functions", "list_event_source_mappings"],
    "sqs": ["list_queues"],
    "s3": ["list_buckets"],
    "rds": ["describe_db_clusters", "describe_db_instances", "describe_db_parameter_groups"],
    "logs": ["describe_log_groups"],
    "cloudwatch": ["list_metrics", "list_dashboards"],
    "secretsmanager": ["list_secrets"],
    "ec2": ["describe_vpcs", "describe_subnets", "describe_security_groups"],
    "acm": ["list_certificates"],
    "iam": ["list_users", "list_roles"],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The project's own targets, all of them used, in a lab that was reset once."""
    for name in targets.names():  # whatever another lab of this process left
        copies.forget(targets.load(name).account)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("opslib.lab.world._YOUNG_SECONDS", AN_HOUR)  # however slow this machine is
        world = stack.enter_context(opened(tmp_path_factory.mktemp("lab")))
        for name in list(world.places):
            world.place(name)
        world.reset()
        yield world


def told(place: Place) -> dict[str, Any]:
    """What the target says of itself: state, lists of every service,
    logs and metrics of its past.
    """
    world, end = place.world, place.world.started
    found: dict[str, Any] = {"state": snapshots.state(place)}
    for service, operations in READS.items():
        client = place.client(service)
        for operation in operations:
            answer = getattr(client, operation)()
            answer.pop("ResponseMetadata")
            for each in answer.get("DBClusters", answer.get("DBInstances", [])):
                for time in ("LatestRestorableTime", "EarliestRestorableTime"):  # they go with now
                    each.pop(time, None)
            found[operation] = answer
    for group in found["describe_log_groups"]["logGroups"]:
        group.pop("storedBytes")  # the day goes on
        events = place.client("logs").filter_log_events(
            logGroupName=group["logGroupName"],
            startTime=int((end - timedelta(hours=2)).timestamp() * 1000),
            endTime=int(end.timestamp() * 1000),
        )
        found[group["logGroupName"]] = [
            (each["timestamp"], each["message"]) for each in events["events"]
        ]
    store = place.metrics
    minute = end.timestamp() // 60 * 60 - 600
    found["values"] = {
        str(key): series.baseline(minute) for key, series in store.series.items() if series.baseline
    }
    found["overlays"] = {str(key): len(each.overlays) for key, each in store.series.items()}
    found["memory"] = sorted(set(place.memory) - {"statements at", "work"})
    found["faults"] = dict(place.faults)
    pool = place.memory.get("pool connections", [])
    found["pool"] = [connection.execute("SELECT 1").fetchone() for connection in pool]
    with world.postgres.connect() as database:
        roles = "SELECT rolname, rolpassword, rolconnlimit FROM pg_authid ORDER BY 1"
        found["roles"] = database.execute(roles).fetchall()
        settings = "SELECT datname, datconnlimit, datallowconn FROM pg_database ORDER BY 1"
        found["databases"] = database.execute(settings).fetchall()
    return found


def spoil(place: Place) -> None:
    """Changes something of everything."""
    lambda_, s3, sqs = place.client("lambda"), place.client("s3"), place.client("sqs")
    functions = place.backend("lambda")._lambdas._functions
    for name in list(functions)[:1]:
        lambda_.publish_version(FunctionName=name)
        lambda_.update_function_configuration(FunctionName=name, Timeout=7)
    for name in list(functions)[1:2]:
        lambda_.delete_function(FunctionName=name)
    for (*_, cluster, service), known in services.every():
        if known.shown["serviceArn"].split(":")[4] == place.account:
            place.client("ecs").update_service(cluster=cluster, service=service, desiredCount=5)
    for name in place.backend("sqs").queues:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.purge_queue(QueueUrl=url)
        sqs.send_message(QueueUrl=url, MessageBody="planted")
    for bucket in list(place.backend("s3").buckets):
        s3.put_object(Bucket=bucket, Key="planted", Body=b"x")
    place.client("dynamodb").create_table(
        TableName="planted",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for name in list(dict(place.backend("cloudwatch").alarms)):
        place.client("cloudwatch").delete_alarms(AlarmNames=[name])
    place.metrics.put("App", "Planted", {}, place.now(), 1.0)
    for name in list(dict(place.backend("secretsmanager").secrets)):
        place.client("secretsmanager").put_secret_value(SecretId=name, SecretString="planted")
    place.deny("s3:ListBuckets")
    postgres = place.world.postgres
    for database in postgres.databases():
        with postgres.connect(database) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS planted (id int)")
    postgres.create_role(f"planted_{place.account}", "a-password")
    postgres.limit_connections(postgres.databases()[0], 3)


@pytest.mark.slow
def test_a_reset_leaves_what_seeding_leaves(world: World) -> None:
    before = {name: told(place) for name, place in world.places.items()}
    copy, began = world._copy, world.started
    for place in world.places.values():
        spoil(place)
    world.settings["delay_ms"] = 5
    world.reset()
    assert world._copy is copy  # it was put back, not made anew
    for name, place in world.places.items():
        after = told(place)
        assert {what: after[what] for what in after if after[what] != before[name][what]} == {}, (
            name
        )
    assert (world.settings["delay_ms"], world.started) == (0, began)


@pytest.mark.slow
def test_drills_can_be_put_in_and_taken_out_after_a_reset(world: World) -> None:
    world.reset()
    before = {name: snapshots.state(place) for name, place in world.places.items()}
    drills = [(drill, place) for drill, places in world.drills() for place in places]
    for drill, place in drills[::7]:
        world.break_drill(drill.name, place.name)
        world.mend(drill.name, place.name)
    for drill, place in drills[3::7]:
        world.break_drill(drill.name, place.name)
    world.reset()
    assert world.broken == {}
    assert {name: snapshots.state(place) for name, place in world.places.items()} == before


@pytest.mark.slow
def test_nothing_of_the_time_before_a_reset_is_kept(world: World) -> None:
    place = next(each for each in world.places.values() if "functions" in each.facts)
    held = [
        weakref.ref(thing)
        for thing in (
            next(iter(place.backend("lambda")._lambdas._functions.values()))["latest"],
            next(iter(place.backend("logs").groups.values())),
            next(iter(place.backend("rds").clusters.values()), None) or place.metrics,
            place.metrics,
        )
    ]
    world.reset()
    gc.unfreeze()
    gc.collect()
    assert [ref() for ref in held] == [None] * len(held)


@pytest.mark.slow
def test_what_was_under_way_ends_with_a_reset(world: World) -> None:
    place = next(iter(world.places.values()))
    cluster = next(iter(place.backend("rds").clusters))
    call = type("Call", (), {"quiet": False, "operation": "Late"})()
    late: list[str] = []
    clusters.later(call, lambda: late.append(cluster), seconds=0.5)  # type: ignore[arg-type]
    world.reset()
    assert clusters._timers == set()
    assert late == []


@pytest.mark.slow
def test_a_lab_that_is_no_longer_young_is_seeded_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, copy = world.started, world._copy
    used = world.places["image-caption-prod"].target.system
    world._ready = frozenset({used})  # one system tells it as well as all, and sooner
    later = world.now() + timedelta(seconds=1.1 * AN_HOUR)
    monkeypatch.setattr(world, "now", lambda: later)
    world.reset()
    assert world._copy is not copy
    assert world.started == later != began


def test_every_version_of_an_object_is_put_back() -> None:
    """By default a copy of moto's store of objects would have the newest of each alone."""
    store = _VersionedKeyStore()
    for version in ("one", "two"):
        store["key"] = version
    written = io.BytesIO()
    writer = copies.Writer(written, [])
    writer.dump(store)
    made = copies.Reader(written.getvalue(), writer.lasting).load()
    assert made.getlist("key") == ["one", "two"]
