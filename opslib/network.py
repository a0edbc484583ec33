"""VPC networking: can the functions reach the AWS services they need, through which endpoints?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opslib import health
from opslib.core.checks.checks import check
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotFound
from opslib.core.findings import Finding, Findings
from opslib.core.reads import functions
from opslib.core.tables import frame
from opslib.health import Probe

if TYPE_CHECKING:
    import pandas as pd

ENDPOINTS = {
    "service": "str",
    "expected": "str",
    "type": "str",
    "state": "str",
    "private_dns": "str",
    "serves": "str",
    "lacks": "str",
    "endpoint": "str",
}
MISSING = "vpc-endpoint-missing"  # the cause that findings name


@check("Is only what needs other AWS services failing?")
def check_paths(ops: Connection) -> Findings:
    """The shallow request of the target (`api.shallow`) against the deep check (`api.deep`).

    The shallow one answers and the deep one does not in time, or with 5xx: the function runs and cannot reach a service.
    """
    shallow, deep = ops.gather(
        lambda: health.probe(ops, ops.target["api"]["shallow"]),
        lambda: health.probe(ops, ops.target["api"]["deep"]),
    )
    findings = [_path_finding(shallow, "shallow"), _path_finding(deep, "deep")]
    if _well(shallow) and _well(deep):
        note = "Both answer: it is not the network."
    elif _well(shallow):
        note = "Shallow works while deep fails: what the API depends on, or the way there. The endpoints are next."
    else:
        note = "The shallow request fails too: the API itself does not work. The network may be fine; see its logs."
    return Findings(findings, note=note)


def _well(probe: Probe) -> bool:
    return probe.answer is not None and probe.answer.ok


def _path_finding(probe: Probe, depth: str) -> Finding:
    if probe.answer is None:
        seen, status = str(probe.silence), "critical" if probe.connected else "unknown"
    else:
        status = "ok" if probe.answer.ok else "critical"
        seen = f"{probe.answer.status} in {probe.answer.seconds:.1f} s"
    follows = "" if status == "ok" else "health/deep" if depth == "deep" else "logs/search"
    return Finding(
        status, f"{depth} request", seen, "2xx in time", f"GET {probe.path}", "", follows
    )


def list_endpoints(ops: Connection) -> pd.DataFrame:
    """The endpoints that the target expects (`network.endpoints`) as they are (EC2 DescribeVpcEndpoints).

    `serves`: how many of the function's subnets; `lacks`: what is wrong with it, empty when nothing is. Columns: ENDPOINTS.
    Raises NotFound when the VPC is not there.
    """
    facts = ops.target["network"]
    vpc = find_vpc(ops)
    at = [{"Name": "vpc-id", "Values": [vpc]}]
    reads: list[Callable[[], Any]] = [
        lambda: ops.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints[]", Filters=at),
        lambda: ops.pages("ec2", "describe_route_tables", "RouteTables[]", Filters=at),
        lambda: find_subnets(ops),
        lambda: _dns(ops, vpc),
    ]
    found, tables, subnets, dns = ops.gather(*reads)
    rows = []
    for service, kind in facts["endpoints"].items():
        name = f"com.amazonaws.{ops.target.region}.{service}"
        mine = [endpoint for endpoint in found if endpoint["ServiceName"] == name]
        rows.append(_row(ops, service, kind, mine, subnets, tables, dns))
    return frame(rows, ENDPOINTS)


def find_vpc(ops: Connection) -> str:
    """The id of the VPC whose Name is the target's `network.vpc`. Raises NotFound."""
    name = ops.target["network"]["vpc"]
    found = ops.pages(
        "ec2", "describe_vpcs", "Vpcs[].VpcId", Filters=[{"Name": "tag:Name", "Values": [name]}]
    )
    if len(found) != 1:
        raise NotFound(
            f"{len(found) or 'No'} VPC{'s are' if found else ' is'} named {name!r} in {ops.where}; one was expected. "
            f"Correct network.vpc in parameters/targets/{ops.target.key}.yaml."
        )
    return str(found[0])


def find_subnets(ops: Connection) -> list[str]:
    """The subnets that the target's `network.function` runs in (its configuration, as the alias serves it). Raises NotFound."""
    function = ops.target["network"]["function"]
    subnets: list[str] = functions.live(ops, function).get("VpcConfig", {}).get("SubnetIds", [])
    if not subnets:
        raise NotFound(
            f"Function {function!r} is in no VPC ({ops.where}), so it needs no endpoints. Correct network.function."
        )
    return subnets


