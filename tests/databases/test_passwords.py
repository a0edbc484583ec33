"""Another password: the database first, a login, then the secret; and who keeps the old one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opslib import NotAllowed, NotFound, OpsError, Refused, apply, changes
from opslib.core.actions import logins
from opslib.core.actions import passwords as generated
from opslib.core.connections import addresses
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.plans import stages
from opslib.core.reads import logs
from opslib.core.tables import frame
from opslib.core.waiting import poll
from opslib.databases import passwords
from opslib.databases.instances import rds
from opslib.records import reading
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import undo_last

KEY, TARGET = "dms-dev", "lab/dms-dev"
SECRET = "dms/database/password"
NOW = datetime(2026, 11, 22, 14, tzinfo=UTC)


def value(ops: Connection, stage: str = "AWSCURRENT") -> str:
    asked = {"SecretId": SECRET, "VersionStage": stage}
    return str(ops.call("secretsmanager", "get_secret_value", **asked)["SecretString"])


def taken(ops: Connection, password: str) -> bool:
    return logins._why_refused(ops, password) is None


@pytest.fixture
def kept(ops: Connection, clean: dict[str, Any], lab: PracticeLab) -> Iterator[str]:
    """The password of before; whatever a test did to it is gone afterwards."""
    before = value(ops)
    yield before
    if not (taken(ops, before) and value(ops) == before):
        lab.reset()


@pytest.mark.slow
def test_a_new_password_is_taken_told_by_the_secret_and_in_no_record(
    ops: Connection, kept: str, clean: dict[str, Any], lab: PracticeLab, records_folder: Path
) -> None:
    notebooks.run("databases/password", target=TARGET)
    assert (lab.state(KEY), taken(ops, kept)) == (clean, True)
    left = notebooks.run("databases/password", target=TARGET, approved="now")
    new = value(ops)
    assert re.fullmatch(r"[A-Za-z0-9._-]{32}", new)
    assert (taken(ops, new), taken(ops, kept), value(ops, "AWSPREVIOUS")) == (True, False, kept)
    verified = {f.check: f.status for f in left["ops"].findings if f.verifies}
    assert sorted(verified.values()) == ["ok", "ok", "ok", "warn"]
    assert verified["Since the present password all sessions of dms_dev began"] == "warn"
    files = [path for path in records_folder.rglob("*") if path.is_file()]
    texts = [path.read_bytes().decode(errors="replace") for path in files]
    texts += [json.dumps(left["ops"].journal.events, default=str), repr(left["plan"])]
    assert files
    assert not [text for text in texts if new in text or kept in text]
    undo_last(ops)
    assert (taken(ops, kept), taken(ops, new), value(ops)) == (True, False, kept)
    assert differences(clean, lab.state(KEY)) == []


@pytest.mark.slow
def test_without_a_login_the_old_password_is_set_again_and_the_secret_says_it_still(
    ops: Connection,
    kept: str,
    clean: dict[str, Any],
    lab: PracticeLab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = logins._why_refused

    def refused(ops: Connection, password: str) -> str | None:
        return really(ops, password) if password == kept else "refused, as a test wants it."

    plan = passwords.plan_password(ops)
    with monkeypatch.context() as patch:
        patch.setattr(logins, "_why_refused", refused)
        patch.setattr(logins, "poll", lambda look, ended, _, told: poll(look, ended, 2.5, told))
        with pytest.raises(
            OpsError, match=r"(?s)Step 2 of 3 .*old one was set again, and is taken"
        ):
            apply(ops, plan, "now")
    assert (taken(ops, kept), value(ops)) == (True, kept)
    assert not taken(ops, value(ops, "AWSPENDING"))
    with pytest.raises(Refused, match="has a pending value"):
        passwords.plan_password(ops)
    failed = reading.list_records(target=TARGET, outcome="failed")[0]
    apply(ops, changes.plan_undo(ops, failed.id), "now")
    assert lab.state(KEY) == clean


def test_a_password_that_the_database_does_not_take_is_not_set_and_the_old_one_stays(
    ops: Connection, kept: str, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where RDS restricts who may set passwords: nothing was done, so nothing is in doubt."""
    plan = passwords.plan_password(ops)

    def turned_away(*_: Any) -> None:
        raise NotAllowed("must be a member of rds_password to alter passwords.")

    with lab.denied("rds:ModifyDBCluster", KEY), monkeypatch.context() as patch:
        patch.setattr(logins, "_alter", turned_away)
        with pytest.raises(NotAllowed, match=r"Step 2 of 3 .* failed: "):
            apply(ops, plan, "now")
    assert (taken(ops, kept), value(ops)) == (True, kept)
    failed = reading.list_records(target=TARGET, outcome="failed")[0]
    assert [step["state"] for step in reading.details(failed)["steps"]] == ["applied", "failed"]
    apply(ops, changes.plan_undo(ops, failed.id), "now")


