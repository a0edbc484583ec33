"""The newest migration taken back: what goes is shown first, by a trial that changes nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from opslib import OpsError, Refused, UsageError, connect
from opslib.core.connections import sql
from opslib.core.connections.connection import Connection
from opslib.databases import downgrades, migrations
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences
from tests.undoing import undo_last

KEY, TARGET = "dms-dev", "lab/dms-dev"
NEWEST, BEFORE = "20241002_document-pages", "20240611_documents-by-status"


@pytest.mark.slow
def test_a_migration_is_taken_back_and_applied_again_and_its_snapshot_stays(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab
) -> None:
    given = {"target": TARGET, "migration": NEWEST}
    preview = notebooks.run("databases/migrate-back", **given)
    assert lab.state(KEY) == clean
    step = preview["plan"].steps[-1]
    rows = sql.count_rows(ops, ["documents"])["documents"]
    goes = f"DESTROYS documents: pages ({rows:,} filled) of {rows:,} rows"
    assert step.title == f"Take back {NEWEST}, to {BEFORE}: {goes}"
    assert preview["plan"].notes[0].startswith(f"LOOK: the deployed code needs {NEWEST}")
    left = notebooks.run("databases/migrate-back", **given, approved="now")
    verified = {f.check: f.status for f in left["ops"].findings if f.verifies}
    assert verified[f"{NEWEST} is taken back"] == "ok"
    assert verified["The deployed code can do without it"] == "warn"
    assert migrations.check_migrations(ops).causes == {"migration-pending"}
    with pytest.raises(Refused, match=f"newest migration of {TARGET} is {BEFORE}, not {NEWEST}"):
        downgrades.plan_migration_back(ops, NEWEST)
    undo_last(ops)
    assert migrations.check_migrations(ops).worst == "ok"
    kept = [path for path in differences(clean, lab.state(KEY)) if "pgmigrations" not in path]
    assert len(kept) == 1
    assert kept[0].startswith("rds.snapshots.dms-cluster-dev-")


def test_what_is_not_named_or_not_described_is_not_taken_back(ops: Connection) -> None:
    with pytest.raises(
        UsageError, match=f"Name the migration to take back. The newest is {NEWEST}"
    ):
        downgrades.plan_migration_back(ops, "")
    with pytest.raises(UsageError, match=r"describes no database\.migrate_back"):
        downgrades.plan_migration_back(connect("lab/bluemoxon-staging"), "x")


def test_code_that_does_not_bring_it_cannot_undo_it(
    ops: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = migrations.State(TARGET, NEWEST, BEFORE, True)
    assert (state.pending, state.ahead) == (False, True)
    monkeypatch.setattr(migrations, "find_state", lambda ops: state)
    plan = downgrades.plan_migration_back(ops, NEWEST, snapshot=False)
    assert [step.undo for step in plan.steps] == [None]
    assert "undo cannot bring" in plan.notes[0]
    assert plan.notes[1].startswith("NO SNAPSHOT")


TRIED = {
    "a column": ("ALTER TABLE documents DROP COLUMN pages", {"documents": ["pages"]}, {}),
    "a table": ("DROP TABLE users", {"users": []}, {}),
    "in a frame": (
        "BEGIN;\nALTER TABLE users DROP role; DROP INDEX documents_tenant_created;\nCOMMIT;",
        {"users": ["role"]},
        {},
    ),
    "rows": ("DELETE FROM users WHERE 'it''s' <> ''", {}, {"public.users": "6 deleted"}),
    "nothing": ("DROP INDEX documents_tenant_created", {}, {}),
}


@pytest.mark.some(2)
@pytest.mark.parametrize("case", TRIED)
def test_what_goes_is_found_by_a_trial_that_is_rolled_back(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab, case: str
) -> None:
    text, gone, touched = TRIED[case]
    assert downgrades._tried(ops, downgrades._FRAME.sub("", text)) == (gone, touched)
    assert lab.state(KEY) == clean


@pytest.mark.parametrize("text", ["DROP TABLE users; COMMIT", "COMMIT; DROP TABLE users", "DROP x"])
def test_a_text_that_would_commit_or_is_no_sql_is_not_known_and_changes_nothing(
    ops: Connection, clean: dict[str, Any], lab: PracticeLab, text: str
) -> None:
    with pytest.raises(OpsError):
        downgrades._tried(ops, text)
    assert lab.state(KEY) == clean


@pytest.mark.parametrize(
    ("facts", "answer", "said"),
    [
        ({}, {}, "no database.migrate_back.dry_run"),
        ({"dry_run": {}}, {"message": "done"}, "answers no statements"),
        ({"dry_run": {}}, {"sql": " "}, "answers no statements"),
        ({"dry_run": {}}, {"sql": "COMMIT; SELECT 1"}, "it cannot be tried"),
        ({"dry_run": {}}, {"statements": ["SELECT 1", "SELECT 2"]}, "no data goes"),
        ({"dry_run": {}}, {"sql": "DROP TABLE users"}, "DESTROYS table users with 6 rows"),
    ],
)
def test_what_its_way_back_destroys_is_told_or_said_to_be_unknown(
    ops: Connection, monkeypatch: pytest.MonkeyPatch, facts: Any, answer: Any, said: str
) -> None:
    told = SimpleNamespace(perform=lambda ops: answer)
    monkeypatch.setattr(migrations, "invoke", lambda *_, **__: told)
    assert said in downgrades._goes(ops, facts)


@pytest.mark.parametrize(
    ("has", "needs", "ahead"),
    [
        (NEWEST, BEFORE, True),  # though its name is shorter
        (BEFORE, NEWEST, False),
        ("1718000000000_a", "1717000000000_longer", True),
        ("12", "9", True),
        ("0009_a", "0010_b", False),
    ],
)
def test_of_two_migrations_the_later_one_is_that_of_the_later_moment(
    has: str, needs: str, ahead: bool
) -> None:
    assert migrations.State(TARGET, has, needs, True).ahead is ahead
