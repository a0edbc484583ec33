"""A database whose rows are wrong, recovered to the end; and the clock that the records are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from opslib import Refused, UsageError, apply, recovery, services
from opslib.core.connections import addresses
from opslib.core.connections.connection import Connection
from opslib.core.tables import frame
from opslib.recovery import databases
from tests.conftest import PracticeLab
from tests.notebooks import run
from tests.undoing import confirmed, undo_last

TARGET = "lab/ai-studio-production"
SURE = {"target": TARGET, "approved": "now", "confirm": confirmed(TARGET)}
WRITERS = ("backend", "worker")


def tasks(ops: Connection) -> dict[str, int]:
    found = services.check_services(ops)
    assert len(found)
    facts = ops.target["services"]
    told = {
        key: ops.call("ecs", "describe_services", cluster=of["cluster"], services=[of["name"]])
        for key, of in facts.items()
    }
    return {key: each["services"][0]["runningCount"] for key, each in told.items()}


def database(ops: Connection) -> str:
    return str(addresses.find(ops).database)


@pytest.fixture
def corrupted(ops: Connection, lab: PracticeLab) -> Iterator[datetime]:
    """The moment before the damage."""
    before = datetime.now(UTC).replace(microsecond=0)
    time.sleep(1.2)  # a restore goes to the second
    with lab.broken("database-corrupted", "ai-studio-production"):
        yield before
    lab.reset()


@pytest.mark.slow
def test_a_corrupted_database_is_recovered_to_the_end(ops: Connection, corrupted: datetime) -> None:
    first, before = database(ops), tasks(ops)
    assert recovery.check_integrity(ops).causes == {"database-corrupted"}

    left = run("recovery/database", **SURE, phase="stop")
    assert left["applied"].changed
    assert {key: tasks(ops)[key] for key in WRITERS} == {"backend": 0, "worker": 0}
    assert tasks(ops)["gateway"] == before["gateway"], "it writes nothing there"
    assert "next: phase 'restore'" in said(left, "recovery of the database")

    left = run("recovery/database", **SURE, phase="restore", to=f"{corrupted:%Y-%m-%dT%H:%M:%S}")
    verified = [each for each in left["ops"].findings if each.verifies]
    assert {each.status for each in verified} == {"ok"}, verified
    assert any(each.check.startswith("newest rows of ai-studio-db-restored") for each in verified)
    assert database(ops) == first, "nothing is pointed at it yet"

    left = run("recovery/database", **SURE, phase="switch")
    assert not any("STILL WRONG" in note for note in left["plan"].notes)
    assert database(ops) == "ai_studio_db_restored_" + f"{datetime.now(UTC):%Y%m%d}"
    assert recovery.check_integrity(ops).worst == "ok"

    left = run("recovery/database", **SURE, phase="resume")
    assert tasks(ops) == before
    assert {each.status for each in left["ops"].findings if each.verifies} == {"ok"}
    assert "complete: this RTO was reached" in said(left, "recovery of the database")

    [rehearsed] = [
        each
        for each in run("recovery/readiness", target=TARGET)["ops"].findings
        if each.check == "RTO of the database, as rehearsed"
    ]
    assert (rehearsed.status, "in the practice copy" in rehearsed.seen) == ("ok", True)
    assert "stop 0" in rehearsed.seen


def said(left: dict[str, Any], check: str) -> str:
    return [each.seen for each in left["ops"].findings if each.check == check][-1]


def test_healthy_rows_break_no_rule(ops: Connection) -> None:
    found = recovery.check_integrity(ops)
    assert (found.worst, found.causes, len(found)) == ("ok", set(), 2)


def test_a_phase_that_came_before_is_asked_for(ops: Connection) -> None:
    with pytest.raises(UsageError, match="Unknown phase 'restart'"):
        recovery.plan_recovery(ops, "restart")
    for phase, wanted in (("switch", "restore"), ("resume", "stop")):
        with pytest.raises(Refused, match=f"Phase '{wanted}' of a recovery .* is not on record"):
            recovery.plan_recovery(ops, phase)


def test_a_switch_to_the_present_database_is_no_change(ops: Connection) -> None:
    plan = recovery.plan_recovery(ops, "switch", name=ops.target["database"]["cluster"])
    assert plan.steps == ()
    assert "It leads to " in plan.notes[0]
    assert "already: was the restored one meant?" in plan.notes[0]


@pytest.mark.slow
def test_a_stop_is_taken_back(ops: Connection, clean: dict[str, Any]) -> None:
    before = tasks(ops)
    apply(ops, recovery.plan_recovery(ops, "stop"), "now", confirmed(TARGET))
    assert tasks(ops)["worker"] == 0
    undo_last(ops)
    for _ in range(100):
        if tasks(ops) == before:
            break
        time.sleep(0.1)
    assert tasks(ops) == before


LEDGER = "lab/loglineos-production"


@pytest.mark.slow
def test_functions_stop_and_an_instance_is_switched_to_by_a_secret_of_fields(
    lab: PracticeLab, records_folder: object
) -> None:
    """Of a system whose file has no word on recovery."""
    sure = {"target": LEDGER, "approved": "now", "confirm": confirmed(LEDGER)}
    ops = run("recovery/readiness", target=LEDGER)["ops"]
    assert {f.status for f in ops.findings if f.check.startswith(("RPO", "RTO"))} == {"unknown"}
    first, stopped = database(ops), {}
    left = run("recovery/database", **sure, phase="stop")
    for step in left["plan"].steps:
        name = step.do["parameters"]["FunctionName"]
        told = ops.call("lambda", "get_function_concurrency", FunctionName=name)
        stopped[name] = told["ReservedConcurrentExecutions"]
    assert stopped
    assert set(stopped.values()) == {0}
    run("recovery/database", **sure, phase="restore")
    left = run("recovery/database", **sure, phase="switch")
    assert any("may keep the old address" in note for note in left["plan"].notes)
    assert database(ops).startswith("loglineos_ledger_production_restored")
    assert database(ops) != first
    run("recovery/database", **sure, phase="resume")
    for name in stopped:
        told = ops.call("lambda", "get_function_concurrency", FunctionName=name)
        assert told.get("ReservedConcurrentExecutions") != 0
    lab.reset()


def test_what_a_restored_one_lacks_is_told_from_when_to_when(ops: Connection) -> None:
    at = [datetime(2026, 11, 26, hour, tzinfo=UTC) for hour in (10, 13)]
    rows: list[dict[str, Any]] = [
        {"table": "jobs", "newest_there": at[0], "newest_now": at[1]},
        {"table": "usage", "newest_there": None, "newest_now": None},
    ]
    found = databases._lost(ops, "copy", frame(rows, databases.NEWEST))
    assert found.status == "warn", "more than recovery.rpo_hours"
    assert "jobs: what was written from 2026-11-26 10:00:00 to 13:00:00 UTC, 3.0 h" in found.seen
    found = databases._lost(ops, "copy", frame(rows[1:], databases.NEWEST))
    assert found.status == "ok"
