"""Old snapshots are deleted: those that were taken here, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from opslib import UsageError, apply, connect
from opslib.core.connections.connection import Connection
from opslib.core.plans.things import Thing
from opslib.databases import plan_pruning
from opslib.databases.instances import rds, snapshots
from tests.conftest import PracticeLab
from tests.undoing import confirmed

CLUSTER, INSTANCE = "lab/bluemoxon-staging", "lab/loglineos-production"
OURS = {"by": "opslib", "reason": "before-migration"}

pytestmark = pytest.mark.usefixtures("records_folder")  # what is applied here is kept elsewhere


@pytest.fixture(params=[CLUSTER, INSTANCE])
def ops(lab: PracticeLab, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """In forty days, with snapshots of each kind; a lab made anew afterwards."""
    found = connect(request.param)
    now = found.now() + timedelta(days=40)
    found.now = lambda: now  # type: ignore[method-assign]
    yield found
    lab.reset()


def take(ops: Connection, name: str, **tags: str) -> str:
    database = rds.database_of(ops)
    kind = database.snapshots
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    named = {kind.key: f"{database.name}-{name}"}
    ops.change("rds", kind.create, **named, **database.key, Tags=given)
    thing = Thing(kind, named[kind.key])
    thing.until(kind.status, ["creating"], ["available"], 30).perform(ops)
    return thing.name


def names(ops: Connection) -> set[str]:
    database = rds.database_of(ops)
    kind = database.snapshots
    return {each[kind.key] for each in kind.find_all(ops, **database.key, SnapshotType="manual")}


@pytest.mark.some(2)
def test_what_was_taken_here_and_is_old_goes_and_all_else_stays(ops: Connection) -> None:
    old = [take(ops, f"2026-01-0{day}-1", **OURS) for day in (1, 2)]
    kept = {
        take(ops, "2026-01-03-1", **OURS): "among the newest",
        take(ops, "before-audit", **OURS): "not taken here",
        take(ops, "2026-01-04-1", by="somebody"): "not taken here",
        take(ops, "2026-01-05-1"): "not taken here",
        take(ops, "2026-01-06-1", **OURS, hold="legal"): "tagged hold",
    }
    plan = plan_pruning(ops, days=30, keep=1)
    assert {step.title.split(",")[0] for step in plan.steps} == {f"Delete {name}" for name in old}
    assert "taken for" not in plan.steps[0].title
    assert plan.steps[0].title.endswith("for: before-migration")
    assert not plan.reversible
    assert all(f"{name} ({why})" in plan.notes[1] for name, why in kept.items())
    assert names(ops) == {*old, *kept}
    applied = apply(ops, plan, plan.id, confirmed(ops.target.name))
    assert names(ops) == {*kept}
    assert {found.status for found in ops.findings if found.verifies} == {"ok"}
    assert applied.changed
    assert not plan_pruning(ops, days=30, keep=1).steps


@pytest.mark.some(2)
def test_what_is_young_shared_or_of_another_database_of_that_name_stays(ops: Connection) -> None:
    first, second = (take(ops, f"2026-01-0{day}-1", **OURS) for day in (1, 2))
    kind = rds.database_of(ops).snapshots
    assert plan_pruning(ops, days=41, keep=1).notes == (
        f"Kept: {second} (among the newest), {first} (younger).",
    )
    modify = kind.describe.replace("describe", "modify").replace("snapshots", "snapshot_attribute")
    shared: Any = {"AttributeName": "restore", "ValuesToAdd": ["444455556666"]}
    ops.change("rds", modify, **{kind.key: first}, **shared)
    plan = plan_pruning(ops, days=30, keep=1)
    assert plan.steps == ()
    assert f"{first} (shared with 444455556666)" in plan.notes[0]


def test_what_would_keep_none_is_a_usage_error(ops: Connection) -> None:
    for wrong in ({"keep": 0}, {"days": -1}):
        with pytest.raises(UsageError, match="keep is at least 1"):
            plan_pruning(ops, **wrong)


def test_one_of_the_database_before_this_one_stays() -> None:
    ops = connect(CLUSTER)
    taken = {"SnapshotCreateTime": ops.now(), "Status": "available"}
    tags = [{"Key": key, "Value": value} for key, value in OURS.items()]
    later = ops.now() + timedelta(days=1)
    why = snapshots._held(taken | {"TagList": tags}, "bluemoxon-2026-01-01-1", later)
    assert why == "of a database of that name before this one"
    assert snapshots._held(taken | {"TagList": tags}, "bluemoxon-2026-01-01-1", None) == ""
