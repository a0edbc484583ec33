"""VPC endpoints: whether it is the network, and which endpoint is missing or wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from opslib import network
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.reads import networks
from tests import notebooks

TARGET = "lab/bluemoxon-staging"
MISSING = "vpc-endpoint-missing"
SUBNETS = ["subnet-a", "subnet-b"]
ROUTES = {"main": "rtb-main", "subnet-b": "rtb-b"}
OUT = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
CALLER = networks.Caller(
    SUBNETS, ["10.20.0.0/20"], [{"GroupId": "sg-functions", "IpPermissionsEgress": OUT}]
)


def group(port: int = 443, peer: str = "sg-functions") -> dict[str, Any]:
    rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port}
    return {"GroupId": "sg-1", "IpPermissions": [rule | {"UserIdGroupPairs": [{"GroupId": peer}]}]}


AROUND = network.Surroundings(CALLER, ROUTES, dns=True, groups={"sg-1": group()})


@pytest.fixture(scope="module", autouse=True)
def untouched(lab: Any) -> None:
    """Messages that another module's tests hold become visible again, and change the state."""
    lab.reset()


def endpoint(kind: str, **changes: Any) -> dict[str, Any]:
    made = {"VpcEndpointType": kind, "State": "available", "VpcEndpointId": "vpce-1"}
    where = {
        "SubnetIds": SUBNETS,
        "PrivateDnsEnabled": True,
        "Groups": [{"GroupId": "sg-1"}],
    }
    return (
        made
        | (where if kind == "Interface" else {"RouteTableIds": ["rtb-main", "rtb-b"]})
        | changes
    )


def test_requests_that_are_not_described_are_not_asked(ops: Connection) -> None:
    ops.target = replace(ops.target, facts=Facts({"api": {"url": "https://x.example"}}, "a file"))
    found = network.check_paths(ops)
    assert [*found] == []
    assert found.note == "Not asked: no api.shallow and no api.deep is described."


def test_endpoints_as_they_should_be_name_no_cause(ops: Connection) -> None:
    for found in (network.check_paths(ops), network.check_endpoints(ops)):
        assert (found.worst, found.causes) == ("ok", set())
    assert list(found.evidence.columns) == list(network.ENDPOINTS)
    assert len(found) == 3


def test_a_missing_endpoint_is_the_cause(ops: Connection, lab: Any) -> None:
    with lab.broken(MISSING):
        before = lab.state()
        paths, endpoints = network.check_paths(ops), network.check_endpoints(ops)
        assert lab.state() == before
    assert {f.check: f.status for f in paths} == {
        "shallow request": "ok",
        "deep request": "critical",
    }
    assert "Shallow works while deep fails" in paths.note
    assert (endpoints.causes, [f.check for f in endpoints if f.cause]) == (
        {MISSING},
        ["endpoint cognito-idp"],
    )


def test_another_cause_of_failing_deep_requests_is_not_the_network(
    ops: Connection, lab: Any
) -> None:
    with lab.broken("bucket-missing"):
        assert network.check_paths(ops).worst == "critical"
        assert network.check_endpoints(ops).worst == "ok"


def test_an_api_that_fails_altogether_is_not_the_network(ops: Connection, lab: Any) -> None:
    with lab.broken("api-unreachable"):
        found = network.check_paths(ops)
    assert {f.status for f in found} == {"critical"}
    assert "the API itself" in found.note


@pytest.mark.parametrize(
    ("kind", "changes", "lacks"),
    [
        ("Interface", {}, []),
        ("Gateway", {}, []),
        ("Interface", {"State": "pending"}, ["it is pending"]),
        (
            "Interface",
            {"PrivateDnsEnabled": False},
            ["private DNS is off, so the service's name leads to the internet"],
        ),
        ("Interface", {"SubnetIds": []}, ["no way from subnet-a, subnet-b"]),
        ("Gateway", {"RouteTableIds": ["rtb-main"]}, ["no way from subnet-b"]),
        ("Gateway", {"RouteTableIds": ["rtb-b"]}, ["no way from subnet-a"]),
    ],
)
def test_what_an_endpoint_lacks_is_said(
    kind: str, changes: dict[str, Any], lacks: list[str]
) -> None:
    assert AROUND.lacks(endpoint(kind, **changes), kind) == lacks


