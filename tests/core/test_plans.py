"""The gate that every change goes through.

Previewed, approved by its hash, by the right person, in time.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from opslib import OpsError, Refused, apply, conclude, connect
from opslib.core.actions.actions import Action, Aws, Merge, Read, Wait
from opslib.core.actions.results import result
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Policy
from opslib.core.errors import Unfinished
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from opslib.core.reads import functions
from opslib.functions import versions
from tests.conftest import PracticeLab

STAGING, PRODUCTION = "lab/bluemoxon-staging", "lab/bluemoxon-production"
BUCKET = "bluemoxon-staging-images"


@pytest.fixture
def ops(lab: PracticeLab, records_folder: Path) -> Connection:
    return connect(STAGING)


@pytest.fixture(autouse=True)
def unchanged(lab: PracticeLab) -> Iterator[None]:
    """What a test changed is taken back."""
    before = lab.state(), lab.state("bluemoxon-production")
    yield
    if (lab.state(), lab.state("bluemoxon-production")) != before:
        lab.reset()


def with_policy(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, lab: bool = True, **policy: Any
) -> Connection:
    """The same connection to a target with another policy; not `lab`:
    as if it were the real one.
    """
    monkeypatch.setattr(
        ops, "target", dataclasses.replace(ops.target, lab=lab, policy=Policy(**policy))
    )
    return ops


def live(ops: Connection) -> str:
    return functions.live_version(ops, "api")


def test_a_preview_names_its_plan_and_changes_nothing(ops: Connection, lab: PracticeLab) -> None:
    before = lab.state()
    plan = versions.plan_rollback(ops, "api")
    applied = apply(ops, plan)
    assert not applied.changed
    assert f"approved = {plan.id!r}" in repr(applied)
    assert conclude(ops).outcome == "previewed"
    assert lab.state() == before


def test_the_plan_that_was_previewed_is_applied_by_its_name(ops: Connection) -> None:
    was, plan = live(ops), versions.plan_rollback(ops, "api")
    applied = apply(ops, versions.plan_rollback(ops, "api"), plan.id)
    assert applied.changed
    assert live(ops) != was
    assert conclude(ops).outcome == "changed"


def test_a_plan_made_twice_has_the_same_hash(ops: Connection) -> None:
    first, second = versions.plan_rollback(ops, "api"), versions.plan_rollback(ops, "api")
    assert first.digest("", "") == second.digest("", "")
    other = versions.plan_rollback(ops, "scraper")
    assert first.digest("", "") != other.digest("", "")


def test_a_world_that_moved_since_the_preview_is_refused(ops: Connection, lab: PracticeLab) -> None:
    plan = versions.plan_rollback(ops, "api")
    name = ops.target["functions"]["api"]["name"]
    ops.call("lambda", "update_alias", FunctionName=name, Name="live", FunctionVersion="4")
    before = lab.state()
    with pytest.raises(
        Refused, match=r"is not what would be done now.*Preview again; nothing was changed"
    ):
        apply(ops, versions.plan_rollback(ops, "api", "2"), plan.id)
    with pytest.raises(Refused, match="has changed since it was made"):
        apply(ops, plan, "now")
    assert lab.state() == before


def test_other_parameters_than_those_approved_are_refused(
    ops: Connection, lab: PracticeLab
) -> None:
    before = lab.state()
    plan = versions.plan_rollback(ops, "api", "2")
    with pytest.raises(Refused, match="is not what would be done now"):
        apply(ops, versions.plan_rollback(ops, "api", "3"), plan.id)
    assert lab.state() == before


def test_another_targets_approval_does_not_fit(ops: Connection, lab: PracticeLab) -> None:
    approved = versions.plan_rollback(ops, "api").id
    production = connect(PRODUCTION)
    with pytest.raises(Refused, match="is not what would be done now"):
        apply(production, versions.plan_rollback(production, "api"), approved, confirm=PRODUCTION)


@pytest.mark.parametrize("minutes", [61, -5])
def test_an_approval_from_another_time_is_refused(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    plan, now = versions.plan_rollback(ops, "api"), ops.now()
    monkeypatch.setattr(ops, "now", lambda: now + timedelta(minutes=minutes))
    with pytest.raises(
        Refused, match=r"plans here hold for 60 minutes. Preview again; nothing was changed"
    ):
        apply(ops, versions.plan_rollback(ops, "api"), plan.id)


def test_an_approval_cannot_be_given_a_later_time(ops: Connection) -> None:
    """The time and the person in a plan's name are under its hash."""
    plan = versions.plan_rollback(ops, "api")
    digest, by, made = plan.id.split(".")
    later = (ops.now() + timedelta(seconds=30)).strftime("%Y%m%dT%H%M%SZ")
    for forged in (f"{digest}.{by}.{later}", f"{digest}.somebody.{made}"):
        with pytest.raises(Refused, match="is not what would be done now"):
            apply(ops, plan, forged)


