"""VPC networking: can the functions reach the AWS services they need, through which endpoints?"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from opslib import health
from opslib.core import Connection, Finding, Findings, Frame, Json, NotFound, Question, check, frame
from opslib.core.reads import functions

ENDPOINTS = {
    "service": "str",
    "expected": "str",
    "type": "str",
    "state": "str",
    "lacks": "str",
    "endpoint": "str",
}
MISSING = "vpc-endpoint-missing"  # the cause that findings name
_FOLLOWS = {"shallow": "logs/search", "deep": "health/deep"}


@check("Is only what needs other AWS services failing?")
def check_paths(ops: Connection) -> Findings:
    """The shallow request of the target (`api.shallow`) against the deep check (`api.deep`).

    The shallow one answers and the deep one does not in time, or with 5xx: the function runs and
    cannot reach a service.
    """
    api = ops.target["api"]
    probes = ops.each(lambda depth: health.probe(ops, api[depth]), _FOLLOWS)
    found = []
    for depth, probe in probes.items():
        asked = Question(f"{depth} request", "2xx in time", f"GET {probe.path}")
        passed = probe.answer is not None and probe.answer.ok
        otherwise = "unknown" if probe.kept_back else "critical"
        found.append(asked.judged(passed, probe.seen, otherwise=otherwise, next=_FOLLOWS[depth]))
    shallow, deep = found
    if shallow.status != "ok":
        note = "The shallow request fails too: the API itself does not work. "
        note += "The network may be fine; see its logs."
    elif deep.status != "ok":
        note = "Shallow works while deep fails: what the API depends on, or the way there. "
        note += "The endpoints are next."
    else:
        note = "Both answer: it is not the network."
    return Findings(found, note=note)


class Surroundings(NamedTuple):
    """What endpoints are judged by.

    The function's subnets, the route table of each (of the others: "main"), whether private names
    are resolved.
    """

    subnets: list[str]
    routes: dict[str, str]
    dns: bool

    def lacks(self, endpoint: Json, kind: str) -> list[str]:
        """What is wrong with an endpoint, in words.

        An interface serves the whole VPC, from any subnet; a gateway its route tables.
        """
        found, state = endpoint["VpcEndpointType"], endpoint["State"]
        public = kind == "Interface" and not endpoint.get("PrivateDnsEnabled")
        nameless = kind == "Interface" and not public and not self.dns
        if found == "Gateway":
            routed, main = endpoint.get("RouteTableIds", ()), self.routes.get("main")
            apart = [each for each in self.subnets if self.routes.get(each, main) not in routed]
        else:
            apart = [] if endpoint.get("SubnetIds") else self.subnets
        said = {
            f"it is of type {found}, {kind} was expected": found != kind,
            f"it is {state}": state != "available",
            "private DNS is off, so the service's name leads to the internet": public,
            "the VPC resolves no private names (enableDnsSupport, enableDnsHostnames)": nameless,
            f"no way from {', '.join(sorted(apart))}": apart,
        }
        return [words for words, holds in said.items() if holds]


_ROUTES = "RouteTables[].Associations[] | [?Main || SubnetId].[SubnetId || 'main', RouteTableId]"


def list_endpoints(ops: Connection) -> Frame:
    """The endpoints that the target expects (`network.endpoints`): EC2 DescribeVpcEndpoints.

    `lacks`: what is wrong with it, empty when nothing is. Columns: ENDPOINTS.
    Raises NotFound when the VPC is not there.
    """
    vpc = find_vpc(ops)
    at = [{"Name": "vpc-id", "Values": [vpc]}]
    found, subnets, routes = ops.gather(
        partial(ops.pages, "ec2", "describe_vpc_endpoints", "VpcEndpoints[]", Filters=at),
        partial(find_subnets, ops),
        partial(ops.pages, "ec2", "describe_route_tables", _ROUTES, Filters=at),
    )
    around = Surroundings(subnets, dict(routes), _dns(ops, vpc))
    rows = []
    for service, kind in ops.target["network"]["endpoints"].items():
        name = f"com.amazonaws.{ops.target.region}.{service}"
        mine = [each for each in found if each["ServiceName"] == name]
        rows.append(_best(kind, mine, around) | {"service": service, "expected": kind})
    return frame(rows, ENDPOINTS)


def _best(kind: str, mine: list[Json], around: Surroundings) -> Json:
    """The best of the endpoints that a service has."""
    if not mine:
        missing = {"state": "missing", "lacks": "there is none in this VPC"}
        return dict.fromkeys(ENDPOINTS, "") | missing
    best = min(mine, key=lambda endpoint: len(around.lacks(endpoint, kind)))
    return {
        "type": best["VpcEndpointType"],
        "state": best["State"],
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
        return asked.answer("ok", f"{row.type} {row.endpoint}, {row.state}, a way from each subnet")
    seen = f"com.amazonaws.{ops.target.region}.{row.service} "
    seen += f"in VPC {ops.target['network']['vpc']}: {row.lacks}"
    return asked.answer("critical", seen, cause=MISSING, next="health/deep")
