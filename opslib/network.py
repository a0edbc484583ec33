"""VPC networking: can the functions reach the AWS services they need, through which endpoints?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from opslib import health
from opslib.core import Connection, Finding, Findings, Frame, Json, NotFound, Question, check, frame
from opslib.core.reads import functions
from opslib.health import Probe

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

    The shallow one answers and the deep one does not in time, or with 5xx: the function runs and
    cannot reach a service.
    """
    probes = ops.each(
        lambda depth: health.probe(ops, ops.target["api"][depth]), ("shallow", "deep")
    )
    shallow, deep = found = [_path_finding(probe, depth) for depth, probe in probes.items()]
    if shallow.status != "ok":
        note = "The shallow request fails too: the API itself does not work. "
        note += "The network may be fine; see its logs."
    elif deep.status != "ok":
        note = "Shallow works while deep fails: what the API depends on, or the way there. "
        note += "The endpoints are next."
    else:
        note = "Both answer: it is not the network."
    return Findings(found, note=note)


def _path_finding(probe: Probe, depth: str) -> Finding:
    asked = Question(f"{depth} request", "2xx in time", f"GET {probe.path}")
    follows = "health/deep" if depth == "deep" else "logs/search"
    if probe.answer is None:
        status = "critical" if probe.connected else "unknown"
        return asked.answer(status, str(probe.silence), next=follows)
    seen = f"{probe.answer.status} in {probe.answer.seconds:.1f} s"
    return asked.judged(probe.answer.ok, seen, next=follows)


class Surroundings(NamedTuple):
    """What endpoints are judged by.

    The function's subnets, route tables, whether private names are resolved.
    """

    subnets: list[str]
    tables: list[Json]
    dns: bool

    def unserved(self, endpoint: Json) -> set[str]:
        """Subnets without a way to it.

        An interface serves the whole VPC, from any subnet; a gateway its route tables.
        """
        if endpoint["VpcEndpointType"] != "Gateway":
            return set() if endpoint.get("SubnetIds") else set(self.subnets)
        routed = endpoint.get("RouteTableIds", ())
        return {subnet for subnet in self.subnets if self._route_table(subnet) not in routed}

    def _route_table(self, subnet: str) -> str:
        """A subnet's own route table, else the VPC's main one."""
        tables = {
            "main" if association.get("Main") else association.get("SubnetId"): table[
                "RouteTableId"
            ]
            for table in self.tables
            for association in table.get("Associations", ())
        }
        return str(tables.get(subnet, tables.get("main", "")))

    def lacks(self, endpoint: Json, kind: str) -> list[str]:
        """What is wrong with an endpoint, in words."""
        interface, named = kind == "Interface", endpoint.get("PrivateDnsEnabled")
        lacks = []
        if endpoint["VpcEndpointType"] != kind:
            lacks.append(f"it is of type {endpoint['VpcEndpointType']}, {kind} was expected")
        if endpoint["State"] != "available":
            lacks.append(f"it is {endpoint['State']}")
        if interface and not named:
            lacks.append("private DNS is off, so the service's name leads to the internet")
        elif interface and not self.dns:
            lacks.append("the VPC resolves no private names (enableDnsSupport, enableDnsHostnames)")
        if unserved := self.unserved(endpoint):
            lacks.append(f"no way from {', '.join(sorted(unserved))}")
        return lacks


