"""Quick and deep health: what an answer proves, whatever its shape, and what no answer means."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from opslib import connect
from opslib.core.connections.connection import Connection
from opslib.core.connections.http import Api
from opslib.core.findings import Findings
from opslib.health import health
from tests import notebooks

TARGET = "lab/bluemoxon-staging"
Answering = Callable[..., Any]


@pytest.fixture
def answering(lab: Any) -> Iterator[Answering]:
    """A connection whose API is a server that answers every path, or those given, as told."""
    servers = []

    def serve(
        status: int,
        text: str,
        kind: str = "application/json",
        wait: float = 0,
        **paths: tuple[int, str],
    ) -> Any:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                time.sleep(0 if name in paths else wait)
                code, body = paths.get(name, (status, text))
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        ops = connect(TARGET)
        point(ops, f"http://127.0.0.1:{server.server_port}")
        ops.target.facts["api"]["slow_seconds"] = 0.2
        return ops

    yield serve
    for server in servers:
        server.shutdown()


def point(ops: Connection, url: str) -> None:
    """Its API is there from now on, and is waited for half a second."""
    ops._access = replace(ops._access, api=Api(url, timeout_seconds=0.5))


def statuses(found: Findings) -> dict[str, str]:
    return {f.check: f.status for f in found}


def test_every_probe_of_a_healthy_system_passes_and_shows_its_version(lab: Any) -> None:
    found = health.check_probes(connect(TARGET))
    assert found.worst == "ok"
    assert len(found) == 4
    assert found.evidence is not None
    assert "version" in found.evidence.set_index("path").loc["/health/version", "answer"]
    told = {f.check.split(":")[0]: f.seen for f in found}
    assert " s: version 20" in told["/health/version"], "also where only the finding is seen"
    assert "git_sha" in told["/health/info"]
    assert "deployed_at" in told["/health/info"]


def test_deep_health_lists_each_dependency_and_skipped_is_not_a_failure(lab: Any) -> None:
    found = health.check_dependencies(connect(TARGET))
    assert found.worst == "ok"
    assert found.evidence is not None
    kept = dict(zip(found.evidence["dependency"], found.evidence["status"], strict=True))
    assert kept == {"database": "ok", "s3": "ok", "cognito": "ok", "bedrock": "skipped"}


def test_production_answers_flat_and_is_read_as_well(lab: Any) -> None:
    found = health.check_dependencies(connect("lab/bluemoxon-production"))
    assert statuses(found)["dependency s3"] == "ok"
    assert found.worst == "ok"


NESTED = {
    "status": "degraded",
    "timestamp": "2026-11-22T10:00:00Z",
    "checks": {
        "database": {"status": "healthy", "latency_ms": 12.5},
        "s3": {"status": "error", "reason": "NoSuchBucket: it is gone"},
        "cognito": {"status": "skipped", "reason": "not configured"},
        "bedrock": {"healthy": True, "latency_seconds": 0.25},
    },
}


def test_maintenance_mode_is_known_by_its_answer_and_leads_to_its_switch(
    answering: Answering,
) -> None:
    body = '{"status": "maintenance"}'
    ops = answering(503, body)
    assert {f.next for f in health.check_probes(ops)} == {"health/deep"}
    ops.target.facts["maintenance_mode"] = {"load_balancer": "alb", "body": body}
    found = health.check_probes(ops)
    assert {(f.status, f.next) for f in found} == {("critical", "edge/maintenance-mode")}


def test_a_503_with_a_body_names_the_dependency_and_where_to_go(answering: Answering) -> None:
    found = health.check_dependencies(answering(503, json.dumps(NESTED)))
    assert statuses(found)["dependency s3"] == "critical"
    assert statuses(found)["dependency cognito"] == "ok"
    assert found.worst_first()[0].next == "buckets/create"
    assert found.causes == set()


def test_a_gateway_that_gives_up_leads_to_the_network(answering: Answering) -> None:
    found = health.check_dependencies(answering(503, '{"message": "Service Unavailable"}'))
    assert [(f.status, f.next) for f in found] == [("critical", "network/endpoints")]


@pytest.mark.parametrize(
    ("status", "body", "follow"),
    [
        (500, '{"detail": "Internal Server Error: KeyError(\'password\')"}', "logs/search"),
        (
            503,
            '{"cognito": "error: ResourceNotFoundException: User pool x does not exist."}',
            "changes/configuration",
        ),
        (503, '{"cognito": "error: Connect timeout on endpoint URL"}', "network/endpoints"),
    ],
)
def test_what_the_answer_says_of_the_cause_leads_on(
    answering: Answering, status: int, body: str, follow: str
) -> None:
    assert health.check_dependencies(answering(status, body))[0].next == follow


def test_a_deep_check_that_hangs_while_the_api_is_alive_waits_for_a_dependency(
    answering: Answering,
) -> None:
    found = health.check_dependencies(answering(200, "{}", wait=1, live=(200, '{"status": "ok"}')))
    assert [(f.status, f.cause, f.next) for f in found] == [("critical", "", "network/endpoints")]
    assert "did not answer within 0.5 s" in found[0].seen
    assert "a dependency does not answer" in found[0].seen


@pytest.mark.some(2)
@pytest.mark.parametrize("look", [health.check_probes, health.check_dependencies])
def test_html_404_slowness_and_silence_are_told_apart(
    answering: Answering, look: Callable[..., Findings]
) -> None:
    page = "<!doctype html><html><head><title>Log in</title></head><body>hello</body></html>"
    html = look(answering(200, page, "text/html"))
    assert html.causes == {"api-html"}
    assert "Log in" in html[0].seen
    assert look(answering(404, '{"message":"Not Found"}')).causes == {"api-404"}
    assert look(answering(200, '{"database": "ok"}', wait=0.3)).causes == {"api-slow"}
    assert look(answering(200, "{}", wait=1)).causes == {"api-slow"}
    gone = answering(200, "{}")
    point(gone, "http://127.0.0.1:1")
    silent = look(gone)
    assert silent.causes == {"api-unreachable"}
    assert silent.worst == "critical"


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("cause", "status", "said"),
    [
        (urllib3.exceptions.ReadTimeoutError, "critical", "did not answer within 0.5 s"),
        (urllib3.exceptions.ConnectTimeoutError, "critical", "cannot be reached"),
        (urllib3.exceptions.NameResolutionError, "critical", "cannot be reached"),
        (urllib3.exceptions.NewConnectionError, "critical", "cannot be reached"),
        (urllib3.exceptions.ProtocolError, "critical", "cannot be reached"),
        (urllib3.exceptions.SSLError, "critical", "certificate has expired"),
        (urllib3.exceptions.ProxyError, "unknown", "cannot be reached"),
    ],
)
@pytest.mark.parametrize("look", [health.check_probes, health.check_dependencies])
def test_an_api_that_does_not_answer_its_users_is_critical(
    answering: Answering,
    monkeypatch: pytest.MonkeyPatch,
    look: Callable[..., Findings],
    cause: type[Exception],
    status: str,
    said: str,
) -> None:
    """Only a proxy of ours, which does not let us through, says nothing of its users."""
    error = cause.__new__(cause)
    Exception.__init__(error, "certificate has expired")

    def silent(*_: Any, **__: Any) -> None:
        raise error

    ops = answering(200, "{}")
    monkeypatch.setattr(urllib3.PoolManager, "request", silent)
    found = look(ops)
    assert {f.status for f in found} == {status}
    assert said in found[0].seen
    assert not {f.next for f in found} & {"health/quick", "health/deep", ""}


@pytest.mark.some(4)
@pytest.mark.parametrize("drill", ["api-unreachable", "api-slow", "api-html", "api-404"])
@pytest.mark.parametrize("procedure", ["health/quick", "health/deep"])
def test_each_drill_of_the_api_is_named(lab: Any, drill: str, procedure: str) -> None:
    assert notebooks.run(procedure, target=TARGET)["ops"].findings.causes == set()
    with lab.broken(drill):
        assert notebooks.run(procedure, target=TARGET)["ops"].findings.causes == {drill}


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("body", "status", "seen"),
    [
        ('{"status": "not_ready"}', "critical", "is ill: status: not_ready"),
        ('{"checks": {"db": {"success": false}}}', "critical", "checks.db.success: false"),
        ('{"checks": {"db": null}}', "unknown", "not understood: checks.db: null"),
        ('{"status": "ok", "maintenance": true}', "warn", "is degraded: maintenance: true"),
        ("Hello, World!", "unknown", "not understood: Hello, World!"),
        ("", "ok", "200 in "),
        ('{"version": "1.2"}', "ok", "200 in "),
        ("Healthy", "ok", "200 in "),
    ],
)
def test_a_probe_that_answers_200_is_as_well_as_its_body_says(
    answering: Answering, body: str, status: str, seen: str
) -> None:
    found = health.check_probes(answering(200, body))
    assert {f.status for f in found} == {status}
    assert seen in found[0].seen


@pytest.mark.some(3)
@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        ('{"status": "unhealthy", "checks": {"db": {"status": "ok"}}}', ["critical", "ok"]),
        ('{"status": "ok", "checks": {"db": "ok", "db": "down"}}', ["critical", "critical"]),
        ('{"status": "ok", "checks": {"db": null}}', ["unknown", "unknown"]),
        ('{"status": "ok", "checks": ["db"]}', ["unknown", "unknown"]),
        ('{"status": "degraded", "checks": {"db": "ok"}}', ["warn", "ok"]),
        ("Healthy", ["ok"]),
        ("Unhealthy", ["critical"]),
        ("", ["unknown"]),
        ("{}", ["unknown"]),
    ],
)
def test_deep_health_is_as_well_as_the_whole_and_each_part(
    answering: Answering, body: str, statuses: list[str]
) -> None:
    assert [f.status for f in health.check_dependencies(answering(200, body))] == statuses


def test_rails_green_page_is_well_and_another_page_is_not(answering: Answering) -> None:
    page = '<!DOCTYPE html><html><body style="background-color: {}"></body></html>'
    for colour, expected in (("green", "ok"), ("red", "critical"), ("white", "critical")):
        found = health.check_probes(answering(200, page.format(colour), "text/html"))
        assert found.worst == expected