def _dns(ops: Connection, vpc: str) -> bool:
    """Whether the VPC resolves private names: without both settings an endpoint's private DNS has no effect."""
    support = ops.call("ec2", "describe_vpc_attribute", VpcId=vpc, Attribute="enableDnsSupport")
    names = ops.call("ec2", "describe_vpc_attribute", VpcId=vpc, Attribute="enableDnsHostnames")
    return bool(support["EnableDnsSupport"]["Value"] and names["EnableDnsHostnames"]["Value"])


def _row(
    ops: Connection,
    service: str,
    kind: str,
    mine: list[dict[str, Any]],
    subnets: list[str],
    tables: list[dict[str, Any]],
    dns: bool,
) -> dict[str, Any]:
    row = {
        "service": service,
        "expected": kind,
        "type": "",
        "state": "missing",
        "private_dns": "",
        "serves": "",
        "endpoint": "",
    }
    if not mine:
        return row | {"lacks": "there is none in this VPC"}
    best = min(mine, key=lambda endpoint: len(_lacks(endpoint, kind, subnets, tables, dns)))
    lacks = _lacks(best, kind, subnets, tables, dns)
    served = set(subnets) - _unserved(best, subnets, tables)
    return row | {
        "type": best["VpcEndpointType"],
        "state": best["State"],
        "private_dns": str(best.get("PrivateDnsEnabled", False)) if kind == "Interface" else "",
        "serves": f"{len(served)} of {len(subnets)} subnets",
        "lacks": "; ".join(lacks),
        "endpoint": best["VpcEndpointId"],
    }


def _lacks(
    endpoint: dict[str, Any], kind: str, subnets: list[str], tables: list[dict[str, Any]], dns: bool
) -> list[str]:
    lacks = []
    if endpoint["VpcEndpointType"] != kind:
        lacks.append(f"it is of type {endpoint['VpcEndpointType']}, {kind} was expected")
    if endpoint["State"] != "available":
        lacks.append(f"it is {endpoint['State']}")
    if kind == "Interface" and not endpoint.get("PrivateDnsEnabled"):
        lacks.append("private DNS is off, so the service's name leads to the internet")
    elif kind == "Interface" and not dns:
        lacks.append("the VPC resolves no private names (enableDnsSupport, enableDnsHostnames)")
    if unserved := _unserved(endpoint, subnets, tables):
        lacks.append(f"no way from {', '.join(sorted(unserved))}")
    return lacks


def _unserved(
    endpoint: dict[str, Any], subnets: list[str], tables: list[dict[str, Any]]
) -> set[str]:
    """Subnets without a way to it. An interface serves the whole VPC, from any subnet; a gateway its route tables."""
    if endpoint["VpcEndpointType"] != "Gateway":
        return set() if endpoint.get("SubnetIds") else set(subnets)
    routed = set(endpoint.get("RouteTableIds", ()))
    return {subnet for subnet in subnets if _route_table(subnet, tables) not in routed}


def _route_table(subnet: str, tables: list[dict[str, Any]]) -> str:
    """A subnet's own route table, else the VPC's main one."""
    main = ""
    for table in tables:
        for association in table.get("Associations", ()):
            if association.get("SubnetId") == subnet:
                return str(table["RouteTableId"])
            if association.get("Main"):
                main = str(table["RouteTableId"])
    return main


@check("Is there a way out to each service?")
def check_endpoints(ops: Connection) -> Findings:
    """Every endpoint that the target expects exists, of the right type, available, with a way from the subnets."""
    found = list_endpoints(ops)
    return Findings([_endpoint_finding(ops, row) for row in found.itertuples()], found)


def _endpoint_finding(ops: Connection, row: Any) -> Finding:
    check, rule = (
        f"endpoint {row.service}",
        f"{row.expected}, available, with a way from the function's subnets",
    )
    source = "ec2 DescribeVpcEndpoints"
    if not row.lacks:
        return Finding(
            "ok", check, f"{row.type} {row.endpoint}, {row.state}, {row.serves}", rule, source
        )
    service = f"com.amazonaws.{ops.target.region}.{row.service}"
    seen = f"{service} in VPC {ops.target['network']['vpc']}: {row.lacks}"
    return Finding("critical", check, seen, rule, source, MISSING, "health/deep")
