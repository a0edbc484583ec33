"""Where moto answers wrongly, the lab's own answer.

One small module an area, each with a contract test.

A correction either answers an operation itself (`@answers`, in opslib.lab.operations) when its
module is imported,
or changes moto's own classes in its `install()`; `reset()`, `held()` (the dicts that a reset
empties) and
`tick(world, now)` are called where they are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
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
    for each in _that("install"):
        each()


def reset() -> None:
    """Forgets what corrections hold beside moto's backends."""
    for each in _that("reset"):
        each()


def held() -> Iterator[dict[Any, Any]]:
    """What corrections hold beside moto's backends, to be copied and put back."""
    for each in _that("held"):
        yield from each()


def tick(world: Ground[Any], now: datetime) -> None:
    """Lets corrections go on with what takes time; about each second."""
    for each in _that("tick"):
        each(world, now)


@cache
def _that(does: str) -> list[Callable[..., Any]]:
    """Of those that have it, in their order."""
    modules = [import_module(f"{__name__}.{name}") for name in MODULES]
    return [getattr(module, does) for module in modules if hasattr(module, does)]
