"""Undo.

What a record's run applied is taken back, last step first, when the world is still as that run left
it.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from opslib import OpsError, Refused, UsageError, apply, changes, connect
from opslib.changes import histories
from opslib.core import Action, redaction
from opslib.core.actions.actions import Aws, Read, Wait
from opslib.core.connections.connection import Connection
from opslib.core.errors import Unfinished
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Plan, Planned, Step
from opslib.core.reads.functions import Function, live_version
from opslib.functions.configurations import settled
from opslib.functions.environments import plan_environment
from opslib.functions.versions import list_versions, plan_rollback
from opslib.records import files, index, reading
from opslib.records.chain import database
from opslib.users import users
from opslib.users.passwords import plan_password
from tests import notebooks
from tests.conftest import PracticeLab

TARGET = "lab/bluemoxon-staging"
NAME = "bluemoxon-staging-images"


def last() -> str:
    return reading.list_records(target=TARGET)[0].id


def tagging(value: str | None) -> Action:
    """The bucket's one tag set to a value; None takes it away."""
    if value is None:
        return Aws("s3", "delete_bucket_tagging", Bucket=NAME)
    tags = {"TagSet": [{"Key": "step", "Value": value}]}
    return Aws("s3", "put_bucket_tagging", Bucket=NAME, Tagging=tags)


def tagged(*values: str, fail: bool = False) -> Any:
    """A planner: the bucket's one tag is set to each value in turn.

    The last step fails when asked to.
    """

    @planner
    def plan(ops: Connection) -> Planned:
        before: list[str | None] = [None, *values]
        steps = [
            Step(f"Tag {value}", tagging(value), was, value, [tagging(was)])
            for was, value in zip(before, values, strict=False)
        ]
        if fail:
            steps.append(
                Step("Fail", Aws("s3", "head_bucket", Bucket="no-such-bucket-here"), undo=[])
            )
        return Planned("tag", steps, [])

    return plan


def tag(ops: Connection) -> str | None:
    try:
        return str(ops.call("s3", "get_bucket_tagging", Bucket=NAME)["TagSet"][0]["Value"])
    except OpsError:
        return None


