"""Migrations: pending ones are found, staging has them first, a snapshot goes before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opslib import Refused, apply, connect, migrations
from opslib.connections import Connection
from tests import notebooks
from tests.conftest import PracticeLab
from tests.states import differences

STAGING, PRODUCTION = "lab/bluemoxon-staging", "lab/bluemoxon-production"
PENDING = "migration-pending"


@pytest.fixture(autouse=True)
def healthy_again(lab: PracticeLab, records_folder: Path) -> Iterator[None]:
    before = lab.state(), lab.state("bluemoxon-production")
    yield
    if (lab.state(), lab.state("bluemoxon-production")) != before:
        lab.reset()


@pytest.fixture
def ops(lab: PracticeLab) -> Connection:
    return connect(STAGING)


def test_a_database_that_is_as_its_code_needs_it_names_no_cause(ops: Connection) -> None:
    found = migrations.check_migrations(ops)
    assert (found.worst, found.causes) == ("ok", set())
    assert migrations.plan_migration(ops).steps == ()


def test_a_pending_migration_is_found_applied_and_verified(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken(PENDING):
        before = lab.state()
        preview = notebooks.run("databases/migrate")
        assert preview["ops"].findings.causes == {PENDING}
        assert lab.state() == before
        left = notebooks.run("databases/migrate", approved="now")
        assert {f.status for f in left["ops"].findings if f.verifies} == {"ok"}
        changed = differences(before, lab.state())
        assert {path.split(".")[0] for path in changed} == {"rds", "sql"}
        assert {path.split(".")[3] for path in changed if path.startswith("sql")} <= {"alembic_version", "books"}
        assert migrations.find_state(ops).has == migrations.find_state(ops).needs


def test_without_a_snapshot_it_is_said_that_there_is_less_of_a_way_back(ops: Connection, lab: PracticeLab) -> None:
    with lab.broken(PENDING):
        plan = migrations.plan_migration(ops, snapshot=False)
        assert len(plan.steps) == 1
        assert not plan.reversible
        assert "No snapshot is taken" in plan.notes[-1]


def test_production_is_refused_until_staging_has_had_it(lab: PracticeLab) -> None:
    with lab.broken(PENDING, "bluemoxon-production"):
        production = connect(PRODUCTION)
        before = lab.state("bluemoxon-production")
        found = migrations.check_migrations(production)
        assert found.causes == {PENDING}
        assert [f.status for f in found] == ["critical", "warn"]
        with pytest.raises(Refused, match=r"lab/bluemoxon-staging has not had d4a6c8e0f168.*Run it there first"):
            migrations.plan_migration(production)
        assert lab.state("bluemoxon-production") == before
        with lab.broken(PENDING):
            staging = connect(STAGING)
            apply(staging, migrations.plan_migration(staging), "now")
            plan = migrations.plan_migration(production)
            assert len(plan.steps) == 3
            with pytest.raises(Refused, match="is production"):
                apply(production, plan, plan.id)


def test_production_goes_on_when_staging_cannot_be_asked_but_says_unknown(lab: PracticeLab) -> None:
    production = connect(PRODUCTION)
    with lab.denied("secretsmanager:GetSecretValue"):
        assert [f.status for f in migrations.check_migrations(production)] == ["ok", "unknown"]


def test_an_api_that_does_not_answer_makes_it_unknown(ops: Connection, lab: PracticeLab) -> None:
    for drill in ("api-html", "api-404"):
        with lab.broken(drill):
            found: Any = migrations.check_migrations(ops)
            assert ([f.status for f in found], found.causes) == (["unknown"], set())
