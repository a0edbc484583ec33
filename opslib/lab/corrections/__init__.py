"""Where moto answers wrongly, the lab's own answer.

One small module an area, each with a contract test.

A correction either answers an operation itself (`@answers`, in opslib.lab.operations) when its
module is imported,
or changes moto's own classes in its `install()`; `reset()`, `held()` (the dicts that a reset
empties) and
`tick(world, now)` are called where they are there.
"""

from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from typing import Any

from opslib.lab.aws.ground import Ground

MODULES = (
    "rds.clusters",
    "cloudwatch.metrics",
    "cloudwatch.alarms",  # after metrics: evaluated on what the gauges read
    "cloudwatch.dashboards",
    "cloudwatch.mute_rules",
    "ecs.services",
    "ecs.deployments",
    "ecs.images",
    "ecs.targets",
    "ecs.scaling",
    "accounts.costs",
    "accounts.mail",
    "firewalls",
    "gateways",
    "lambdas.functions",
    "logs.insights",
    "rds.instances",
    "rds.instance_restores",
    "lambdas.invocations",
    "lambdas.sources",
    "logs.logs",
    "networks",
    "objects",
    "rds.orderables",
    "permissions",
    "queues",
    "rds.caches",
    "rds.capacities",
    "rds.replicas",
    "rds.restores",
    "searches",
    "secrets",
    "tables",
    "trails",
    "users",
    "workflows.operations",
)


def install() -> None:
    """Installs every correction, once, before the first call."""
    for name in MODULES:
        module = import_module(f"{__name__}.{name}")
        if hasattr(module, "install"):
            module.install()


def reset() -> None:
    """Forgets what corrections hold beside moto's backends."""
    for name in MODULES:
        module = import_module(f"{__name__}.{name}")
        if hasattr(module, "reset"):
            module.reset()


def held() -> Iterator[dict[Any, Any]]:
    """What corrections hold beside moto's backends, to be copied and put back."""
    for name in MODULES:
        module = import_module(f"{__name__}.{name}")
        if hasattr(module, "held"):
            yield from module.held()


def tick(world: Ground[Any], now: datetime) -> None:
    """Lets corrections go on with what takes time; about each second."""
    for name in MODULES:
        module = import_module(f"{__name__}.{name}")
        if hasattr(module, "tick"):
            module.tick(world, now)
