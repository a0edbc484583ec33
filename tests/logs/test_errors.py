"""Errors by kind: what they are, whom they concern, what follows.

And the one client that sends malformed requests.
"""

from __future__ import annotations

import functools
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opslib import connect
from opslib.core.checks import plots
from opslib.core.checks.signs import sign_of
from opslib.core.connections.connection import Connection
from opslib.core.reads import functions, logs
from opslib.core.reads.concerns import concerns, route
from opslib.core.tables import frame
from opslib.core.times import window
from opslib.logs import judged, troubles
from opslib.logs.kinds import KINDS
from tests import notebooks

TARGET, PLACE = "lab/loglineos-production", "loglineos-production"
MALFORMED = "malformed-requests"


def lines(*documents: dict[str, Any]) -> Any:
    start = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
    rows = [
        {
            "time": start + timedelta(seconds=at),
            "source": "loader",
            "message": json.dumps(each),
            "stream": "",
            "event_id": str(at),
        }
        for at, each in enumerate(documents)
    ]
    return frame(rows, logs.EVENTS)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Database connection failed: connection refused", "connection"),
        ("could not connect to server: Connection timed out", "connection"),
        ("FATAL: remaining connection slots are reserved for superusers", "connection"),
        ("Error: connect ETIMEDOUT 10.0.3.7:5432", "connection"),
        ("Invalid connection string", "connection"),
        ("ThrottlingException: Too many requests, please wait before trying again", "throttling"),
        ("too many connections for role", "connection"),
        ("eBay answered 429: Rate limited", "throttling"),
        ("2026-11-22T03:00:00Z 1b2c Task timed out after 30.00 seconds", "timeout"),
        ("canceling statement due to statement timeout", "timeout"),
        ("Validation failed: request timed out is not a field", "timeout"),  # the order decides
        ("Validation failed: missing field 'this'", "validation"),
        ('{"level": "ERROR", "message": "limit is invalid"}', "validation"),
        ("Invalid request body", "validation"),
        (
            "Invalid code received for user",
            "other",
        ),  # a login that is refused is no malformed request
        ("json.decoder.JSONDecodeError: Expecting value", "validation"),
        ("TypeError: Cannot read properties of undefined (reading 'payload')", "other"),
        ("AttributeError: 'NoneType' object has no attribute 'lower'", "other"),
        ("Traceback:\n  host = find(name)\nLookupError: not known", "other"),  # not in one line
    ],
)
def test_a_line_is_of_the_first_kind_that_fits(message: str, kind: str) -> None:
    assert sign_of(KINDS, message).name == kind


@pytest.mark.parametrize("target", [TARGET, "lab/bluemoxon-staging", "lab/bluemoxon-production"])
def test_a_good_day_passes_and_says_how_much_was_looked_at(lab: Any, target: str) -> None:
    ops = connect(target)
    found = troubles.check_kinds(ops)
    assert (found.worst, found.causes) == ("ok", set())
    assert "invocations" in found.note
    assert "log group" in found.note


@pytest.mark.slow
def test_nothing_found_is_said_with_how_much_was_looked_at(ops: Connection, lab: Any) -> None:
    lab.reset()  # so that nobody has called that function
    found = troubles.check_kinds(ops, "db-migration")
    assert [f.status for f in found] == ["ok"]
    assert found[0].seen.startswith("no line of trouble beside 0 invocations")
    assert found.evidence.empty
    assert plots.draw(found).png


def test_one_client_that_sends_malformed_requests_is_named(ops: Connection, lab: Any) -> None:
    with lab.broken(MALFORMED, PLACE):
        found = troubles.check_kinds(ops)
        errors = max(found.panels[1].lines[0].values, default=0)  # type: ignore[attr-defined]
    assert (found.worst, found.causes) == ("warn", {MALFORMED})
    named = next(f for f in found if f.cause)
    assert "user_id user-6202" in named.seen
    assert "route POST /spans" in named.seen
    assert "no deployment brought it" in named.seen
    assert errors <= 2  # what the code refuses is no error to Lambda
    kinds = found.evidence.set_index("kind")
    assert kinds.loc["validation", "now_per_hour"] > 0
    assert "Validation failed" in kinds.loc["validation", "example"]  # the newest


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("drill", "kind", "follows"),
    [
        ("connections-near-limit", "connection", "databases/health"),
        ("database-unavailable", "connection", "databases/health"),
        ("timeout-too-low", "timeout", "functions/latency"),
        ("bad-version", "other", "loglineos/rollback"),
    ],
)
def test_each_kind_leads_on_and_names_no_cause(
    ops: Connection, lab: Any, drill: str, kind: str, follows: str
) -> None:
    with lab.broken(drill, PLACE):
        found = troubles.check_kinds(ops)
    assert not found.causes
    one = next(f for f in found if f.check.endswith(kind))
    assert (one.status, one.next) == ("critical", follows)
    assert "an hour now" in one.seen