@pytest.mark.slow
def test_a_role_that_is_not_the_master_alters_itself(
    ops: Connection,
    kept: str,
    clean: dict[str, Any],
    lab: PracticeLab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = rds.Database.describe
    other = {"MasterUsername": "somebody-else"}
    monkeypatch.setattr(rds.Database, "describe", lambda self, ops: real(self, ops) | other)
    plan = passwords.plan_password(ops)
    assert "ALTER ROLE" in str(plan.steps[1].do)
    apply(ops, plan, "now")
    assert (taken(ops, value(ops)), taken(ops, kept)) == (True, False)
    undo_last(ops)
    assert (taken(ops, kept), lab.state(KEY)) == (True, clean)


@pytest.mark.slow
def test_a_reset_lab_takes_the_old_password_again(ops: Connection, lab: PracticeLab) -> None:
    before = value(ops)
    apply(ops, passwords.plan_password(ops), "now")
    lab.reset()
    assert (value(ops), taken(ops, before)) == (before, True)


class Told:
    """A connection whose secret and its description are given."""

    def __init__(self, secret: Any = "p4ssw0rd", **described: Any) -> None:
        facts = {"cluster": "shop", "secret": "shop/db", "secret_keys": {"password": "login.pw"}}
        if not isinstance(secret, dict) or "login" not in secret:
            del facts["secret_keys"]
        self.target: Any = SimpleNamespace(region="us-east-1", key="shop")
        self.target = {"database": Facts(facts, "a file")}
        self.secret = lambda name: secret
        self.call = lambda *_, **__: described


STAGES = {"VersionIdsToStages": {"a": ["AWSCURRENT"], "b": ["AWSPREVIOUS"]}}


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"OwningService": "rds"}, "is managed by rds"),
        ({"RotationEnabled": True, "RotationLambdaARN": "arn:rotate"}, "is rotated by arn:rotate"),
        ({"DeletedDate": NOW}, "is marked for deletion, of 2026-11-22 14:00 UTC"),
        ({"VersionIdsToStages": {}}, "has no current value"),
        (
            {"VersionIdsToStages": {"a": ["AWSCURRENT"], "c": ["AWSPENDING"]}},
            r"pending value \(c\)",
        ),
    ],
)
def test_a_secret_that_somebody_else_rotates_is_refused(described: Any, said: str) -> None:
    ops: Any = Told(**STAGES | described)
    ops.target = SimpleNamespace(region="us-east-1")
    with pytest.raises(Refused, match=said):
        stages.versions(ops, "shop/db")


def test_a_rotation_that_ended_left_its_stage_and_is_no_hindrance() -> None:
    ops: Any = Told(VersionIdsToStages={"a": ["AWSCURRENT", "AWSPENDING"], "b": ["AWSPREVIOUS"]})
    ops.target = SimpleNamespace(region="us-east-1")
    found = stages.versions(ops, "shop/db")
    assert (found.current, found.previous) == ("a", "b")


