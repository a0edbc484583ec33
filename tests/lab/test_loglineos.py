"""loglineos in the lab.

What it holds, what its API says, what its functions do, and how a drill changes its traffic.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from opslib import connect
from opslib.core.connections.connection import Connection
from opslib.core.connections.sql import value as sql_value
from opslib.core.reads import logs
from opslib.core.times import Window
from opslib.lab.traffic.traffic import CRASHED, THROTTLED, Request
from opslib.lab.traffic.troubles import Trouble, applied
from opslib.metrics import dashboards
from tests import notebooks

TARGET = "loglineos-production"
SPAN = {"entity_type": "test", "who": "somebody", "this": "a test"}


@pytest.fixture
def ops(lab: Any) -> Connection:
    return connect(f"lab/{TARGET}")


@pytest.fixture
def restored(lab: Any) -> Iterator[Any]:
    """For a test that changes what no drill takes back."""
    yield lab
    lab.reset()


def _sum(
    ops: Connection, metric: str, start: datetime, end: datetime, namespace: str = "AWS/Lambda"
) -> float:
    function = [{"Name": "FunctionName", "Value": ops.target["functions"]["loader"]["name"]}]
    points = ops.call(
        "cloudwatch",
        "get_metric_statistics",
        Namespace=namespace,
        MetricName=metric,
        Period=3600,
        Statistics=["Sum"],
        Dimensions=function if namespace == "AWS/Lambda" else [],
        StartTime=start,
        EndTime=end,
    )["Datapoints"]
    return float(sum(point["Sum"] for point in points))


def _hours(ops: Connection, hours: int) -> Window:
    end = ops.now().replace(second=0, microsecond=0) - timedelta(minutes=10)
    return Window(end - timedelta(hours=hours), end)


def test_every_function_is_as_the_target_describes_it(ops: Connection) -> None:
    for facts in ops.target["functions"].values():
        given = {"Qualifier": facts["alias"]} if "alias" in facts else {}
        config = ops.call(
            "lambda", "get_function_configuration", FunctionName=facts["name"], **given
        )
        assert (config["Timeout"], config["MemorySize"]) == (
            facts["timeout_seconds"],
            facts["memory_mb"],
        )
        assert set(config["Environment"]["Variables"]) == set(facts["variables"])
        assert config["Version"] == ("7" if "alias" in facts else "$LATEST")


def test_nothing_rings_in_a_healthy_lab(ops: Connection) -> None:
    found = ops.pages("cloudwatch", "describe_alarms", "MetricAlarms[]")
    assert {alarm["AlarmName"] for alarm in found} == set(ops.target["alarms"]["expected"])
    assert {alarm["StateValue"] for alarm in found} == {"OK"}


def test_the_metrics_count_what_the_log_tells(ops: Connection) -> None:
    within = _hours(ops, 6)
    told = len(logs.search(ops, "loader", '"REPORT RequestId"', within))
    # Lines of a request that begins in the last second of a minute may end in the next.
    assert _sum(ops, "Invocations", within.start, within.end) == pytest.approx(told, abs=5)
    assert told > 1000
    made = logs.search(
        ops, "loader", '{ $.method = "POST" && $.path = "/spans" && $.status = 201 }', within
    )
    created = _sum(ops, "SpansCreated", within.start, within.end, ops.target["metrics_namespace"])
    assert created == pytest.approx(len(made), abs=5)
    assert created > 200


def test_what_fails_on_a_good_day_is_rare_and_counted(ops: Connection) -> None:
    within = _hours(ops, 23)
    found = logs.search(ops, "loader", logs.error_pattern(ops), within)
    kinds = Counter(
        "timeout" if "timed out" in text else json.loads(text)["message"]
        for text in found["message"]
    )
    assert {kind.split(":")[0] for kind in kinds} <= {
        "Validation failed",
        "Execution failed",
        "Database connection failed",
        "timeout",
    }
    per_hour = found.groupby(found["time"].dt.floor("h")).size()
    assert 5 < len(found) < 60
    assert per_hour.max() <= ops.target["logs"]["errors_per_hour"]
    failed = sum(
        number for kind, number in kinds.items() if kind.startswith(("timeout", "Database"))
    )
    assert _sum(ops, "Errors", within.start, within.end) == pytest.approx(failed, abs=1)


def test_some_requests_start_a_new_environment(ops: Connection) -> None:
    within = _hours(ops, 12)
    cold = logs.search(ops, "loader", '"Init Duration"', within)["message"]
    took = [float(text.partition("Init Duration: ")[2].split()[0]) for text in cold]
    assert 600 < min(took) <= max(took) < 900
    assert 1 / 120 < len(took) / _sum(ops, "Invocations", within.start, within.end) < 1 / 30


@pytest.mark.slow
def test_health_is_told_of_the_real_database(ops: Connection, restored: Any) -> None:
    body = ops.http("GET", "/health").body
    assert (body["status"], body["database"]) == ("healthy", "connected")
    assert body["environment"] == "production"
    secret = ops.target["database"]["secret"]
    held = json.loads(
        ops.call("secretsmanager", "get_secret_value", SecretId=secret)["SecretString"]
    )
    wrong = json.dumps({**held, "password": "not-the-password"})
    ops.call("secretsmanager", "put_secret_value", SecretId=secret, SecretString=wrong)
    answer = ops.http("GET", "/health")
    assert (answer.status, answer.body["database"]) == (503, "disconnected")
    assert "password authentication failed" in answer.body["error"]
    assert ops.http("GET", "/spans").status == 500
    within = Window(ops.now() - timedelta(minutes=1), ops.now() + timedelta(seconds=1))
    assert len(logs.search(ops, "loader", '"Database connection failed"', within)) == 2


@pytest.mark.slow
def test_a_span_is_written_and_read_back(ops: Connection, restored: Any) -> None:
    made = ops.http("POST", "/spans", SPAN)
    assert made.status == 201
    assert made.body["owner_id"] == "opslib"
    assert ops.http("GET", f"/spans?id={made.body['id']}").body["spans"] == [made.body]
    assert ops.http("GET", "/spans?entity_type=test&limit=1").body["spans"] == [made.body]
    assert ops.http("GET", "/timeline?limit=1").body["timeline"] == [made.body]
    ran = ops.http("POST", "/executions", {"span_id": made.body["id"]})
    assert (ran.status, ran.body["parent_id"], ran.body["did"]) == (
        201,
        made.body["id"],
        "executed",
    )
    assert (
        sql_value(ops, "SELECT count(*) FROM ledger.universal_registry WHERE owner_id = 'opslib'")
        == 2
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        (
            "POST",
            "/spans",
            {"entity_type": "test", "who": "x"},
            400,
            "validation failed: missing field 'this'",
        ),
        ("POST", "/executions", {}, 400, "validation failed: missing field 'span_id'"),
        (
            "GET",
            "/spans?limit=many",
            None,
            400,
            "validation failed: limit must be a number from 1, not 'many'",
        ),
        (
            "GET",
            "/spans?id=7",
            None,
            400,
            'validation failed: invalid input syntax for type uuid: "7"',
        ),
        ("GET", "/spam", None, 404, "Not Found"),
        ("DELETE", "/spans", None, 405, "Method Not Allowed"),
    ],
)
def test_what_cannot_be_done_is_refused(
    ops: Connection, method: str, path: str, body: Any, status: int, error: str
) -> None:
    answer = ops.http(method, path, body)
    assert (answer.status, answer.body) == (status, {"error": error})


def test_a_caller_without_a_name_is_refused(ops: Connection) -> None:
    event = {"httpMethod": "GET", "path": "/production/spans", "headers": {}}
    assert _invoke(ops, event) == (401, {"error": "Missing header X-User-Id"})


def test_the_loader_answers_an_event_as_the_api_does(ops: Connection) -> None:
    event = {"httpMethod": "GET", "path": "/production/health", "headers": {}}
    status, body = _invoke(ops, event)
    assert (status, body["status"], body["database"]) == (200, "healthy", "connected")


def _invoke(ops: Connection, event: dict[str, Any]) -> tuple[int, Any]:
    name = ops.target["functions"]["loader"]["name"]
    payload = json.dumps(event).encode()
    answer = ops.call(
        "lambda", "invoke", FunctionName=name, Qualifier="production", Payload=payload
    )["Payload"]
    return answer["statusCode"], json.loads(answer["body"])


def test_the_migration_function_finds_nothing_to_do(lab: Any, ops: Connection) -> None:
    before = lab.state(TARGET)
    name = ops.target["functions"]["db-migration"]["name"]
    answer = ops.call("lambda", "invoke", FunctionName=name, Payload=b"{}")["Payload"]
    assert answer == {"status": "success", "previous": "0007", "current": "0007", "applied": []}
    assert lab.state(TARGET) == before


def test_a_real_request_is_in_the_log_and_counted(ops: Connection) -> None:
    began = ops.now()
    before = _sum(ops, "Invocations", began - timedelta(hours=1), began + timedelta(hours=1))
    ops.http("GET", "/spans?limit=3")
    found = logs.search(
        ops, "loader", '{ $.user_id = "opslib" && $.path = "/spans" }', Window(began, ops.now())
    )
    assert len(found) == 1
    line = json.loads(found["message"].iloc[0])
    assert {
        "level",
        "timestamp",
        "request_id",
        "method",
        "path",
        "status",
        "duration_ms",
        "user_id",
    } == set(line)
    assert _sum(ops, "Invocations", began - timedelta(hours=1), began + timedelta(hours=1)) > before


def test_the_dashboard_is_drawn_whatever_shorthand_it_is_written_in(ops: Connection) -> None:
    page = dashboards.check_dashboard(ops, "production")
    assert {finding.status for finding in page} == {"ok"}
    assert page.evidence is not None
    lines = page.evidence.set_index(["widget", "line"])
    assert (
        lines.loc[("Loader duration", "p95"), "now"]
        > lines.loc[("Loader duration", "average"), "now"]
    )
    assert set(lines.loc["Answers"].index) == {"Count", "4xx", "5xx"}
    assert list(lines.loc["Error rate"].index) == ["error rate"]
    assert 0 < lines.loc[("Free storage", "free storage"), "now"] < 100
    assert "(text)" in page.note


@pytest.mark.some(5)
@pytest.mark.parametrize(
    ("procedure", "given"),
    [
        ("health/quick", {}),
        ("health/deep", {}),
        ("metrics/dashboard", {"dashboard": "production"}),
        ("alarms/review", {}),
        ("functions/rollback", {"function": "loader"}),
        ("functions/configuration", {"function": "loader"}),
        ("logs/search", {"function": "loader"}),
        ("databases/health", {}),
        ("reports/daily", {}),
    ],
)
def test_a_healthy_system_is_called_healthy(
    lab: Any, records_folder: Any, procedure: str, given: dict[str, Any]
) -> None:
    found = notebooks.run(procedure, target=f"lab/{TARGET}", **given)["ops"].findings
    assert [finding for finding in found if finding.status != "ok"] == []
    assert found.causes == set()


# Troubles: what a drill changes of the traffic.

_MINUTE = datetime(2026, 11, 22, 10, 30, tzinfo=UTC).timestamp()
_ASKED = tuple(
    Request(f"id-{at}", float(at), method, path, 200, 40.0)
    for at, (method, path) in enumerate(
        [("GET", "/spans"), ("POST", "/spans"), ("GET", "/health")] * 10
    )
)


def _with(**given: Any) -> tuple[Request, ...]:
    since = given.pop("since", datetime.fromtimestamp(_MINUTE, UTC))
    place: Any = SimpleNamespace(faults={"traffic": {"a drill": (Trouble(since, **given),)}})
    return tuple(applied(place, _MINUTE, _ASKED))


def _changed(asked: tuple[Request, ...]) -> list[Request]:
    return [request for request in asked if request not in _ASKED]


def test_a_trouble_is_of_its_route_and_time_only() -> None:
    slower = _changed(_with(route=("GET", "/spans"), factor=20))
    assert {(request.path, request.method, request.latency_ms) for request in slower} == {
        ("/spans", "GET", 800.0)
    }
    assert len(slower) == 10
    late = _changed(
        _with(since=datetime.fromtimestamp(_MINUTE + 15, UTC), route=("GET", "/spans"), factor=20)
    )
    assert [request.second for request in late] == [15.0, 18.0, 21.0, 24.0, 27.0]
    assert not _changed(_with(since=datetime.fromtimestamp(_MINUTE + 60, UTC), factor=20))
    assert not _changed(
        _with(
            since=datetime.fromtimestamp(0, UTC),
            until=datetime.fromtimestamp(_MINUTE, UTC),
            factor=20,
        )
    )


def test_a_share_is_the_same_each_time_and_health_checks_are_left_alone() -> None:
    first = _changed(_with(share=0.5, init_ms=(2700, 2900)))
    assert first == _changed(_with(share=0.5, init_ms=(2700, 2900)))
    assert 4 < len(first) < 16
    assert all(2700 <= request.init_ms <= 2900 and request.path != "/health" for request in first)


def test_what_fails_and_what_is_throttled_are_told_apart() -> None:
    assert {request.outcome for request in _changed(_with(status=500, message="no"))} == {CRASHED}
    throttled = _changed(_with(throttled=True))
    assert {(request.outcome, request.status) for request in throttled} == {(THROTTLED, 429)}


def test_requests_are_added_in_their_order() -> None:
    more = _with(
        route=("POST", "/spans"), added=6, status=400, message="Validation failed", user="user-0007"
    )
    assert len(_changed(more)) == 6
    assert len(more) == len(_ASKED) + 6
    assert [request.second for request in more] == sorted(request.second for request in more)
    assert {(request.user, request.status) for request in _changed(more)} == {("user-0007", 400)}


def test_a_burst_is_in_the_first_minutes_of_its_period() -> None:
    trouble = Trouble(datetime.fromtimestamp(0, UTC), bursts=(10, 3))
    begins = _MINUTE // 600 * 600
    assert [trouble.touches(begins + 60 * at) for at in range(10)] == [at < 3 for at in range(10)]