def list_endpoints(ops: Connection) -> Frame:
    """The endpoints that the target expects (`network.endpoints`): EC2 DescribeVpcEndpoints.

    `serves`: how many of the function's subnets; `lacks`: what is wrong with it, empty when nothing
    is. Columns: ENDPOINTS.
    Raises NotFound when the VPC is not there.
    """
    vpc = find_vpc(ops)
    at = [{"Name": "vpc-id", "Values": [vpc]}]
    reads: list[Callable[[], Any]] = [
        partial(ops.pages, "ec2", "describe_vpc_endpoints", "VpcEndpoints[]", Filters=at),
        partial(find_subnets, ops),
        partial(ops.pages, "ec2", "describe_route_tables", "RouteTables[]", Filters=at),
        partial(_dns, ops, vpc),
    ]
    found, *rest = ops.gather(*reads)
    around = Surroundings(*rest)
    rows = []
    for service, kind in ops.target["network"]["endpoints"].items():
        name = f"com.amazonaws.{ops.target.region}.{service}"
        mine = [each for each in found if each["ServiceName"] == name]
        rows.append(_row(kind, mine, around) | {"service": service, "expected": kind})
    return frame(rows, ENDPOINTS)


def _row(kind: str, mine: list[Json], around: Surroundings) -> Json:
    """The best of the endpoints that a service has."""
    if not mine:
        row = dict.fromkeys(ENDPOINTS, "")
        return row | {"state": "missing", "lacks": "there is none in this VPC"}
    best = min(mine, key=lambda endpoint: len(around.lacks(endpoint, kind)))
    subnets = len(around.subnets)
    return {
        "type": best["VpcEndpointType"],
        "state": best["State"],
        "private_dns": str(best.get("PrivateDnsEnabled", False)) if kind == "Interface" else "",
        "serves": f"{subnets - len(around.unserved(best))} of {subnets} subnets",
        "lacks": "; ".join(around.lacks(best, kind)),
        "endpoint": best["VpcEndpointId"],
    }


def find_vpc(ops: Connection) -> str:
    """The id of the VPC whose Name is the target's `network.vpc`. Raises NotFound."""
    name = ops.target["network"]["vpc"]
    found = ops.pages(
        "ec2", "describe_vpcs", "Vpcs[].VpcId", Filters=[{"Name": "tag:Name", "Values": [name]}]
    )
    if len(found) != 1:
        raise NotFound(
            f"{len(found) or 'No'} VPC{'s are' if found else ' is'} named {name!r} "
            f"in {ops.where}; one was expected. "
            f"Correct network.vpc in parameters/targets/{ops.target.key}.yaml."
        )
    return str(found[0])


def find_subnets(ops: Connection) -> list[str]:
    """The subnets that the target's `network.function` runs in, as its alias serves it.

    Raises NotFound.
    """
    function = ops.target["network"]["function"]
    subnets: list[str] = functions.live(ops, function).get("VpcConfig", {}).get("SubnetIds", [])
    if not subnets:
        raise NotFound(
            f"Function {function!r} is in no VPC ({ops.where}), so it needs no endpoints. "
            "Correct network.function."
        )
    return subnets


def _dns(ops: Connection, vpc: str) -> bool:
    """Whether the VPC resolves private names.

    Without both settings an endpoint's private DNS has no effect.
    """
    settings = ("EnableDnsSupport", "EnableDnsHostnames")
    read = partial(ops.call, "ec2", "describe_vpc_attribute", VpcId=vpc)
    return all(read(Attribute=f"e{name[1:]}")[name]["Value"] for name in settings)


@check("Is there a way out to each service?")
def check_endpoints(ops: Connection) -> Findings:
    """Every endpoint that the target expects exists, of its type, available, with a way there."""
    found = list_endpoints(ops)
    return Findings([_endpoint_finding(ops, row) for row in found.itertuples()], found)


def _endpoint_finding(ops: Connection, row: Any) -> Finding:
    rule = f"{row.expected}, available, with a way from the function's subnets"
    asked = Question(f"endpoint {row.service}", rule, "ec2 DescribeVpcEndpoints")
    if not row.lacks:
        return asked.answer("ok", f"{row.type} {row.endpoint}, {row.state}, {row.serves}")
    seen = f"com.amazonaws.{ops.target.region}.{row.service} "
    seen += f"in VPC {ops.target['network']['vpc']}: {row.lacks}"
    return asked.answer("critical", seen, cause=MISSING, next="health/deep")
