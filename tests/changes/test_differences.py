"""How long a difference counts, who is named for it, and what makes it no warning."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from opslib.changes import differences, memory, rules
from opslib.changes.forms import Forms
from opslib.changes.resources import UNREAD, Described
from opslib.changes.trail import trails
from opslib.core import NotAllowed, UsageError
from opslib.core.connections import targets
from opslib.core.findings import Findings
from opslib.core.journal import Journal

KEY = b"a key of 32 bytes, for this test"
DAY = timedelta(days=1)
START = datetime(2026, 11, 20, 6, tzinfo=UTC)
QUEUE = ("queue", "orders")
WELL = {"VisibilityTimeout": "900", "DelaySeconds": "0"}
FIRST: dict[Any, Any] = {QUEUE: WELL, ("function", "api"): {"Timeout": 30, "Version": "3"}}


class Target:
    name, production, at = "lab/shop-staging", False, targets.Target.at

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}


class Ops:
    """What the check asks of a connection, at a time of its own."""

    def __init__(self, days: float, facts: dict[str, Any]) -> None:
        self.target, self.journal = Target(), Journal()
        self.target.facts = facts
        self.journal.kept = True
        self.findings, self.changed, self._now = Findings(), False, START + days * DAY
        self.identity = SimpleNamespace(arn="arn:aws:iam::1:user/me")

    def now(self) -> datetime:
        return self._now

    def client(self, service: str) -> Any:
        model = SimpleNamespace(signing_name=service)
        return SimpleNamespace(meta=SimpleNamespace(service_model=model))


class Reports:
    """Reports a day, each with the last one's record before it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch
        self.facts: dict[str, Any] = {}
        self.ours: list[trails.Act] = []
        self.theirs: list[trails.Act] = []
        self.days = 0.0
        self.kept: memory.Memory | None = None
        monkeypatch.setattr(memory, "world", lambda _: "")
        monkeypatch.setattr(rules, "judged", lambda *_: [])
        monkeypatch.setattr(differences, "own_key", lambda: KEY)
        monkeypatch.setattr(trails, "own", lambda *_: self.ours)
        monkeypatch.setattr(trails, "events", lambda *_: (self.theirs, ""))
        monkeypatch.setattr(memory, "last", lambda *_: self.kept)

    def __call__(self, found: Any, **given: Any) -> Findings:
        absent, unread = given.pop("absent", []), given.pop("unread", {})
        described = Described(copy.deepcopy(found), absent, unread)
        self.monkeypatch.setattr(differences, "describe", lambda *_: described)
        ops = Ops(self.days, self.facts)
        seen = differences.check_configuration(ops, **given)  # type: ignore[arg-type]
        told = [e for e in ops.journal.events if e["event"] == "configuration"]
        if told:
            said = json.loads(json.dumps(told[-1]))
            self.kept = memory.read(said, Forms(KEY), f"report-{self.days:g}", ops.now())
        self.days += 1
        return seen


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Reports:
    made = Reports(monkeypatch)
    made(FIRST)
    return made


def altered(**settings: Any) -> Any:
    found = copy.deepcopy(FIRST)
    found[QUEUE] |= settings
    return found


def test_the_first_report_remembers_and_the_second_is_silent(report: Reports) -> None:
    assert report(FIRST).troubles == []
    assert report(FIRST).troubles == []


def test_a_difference_counts_in_every_report_until_it_is_taken_back(report: Reports) -> None:
    for _ in range(3):
        [found] = report(altered(VisibilityTimeout="30")).troubles
        assert (found.status, found.check) == ("warn", "configuration of queue orders")
        assert "VisibilityTimeout: was 900, now 30" in found.seen
        assert (
            "between 11-20 06:00 and 11-21 06:00" in found.seen
        )  # when it came, not when it is told
    assert report(FIRST).troubles == []
    assert report(FIRST).troubles == []


def test_a_second_difference_has_its_own_time(report: Reports) -> None:
    report(altered(VisibilityTimeout="30"))
    found = report(altered(VisibilityTimeout="30", DelaySeconds="9"))
    assert found.evidence is not None
    assert list(found.evidence["after"].dt.day) == [21, 20]
    assert list(found.evidence["setting"]) == ["DelaySeconds", "VisibilityTimeout"]


