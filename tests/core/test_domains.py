"""Signed requests to a search domain: what is sent where, and what its errors mean."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import urllib3

from opslib.core.connections.connection import Access, Connection
from opslib.core.connections.http import Api, Response
from opslib.core.connections.targets import Facts
from opslib.core.errors import Lost, NotAllowed, NotFound, OpsError, Unfinished
from opslib.core.reads.stores import domains
from opslib.core.text import decoded
from tests import canned

DOMAIN = "https://search-x.us-east-1.es.amazonaws.com"


def told(kind: str, reason: str) -> str:
    return json.dumps({"error": {"type": kind, "reason": reason, "root_cause": []}, "status": 1})


def connected(monkeypatch: pytest.MonkeyPatch, search: Any, lab: bool = False) -> Connection:
    """To a target outside the lab with that search; its AWS is a function."""
    ops = canned.connection(lambda service, operation: (400, b"{}"), "lab/dms-dev")
    facts = Facts({**ops.target.facts, "search": Facts(search, "a file")}, "a file")
    ops.target = replace(ops.target, lab=lab, facts=facts)
    return ops


@pytest.mark.parametrize(
    ("method", "status", "text", "error", "said"),
    [
        ("GET", 404, told("index_not_found_exception", "no such index [x]"), NotFound, "no such"),
        (
            "GET",
            403,
            '{"Message":"User: arn:aws:iam::1:user/ana is not authorized to perform: es:ESHttpGet '
            'because no resource-based policy allows the es:ESHttpGet action"}',
            NotAllowed,
            "The domain's access policy or the role's own",
        ),
        (
            "GET",
            403,
            told("security_exception", "no permissions for [indices:data/read/search]"),
            NotAllowed,
            "own roles .fine-grained access control.*map ana",
        ),
        ("GET", 403, '{"message":"The request signature we …"}', NotAllowed, "clock"),
        ("GET", 401, "Unauthorized", NotAllowed, "search.key"),
        ("GET", 429, told("es_rejected_execution_exception", "queue"), Unfinished, "overloaded"),
        ("GET", 429, "Too Many Requests", Unfinished, "overloaded"),
        ("GET", 503, '{"message":null}', Unfinished, "lacks shards"),
        ("GET", 504, '{"Message":"Gateway timeout"}', Unfinished, "turned away"),
        ("POST", 504, '{"Message":"Gateway timeout"}', Lost, "may be done"),
        (
            "POST",
            403,
            told("cluster_block_exception", "blocked by: [FORBIDDEN/8/index write (api)];"),
            OpsError,
            "FORBIDDEN/8",
        ),
        ("GET", 200, "<html>a login page</html>", OpsError, "200: <html>"),
    ],
)
def test_an_error_is_told_in_our_words(
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    status: int,
    text: str,
    error: type[OpsError],
    said: str,
) -> None:
    ops = connected(monkeypatch, {"url": DOMAIN})
    answer = Response(method, DOMAIN, status, 0.1, "application/json", text, decoded(text))
    monkeypatch.setattr(Connection, "signed", lambda *_: answer)
    with pytest.raises(error, match=said) as raised:
        domains.ask(ops, method, "/x")
    assert type(raised.value) is error


class Pool:
    """What urllib3 is asked for."""

    made: ClassVar[Any] = {}
    asked: ClassVar[Any] = {}

    def __init__(self, **given: Any) -> None:
        Pool.made = given

    def request(self, method: str, url: str, **given: Any) -> Any:
        Pool.asked = {"method": method, "url": url, **given}
        return urllib3.HTTPResponse(b"{}", {"content-type": "application/json"}, 200)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> type[Pool]:
    monkeypatch.setattr(urllib3, "PoolManager", Pool)
    return Pool


def test_a_request_is_signed_for_the_name_and_goes_through_the_tunnel(
    monkeypatch: pytest.MonkeyPatch, sent: type[Pool]
) -> None:
    """The certificate is checked for the domain's name, too."""
    ops = connected(monkeypatch, {"url": DOMAIN, "tunnel": {"port": 9443}})
    domains.ask(ops, "GET", "/_cat/indices?format=json")
    assert sent.asked["url"] == "https://localhost:9443/_cat/indices?format=json"
    assert sent.asked["headers"]["Host"] == "search-x.us-east-1.es.amazonaws.com"
    assert "/us-east-1/es/aws4_request" in sent.asked["headers"]["Authorization"]
    assert sent.made["server_hostname"] == sent.asked["headers"]["Host"]
    [call] = [e for e in ops.journal.events if e.get("service") == "opensearch"]
    assert call["operation"] == "GET /_cat/indices"


def test_a_collection_is_signed_as_one(monkeypatch: pytest.MonkeyPatch, sent: type[Pool]) -> None:
    ops = connected(monkeypatch, {"url": "https://x.us-east-1.aoss.amazonaws.com"})
    domains.ask(ops, "GET", "/x/_count")
    assert "/us-east-1/aoss/aws4_request" in sent.asked["headers"]["Authorization"]
    assert sent.asked["headers"]["X-Amz-Content-SHA256"]


def test_a_domain_with_users_of_its_own_is_sent_its_key(
    monkeypatch: pytest.MonkeyPatch, sent: type[Pool]
) -> None:
    ops = connected(monkeypatch, {"url": DOMAIN, "key": {"secret": "s", "scheme": "Basic"}})
    monkeypatch.setattr(Connection, "secret", lambda *_: {"username": "ana", "password": "pw-1234"})
    domains.ask(ops, "GET", "/")
    assert sent.asked["headers"]["Authorization"].startswith("Basic ")


def test_practice_never_leaves_the_lab(monkeypatch: pytest.MonkeyPatch, sent: type[Pool]) -> None:
    """Whatever the file says of the real domain."""
    ops = connected(monkeypatch, {"url": DOMAIN, "tunnel": {"port": 9443}}, lab=True)
    access = ops._access
    ops._access = Access(access.session, access.config, "http://127.0.0.1:1", access.api)
    domains.ask(ops, "POST", "/_bulk", [{"a": 1}, {"b": 2}])
    assert sent.asked["url"] == "http://127.0.0.1:1/_es/dms-dev/_bulk"
    assert sent.asked["body"] == b'{"a": 1}\n{"b": 2}\n'


def test_an_address_that_nothing_says_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = connected(monkeypatch, {"indices": {}})
    with pytest.raises(OpsError, match=r"search.domain, or search.url"):
        domains.ask(ops, "GET", "/")
    assert ops.kept(Api) is None
