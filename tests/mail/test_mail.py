"""Mail by SES: what keeps it from being sent, and one address that is sent to again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from opslib import UsageError, apply, mail
from opslib.core.connections.connection import Connection
from tests import canned
from tests.conftest import PracticeLab
from tests.undoing import confirmed, undo_last

TARGET = "lab/ai-studio-production"
GONE = "old.address@example.org"

pytestmark = pytest.mark.usefixtures("records_folder")


def answering(told: dict[str, Any], target: str = TARGET) -> Connection:
    """SES answers so, by operation; what it is not told to answer it denies."""

    def answer(_: str, operation: str) -> tuple[int, bytes]:
        if operation in told:
            return 200, json.dumps(told[operation]).encode()
        return 403, json.dumps({"__type": "AccessDeniedException", "message": "no"}).encode()

    return canned.connection(answer, target)


def account(**other: Any) -> dict[str, Any]:
    quota = {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 0.0}
    about = {"ProductionAccessEnabled": True, "SendingEnabled": True, "SendQuota": quota}
    return {"GetAccount": {**about, "EnforcementStatus": "HEALTHY", **other}}


def test_who_may_not_ask_ses_knows_nothing_of_it() -> None:
    ops = answering({})
    looks = (mail.check_account, mail.check_senders, mail.check_set, mail.check_suppressed)
    for look in looks:
        assert {f.status for f in look(ops)} <= {"unknown", "ok"}
        assert look(ops).worst == "unknown"
        assert look(ops).causes == {"access-denied"}


@pytest.mark.parametrize(
    ("told", "cause", "worst"),
    [
        ({}, "", "ok"),
        ({"ProductionAccessEnabled": False}, "mail-sandbox", "critical"),
        ({"SendingEnabled": False}, "mail-sending-paused", "critical"),
        ({"EnforcementStatus": "SHUTDOWN"}, "mail-sending-paused", "critical"),
        ({"EnforcementStatus": "PROBATION"}, "mail-reputation", "warn"),
        ({"EnforcementStatus": "SOMETHING_NEW"}, "mail-sending-paused", "unknown"),
    ],
)
def test_sending_that_is_on_says_nothing_of_the_sandbox_nor_the_other_way(
    told: dict[str, Any], cause: str, worst: str
) -> None:
    found = mail.check_account(answering(account(**told)))
    assert (found.worst, found.causes) == (worst, {cause} - {""})


@pytest.mark.parametrize(
    ("most", "sent", "status"),
    [(200, 0, "ok"), (200, 159, "ok"), (200, 160, "warn"), (200, 200, "critical"), (-1, 9e6, "ok")],
)
def test_the_quota_is_full_when_it_is(most: float, sent: float, status: str) -> None:
    quota = {"Max24HourSend": most, "MaxSendRate": 1.0, "SentLast24Hours": sent}
    assert mail.check_account(answering(account(SendQuota=quota))).worst == status


@pytest.mark.parametrize(
    ("bounces", "sent", "status"),
    [
        (0.012, 0, "ok"),
        (0.06, 0, "warn"),
        (0.2, 0, "critical"),
        (None, 0, "ok"),
        (None, 9, "unknown"),
    ],
)
def test_what_comes_back_is_judged_and_without_mails_nothing_is(
    monkeypatch: pytest.MonkeyPatch, bounces: float | None, sent: float, status: str
) -> None:
    rates = {"BounceRate": [] if bounces is None else [bounces], "ComplaintRate": [0.0]}
    read = {name: pd.Series(values, dtype="float64") for name, values in rates.items()}
    monkeypatch.setattr("opslib.core.reads.metrics.series", lambda *_: read)
    quota = {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": sent}
    found = mail.check_reputation(answering(account(SendQuota=quota)))
    assert [f.status for f in found] == [status, "ok"]
    assert found.causes == ({"mail-reputation"} if status in ("warn", "critical") else set())


def test_an_identity_of_another_region_does_not_count_here(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = dict(ops.target.facts["mail"])
    monkeypatch.setitem(facts, "region", "eu-west-1")
    monkeypatch.setitem(ops.target.facts, "mail", facts)
    assert mail.check_senders(ops).causes == {"mail-not-verified"}
    assert mail.check_account(ops).causes == {"mail-sandbox"}


def test_a_sender_that_no_identity_covers_is_told(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {**ops.target.facts["mail"], "from": "hello@evil-pulse-studio.example.com"}
    monkeypatch.setitem(ops.target.facts, "mail", facts)
    assert mail.check_senders(ops).causes == {"mail-not-verified"}


def listed(ops: Connection) -> set[str]:
    evidence = mail.check_suppressed(ops).evidence
    assert evidence is not None
    return set(evidence["address"])


@pytest.fixture
def many(lab: PracticeLab) -> Iterator[None]:
    with lab.broken("mail-suppressed", "ai-studio-production"):
        yield


def test_one_address_gets_mail_again_and_undo_puts_it_back(ops: Connection, many: None) -> None:
    address = "customer3@mail.example"
    assert mail.check_address(ops, address).causes == {"mail-suppressed"}
    before = listed(ops)
    plan = mail.plan_lift(ops, address)
    assert mail.check_address(ops, address).worst == "warn"
    applied = apply(ops, plan, plan.id, confirmed(TARGET))
    assert applied.verify(mail.check_address, address).worst == "ok"
    assert listed(ops) == before - {address}
    undo_last(ops)
    assert mail.check_address(ops, address).causes == {"mail-suppressed"}


def test_what_is_not_on_the_list_needs_no_plan_and_what_is_no_address_gets_none(
    ops: Connection,
) -> None:
    assert not mail.plan_lift(ops, "who@example.com").steps
    assert mail.plan_lift(ops, GONE).steps[0].before == "BOUNCE"
    for text in ("", "nobody", "a b@example.com", "@example.com"):
        with pytest.raises(UsageError, match="no address of mail"):
            mail.plan_lift(ops, text)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (
            "Email address is not verified. The following identities failed the check in region "
            "EU-CENTRAL-1: new.user@mail.example",
            "mail-sandbox",
        ),
        (
            "Email address is not verified. The following identities failed the check in region "
            "EU-CENTRAL-1: hello@pulse-studio.example.com, new.user@mail.example",
            "mail-not-verified",
        ),
        ("AccountSendingPausedException: Email sending is disabled.", "mail-sending-paused"),
        ("Throttling: Daily message quota exceeded", "mail-quota-used-up"),
        (
            "AccessDeniedException: User: arn:aws:sts::1:assumed-role/app/1 is not authorized to "
            "perform: ses:SendEmail on resource: arn:aws:ses:eu-central-1:1:identity/example.com",
            "role-denied",
        ),
        (
            "smtplib.SMTPAuthenticationError: (535, b'Authentication Credentials Invalid')",
            "mail-login-refused",
        ),
        (
            "ConfigurationSetDoesNotExist: Configuration set <app> does not exist.",
            "mail-set-missing",
        ),
    ],
)
def test_what_ses_said_to_the_service_names_the_cause(
    ops: Connection, line: str, cause: str
) -> None:
    events = {"events": [{"eventId": "1", "timestamp": 1, "message": line, "logStreamName": "s"}]}
    told = answering({"FilterLogEvents": events, "DescribeLogGroups": {"logGroups": []}})
    assert mail.check_refusals(told).causes == {cause}


@pytest.mark.parametrize(("production", "cause"), [(True, "not-verified"), (False, "sandbox")])
def test_who_is_not_verified_is_the_sender_where_any_receiver_is_allowed(
    ops: Connection, production: bool, cause: str
) -> None:
    line = "Email address is not verified. The following identities failed the check in region "
    line += "EU-CENTRAL-1: hello@other.example"
    events = {"events": [{"eventId": "1", "timestamp": 1, "message": line, "logStreamName": "s"}]}
    told = {"FilterLogEvents": events, "DescribeLogGroups": {"logGroups": []}}
    asked = answering({**told, **account(ProductionAccessEnabled=production)})
    assert mail.check_refusals(asked).causes == {f"mail-{cause}"}
