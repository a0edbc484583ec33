"""Whatever breaks in the middle of an action: what it may have done is not called undone.

Each kind of action is done on a stand-in for AWS, the API and the search domain, which fails at
one request after the other, in each of several ways. A new kind wants an example here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
import urllib3
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from opslib import NotFound, OpsError
from opslib.core.actions import exact, handed, lambdas, listed, logins, muting, watching
from opslib.core.actions.actions import Action, Aws, Http, Merge, Read, Request
from opslib.core.actions.stores import objects, searches
from opslib.core.connections import sending, targets
from opslib.core.connections.connection import READS, Access, Connection
from opslib.core.connections.http import Api
from opslib.core.errors import Lost
from opslib.core.journal import Journal
from opslib.core.reads.stores.objects import digest_of

TARGET = "lab/dms-dev"
LOOKS = re.compile(rf"{READS.pattern}|receive_message|GET |assume_role|change_message_visibility")
Answers = dict[str, Any]


class Broken(Exception):
    """Nothing came back."""


class World:
    """A stand-in that answers what it is given, and fails at one request in one way.

    `asked`: every request, in its order; `changed`: those that changed something, or may have;
    `lost`: those whose answer was lost.
    """

    def __init__(self, answers: Answers, at: int = 0, fault: str = "") -> None:
        self.answers, self.at, self.fault = answers, at, fault
        self.asked, self.changed, self.lost = list[str](), list[str](), list[str]()

    def ask(self, name: str, given: Any) -> tuple[int, Any]:
        self.asked.append(name)
        faulty = self.at and len(self.asked) >= self.at  # what is denied now is denied then, too
        if faulty and self.fault in FAULTS:
            return FAULTS[self.fault]
        if not LOOKS.match(name):
            self.changed.append(name)
        if faulty and (self.fault == "gone" or len(self.asked) == self.at):
            self.lost.append(name)
            if self.fault == "500":
                return 500, "InternalError"
            raise Broken
        found = self.answers.get(name, {})
        return 200, found(self, given) if callable(found) else found


FAULTS = {
    "denied": (403, "AccessDeniedException"),
    "expired": (403, "ExpiredTokenException"),
    "throttled": (429, "ThrottlingException"),
    "vanished": (404, "ResourceNotFoundException"),
}
# Its answer was lost, or an error that may have come after it; every one after it was lost, too.
WAYS = (*FAULTS, "lost", "500", "gone")


def connection(world: World, monkeypatch: pytest.MonkeyPatch) -> Connection:
    described = targets.load(TARGET)
    session = boto3.Session("AKIAEXAMPLE", "nothing", region_name=described.region)

    def aws(model: Any, params: Any, **_: Any) -> tuple[Any, Any]:
        name = model.name
        service = model.service_model.service_name
        if service == "sts":
            answer = {"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/ana"}
            return AWSResponse("", 200, {}, None), answer
        try:
            status, said = world.ask(xform_name(name), params)
        except Broken:
            raise ReadTimeoutError(endpoint_url=f"https://{service}") from None
        if status != 200:
            said = {"Error": {"Code": said, "Message": "no"}}
        metadata = {"ResponseMetadata": {"HTTPStatusCode": status}}
        return AWSResponse("", status, {}, None), {**said, **metadata}

    def http(_: Any, method: str, url: str, **given: Any) -> Any:
        path = url.partition("://")[2].partition("/")[2].partition("?")[0]
        try:
            status, said = world.ask(f"{method} /{path}", given.get("json") or given.get("body"))
        except Broken:
            raise urllib3.exceptions.ReadTimeoutError(None, url, "timed out") from None
        body = json.dumps(said if status == 200 else {"message": said}).encode()
        return urllib3.HTTPResponse(body, {"content-type": "application/json"}, status)

    session.events.register("before-call", aws)
    monkeypatch.setattr(urllib3.PoolManager, "request", http)
    config = Config(retries={"total_max_attempts": 1}, ignore_configured_endpoint_urls=True)
    return Connection(described, Access(session, config, None, Api("http://api")), Journal())


def after(change: str, then: Any, before: Any) -> Callable[[World, Any], Any]:
    """What is answered once that was done, and what until then."""
    return lambda world, _: then if change in world.changed else before


BUCKET = {"bucket": "images"}
TWO = [{"Key": key, "VersionId": "v1"} for key in ("a", "b")]
SHOWN = [{**each, "ETag": '"e"', "Size": 1} for each in TWO]
COPIED = {"VersionId": "v2", "CopyObjectResult": {"ETag": '"e"'}}
NOW = datetime.now(UTC)
LISTED = [{**each, "LastModified": NOW, "IsLatest": True, "Size": 1} for each in TWO]
ITEM = {"pk": {"S": "ana"}, "sk": {"S": "1"}}
TABLE = {
    "TableName": "t",
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
    ],
}
RULED = Aws("ecs", "update_service", cluster="c", service="s", taskDefinition="arn:t/s:1")
SECRET = '{"key": "a-key-of-24-letters-long", "password": "old", "host": "h", "port": 1}'

BACK = Aws("lambda", "update_alias", FunctionName="f", Name="live", FunctionVersion="1")


def deployments(state: str, **more: Any) -> Any:
    """A service of one deployment in that state."""
    primary = {"id": "d", "status": "PRIMARY", "taskDefinition": "arn:t/s:2", "createdAt": NOW}
    primary |= {"rolloutState": state, **more}
    return {"services": [{"desiredCount": 1, "deployments": [primary]}]}


def put(world: World, given: Any) -> Any:
    world.answers["held"] = json.loads(given["body"])["SecretString"]
    return {"VersionId": "new"}


def secret(world: World, given: Any) -> Any:
    pending = "AWSPENDING" in str(given["body"])
    return {"SecretString": world.answers.get("held", SECRET) if pending else SECRET}


def bulk(world: World, given: Any) -> Any:
    lines = [json.loads(line) for line in given.decode().splitlines()]
    asked = [(verb, of[verb]["_id"]) for of in lines for verb in ("create", "delete") if verb in of]
    status = {"create": 201, "delete": 200}
    return {"items": [{verb: {"_id": id, "status": status[verb]}} for verb, id in asked]}


# Of each kind: what is done, and what the world answers to it. An action that ends badly even
# though all is answered is one whose way back is looked at.
EXAMPLES: dict[str, tuple[Action, Answers]] = {
    "aws": (Aws("sqs", "purge_queue", QueueUrl="https://sqs/q"), {}),
    "merge": (
        Merge(
            Read("lambda", "get_function_configuration", "Environment.Variables", FunctionName="f"),
            Aws("lambda", "update_function_configuration", FunctionName="f"),
            "Environment.Variables",
            put={"A": "1"},
        ),
        {"get_function_configuration": {"Environment": {"Variables": {}}}},
    ),
    "http": (Http("POST", "/jobs", {"id": 1}, auth=False), {"POST /jobs": {"id": 1}}),
    "request": (Request("POST", "/jobs", {"id": 1}, False), {"POST /jobs": {"id": 1}}),
    "invoke": (lambdas.Invoke("f", {}, 1), {"invoke": {"StatusCode": 200}}),
    "ask": (
        lambdas.Ask("f", "live", "RequestResponse", "{}", 1),
        {"invoke": {"StatusCode": 200}},
    ),
    "listed": (
        listed.Listed(
            Aws("wafv2", "get_ip_set", Name="n", Scope="REGIONAL", Id="i"),
            Aws("wafv2", "update_ip_set", Name="n", Scope="REGIONAL", Id="i"),
            "IPSet.Addresses",
            "Addresses",
            "LockToken",
            add=["192.0.2.1/32"],
        ),
        {"get_ip_set": {"IPSet": {"Addresses": []}, "LockToken": "l"}},
    ),
    "mute": (muting.Mute("alarm", 30, "work"), {}),
    "discard": (
        exact.Discard("https://sqs/q", ["1"]),
        {
            "get_queue_url": {"QueueUrl": "https://sqs/q"},
            "receive_message": {"Messages": [{"MessageId": "1", "ReceiptHandle": "r"}]},
            "delete_message_batch": {"Successful": [{"Id": "1"}]},
        },
    ),
    "erase items": (
        exact.EraseItems("t", "", "ana", 1, digest_of([ITEM])),
        {
            "describe_table": {"Table": TABLE},
            "query": after("batch_write_item", {"Items": []}, {"Items": [ITEM]}),
        },
    ),
    "delete versions": (objects.DeleteVersions("images", TWO), {}),
    "copy versions": (
        objects.CopyVersions("images", TWO),
        {"head_object": {"ContentLength": 1}, "copy_object": COPIED},
    ),
    "copy across": (
        objects.CopyAcross("images", "copies", "111122223333", SHOWN),
        {"copy_object": COPIED},
    ),
    "erase": (
        objects.Erase("images", "all/", 2, digest_of([each["Key"], "v1"] for each in TWO)),
        {"list_object_versions": after("delete_objects", {}, {"Versions": LISTED})},
    ),
    "given": (
        handed.Given("s", "key", handed.made(20, "_")),
        {"put_secret_value": put, "get_secret_value": secret},
    ),
    "client secret": (
        handed.ClientSecret({"UserPoolId": "us-east-1_a", "ClientId": "c"}, "s", "key"),
        {"get_secret_value": secret},
    ),
    "renewed": (
        logins.Renewed("s", ["password"]),
        {"put_secret_value": put, "get_secret_value": secret},
    ),
    "pointed": (
        logins.Pointed("s", {"host": "other", "port": 2}, {"host": "host", "port": "port"}),
        {"put_secret_value": put, "get_secret_value": secret},
    ),
    "anew": (
        watching.Anew("c", "s", 1),
        {
            "update_service": {"service": deployments("IN_PROGRESS")["services"][0]},
            "describe_services": deployments("COMPLETED"),
        },
    ),
    "rollout": (
        watching.Rollout("c", "s", "arn:t/s:2", RULED, 0),
        {"describe_services": deployments("FAILED")},
    ),
    "one-off": (
        watching.OneOff("c", "arn:t/s:2", {"name": "app"}, ["true"], {}, 1),
        {
            "run_task": {"tasks": [{"taskArn": "arn:c/1", "lastStatus": "PENDING"}]},
            "describe_tasks": {
                "tasks": [
                    {
                        "taskArn": "arn:c/1",
                        "lastStatus": "STOPPED",
                        "containers": [{"name": "app", "exitCode": 0}],
                    }
                ]
            },
        },
    ),
    "watch": (
        watching.Watch("/aws/lambda/f", "2", "1", 0, BACK),
        {
            "filter_log_events": {
                "events": [{"logStreamName": "a[2]b", "message": f"ERROR {at}"} for at in range(9)]
            }
        },
    ),
    "search": (searches.Search("POST", "/_reindex", {}), {"POST /_reindex": {}}),
    "search put": (
        searches.Put("new", ["1"], source="old"),
        {
            "GET /old/_mget": {"docs": [{"_id": "1", "found": True, "_source": {}}]},
            "POST /_bulk": bulk,
        },
    ),
    "search take": (searches.Take("old", ["1"]), {"POST /_bulk": bulk}),
}
LOOKING = {"read", "wait", "select", "appears", "login", "search serves", "cache held", "there"}
BACK_AGAIN = {"rollout", "watch"}  # what these change takes back what a step before did
# What is done to a database or a cache is tried on real ones.
ELSEWHERE = {
    "sql": "databases/test_soft_deletions",
    "shown": "databases/test_rows",
    "upkeep": "databases/test_care",
    "password": "databases/test_passwords",
    "cache command": "caches/test_caches",
    "cache unlink": "caches/test_caches",
    "cache restore": "caches/test_caches",
}


def done(kind: str, world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, OpsError | None]:
    """What an action answers, or the error with which it ends."""
    ops = connection(world, monkeypatch)
    ops.keep(Api("http://search"))
    ops.token = "a-token"
    try:
        return EXAMPLES[kind][0].perform(ops), None
    except OpsError as exc:
        return None, exc


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sending, exact, objects):
        monkeypatch.setattr(module, "_PAUSES", (0.0, 0.0))


def cases() -> list[tuple[str, int, str]]:
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for kind, (_, answers) in EXAMPLES.items():
            world = World(dict(answers))
            done(kind, world, patch)
            for at in range(1, len(world.asked) + 1):
                found += [(kind, at, fault) for fault in WAYS]
    return found


def test_each_kind_of_action_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {kind for kind, form in Action.kinds.items() if form.do.__module__.startswith("opslib.")}
    assert ours == {*EXAMPLES, *LOOKING, *ELSEWHERE}


def test_a_service_that_vanishes_while_its_tasks_start_anew_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = {"describe_services": {"services": [], "failures": [{"reason": "MISSING"}]}}
    _, error = done("anew", World(EXAMPLES["anew"][1] | gone), monkeypatch)
    assert isinstance(error, NotFound)
    assert error.done == {"deployment": "d"}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_example_is_done_where_nothing_breaks(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, error = done(kind, world := World(dict(EXAMPLES[kind][1])), monkeypatch)
    assert len(world.changed) > 0
    assert bool(error) == (kind in BACK_AGAIN), error
    assert "NOT taken back" not in str(error)


@pytest.mark.parametrize(("kind", "at", "fault"), cases())
def test_what_an_action_may_have_done_when_it_broke_is_not_called_undone(
    kind: str, at: int, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(dict(EXAMPLES[kind][1]), at, fault)
    _, error = done(kind, world, monkeypatch)
    told = isinstance(error, Lost) or (error is not None and error.done is not None)
    changed = {*world.changed} & {*(world.lost if kind in BACK_AGAIN else world.changed)}
    if error is not None:
        assert told == bool(changed), error
