"""The ledger's schema as its migrations, oldest first, and what applies them. `ledger.schema_migrations` says which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg

Database: TypeAlias = psycopg.Connection[Any]


@dataclass(frozen=True)
class Revision:
    """A migration. `down` undoes it."""

    name: str
    title: str
    up: str
    down: str = ""


_REGISTRY = """
CREATE SCHEMA IF NOT EXISTS ledger;
CREATE TABLE IF NOT EXISTS ledger.schema_migrations (
    version text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE ledger.universal_registry (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    seq integer NOT NULL DEFAULT 0,
    entity_type text NOT NULL,
    who text NOT NULL,
    did text,
    "this" text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    name text,
    status text NOT NULL DEFAULT 'complete',
    tenant_id text,
    owner_id text,
    parent_id uuid,
    duration_ms integer,
    error text,
    payload jsonb,
    is_deleted boolean NOT NULL DEFAULT false
);
"""

_TIMELINE = """
CREATE VIEW ledger.visible_timeline AS
SELECT id, at, entity_type, who, did, status, tenant_id, owner_id, error, name, "this", parent_id, duration_ms, payload
FROM ledger.universal_registry
WHERE NOT is_deleted;
"""

_APPEND_ONLY = """
CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept ledger.universal_registry;
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'ledger is append-only: % is refused; set is_deleted to take a row out of every view', TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    kept := NEW;
    kept.is_deleted := OLD.is_deleted;
    IF kept IS DISTINCT FROM OLD THEN
        RAISE EXCEPTION 'ledger is append-only: only is_deleted of row % may be changed', OLD.id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.universal_registry
    FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON ledger.universal_registry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
"""

_QUOTAS = """
CREATE TABLE ledger.tenant_quotas (
    tenant_id text PRIMARY KEY,
    executions_per_day integer NOT NULL
);
INSERT INTO ledger.tenant_quotas
SELECT tenant_id, 2000 FROM ledger.universal_registry WHERE tenant_id IS NOT NULL GROUP BY tenant_id;
"""

OWNER_INDEX = "CREATE INDEX universal_registry_owner_at ON ledger.universal_registry (owner_id, at DESC)"

REVISIONS = (
    Revision("0001", "the registry", _REGISTRY),
    Revision(
        "0002",
        "rows are found by id and by parent",
        "ALTER TABLE ledger.universal_registry ADD PRIMARY KEY (id);"
        "CREATE INDEX universal_registry_parent ON ledger.universal_registry (parent_id);",
    ),
    Revision(
        "0003",
        "rows are found by time, and by kind and time",
        "CREATE INDEX universal_registry_at ON ledger.universal_registry (at DESC);"
        "CREATE INDEX universal_registry_type_at ON ledger.universal_registry (entity_type, at DESC);",
    ),
    Revision("0004", "the timeline that people see", _TIMELINE),
    Revision("0005", "append-only", _APPEND_ONLY),
    Revision("0006", "rows are found by owner and time", OWNER_INDEX),
    Revision("0007", "quotas of tenants", _QUOTAS, "DROP TABLE ledger.tenant_quotas"),
    # In the code of the next release, not yet of any database: see the drill migration-pending.
    Revision(
        "0008",
        "a span knows its trace",
        "ALTER TABLE ledger.universal_registry ADD COLUMN trace_id uuid",
        "ALTER TABLE ledger.universal_registry DROP COLUMN trace_id",
    ),
)
NEXT = REVISIONS[-1].name
HEAD = REVISIONS[-2].name
_ORDER = [revision.name for revision in REVISIONS]


def current(database: Database) -> str | None:
    """The newest revision that the database has had."""
    row = database.execute("SELECT max(version) FROM ledger.schema_migrations").fetchone()
    return row[0] if row else None


def pending(database: Database, head: str) -> list[Revision]:
    """The revisions up to the code's head that the database has not had."""
    had = {row[0] for row in database.execute("SELECT version FROM ledger.schema_migrations")}
    return [revision for revision in REVISIONS[: _ORDER.index(head) + 1] if revision.name not in had]


def create(database: Database, fill: Callable[[Database], None] = lambda database: None) -> None:
    """Makes the schema in an empty database: every migration of the released code, the rows after the first."""
    with database.transaction():
        for revision in REVISIONS[: _ORDER.index(HEAD) + 1]:
            _apply(database, revision)
            if revision is REVISIONS[0]:
                fill(database)


def upgrade(database: Database, head: str) -> tuple[str | None, str | None]:
    """Applies what is pending, all or nothing. Returns the revision before and after."""
    before = current(database)
    with database.transaction():
        for revision in pending(database, head):
            _apply(database, revision)
    return before, current(database)


def downgrade(database: Database, to: str) -> None:
    """Undoes revisions, the newest first, until the database is at `to`."""
    with database.transaction():
        while (at := current(database)) is not None and _ORDER.index(at) > _ORDER.index(to):
            database.execute(REVISIONS[_ORDER.index(at)].down)
            database.execute("DELETE FROM ledger.schema_migrations WHERE version = %s", [at])


def _apply(database: Database, revision: Revision) -> None:
    database.execute(revision.up)
    database.execute("INSERT INTO ledger.schema_migrations (version) VALUES (%s)", [revision.name])
