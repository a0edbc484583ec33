"""The maintenance window: what a plan says of it, and what production asks outside of it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from opslib import Refused, apply, changes, connect
from opslib.core.actions.actions import Action, Aws, Wait
from opslib.core.connections.connection import Connection
from opslib.core.connections.targets import Facts
from opslib.core.plans import maintenance
from opslib.core.plans.applying import planner
from opslib.core.plans.plans import Planned, Step
from tests.conftest import PracticeLab

TARGET = "lab/image-caption-prod"
SUNDAY = {"days": ["sunday"], "from": "02:00", "until": "04:00"}
OUTSIDE = f"{TARGET} outside the window"


@pytest.fixture
def ops(lab: PracticeLab, records_folder: Path) -> Connection:
    return connect(TARGET)


def at(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, when: str, *windows: dict[str, Any]
) -> Connection:
    """The same at another time (2026-11-29 is a Sunday), with other windows."""
    moment = datetime.fromisoformat(when).replace(tzinfo=UTC)
    monkeypatch.setattr(ops, "now", lambda: moment)
    if windows:
        facts = Facts({**ops.target.facts, "maintenance": [*windows]}, "a file")
        monkeypatch.setattr(ops, "target", dataclasses.replace(ops.target, facts=facts))
    return ops


@pytest.mark.parametrize(
    ("when", "windows", "said"),
    [
        ("2026-11-29T02:00", [SUNDAY], "Inside the maintenance window, until 04:00 UTC: 2 h left."),
        ("2026-11-29T03:59", [SUNDAY], "until 04:00 UTC: 1 min left."),
        (
            "2026-11-29T04:00",
            [SUNDAY],
            "Outside the maintenance window: it opens Sunday 2026-12-06 02:00 UTC for 2 h, in "
            "6 d 22 h.",
        ),
        ("2026-11-29T01:15", [SUNDAY], "02:00 UTC for 2 h, in 45 min."),
        # the first Sunday of a month alone, which is further than a fortnight away
        (
            "2026-11-10T12:00",
            [SUNDAY | {"weeks": [1]}],
            "it opens Sunday 2026-12-06 02:00 UTC for 2 h, in 25 d 14 h.",
        ),
        # over midnight, and of the day before
        (
            "2026-11-29T00:30",
            [SUNDAY | {"days": ["saturday"], "from": "23:00", "until": "01:00"}],
            "until 01:00 UTC: 30 min left.",
        ),
        # two that touch are one
        (
            "2026-11-28T23:00",
            [
                {"days": ["saturday"], "from": "22:00", "until": "00:00"},
                {"days": ["sunday"], "from": "00:00", "until": "03:00"},
            ],
            "until 11-29 03:00 UTC: 4 h left.",
        ),
        # of several, the next
        (
            "2026-11-25T12:00",
            [SUNDAY, {"days": ["monday", "thursday"], "from": "20:00", "until": "21:30"}],
            "opens Thursday 2026-11-26 20:00 UTC for 1 h 30 min, in 1 d 8 h.",
        ),
        # a whole day
        ("2026-11-29T12:00", [SUNDAY | {"from": "00:00", "until": "00:00"}], "12 h left."),
    ],
)
def test_inside_or_outside_is_told_with_when_it_ends_or_opens(
    ops: Connection,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
    windows: list[dict[str, Any]],
    said: str,
) -> None:
    [found] = changes.check_window(at(ops, monkeypatch, when, *windows))
    assert said in found.seen
    assert found.status == "ok"


def test_a_change_that_has_to_fit_in_is_warned_of(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = at(ops, monkeypatch, "2026-11-29T03:40")
    assert changes.check_window(inside, 20).worst == "ok"
    [late] = changes.check_window(inside, 21)
    assert (late.status, "would end outside" in late.seen) == ("warn", True)
    assert changes.check_window(at(ops, monkeypatch, "2026-11-28T03:00"), 5).worst == "warn"


@planner
def plan_protection(ops: Connection, seconds: int = 60) -> Planned:
    """Protects a table from being deleted, and waits."""
    table = ops.target["tables"]["captions"]["name"]
    path, read = "Table.DeletionProtectionEnabled", ("dynamodb", "describe_table")

    def put(value: bool) -> Action:
        return Aws("dynamodb", "update_table", TableName=table, DeletionProtectionEnabled=value)

    wait = Wait(*read, path, [False], [True], seconds, TableName=table)
    steps = (
        step
        for step in [
            Step("Protect it", put(True), False, True, [put(False)]),
            Step("Wait", wait, None, True, []),
        ]
    )
    return Planned("protect a table", steps, ["A note of its own."])


def test_a_plan_says_where_it_stands_and_keeps_its_name(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = plan_protection(at(ops, monkeypatch, "2026-11-28T12:00"))
    assert outside.notes[0] == "A note of its own."
    assert "Outside the maintenance window" in outside.notes[1]
    assert f"confirm = {OUTSIDE!r}" in outside.notes[1]
    inside = plan_protection(at(ops, monkeypatch, "2026-11-29T03:30"))
    assert inside.notes[1].startswith("Inside the maintenance window, until 04:00")
    assert inside.digest("", "") == outside.digest("", "")
    late = plan_protection(ops, seconds=3600)
    assert late.notes[1].endswith("Its steps may wait for up to 1 h: it may end outside.")


def test_a_target_that_describes_no_window_says_nothing(
    lab: PracticeLab, records_folder: Path
) -> None:
    other = connect("lab/bluemoxon-staging")
    assert maintenance.notes(other, []) == []
    assert maintenance.openings(other) == []
    found = changes.check_window(other)
    assert ([*found], found.note) == ([], "No maintenance window is described.")


def protected(ops: Connection) -> bool:
    told = ops.call("dynamodb", "describe_table", TableName="image_captions")
    return bool(told["Table"].get("DeletionProtectionEnabled"))


@pytest.fixture
def undone(ops: Connection, lab: PracticeLab) -> Any:
    yield
    lab.reset()


def test_outside_of_it_production_wants_more_than_its_name_and_the_record_keeps_that(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, undone: None
) -> None:
    at(ops, monkeypatch, "2026-11-28T12:00")
    plan = plan_protection(ops)
    for given in ("", TARGET, f"{TARGET} outside"):
        with pytest.raises(Refused, match=r"nothing was changed\. Outside the maintenance window"):
            apply(ops, plan, plan.id, given)
    assert not protected(ops)
    assert apply(ops, plan, plan.id, OUTSIDE).changed
    assert protected(ops)
    [applying] = [e for e in ops.journal.events if e["event"] == "applying"]
    assert applying["outside"].startswith("Outside the maintenance window: it opens Sunday")


def test_inside_of_it_the_name_is_enough_and_what_was_typed_before_it_opened_holds(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, undone: None
) -> None:
    at(ops, monkeypatch, "2026-11-29T02:00")
    with pytest.raises(Refused, match=f"To go on, type its name: confirm = '{TARGET}'"):
        apply(ops, plan_protection(ops), "now", "yes")
    assert apply(ops, plan_protection(ops), "now", OUTSIDE).changed
    assert apply(ops, plan_protection(ops), "now", TARGET).changed
    assert not any("outside" in e for e in ops.journal.events if e["event"] == "applying")
