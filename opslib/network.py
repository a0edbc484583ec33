"""VPC networking: can functions and services reach the AWS services they need, and by what way?"""

from functools import partial
from typing import Any, NamedTuple

from opslib import health
from opslib.core import (
    Connection,
    Finding,
    Findings,
    Frame,
    Json,
    NotFound,
    OpsError,
    Question,
    check,
    count,
    decoded,
    dtypes,
    frame,
    networks,
)

ENDPOINTS = dtypes("""
    service  str
    expected str
    type     str
    state    str
    lacks    str
    endpoint str
""")
MISSING, CLOSED = "vpc-endpoint-missing", "endpoint-closed"  # the causes that findings name
_HTTPS = 443
_FOLLOWS = {"shallow": "logs/search", "deep": "health/deep"}


@check("Is only what needs other AWS services failing?")
def check_paths(ops: Connection) -> Findings:
    """The shallow request of the target (`api.shallow`) against the deep check (`api.deep`).

    The shallow one answers and the deep one does not in time, or with 5xx: the function runs and
    cannot reach a service.
    """
    api = ops.target.at("api")
    if lacking := [f"api.{depth}" for depth in _FOLLOWS if depth not in api]:
        return Findings(note=f"Not asked: no {' and no '.join(lacking)} is described.")
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

    Who asks, with its subnets and groups, the route table of each subnet (of the others:
    "main"), whether private names are resolved, the security groups of the endpoints.
    """

    caller: networks.Caller
    routes: dict[str, str]
    dns: bool
    groups: dict[str, Json]

    def lacks(self, endpoint: Json, kind: str) -> list[str]:
        """What is wrong with an endpoint, in words.

        An interface serves the whole VPC, from any subnet; a gateway its route tables.
        """
        found, state = endpoint["VpcEndpointType"], endpoint["State"]
        interface = kind == found == "Interface"
        public = kind == "Interface" and not endpoint.get("PrivateDnsEnabled")
        nameless = kind == "Interface" and not public and not self.dns
        subnets = self.caller.subnets
        if found == "Gateway":
            routed, main = endpoint.get("RouteTableIds", ()), self.routes.get("main")
            apart = [each for each in subnets if self.routes.get(each, main) not in routed]
        else:
            apart = [] if endpoint.get("SubnetIds") else subnets
        names = [each["GroupId"] for each in endpoint.get("Groups", ())]
        groups = [self.groups[name] for name in names if name in self.groups]
        shut = interface and not self.caller.enters(groups, _HTTPS)
        noun = self.caller.noun
        said = {
            f"it is of type {found}, {kind} was expected": found != kind,
            f"it is {state}": state.lower() != "available",
            "private DNS is off, so the service's name leads to the internet": public,
            "the VPC resolves no private names (enableDnsSupport, enableDnsHostnames)": nameless,
            f"no way from {', '.join(sorted(apart))}": apart,
            f"its security groups ({', '.join(names) or 'none'}) do not let the {noun} in on port "
            f"{_HTTPS}": shut,
            f"the {noun}'s security groups let nothing out to it on port {_HTTPS}": interface
            and not self.caller.leaves(groups, _HTTPS),
            "its policy allows nothing": not _allows(endpoint.get("PolicyDocument")),
        }
        return [words for words, holds in said.items() if holds]


def _allows(policy: str | None) -> bool:
    """Whether an endpoint's policy lets anything through; without one, all.

    A statement that allows something is taken as meant; one that denies all to all is not.
    """
    import jmespath

    return not policy or bool(jmespath.search(_ALLOWED, decoded(policy, {})))


_ALLOWED = """([Statement][] | [?Effect == 'Allow']) && !([Statement][] | [?Effect == 'Deny'
    && !Condition && contains([Action][], '*') && contains([Resource][], '*')
    && contains([Principal, Principal.AWS][], '*')])"""
_ROUTES = "RouteTables[].Associations[] | [?Main || SubnetId].[SubnetId || 'main', RouteTableId]"


def list_endpoints(ops: Connection) -> Frame:
    """The endpoints that the target expects (`network.endpoints`): EC2 DescribeVpcEndpoints.

    `lacks`: what is wrong with it, empty when nothing is. Columns: ENDPOINTS.
    Raises NotFound when the VPC is not there.
    """
    vpc = find_vpc(ops)
    at = [{"Name": "vpc-id", "Values": [vpc]}]
    caller = find_caller(ops)
    found, routes, groups = ops.gather(
        partial(ops.pages, "ec2", "describe_vpc_endpoints", "VpcEndpoints[]", Filters=at),
        partial(ops.pages, "ec2", "describe_route_tables", _ROUTES, Filters=at),
        partial(ops.pages, "ec2", "describe_security_groups", "SecurityGroups[]", Filters=at),
    )
    named = {group["GroupId"]: group for group in groups}
    around = Surroundings(caller, dict(routes), _dns(ops, vpc), named)
    rows = []
    for service, kind in ops.target["network"]["endpoints"].items():
        ends = f".{ops.target.region}.{service}"  # after com.amazonaws, in China of some cn.com. …
        mine = [each for each in found if each["ServiceName"].endswith(ends)]
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


def find_caller(ops: Connection) -> networks.Caller:
    """Who needs the way out: `network.function` as its alias serves it, or `network.service`.

    Where neither is named, the first function or service of the file. Raises OpsError.
    """
    facts, here = ops.target.facts, ops.target["network"]
    noun = "function" if "function" in here or not facts.get("services") else "service"
    read = networks.caller if noun == "function" else networks.of_service
    name = here.get(noun) or next(iter(ops.target[f"{noun}s"]))
    found = read(ops, name)
    if found is None:
        raise OpsError(
            f"{noun.capitalize()} {name!r} is in no VPC ({ops.where}), so no endpoint serves it: "
            f"did a deployment take it out? Else correct network.{noun}."
        )
    return found


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
    rule = f"{row.expected}, available, with a way from the subnets that ask"
    asked = Question(f"endpoint {row.service}", rule, "ec2 DescribeVpcEndpoints")
    if not row.lacks:
        seen = f"{row.type} {row.endpoint}, {row.state}, a way from each subnet"
        return asked.ok(seen, cause=MISSING)
    seen = f"com.amazonaws.{ops.target.region}.{row.service} "
    seen += f"in VPC {ops.target['network']['vpc']}: {row.lacks}"
    cause = CLOSED if row.endpoint else MISSING
    return asked.critical(seen, cause=cause, next="network/endpoints")


_BLACKHOLES = """RouteTables[].{
    table: RouteTableId, main: Associations[?Main] | [0], subnets: Associations[].SubnetId,
    routes: Routes[].{to: DestinationCidrBlock || DestinationIpv6CidrBlock
        || DestinationPrefixListId, state: State, nat: NatGatewayId}}"""
_VPC_DOCS = "https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html"


@check("Do the routes of the subnets lead anywhere?")
def check_routes(ops: Connection) -> Findings:
    """Routes that lead to what is gone, and the NAT gateways that the subnets use."""
    vpc, caller = find_vpc(ops), find_caller(ops)
    at = [{"Name": "vpc-id", "Values": [vpc]}]
    tables = ops.pages("ec2", "describe_route_tables", _BLACKHOLES, Filters=at)
    own = {subnet for table in tables for subnet in table["subnets"] or ()}
    used = [
        table
        for table in tables
        if {*caller.subnets} & {*(table["subnets"] or ())}
        or (table["main"] and not {*caller.subnets} <= own)
    ]
    routes = [(table["table"], route) for table in used for route in table["routes"] or ()]
    gone = [(name, to["to"]) for name, to in routes if to["state"] == "blackhole"]
    lost = [f"{name}: {to} leads nowhere" for name, to in gone]
    asked = Question(f"routes of the {caller.noun}'s subnets", "each leads somewhere", _VPC_DOCS)
    found = [asked.judged(not lost, "; ".join(lost) or count(len(routes), "route"))]
    if wanted := sorted({route["nat"] for _, route in routes if route["nat"]}):
        states = dict(
            ops.pages(
                "ec2",
                "describe_nat_gateways",
                "NatGateways[].[NatGatewayId, State]",
                Filter=[{"Name": "nat-gateway-id", "Values": wanted}],
            )
        )
        for name in wanted:
            nat = Question(f"NAT gateway {name}", "available", _VPC_DOCS)
            state = states.get(name, "not there")
            found.append(nat.judged(state == "available", state, next="network/endpoints"))
    return Findings(found)
