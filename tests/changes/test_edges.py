"""What stands at the edges of a system that only its target's file describes: each thing that
somebody changes there is named.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opslib import changes, connect
from opslib import lab as practice
from opslib.changes import differences, memory
from opslib.core import paths
from opslib.core.connections.connection import Connection
from opslib.core.findings import Findings
from tests.changes.test_configuration import FORMS, kept

EDGE = """\
title: Edge production
system: edge
environment: production
production: true
account: "121212343434"
region: eu-central-1
functions: {web: {name: edge-web, alias: live}}
queues: {work: {name: edge-work}}
buckets: {pages: {name: edge-pages}}
distributions: {pages: {id: E2QWRUHAPOMQZL, host: www.example.com, acl: edge-pages}}
apis: {partners: {id: a1b2c3d4e5, kind: REST, host: api.example.com}}
schedules: {nightly: {name: edge-nightly, group: edge, target: "edge-web:live"}}
dns: {pages: {host: www.example.com, zone: Z0EDGE1234}}
"""
DISTRIBUTION, API, ZONE = "E2QWRUHAPOMQZL", "a1b2c3d4e5", "Z0EDGE1234"
SECRET = "only-cloudfront-knows-this"
GONE = "arn:aws:lambda:eu-central-1:121212343434:function:edge-gone"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Connection, Any]]:
    """The practice copy, and what a first report kept of it."""
    folder = tmp_path_factory.mktemp("edge")
    (folder / "parameters" / "targets").mkdir(parents=True)
    (folder / "parameters" / "targets" / "edge-production.yaml").write_text(EDGE)
    notebooks: Path = paths.notebooks()
    with pytest.MonkeyPatch.context() as patch:
        (folder / "notebooks").symlink_to(notebooks)
        patch.setenv("OPSLIB_HOME", str(folder))
        patch.setenv("OPSLIB_LAB_DIR", str(folder / "lab"))
        patch.setenv("OPSLIB_RECORDS", str(folder / "records"))
        patch.setattr(differences, "own_key", lambda: b"of this test" * 3)
        practice.up()
        ops = connect("lab/edge-production")
        changes.check_configuration(ops)
        yield ops, kept(ops)
        practice.down()


def found(edge: tuple[Connection, Any], patch: pytest.MonkeyPatch) -> Findings:
    ops, said = edge
    known = memory.read(said, FORMS, "20261125T060000Z-abcdef", ops.now() - timedelta(days=1))
    patch.setattr(memory, "last", lambda *_: known)
    return Findings([*changes.check_configuration(ops), *changes.check_named(ops)])


def distribution(**more: Any) -> Callable[[Connection], None]:
    def change(ops: Connection) -> None:
        client = ops.client("cloudfront")
        told = client.get_distribution_config(Id=DISTRIBUTION)
        given = told["DistributionConfig"] | more
        client.update_distribution(Id=DISTRIBUTION, IfMatch=told["ETag"], DistributionConfig=given)

    return change


def origin(domain: str) -> dict[str, Any]:
    own = {"Quantity": 1, "Items": [{"HeaderName": "X-Origin-Verify", "HeaderValue": SECRET}]}
    one = {"Id": "app", "DomainName": domain, "CustomHeaders": own}
    return {"Quantity": 1, "Items": [one | {"S3OriginConfig": {"OriginAccessIdentity": ""}}]}


def throttled(ops: Connection) -> None:
    paths = ("/*/*/throttling/rateLimit", "/*/*/throttling/burstLimit")
    given = [{"op": "replace", "path": path, "value": "0"} for path in paths]
    ops.client("apigateway").update_stage(restApiId=API, stageName="prod", patchOperations=given)


def rerouted(ops: Connection) -> None:
    client = ops.client("apigateway")
    every = client.get_resources(restApiId=API)["items"]
    [proxy] = [each["id"] for each in every if each["path"] != "/"]
    asked = {"restApiId": API, "resourceId": proxy, "httpMethod": "ANY"}
    uri = client.get_integration(**asked)["uri"].replace("edge-web", "edge-gone")
    how = {"type": "AWS_PROXY", "integrationHttpMethod": "POST"}
    client.put_integration(**asked, **how, uri=uri)


def without_mapping(ops: Connection) -> None:
    client, host = ops.client("apigatewayv2"), {"DomainName": "api.example.com"}
    for each in client.get_api_mappings(**host)["Items"]:
        client.delete_api_mapping(**host, ApiMappingId=each["ApiMappingId"])


def spent(ops: Connection) -> None:
    """Its key has had more requests than the plan allows from now on."""
    client = ops.client("apigateway")
    [plan] = client.get_usage_plans()["items"]
    given = [{"op": "replace", "path": "/quota/limit", "value": "0"}]
    client.update_usage_plan(usagePlanId=plan["id"], patchOperations=given)


def schedule(**more: Any) -> Callable[[Connection], None]:
    def change(ops: Connection) -> None:
        client = ops.client("scheduler")
        told = client.get_schedule(Name="edge-nightly", GroupName="edge")
        keys = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target")
        given = {key: told[key] for key in keys} | more
        given["Target"] = {**told["Target"], **more.get("Target", {})}
        client.update_schedule(**given)

    return change


def record(action: str, **more: Any) -> Callable[[Connection], None]:
    def change(ops: Connection) -> None:
        client = ops.client("route53")
        every = client.list_resource_record_sets(HostedZoneId=ZONE)["ResourceRecordSets"]
        [own] = [each for each in every if each["Type"] == "A"]
        own["AliasTarget"] |= more
        changed = [{"Action": action, "ResourceRecordSet": own}]
        client.change_resource_record_sets(HostedZoneId=ZONE, ChangeBatch={"Changes": changed})

    return change


def unlooked(ops: Connection) -> None:
    client = ops.client("route53")
    [check] = client.list_health_checks()["HealthChecks"]
    client.update_health_check(HealthCheckId=check["Id"], Disabled=True)


ALTERED = [
    (distribution(Enabled=False), "critical", "CloudFront answers nobody"),
    (distribution(WebACLId=""), "critical", "not edge-pages: WAF turns nobody away"),
    (distribution(Aliases={"Quantity": 0}), "critical", "www.example.com is none of its aliases"),
    (distribution(Origins=origin("edge-gone.s3.amazonaws.com")), "warn", "edge-gone is not in"),
    (throttled, "critical", "throttled to 0"),
    (rerouted, "critical", "edge-gone is not there, and REST API a1b2c3d4e5"),
    (spent, "warn", "1 keys have used up today's quota of plan"),
    (without_mapping, "critical", "no path of it leads to a1b2c3d4e5"),
    (schedule(State="DISABLED"), "critical", "it is disabled, and starts nothing"),
    (schedule(Target={"Arn": GONE}), "critical", "edge-gone, not edge-web:live"),
    (schedule(Target={"Arn": GONE}), "critical", "edge-gone is not there, and schedule"),
    (
        record("UPSERT", DNSName="d1234567890abc.cloudfront.net."),
        "warn",
        "d1234567890abc.cloudfront.net is not in",
    ),
    (unlooked, "warn", "counts as healthy whatever happens"),
    (record("DELETE"), "critical", "the target's file names it, and it is not there"),
]


def test_nothing_is_told_where_nothing_was_altered(
    edge: tuple[Connection, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [each for each in found(edge, monkeypatch) if each.status != "ok"] == []


@pytest.mark.parametrize(
    "operation",
    [
        "cloudfront:GetDistribution",
        "acm:DescribeCertificate",
        "apigateway:GetRestApi",
        "apigateway:GetUsage",
        "scheduler:GetSchedule",
        "route53:ListResourceRecordSets",
        "route53:GetHealthCheck",
    ],
)
def test_what_may_not_be_read_is_unknown_and_not_gone(
    edge: tuple[Connection, Any], monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    asked = {"target": "edge-production", "operation": operation}
    practice.up().ask("POST", "deny", **asked)
    try:
        every = found(edge, monkeypatch)
    finally:
        practice.up().ask("POST", "allow", **asked)
    ill = [each for each in every if each.status != "ok"]
    assert {each.status for each in ill} == {"unknown"}
    assert f"configuration by {operation}" in [each.check for each in ill]


@pytest.mark.parametrize(("alter", "status", "seen"), ALTERED)
def test_what_somebody_changes_at_an_edge_is_named(
    edge: tuple[Connection, Any],
    monkeypatch: pytest.MonkeyPatch,
    alter: Callable[[Connection], None],
    status: str,
    seen: str,
) -> None:
    """One after the other, and none is taken back."""
    alter(edge[0])
    every = found(edge, monkeypatch)
    assert [each.status for each in every if seen in each.seen] == [status]
    assert not [each for each in every if each.status == "unknown"]


def test_what_a_distribution_proves_itself_with_is_hidden(
    edge: tuple[Connection, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(Origins=origin("edge-pages.s3.amazonaws.com"))(edge[0])
    every = found(edge, monkeypatch)
    assert any("X-Origin-Verify" in each.seen for each in every)
    assert SECRET not in " ".join(each.seen for each in every)
    assert SECRET not in json.dumps(kept(edge[0]))
