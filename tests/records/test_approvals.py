"""An approval is for one use, for one plan, and where wanted another person's own act."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import pytest

from opslib import Refused, UsageError, apply, changes, connect
from opslib.core.actions.actions import Aws
from opslib.core.connections.connection import Connection
from opslib.core.connections.identities import Identity
from opslib.core.connections.targets import Policy
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Plan, Planned, Step
from opslib.records import list_records
from opslib.records.approvals import uses
from tests import notebooks
from tests.conftest import PracticeLab
from tests.projects import ran
from tests.waiting import until

TARGET, BUCKET = "lab/bluemoxon-staging", "bluemoxon-staging-images"


@planner
def plan_head(ops: Connection) -> Planned:
    """A plan that can be applied as often as wanted, and changes nothing."""
    return Planned("look", [Step("Look", Aws("s3", "head_bucket", Bucket=BUCKET))])


def test_an_applied_plans_name_is_spent(ops: Connection) -> None:
    plan = plan_head(ops)
    assert apply(ops, plan_head(ops), plan.id).changed
    with pytest.raises(Refused, match=r"was applied already, by arn:.*/operator at .*one use"):
        apply(ops, plan_head(ops), plan.id)
    assert apply(ops, plan_head(ops), "now").changed  # another approval


def test_a_plan_applied_at_once_cannot_be_applied_by_its_name_afterwards(ops: Connection) -> None:
    plan = plan_head(ops)
    apply(ops, plan, "now")
    with pytest.raises(Refused, match="was applied already"):
        apply(ops, plan_head(ops), plan.id)


def test_of_two_applies_at_once_one_is_refused_and_says_who_holds_the_target(
    ops: Connection,
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with uses.holding(ops):
            inside.set()
            go_on.wait(30)

    holder = threading.Thread(target=first)
    holder.start()
    inside.wait(30)
    other = connect(TARGET)
    for approved in ("now", plan_head(other).id):
        with pytest.raises(Refused, match=r"is being changed by arn:.*/operator \(process \d+"):
            apply(other, plan_head(other), approved)
    go_on.set()
    holder.join()
    assert apply(other, plan_head(other), "now").changed


@pytest.mark.parametrize("what", [{"until": 0.0}, {"pid": 2**22 + 1, "pid_started": "1"}])
def test_what_a_killed_holder_left_ends_by_itself(ops: Connection, what: dict[str, Any]) -> None:
    """By its end, or at once where this machine sees that the process is gone."""
    import sqlalchemy as sa

    from opslib.records.chain import database

    with uses.holding(ops), database.transaction() as connection:
        (kept,) = connection.execute(sa.text("SELECT * FROM leases")).mappings()
    row = {**kept, **what}
    names = ", ".join(f":{name}" for name in row)
    with database.transaction() as connection:
        connection.execute(sa.text(f"INSERT INTO leases VALUES ({names})"), row)
    assert apply(ops, plan_head(ops), "now").changed


def test_a_hold_is_renewed_while_its_process_lives(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy as sa

    from opslib.records.chain import database

    def held_until() -> float:
        with database.transaction() as connection:
            return float(connection.execute(sa.text("SELECT until FROM leases")).scalar_one())

    monkeypatch.setattr(uses, "LEASE_SECONDS", 4.0)
    with uses.holding(ops):
        first = held_until()
        until(lambda: held_until() > first)
        with pytest.raises(Refused, match="is being changed"), uses.holding(connect(TARGET)):
            pass


@pytest.mark.parametrize(
    ("arn", "person"),
    [
        ("arn:aws:iam::111122223333:user/Anna", ("IAM user", "111122223333/anna")),
        ("arn:aws-us-gov:iam::111122223333:user/team/a/bo", ("IAM user", "111122223333/bo")),
        (
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/A@x.org",
            ("IAM Identity Center user", "a@x.org"),
        ),
        (
            "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Read_Only_0fedcba987654321/a@x.org",
            ("IAM Identity Center user", "a@x.org"),
        ),
        ("arn:aws:sts::111122223333:assumed-role/Deploy/anna", None),
        ("arn:aws:sts::111122223333:assumed-role/Deploy/botocore-session-1764115200", None),
        ("arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_mine/anna", None),
        ("arn:aws:sts::111122223333:federated-user/anna", None),
        ("arn:aws:iam::111122223333:root", None),
    ],
)
def test_a_person_is_whom_aws_vouches_for(arn: str, person: tuple[str, str] | None) -> None:
    assert Identity("111122223333", arn).person == person


@pytest.fixture
def strict(
    lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Connection]:
    """The two users of the lab, on a target that wants a second person."""

    def user(name: str) -> Connection:
        monkeypatch.setenv("OPSLIB_LAB_USER", name)
        ops = connect(TARGET)
        policy = Policy(second_person=True)
        monkeypatch.setattr(ops, "target", dataclasses.replace(ops.target, policy=policy))
        return ops

    return {name: user(name) for name in ("operator", "reviewer")}


def previewed(ops: Connection) -> Plan:
    """A plan whose preview is on record, as a run by the engine leaves it."""
    from opslib.records import facts, index, outcomes, records, sealing
    from opslib.records.interactive import _notebook

    begun = len(ops.journal.events)
    plan = plan_head(ops)
    said = facts.at_start("x/y", "x/y", ops.target.name, {})
    draft = sealing.Draft(_notebook(plan), said)
    draft.begin()
    index.insert(records.row(said) | facts.lease())
    told = [e for e in ops.journal.events[:begun] if e["event"] == "connected"]
    told += ops.journal.events[begun:]
    said |= outcomes.conclude(outcomes.Ending("done"), told)
    said["ended"] = facts.moment()
    assert sealing.keep(draft) == ""
    return plan


def test_without_a_second_persons_approval_on_record_nothing_is_applied(
    strict: dict[str, Connection],
) -> None:
    for ops in strict.values():
        plan = plan_head(ops)
        with pytest.raises(Refused, match="is no preview on record"):
            apply(ops, plan_head(ops), plan.id)
    plan = previewed(strict["operator"])
    for ops in strict.values():  # that another applies it is no approval
        with pytest.raises(Refused, match=r"wants a second person's approval.*None is on record"):
            apply(ops, plan_head(ops), plan.id)


def test_an_approval_is_another_persons_own_act_and_for_one_use(
    strict: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, reviewer = strict["operator"], strict["reviewer"]
    plan = previewed(operator)
    shown = changes.show_plan(reviewer, plan.id)
    assert (shown.id, shown.rows()) == (plan.id, plan.rows())

    with pytest.raises(Refused, match="the second person is somebody else"):
        changes.approve(operator, changes.show_plan(operator, plan.id), agree=True)
    changes.approve(reviewer, shown)  # only looked
    with pytest.raises(Refused, match="None is on record"):
        apply(operator, plan_head(operator), plan.id)
    changes.approve(reviewer, shown, agree=True)
    with pytest.raises(Refused, match="the second person is somebody else"):
        apply(reviewer, plan_head(reviewer), plan.id)
    assert apply(operator, plan_head(operator), plan.id).changed
    told = [e for e in operator.journal.events if e["event"] == "applying"][-1]
    assert told["second"] == reviewer.identity.arn
    with pytest.raises(Refused, match="was applied already"):
        apply(operator, plan_head(operator), plan.id)


def test_an_approval_of_another_plan_or_by_nobody_does_not_count(
    strict: dict[str, Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, reviewer = strict["operator"], strict["reviewer"]
    plan = previewed(operator)
    role = f"arn:aws:sts::{operator.identity.account}:assumed-role/Ops/botocore-session-1"
    nobody = Identity(operator.identity.account, role)
    with monkeypatch.context() as patch:
        patch.setattr(reviewer, "identity", nobody)
        with pytest.raises(Refused, match=r"botocore-session-1 cannot be told.*Identity Center"):
            changes.approve(reviewer, changes.show_plan(reviewer, plan.id), agree=True)
    changes.approve(reviewer, changes.show_plan(reviewer, plan.id), agree=True)
    with monkeypatch.context() as patch:
        patch.setattr(operator, "identity", nobody)
        with pytest.raises(Refused, match="cannot be told apart"):
            apply(operator, plan_head(operator), plan.id)
    with pytest.raises(UsageError, match="is no preview on record"):
        changes.show_plan(reviewer, "0123456789ab.operator.20261126T000000Z")


def test_an_altered_approval_or_preview_does_not_count(strict: dict[str, Connection]) -> None:
    operator, reviewer = strict["operator"], strict["reviewer"]
    plan = previewed(operator)
    changes.approve(reviewer, changes.show_plan(reviewer, plan.id), agree=True)
    newest = list_records()[0]
    newest.path.write_text(newest.path.read_text() + " ")
    with pytest.raises(Refused, match=f"Record {newest.id} was altered"):
        apply(operator, plan_head(operator), plan.id)


@pytest.mark.slow
def test_the_lab_practises_it_by_the_command(
    lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = ran("functions/rollback", TARGET, {"function": "api"})
    assert record.outcome == "previewed"
    monkeypatch.setenv("OPSLIB_LAB_USER", "reviewer")
    approval = ran("changes/approve", TARGET, {"plan": record.id, "agree": "true"})
    assert (approval.outcome, approval.plan) == ("ok", record.plan)
    assert str(approval.arn).endswith("user/reviewer")
    page = approval.page.read_text()
    (note,) = [line for line in page.splitlines() if "was approved by" in line]
    assert str(approval.arn) in note


def test_a_lab_user_that_is_not_there_is_told(
    lab: PracticeLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_LAB_USER", "reviwer")
    with pytest.raises(UsageError, match="Did you mean 'reviewer'"):
        notebooks.run("changes/undo")


def test_machines_that_share_an_index_in_postgresql_share_names_and_holds(
    lab: PracticeLab, records_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opslib.core.connections import addresses, sql

    ops, database = connect(TARGET), connect("lab/loglineos-production")
    secret = database.secret(database.target["database"]["secret"])
    where = addresses.url(secret, "index").render_as_string(hide_password=False)
    monkeypatch.setenv("OPSLIB_INDEX", where)
    try:
        plan = plan_head(ops)
        assert apply(ops, plan_head(ops), plan.id).changed
        with pytest.raises(Refused, match="was applied already"):
            apply(ops, plan_head(ops), plan.id)
        with uses.holding(ops), pytest.raises(Refused, match="is being changed by"):
            apply(connect(TARGET), plan, "now")
        assert apply(ops, plan_head(ops), "now").changed
    finally:
        for table in ("spent_plans", "leases", "records", "chain"):
            sql.execute(database, f"DROP TABLE IF EXISTS public.{table}", {}, -1)
