"""Who did that: found by any of its marks; what is suspicious is told, an ordinary day is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from opslib import changes
from opslib.changes import memory
from opslib.changes.trail import suspicions, trails
from opslib.changes.trail.trails import Act
from opslib.changes.trail.who import Trail
from opslib.core.connections.connection import Connection
from opslib.core.findings import Findings
from opslib.core.times import window
from tests.conftest import PracticeLab

TARGET = "lab/image-caption-prod"
TWO_DAYS = 2880
STRANGER, THEIRS = "198.51.99.77", "203.0.112.20"


def test_a_stranger_is_found_by_name_key_address_event_and_part_of_a_resources_name(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken("secrets-probed", "image-caption-prod"):
        marks: tuple[dict[str, Any], ...] = (
            {"who": "svc-export"},
            {"who": "LABKEY0000EXPORT0001"},
            {"who": "arn:aws:iam::555566667777:user/svc-export"},
            {"address": "198.51."},
            {"event": "ListUsers"},  # of a global service, whose events are in us-east-1
            {"resource": "image-caption-gen"},  # as such it is the name of nothing
        )
        for mark in marks:
            found = changes.read_trail(ops, **mark)
            assert {act.principal for act in found.acts} >= {"svc-export"}, mark
        both = changes.read_trail(ops, who="svc-export", event="ListBuckets")
        assert [(act.what, act.denied) for act in both.acts] == [("ListBuckets", False)]
    assert not changes.read_trail(ops, who="svc-export").acts


def test_an_ordinary_deployment_is_on_the_timeline_and_not_suspicious(ops: Connection) -> None:
    trail = changes.read_trail(ops, minutes=TWO_DAYS)
    done = {act.name for act in trail.acts if act.by == "deployer"}
    assert {"UpdateService", "RegisterTaskDefinition", "PutRolePolicy"} <= done
    assert changes.check_suspicion(ops, trail).worst == "ok"
    timeline = changes.check_timeline(ops, trail)
    assert timeline.evidence is not None
    assert set(timeline.evidence["by"]) >= {"deployer (key LABK…0000)"}
    assert timeline.worst == "ok"


def test_what_could_not_be_read_is_never_an_all_clear(ops: Connection, lab: PracticeLab) -> None:
    with lab.denied("cloudtrail:LookupEvents", "image-caption-prod"):
        trail = changes.read_trail(ops)
        found = changes.check_suspicion(ops, trail)
        assert found.worst == "unknown"
        assert "denied" in found[-1].seen.lower()
        assert changes.check_timeline(ops, trail).worst == "unknown"
    with lab.denied("cloudtrail:GetTrailStatus", "image-caption-prod"):
        assert changes.check_trail(ops).worst == "unknown"


def test_where_there_is_more_than_is_read_it_says_since_when(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {
        "EventName": "UpdateService",
        "EventTime": ops.now() - timedelta(hours=3),
        "CloudTrailEvent": "not JSON",  # nobody's fault that can be mended here
    }
    monkeypatch.setattr(ops, "pages", lambda *given, **_: [event] * given[3])
    acts, trouble = trails.look_up(ops, "ReadOnly", "false", most=50)
    assert len(acts) == 50
    where = f"in {ops.target.region}, those since "
    assert trouble.startswith(f"only the last 50 events with ReadOnly false were read {where}")


# One record a rule that breaks it, and what is ordinary beside it


def record(event: str, by: str = "ana", address: str = THEIRS, **more: Any) -> dict[str, Any]:
    person = {"type": "IAMUser", "arn": f"arn:aws:iam::1:user/{by}", "accessKeyId": f"K{by:0>15}"}
    return {
        "eventID": f"{event}-{more}",
        "eventName": event,
        "userIdentity": person | more.pop("identity", {}),
        "sourceIPAddress": address,
        **more,
    }


def act(ops: Connection, said: dict[str, Any], hours: float = 1) -> Act:
    when = ops.now() - timedelta(hours=hours)
    by = said["userIdentity"]["arn"].rpartition("/")[2]
    return Act(when, said["eventName"], by, json.dumps(said), said)


Judge = Callable[..., Findings]


@pytest.fixture
def judge(ops: Connection, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """What is found of some records, after what was known before."""

    def judged(*said: dict[str, Any], before: tuple[dict[str, Any], ...] = ()) -> Findings:
        past = [act(ops, each, 24 * 7) for each in before]

        def look_up(_: Any, name: str, value: str, *__: Any) -> tuple[list[Act], str]:
            return [a for a in past if value == (a.what if name == "EventName" else a.by)], ""

        monkeypatch.setattr(suspicions, "look_up", look_up)
        monkeypatch.setattr(trails, "look_up", look_up)
        seen = Trail(window(ops, 1440), [act(ops, each) for each in said], [])
        return changes.check_suspicion(ops, seen)

    return judged


def ports(port: int, to: str = "0.0.0.0/0") -> dict[str, Any]:
    ranges = {"items": [{"cidrIp": to}]}
    rule = {"fromPort": port, "toPort": port, "ipRanges": ranges, "ipv6Ranges": {}}
    return {"requestParameters": {"groupId": "sg-1", "ipPermissions": {"items": [rule]}}}


def policy(**statement: Any) -> dict[str, Any]:
    given = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"} | statement
    return {"requestParameters": {"bucketName": "b", "bucketPolicy": {"Statement": [given]}}}


def shared(with_whom: str) -> dict[str, Any]:
    return {"requestParameters": {"attributeName": "restore", "valuesToAdd": [with_whom]}}


def login(mfa: str, **identity: str) -> dict[str, Any]:
    answers = {"responseElements": {"ConsoleLogin": "Success"}}
    return {**answers, "additionalEventData": {"MFAUsed": mfa}, "identity": identity}


ROOT = {"type": "Root", "arn": "arn:aws:iam::1:root"}
BLOCK = {"requestParameters": {"PublicAccessBlockConfiguration": {"BlockPublicAcls": False}}}


@pytest.mark.parametrize(
    ("event", "breaks", "ordinary", "status"),
    [
        ("DescribeInstances", {"identity": ROOT}, {}, "critical"),
        ("AuthorizeSecurityGroupIngress", ports(5432), ports(443), "critical"),
        ("AuthorizeSecurityGroupIngress", ports(22, "::/0"), ports(22, "10.0.0.0/8"), "critical"),
        ("PutBucketPolicy", policy(), policy(Principal={"AWS": "arn:aws:iam::1:root"}), "critical"),
        ("PutBucketPolicy", policy(Principal={"AWS": "*"}), policy(Effect="Deny"), "critical"),
        ("PutBucketPublicAccessBlock", BLOCK, {}, "critical"),
        ("ModifyDBSnapshotAttribute", shared("all"), shared("222233334444"), "critical"),
        ("ConsoleLogin", login("No"), login("Yes"), "warn"),
        ("ConsoleLogin", login("No"), login("No", type="AssumedRole"), "warn"),
    ],
)
def test_an_event_is_told_for_what_it_did(
    judge: Judge, event: str, breaks: dict[str, Any], ordinary: dict[str, Any], status: str
) -> None:
    known = record("Other")  # from where they come is known
    assert judge(record(event, **breaks), before=(known, record("x", **breaks))).worst == status
    assert judge(record(event, **ordinary), before=(known,)).worst == "ok"


@pytest.mark.parametrize("event", ["StopLogging", "DeleteTrail", "DeleteDetector"])
def test_logging_that_was_stopped_is_told_whoever_did_it(judge: Judge, event: str) -> None:
    found = judge(record(event), before=(record(event),))
    assert (found.worst, found.causes) == ("critical", {"trail-stopped"})
    tried = judge(record(event, errorCode="AccessDenied"), before=(record(event),))
    assert tried.worst == "warn"


@pytest.mark.parametrize(
    "event", ["CreateAccessKey", "AttachUserPolicy", "GetSecretValue", "AdminSetUserPassword"]
)
def test_what_is_ordinary_for_some_is_told_of_others(judge: Judge, event: str) -> None:
    assert judge(record(event), before=(record(event),)).worst == "ok"
    other = judge(record(event), before=(record("Other"), record(event, by="bob")))
    assert other.worst in ("warn", "critical")


def test_many_users_that_end_at_once_are_told_and_those_of_a_usual_day_are_not(
    judge: Judge,
) -> None:
    ended = [record("AdminDeleteUser", requestParameters={"username": str(n)}) for n in range(5)]
    found = judge(*ended, before=(record("Other"),))
    assert [(f.status, f.next) for f in found] == [("warn", "users/sign-in")]
    assert "AdminDeleteUser (5 calls" in found[0].seen
    assert judge(*ended[:4], before=(record("Other"),)).worst == "ok"
    assert judge(*ended, before=(ended[0],)).worst == "ok"


def test_a_right_of_what_is_remembered_is_told_with_its_configuration_alone(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = memory.Memory(now={("role", "arn:aws:iam::1:role/shop-api"): "{}"})
    monkeypatch.setattr(memory, "last", lambda *_: known)
    monkeypatch.setattr(suspicions, "look_up", lambda *_: ([], ""))
    monkeypatch.setattr(trails, "look_up", lambda *_: ([], ""))

    def found(role: str, beside: bool) -> str:
        given = act(ops, record("PutRolePolicy", requestParameters={"roleName": role}))
        trail = Trail(window(ops, 1440), [given], [])
        return changes.check_suspicion(ops, trail, beside=beside)[0].check

    told = "rights are given by those who always do"
    assert told not in found("shop-api", beside=True)
    assert told in found("shop-api", beside=False)
    assert told in found("shop-exports", beside=True)


def test_a_right_that_is_lacking_is_no_intruder_and_many_doors_are(judge: Judge) -> None:
    denied = {"errorCode": "AccessDenied"}
    same = [record("PutItem", requestParameters={"t": "a"}, n=n, **denied) for n in range(30)]
    found = judge(*same, before=(same[0],))
    assert (found.worst, found.causes) == ("warn", set())
    doors = [record(f"List{n}", **denied) for n in range(5)]
    found = judge(*doors, record("GetObjectAcl"), before=(doors[0],))
    assert (found.worst, found.causes) == ("critical", {"secrets-probed"})
    assert "answered: GetObjectAcl" in found.troubles[0].seen
    assert judge(*doors[:4], before=(doors[0],)).worst == "ok"


def test_a_new_network_is_told_but_not_of_who_roams_nor_of_services_and_sessions(
    judge: Judge,
) -> None:
    before = record("Other")
    found = judge(record("Other", address=STRANGER), before=(before,))
    assert (found.worst, found.causes) == ("warn", {"key-elsewhere"})
    assert found[0].next == "edge/block"
    assert judge(record("Other", address="203.0.9.9"), before=(before,)).worst == "ok"
    roams = tuple(record("Other", address=f"{n}.8.8.8") for n in (8, 20, 34, 52, 99))
    assert judge(record("Other", address=STRANGER), before=roams).worst == "ok"
    for address in ("cloudformation.amazonaws.com", "10.0.0.4"):
        assert judge(record("Other", address=address), before=(before,)).worst == "ok"
    session = {"type": "AssumedRole"}
    assert judge(record("Other", address=STRANGER, identity=session)).worst == "ok"
    assert judge(record("Other", address=STRANGER)).worst == "warn", "a user never seen before"


def test_denied_in_words_of_each_service_is_denied(ops: Connection) -> None:
    for code in ("AccessDenied", "Client.UnauthorizedOperation", "AccessDeniedException"):
        assert act(ops, record("List", errorCode=code)).denied
    assert not act(ops, record("List", errorCode="ThrottlingException")).denied
