"""What calls a function, paused and let go on: by a queue, by a rule, one of several, none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from opslib import apply
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.errors import Refused, UsageError
from opslib.functions import plan_triggers, sources
from tests import notebooks
from tests.states import differences
from tests.undoing import undo

TARGET, PLACE = "lab/bluemoxon-staging", "bluemoxon-staging"
QUEUE = "bluemoxon-staging-analysis"
NIGHTLY = "bluemoxon-staging-nightly"

pytestmark = pytest.mark.usefixtures("records_folder")  # what is applied here is kept elsewhere


@pytest.fixture
def nightly(ops: Connection) -> Iterator[None]:
    """A rule that calls the API's alias and the scraper, each night."""
    events = ops.client("events")
    found = ops.call("lambda", "get_function_configuration", FunctionName="bluemoxon-staging-api")
    api = found["FunctionArn"].removesuffix(":$LATEST")
    events.put_rule(Name=NIGHTLY, ScheduleExpression="cron(0 3 * * ? *)", State="ENABLED")
    targets = [f"{api}:live", api.replace("-api", "-scraper")]
    named = [{"Id": str(at), "Arn": arn} for at, arn in enumerate(targets)]
    events.put_targets(Rule=NIGHTLY, Targets=named)
    yield
    events.remove_targets(Rule=NIGHTLY, Ids=["0", "1"])
    events.delete_rule(Name=NIGHTLY)


def state(ops: Connection) -> Any:
    return ops.call("events", "describe_rule", Name=NIGHTLY)["State"]


def test_a_queue_is_handed_to_nobody_until_it_goes_on(ops: Connection, lab: Any) -> None:
    before = lab.state(PLACE)
    left = notebooks.run("functions/triggers", approved="now")
    assert [f.seen for f in left["ops"].findings if f.verifies] == ["now Disabled"]
    [changed] = differences(before, lab.state(PLACE))
    assert changed.endswith(QUEUE)
    on = plan_triggers(ops, "analysis-worker", resume=True)
    assert [step.after for step in on.steps] == ["Enabled", "Enabled"]
    assert plan_triggers(ops, "analysis-worker").notes == (f"{QUEUE} is Disabled already.",)
    apply(ops, on, "now", confirm=TARGET)
    assert lab.state(PLACE) == before


def test_a_rule_is_switched_off_for_all_that_it_calls_and_back(
    ops: Connection, nightly: None
) -> None:
    plan = plan_triggers(ops, "api")
    assert [(step.title, step.before, step.after) for step in plan.steps] == [
        (f"Pause {NIGHTLY}", "ENABLED", "DISABLED")
    ]
    [note] = plan.notes
    assert "not sent later; bluemoxon-staging-scraper gets nothing from it either" in note
    assert state(ops) == "ENABLED"
    applied = apply(ops, plan, "now", confirm=TARGET)
    assert state(ops) == "DISABLED"
    undo(ops, applied)
    assert state(ops) == "ENABLED"


def test_one_of_several_is_chosen_by_its_name_and_a_wrong_name_is_told(
    ops: Connection, nightly: None
) -> None:
    assert len(plan_triggers(ops, "api", NIGHTLY).steps) == 1
    with pytest.raises(UsageError, match=f"mean .{NIGHTLY}"):
        plan_triggers(ops, "api", QUEUE)


def test_what_is_being_changed_is_left_alone(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = {"id": "x", "source": QUEUE, "state": "Disabling"}
    mapped = {"bluemoxon-staging-analysis-worker": [mapping]}
    monkeypatch.setattr(sources, "list_mappings", lambda _: mapped)
    with pytest.raises(Refused, match="Disabling: somebody changes it"):
        plan_triggers(ops, "analysis-worker")


def test_where_nothing_calls_it_the_plan_says_what_else_holds_it_back(ops: Connection) -> None:
    plan = plan_triggers(ops, "scraper")
    assert plan.steps == ()
    assert "functions/scale" in plan.notes[0]


@pytest.mark.parametrize("of", ["scraper", "api"])
def test_a_schedule_is_switched_off_with_all_that_it_is_and_back(ops: Connection, of: str) -> None:
    scheduler, place = ops.client("scheduler"), {"Name": NIGHTLY, "GroupName": "default"}
    arn = ops.call("lambda", "get_function_configuration", FunctionName=f"bluemoxon-staging-{of}")
    goal = {"Arn": arn["FunctionArn"].removesuffix(":$LATEST"), "RoleArn": "arn:aws:iam::1:role/x"}
    until = datetime(2027, 1, 31, tzinfo=UTC)
    given = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
    scheduler.create_schedule(**place, **given, Target=goal, EndDate=until, State="ENABLED")
    before = ops.call("scheduler", "get_schedule", **place)
    scheduled = ops.target.facts.plain() | {"schedules": {"nightly": {"name": NIGHTLY}}}
    ops.target = replace(ops.target, facts=Facts(scheduled, "a file"))
    try:
        plan = plan_triggers(ops, "scraper")
        assert [step.title for step in plan.steps] == [f"Pause {NIGHTLY}"] * (of == "scraper")
        applied = apply(ops, plan, "now", confirm=TARGET)
        now = ops.call("scheduler", "get_schedule", **place)
        assert now["State"] == ("DISABLED" if of == "scraper" else "ENABLED")
        rate = {"ScheduleExpression": "rate(2 days)"}  # somebody else's meanwhile, which stays
        own = {**given, "Target": goal, "EndDate": until, "State": now["State"], **rate}
        scheduler.update_schedule(**place, **own)
        undo(ops, applied)
        before |= rate
        after = ops.call("scheduler", "get_schedule", **place)
        assert [after[k] for k in (*given, "Target", "EndDate")] == [
            before[k] for k in (*given, "Target", "EndDate")
        ]
    finally:
        scheduler.delete_schedule(**place)


def test_a_schedule_that_is_no_more_keeps_nobody_from_pausing_the_rest(ops: Connection) -> None:
    described = ops.target.facts.plain() | {"schedules": {"gone": {"name": "gone"}}}
    ops.target = replace(ops.target, facts=Facts(described, "a file"))
    assert len(plan_triggers(ops, "analysis-worker", QUEUE).steps) == 2
