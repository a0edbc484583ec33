-- The ledger's schema as its migrations; `ledger.schema_migrations` has a row for each that was applied.
-- The last one is of the next release, not yet of any database (drill migration-pending).

-- revision 0001: the registry
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

-- revision 0002: rows are found by id and by parent
ALTER TABLE ledger.universal_registry ADD PRIMARY KEY (id);
CREATE INDEX universal_registry_parent ON ledger.universal_registry (parent_id);

-- revision 0003: rows are found by time, and by kind and time
CREATE INDEX universal_registry_at ON ledger.universal_registry (at DESC);
CREATE INDEX universal_registry_type_at ON ledger.universal_registry (entity_type, at DESC);

-- revision 0004: the timeline that people see
CREATE VIEW ledger.visible_timeline AS
SELECT id, at, entity_type, who, did, status, tenant_id, owner_id, error, name, "this", parent_id, duration_ms, payload
FROM ledger.universal_registry
WHERE NOT is_deleted;

-- revision 0005: append-only
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

-- revision 0006: rows are found by owner and time
CREATE INDEX universal_registry_owner_at ON ledger.universal_registry (owner_id, at DESC);

-- revision 0007: quotas of tenants
CREATE TABLE ledger.tenant_quotas (
    tenant_id text PRIMARY KEY,
    executions_per_day integer NOT NULL
);
INSERT INTO ledger.tenant_quotas
SELECT tenant_id, 2000 FROM ledger.universal_registry WHERE tenant_id IS NOT NULL GROUP BY tenant_id;
-- undo
DROP TABLE ledger.tenant_quotas;

-- revision 0008: a span knows its trace
ALTER TABLE ledger.universal_registry ADD COLUMN trace_id uuid;
-- undo
ALTER TABLE ledger.universal_registry DROP COLUMN trace_id;
