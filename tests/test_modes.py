"""Maintenance mode: everybody is answered by the load balancer, until it is turned off again."""

from __future__ import annotations

from typing import Any

import pytest

from opslib import Refused, UsageError, apply, edge
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.plans import maintenance
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import confirmed, undo, undo_last

KEY = "ai-studio-production"
TARGET = f"lab/{KEY}"
LEFT_ON = "maintenance-mode-left-on"
SURE = {"approved": "now", "confirm": confirmed(TARGET)}

pytestmark = pytest.mark.usefixtures("clean", "records_folder")


def turn(ops: Connection, mode: str) -> Any:
    return apply(ops, edge.plan_mode(ops, mode), "now", confirmed(TARGET))


@pytest.mark.slow
def test_everybody_is_answered_and_undo_lets_them_through(
    ops: Connection, lab: PracticeLab
) -> None:
    assert ops.http("GET", "/api/v1/health").status == 200
    before = lab.state(KEY)
    left = notebooks.run("edge/maintenance-mode", target=TARGET, **SURE)
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert ops.http("GET", "/gateway/v1/health").status == 503
    assert all("answered" in path for path in differences(before, lab.state(KEY)))
    undo_last(ops)
    assert lab.state(KEY) == before
    assert ops.http("GET", "/api/v1/health").status == 200


@pytest.mark.slow
def test_it_is_turned_off_whoever_turned_it_on_and_that_is_undone(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken(LEFT_ON, KEY):
        found = edge.check_mode(ops)
        assert (found.worst, found.causes) == ("critical", {LEFT_ON})
        assert edge.plan_mode(ops, "on").steps == ()
        on = lab.state(KEY)
        applied = turn(ops, "off")
        assert applied.verify(edge.check_mode, "off").worst == "ok"
        assert edge.check_mode(ops).causes == set()
        undo(ops, applied)
        assert lab.state(KEY) == on
    assert edge.plan_mode(ops, "off").steps == ()


@pytest.mark.slow
def test_in_a_window_it_may_be_on(
    ops: Connection, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "outside", lambda ops: "")
    with lab.broken(LEFT_ON, KEY):
        assert edge.check_mode(ops).worst == "ok"
        assert edge.check_mode(ops, "off").worst == "critical"


def rule(ops: Connection, priority: int, paths: list[str], **action: Any) -> str:
    """Somebody's own rule of the listener; its ARN."""
    balancer = ops.call("elbv2", "describe_load_balancers", Names=["ai-studio-alb"])
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    listener = ops.call("elbv2", "describe_listeners", LoadBalancerArn=arn)["Listeners"][0]
    group = listener["DefaultActions"][0]["TargetGroupArn"]
    forward = {"Type": "forward", "TargetGroupArn": group}
    made = ops.call(
        "elbv2",
        "create_rule",
        ListenerArn=listener["ListenerArn"],
        Priority=priority,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": paths}}],
        Actions=[action or forward],
    )
    return str(made["Rules"][0]["RuleArn"])


def test_only_a_rule_for_everything_before_all_others_is_maintenance_mode(
    ops: Connection,
) -> None:
    told = {"StatusCode": "404", "ContentType": "text/plain", "MessageBody": "-"}
    fixed = {"Type": "fixed-response", "FixedResponseConfig": told}
    made = [
        rule(ops, 1, ["/wp-admin*"], **fixed),
        rule(ops, 40_000, ["/*"], **fixed),  # what no other rule is for: that is how many end
    ]
    assert edge.check_mode(ops).worst == "ok"
    (step,) = edge.plan_mode(ops).steps
    assert step.do["parameters"]["Priority"] == 2
    for each in made:
        ops.call("elbv2", "delete_rule", RuleArn=each)
    made = [rule(ops, 1, ["/admin/*"])]
    with pytest.raises(Refused, match="can stand before the one of priority 1"):
        edge.plan_mode(ops)
    ops.call("elbv2", "delete_rule", RuleArn=made[0])


def test_denied_is_unknown_and_bad_input_an_error(ops: Connection, lab: PracticeLab) -> None:
    with lab.denied("elbv2:DescribeRules", KEY):
        found = edge.check_mode(ops)
        assert (found.worst, found.causes) == ("unknown", {"access-denied"})
    with pytest.raises(UsageError, match="neither 'on' nor 'off'"):
        edge.plan_mode(ops, "maybe")


def test_a_target_without_one_says_so(ops: Connection) -> None:
    known = {k: v for k, v in ops.target.facts.items() if k != "maintenance_mode"}
    object.__setattr__(ops.target, "facts", Facts(known, "a file"))
    assert "describes no maintenance_mode" in edge.check_mode(ops).note
    with pytest.raises(UsageError, match="describes no maintenance_mode"):
        edge.plan_mode(ops)
