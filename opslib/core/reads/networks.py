"""What requests of a function or a service pass in its VPC: security groups, routes, addresses; and
the rules of its load balancer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network

from opslib.core.connections.connection import Connection
from opslib.core.reads import functions, services
from opslib.core.tables import Json

_WORLD = ("0.0.0.0/0", "::/0")
_PEERS = """{
    groups: UserIdGroupPairs[].GroupId,
    blocks: [IpRanges[].CidrIp, Ipv6Ranges[].CidrIpv6][],
    lists: PrefixListIds[].PrefixListId}"""


@dataclass(frozen=True)
class Caller:
    """Who asks in a VPC: its subnets, their address blocks, its security groups as described.

    `noun`: a function or a service.
    """

    subnets: list[str]
    blocks: list[str]
    groups: list[Json]
    noun: str = "function"

    @property
    def ids(self) -> set[str]:
        return {group["GroupId"] for group in self.groups}

    def enters(self, groups: Iterable[Json], port: int) -> bool:
        """Whether one of these groups lets it in on a port.

        A prefix list may: what is in it is not read.
        """
        return any(
            self.ids & {*rule["groups"]} or rule["lists"] or self._within(rule["blocks"])
            for group in groups
            for rule in rules(group, port)
        )

    def leaves(self, groups: Iterable[Json], port: int) -> bool:
        """Whether one of its own groups lets it out to things in these groups."""
        into = {group["GroupId"] for group in groups}
        return any(
            into & {*rule["groups"]} or rule["lists"] or rule["blocks"]
            for group in self.groups
            for rule in rules(group, port, "IpPermissionsEgress")
        )

    def _within(self, blocks: Iterable[str]) -> bool:
        return any(lies_in(mine, theirs) for mine in self.blocks for theirs in blocks)


def lies_in(block: str, other: str) -> bool:
    """Whether a block of addresses is within another one, or the same."""
    mine, theirs = ip_network(block), ip_network(other, strict=False)
    return mine.version == theirs.version and mine.subnet_of(theirs)  # type: ignore[arg-type]


def rules(group: Json, port: int, which: str = "IpPermissions") -> list[Json]:
    """The rules of a security group for TCP on a port: groups, blocks and prefix lists."""
    import jmespath

    found = []
    for rule in group.get(which) or ():
        first, last = rule.get("FromPort", -1), rule.get("ToPort", -1)
        any_port = rule["IpProtocol"] == "-1" or first == -1
        if any_port or (rule["IpProtocol"] in ("tcp", "6") and first <= port <= last):
            told = jmespath.search(_PEERS, rule)
            found.append({key: value or [] for key, value in told.items()})
    return found


def open_to_all(group: Json, port: int) -> bool:
    """Whether every address is let in on a port."""
    return any(block in _WORLD for rule in rules(group, port) for block in rule["blocks"])


def caller(ops: Connection, function: str) -> Caller | None:
    """A function as it calls others (its live configuration); None when it is in no VPC."""
    return of(ops, functions.live(ops, function))


def of_service(ops: Connection, service: str) -> Caller | None:
    """The tasks of an ECS service; None where they have no address of their own (awsvpc)."""
    at = services.Service(ops, service).network
    return _at(ops, at["subnets"], at.get("securityGroups", ()), "service") if at else None


def of(ops: Connection, configuration: Json) -> Caller | None:
    """A function by a configuration that was read."""
    config = configuration.get("VpcConfig") or {}
    subnets = config.get("SubnetIds")
    return _at(ops, subnets, config.get("SecurityGroupIds", ())) if subnets else None


def _at(ops: Connection, subnets: list[str], ids: Iterable[str], noun: str = "function") -> Caller:
    read = partial(ops.pages, "ec2", "describe_subnets", "Subnets[].CidrBlock")
    blocks, groups = ops.gather(
        partial(read, SubnetIds=subnets),
        partial(find_groups, ops, ids),
    )
    return Caller(subnets, blocks, groups, noun)


def find_groups(ops: Connection, ids: Iterable[str]) -> list[Json]:
    """Security groups as EC2 describes them. Raises NotFound when one is not there."""
    wanted = sorted(ids)
    if not wanted:
        return []
    return ops.pages("ec2", "describe_security_groups", "SecurityGroups[]", GroupIds=wanted)


def listener_rules(ops: Connection, name: str) -> dict[str, list[Json]]:
    """Of a load balancer, of each of its listeners by the listener's ARN (ELB DescribeRules)."""
    arn = "LoadBalancers[].LoadBalancerArn"
    (of,) = ops.pages("elbv2", "describe_load_balancers", arn, Names=[name])
    arns = ops.pages("elbv2", "describe_listeners", "Listeners[].ListenerArn", LoadBalancerArn=of)
    return ops.each(
        lambda arn: ops.pages("elbv2", "describe_rules", "Rules", ListenerArn=arn), arns
    )
