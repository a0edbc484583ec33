"""Addresses that are turned away: one more, the others kept; none of ours; somebody else faster."""

from __future__ import annotations

from typing import Any

import pytest

from opslib import apply, edge
from opslib.core.connections.connection import Connection
from opslib.core.errors import Refused, UsageError
from opslib.edge.addresses import Addresses
from tests.undoing import confirmed, undo

TARGET = "lab/image-caption-prod"
CALLER = "45.83.64.7"

pytestmark = pytest.mark.usefixtures("records_folder")


def held(ops: Connection) -> set[str]:
    return set(edge.list_blocked(ops)["address"])


def test_one_is_added_the_others_stay_and_the_undo_takes_just_that_one(ops: Connection) -> None:
    before = held(ops)
    plan = edge.plan_block(ops, CALLER, "floods the login")
    assert held(ops) == before
    applied = apply(ops, plan, plan.id, confirmed(TARGET))
    assert held(ops) == {*before, f"{CALLER}/32"}
    assert applied.verify(edge.check_firewall).worst == "ok"
    undo(ops, applied)
    assert held(ops) == before


def test_somebody_who_was_faster_is_not_overwritten(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    waf = ops.client("wafv2")
    key = Addresses(ops).key
    plan, other = edge.plan_block(ops, CALLER, "floods"), "45.83.64.99/32"
    change, before = Connection.change, held(ops)

    def slowly(self: Connection, service: str, operation: str, *args: Any, **given: Any) -> Any:
        if operation == "update_ip_set" and other not in held(ops):
            told = waf.get_ip_set(**key)
            addresses = [*told["IPSet"]["Addresses"], other]
            waf.update_ip_set(**key, Addresses=addresses, LockToken=told["LockToken"])
        return change(self, service, operation, *args, **given)

    monkeypatch.setattr(Connection, "change", slowly)
    applied = apply(ops, plan, plan.id, confirmed(TARGET))
    monkeypatch.undo()
    assert held(ops) == {*before, other, f"{CALLER}/32"}
    undo(ops, applied)
    told = waf.get_ip_set(**key)
    waf.update_ip_set(**key, Addresses=sorted(before), LockToken=told["LockToken"])


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("203.0.113.5/32", "critical", "has 203.0.113.0/28 in it"),
        ("128.0.0.0/2", "critical", "too many to be one caller"),
        ("45.83.64.7/32", "ok", "3 addresses"),
    ],
)
def test_our_own_in_the_set_is_told_and_somebody_elses_is_not(
    ops: Connection, address: str, status: str, words: str
) -> None:
    waf, key, before = ops.client("wafv2"), Addresses(ops).key, sorted(held(ops))

    def put(addresses: list[str]) -> None:
        waf.update_ip_set(**key, Addresses=addresses, LockToken=waf.get_ip_set(**key)["LockToken"])

    put([*before, address])
    found = edge.check_firewall(ops)[0]
    put(before)
    assert found.status == status
    assert words in found.seen


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("10.0.0.1", Refused, "no public address"),
        ("127.0.0.1", Refused, "no public address"),
        ("8.0.0.0/8", Refused, "16,777,216 addresses"),
        ("2a00::1", UsageError, "IPv6; the set takes IPv4"),
        ("everybody", UsageError, "neither an IP address"),
    ],
)
def test_what_is_no_caller_is_refused(
    ops: Connection, address: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        edge.plan_block(ops, address, "why")


def test_an_address_that_is_never_to_be_blocked_is_refused(ops: Connection) -> None:
    ops.target.facts["edge"]["never"] = ["9.9.9.0/28"]
    with pytest.raises(Refused, match="never to be blocked"):
        edge.plan_block(ops, "9.9.9.3", "why")


def test_without_a_reason_nothing_is_planned_and_twice_is_nothing_to_do(ops: Connection) -> None:
    with pytest.raises(UsageError, match="reason"):
        edge.plan_block(ops, CALLER, " ")
    there = sorted(held(ops))[0]
    assert not edge.plan_block(ops, there, "again").steps
    assert edge.plan_block(ops, there, "it was a customer", unblock=True).steps


def test_a_rule_that_only_counts_turns_nobody_away(ops: Connection) -> None:
    waf = ops.client("wafv2")
    (listed,) = waf.list_web_acls(Scope="CLOUDFRONT")["WebACLs"]
    key = {"Name": listed["Name"], "Id": listed["Id"], "Scope": "CLOUDFRONT"}
    acl = waf.get_web_acl(**key)
    given = {k: acl["WebACL"][k] for k in ("DefaultAction", "VisibilityConfig", "Rules")}
    counting = [{**each, "Action": {"Count": {}}} for each in given["Rules"]]
    waf.update_web_acl(**key, **{**given, "Rules": counting}, LockToken=acl["LockToken"])
    assert edge.check_firewall(ops).worst == "critical"
    acl = waf.get_web_acl(**key)
    waf.update_web_acl(**key, **given, LockToken=acl["LockToken"])
    assert edge.check_firewall(ops).worst == "ok"


def test_an_address_within_a_network_of_the_set_is_not_called_free(ops: Connection) -> None:
    before = held(ops)
    wide = apply(ops, edge.plan_block(ops, "45.83.64.0/24", "floods"), "now", confirmed(TARGET))
    with pytest.raises(Refused, match=r"as a part of 45\.83\.64\.0/24.*address=45\.83\.64\.0/24"):
        edge.plan_block(ops, CALLER, "let in", unblock=True)
    assert edge.plan_block(ops, "45.83.64.0/24", "let in", unblock=True).steps
    undo(ops, wide)
    assert held(ops) == before
    assert not edge.plan_block(ops, CALLER, "let in", unblock=True).steps