def test_without_a_record_the_changes_are_listed_and_nothing_is_planned(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    left = notebooks.run("changes/undo")
    assert left["plan"].steps == ()
    assert "No record is named" in repr(left["plan"])
    assert list(changes.list_changes(ops).columns) == list(changes.CHANGES)
    assert lab.state() == clean


@pytest.mark.slow
def test_a_change_is_listed_previewed_and_undone(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    notebooks.run("functions/rollback", approved="now", watch_seconds=0)
    changed, record = lab.state(), last()
    assert list(changes.list_changes(ops)["record"]) == [record]
    preview = notebooks.run("changes/undo", record=record)
    assert len(preview["plan"].steps) == 1
    assert lab.state() == changed
    left = notebooks.run("changes/undo", record=record, approved=preview["plan"].id)
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert lab.state() == clean


def test_steps_are_undone_last_first(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    apply(ops, tagged("one", "two", "three")(ops), "now")
    plan = changes.plan_undo(ops, last())
    assert [step.title for step in plan.steps] == [
        "Undo: Tag three",
        "Undo: Tag two",
        "Undo: Tag one",
    ]
    apply(ops, plan, "now")
    assert tag(ops) is None
    assert lab.state() == clean


def test_a_change_that_failed_half_way_is_listed_and_what_was_done_is_undone(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    with pytest.raises(
        OpsError, match=r"Step 3 of 3 \(Fail\) failed.*Applied before it: 2.*changes/undo"
    ):
        apply(ops, tagged("one", "two", fail=True)(ops), "now")
    assert tag(ops) == "two"
    found = changes.list_changes(ops)
    assert list(found["outcome"]) == ["failed"]
    plan = changes.plan_undo(ops, found["record"].iloc[0])
    assert len(plan.steps) == 2
    assert (
        "Step 3 (Fail) was failed, not applied: look whether it was done all the same."
        in plan.notes
    )
    apply(ops, plan, "now")
    assert lab.state() == clean


def test_of_a_run_that_undid_two_changes_each_has_its_own_steps() -> None:
    do, of = {"kind": "aws"}, {"title": "Undo: it", "state": "applied"}
    steps = [{**of, "plan": "another", "number": 3}, {**of, "plan": "this", "number": 1}]
    change = histories.Change("r", "changed", [])
    change.take_undo({"plan": {"id": "this", "steps": [{"do": do}]}, "steps": steps})
    assert change.undone == {histories.key_of(["Undo: it", do]): 1}


def test_a_wait_that_was_too_short_is_gone_on_with_wherever_it_has_come_to(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    asked = "s3", "get_bucket_tagging", "TagSet[0].Value"
    wait = Wait(*asked, ["one", "two"], ["three"], 0, Bucket=NAME)

    @planner
    def plan(ops: Connection) -> Planned:
        made = Step("Tag one", tagging("one"), None, "one", [tagging(None)])
        until = Step("Wait", wait, None, "three", [], Read(*asked, Bucket=NAME))
        return Planned("tag, and wait", [made, until])

    with pytest.raises(Unfinished, match=r"still one after 0 s; it may yet finish.*resume"):
        apply(ops, plan(ops), "now")
    record = last()
    for tags, fails in (("two", True), ("three", False)):
        tagging(tags).perform(ops)
        again = changes.plan_resume(ops, record)
        assert [step.title for step in again.steps] == ["Wait"]
        with pytest.raises(Unfinished) if fails else nullcontext():
            apply(ops, again, "now")


@pytest.mark.slow
def test_what_somebody_changed_since_is_not_undone(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    apply(ops, plan_rollback(ops, "api"), "now")
    record = last()
    facts = ops.target["functions"]["api"]
    versions = list_versions(ops, "api")["version"]
    ops.call(
        "lambda",
        "update_alias",
        FunctionName=facts["name"],
        Name=facts["alias"],
        FunctionVersion=versions.iloc[-1],
    )
    before = lab.state()
    with pytest.raises(
        Refused, match=rf"now {versions.iloc[-1]}, no longer \d+ as it left it. Nothing was changed"
    ):
        changes.plan_undo(ops, record)
    assert lab.state() == before


@pytest.mark.slow
def test_a_version_that_somebody_deployed_since_is_not_taken_off_though_it_holds_what_was_set(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    apply(ops, plan_environment(ops, "api", "LOG_LEVEL", "DEBUG"), "now")
    record, facts = last(), ops.target["functions"]["api"]
    at = {"FunctionName": facts["name"]}
    ours = ops.call("lambda", "get_alias", Name=facts["alias"], **at)["FunctionVersion"]
    ops.change("lambda", "update_function_configuration", Description="a fix", **at)
    settled(Function(ops, "api"))
    new = ops.change("lambda", "publish_version", **at)["Version"]
    ops.change("lambda", "update_alias", Name=facts["alias"], FunctionVersion=new, **at)
    before = lab.state()
    with pytest.raises(Refused, match=rf'now ."{new}".*no longer ."{ours}"'):
        changes.plan_undo(ops, record)
    assert lab.state() == before
    ops.change("lambda", "update_alias", Name=facts["alias"], FunctionVersion=ours, **at)
    apply(ops, changes.plan_undo(ops, record), "now")
    assert live_version(ops, "api") == str(int(ours) - 1)


@pytest.mark.slow
def test_what_cannot_be_undone_is_refused(
    ops: Connection, clean: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSLIB_PRIVATE", str(tmp_path / "private"))
    apply(ops, plan_password(ops, "olaf.berg@example.com"), "now")
    with pytest.raises(Refused, match=r"cannot be undone\. Nothing was changed"):
        changes.plan_undo(ops, last())


def test_what_needs_a_secret_that_was_not_kept_is_refused(
    ops: Connection, clean: dict[str, Any]
) -> None:
    redaction.register("hunters-of-foxes", "test:KEY")

    @planner
    def plan(ops: Connection) -> Planned:
        back = Aws("s3", "put_bucket_tagging", Bucket="hunters-of-foxes")
        return Planned("tag", [Step("Set it", tagging("one"), None, "one", [back])])

    apply(ops, plan(ops), "now")
    with pytest.raises(Refused, match="secret and is not kept"):
        changes.plan_undo(ops, last())


def test_nothing_is_taken_back_or_gone_on_with_by_a_record_that_was_altered(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    apply(ops, tagged("one", "two")(ops), "now")
    path = reading.list_records(target=TARGET)[0].path
    whole, changed = path.read_text(), lab.state()
    path.write_text(whole.replace('"one"', '"two"'))
    for plan in (changes.plan_undo, changes.plan_resume):
        with pytest.raises(Refused, match=f"Record {path.stem} was altered, so nothing is done"):
            plan(ops, path.stem)
    [was] = index.rows(id=path.stem)
    forged = was | {"sha256": files.sha256(path)}
    forged["hash"] = index.row_hash(forged)  # it fits its file, and is not what was chained
    of_it = sa.update(database.records).filter_by(id=path.stem)
    with database.transaction() as connection:
        connection.execute(of_it.values(forged))
    with pytest.raises(Refused, match="was altered, so nothing is done"):
        changes.plan_undo(ops, path.stem)
    with database.transaction() as connection:
        connection.execute(of_it.values(was))
    assert lab.state() == changed
    path.write_text(whole)
    apply(ops, changes.plan_undo(ops, path.stem), "now")


@pytest.mark.slow
def test_what_a_broken_off_undo_did_is_believed_of_its_sealed_record_only(
    ops: Connection, clean: dict[str, Any]
) -> None:
    apply(ops, tagged("one", "two")(ops), "now")
    record = last()
    apply(ops, changes.plan_undo(ops, record), "now")
    path = reading.list_records(target=TARGET)[0].path
    path.write_text(path.read_text() + " ")
    with pytest.raises(Refused, match=f"Record {path.stem} was altered"):
        changes.plan_undo(ops, record)


def test_another_targets_record_and_one_that_changed_nothing_are_told_apart(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    apply(ops, tagged("one")(ops), "now")
    record = last()
    with pytest.raises(
        UsageError, match=r"is of lab/bluemoxon-staging, not of lab/bluemoxon-production"
    ):
        changes.plan_undo(connect("lab/bluemoxon-production"), record)
    with pytest.raises(UsageError, match="Unknown record"):
        changes.plan_undo(ops, "20260101T000000Z-abcdef")
    apply(ops, changes.plan_undo(ops, record), "now")


def test_what_is_gone_after_an_undo_reads_as_absent(ops: Connection, clean: dict[str, Any]) -> None:
    where = {"UserPoolId": users.pool_id(ops), "Username": "nobody@example.com"}
    gone = Read("cognito-idp", "admin_get_user", "UserStatus", **where)
    from opslib.core.plans import applying

    step = Step("Delete", gone, "CONFIRMED", "absent", None, gone)
    assert applying._observed(ops, step, gone).status == "ok"


def test_a_plan_made_of_undos_says_that_it_cannot_be_undone_itself(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    apply(ops, tagged("one")(ops), "now")
    plan: Plan = changes.plan_undo(ops, last())
    assert not plan.reversible
    assert "cannot itself be undone" in plan.notes[0]
    apply(ops, plan, "now")