def test_what_is_gone_is_critical_and_stays_so(report: Reports) -> None:
    left = {k: v for k, v in FIRST.items() if k != QUEUE}
    for _ in range(2):
        [found] = report(left, absent=[QUEUE]).troubles
        assert (found.status, "it is gone" in found.seen) == ("critical", True)


@pytest.mark.parametrize(
    ("may", "told"), [([], False), (["CREATEROLE"], True), (["BYPASSRLS"], True)]
)
def test_a_new_role_is_told_where_it_may_give_itself_what_it_lacks(
    report: Reports, may: list[str], told: bool
) -> None:
    role = {"name": "contractor", "may log in": True, "may": may}
    assert bool(report(FIRST | {("database role", "contractor"): role}).troubles) == told


def test_what_nothing_leads_to_any_more_is_not_gone(report: Reports) -> None:
    left = {k: v for k, v in FIRST.items() if k != QUEUE}
    assert report(left).troubles == []


def test_what_the_file_names_and_was_never_there_is_critical(report: Reports) -> None:
    [found] = report(FIRST, absent=[("bucket", "pictures")]).troubles
    assert (found.status, found.check) == ("critical", "bucket pictures")


def test_what_is_new_is_told(report: Reports) -> None:
    [found] = report({**FIRST, ("queue", "more"): WELL}).troubles
    assert (found.check, "it is new" in found.seen) == ("configuration of queue more", True)


def test_a_version_that_went_back_is_a_warning_unless_it_was_ours(report: Reports) -> None:
    back = {**FIRST, ("function", "api"): {"Timeout": 30, "Version": "1"}}
    assert "Version: was 3, now 1" in report(back).troubles[0].seen
    report.ours = [trails.Act(START, "functions/rollback", "ana, record 2026-2", "api Version")]
    report.kept = None
    report(FIRST)
    assert report(back).troubles == []


def test_a_deployment_is_told_and_no_warning(report: Reports) -> None:
    found = copy.deepcopy(FIRST)
    found["function", "api"]["Version"] = "4"
    seen = report(found)
    assert seen.troubles == []
    assert "Version: was 3, now 4" in seen[-1].seen
    assert "Version" not in report(found)[-1].seen  # once


def test_a_tag_and_one_alarm_more_are_told_and_no_warning(report: Reports) -> None:
    alarm = {"Threshold": 5}
    seen = report({**FIRST, QUEUE: WELL | {"Tags": {"team": "a"}}, ("alarm", "more"): alarm})
    assert seen.troubles == []
    assert "Tags" in seen[-1].seen
    assert "more" in seen[-1].seen
    assert report(FIRST, absent=[("alarm", "more")]).worst == "critical"  # one less is


GROUP, RULES, DASHBOARD = ("log group", "/ecs/app"), ("security group", "sg-1"), ("dashboard", "d")
SERVES = {
    GROUP: {"retentionInDays": 30},
    RULES: {"Description": "the app", "IpPermissions": [], "definition": {"Comment": "1"}},
    ("database instance", "ledger"): {
        "BackupRetentionPeriod": 7,
        "PreferredMaintenanceWindow": "sun:06:00-sun:06:30",
    },
    DASHBOARD: {"widgets": [{"type": "text"}, {"type": "metric"}]},
}


def test_what_is_kept_longer_described_otherwise_or_drawn_otherwise_is_told_and_no_warning(
    report: Reports,
) -> None:
    assert report(SERVES).troubles  # all of it is new
    report.kept = None
    report(SERVES)
    edited = {
        GROUP: {"retentionInDays": 365},
        RULES: {"Description": "the app of A", "IpPermissions": [], "definition": {"Comment": "2"}},
        ("database instance", "ledger"): {
            "BackupRetentionPeriod": 14,
            "PreferredMaintenanceWindow": "sun:04:00-sun:04:30",
        },
        DASHBOARD: {"widgets": [{"type": "text", "width": 3}, {"type": "metric"}]},
    }
    seen = report(edited)
    assert seen.troubles == []
    assert seen.evidence is not None
    assert len(seen.evidence) == 6
    lost = {
        GROUP: {"retentionInDays": 3},
        RULES: {"Description": "the app", "IpPermissions": [{"FromPort": 22}]},
        ("database instance", "ledger"): {"BackupRetentionPeriod": 1},
        DASHBOARD: {"widgets": []},
    }
    assert len(report(lost).troubles) == 4


