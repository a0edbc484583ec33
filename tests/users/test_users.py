"""Users: why one cannot sign in, and what mends it, without a password in any record."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from opslib import Refused, UsageError, apply, connect
from opslib.changes import plan_undo
from opslib.core.actions import passwords
from opslib.core.connections.connection import Connection
from opslib.core.errors import Lost, NotFound
from opslib.core.plans import performing
from opslib.records import reading
from opslib.users import signins, users
from opslib.users.passwords import plan_create, plan_password
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import undo_last

TARGET = "lab/bluemoxon-staging"
JUNE, MARK, LATE, NEW = (
    "june.harrow@example.com",
    "mark@bluemoxon.com",
    "new.collector@example.com",
    "new.person@example.com",
)


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where passwords go in this test."""
    monkeypatch.setenv("OPSLIB_PRIVATE", str(tmp_path / "private"))
    return tmp_path / "private"


@pytest.mark.parametrize("user", [JUNE, MARK])
def test_a_user_who_is_well_is_told_to_clear_the_browser(ops: Connection, user: str) -> None:
    found = signins.check_sign_in(ops, user)
    assert (found.worst, found.causes) == ("ok", set())
    assert "clear the browser's storage" in found.note


def test_a_user_is_found_by_address_username_and_sub(ops: Connection) -> None:
    seen = users.find_user(ops, JUNE)
    assert users.find_user(ops, seen["username"])["email"] == JUNE
    assert users.find_user(ops, seen["sub"])["email"] == JUNE
    with pytest.raises(NotFound, match=r"No user with the address nobody@example\.com"):
        users.find_user(ops, "nobody@example.com")
    with pytest.raises(NotFound, match=r"No user called nobody in pool bluemoxon"):
        users.find_user(ops, "nobody")


def test_somebody_who_is_not_in_the_pool_is_a_finding(ops: Connection) -> None:
    found = signins.check_sign_in(ops, "nobody@example.com")
    assert ([f.status for f in found], found[0].next) == (["critical"], "users/create")


