"""A change made by a role's session that may do its step alone."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from opslib import Refused, apply
from opslib.core.actions.actions import Action, Aws, action
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Policy
from opslib.core.errors import NotAllowed
from opslib.core.plans import narrowing
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import functions
from opslib.functions import versions
from tests.rooms import LIBRARY

TARGET = "lab/bluemoxon-staging"
ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/changes"
DOCUMENT = {"Version": "2012-10-17"}


def stated(**said: Any) -> str:
    return json.dumps({**DOCUMENT, "Statement": [{"Effect": "Allow", **said}]})


@pytest.fixture
def role(ops: Connection, clean: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """Connected to a target whose file names a role that may do all."""
    trust = stated(Action="sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    ops.call("iam", "create_role", RoleName="changes", AssumeRolePolicyDocument=trust)
    every = stated(Action="*", Resource="*")
    held = {"RoleName": "changes", "PolicyName": "all"}
    ops.call("iam", "put_role_policy", **held, PolicyDocument=every)
    policy = Policy(apply_at_once=True, apply_role=ROLE)
    monkeypatch.setattr(ops, "target", dataclasses.replace(ops.target, policy=policy))
    yield ops
    ops.call("iam", "delete_role_policy", **held)
    ops.call("iam", "delete_role", RoleName="changes")


def by_role(ops: Connection) -> list[str]:
    """What the role's sessions called."""
    calls = [each for each in ops.journal.events if each["event"] == "call"]
    return [each["operation"] for each in calls if each.get("role") == ROLE]


@planner
def plan(ops: Connection, *steps: Step) -> Planned:
    return Planned("a change", steps)


@pytest.mark.slow
def test_a_step_is_done_by_the_role_and_the_rest_is_read_by_the_login(role: Connection) -> None:
    was, made = functions.live_version(role, "api"), versions.plan_rollback(role, "api")
    assert f"by a session of {ROLE} that may do that step alone" in repr(made)
    apply(role, made, "now")
    assert functions.live_version(role, "api") != was
    assert by_role(role) == ["UpdateAlias"]
    applying = [each for each in role.journal.events if each["event"] == "applying"]
    assert applying[0]["role"] == ROLE


def test_a_step_may_do_nothing_else(role: Connection) -> None:
    name, other = (role.target["functions"][key]["name"] for key in ("api", "scraper"))
    at = {"Name": "live", "FunctionVersion": "4"}
    alone = narrowing.narrowed(role, Aws("lambda", "update_alias", FunctionName=name, **at))
    with pytest.raises(NotAllowed, match="no session policy allows the lambda:UpdateAlias action"):
        alone.change("lambda", "update_alias", FunctionName=other, **at)
    with pytest.raises(NotAllowed, match="lambda:PublishVersion"):
        alone.change("lambda", "publish_version", FunctionName=name)
    alone.call("lambda", "get_alias", FunctionName=other, Name="live")  # by the login that reads
    alone.change("lambda", "update_alias", FunctionName=name, **at)


def test_what_does_not_fit_a_session_is_refused_before_anything_is_done(role: Connection) -> None:
    groups = [f"/aws/lambda/{'x' * 100}-{number}" for number in range(18)]
    asked = {"startTime": 0, "endTime": 1, "queryString": "fields @message"}
    name = role.target["functions"]["api"]["name"]
    first = Aws("lambda", "publish_version", FunctionName=name)
    many = Aws("logs", "start_query", **asked, logGroupNames=groups)
    made = plan(role, Step("one", first), Step("many", many))
    assert "It cannot be applied as it is" in repr(made)
    with pytest.raises(Refused, match=r"a policy of 3,\d{3} characters, .* 2,048\. Nothing was"):
        apply(role, made, "now")
    assert by_role(role) == []


def test_a_role_that_is_not_to_be_had_is_told_before_anything_is_done(role: Connection) -> None:
    was, made = functions.live_version(role, "api"), versions.plan_rollback(role, "api")
    elsewhere = stated(Action="sts:AssumeRole", Principal={"AWS": "arn:aws:iam::999988887777:root"})
    role.call("iam", "update_assume_role_policy", RoleName="changes", PolicyDocument=elsewhere)
    with pytest.raises(NotAllowed, match=r"has to trust .*operator.* Nothing was changed\.$"):
        apply(role, made, "now")
    assert functions.live_version(role, "api") == was


def test_a_role_of_another_account_is_refused(
    role: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = dataclasses.replace(role.target.policy, apply_role=ROLE.replace(ACCOUNT, "9" * 12))
    monkeypatch.setattr(role, "target", dataclasses.replace(role.target, policy=policy))
    with pytest.raises(Refused, match=r"policy\.apply_role of .* is of another account"):
        apply(role, versions.plan_rollback(role, "api"), "now")


def test_what_each_kind_of_action_calls_is_known() -> None:
    for path in (LIBRARY / "core" / "actions").rglob("[a-z]*.py"):
        import_module(".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts))
    known = Action.kinds.items()
    kinds = {kind for kind, of in known if of.do.__module__.startswith("opslib.core.")}
    assert kinds == narrowing._OWN.keys() | narrowing._NO_OWN
    assert not narrowing._OWN.keys() & narrowing._NO_OWN


def test_a_step_that_nobody_knows_is_not_done(role: Connection) -> None:
    @action("odd", "odd")
    def Odd(ops: Connection, at: str) -> None: ...

    try:
        with pytest.raises(Refused, match="a step of kind 'odd' calls is not known"):
            apply(role, plan(role, Step("odd", Odd("here"))), "now")
    finally:
        del Action.kinds["odd"]


KEPT = {  # every plan of the pins, and what undoes it
    f"{path.stem} {name}": plan["steps"]
    for path in sorted((LIBRARY.parent / "tests/pins").glob("plans-*.json"))
    for name, plan in json.loads(path.read_text()).items()
}


@pytest.mark.parametrize("name", KEPT)
def test_each_step_of_every_plan_fits_a_session(name: str) -> None:
    target: Any = SimpleNamespace(account=ACCOUNT, region="us-west-2", key="pinned")
    facts = {"search": {"domain": "documents"}}
    offline: Any = SimpleNamespace(
        client=offline_client, target=type("T", (dict,), vars(target))(facts)
    )
    for step in KEPT[name]:
        for do in [step["do"], *(step["undo"] or ())]:
            allowed = narrowing.policy(offline, Action(do))
            read = do["kind"] in ("read", "wait", "select", "there")
            assert not (read and allowed), do
            if do["kind"] == "aws":
                assert allowed, do


@functools.cache
def offline_client(service: str) -> Any:
    return boto3.client(
        service, region_name="us-west-2", aws_access_key_id="x", aws_secret_access_key="x"
    )
