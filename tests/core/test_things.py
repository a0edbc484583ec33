"""Things: a kind is described once, to find one, to read its state, and to plan what is done."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from opslib import NotFound
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, OpsError
from opslib.core.plans.things import Kind, Thing

SERVICE = Thing(
    Kind(
        noun="service",
        service="ecs",
        describe="describe_services",
        at="services[0]",
        key="services[]",
        called="service",
        status="[length(deployments) > `1` && 'deploying' || status] | [0]",
        pending=("deploying",),
        serving=("ACTIVE",),
        modify="update_service",
        delete="delete_service",
        deleting={"force": True},
    ),
    "api",
    {"cluster": "main"},
)
CACHE = Thing(
    Kind(
        noun="cache",
        service="elasticache",
        describe="describe_replication_groups",
        at="ReplicationGroups[0]",
        key="ReplicationGroupId",
        status="Status",
        pending=("creating", "modifying", "snapshotting"),
        modify="modify_replication_group",
        modifying={"ApplyImmediately": True},
        delete="delete_replication_group",
    ),
    "sessions",
)
DOMAIN = Thing(
    Kind(
        noun="domain",
        service="opensearch",
        describe="describe_domain",
        at="DomainStatus",
        key="DomainName",
        status="[Processing && 'processing' || 'active'] | [0]",
        pending=("processing",),
        serving=("active",),
        modify="update_domain_config",
    ),
    "search",
)


def account(*answers: Any) -> Connection:
    """Answers one after the other, the last one again and again; an error is raised."""
    left: Iterator[Any] = iter(answers)
    last = None

    def call(service: str, operation: str, /, **given: Any) -> Any:
        nonlocal last
        last = next(left, last)
        if isinstance(last, Exception):
            raise last
        return last

    return cast(Connection, SimpleNamespace(call=call, where="111122223333/us-west-2"))


def service(running: int, deployments: int = 1) -> dict[str, Any]:
    deployed = [{"id": str(number)} for number in range(deployments)]
    return {"services": [{"status": "ACTIVE", "desiredCount": running, "deployments": deployed}]}


@pytest.mark.parametrize(
    ("thing", "answer", "state"),
    [
        (SERVICE, service(2), "ACTIVE"),
        (SERVICE, service(2, deployments=2), "deploying"),
        (CACHE, {"ReplicationGroups": [{"Status": "snapshotting"}]}, "snapshotting"),
        (DOMAIN, {"DomainStatus": {"Processing": True}}, "processing"),
        (DOMAIN, {"DomainStatus": {"Processing": False}}, "active"),
    ],
)
def test_a_state_is_read_where_aws_tells_it(
    thing: Thing, answer: dict[str, Any], state: str
) -> None:
    assert thing.status().perform(account(answer)) == state


def test_a_thing_is_named_as_each_call_names_it() -> None:
    assert SERVICE.status()["parameters"] == {"services": ["api"], "cluster": "main"}
    assert SERVICE.gone()["parameters"] == {"service": "api", "cluster": "main", "force": True}
    assert CACHE.put("CacheNodeType", "cache.r6g.large")["parameters"] == {
        "ReplicationGroupId": "sessions",
        "CacheNodeType": "cache.r6g.large",
        "ApplyImmediately": True,
    }


def test_what_is_not_there_is_told_apart_from_what_is_denied() -> None:
    gone = account({"services": [], "failures": [{"reason": "MISSING"}]})
    assert not SERVICE.exists(gone)
    with pytest.raises(NotFound, match="service api not found in 111122223333/us-west-2"):
        SERVICE.describe(gone)
    assert not CACHE.exists(account(NotFound("no such group")))
    assert CACHE.exists(account({"ReplicationGroups": [{"Status": "creating"}]}))
    with pytest.raises(NotAllowed):
        CACHE.exists(account(NotAllowed("denied")))


def test_what_is_made_is_waited_for_and_undone_by_deleting_it() -> None:
    make, wait = SERVICE.made("Make service api", SERVICE.call("create_service"))
    assert (make.before, make.after, make.undo) == ("absent", "there", [SERVICE.gone()])
    assert (wait.title, wait.after, wait.undo) == ("Wait until service api is ACTIVE", "ACTIVE", [])
    assert wait.do.perform(account(service(1, deployments=2), service(1))) == "ACTIVE"
    assert make.observe is not None
    states = {"ACTIVE": "there", "deleting": "absent"}  # what goes already needs no undo
    for status, seen in states.items():
        told = {"services": [{"status": status, "deployments": []}]}
        assert make.observe.perform(account(told)) == seen
    assert make.observe.perform(account({"services": []})) == "absent"
    with pytest.raises(OpsError, match="ended as DRAINING"):
        wait.do.perform(account({"services": [{"status": "DRAINING", "deployments": []}]}))


def test_a_change_is_over_when_it_serves_with_the_new_value() -> None:
    change, wait = SERVICE.changed("desiredCount", 2, 5, ("More tasks", "Wait for them"))
    assert change.undo == [SERVICE.put("desiredCount", 2)]
    assert change.observe is not None
    assert change.observe.perform(account(service(2))) == 2
    states = account(service(2), service(5, deployments=2), service(5))  # it begins late
    assert wait.do.perform(states) == wait.after == "5 ACTIVE"
    final, _ = SERVICE.changed("desiredCount", 2, 5, ("More", "Wait"), reversible=False)
    assert final.undo is None
