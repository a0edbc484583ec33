"""bluemoxon in the lab: what it holds, what its API says, what its functions do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from opslib import connect
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import query as sql_query
from opslib.core.connections.sql import value as sql_value
from opslib.core.reads import logs
from opslib.core.times import Window

TARGETS = ("bluemoxon-staging", "bluemoxon-production")


@pytest.fixture
def ops(lab: Any) -> Connection:
    return connect("lab/bluemoxon-staging")


@pytest.fixture(params=TARGETS)
def each(lab: Any, request: pytest.FixtureRequest) -> Connection:
    return connect(f"lab/{request.param}")


@pytest.fixture
def restored(lab: Any) -> Iterator[Any]:
    """For a test that changes what no drill takes back."""
    yield lab
    lab.reset()


def _eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.3)


def _scan(ops: Connection, name: str) -> Any:
    return ops.http("POST", f"/admin/maintenance/{name}-scan", auth=True).body


def test_every_function_is_as_the_target_describes_it(each: Connection) -> None:
    for facts in each.target["functions"].values():
        config = each.call(
            "lambda", "get_function_configuration", FunctionName=facts["name"], Qualifier="live"
        )
        assert (config["Timeout"], config["MemorySize"]) == (
            facts["timeout_seconds"],
            facts["memory_mb"],
        )
        assert set(config["Environment"]["Variables"]) == set(facts["variables"])
        assert int(config["Version"]) > 1


def test_nothing_rings_in_a_healthy_lab(each: Connection) -> None:
    found = each.pages("cloudwatch", "describe_alarms", "MetricAlarms[]")
    assert {alarm["AlarmName"] for alarm in found} == set(each.target["alarms"]["expected"])
    assert {alarm["StateValue"] for alarm in found} == {"OK"}


def test_the_metrics_count_what_the_log_tells(each: Connection) -> None:
    end = each.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    start = end - timedelta(hours=6)
    told = len(logs.search(each, "api", '"REPORT RequestId"', Window(start, end)))
    counted = each.call(
        "cloudwatch",
        "get_metric_statistics",
        Namespace="AWS/Lambda",
        MetricName="Invocations",
        Period=21600,
        Dimensions=[{"Name": "FunctionName", "Value": each.target["functions"]["api"]["name"]}],
        StartTime=start,
        EndTime=end,
        Statistics=["Sum"],
    )["Datapoints"]
    # Lines of a request that begins in the last second of a minute may end in the next.
    assert sum(point["Sum"] for point in counted) == pytest.approx(told, abs=5)
    assert told > 1000


def test_log_streams_are_named_by_version_and_lines_are_json(ops: Connection) -> None:
    found = logs.search(
        ops,
        "api",
        '{ $.path = "/api/v1/books" }',
        Window(ops.now() - timedelta(hours=1), ops.now()),
    )
    line = json.loads(found["message"].iloc[0])
    assert {"level", "timestamp", "request_id", "method", "path", "status", "latency_ms"} <= set(
        line
    )
    assert found["stream"].str.fullmatch(r"\d{4}/\d\d/\d\d/\[6\][0-9a-f]{32}").all()


def test_each_image_of_the_table_is_a_jpeg_in_the_bucket(each: Connection) -> None:
    bucket = each.target["buckets"]["images"]["name"]
    keys = sql_query(each, "SELECT s3_key FROM book_images ORDER BY id")["s3_key"]
    listed = each.pages("s3", "list_objects_v2", "Contents[]", Bucket=bucket, Prefix="books/")
    assert {held["Key"] for held in listed} == {f"books/{key}" for key in keys}
    assert all(each.now() - held["LastModified"] > timedelta(days=1) for held in listed)
    body = each.call("s3", "get_object", Bucket=bucket, Key=f"books/{keys[0]}")["Body"].read()
    assert Image.open(BytesIO(body)).format == "JPEG"


def test_every_user_of_the_pool_has_a_row(each: Connection) -> None:
    pool = each.pages("cognito-idp", "list_user_pools", "UserPools[].Id", MaxResults=10)[0]
    users = each.pages("cognito-idp", "list_users", "Users[]", UserPoolId=pool)
    subs = {a["Value"] for user in users for a in user["Attributes"] if a["Name"] == "sub"}
    assert subs == set(sql_query(each, "SELECT cognito_sub::text AS sub FROM users")["sub"])
    assert len(subs) >= 8


def test_snapshots_of_the_last_days_are_there(each: Connection) -> None:
    found = each.pages(
        "rds", "describe_db_cluster_snapshots", "DBClusterSnapshots[]", SnapshotType="automated"
    )
    assert len(found) == each.target["database"]["backup_days"]
    newest = max(snapshot["SnapshotCreateTime"] for snapshot in found)
    # some six hours before the lab's start, or earlier where maintenance is then
    assert each.now() - newest < timedelta(hours=12)


def test_deep_health_is_nested_in_staging_and_flat_in_production(lab: Any) -> None:
    staging, production = (
        connect(f"lab/{target}").http("GET", "/health/deep").body for target in TARGETS
    )
    assert staging["checks"]["bedrock"]["status"] == "skipped"
    assert staging["checks"]["database"]["latency_ms"] > 0
    assert production == {"status": "healthy", "database": "ok", "s3": "ok", "cognito": "ok"}


@pytest.mark.slow
def test_readiness_follows_the_real_database(ops: Connection, restored: Any) -> None:
    secret = ops.target["database"]["secret"]
    held = json.loads(
        ops.call("secretsmanager", "get_secret_value", SecretId=secret)["SecretString"]
    )
    wrong = json.dumps({**held, "password": "not-the-password"})
    ops.call("secretsmanager", "put_secret_value", SecretId=secret, SecretString=wrong)
    answer = ops.http("GET", "/health/ready")
    assert answer.status == 503
    assert "password authentication failed" in answer.body["database"]


def test_the_admins_paths_want_the_token(ops: Connection) -> None:
    assert ops.http("POST", "/admin/maintenance/orphan-scan").status == 401
    assert ops.http("POST", "/admin/maintenance/orphan-scan", auth=True).status == 200


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/books/9999", 404), ("/books?limit=x", 422)]
)
def test_what_is_not_there_is_said(ops: Connection, path: str, status: int) -> None:
    answer = ops.http("GET", path)
    assert (answer.status, list(answer.body)) == (status, ["detail"])


@pytest.mark.slow
def test_an_analysis_is_queued_runs_and_completes(ops: Connection, restored: Any) -> None:
    begun = ops.http("POST", "/books/480/analysis/generate-async", {"model": "opus"})
    assert (begun.status, begun.body["status"]) == (202, "queued")
    assert ops.http("POST", "/books/480/analysis/generate-async", {"model": "opus"}).status == 409
    _eventually(lambda: ops.http("GET", "/books/480").body["analysis_job_status"] == "completed")
    lines = logs.search(
        ops,
        "analysis-worker",
        f'"{begun.body["job_id"]}"',
        Window(ops.now() - timedelta(minutes=1), ops.now()),
    )
    assert len(lines) == 2
    assert restored.state()["sqs"]["bluemoxon-staging-analysis"]["messages"] == []


def test_the_orphan_cleanup_deletes_what_the_scan_counted(lab: Any, ops: Connection) -> None:
    assert _scan(ops, "orphan")["orphans"] == 0
    with lab.broken("orphans"):
        scan = _scan(ops, "orphan")
        assert (scan["orphans"], sum(group["count"] for group in scan["groups"])) == (23, 23)
        assert ops.http("POST", "/admin/maintenance/orphan-cleanup", {}, auth=True).status == 400
        assert _scan(ops, "orphan")["orphans"] == 23, "unconfirmed, it deletes nothing"
        done = ops.http(
            "POST", "/admin/maintenance/orphan-cleanup", {"confirm": True}, auth=True
        ).body
        assert (done["deleted"], done["bytes_freed"]) == (23, scan["orphan_bytes"])
        assert _scan(ops, "orphan")["orphans"] == 0


@pytest.mark.slow
def test_db_sync_copies_production_over_staging_and_only_there(
    ops: Connection, restored: Any
) -> None:
    production = restored.state("bluemoxon-production")
    name = ops.target["functions"]["db-sync"]["name"]
    before = restored.state()
    dry = ops.call("lambda", "invoke", FunctionName=name, Payload={"dry_run": True})["Payload"]
    assert restored.state() == before
    done = ops.call("lambda", "invoke", FunctionName=name, Payload={})["Payload"]
    assert {k: done[k] for k in ("database", "images", "cognito")} == {
        k: dry[k] for k in ("database", "images", "cognito")
    }
    here, there = (
        restored.state()["sql"]["bluemoxon_staging"],
        production["sql"]["bluemoxon_production"],
    )
    for table in ("public.books", "public.book_images", "public.listings", "public.analysis_jobs"):
        assert here[table] == there[table]
    assert here["public.users"] == before["sql"]["bluemoxon_staging"]["public.users"]
    assert restored.state("bluemoxon-production") == production
    assert _scan(ops, "orphan")["orphans"] == 0


def test_the_cognito_sync_gives_a_latecomer_a_row(lab: Any, ops: Connection) -> None:
    before = lab.state()
    with lab.broken("user-not-synced"):
        name = ops.target["functions"]["db-sync"]["name"]
        done = ops.call("lambda", "invoke", FunctionName=name, Payload={"cognito_only": True})[
            "Payload"
        ]
        assert done["cognito"] == {"created": 1, "updated": 0, "unchanged": 8}
        assert (
            sql_value(ops, "SELECT count(*) FROM users WHERE email = 'new.collector@example.com'")
            == 1
        )
    assert lab.state() == before


@pytest.mark.slow
def test_the_same_seed_gives_the_same_lab(lab: Any) -> None:
    before = lab.state()
    lab.reset()
    after = lab.state()
    assert after["s3"] == before["s3"]
    assert after["ec2"] == before["ec2"]
    assert after["cognito"] == before["cognito"]