def test_refused_codes_are_a_stale_second_factor(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken("mfa-stale"):
        found = signins.check_sign_in(ops, JUNE)
        assert (found.causes, found.worst) == ({"mfa-stale"}, "critical")
        assert [f.next for f in found if f.status != "ok"] == ["users/reset-mfa"]
        assert signins.check_sign_in(ops, MARK).causes == set()


def test_a_factor_from_before_the_pool_is_stale(ops: Connection) -> None:
    seen = users.find_user(ops, MARK)
    found = signins._second_factor(ops, seen, ops.now())
    assert (found.cause, found.status) == ("mfa-stale", "critical")


@pytest.mark.slow
def test_resetting_the_second_factor_mends_it_and_is_undone(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken("mfa-stale"):
        before = lab.state()
        preview = notebooks.run("users/reset-mfa", user=JUNE)
        assert preview["plan"].steps
        assert lab.state() == before
        left = notebooks.run("users/reset-mfa", user=JUNE, approved="now")
        assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
        changed = differences(before, lab.state())
        assert {path.split(".")[0] for path in changed} == {"cognito"}
        undo_last(ops)
        assert lab.state() == before


def test_nothing_to_reset_is_a_plan_without_steps(ops: Connection) -> None:
    assert users.plan_reset_mfa(ops, JUNE).steps == ()


@pytest.mark.slow
def test_a_user_without_a_row_is_found_written_and_undone(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.broken("user-not-synced"):
        before = lab.state()
        assert signins.check_sign_in(ops, LATE).causes == {"user-not-synced"}
        assert notebooks.run("users/sync")["ops"].findings.causes == {"user-not-synced"}
        assert lab.state() == before
        left = notebooks.run("users/sync", approved="now")
        assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
        assert {path.split(".")[0] for path in differences(before, lab.state())} == {"sql"}
        assert signins.check_sign_in(ops, LATE).causes == set()
        undo_last(ops)
        assert signins.check_sign_in(ops, LATE).causes == {"user-not-synced"}


@pytest.mark.parametrize("written", [True, False])
def test_a_function_that_fails_half_way_is_looked_at_and_what_it_wrote_is_undone(
    ops: Connection, lab: PracticeLab, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    change = Connection.change

    def failing(self: Connection, service: str, operation: str, /, **given: Any) -> Any:
        if operation == "invoke" and written:
            change(self, service, operation, **given)
        if operation == "invoke":
            given["Payload"] = {"nosuch": True}  # of which it says that it failed
        return change(self, service, operation, **given)

    monkeypatch.setattr(Connection, "change", failing)
    monkeypatch.setattr(performing, "_SEEN_SECONDS", 0.3)
    with lab.broken("user-not-synced"):
        before = lab.state()
        if written:
            notebooks.run("users/sync", approved="now")
            assert signins.check_sign_in(ops, LATE).causes == set()
            undo_last(ops)
            assert signins.check_sign_in(ops, LATE).causes == {"user-not-synced"}
        else:
            with pytest.raises(Lost, match=r"may be done: The function ran and failed .*ValueE"):
                notebooks.run("users/sync", approved="now")
            assert lab.state() == before
            assert not plan_undo(ops, reading.list_records()[0].id).steps


def test_a_user_is_created_without_a_mail_with_a_row_and_undone(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab, private: Path
) -> None:
    assert notebooks.run("users/create")["plan"].steps
    assert lab.state() == clean
    left = notebooks.run("users/create", approved="now")
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    pool = lab.state()["cognito"]["bluemoxon-staging"]
    assert pool["invitations"] == []
    assert users.find_user(ops, NEW)["status"] == "FORCE_CHANGE_PASSWORD"
    undo_last(ops)
    assert [path for path in differences(clean, lab.state()) if not path.startswith("sql")] == []
    assert users.find_unsynced(ops).empty


@pytest.mark.slow
def test_an_invitation_is_mailed_only_when_asked_for(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab, private: Path
) -> None:
    apply(ops, plan_create(ops, NEW, invite=True), "now")
    assert len(lab.state()["cognito"]["bluemoxon-staging"]["invitations"]) == 1
    assert not private.exists()


@pytest.mark.parametrize("email", ["", "nobody", "a b@example.com", '"@example.com'])
def test_what_is_no_address_is_no_user(ops: Connection, email: str) -> None:
    with pytest.raises(UsageError, match="is not an e-mail address"):
        plan_create(ops, email)


def test_a_user_who_is_there_is_not_created_again(ops: Connection) -> None:
    with pytest.raises(Refused, match=r"is in the pool already \(CONFIRMED\)"):
        plan_create(ops, MARK)


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("permanent", "status"), [(False, "FORCE_CHANGE_PASSWORD"), (True, "CONFIRMED")]
)
def test_a_password_is_made_set_and_kept_out_of_every_record(
    ops: Connection,
    clean: dict[str, Any],
    lab: PracticeLab,
    private: Path,
    records_folder: Path,
    permanent: bool,
    status: str,
) -> None:
    plan = plan_password(ops, JUNE, permanent)
    assert lab.state() == clean
    assert not private.exists()
    apply(ops, plan, "now")
    (file,) = private.iterdir()
    password = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert [f.seen for f in ops.findings if f.check == f"Password of {JUNE}"] == [
        f"in {file}, for you only"
    ]
    assert users.find_user(ops, JUNE)["status"] == status
    assert {path.split(".")[0] for path in differences(clean, lab.state())} == {"cognito"}
    kept = [p for p in records_folder.rglob("*") if p.is_file()]
    assert kept
    assert not [p for p in kept if password.encode() in p.read_bytes()]
    assert password not in str(ops.journal.events)


def test_the_same_plan_makes_another_password_each_time() -> None:
    made = {passwords.made() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        assert len(password) == 20
        assert all(set(characters) & set(password) for characters in passwords._CLASSES)
        assert not set(password) & set("/\"@ '\\$`")


def test_a_one_time_password_that_ended_is_why(ops: Connection) -> None:
    seen = users.find_user(ops, JUNE) | {"status": "FORCE_CHANGE_PASSWORD"}
    found = signins._state(seen, {}, ops.now())
    assert (found.status, found.next) == ("warn", "users/password")
    found = signins._state(seen | {"modified": ops.now()}, {}, ops.now())
    assert found.status == "ok"


def test_a_disabled_user_is_critical_and_not_ours_to_change(ops: Connection) -> None:
    found = signins._state(users.find_user(ops, JUNE) | {"enabled": False}, {}, ops.now())
    assert (found.status, found.next) == ("critical", "")


def test_a_database_that_is_denied_leaves_the_rest_of_the_answer(
    ops: Connection, lab: PracticeLab
) -> None:
    with lab.denied("secretsmanager:GetSecretValue"):
        assert [f.status for f in signins.check_sign_in(ops, MARK)] == ["ok", "ok", "unknown"]


def test_where_users_are_not_synchronised_it_is_said(lab: PracticeLab) -> None:
    production = connect("lab/bluemoxon-production")
    with pytest.raises(UsageError, match=r"describes no users\.sync_function"):
        users.plan_sync(production)


@pytest.mark.slow
def test_where_no_function_writes_rows_a_user_is_created_without_one(lab: PracticeLab) -> None:
    there = connect("lab/dms-dev")
    plan = plan_create(there, NEW)
    assert [step.title for step in plan.steps] == [f"Create {NEW}, without a mail"]
    assert "does not know the user until it writes its own row" in plan.notes[1]
    try:
        assert apply(there, plan, "now").verify(signins.check_sign_in, NEW).worst == "ok"
    finally:
        lab.reset()