def test_denied_is_unknown_with_its_permission_and_neither_gone_nor_new(report: Reports) -> None:
    denied = {"sqs:GetQueueAttributes": (NotAllowed("Denied: sqs"), [("queue", "orders")])}
    [found] = report({**FIRST, QUEUE: UNREAD}, unread=denied).troubles
    assert (found.status, found.cause) == ("unknown", "access-denied")
    assert "sqs:GetQueueAttributes" in found.check
    assert "queue orders" in found.seen
    [found] = report(altered(VisibilityTimeout="30")).troubles  # what was before is still known
    assert "was 900, now 30" in found.seen


def test_a_part_that_was_denied_for_a_day_is_compared_with_the_day_before(report: Reports) -> None:
    report(altered(VisibilityTimeout=UNREAD))
    assert "was 900, now 30" in report(altered(VisibilityTimeout="30")).troubles[0].seen


def test_a_day_on_which_it_was_denied_does_not_settle_a_difference(report: Reports) -> None:
    left = {k: v for k, v in FIRST.items() if k != QUEUE}
    denied = {"cloudwatch:DescribeAlarms": (NotAllowed("Denied: cloudwatch"), ["queue *"])}
    report(left, absent=[QUEUE])
    report(left, unread=denied)  # a list that was denied says nothing of what is in it
    [found] = report(left, absent=[QUEUE]).troubles
    assert (found.status, "between 11-20 06:00" in found.seen) == ("critical", True)


def test_first_denied_and_then_seen_is_not_new(monkeypatch: pytest.MonkeyPatch) -> None:
    report = Reports(monkeypatch)
    denied = {"sqs:GetQueueAttributes": (NotAllowed("Denied: sqs"), [("queue", "orders")])}
    report({**FIRST, QUEUE: UNREAD}, unread=denied)
    assert report(FIRST).troubles == []


def test_accepted_with_a_reason_it_counts_no_longer(report: Reports) -> None:
    seen = report(altered(VisibilityTimeout="30"), accept="the worker is quicker now")
    assert seen.troubles == []
    assert "accepted: the worker is quicker now" in seen[-1].seen
    assert report(altered(VisibilityTimeout="30")).troubles == []
    assert report(FIRST).troubles != []  # back is a difference, then


def test_what_is_accepted_has_to_be_kept(report: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ops, "now", lambda self: START)
    ops = Ops(1, {})
    ops.journal.kept = False
    with pytest.raises(UsageError, match="opslib run"):
        differences.check_configuration(ops, accept="so")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "what", ["queue orders VisibilityTimeout", "queue orders", "queue * Visibility*"]
)
def test_accepted_in_the_file_it_counts_again_after_its_date(report: Reports, what: str) -> None:
    report.facts["accepted"] = [{"what": what, "reason": "a test", "until": "2026-11-22"}]
    for _ in ("21", "22"):
        seen = report(altered(VisibilityTimeout="30"))
        assert seen.troubles == []
        assert "accepted until 2026-11-22: a test" in seen[-1].seen
    assert report(altered(VisibilityTimeout="30")).troubles != []


def test_another_setting_is_not_accepted_with_it(report: Reports) -> None:
    what = "queue orders Delay"
    report.facts["accepted"] = [{"what": what, "reason": "a test", "until": "2027-11-22"}]
    assert len(report(altered(DelaySeconds="30")).troubles) == 1


def test_who_did_it_is_named_and_no_other(report: Reports) -> None:
    ana = trails.Act(START, "SetQueueAttributes", "ana", "…/orders Attributes.VisibilityTimeout")
    bob = trails.Act(START, "SetQueueAttributes", "bob", "…/orders-dlq VisibilityTimeout")
    said = {"eventSource": "logs.amazonaws.com"}  # of a log group that is called the same
    cy = trails.Act(START, "DeleteLogGroup", "cy", "…/orders VisibilityTimeout", said)
    report.theirs = [cy, bob, ana]
    [found] = report(altered(VisibilityTimeout="30")).troubles
    assert "by ana: SetQueueAttributes at 11-20 06:00" in found.seen
    other = {"eventSource": "dynamodb.amazonaws.com"}  # of a table of that name
    report.theirs = [trails.Act(START, "UpdateTable", "eve", "orders", other), ana]
    [found] = report(altered(VisibilityTimeout="30")).troubles
    assert "by ana" in found.seen


