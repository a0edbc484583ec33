"""Syncs: production's data over staging's, never the other way, with what is lost shown first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from opslib import Refused, UsageError, apply, connect
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.databases import syncs
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences

TABLES = ["books", "book_images", "listings", "analysis_jobs", "eval_runbook_jobs"]


@pytest.fixture
def ops(lab: PracticeLab, records_folder: Path) -> Connection:
    return connect("lab/bluemoxon-staging")


@pytest.fixture
def healthy_again(lab: PracticeLab) -> Iterator[None]:
    yield
    lab.reset()


def test_preview_shows_both_sides_and_changes_neither(ops: Connection, lab: PracticeLab) -> None:
    here, there = lab.state(), lab.state("bluemoxon-production")
    left = notebooks.run("databases/sync")
    assert left["plan"].steps[-1].before["books"] == 58
    sides = syncs.compare_sides(ops, "both").set_index("what")
    assert (sides.loc["books", "here"], sides.loc["books", "source"]) == (58, 68)
    assert (lab.state(), lab.state("bluemoxon-production")) == (here, there)


def test_the_functions_own_dry_run_counts_what_would_go(ops: Connection, lab: PracticeLab) -> None:
    before = lab.state()
    said = syncs.ask_dry_run(ops, "database").set_index("what")
    assert said.loc["database.tables.books.rows", "count"] == 68
    assert said.loc["database.tables.books.replaced", "count"] == 58
    assert lab.state() == before


@pytest.mark.slow
def test_a_sync_makes_both_sides_alike_and_leaves_the_source(
    ops: Connection, lab: PracticeLab, healthy_again: None
) -> None:
    here, there = lab.state(), lab.state("bluemoxon-production")
    left = notebooks.run("databases/sync", approved="now")
    assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
    assert lab.state("bluemoxon-production") == there
    changed = differences(here, lab.state())
    assert {path.split(".")[0] for path in changed} == {"rds", "s3", "sql"}
    assert {path.split(".")[3] for path in changed if path.startswith("sql")} == set(TABLES)
    assert "cannot be undone" in repr(left["plan"])


@pytest.mark.slow
def test_images_alone_leave_every_row(
    ops: Connection, lab: PracticeLab, healthy_again: None
) -> None:
    before = lab.state()
    plan = syncs.plan_sync(ops, "images")
    assert len(plan.steps) == 1
    assert apply(ops, plan, "now").verify(syncs.check_sync, "images").worst == "ok"
    assert {path.split(".")[0] for path in differences(before, lab.state())} == {"s3"}


@pytest.mark.slow
def test_rows_alone_leave_every_object(
    ops: Connection, lab: PracticeLab, healthy_again: None
) -> None:
    before = lab.state()
    assert (
        apply(ops, syncs.plan_sync(ops, "database"), "now")
        .verify(syncs.check_sync, "database")
        .worst
        == "ok"
    )
    assert {path.split(".")[0] for path in differences(before, lab.state())} == {"rds", "sql"}


def test_production_is_never_a_destination(lab: PracticeLab) -> None:
    production = connect("lab/bluemoxon-production")
    before = lab.state("bluemoxon-production")
    for ask in (syncs.plan_sync, syncs.compare_sides, syncs.ask_dry_run):
        with pytest.raises(Refused, match="is production: nothing is ever copied over it"):
            ask(production, "both")
    assert lab.state("bluemoxon-production") == before


@pytest.mark.slow
def test_rows_that_came_since_the_preview_are_not_overwritten(
    ops: Connection, lab: PracticeLab, healthy_again: None
) -> None:
    approved = syncs.plan_sync(ops, "database").id
    sql.execute(
        ops,
        "DELETE FROM analysis_jobs WHERE id = (SELECT min(id::text)::uuid FROM analysis_jobs)",
        {},
        1,
    )
    before = lab.state()
    with pytest.raises(Refused, match="not what would be done now"):
        apply(ops, syncs.plan_sync(ops, "database"), approved)
    assert lab.state() == before


def test_an_unknown_scope_offers_the_nearest(ops: Connection) -> None:
    with pytest.raises(UsageError, match=r"Unknown scope 'image'.*'images'"):
        syncs.plan_sync(ops, "image")