def test_the_version_that_brought_them_is_named(ops: Connection, lab: Any) -> None:
    with lab.broken("bad-version", PLACE):
        found, live = troubles.check_kinds(ops, "loader"), functions.live_version(ops, "loader")
    assert f"Version {live} of loader" in next(f.seen for f in found if f.status == "critical")


def test_validation_errors_of_many_clients_are_no_client(ops: Connection) -> None:
    many = lines(
        *({"user_id": f"user-{at}", "method": "POST", "path": "/spans"} for at in range(20))
    )
    assert [each.what for each in concerns(many)] == ["route"]
    one = lines(
        *({"user_id": "user-1", "method": "GET", "path": f"/spans/{at}"} for at in range(20))
    )
    assert [(each.what, each.value) for each in concerns(one)] == [
        ("user_id", "user-1"),
        ("route", "GET /spans/{id}"),
    ]
    assert concerns(one.head(4)) == []  # too few to say


def test_a_route_leaves_ids_open() -> None:
    assert route({"method": "GET", "path": "/books/515/images?page=2"}) == "GET /books/{id}/images"
    assert route({"path": "/spans/0a1b2c3d-1111-4222-8333-444455556666"}) == "/spans/{id}"
    assert route({"message": "no path"}) == ""


def test_lambdas_frame_is_no_line_of_trouble(ops: Connection, lab: Any) -> None:
    with lab.broken("bad-version", PLACE):
        assert (
            not troubles.read_troubles(ops, "loader", window(ops, 60))["message"]
            .str.startswith(("REPORT", "START", "END"))
            .any()
        )


def test_more_lines_than_are_read_is_said(
    ops: Connection, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judged, "_WHOLE", 10)
    monkeypatch.setattr(logs, "search", functools.partial(logs.search, limit=10))
    with lab.broken(MALFORMED, PLACE):
        found = troubles.check_kinds(ops)
    assert "10,000 lines" in next(f.seen for f in found if f.check == "all lines were read")


def test_a_service_that_throttles_is_told_from_an_error_of_the_code(lab: Any) -> None:
    with lab.broken("bedrock-throttling", "bluemoxon-staging"):
        found = troubles.check_kinds(connect("lab/bluemoxon-staging"))
    told = next(f for f in found if f.status != "ok")
    assert (told.check, told.status, told.next) == (
        "trouble of kind throttling",
        "critical",
        "logs/throttling",
    )


def test_patterns_of_each_kind_are_listed(ops: Connection, lab: Any) -> None:
    with lab.broken(MALFORMED, PLACE):
        found = troubles.show_patterns(ops).evidence
        shown = troubles.show_patterns(ops, most=1)
    assert found is not None
    assert list(found.columns) == list(troubles.PATTERNS)
    first = found[found["kind"] == "validation"].iloc[0]
    assert first["pattern"].startswith("ERROR: Validation failed")
    assert first["count"] > 20
    assert shown.evidence is not None
    assert len(shown.evidence) == 1


def test_denied_lines_are_unknown_and_denied_metrics_are_said(ops: Connection, lab: Any) -> None:
    with lab.denied("logs:FilterLogEvents", PLACE):
        found = troubles.check_kinds(ops)
    assert ({f.status for f in found}, found.causes) == ({"unknown"}, {"access-denied"})
    with lab.denied("cloudwatch:GetMetricData", PLACE):
        assert "invocations could not be counted" in troubles.check_kinds(ops).note


@pytest.mark.slow
def test_the_notebook_reads_only(lab: Any) -> None:
    before = lab.state(PLACE)
    left = notebooks.run("logs/errors")
    assert not left["ops"].findings.causes
    assert lab.state(PLACE) == before


@pytest.mark.parametrize(("streams", "named"), [(1, True), (2, False)])
def test_the_one_of_several_tasks_that_is_ill_is_named(lab: Any, streams: int, named: bool) -> None:
    ops = connect("lab/image-caption-prod")
    logs_of, group = ops.client("logs"), "/ecs/image-caption-gen-prod"
    names = [f"app/app/{at}f00d" for at in range(streams)]
    now = int(time.time() * 1000)
    try:
        for name in names:
            logs_of.create_log_stream(logGroupName=group, logStreamName=name)
            events = [
                {"timestamp": now - 60_000 + at, "message": "ERROR No space left on device"}
                for at in range(30)
            ]
            logs_of.put_log_events(logGroupName=group, logStreamName=name, logEvents=events)
        found = troubles.check_kinds(ops)
    finally:
        for name in names:
            logs_of.delete_log_stream(logGroupName=group, logStreamName=name)
    told = next(each for each in found if each.check == "trouble of kind full")
    assert ("one task, 0f00d: stop that one" in told.seen) == named