GRANT = {"Statement": [{"Sid": "tags", "Effect": "Allow", "Action": ["s3:GetObjectTagging"]}]}
BOT = {"type": "AssumedRole", "sessionContext": {"sessionIssuer": {"userName": "pipeline"}}}
ANA = {
    "type": "AssumedRole",
    "sessionContext": {"sessionIssuer": {"userName": "AWSReservedSSO_a"}},
}


@pytest.mark.parametrize(
    ("who", "before", "now", "told"),
    [
        (BOT, BOT, GRANT, 0),
        ({**BOT, "invokedBy": "cloudformation.amazonaws.com"}, {}, GRANT, 0),
        (BOT, {}, GRANT, 1),  # nobody knows it
        (ANA, ANA, GRANT, 1),  # a person
        (BOT, BOT, {"Statement": [{**GRANT["Statement"][0], "Effect": "Deny"}]}, 1),
        (BOT, BOT, None, 1),
    ],
)
def test_a_right_more_by_the_pipeline_that_always_gives_them_is_told_and_no_warning(
    report: Reports, who: Any, before: Any, now: Any, told: int
) -> None:
    key = ("inline policy", "web-more role/web")

    def act(of: Any, days: int) -> trails.Act:
        said = {"userIdentity": of, "eventSource": "iam.amazonaws.com"}
        return trails.Act(START - days * DAY, "PutRolePolicy", "run-7", "web-more role/web", said)

    report.theirs = [act(who, 0)]
    report.monkeypatch.setattr(trails, "look_up", lambda *_: ([act(before, 9)], ""))
    absent = [] if now else [key]
    report({**FIRST, key: {}} | ({} if now else {key: GRANT}), accept="as it was")
    seen = report({**FIRST, **({key: now} if now else {})}, absent=absent)
    assert len(seen.troubles) == told, seen
    assert told or "by run-7: PutRolePolicy" in seen[-1].seen


def test_of_several_events_the_one_that_sets_such_a_thing_is_named(report: Reports) -> None:
    said = {"eventSource": "lambda.amazonaws.com"}
    names = ("UpdateAlias20150331", "UpdateFunctionConfiguration20150331v2", "TagResource")
    report.theirs = [trails.Act(START, name, "ana", "…:my-api", said) for name in names]
    was = {"Environment": {"Variables": {"LEVEL": "a"}}, "aliases": {"live": {"Weight": 1}}}
    now = {"Environment": {"Variables": {"LEVEL": "b"}}, "aliases": {"live": {"Weight": 2}}}
    report({**FIRST, ("function", "my-api"): was}, accept="it is new")
    [found] = report({**FIRST, ("function", "my-api"): now}).troubles
    assert "by ana: UpdateFunctionConfiguration20150331v2 at" in found.seen
    assert "by ana: UpdateAlias20150331 at" in found.seen


def test_what_a_run_of_ours_did_is_no_warning_and_names_its_record(report: Reports) -> None:
    text = '{"QueueUrl": "…/orders", "Attributes": {"VisibilityTimeout": "30"}}'
    report.ours = [trails.Act(START, "queues/scale", "ana, record 2026-1", text)]
    seen = report(altered(VisibilityTimeout="30"))
    assert seen.troubles == []
    assert "ana, record 2026-1 (queues/scale)" in seen[-1].seen
    assert (
        report(altered(VisibilityTimeout="30", DelaySeconds="1")).troubles != []
    )  # that it did not


def test_a_chosen_moment_is_compared_with_and_nothing_is_kept(report: Reports) -> None:
    kept = report.kept
    assert report(altered(DelaySeconds="7"), since="1d").troubles != []
    assert report.kept is kept


def asks_for_tls(*more: dict[str, str]) -> str:
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    return json.dumps({"Statement": [{"Effect": "Deny", "Condition": insecure}, *more]})


def variables(**of: str) -> dict[str, Any]:
    return {"Environment": {"Variables": of}}


