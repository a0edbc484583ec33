"""Memory, time-out and reserved concurrency as one plan.

Previewed, refused, applied exactly, undone.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest

from opslib import apply
from opslib.core.checks import plots
from opslib.core.connections.connection import Connection
from opslib.core.errors import NotAllowed, Refused, UsageError
from opslib.core.plans.applying import Applied
from opslib.core.plans.plans import Plan
from opslib.core.reads import logs
from opslib.core.tables import frame
from opslib.core.times import window
from opslib.functions import capacities, invocations
from opslib.functions.invocations import Use
from tests import notebooks
from tests.states import differences
from tests.undoing import undo

TARGET, PLACE = "lab/loglineos-production", "loglineos-production"
LOADER, MIGRATION = "loglineos-stage0-loader-production", "loglineos-db-migration-production"
THROTTLED = "function-throttled"
USED = {"at": "str", "requests": "int64", "used_mb": "float64"}

pytestmark = pytest.mark.usefixtures("records_folder")  # what is applied here is kept elsewhere


def done(ops: Connection, plan: Plan) -> Applied:
    return apply(ops, plan, "now", confirm=TARGET)


def setting(ops: Connection, name: str, qualifier: str, key: str) -> Any:
    return ops.call("lambda", "get_function_configuration", FunctionName=name, Qualifier=qualifier)[
        key
    ]


def test_without_a_wish_there_is_nothing_to_do(lab: Any) -> None:
    left = notebooks.run("functions/scale")
    assert left["plan"].steps == ()
    assert "Choose what to change" in repr(left["plan"])


@pytest.mark.slow
def test_memory_goes_where_the_alias_leads_and_nothing_else_changes(
    fresh: Connection, lab: Any
) -> None:
    before = lab.state(PLACE)
    applied = done(fresh, capacities.plan_capacity(fresh, "loader", 2048))
    assert differences(before, lab.state(PLACE)) == [
        f"lambda.{LOADER}.aliases.production",
        f"lambda.{LOADER}.config.MemorySize",
        f"lambda.{LOADER}.versions.8",
    ]
    assert setting(fresh, LOADER, "production", "MemorySize") == 2048
    assert setting(fresh, LOADER, "7", "MemorySize") == 1024
    assert {f.status for f in fresh.findings if f.verifies} == {"ok"}
    assert capacities.plan_capacity(fresh, "loader", 2048).steps == ()
    undo(fresh, applied)
    assert differences(before, lab.state(PLACE)) == [f"lambda.{LOADER}.versions.8"]


@pytest.mark.slow
def test_memory_and_time_out_are_one_version(fresh: Connection) -> None:
    done(fresh, capacities.plan_capacity(fresh, "loader", 512, 20))
    found = fresh.call(
        "lambda", "get_function_configuration", FunctionName=LOADER, Qualifier="production"
    )
    assert (found["Version"], found["MemorySize"], found["Timeout"]) == ("8", 512, 20)


@pytest.mark.slow
def test_a_function_without_an_alias_is_changed_as_it_is(ops: Connection, lab: Any) -> None:
    before = lab.state(PLACE)
    plan = capacities.plan_capacity(ops, "db-migration", 1024)
    assert len(plan.steps) == 2  # no version is published
    applied = done(ops, plan)
    assert differences(before, lab.state(PLACE)) == [f"lambda.{MIGRATION}.config.MemorySize"]
    undo(ops, applied)
    assert lab.state(PLACE) == before


@pytest.mark.parametrize("was", ["none", "50"])
def test_a_reservation_is_made_at_once_and_undone(ops: Connection, lab: Any, was: str) -> None:
    place = {"FunctionName": LOADER}
    if was != "none":
        ops.call(
            "lambda", "put_function_concurrency", **place, ReservedConcurrentExecutions=int(was)
        )
    try:
        before = lab.state(PLACE)
        applied = done(ops, capacities.plan_capacity(ops, "loader", reserved="100"))
        assert differences(before, lab.state(PLACE)) == [f"lambda.{LOADER}.concurrency"]
        assert (
            ops.call("lambda", "get_function_concurrency", **place)["ReservedConcurrentExecutions"]
            == 100
        )
        assert [f.status for f in ops.findings if f.verifies] == ["ok"]
        undo(ops, applied)
        assert lab.state(PLACE) == before
    finally:
        ops.call("lambda", "delete_function_concurrency", **place)


def test_a_reservation_is_taken_away_and_undone(ops: Connection, lab: Any) -> None:
    ops.call(
        "lambda", "put_function_concurrency", FunctionName=LOADER, ReservedConcurrentExecutions=50
    )
    try:
        before = lab.state(PLACE)
        applied = done(ops, capacities.plan_capacity(ops, "loader", reserved="none"))
        assert "ReservedConcurrentExecutions" not in ops.call(
            "lambda", "get_function_concurrency", FunctionName=LOADER
        )
        assert [f.status for f in ops.findings if f.verifies] == ["ok"]
        undo(ops, applied)
        assert lab.state(PLACE) == before
    finally:
        ops.call("lambda", "delete_function_concurrency", FunctionName=LOADER)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"memory_mb": 64}, UsageError, "128 to 10,240"),
        ({"memory_mb": 10_241}, UsageError, "128 to 10,240"),
        ({"timeout_seconds": 901}, UsageError, "1 to 900"),
        ({"reserved": "many"}, UsageError, "neither a number"),
        ({"reserved": "-1"}, UsageError, "neither a number"),
        ({"reserved": "901"}, Refused, "At most 900 can be reserved here"),
        ({"reserved": "0"}, Refused, "every invocation is turned away"),
        ({"reserved": "1"}, Refused, "What is above is turned away"),
    ],
)
def test_what_cannot_or_should_not_be_is_refused(
    ops: Connection, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        capacities.plan_capacity(ops, "loader", **given)


def test_aws_refuses_the_same_reservation_that_we_do(ops: Connection) -> None:
    with pytest.raises(Exception, match="below its minimum value"):
        ops.call(
            "lambda",
            "put_function_concurrency",
            FunctionName=LOADER,
            ReservedConcurrentExecutions=901,
        )
    assert len(capacities.plan_capacity(ops, "loader", reserved="900").steps) == 1


def test_below_use_is_planned_when_it_is_meant(ops: Connection) -> None:
    plan = capacities.plan_capacity(ops, "loader", reserved="0", even_below_use=True)
    assert (plan.steps[0].before, plan.steps[0].after) == ("none", 0)


def test_a_function_that_is_stopped_answers_no_more_until_it_is_undone(
    ops: Connection, lab: Any
) -> None:
    before = lab.state(PLACE)
    applied = done(ops, capacities.plan_capacity(ops, "loader", reserved="0", even_below_use=True))
    assert ops.http("GET", "/health").status == 503
    found = capacities.check_capacity(ops, "loader")
    assert (found.causes, "cannot run at all" in found[1].seen) == ({THROTTLED}, True)
    undo(ops, applied)
    assert ops.http("GET", "/health").status == 200
    assert lab.state(PLACE) == before


def test_what_is_there_already_is_said(ops: Connection) -> None:
    plan = capacities.plan_capacity(ops, "loader", 1024, reserved="none")
    assert plan.steps == ()
    assert "has that already: memory 1,024 MB" in repr(plan)
    assert "no reservation already" in repr(plan)


def test_a_plan_says_what_it_costs_and_what_else_limits_it(ops: Connection) -> None:
    notes = " ".join(capacities.plan_capacity(ops, "loader", 2048, 60, "100").notes)
    assert "costs 2 times as much" in notes
    assert "The target's file says memory 1,024 MB, time-out 30 s" in notes
    assert "29 s (REST" in notes
    assert "share 900 of 1,000" in notes


@pytest.mark.slow
def test_code_that_was_not_released_is_not_released_with_memory(fresh: Connection) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("index.js", "// tomorrow's\n")
    fresh.call("lambda", "update_function_code", FunctionName=LOADER, ZipFile=archive.getvalue())
    with pytest.raises(Refused, match="holds other code than version 7"):
        capacities.plan_capacity(fresh, "loader", 2048)
    assert (
        len(capacities.plan_capacity(fresh, "loader", reserved="100").steps) == 1
    )  # that publishes nothing


def test_other_settings_in_latest_are_named_in_the_plan(ops: Connection, clean: Any) -> None:
    ops.call("lambda", "update_function_configuration", FunctionName=LOADER, Timeout=29)
    publish = capacities.plan_capacity(ops, "loader", 2048).steps[2]
    assert "ALSO CHANGED IN $LATEST: Timeout: 30 to 29" in publish.after
    ops.call("lambda", "update_function_configuration", FunctionName=LOADER, Timeout=30)


def test_production_wants_its_name(ops: Connection, lab: Any) -> None:
    before = lab.state(PLACE)
    with pytest.raises(Refused, match="is production"):
        apply(ops, capacities.plan_capacity(ops, "loader", reserved="100"), "now")
    assert lab.state(PLACE) == before


@pytest.mark.slow
def test_a_reservation_that_throttles_is_named_and_raising_it_ends_it(
    ops: Connection, lab: Any
) -> None:
    before = lab.state(PLACE)
    with lab.broken(THROTTLED, PLACE):
        found = capacities.check_capacity(ops, "loader")
        assert (found.worst, found.causes) == ("critical", {THROTTLED})
        assert ("cap of loader:", 2.0) in found.panels[0].thresholds  # type: ignore[attr-defined]
        plan = capacities.plan_capacity(ops, "loader", reserved="50")
        assert "throttles: more was wanted" in " ".join(plan.notes)
        done(ops, plan)
        assert (
            ops.call("lambda", "get_function_concurrency", FunctionName=LOADER)[
                "ReservedConcurrentExecutions"
            ]
            == 50
        )
    assert lab.state(PLACE) == before
    assert not capacities.check_capacity(ops, "loader").causes


@pytest.mark.some(3)
@pytest.mark.parametrize(
    "drill", ["cold-start", "timeout-too-low", "malformed-requests", "bad-version"]
)
def test_another_trouble_is_no_throttling(ops: Connection, lab: Any, drill: str) -> None:
    with lab.broken(drill, PLACE):
        assert capacities.check_capacity(ops, "loader").worst == "ok"


def test_a_throttle_that_its_own_reservation_does_not_explain_has_no_cause(ops: Connection) -> None:
    hour = window(ops, 60)
    account = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 900}

    def judged(reserved: int | None, most: int) -> Any:
        use = Use(
            "loader",
            reserved,
            throttles=9,
            invocations=100,
            most_at_once=most,
            since="03:00",
            still=True,
        )
        return invocations.judge(use, account, hour)

    assert (judged(5, 5).cause, judged(5, 4).cause, judged(None, 900).cause) == (THROTTLED, "", "")
    assert "the 900 that all share" in judged(None, 900).seen
    assert judged(0, 0).cause == THROTTLED


def test_what_is_denied_is_unknown_and_plans_nothing(ops: Connection, lab: Any) -> None:
    with lab.denied("lambda:GetFunctionConcurrency", PLACE):
        found = capacities.check_capacity(ops, "loader")
        assert (found.worst, found.causes) == ("unknown", {"access-denied"})
        with pytest.raises(NotAllowed):
            capacities.plan_capacity(ops, "loader", reserved="100")
    with lab.denied("lambda:GetAccountSettings", PLACE), pytest.raises(NotAllowed):
        capacities.plan_capacity(ops, "loader", reserved="100")
    with lab.denied("cloudwatch:GetMetricData", PLACE):
        assert capacities.check_capacity(ops, "loader").causes == {"access-denied"}
        assert plots.draw(capacities.check_capacity(ops, "loader")).png == b""


@pytest.mark.parametrize(("a_day", "status"), [(620, "warn"), (-620, "ok"), (40, "ok")])
def test_memory_that_grows_all_day_and_is_full_tomorrow_is_told_before(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, a_day: int, status: str
) -> None:
    each = [540 + a_day * (step / 11 - 0.5) for step in range(12)]
    rows = [{"at": None, "requests": 20, "used_mb": used} for used in each]
    monkeypatch.setattr(logs, "query", lambda *_: frame(rows, USED))
    (found,) = capacities.check_memory(ops, "loader")
    assert found.status == status
    assert ("620 MB more than a day ago, ever more" in found.seen) == (status == "warn")