@pytest.mark.parametrize(
    "approved",
    [
        *("yes", "true", "0123456789ab", "NOW", "abc.operator.now"),
        "0123456789ab.operator.20261340T250000Z",
        "0123456789ab.operator.20260230T000000Z",
        "0123456789ab.operator.２０２６１１２８T091715Z",
    ],
)
def test_an_approval_that_names_no_plan_is_refused(ops: Connection, approved: str) -> None:
    with pytest.raises(Refused, match="is not the name of a plan"):
        apply(ops, versions.plan_rollback(ops, "api"), approved)


@pytest.mark.parametrize("confirm", ["", "bluemoxon-production", "yes", STAGING])
def test_production_wants_its_name_typed(
    lab: PracticeLab, records_folder: Path, confirm: str
) -> None:
    production = connect(PRODUCTION)
    plan = versions.plan_rollback(production, "api")
    with pytest.raises(
        Refused, match=r"is production: nothing was changed.*confirm = 'lab/bluemoxon-production'"
    ):
        apply(production, plan, plan.id, confirm)
    with pytest.raises(Refused) as refused:
        apply(production, plan, plan.id, confirm)
    assert str(refused.value).endswith(f"{confirm!r} was typed." if confirm else PRODUCTION + "'.")


def test_production_is_changed_when_its_name_is_typed(
    lab: PracticeLab, records_folder: Path
) -> None:
    production = connect(PRODUCTION)
    plan = versions.plan_rollback(production, "api")
    applied = apply(production, plan, plan.id, PRODUCTION)
    assert applied.changed
    assert "(1 step) on" in repr(applied)