INSTANCE, TOPIC = ("database instance", "ledger-2"), ("topic", "arn:aws:sns:x:1:alerts")
TEMPORARY = {"Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 3}}


@pytest.mark.parametrize(
    ("key", "was", "now", "told"),
    [
        (("bucket", "b"), {}, {"lifecycle": [{"ID": "a", **TEMPORARY}]}, 0),
        (("bucket", "b"), {}, {"lifecycle": [{"ID": "a", "NoncurrentVersionExpiration": {}}]}, 0),
        (("bucket", "b"), {}, {"lifecycle": [{"ID": "a", **TEMPORARY, "Filter": {}}]}, 1),
        (
            ("bucket", "b"),
            {},
            {"lifecycle": [{"ID": "a", **TEMPORARY, "Filter": {"Prefix": "books/"}}]},
            1,
        ),
        (
            ("bucket", "b"),
            {},
            {"lifecycle": [{"ID": "a", "Transitions": [{"StorageClass": "GLACIER"}]}]},
            1,
        ),
        (("bucket", "b"), {"archived": 0}, {"archived": 12}, 1),
        (("bucket", "b"), {"without bytes": 1}, {"without bytes": 8}, 0),
        (INSTANCE, {}, {"ReadReplicaDBInstanceIdentifiers": ["ledger-3"]}, 0),
        (TOPIC, {}, {"subscriptions": [{"SubscriptionArn": "arn:aws:sns:x", "Owner": "1"}]}, 1),
        (
            TOPIC,
            {"subscriptions": [{"SubscriptionArn": "arn:1", "Owner": "1"}]},
            {"subscriptions": [{"SubscriptionArn": f"arn:{n}", "Owner": "1"} for n in (1, 2)]},
            0,
        ),
        (("database cluster", "c"), {"MaxCapacity": 4.0}, {"MaxCapacity": 32.0}, 0),
        (("database cluster", "c"), {"MaxCapacity": 4.0}, {"MaxCapacity": 1.0}, 1),
        (("table", "t"), {"ItemCount": 400}, {"ItemCount": 150}, 1),
        (("table", "t"), {"ItemCount": 400}, {"ItemCount": 300}, 0),
        (("table", "t"), {"ItemCount": 60}, {"ItemCount": 29}, 1),
        (("table", "t"), {"ItemCount": 20}, {"ItemCount": 2}, 0),
        (
            ("web acl", "a REGIONAL"),
            {"Rules": [{"Name": "s", "Action": {"Block": {}}}]},
            {
                "Rules": [
                    {"Name": n, "Action": {a: {}}} for n, a in (("s", "Block"), ("r", "Count"))
                ]
            },
            0,
        ),
        (
            ("web acl", "a REGIONAL"),
            {"Rules": [{"Name": "s", "Action": {"Block": {}}}]},
            {"Rules": [{"Name": n, "Action": {"Block": {}}} for n in "sr"]},
            1,
        ),
        (("service", "c s"), {"enableExecuteCommand": False}, {"enableExecuteCommand": True}, 0),
        (("service", "c s"), {"enableExecuteCommand": True}, {"enableExecuteCommand": False}, 1),
        (("table", "t"), {}, {"policy": '{"Statement": [{"Effect": "Deny"}]}'}, 1),
        (("bucket", "b"), {}, {"policy": asks_for_tls()}, 0),
        (("bucket", "b"), {}, {"policy": asks_for_tls({"Effect": "Deny", "Sid": "all"})}, 1),
        (("function", "f"), variables(A="1"), variables(A="1", B="2"), 0),
        (("function", "f"), variables(A="1", B="2"), variables(A="1"), 1),
    ],
)
def test_what_takes_nothing_away_is_told_and_no_warning(
    report: Reports, key: Any, was: Any, now: Any, told: int
) -> None:
    report({**FIRST, key: {"at": "1", **was}}, accept="it is new")
    assert len(report({**FIRST, key: {"at": "1", **now}}).troubles) == told


def test_one_reader_more_is_no_warning(report: Reports) -> None:
    assert report({**FIRST, INSTANCE: {"DBInstanceClass": "db.serverless"}}).troubles == []


ROWS = ("database rows", "db")


@pytest.mark.parametrize(("rows", "told"), [(9000, 0), (2600, 0), (2400, 1), (None, 1)])
def test_only_a_fall_to_less_than_half_of_the_rows_counts(
    report: Reports, rows: int | None, told: int
) -> None:
    report({**FIRST, ROWS: {"of": {"jobs": 5000, "few": 9}}}, accept="it is new")
    found = report({**FIRST, ROWS: {"of": {"jobs": rows, "few": 0}}}).troubles
    assert [f.check for f in found] == ["configuration of database rows db"] * told


@pytest.mark.parametrize(("was", "now", "told"), [(96, 4, 1), (96, 60, 0), (60, 20, 0)])
def test_a_column_that_was_nearly_always_filled_and_is_no_more_is_told(
    report: Reports, was: int, now: int, told: int
) -> None:
    key = ("database columns", "db")
    report({**FIRST, key: {"of": {"orders": {"due is filled": was}}}}, accept="it is new")
    found = report({**FIRST, key: {"of": {"orders": {"due is filled": now}}}})
    assert len(found.troubles) == told


@pytest.mark.parametrize(
    ("was", "now", "told"), [(0, 40, 1), (40, 0, 0), (0, 20, 0), (None, 90, 0)]
)
def test_a_column_that_lost_its_values_is_told_and_one_that_was_filled_is_not(
    report: Reports, was: int | None, now: int, told: int
) -> None:
    report({**FIRST, ROWS: {"empty": {"orders": {"due": was}}}}, accept="it is new")
    assert len(report({**FIRST, ROWS: {"empty": {"orders": {"due": now}}}}).troubles) == told


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [(140.0, 14000.0, 1), (140.0, 1.4, 1), (140.0, 2100.0, 0), (0.0, 90.0, 0)],
)
def test_numbers_of_the_newest_rows_in_another_unit_are_told(
    report: Reports, was: float, now: float, told: int
) -> None:
    key = ("database columns", "db")
    report({**FIRST, key: {"of": {"spans": {"ms in the middle": was}}}}, accept="it is new")
    found = report({**FIRST, key: {"of": {"spans": {"ms in the middle": now}}}})
    assert len(found.troubles) == told


