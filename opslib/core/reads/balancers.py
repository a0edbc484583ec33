"""What an Application Load Balancer does with requests."""

from __future__ import annotations

from opslib.core.connections.connection import Connection
from opslib.core.tables import Json

_ELB = "elbv2"


def rules(ops: Connection, name: str) -> dict[str, list[Json]]:
    """The rules of each of its listeners, by the listener's ARN (ELB DescribeRules)."""
    arn = "LoadBalancers[].LoadBalancerArn"
    (of,) = ops.pages(_ELB, "describe_load_balancers", arn, Names=[name])
    arns = ops.pages(_ELB, "describe_listeners", "Listeners[].ListenerArn", LoadBalancerArn=of)
    return ops.each(lambda arn: ops.pages(_ELB, "describe_rules", "Rules", ListenerArn=arn), arns)
