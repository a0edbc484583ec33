"""What is due is run once, what was missed is found, and who is to be told is told once."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from opslib.core import OpsError, UsageError
from opslib.records import list_records, reading
from opslib.runs import runs
from opslib.schedules import Busy, channels, ledger, notices, read, run_due, standings
from opslib.schedules.ledger import Turn
from tests.schedules.conftest import Clock, Scheduled

HERE = "ours on lab/bluemoxon-staging"


@pytest.mark.slow
def test_a_day_with_one_report_missed_tells_it_once(scheduled: Scheduled) -> None:
    """Due at 0, 6, 12 and 18; the machine is off from 05:50 to 09:00; from 18 on it is critical."""
    scheduled.every("0 */6 * * *")
    clock = Clock("2026-11-22 23:30")
    missed: list[str] = []
    while clock() < Clock("2026-11-24 07:00")():
        hour = clock().strftime("%d %H:%M")
        if hour in ("23 18:00", "24 06:00"):
            scheduled.status({"23": "critical", "24": "ok"}[hour[:2]])
        if not "23 05:50" < hour < "23 09:00":
            missed += run_due(clock).missed
        clock.goes_on(10)
    assert missed == [f"{HERE}: It was due 2026-11-23 06:00 UTC and was not run."]
    assert scheduled.told() == [
        f"missed: {HERE}",
        f"recovered: {HERE}",  # at noon
        f"critical: {HERE}",  # at 18, and not again at midnight
        f"recovered: {HERE}",  # at 6
    ]
    text = scheduled.told_to.read_text()
    assert "hunter2" not in text
    record = list_records()[1]
    assert record.outcome == "attention"
    assert f"record: {list_records()[2].path}" in text  # the first that was critical
    assert len(list_records()) == 5
    (stands,) = standings(read()[0], clock())
    assert (stands.outcome, stands.missed, stands.overdue) == ("ok", 1, 0)
    assert stands.record == list_records()[0].id


def test_of_many_that_were_due_only_the_newest_is_caught_up(scheduled: Scheduled) -> None:
    scheduled.every("0 * * * *")
    clock = Clock("2026-11-23 00:30")
    run_due(clock)
    clock.goes_on(5 * 60)
    assert standings(read()[0], clock())[0].overdue == 4
    done = run_due(clock)
    assert len(done.ran) == 1
    often = "4 times, from 2026-11-23 01:00 to 2026-11-23 04:00"
    assert done.missed == [f"{HERE}: It was due {often} UTC and was not run."]
    again = run_due(clock)
    assert (again.ran, again.missed) == ([], [])
    assert scheduled.told() == [f"missed: {HERE}", f"recovered: {HERE}"]


def test_a_second_machine_that_only_looks_runs_nothing_and_tells(scheduled: Scheduled) -> None:
    scheduled.every("0 7 * * *")
    clock = Clock("2026-11-23 06:00")
    run_due(clock, only_look=True)
    clock.goes_on(90)
    assert run_due(clock, only_look=True).missed == []  # it is not too late yet
    clock.goes_on(60)
    assert len(run_due(clock, only_look=True).missed) == 1
    assert run_due(clock).missed == []  # found already, by the other
    assert scheduled.told() == [f"missed: {HERE}"]
    assert list_records() == []


def test_what_could_not_begin_is_told_and_keeps_no_other_from_running(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = scheduled.every("0 7 * * *", targets="lab/bluemoxon-*").read_text()
    run_many = runs.run_many

    def refused(names: list[str], on: list[str], *given: Any, **more: Any) -> Any:
        if "lab/bluemoxon-production" in on:
            raise UsageError("No queue is described.")
        return run_many(names, on, *given, **more)

    monkeypatch.setattr(runs, "run_many", refused)
    clock = Clock("2026-11-23 06:00")
    run_due(clock)
    scheduled.write(text.replace("ours", "wrong").replace("tests/daily", "tests/dayly"), "wrong")
    clock.goes_on(61)
    done = run_due(clock)
    assert [record.target for record in done.ran] == ["lab/bluemoxon-staging"]
    assert done.failed == ["ours on lab/bluemoxon-production: No queue is described."]
    assert scheduled.told() == ["failed: ours on lab/bluemoxon-production"]
    assert len(done.wrong) == 1
    assert "wrong.yaml:5: schedules.0.run: " in done.wrong[0]
    assert "tests/daily" in done.wrong[0]


def test_one_at_a_time_and_a_turn_has_an_end(scheduled: Scheduled) -> None:
    scheduled.every("0 7 * * *")
    clock = Clock("2026-11-23 06:00")
    held = Turn(clock)
    held.take(30)
    with pytest.raises(Busy, match=r"Another run-due is at work on .* since 2026-11-23T06:00 UTC"):
        run_due(clock)
    clock.goes_on(31)
    run_due(clock)
    with pytest.raises(Busy, match="took longer than its turn"):
        held.keep(5)


def test_a_run_that_was_killed_counts_as_failed_and_is_not_run_twice(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled.every("0 7 * * *")
    clock = Clock("2026-11-23 06:00")
    run_due(clock)
    clock.goes_on(61)

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "run_many", killed)
        with pytest.raises(KeyboardInterrupt):
            run_due(clock)
    clock.goes_on(5)
    assert run_due(clock).ran == []
    assert scheduled.told() == [f"failed: {HERE}"]
    assert "left no record" in scheduled.told_to.read_text()


def test_a_channel_that_is_down_is_told_the_next_time(
    scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled.every("0 7 * * *")
    clock = Clock("2026-11-23 06:00")
    run_due(clock)
    clock.goes_on(180)

    def down(*_: Any) -> None:
        raise OpsError("no route")

    with monkeypatch.context() as patch:
        patch.setattr(channels, "send", down)
        assert run_due(clock).untold == [f"{HERE}: no route"]
    clock.goes_on(5)
    assert run_due(clock).untold == []
    run_due(clock)
    assert scheduled.told() == [f"missed: {HERE}"]


def test_more_that_is_critical_is_told_again_and_less_is_not() -> None:
    one, both = ledger.Trouble("critical", ("a",)), ledger.Trouble("critical", ("a", "b"))
    assert both.is_news(one)
    assert not one.is_news(both)
    assert not one.is_news(one)
    assert ledger.Trouble().is_news(one)
    assert ledger.Trouble.read(str(both)) == both


def test_what_becomes_critical_for_the_same_cause_is_told_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trouble(*checks: str) -> ledger.Trouble:
        found = [{"status": "critical", "check": each, "cause": "stuck"} for each in checks]
        monkeypatch.setattr(reading, "details", lambda _: {"findings": found})
        return notices.trouble_of(SimpleNamespace(outcome="attention", status="critical"))  # type: ignore[arg-type]

    orders = trouble("Dead letters of orders")
    both = trouble("Dead letters of orders", "Dead letters of mails")
    assert both.is_news(orders)
    assert orders.of == ("stuck: Dead letters of orders",)


@pytest.mark.slow
def test_the_command_shows_and_runs_what_is_due(scheduled: Scheduled) -> None:
    scheduled.every("0 7 * * *")
    project = scheduled.project
    shown = project.command("schedule", "show")
    assert "never run" in shown.stdout
    assert "run-due never ran" in shown.stderr
    ran = project.command("schedule", "run-due", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "ran": [],
        "missed": [],
        "failed": [],
        "untold": [],
        "wrong": [],
    }
    stands = json.loads(project.command("schedule", "show", "--json").stdout)
    assert stands["run_due"]["host"]
    scheduled.write("schedules: [{name: x, run: tests/daily, targets: ['*'], when: {cron: '1 2'}}]")
    wrong = project.command("schedule", "show")
    assert wrong.returncode == 2
    assert "ours.yaml:1: schedules.0.when: '1 2' has 2 fields" in wrong.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("notify: [nobody]", "Unknown channel 'nobody'. Known: on-call"),
        ("parameters: {approved: now}", "is not set here"),
        ("parameters: {nought: 1}", "nought"),
        ("lateminutes: 3", "unknown key; did you mean 'late_minutes'?"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(
    scheduled: Scheduled, line: str, said: str
) -> None:
    path = scheduled.every("0 7 * * *")
    path.write_text(path.read_text().replace("    notify: [on-call]", f"    {line}"))
    found, wrong = read()
    assert found == []
    assert len(wrong) == 1
    assert f"ours.yaml:9: schedules.0.{line.split(':')[0]}" in wrong[0]
    assert said.lower() in wrong[0].lower()