def test_at_once_is_for_targets_that_allow_it(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = with_policy(ops, monkeypatch, lab=False, apply_at_once=False)
    with pytest.raises(Refused, match="does not allow a plan to be applied unseen"):
        apply(real, versions.plan_rollback(real, "api"), "now")
    both = with_policy(ops, monkeypatch, lab=False, apply_at_once=True, second_person=True)
    with pytest.raises(Refused, match="does not allow a plan to be applied unseen"):
        apply(both, versions.plan_rollback(both, "api"), "now")


def test_a_name_that_somebody_computed_is_no_second_persons_approval(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = with_policy(ops, monkeypatch, second_person=True)
    plan = versions.plan_rollback(strict, "api")
    forged = dataclasses.replace(plan, planner="reviewer").id
    for name in (plan.id, forged):
        with pytest.raises(Refused, match=r"wants a second person.*is no preview on record"):
            apply(strict, versions.plan_rollback(strict, "api"), name)


def test_a_plan_without_steps_needs_no_approval_and_applies_nothing(ops: Connection) -> None:
    plan = versions.plan_rollback(ops, "api", live(ops))
    assert plan.steps == ()
    applied = apply(ops, plan, "now")
    assert not applied.changed
    assert repr(applied) == "Nothing to do, so nothing was changed."


def test_a_refusal_is_in_the_journal(ops: Connection) -> None:
    with pytest.raises(Refused):
        apply(ops, versions.plan_rollback(ops, "api"), "yes")
    assert [e["event"] for e in ops.journal.events][-1] == "refused"


def test_nothing_after_a_failed_step_is_done(ops: Connection, lab: PracticeLab) -> None:
    @planner
    def plan(ops: Connection) -> Planned:
        tag = {"TagSet": [{"Key": "k", "Value": "v"}]}
        return Planned(
            "fail",
            [
                Step(
                    "Fail",
                    Aws("s3", "put_bucket_tagging", Bucket="no-such-bucket-here", Tagging=tag),
                ),
                Step("Tag", Aws("s3", "put_bucket_tagging", Bucket=BUCKET, Tagging=tag)),
            ],
            [],
        )

    before = lab.state()
    with pytest.raises(OpsError, match=r"Step 1 of 2 \(Fail\) failed.*Applied before it: 0"):
        apply(ops, plan(ops), "now")
    assert lab.state() == before


def test_a_step_that_is_not_seen_to_be_done_is_critical(ops: Connection) -> None:
    @planner
    def plan(ops: Connection) -> Planned:
        look = Read("s3", "get_bucket_versioning", "Status", Bucket=BUCKET)
        return Planned(
            "nothing",
            [
                Step(
                    "Suspend",
                    Aws("s3", "head_bucket", Bucket=BUCKET),
                    "Enabled",
                    "Suspended",
                    [],
                    look,
                )
            ],
            [],
        )

    apply(ops, plan(ops), "now")
    assert [(f.status, f.seen, f.verifies) for f in ops.findings] == [
        ("critical", "now Enabled", True)
    ]
    assert conclude(ops).status == "critical"


def test_a_later_step_uses_what_an_earlier_one_answered(ops: Connection) -> None:
    """The undo that is kept holds the value, not the reference."""

    @planner
    def plan(ops: Connection) -> Planned:
        put = Aws("s3", "put_object", Bucket=BUCKET, Key="tests/x", Body="1")
        gone = Aws(
            "s3", "delete_object", Bucket=BUCKET, Key="tests/x", VersionId=result("put.VersionId")
        )
        return Planned(
            "put", [Step("Put", put, undo=[gone], name="put"), Step("Delete", gone, undo=[])], []
        )

    applied = apply(ops, plan(ops), "now")
    assert applied.undo[0] is not None
    assert len(applied.undo[0][0]["parameters"]["VersionId"]) > 10


def test_a_wait_ends_and_says_that_the_state_is_unknown(ops: Connection) -> None:

    where = {"DBClusterIdentifier": "bluemoxon-staging"}
    args = ("rds", "describe_db_clusters", "DBClusters[0].Status")
    with pytest.raises(Unfinished, match=r"still available after \d+ s; it may yet finish"):
        Wait(*args, ["available"], ["deleted"], 0, **where).perform(ops)
    with pytest.raises(OpsError, match="ended as available"):
        Wait(*args, ["creating"], ["deleted"], 5, **where).perform(ops)
    assert Wait(*args, ["creating"], ["available"], 5, **where).perform(ops) == "available"


def test_a_merge_shows_what_it_changes_and_nothing_else(ops: Connection) -> None:

    name = ops.target["functions"]["api"]["name"]
    step = Merge(
        Read("lambda", "get_function_configuration", "Environment.Variables", FunctionName=name),
        Aws("lambda", "update_function_configuration", FunctionName=name),
        "Environment.Variables",
        {"FLAG": "on"},
    )
    assert "SENTRY" not in json.dumps(step)
    assert str(step).endswith("Environment.Variables FLAG=on, the others kept")


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (
            Aws("ecs", "update_service", desiredCount=100_000),
            "0 to 5,000 for desiredCount, not 100,000",
        ),
        (Aws("sqs", "send_message", QueueUrl="u", DelaySeconds=10**9), ""),  # no bound is known
        (Aws("wafv2", "update_ip_set", Name=result("a.b"), Scope="REGIONAL"), ""),
        (Aws("wafv2", "update_ip_set", Name="x" * 200), "1 to 128 in length for Name, not 200"),
        (
            Aws("logs", "put_log_events", logEvents=[{"message": ""}]),
            "1 to .* in length for message, not 0",
        ),
    ],
)
def test_what_aws_would_not_take_ends_the_preview(ops: Connection, do: Action, said: str) -> None:
    make = planner(lambda _: Planned("try", [Step("Try it", do)]))
    if not said:
        assert make(ops).steps
        return
    with pytest.raises(OpsError, match=f"Try it: AWS takes {said}.*Nothing was changed"):
        make(ops)