@pytest.mark.parametrize(
    ("secret", "at"),
    [
        ("p4ssw0rd", []),
        ({"username": "u", "password": "p4ssw0rd"}, ["password"]),
        ({"DB_USER": "u", "DB_PASSWORD": "p4ssw0rd", "port": 1}, ["DB_PASSWORD"]),
        ({"login": {"pw": "p4ssw0rd"}, "host": "h"}, ["login", "pw"]),
    ],
)
def test_the_password_alone_is_replaced_wherever_it_is(secret: Any, at: list[str]) -> None:
    ops: Any = Told(secret)
    assert passwords._place(ops, "shop/db") == at
    new = addresses.placed(secret, at, "other")
    assert json.dumps(new) == json.dumps(secret).replace("p4ssw0rd", "other")


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("postgres://u:p4ss@h/d", "is an address"),
        ({"url": "postgres://u:p4ss@h/d"}, "is an address"),
        ({"password": "p4ss!", "url": "postgres://u:p4ss%21@h/d"}, "in another field, too"),
    ],
)
def test_a_password_inside_an_address_is_refused(secret: Any, said: str) -> None:
    ops: Any = Told(secret)
    with pytest.raises(Refused, match=said) as refused:
        passwords._place(ops, "shop/db")
    assert "p4ss" not in str(refused.value)


def test_a_new_password_is_one_that_aurora_and_an_address_take() -> None:
    for _ in range(50):
        made = generated.made(32, "-_.")
        assert re.fullmatch(r"[A-Za-z0-9._-]{32}", made)
        assert addresses.parts(made, "s") == {"password": made}


def sessions_of(*rows: Any) -> Any:
    return frame(
        [dict(zip(passwords.CONSUMERS, row, strict=True)) for row in rows], passwords.CONSUMERS
    )


def test_sessions_from_before_are_told_by_application_and_hidden_ones_are_unknown() -> None:
    old, new = NOW - timedelta(hours=2), NOW
    judged = passwords._kept(sessions_of(("pool", 6, 4, old), ("job", 1, 0, new)), "app", NOW)
    assert (judged.status, "older: pool 4." in judged.seen) == ("warn", True)
    pool = sessions_of(("pool", 6, 4, old))
    assert passwords._kept(pool, "app", NOW, early=True).status == "ok"  # pools reconnect in time
    assert passwords._kept(sessions_of(("job", 1, 0, new)), "app", NOW).status == "ok"
    assert passwords._kept(sessions_of(), "app", NOW).status == "ok"
    assert passwords._kept(sessions_of(("no name", 3, 0, None)), "app", NOW).status == "unknown"


LINES = {
    "of this role": ('FATAL: password authentication failed for user "app"', "critical"),
    "escaped": ('{"error": "password authentication failed for user \\\\"app\\\\""}', "critical"),
    "of nobody": ("code: '28P01'", "critical"),
    "of another": ('password authentication failed for user "other"', "ok"),
}


@pytest.mark.parametrize("line", LINES)
def test_a_refused_login_counts_when_it_is_this_ones_and_after_the_change(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message, status = LINES[line]
    rows = [{"time": NOW - timedelta(minutes=5), "source": "worker", "message": message}]
    failed: dict[str, Any] = {}

    def search(*_: Any) -> Any:
        found = frame(rows, logs.EVENTS)
        found.attrs["failed"] = failed
        return found

    monkeypatch.setattr(logs, "search", search)
    ops: Any = SimpleNamespace(now=lambda: NOW)
    found = passwords._refused(ops, "app", NOW - timedelta(hours=3), 60)
    assert (found.status, found.cause or found.rules_out) == (status, passwords.KEEPS_OLD)
    assert passwords._refused(ops, "app", NOW, 60).status == "ok", "from before the change"
    failed["api"] = OpsError("Denied: logs filter_log_events")
    with pytest.raises(OpsError, match="Denied"):
        passwords._refused(ops, "app", NOW, 60)
    failed["api"] = NotFound("log group not found")
    assert passwords._refused(ops, "app", NOW, 60).status == "unknown", "others tell of it"
    if status == "critical":
        since = NOW - timedelta(hours=3)
        assert passwords._refused(ops, "app", since, 60).status == status, "what is seen is told"
