"""The stand-in for OpenSearch answers as OpenSearch does, to those whose signature is good."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from opslib.lab.aws import credentials
from opslib.lab.places import Place
from opslib.lab.resources import search
from opslib.lab.resources.search import domains, indices
from opslib.lab.world import World

Asked = Callable[..., tuple[int, Any]]


def sent(world: World, method: str, path: str, body: bytes, keys: Any, **scope: str) -> Any:
    url = f"{world.url}/_es/practice-one{path}"
    request = AWSRequest(method, url, {"Content-Type": "application/json"}, body)
    if keys:
        about = {"service_name": "es", "region_name": "us-west-2", **scope}
        SigV4Auth(Credentials(*keys), **about).add_auth(request)
    answer = urllib3.request(method, url, headers=dict(request.headers.items()), body=body)
    return answer.status, answer.json()


@pytest.fixture
def ask(world: World, place: Place) -> Any:
    """Asks as the operator. Each test begins with one index, `letters`, of three documents."""
    place.memory["search"] = {"indices": {}, "aliases": {}, "snapshots": {}, "fault": {}}
    indices.made(place, "letters", {"properties": {"n": {"type": "long"}}})
    for n in range(3):
        search.put(place, "letters", str(n), {"n": n, "text": f"letter number {n}"})
    keys = credentials.credentials(place.account, "operator")

    def asked(method: str, path: str, body: Any = None, lines: Any = None) -> tuple[int, Any]:
        text = b"" if body is None else json.dumps(body).encode()
        if lines:
            text = "".join(json.dumps(each) + "\n" for each in lines).encode()
        status, told = sent(world, method, path, text, keys)
        return status, told

    return asked


def kind(told: Any) -> Any:
    return told["error"]["type"]


@pytest.mark.parametrize(
    ("user", "scope", "said"),
    [
        (None, {}, "User: anonymous is not authorized to perform: es:ESHttpGet"),
        (("AKIAOFANOTHER", "x"), {}, "The security token included in the request is invalid."),
        (("", "a secret that is wrong"), {}, "The request signature we calculated does not match"),
        (("", ""), {"service_name": "s3"}, "Credential should be scoped to us-west-2/es"),
        (("", ""), {"region_name": "us-east-1"}, "Credential should be scoped to us-west-2/es"),
    ],
)
def test_who_does_not_sign_well_is_turned_away(
    world: World, ask: Asked, place: Place, user: Any, scope: Any, said: str
) -> None:
    own = credentials.credentials(place.account, "operator")
    keys = user and (user[0] or own[0], user[1] or own[1])
    status, told = sent(world, "GET", "/letters/_count", b"", keys, **scope)
    assert status == 403
    assert said in next(iter(told.values()))


def test_it_says_that_it_is_a_stand_in(ask: Asked) -> None:
    _, told = ask("GET", "/")
    assert told["version"]["distribution"] == "opensearch"
    assert "stand-in" in told["tagline"]


def test_what_is_written_is_counted_found_and_paged_through(ask: Asked, place: Place) -> None:
    assert ask("GET", "/letters/_count") == (200, ask("POST", "/letters/_count", {})[1])
    assert ask("GET", "/letters/_count", {"query": {"match": {"text": "2"}}})[1]["count"] == 1
    asked = {"size": 2, "_source": False, "sort": ["_doc"]}
    _, told = ask("GET", "/letters/_search?scroll=1m", asked)
    pages = [[each["_id"] for each in told["hits"]["hits"]]]
    while pages[-1]:
        _, told = ask("GET", "/_search/scroll", {"scroll": "1m", "scroll_id": told["_scroll_id"]})
        pages.append([each["_id"] for each in told["hits"]["hits"]])
    assert pages == [["0", "1"], ["2"], []]
    assert search.forget(place, "letters", "1")
    assert not search.forget(place, "letters", "1")
    assert search.count(place, "letters") == 2


def test_a_bulk_tells_each_document_apart(ask: Asked) -> None:
    lines = [
        {"create": {"_index": "letters", "_id": "0"}},
        {"n": 9},
        {"create": {"_index": "letters", "_id": "7"}},
        {"n": "seven"},
        {"create": {"_index": "letters", "_id": "8"}},
        {"n": 8},
        {"delete": {"_index": "letters", "_id": "1"}},
        {"delete": {"_index": "letters", "_id": "99"}},
    ]
    status, told = ask("POST", "/_bulk", lines=lines)
    assert (status, told["errors"]) == (200, True)
    assert [each["status"] for item in told["items"] for each in item.values()] == [
        409,
        400,
        201,
        200,
        404,
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        ("GET", "/nowhere/_count", None, 404, "index_not_found_exception"),
        ("GET", "/nowhere", None, 404, "index_not_found_exception"),
        ("PUT", "/letters", {}, 400, "resource_already_exists_exception"),
        ("PUT", "/Letters", {}, 400, "invalid_index_name_exception"),
        ("GET", "/letters/_search", {"size": 10_001}, 400, "illegal_argument_exception"),
        ("GET", "/letters/_count", {"query": {"knn": {"a": 1}}}, 400, "parsing_exception"),
        ("GET", "/_snapshot/mine/_all", None, 404, "repository_missing_exception"),
        ("GET", "/_cluster/allocation/explain", {}, 400, "illegal_argument_exception"),
        ("PATCH", "/letters", None, 400, "illegal_argument_exception"),
    ],
)
def test_an_error_is_opensearchs(
    ask: Asked, method: str, path: str, body: Any, status: int, error: str
) -> None:
    answer, told = ask(method, path, body)
    assert (answer, kind(told)) == (status, error)


def test_colours_blocks_and_denials_are_seen(ask: Asked, place: Place) -> None:
    fault = indices.held(place)["fault"]
    lost = {"index": "letters", "prirep": "r", "reason": "NODE_LEFT"}
    fault["unassigned"] = [lost]
    assert ask("GET", "/_cluster/health")[1]["status"] == "yellow"
    assert ask("GET", "/letters/_count")[0] == 200
    fault["unassigned"] = [lost | {"prirep": "p"}]
    assert ask("GET", "/_cluster/health/letters")[1]["status"] == "red"
    assert kind(ask("GET", "/letters/_count")[1]) == "search_phase_execution_exception"
    with pytest.raises(search.Unavailable, match="unavailable_shards_exception"):
        search.put(place, "letters", "1", {})
    fault.clear()
    fault["blocks"] = {"letters": "read_only_allow_delete"}
    with pytest.raises(search.Unavailable, match="flood-stage watermark"):
        search.put(place, "letters", "1", {})
    assert search.forget(place, "letters", "1")  # deletions go through
    fault["denied"] = "no permissions for [indices:data/read/search] and User [name=x]"
    assert (ask("GET", "/letters/_count")[0], kind(ask("GET", "/")[1])) == (
        403,
        "security_exception",
    )
    place.deny("es:ESHttp*")
    assert "explicit" not in str(ask("GET", "/")[1])
    assert "is not authorized to perform: es:ESHttpGet" in ask("GET", "/")[1]["Message"]


def test_a_snapshot_goes_over_no_open_index(ask: Asked, place: Place) -> None:
    domains._snapshots(place)
    [name, *_] = indices.held(place)["snapshots"][domains.REPOSITORY]
    path = f"/_snapshot/{domains.REPOSITORY}/{name}/_restore"
    status, told = ask("POST", path, {"indices": "letters"})
    assert (status, kind(told)) == (500, "snapshot_restore_exception")
    rename = {"rename_pattern": "(.+)", "rename_replacement": "again-$1"}
    assert ask("POST", path, {"indices": "letters", **rename}) == (200, {"accepted": True})
    assert ask("GET", "/again-letters/_count")[1]["count"] == 3
    assert kind(ask("POST", path, {"indices": "other"})[1]) == "index_not_found_exception"


def test_an_alias_is_read_as_its_index_and_not_deleted_as_one(ask: Asked) -> None:
    add = {"add": {"index": "letters", "alias": "post"}}
    assert ask("POST", "/_aliases", {"actions": [add]})[0] == 200
    assert ask("GET", "/post/_count")[1]["count"] == 3
    assert [*ask("GET", "/post")[1]] == ["letters"]
    assert ask("DELETE", "/post")[0] == 400
    assert ask("DELETE", "/letters")[0] == 200
    assert ask("GET", "/_cat/aliases")[1] == []


def test_a_domain_is_described_as_by_aws(aws: Any) -> None:
    """moto says nothing of what is under way, and confuses two things about software."""
    client = aws("opensearch")
    client.create_domain(DomainName="practice", ClusterConfig={"InstanceCount": 2})
    told = client.describe_domain(DomainName="practice")["DomainStatus"]
    assert told["DomainProcessingStatus"] == "Active"
    assert told["ServiceSoftwareOptions"]["UpdateStatus"] == "COMPLETED"
    assert told["SoftwareUpdateOptions"] == {"AutoSoftwareUpdateEnabled": False}
    client.delete_domain(DomainName="practice")
