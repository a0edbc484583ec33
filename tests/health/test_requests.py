"""One request to the API: what is expected of it, what is sent, and nothing in a preview."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from opslib import apply, health
from opslib.core.connections.connection import Connection
from opslib.core.connections.http import Response
from opslib.core.errors import Lost, UsageError
from tests import notebooks
from tests.health.test_health import point

TARGET = "lab/bluemoxon-staging"
SCAN = "/admin/maintenance/orphan-scan"
BOOKS = Response("GET", "u", 200, 0.1, "application/json", '{"total": 58}', {"total": 58})

pytestmark = pytest.mark.usefixtures("records_folder")  # what is applied here is kept elsewhere


@pytest.fixture
def asked(ops: Connection) -> Iterator[list[tuple[str, str, str]]]:
    """An API that redirects, and breaks off in the middle of a POST; what was asked of it."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.command, self.path, self.headers.get("Authorization", "")))
            if self.command == "POST":
                self.close_connection = True
                return
            self.send_response(301)
            self.send_header("Location", "https://elsewhere.example/login")
            self.send_header("Set-Cookie", "session=0123456789abcdef")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    point(ops, f"http://127.0.0.1:{server.server_port}")
    yield seen
    server.shutdown()


@pytest.mark.parametrize(
    ("answer", "wanted", "status"),
    [
        ({}, {}, "ok"),
        ({}, {"holds": "total > `0`", "contains": "58"}, "ok"),
        ({}, {"holds": "total > `99`"}, "critical"),
        ({}, {"holds": "length(total) > `1`"}, "critical"),
        ({}, {"contains": "nothing of the kind"}, "critical"),
        ({"status": 404}, {}, "critical"),
        ({"status": 404}, {"expect": "200,404"}, "ok"),
        ({"status": 401}, {"expect": "4xx"}, "ok"),
        ({"status": 200}, {"expect": "401"}, "critical"),
        ({"seconds": 9.0}, {}, "warn"),
        ({"status": 500, "seconds": 9.0}, {}, "critical"),
        ({"text": "<html><title>Log in</title>", "body": None}, {"holds": "total"}, "critical"),
    ],
)
def test_an_answer_is_held_against_what_is_expected(
    ops: Connection, answer: dict[str, Any], wanted: dict[str, str], status: str
) -> None:
    ops.keep(Response(**vars(BOOKS) | answer))
    asked = {"path": "/books", "method": "GET", "expect": "2xx"}
    [found] = health.check_reply(ops, health.expected(**asked | wanted))
    assert found.status == status


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"path": "@elsewhere.example/books"}, "a path begins with /"),
        ({"path": ".elsewhere.example/"}, "a path begins with /"),
        ({"expect": "well"}, "a status is"),
        ({"expect": "200404"}, "a status is"),
        ({"holds": "total >"}, "no JMESPath"),
    ],
)
def test_what_is_wrongly_expected_is_told_before_anything_is_sent(
    wrong: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        health.expected(**{"path": "/books", "method": "POST", "expect": "2xx"} | wrong)


def test_a_get_looks_and_has_no_plan() -> None:
    left = notebooks.run("health/request", holds="total > `0`", approved="now")
    [found] = left["ops"].findings
    assert (found.status, found.seen[:6]) == ("ok", "200 in")
    assert left["plan"].steps == ()


def test_a_post_is_previewed_and_sent_once_with_the_targets_key(ops: Connection) -> None:
    wanted = health.expected(SCAN, "POST", "2xx", "total_objects > `0`")
    note = health.check_request(ops, wanted).note
    assert "may change something" in note
    plan = health.plan_request(ops, wanted)
    assert ops.kept(Response) is None
    [found] = apply(ops, plan, "now", TARGET).verify(health.check_reply, wanted)
    assert (found.status, found.check) == ("ok", f"POST {SCAN}")
    anybody = health.expected(SCAN, "POST", "401")
    plan = health.plan_request(ops, anybody, auth=False)
    assert apply(ops, plan, "now", TARGET).verify(health.check_reply, anybody).worst == "ok"


def test_a_redirect_is_told_and_not_followed_and_no_cookie_is_shown(
    ops: Connection, asked: list[Any]
) -> None:
    wanted = health.expected("/books", "HEAD", "2xx")
    found = health.check_request(ops, wanted, auth=False)
    assert found.worst == "critical"
    assert "sends to https://elsewhere.example/login" in found[0].seen
    assert "0123456789abcdef" not in repr(found)
    assert asked == [("HEAD", "/books", "")]


def test_a_post_without_an_answer_may_be_done_and_is_not_sent_again(
    ops: Connection, asked: list[Any]
) -> None:
    wanted = health.expected("/books", "POST", "2xx")
    plan = health.plan_request(ops, wanted, '{"title": "x"}', auth=False)
    with pytest.raises(Lost, match="may be done"):
        apply(ops, plan, "now", TARGET)
    assert len(asked) == 1


def test_a_body_that_is_no_json_is_told(ops: Connection) -> None:
    with pytest.raises(UsageError, match="no JSON"):
        health.plan_request(ops, health.expected("/books", "POST", "2xx"), "{title: x}")