VALUES = ("database values", "db")


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ({"of": {"few": 12}}, {"of": {"few": 0}}, 1),
        ({"of": {"few": 12}}, {"of": {"few": 1}}, 0),
        ({"of": {"jobs": 300}}, {"of": {"jobs": 200}}, 1),  # the target's file names it
        ({"of": {"jobs": 300}}, {"of": {"jobs": 220}}, 0),
        ({"of": {"visits": 300}}, {"of": {"visits": 200}}, 0),
    ],
)
def test_a_table_that_was_emptied_and_a_third_of_a_named_one_count(
    report: Reports, was: Any, now: Any, told: int
) -> None:
    report.facts["jobs"] = {"images": {"table": "jobs"}}
    report({**FIRST, ROWS: was}, accept="it is new")
    assert len(report({**FIRST, ROWS: now}).troubles) == told


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [("is_deleted", "true", 1), ("is_active", "false", 1), ("is_paid", "true", 0)],
)
def test_a_tenth_of_the_rows_that_is_marked_as_deleted_is_told(
    report: Reports, column: str, value: str, told: int
) -> None:
    def marked(percent: int) -> Any:
        other = {"true": "false", "false": "true"}[value]
        shares = {column: {value: percent, other: 100 - percent}}
        return {**FIRST, VALUES: {"of": {"notes": shares}}}

    report(marked(2), accept="it is new")
    assert len(report(marked(14)).troubles) == told
    report(marked(14), accept="so it is")
    assert report(marked(20)).troubles == []


def test_a_column_whose_values_are_distributed_otherwise_is_told(report: Reports) -> None:
    roles = {"admin": 10, "reader": 90}
    report({**FIRST, VALUES: {"of": {"users": {"role": roles}}}}, accept="it is new")
    less = {"admin": 35, "reader": 65}
    assert report({**FIRST, VALUES: {"of": {"users": {"role": less}}}}).troubles == []
    [found] = report({**FIRST, VALUES: {"of": {"users": {"role": {"admin": 100}}}}}).troubles
    assert found.seen.startswith("of.users.role.admin: was 35, now 100; of.users.role.reader: was")
    report({**FIRST, VALUES: {"of": {"users": {"role": less}, "jobs": {}}}}, accept="another")
    assert report({**FIRST, VALUES: {"of": {"users": {"role": less}}}}).troubles == []