def test_an_endpoint_of_another_type_or_in_a_vpc_without_names_is_wrong() -> None:
    other = AROUND.lacks(endpoint("Gateway"), "Interface")
    assert other[0].startswith("it is of type")
    nameless = AROUND._replace(dns=False).lacks(endpoint("Interface"), "Interface")
    assert "resolves no private names" in nameless[0]


@pytest.mark.slow
def test_denied_endpoints_are_unknown_and_the_paths_are_still_checked(lab: Any) -> None:
    with lab.denied("ec2:DescribeVpcEndpoints"):
        left = notebooks.run("network/endpoints")
    assert [f.status for f in left["ops"].findings] == ["ok", "ok", "unknown", "ok"]
    assert left["ops"].findings.causes == {"access-denied"}


def test_a_vpc_that_is_not_there_is_critical_and_says_where_it_is_named(ops: Connection) -> None:
    ops.target.facts["network"]["vpc"] = "elsewhere"
    found = network.check_endpoints(ops)
    assert [f.status for f in found] == ["critical"]
    assert "No VPC is named 'elsewhere'" in found[0].seen
    assert "parameters/targets/bluemoxon-staging.yaml" in found[0].seen


ALL = {"Principal": "*", "Action": "*", "Resource": "*"}


@pytest.mark.parametrize(
    ("around", "changes", "lacks"),
    [
        (AROUND._replace(groups={"sg-1": group(peer="sg-old")}), {}, "do not let the function in"),
        (AROUND._replace(groups={"sg-1": group(port=80)}), {}, "do not let the function in"),
        (AROUND, {"Groups": []}, "(none) do not let the function in"),
        (
            AROUND._replace(
                caller=networks.Caller(SUBNETS, [], [{"GroupId": "sg-functions"}]),
            ),
            {},
            "let nothing out to it",
        ),
        (AROUND, {"PolicyDocument": '{"Statement": []}'}, "its policy allows nothing"),
        (
            AROUND,
            {"PolicyDocument": json.dumps({"Statement": [ALL | {"Effect": "Deny"}]})},
            "its policy allows nothing",
        ),
        (AROUND, {"PolicyDocument": "no policy"}, "its policy allows nothing"),
    ],
)
def test_an_endpoint_that_lets_nobody_in_or_nothing_through_is_wrong(
    around: network.Surroundings, changes: dict[str, Any], lacks: str
) -> None:
    found = around.lacks(endpoint("Interface", **changes), "Interface")
    assert lacks in found[0]


def test_a_policy_that_is_narrow_is_taken_as_meant() -> None:
    narrow = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::x"}
    denied = ALL | {"Effect": "Deny", "Condition": {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}}
    policy = json.dumps({"Statement": [narrow, denied]})
    assert AROUND.lacks(endpoint("Gateway", PolicyDocument=policy), "Gateway") == []


def routed(state: str = "active", **to: str) -> dict[str, Any]:
    nat = {"to": "0.0.0.0/0", "state": state, "nat": to.get("nat")}
    return {"table": "rtb-1", "main": {"Main": True}, "subnets": None, "routes": [nat]}


@pytest.mark.parametrize(
    ("table", "nats", "statuses"),
    [
        (routed(), [], ["ok"]),
        (routed("blackhole"), [], ["critical"]),
        (routed(nat="nat-1"), [["nat-1", "available"]], ["ok", "ok"]),
        (routed(nat="nat-1"), [["nat-1", "failed"]], ["ok", "critical"]),
        (routed(nat="nat-1"), [], ["ok", "critical"]),
        # another subnet's table says nothing of the function
        (routed("blackhole") | {"main": None, "subnets": ["subnet-z"]}, [], ["ok"]),
    ],
)
def test_a_route_that_leads_nowhere_and_a_nat_gateway_that_failed_are_told(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, table: Any, nats: Any, statuses: list[str]
) -> None:
    monkeypatch.setattr(network, "find_vpc", lambda _: "vpc-1")
    monkeypatch.setattr(network, "find_caller", lambda _: CALLER)

    def pages(_: str, operation: str, *__: Any, **___: Any) -> Any:
        return nats if operation == "describe_nat_gateways" else [table]

    monkeypatch.setattr(ops, "pages", pages)
    assert [f.status for f in network.check_routes(ops)] == statuses
